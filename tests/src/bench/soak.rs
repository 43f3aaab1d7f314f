//! A long run of calls beside a stream of changes: whether memory, descriptors or delays creep.
//!
//! It must never judge by the first minutes: caches fill then. Slopes are told over the second half of the run.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures;
use super::kinds::Kind;
use super::load::{self, Plan};
use super::process;
use super::proxy::{self, Proxy};
use crate::api::Api;
use crate::kamailio::Options;
use crate::receiver::Receiver;
use crate::rpc;
use crate::stack::Stack;
use crate::toml::Trunk;
use crate::trunkd::ROOM;
use crate::wait;

/// Calls per second.
const RATE: u32 = 100;
/// One look at everything after so many seconds of calls.
const STEP_S: u32 = 15;
/// Between two changes of the configuration.
const BETWEEN_CHANGES: Duration = Duration::from_millis(200);
/// Events of each complete call.
const EVENTS: usize = 3;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Seconds since the begin.
    pub at: f64,
    /// Memory of Kamailio and of trunkd, in MiB.
    pub memory: (f64, f64),
    /// Of Kamailio's shared pool what is taken, in MiB: pages that were touched once count as memory for ever, so this alone tells a leak.
    pub pool: f64,
    /// Open descriptors of Kamailio and of trunkd.
    pub descriptors: (usize, usize),
    /// INVITE to 180: median and 99th percentile, in milliseconds.
    pub ringing: (f64, f64),
}

impl Look {
    /// For the JSON file.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "atS": self.at, "kamailioMib": self.memory.0, "trunkdMib": self.memory.1,
            "kamailioDescriptors": self.descriptors.0, "trunkdDescriptors": self.descriptors.1,
            "kamailioPoolMib": self.pool, "ringingP50Ms": self.ringing.0, "ringingP99Ms": self.ringing.1,
        })
    }
}

/// Runs for `length` and hands each look to `seen` as it is taken.
///
/// # Errors
/// A call, a change or a delivery failed.
pub fn run(length: Duration, mut seen: impl FnMut(&Look)) -> Result<Vec<Look>> {
    let mut stack = Stack::prepare(Options::new()?)?;
    let (_gateway, address) = load::gateway(stack.dir())?;
    let receiver = Receiver::start("soak")?;
    let trunk = Trunk::new("address").limits(10_000, "10000").source("127.0.0.1");
    stack
        .site
        .write(&trunk.gateway(&format!("sip:{address}"), 1).webhook(&receiver.url(), receiver.secret()))?;
    stack.start_trunkd()?;
    // Keep-alive as it is shipped: dialog notes each call until its first one is due, and longer notes would look like a leak.
    let proxy = proxy::trunkline(&stack, &ROOM, None)?;
    let api = Api::of(&stack)?;
    let made = api.done("POST", "/v1/trunks?wait=applied", &json!({"name": "changed"}))?;
    let changed = format!("/v1/trunks/{}?wait=applied", made["trunkId"].as_str().context("trunkId")?);

    let begun = Instant::now();
    let (mut looks, mut changes) = (Vec::new(), 0_u32);
    while begun.elapsed() < length {
        let name = format!("soak-{}", looks.len());
        let ringing = calls(&stack, &proxy, &name, || {
            // Another one each time: what changes nothing is not published.
            changes += 1;
            let limit = f64::from(changes % 1000 + 1);
            api.done("PATCH", &changed, &json!({"cpsLimit": limit})).map(drop)
        })?;
        let all = EVENTS * (RATE * STEP_S) as usize;
        wait::until(&format!("{all} webhooks"), || Ok((receiver.count() >= all).then_some(())))?;
        ensure!(receiver.forget() == all, "an event came twice though nobody was killed");
        wait::until("all slots to be free", || Ok((stack.site.calls()? == 0).then_some(())))?;
        let trunkd = stack.trunkd.as_ref().context("trunkd")?.child.pid();
        let kamailio = proxy.child.pid();
        let look = Look {
            at: begun.elapsed().as_secs_f64(),
            memory: (process::memory_mib(kamailio)?, process::memory_mib(trunkd)?),
            pool: pool_mib(&stack)?,
            descriptors: (process::descriptors(kamailio)?, process::descriptors(trunkd)?),
            ringing,
        };
        seen(&look);
        looks.push(look);
    }
    Ok(looks)
}

fn pool_mib(stack: &Stack) -> Result<f64> {
    let stats = rpc::call(&stack.site.rpc, "core.shmmem", &[])?;
    Ok(stats["used"].as_f64().with_context(|| format!("core.shmmem: {stats}"))? / f64::from(1 << 20))
}

/// One step of calls with a change beside them; their delays.
fn calls(
    stack: &Stack,
    proxy: &Proxy,
    name: &str,
    mut change: impl FnMut() -> Result<()>,
) -> Result<(f64, f64)> {
    let plan = Plan {
        name: name.to_owned(),
        kind: Kind::TrunkAddress,
        proxy: proxy.sip,
        domain: stack.site.domain("address"),
        calls: RATE * STEP_S,
        rate: RATE,
        talk: Duration::ZERO,
    };
    let mut callers = load::start(stack.dir(), &plan)?;
    while callers.alive()? {
        change()?;
        // How many changes come is part of the load: here the clock itself is the condition.
        thread::sleep(BETWEEN_CHANGES);
    }
    let delays = load::finish(stack.dir(), &plan, callers)?;
    for ending in ["lines", "stat", "out"] {
        fs::remove_file(stack.dir().join(format!("{name}.{ending}")))?;
    }
    figures::middle_and_tail(&delays.ringing)
}

/// How much a value rises in an hour, by least squares over the second half; `None` for fewer than three looks there.
#[must_use]
pub fn slope_per_hour(looks: &[Look], of: impl Fn(&Look) -> f64) -> Option<f64> {
    let half = &looks[looks.len() / 2..];
    if half.len() < 3 {
        return None;
    }
    let count = half.len() as f64;
    let (at, value) =
        (half.iter().map(|look| look.at).sum::<f64>() / count, half.iter().map(&of).sum::<f64>() / count);
    let (mut above, mut below) = (0.0, 0.0);
    for look in half {
        above += (look.at - at) * (of(look) - value);
        below += (look.at - at).powi(2);
    }
    Some(3600.0 * above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_of_the_second_half() {
        let look = |number: u32| {
            let at = f64::from(number) * 36.0;
            // Fills up fast, then rises by two in an hour.
            let memory = if number < 10 { f64::from(number) * 50.0 } else { 500.0 + at / 1800.0 };
            Look { at, memory: (memory, 7.0), pool: 3.0, descriptors: (1, 1), ringing: (1.0, 2.0) }
        };
        let looks: Vec<Look> = (0..20).map(look).collect();
        assert!((slope_per_hour(&looks, |look| look.memory.0).unwrap() - 2.0).abs() < 1e-6);
        assert!(slope_per_hour(&looks, |look| look.memory.1).unwrap().abs() < 1e-9);
        assert_eq!(slope_per_hour(&looks[..4], |look| look.memory.0), None);
    }
}
