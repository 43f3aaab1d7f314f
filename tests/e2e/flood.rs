//! Honest callers beside a flood of strangers who bring whatever can be made up.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::made_up::{KINDS, one_of_each};
use e2e::raw::{Agent, Request};
use e2e::sip::Message;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{digest, rpc, wait};

/// The pause between two goes of a flood.
const PACE: Duration = Duration::from_millis(10);

/// Where the flood comes from.
const FLOODING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

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

/// Sends INVITEs to the URIs in turn, from an address of its own, until told to stop, with every kind of credentials that
/// prove nothing.
fn flood(proxy: SocketAddr, uris: &[String], used: &str, batch: u32, stop: &AtomicBool) -> Result<Flooded> {
    let socket = UdpSocket::bind((FLOODING, 0))?;
    socket.set_nonblocking(true)?;
    let own = socket.local_addr()?;
    let made_up = |uri: &String| one_of_each(uri.rsplit('@').next().unwrap_or_default(), uri, used);
    let brought: Vec<_> = uris.iter().map(|uri| (uri, made_up(uri))).collect();
    let mut flooded = Flooded::default();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..batch {
            let number = flooded.sent;
            let turn = usize::try_from(number)?;
            let (uri, kinds) = &brought[turn % brought.len()];
            let (_, credentials) = &kinds[turn / brought.len() % KINDS];
            let line = |header: &String| format!("Proxy-Authorization: {header}\r\n");
            let credentials = credentials.as_ref().map(line).unwrap_or_default();
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

/// Transactions that tm has made since Kamailio's start.
fn transactions(stack: &Stack) -> Result<u64> {
    let stats = rpc::call(&stack.site.rpc, "tm.stats", &[])?;
    stats["total"].as_u64().with_context(|| format!("no `total` in {stats}"))
}

/// A header that answers a challenge of ours, with a wrong password, and was sent.
fn answered_wrong(agent: &Agent, uri: &str) -> Result<String> {
    let first = Request::new("INVITE", uri, &format!("used-{}", agent.address.port()));
    let challenged = agent.ask(&first)?;
    let challenge = challenged.header("proxy-authenticate").context("no challenge")?;
    let header = digest::answer(challenge, "pbx", "wrong horse", "INVITE", uri)?;
    let answer = agent.ask(&Request { cseq: 2, ..first }.header("Proxy-Authorization", &header))?;
    ensure!(answer.code() == Some(407), "{answer:?}");
    Ok(header)
}

/// What an answer tells.
fn told(answer: &Message) -> (String, bool, String) {
    let challenge = answer.header("proxy-authenticate").unwrap_or_default();
    let realm = digest::parameter(challenge, "realm").unwrap_or_default();
    (answer.first.clone(), challenge.contains("stale=true"), realm.to_owned())
}

#[test]
fn what_is_made_up_is_told_the_same_in_a_crowd_without_a_transaction() {
    let few = |options: Options| options.define("STRANGERS_PER_S=2");
    stack::test(Options::new().map(few), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let asked = Trunk::new("asked").key("authMode", "\"password\"").credential("pbx", "correct horse");
        stack.site.apply(&[asked.gateway(&gateway.uri(), 1)])?;
        let domain = stack.site.domain("asked");
        let uri = format!("sip:15550100@{domain}");
        let used = answered_wrong(&Agent::at(Ipv4Addr::new(127, 0, 0, 70), stack.site.sip)?, &uri)?;
        let ask = |agent: &Agent, round: &str, number: usize, header: &Option<String>| {
            let request = Request::new("INVITE", &uri, &format!("{round}-{number}"));
            agent.ask(&match header {
                Some(header) => request.header("Proxy-Authorization", header),
                None => request,
            })
        };
        // With care: each from an address of its own.
        let mut careful = Vec::new();
        for (number, (_, header)) in one_of_each(&domain, &uri, &used).iter().enumerate() {
            let home = Ipv4Addr::new(127, 0, 0, 71 + u8::try_from(number)?);
            careful.push(told(&ask(&Agent::at(home, stack.site.sip)?, "careful", number, header)?));
        }
        let crowd = Agent::at(FLOODING, stack.site.sip)?;
        for number in 0..5 {
            ask(&crowd, "crowd", number, &None)?;
        }
        let before = transactions(stack)?;
        for (number, (kind, header)) in one_of_each(&domain, &uri, &used).iter().enumerate() {
            let here = told(&ask(&crowd, "same", number, header)?);
            ensure!(here == careful[number], "{kind}: {here:?}, not {:?}", careful[number]);
        }
        let made = transactions(stack)? - before;
        ensure!(made == 0, "{made} transactions");
        ensure!(careful.iter().filter(|(_, stale, _)| *stale).count() == 2, "{careful:?}");
        Ok(())
    });
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
        let used_up = answered_wrong(&Agent::at(FLOODING, site.sip)?, &uris[1])?;
        let before = used()?;
        let transactions_before = transactions(stack)?;
        let (seconds, batch) = strength()?;
        let stop = AtomicBool::new(false);
        let (honest, proven, flooded) = thread::scope(|scope| -> Result<_> {
            let flooding = scope.spawn(|| flood(site.sip, &uris, &used_up, batch, &stop));
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
        // An honest call makes two transactions, one with a password three; strangers those that are answered with care.
        let made = transactions(stack)? - transactions_before;
        println!("{made} transactions");
        let most = u64::from(20 * seconds * 2 + 10 * seconds * 3 + 100 + 50 * (seconds + 10));
        ensure!(made <= most, "{made} transactions, not {most}: {flooded:?}");
        // Transactions and dialogs linger for some seconds; nothing else may.
        wait::until("the memory to be as before", || Ok((used()? < before + (1 << 20)).then_some(())))
    });
}
