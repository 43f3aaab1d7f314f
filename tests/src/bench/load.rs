//! Callers and a gateway that cost as little as can be: sipp with one short line for each message, and what those lines tell of
//! delays.
//!
//! It must never take a run for good in which a call failed.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::kinds::Kind;
use super::world::{PASSWORD, USER};
use crate::child::Child;
use crate::{artifacts, ports, wait};

/// Delays of one run, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// INVITE to 100; the INVITE with the password, where there are two.
    pub trying: Vec<f64>,
    /// INVITE to 180.
    pub ringing: Vec<f64>,
}

/// Calls to be placed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Unique in the directory.
    pub name: String,
    /// Which scenario.
    pub kind: Kind,
    /// Where to.
    pub proxy: SocketAddr,
    /// The host of the Request-URI.
    pub domain: String,
    /// How many.
    pub calls: u32,
    /// Begun per second.
    pub rate: u32,
    /// How long each lasts.
    pub talk: Duration,
}

/// Starts a gateway that rings and answers, for all proxies and any number of calls.
///
/// # Errors
/// sipp does not come up.
pub fn gateway(dir: &Path) -> Result<(Child, SocketAddr)> {
    let address = ports::free()?;
    let scenario = artifacts::scenario_file("call", "uas")?;
    let mut child = sipp(dir, "gateway", &scenario, address, &[])?;
    wait::until("the gateway to listen", || {
        child.check()?;
        Ok(crate::gateway::listens(address)?.then_some(()))
    })?;
    Ok((child, address))
}

/// Starts the calls.
///
/// # Errors
/// sipp cannot be started.
pub fn start(dir: &Path, plan: &Plan) -> Result<Child> {
    let Plan { name, kind, proxy, domain, calls, rate, talk } = plan;
    let scenario = artifacts::scenario_file(if kind.is_digest() { "password" } else { "call" }, "uac")?;
    let mut more = vec![proxy.to_string()];
    let numbers = [
        ("-m", u128::from(*calls)),
        ("-l", u128::from(*calls)),
        ("-r", u128::from(*rate)),
        ("-d", talk.as_millis()),
    ];
    more.extend(numbers.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.to_string()]));
    let prefix = format!("{name}-{}-%u", std::process::id());
    let texts = [("-cid_str", prefix.as_str()), ("-s", "15550100"), ("-au", USER), ("-ap", PASSWORD)];
    more.extend(texts.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]));
    // One short line for each message: sipp's own stop watches know nothing below four milliseconds.
    more.extend(["-key", "domain", domain, "-trace_shortmsg", "-shortmessage_file"].map(str::to_owned));
    more.push(dir.join(format!("{name}.lines")).display().to_string());
    more.extend(["-trace_stat", "-fd", "1000", "-stf"].map(str::to_owned));
    more.push(dir.join(format!("{name}.stat")).display().to_string());
    sipp(dir, name, &scenario, ports::free()?, &more)
}

fn sipp(dir: &Path, name: &str, scenario: &Path, address: SocketAddr, more: &[String]) -> Result<Child> {
    let mut arguments = vec!["-sf".to_owned(), scenario.display().to_string()];
    arguments.extend([
        "-i".to_owned(),
        address.ip().to_string(),
        "-p".to_owned(),
        address.port().to_string(),
    ]);
    // -aa: the keep-alive's OPTIONS are answered whatever the call is at.
    arguments.extend(["-nostdin", "-aa", "-deadcall_wait", "0"].map(str::to_owned));
    arguments.extend(more.iter().cloned());
    Child::spawn(name, Path::new("sipp"), arguments, &dir.join(format!("{name}.out")))
}

/// Waits for the calls; all of them must have gone through.
///
/// # Errors
/// A call failed.
pub fn finish(dir: &Path, plan: &Plan, mut child: Child) -> Result<Delays> {
    let limit =
        Duration::from_secs(u64::from(plan.calls / plan.rate.max(1))) + plan.talk + 4 * wait::PATIENCE;
    wait::until_within(limit, &format!("the end of {}", plan.name), || Ok((!child.alive()?).then_some(())))?;
    let good = counted(dir, &plan.name, "SuccessfulCall(C)")?;
    ensure!(good == u64::from(plan.calls), "{}: {good} of {} calls went through", plan.name, plan.calls);
    let lines = dir.join(format!("{}.lines", plan.name));
    delays(&fs::read_to_string(&lines).with_context(|| format!("reading {}", lines.display()))?)
}

/// A running number of sipp, as it wrote it last.
///
/// # Errors
/// It has written none.
pub fn counted(dir: &Path, name: &str, column: &str) -> Result<u64> {
    let text = fs::read_to_string(dir.join(format!("{name}.stat")))
        .with_context(|| format!("what {name} counted"))?;
    let mut lines = text.lines();
    let at = lines.next().and_then(|head| head.split(';').position(|title| title == column));
    let at = at.with_context(|| format!("no column {column}"))?;
    let last = lines.next_back().and_then(|line| line.split(';').nth(at)).context("no line yet")?;
    last.trim().parse().with_context(|| format!("{column}: {last}"))
}

/// Reads lines of date, time, seconds, S(ent) or R(eceived), Call-ID, CSeq, first line; separated by tabs.
fn delays(text: &str) -> Result<Delays> {
    let mut delays = Delays::default();
    let mut sent: HashMap<(&str, &str), f64> = HashMap::new();
    let mut answered: HashSet<(&str, &str, &str)> = HashSet::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, _, seconds, way, call, cseq, first] = fields.as_slice() else { continue };
        if !cseq.ends_with(" INVITE") {
            continue;
        }
        let at: f64 = seconds.parse().with_context(|| format!("a time: {line}"))?;
        if *way == "S" && first.starts_with("INVITE ") {
            // A repeated INVITE does not start the watch again.
            sent.entry((call, cseq)).or_insert(at);
        }
        let Some(begun) = sent.get(&(*call, *cseq)).filter(|_| *way == "R") else { continue };
        let Some(code) = first.strip_prefix("SIP/2.0 ").and_then(|rest| rest.split(' ').next()) else {
            continue;
        };
        let list = match code {
            "100" => &mut delays.trying,
            "180" => &mut delays.ringing,
            _ => continue,
        };
        if answered.insert((call, cseq, code)) {
            list.push((at - begun) * 1e3);
        }
    }
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_told_apart() {
        let line = |ms: f64, way: &str, cseq: &str, first: &str| {
            format!("2026-01-01\t00:00:00\t{:.6}\t{way}\tcall-1\tCSeq:{cseq}\t{first}\n", 1e6 + ms / 1e3)
        };
        let text = [
            line(0.0, "S", "1 INVITE", "INVITE sip:a@b SIP/2.0"),
            line(1.0, "R", "1 INVITE", "SIP/2.0 407 Proxy Authentication Required"),
            line(2.0, "S", "2 INVITE", "INVITE sip:a@b SIP/2.0"),
            line(2.25, "R", "2 INVITE", "SIP/2.0 100 Trying"),
            line(3.5, "R", "2 INVITE", "SIP/2.0 180 Ringing"),
            line(3.75, "R", "2 INVITE", "SIP/2.0 180 Ringing"),
            line(9.0, "R", "3 BYE", "SIP/2.0 200 OK"),
        ];
        let delays = delays(&text.concat()).unwrap();
        let near = |values: &[f64], wanted: f64| values.len() == 1 && (values[0] - wanted).abs() < 1e-3;
        assert!(near(&delays.trying, 0.25) && near(&delays.ringing, 1.5), "{delays:?}");
    }
}
