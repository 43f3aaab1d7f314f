//! Honest callers beside a flood of strangers, and a node that has more to read than it can.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::sipp::{Plan, Sipp};
use e2e::stack;
use e2e::toml::Trunk;
use e2e::{rpc, sip, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The pause between two goes of a flood.
const PACE: Duration = Duration::from_millis(10);

/// How long, and how many strangers in one go: four seconds at some 5,000 a second, or as long as the environment says at
/// some 20,000.
fn strength() -> Result<(u32, u32)> {
    match std::env::var("TRUNKLINE_FLOOD_SECONDS") {
        Ok(seconds) => Ok((seconds.parse().context("TRUNKLINE_FLOOD_SECONDS")?, 200)),
        Err(_) => Ok((4, 50)),
    }
}

/// What the flood came to.
#[derive(Debug, Default)]
struct Flooded {
    sent: u64,
    answered: u64,
}

/// Sends INVITEs to the URIs in turn, from an address of its own, until told to stop. Every other one brings credentials that
/// nobody was asked for.
fn flood(proxy: SocketAddr, uris: &[String], batch: u32, stop: &AtomicBool) -> Result<Flooded> {
    let socket = UdpSocket::bind("127.0.0.66:0")?;
    socket.set_nonblocking(true)?;
    let own = socket.local_addr()?;
    let mut flooded = Flooded::default();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..batch {
            let number = flooded.sent;
            let uri = &uris[usize::try_from(number)? % uris.len()];
            let realm = uri.rsplit('@').next().unwrap_or_default();
            let credentials = if (number / 4).is_multiple_of(2) {
                format!(
                    "Proxy-Authorization: Digest username=\"pbx\", realm=\"{realm}\", nonce=\"made-up-{number}\", \
                     uri=\"{uri}\", response=\"{number:032x}\", qop=auth, nc=00000001, cnonce=\"c\"\r\n"
                )
            } else {
                String::new()
            };
            let text = format!(
                "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKflood{number};rport\r\n\
                 From: <sip:x@{own}>;tag=f{number}\r\nTo: <{uri}>\r\nCall-ID: flood-{number}\r\nCSeq: 1 INVITE\r\n\
                 Contact: <sip:x@{own}>\r\nMax-Forwards: 70\r\n{credentials}Content-Length: 0\r\n\r\n"
            );
            // A full buffer loses a stranger's message; that is no loss.
            if socket.send_to(text.as_bytes(), proxy).is_ok() {
                flooded.sent += 1;
            }
        }
        let mut buffer = [0; 65_535];
        while socket.recv(&mut buffer).is_ok() {
            flooded.answered += 1;
        }
        thread::sleep(PACE);
    }
    Ok(flooded)
}

#[test]
fn a_flood_of_strangers_takes_no_call_from_anybody_else() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let listed = Trunk::new("listed").source("127.0.0.1").gateway(&gateway.uri(), 1);
        let asked = Trunk::new("asked").key("authMode", "\"password\"").credential("pbx", "correct horse");
        stack.site.apply(&[listed, asked.gateway(&gateway.uri(), 1)])?;
        let site = &stack.site;
        let uri = |trunk: &str| format!("sip:15550100@{}", site.domain(trunk));
        let uris = [uri("nobody-here"), uri("asked"), uri("listed")];
        let used = || -> Result<u64> {
            let memory = rpc::call(&site.rpc, "core.shmmem", &[])?;
            memory["used"].as_u64().with_context(|| format!("no `used` in {memory}"))
        };
        let before = used()?;
        let (seconds, batch) = strength()?;
        let stop = AtomicBool::new(false);
        let (honest, proven, flooded) = thread::scope(|scope| -> Result<_> {
            let flooding = scope.spawn(|| flood(site.sip, &uris, batch, &stop));
            let honest = Plan::new("call", &site.domain("listed")).calls(20 * seconds, 20);
            let proven = Plan::new("password", &site.domain("asked")).calls(10 * seconds, 10);
            let honest = Sipp::start(stack.dir(), "honest", site.sip, &honest)?;
            let proven =
                Sipp::start(stack.dir(), "proven", site.sip, &proven.credential("pbx", "correct horse"))?;
            let done = honest.finish().and_then(|honest| Ok((honest, proven.finish()?)));
            stop.store(true, Ordering::Relaxed);
            let flooded = flooding.join().map_err(|_| anyhow::anyhow!("the flood broke off"))??;
            let (honest, proven) = done?;
            Ok((honest, proven, flooded))
        })?;
        for caller in [&honest, &proven] {
            let calls = caller.call_ids.len();
            let failed: Vec<_> = (1..=calls).filter(|&n| caller.code(n) != 200).collect();
            println!("{} of {calls} honest calls failed", failed.len());
            // One in a thousand may.
            ensure!(failed.len() * 1_000 <= calls, "calls {failed:?} of {calls} failed");
        }
        println!("{flooded:?} in {seconds} s");
        ensure!(flooded.sent > 5_000 && flooded.answered > 0, "{flooded:?}");
        ensure!(flooded.answered < flooded.sent / 2, "most of a flood is not answered: {flooded:?}");
        let admitted = site.status_number("admitted")?;
        ensure!(admitted <= u64::from(30 * seconds), "{admitted} admitted");
        // Transactions and dialogs linger for some seconds; nothing else may.
        wait::until("the memory to be as before", || Ok((used()? < before + (1 << 20)).then_some(())))
    });
}

/// Fills the receive buffer while nobody reads it: stopped workers are what an overloaded processor is to the kernel.
fn overload(stack: &stack::Stack) -> Result<()> {
    let list = rpc::call(&stack.site.rpc, "core.psx", &[])?;
    let processes = list.as_array().cloned().unwrap_or_default();
    let udp = |process: &&Value| process["DSC"].as_str().is_some_and(|what| what.contains("udp receiver"));
    let pids: Vec<Pid> = processes
        .iter()
        .filter(udp)
        .filter_map(|process| Some(Pid::from_raw(i32::try_from(process["PID"].as_i64()?).ok()?)))
        .collect();
    ensure!(!pids.is_empty(), "no receiver in {list}");
    let socket = UdpSocket::bind("127.0.0.66:0")?;
    pids.iter().try_for_each(|&pid| kill(pid, Signal::SIGSTOP))?;
    let noticed = wait::until("the backlog to be noticed", || {
        for _ in 0..100 {
            socket.send_to(&[b'x'; 1_000], stack.site.sip)?;
        }
        Ok((stack.site.status_number("backlog_percent")? >= 75).then_some(()))
    });
    pids.iter().try_for_each(|&pid| kill(pid, Signal::SIGCONT))?;
    noticed
}

#[test]
fn an_overloaded_node_begins_no_call_and_ends_those_that_are_up() {
    stack::test(Options::new().map(|options| options.define("LOG_LEVEL=-1")), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let domain = stack.site.domain("acme");
        let mut up = Sipp::start(stack.dir(), "up", stack.site.sip, &Plan::new("hold", &domain))?;
        up.await_talking(1)?;
        overload(stack)?;
        let plan = Plan::new("call", &domain);
        let refused = Sipp::start(stack.dir(), "refused", stack.site.sip, &plan)?.finish()?;
        ensure!(refused.code(1) == 503, "{}", refused.story(1));
        let reason = sip::reason_text(refused.answer(1));
        ensure!(reason.starts_with("node_overloaded: ") && reason.ends_with(" of 75"), "{reason}");
        ensure!(refused.answer(1).and_then(|answer| answer.header("retry-after")) == Some("5"));
        up.nudge(1)?;
        ensure!(up.finish()?.story(1) == "180 200, BYE 200");
        wait::until("the backlog to be forgotten", || {
            Ok((stack.site.status_number("backlog_percent")? == 0).then_some(()))
        })?;
        let after = Sipp::start(stack.dir(), "after", stack.site.sip, &plan)?.finish()?;
        ensure!(after.story(1) == "180 200, BYE 200", "{}", after.story(1));
        Ok(())
    });
}
