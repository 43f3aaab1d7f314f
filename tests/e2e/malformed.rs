//! Thousands of INVITEs that are wrong: Kamailio lives, nothing is counted that should not be, and the next good call goes
//! through.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};

use anyhow::{Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::mutant::{self, Dice};
use e2e::raw::{Agent, Request};
use e2e::sipp::{Plan, Sipp};
use e2e::stack;
use e2e::toml::Trunk;
use e2e::wait;

/// Over UDP, half of them to a trunk that would let them in.
const DATAGRAMS: u32 = 3_000;
/// Over TCP, a connection each.
const STREAMS: u32 = 300;
/// After so many, the proxy has to answer before the next ones are sent.
const BATCH: u32 = 10;

/// Without the brakes, each of them is really parsed and judged.
fn options() -> Result<Options> {
    let options = Options::new()?.define("STRANGERS_PER_S=0").define("WRONG_PASSWORDS_PER_MINUTE=0");
    Ok(options.define("GATEWAY_SILENT_MS=500").define("GATEWAY_RING_MS=2000").define("LOG_LEVEL=-1"))
}

#[test]
fn thousands_of_malformed_invites_change_nothing() {
    stack::test(options(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let closed = Trunk::new("closed").source("192.0.2.1").credential("pbx", "correct horse");
        // Nobody at its gateway says anything, so that whatever is let in is over soon.
        let open = Trunk::new("open").source("127.0.0.1").gateway("sip:127.0.0.1:9", 1);
        let good = Trunk::new("good").limits(1, "0.001").key("cpsBurst", "1").source("127.0.0.1");
        stack.site.apply(&[closed.gateway(&gateway.uri(), 1), open, good.gateway(&gateway.uri(), 1)])?;
        let processes = stack.processes()?;
        let agent = Agent::new(stack.site.sip)?;
        let alive = |count: u32| -> Result<()> {
            let answer = agent.ask(&Request::new("OPTIONS", "sip:alive@x", &format!("alive-{count}")))?;
            ensure!(answer.code() == Some(200), "{answer:?}");
            Ok(())
        };
        let to = |trunk: &str| format!("sip:15550100@{}", stack.site.domain(trunk));

        let mut dice = Dice::new(20_261_122);
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let own = socket.local_addr()?.to_string();
        let admitted = stack.site.status_number("admitted")?;
        for number in 0..DATAGRAMS / 2 {
            let bytes = mutant::invite(&mut dice, &to("closed"), &own, "UDP", &format!("closed-{number}"));
            socket.send_to(&bytes, stack.site.sip)?;
            if number % BATCH == 0 {
                alive(number)?;
            }
        }
        alive(DATAGRAMS)?;
        let after = stack.site.status_number("admitted")?;
        ensure!(after == admitted && stack.site.calls()? == 0, "{} let in", after - admitted);

        for number in 0..DATAGRAMS / 2 {
            let bytes = mutant::invite(&mut dice, &to("open"), &own, "UDP", &format!("open-{number}"));
            socket.send_to(&bytes, stack.site.sip)?;
            if number % BATCH == 0 {
                alive(DATAGRAMS + 1 + number)?;
            }
        }
        for number in 0..STREAMS {
            let mut stream = TcpStream::connect(stack.site.sip)?;
            let own = stream.local_addr()?.to_string();
            let bytes = mutant::invite(&mut dice, &to("open"), &own, "TCP", &format!("stream-{number}"));
            // The proxy may hang up as soon as it has seen enough.
            let _ = stream.write_all(&bytes);
            if number % BATCH == 0 {
                alive(2 * DATAGRAMS + number)?;
            }
        }
        ensure!(stack.site.status_number("admitted")? > after, "not one was good enough to be let in");

        wait::until("every slot to be free", || Ok((stack.site.calls()? == 0).then_some(())))?;
        for number in ["underflows", "panics"] {
            ensure!(stack.site.status_number(number)? == 0, "{number}: {}", stack.site.status()?);
        }
        ensure!(processes == stack.processes()?, "a process has died");
        // A trunk with room for one call and one token in a thousand seconds: both are there.
        let plan = Plan::new("call", &stack.site.domain("good"));
        let caller = Sipp::start(stack.dir(), "good", stack.site.sip, &plan)?.finish()?;
        ensure!(caller.story(1) == "180 200, BYE 200", "{}", caller.story(1));
        Ok(())
    });
}
