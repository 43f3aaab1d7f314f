//! Calls per second, measured on the wire: twice as many are offered as a limit allows, evenly and in bursts, to Trunkline and
//! to pipelimit, at the same time and by the same hand.
//!
//! It must never look inside a limiter: what passed is what the gateway saw.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::agent::{self, Attempt, Busy};
use super::proxy;
use super::windows::{self, Passed};
use super::world;
use crate::kamailio::Options;
use crate::stack::Stack;
use crate::toml::Trunk;
use crate::trunkd::ROOM;

/// Calls per second that trunks are limited to.
pub const LIMITS: [f64; 5] = [0.5, 2.0, 10.0, 100.0, 1000.0];

/// How calls are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One after another, at even distances; the trunk allows few at once, enough for the unevenness of two wires.
    Even,
    /// All calls of two seconds within a quarter of a second; the trunk allows those of one second at once.
    Bursts,
}

/// What came of one limit on one side.
#[derive(Clone, Debug)]
pub struct Row {
    /// Trunkline, otherwise pipelimit.
    pub ours: bool,
    /// The limit, in calls per second.
    pub cps: f64,
    /// Calls allowed at once.
    pub burst: u32,
    /// How they came.
    pub pattern: Pattern,
    /// Calls offered.
    pub offered: usize,
    /// Calls that passed.
    pub passed: usize,
    /// Calls whose answer was lost on the way.
    pub lost: usize,
    /// Calls that could have passed.
    pub entitled: f64,
    /// The most in any second.
    pub most: usize,
    /// How far the worst stretch exceeds cps·T + burst, in calls.
    pub excess: Option<f64>,
}

impl Row {
    /// For the JSON file.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "limiter": if self.ours { "trunkline" } else { "pipelimit" },
            "cps": self.cps, "burst": self.burst, "pattern": format!("{:?}", self.pattern).to_lowercase(),
            "offered": self.offered, "passed": self.passed, "lost": self.lost, "entitled": self.entitled,
            "mostInASecond": self.most, "excess": self.excess,
        })
    }
}

fn burst(pattern: Pattern, cps: f64) -> u32 {
    match pattern {
        Pattern::Even => (cps / 20.0).ceil().max(2.0) as u32,
        Pattern::Bursts => cps.ceil() as u32,
    }
}

fn id(pattern: Pattern, cps: f64) -> String {
    format!("{pattern:?}-{}", (cps * 10.0) as u32).to_lowercase()
}

/// When calls are due: twice the limit for `length`.
fn due(pattern: Pattern, cps: f64, length: Duration) -> Vec<Duration> {
    let count = (2.0 * cps * length.as_secs_f64()).round() as u32;
    let even = |number: u32| f64::from(number) / (2.0 * cps);
    let at = |number: u32| match pattern {
        Pattern::Even => even(number),
        Pattern::Bursts => (even(number) / 2.0).floor() * 2.0 + even(number) % 2.0 / 8.0,
    };
    (0..count).map(|number| Duration::from_secs_f64(at(number))).collect()
}

/// Offers everything and tells what passed.
///
/// # Errors
/// Something does not come up, or a call gets no answer.
pub fn measure(length: Duration) -> Result<Vec<Row>> {
    let mut stack = Stack::prepare(Options::new()?)?;
    let gateway = Busy::start()?;
    for pattern in [Pattern::Even, Pattern::Bursts] {
        for cps in LIMITS {
            let trunk = Trunk::new(&id(pattern, cps)).limits(100_000, &cps.to_string()).source("127.0.0.1");
            let trunk = trunk.key("cpsBurst", &burst(pattern, cps).to_string());
            // Busy is the caller's answer: no other gateway is tried.
            stack.site.write(&trunk.gateway(&format!("sip:{}", gateway.address), 1))?;
        }
    }
    stack.start_trunkd()?;
    let database = world::stock_database(&stack)?;
    let stock = proxy::stock(&stack, &database, 256)?;
    let ours = proxy::trunkline(&stack, &ROOM, Some(proxy::KEEPALIVE_S))?;

    let mut rows = Vec::new();
    for pattern in [Pattern::Even, Pattern::Bursts] {
        let (slow, fast) = LIMITS.split_at(LIMITS.len() - 1);
        let both = [(true, &ours), (false, &stock)];
        rows.extend(together(&stack, &gateway, pattern, &both, slow, length)?);
        // The greatest limit has the machine to itself, one side after the other. In bursts it would be a test of socket buffers.
        for side in both.into_iter().filter(|_| pattern == Pattern::Even) {
            rows.extend(together(&stack, &gateway, pattern, &[side], fast, length)?);
        }
    }
    rows.sort_by(|a, b| {
        (a.pattern as u8, a.cps, !a.ours).partial_cmp(&(b.pattern as u8, b.cps, !b.ours)).expect("numbers")
    });
    Ok(rows)
}

fn together(
    stack: &Stack,
    gateway: &Busy,
    pattern: Pattern,
    sides: &[(bool, &proxy::Proxy)],
    limits: &[f64],
    length: Duration,
) -> Result<Vec<Row>> {
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (ours, proxy) in sides {
            for &cps in limits {
                let (trunk, due) = (id(pattern, cps), due(pattern, cps, length));
                let uri = format!("sip:15550100@{}", stack.site.domain(&trunk));
                let name = format!("{trunk}-{}", if *ours { "ours" } else { "stock" });
                let run = move || agent::offer(proxy.sip, &uri, &name, &due, gateway);
                running.push((*ours, cps, scope.spawn(run)));
            }
        }
        let told = running.into_iter().map(|(ours, cps, thread)| {
            let attempts = thread.join().ok().context("a caller's thread")??;
            row(ours, pattern, cps, &attempts)
        });
        told.collect()
    })
}

fn row(ours: bool, pattern: Pattern, cps: f64, attempts: &[Attempt]) -> Result<Row> {
    let begun: Instant = attempts.first().context("no call was offered")?.sent;
    let mut passed = Vec::new();
    for attempt in attempts {
        let (code, arrived) = (attempt.code, attempt.arrived.is_some());
        ensure!(matches!(code, None | Some(486 | 503)), "a call was answered {code:?}");
        ensure!(
            code.is_none_or(|code| (code == 486) == arrived),
            "{code:?}, and seen at the gateway: {arrived}"
        );
        if let Some(arrived) = attempt.arrived {
            passed.push(Passed { sent: attempt.sent - begun, arrived: arrived - begun });
        }
    }
    let burst = burst(pattern, cps);
    // As they left, not as they should have.
    let sent: Vec<Duration> = attempts.iter().map(|attempt| attempt.sent - begun).collect();
    Ok(Row {
        ours,
        cps,
        burst,
        pattern,
        offered: attempts.len(),
        passed: passed.len(),
        lost: attempts.iter().filter(|attempt| attempt.code.is_none()).count(),
        entitled: entitled(&sent, cps, burst),
        most: windows::most_in_a_second(&passed),
        excess: windows::excess(&passed, cps, f64::from(burst)),
    })
}

/// What a perfect limiter would let through of calls that come at these moments: a bucket of `burst`, filled at `cps`.
fn entitled(due: &[Duration], cps: f64, burst: u32) -> f64 {
    let (mut level, mut last, mut passed) = (f64::from(burst), Duration::ZERO, 0.0);
    for at in due {
        level = (level + cps * (*at - last).as_secs_f64()).min(f64::from(burst));
        last = *at;
        // A call that is due exactly when the bucket holds one passes, whatever the last bit of a fraction says.
        if level >= 1.0 - 1e-6 {
            level -= 1.0;
            passed += 1.0;
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_limit_is_offered_and_half_of_it_is_due() {
        for pattern in [Pattern::Even, Pattern::Bursts] {
            for cps in LIMITS {
                let due = due(pattern, cps, Duration::from_secs(60));
                assert_eq!(due.len(), (cps * 120.0) as usize);
                assert!(due.is_sorted() && due.last().unwrap() < &Duration::from_secs(60));
            }
        }
        let even = due(Pattern::Even, 10.0, Duration::from_secs(60));
        assert_eq!(entitled(&even, 10.0, 2), 601.0);
        // Every two seconds a burst of forty, of which ten may pass at once.
        let bursts = due(Pattern::Bursts, 10.0, Duration::from_secs(60));
        assert_eq!(bursts.iter().filter(|at| **at < Duration::from_millis(251)).count(), 40);
        assert!((300.0..=360.0).contains(&entitled(&bursts, 10.0, 10)));
    }
}
