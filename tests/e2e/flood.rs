//! Honest callers beside a flood of strangers who bring whatever can be made up.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::bench::process;
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::made_up::{KINDS, one_of_each};
use e2e::raw::{Agent, Request};
use e2e::sip::Message;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{digest, rpc, wait};
use nix::unistd::Pid;

/// The pause between two goes of a flood.
const PACE: Duration = Duration::from_millis(10);

/// Where the flood comes from.
const FLOODING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// In the last third of a long flood no memory may be more, by so many MiB, than it was in the second.
const GROWTH_MIB: f64 = 2.0;
/// A flood of so many seconds is a long one.
const LONG_S: u32 = 30;

/// How many strangers at most in one go.
const BATCH: u64 = 1_000;

/// How long, and how many strangers in a second, if the machine gives as many: four seconds and 5,000, or as long as the environment says
/// and 20,000.
fn strength() -> Result<(u32, u32)> {
    match std::env::var("TRUNKLINE_FLOOD_SECONDS") {
        Ok(seconds) => Ok((seconds.parse().context("TRUNKLINE_FLOOD_SECONDS")?, 20_000)),
        Err(_) => Ok((4, 5_000)),
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
fn flood(proxy: SocketAddr, uris: &[String], used: &str, rate: u32, stop: &AtomicBool) -> Result<Flooded> {
    let socket = UdpSocket::bind((FLOODING, 0))?;
    socket.set_nonblocking(true)?;
    let own = socket.local_addr()?;
    let made_up = |uri: &String| one_of_each(uri.rsplit('@').next().unwrap_or_default(), uri, used);
    let brought: Vec<_> = uris.iter().map(|uri| (uri, made_up(uri))).collect();
    let mut flooded = Flooded::default();
    let (begin, mut tried) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_millis() * u128::from(rate) / 1_000;
        let due = u64::try_from(due)?.saturating_sub(tried).min(BATCH);
        tried += due;
        for _ in 0..due {
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

/// What Kamailio used meanwhile, once a second, in MiB.
#[derive(Debug, Default)]
struct Used {
    /// All that is resident: pages that were reserved at the start count from their first use on.
    resident: Vec<f64>,
    /// Its processes' own: heap and private pools.
    own: Vec<f64>,
    /// Of its shared memory, what is allocated.
    shared: Vec<f64>,
    /// Of all processors.
    processors: f64,
}

fn own_mib(kamailio: Pid) -> Result<f64> {
    let mut kib = 0.0;
    for pid in process::group(kamailio)? {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).context("no Pss_Anon")?;
        kib += line.trim().trim_end_matches(" kB").parse::<f64>()?;
    }
    Ok(kib / 1024.0)
}

/// Bytes of Kamailio's shared memory that are allocated.
fn shared_bytes(stack: &Stack) -> Result<u64> {
    let memory = rpc::call(&stack.site.rpc, "core.shmmem", &[])?;
    memory["used"].as_u64().with_context(|| format!("no `used` in {memory}"))
}

/// Looks at Kamailio until told to stop.
fn watch(stack: &Stack, stop: &AtomicBool) -> Result<Used> {
    let kamailio = stack.kamailio.as_ref().context("Kamailio is up")?.pid();
    let (begin, before) = (Instant::now(), process::processor_time(kamailio)?);
    let mut used = Used::default();
    while !stop.load(Ordering::Relaxed) {
        used.resident.push(process::memory_mib(kamailio)?);
        used.own.push(own_mib(kamailio)?);
        used.shared.push(shared_bytes(stack)? as f64 / f64::from(1 << 20));
        thread::sleep(Duration::from_secs(1));
    }
    let spent = process::processor_time(kamailio)? - before;
    used.processors = spent.as_secs_f64() / begin.elapsed().as_secs_f64();
    Ok(used)
}

/// The most of a series in its first, second and last third.
fn thirds(series: &[f64]) -> [f64; 3] {
    let ends = [0, 1, 2, 3].map(|part| part * series.len() / 3);
    let most = |from: usize, to: usize| series[from..to].iter().copied().fold(0.0, f64::max);
    [most(ends[0], ends[1]), most(ends[1], ends[2]), most(ends[2], ends[3])]
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
        let used_up = answered_wrong(&Agent::at(FLOODING, site.sip)?, &uris[1])?;
        let before = shared_bytes(stack)?;
        let transactions_before = transactions(stack)?;
        let (seconds, rate) = strength()?;
        let stop = AtomicBool::new(false);
        let (honest, proven, flooded, meanwhile) = thread::scope(|scope| -> Result<_> {
            let watching = scope.spawn(|| watch(stack, &stop));
            let flooding = scope.spawn(|| flood(site.sip, &uris, &used_up, rate, &stop));
            let honest = Plan::new("call", &site.domain("listed")).calls(20 * seconds, 20);
            let proven = Plan::new("password", &site.domain("asked")).calls(10 * seconds, 10);
            let honest = Sipp::start(stack.dir(), "honest", site.sip, &honest)?;
            let proven =
                Sipp::start(stack.dir(), "proven", site.sip, &proven.credential("pbx", "correct horse"))?;
            let done = honest.finish().and_then(|honest| Ok((honest, proven.finish()?)));
            stop.store(true, Ordering::Relaxed);
            let flooded = flooding.join().map_err(|_| anyhow::anyhow!("the flood broke off"))??;
            let used = watching.join().map_err(|_| anyhow::anyhow!("the watch broke off"))??;
            let (honest, proven) = done?;
            Ok((honest, proven, flooded, used))
        })?;
        for caller in [&honest, &proven] {
            let calls = caller.call_ids.len();
            let failed = (1..=calls).filter(|&n| caller.code(n) != 200);
            let failed: Vec<_> = failed.map(|n| format!("{n}: {}", caller.story(n))).collect();
            println!("{} of {calls} honest calls failed", failed.len());
            // One in a thousand may.
            ensure!(failed.len() * 1_000 <= calls, "of {calls} calls failed {failed:?}");
        }
        println!("{flooded:?} in {seconds} s: {} a second of {rate}", flooded.sent / u64::from(seconds));
        println!(
            "Kamailio used {:.2} processors; the most, in MiB, in each third of the time:",
            meanwhile.processors
        );
        let Used { resident, own, shared, .. } = &meanwhile;
        for (what, series) in [("resident", resident), ("its processes' own", own), ("shared", shared)] {
            println!("{what}: {:.1?}", thirds(series));
        }
        for series in [own, shared] {
            let [_, second, last] = thirds(series);
            // Short floods end before the first transactions do.
            ensure!(seconds < LONG_S || last - second <= GROWTH_MIB, "{series:.1?}");
        }
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
        wait::until("the memory to be as before", || {
            Ok((shared_bytes(stack)? < before + (1 << 20)).then_some(()))
        })
    });
}
