//! The torture messages of RFC 4475: each has its fate, and none, however often, harms anything.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::sip::Message;
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::torture::{Ends, Fate, messages};
use e2e::wait;

/// How often each is sent where only what is left behind matters.
const ROUNDS: u32 = 25;

/// One worker for datagrams: what it has to say to one message, it has said before it answers the next.
fn one_worker() -> Result<Options> {
    Ok(Options::new()?.define("WORKERS=1").define("LOG_LEVEL=-1").define("STRANGERS_PER_S=0"))
}

fn alive(agent: &Agent, mark: &str) -> Result<()> {
    let answer = agent.ask(&Request::new("OPTIONS", "sip:alive@x", mark))?;
    ensure!(answer.code() == Some(200), "{answer:?}");
    Ok(())
}

/// Sends one message from a socket of its own, and tells the final answer that came before the next message was answered.
fn answer_to(
    stack: &Stack,
    agent: &Agent,
    bytes: &[u8],
    mark: &str,
    socket: &UdpSocket,
) -> Result<Option<u16>> {
    socket.send_to(bytes, stack.site.sip)?;
    alive(agent, mark)?;
    let mut buffer = vec![0; 65_535];
    let mut code = None;
    while let Ok(length) = socket.recv(&mut buffer) {
        let answer = Message::parse(false, &String::from_utf8_lossy(&buffer[..length]));
        code = answer.and_then(|answer| answer.code()).filter(|code| *code >= 200).or(code);
    }
    Ok(code)
}

fn socket() -> Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let own = socket.local_addr()?;
    Ok((socket, own))
}

#[test]
fn every_torture_message_has_its_fate() {
    stack::test(one_worker(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let domain = stack.site.domain("acme");
        let agent = Agent::new(stack.site.sip)?;
        let (mut calls, mut wrong) = (0, Vec::new());
        for (number, message) in messages::ALL.iter().enumerate() {
            let (socket, own) = socket()?;
            let own = own.to_string();
            let ends = Ends { domain: &domain, own: &own, transport: "UDP", more: "" };
            let id = format!("torture-{number}");
            let bytes = message.bytes(&ends, &id);
            let code = answer_to(stack, &agent, &bytes, &format!("alive-{number}"), &socket)?;
            if message.fate == Fate::Call && code.is_none_or(|code| code < 300) {
                calls += 1;
                gateway.await_request(&id, "INVITE").with_context(|| message.section)?;
                let invite = gateway.invites(std::slice::from_ref(&id))?;
                let uri = invite[0].first.split(' ').nth(1).context("a Request-URI")?;
                let whole = uri.ends_with(&format!("@{}", gateway.address)) && !uri.contains('?');
                ensure!(whole, "{}: {uri}", message.section);
                continue;
            }
            let passed = !gateway.invites(&[id])?.is_empty();
            let fate = code.map_or(Fate::Nothing, Fate::Answer);
            if passed || fate != message.fate {
                wrong
                    .push(format!("{}: {fate:?}, passed: {passed}, not {:?}", message.section, message.fate));
            }
        }
        let admitted = stack.site.status_number("admitted")?;
        ensure!(wrong.is_empty() && admitted == calls, "{admitted} of {calls} admitted; {wrong:#?}");
        Ok(())
    });
}

/// Whoever has not proved anything may send them as often as it likes, over UDP and TCP, with and without credentials.
#[test]
fn torture_messages_from_a_stranger_leave_nothing_behind() {
    stack::test(one_worker(), |stack| {
        let closed = Trunk::new("closed").source("192.0.2.1").credential("pbx", "correct horse");
        let trunk = closed.limits(1, "0.001").key("cpsBurst", "1").gateway("sip:127.0.0.1:9", 1);
        stack.site.apply(&[trunk])?;
        let domain = stack.site.domain("closed");
        let workers = stack.processes()?;
        let agent = Agent::new(stack.site.sip)?;
        let wrong = format!(
            "Proxy-Authorization: Digest username=\"pbx\", realm=\"{domain}\", nonce=\"AAAA\", uri=\"sip:x\", qop=auth, \
             nc=00000001, cnonce=\"c\", response=\"0123456789abcdef0123456789abcdef\"\r\n"
        );
        for round in 0..ROUNDS {
            for (number, message) in messages::ALL.iter().enumerate() {
                for (proof, more) in ["", &wrong].into_iter().enumerate() {
                    let mark = format!("{round}-{number}-{proof}");
                    let (socket, own) = socket()?;
                    let own = own.to_string();
                    let ends = Ends { domain: &domain, own: &own, transport: "UDP", more };
                    socket.send_to(&message.bytes(&ends, &mark), stack.site.sip)?;
                    let mut stream = TcpStream::connect(stack.site.sip)?;
                    let own = stream.local_addr()?.to_string();
                    let ends = Ends { domain: &domain, own: &own, transport: "TCP", more };
                    // The proxy may hang up as soon as it has seen enough, and does when it has seen all.
                    let _ = stream.write_all(&message.bytes(&ends, &format!("{mark}-tcp")));
                    let _ = stream.shutdown(Shutdown::Write);
                    stream.set_read_timeout(Some(wait::PATIENCE))?;
                    let ended = stream.read_to_end(&mut Vec::new());
                    let reset = |error: &Error| error.kind() == ErrorKind::ConnectionReset;
                    ensure!(ended.as_ref().err().is_none_or(reset), "{}: {ended:?}", message.section);
                }
                alive(&agent, &format!("alive-{round}-{number}"))?;
            }
        }
        ensure!(stack.site.status_number("admitted")? == 0 && stack.site.calls()? == 0);
        for number in ["underflows", "panics"] {
            ensure!(stack.site.status_number(number)? == 0, "{number}: {}", stack.site.status()?);
        }
        ensure!(stack.processes()? == workers, "a process has died");
        // Room for one call, one token in a thousand seconds: both are there, for whoever knows the password.
        let uri = format!("sip:15550100@{domain}");
        let good = agent.ask_as(&Request::new("INVITE", &uri, "good"), "pbx", "correct horse")?;
        ensure!(good.code() == Some(408) || good.code() == Some(503), "{good:?}");
        wait::until(
            "the call to be judged",
            || Ok((stack.site.status_number("admitted")? == 1).then_some(())),
        )
    });
}
