//! How many calls a limit lets through in any stretch of time, and how many it may.
//!
//! It must never accuse a limiter of what the network did: a call was admitted somewhere between the caller's wire and the
//! gateway's, so a stretch reaches from the first call's sending to the last call's arrival.

use std::time::Duration;

/// A call that was let through: sent by the caller, arrived at the gateway; counted from any common moment.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// At the caller.
    pub sent: Duration,
    /// At the gateway.
    pub arrived: Duration,
}

/// By how many calls the worst stretch of at least a second exceeds `cps`·T + `burst`; up to 0 the limit was kept. `None` when fewer
/// calls than two passed. The calls are ordered by when they were sent.
#[must_use]
pub fn excess(passed: &[Passed], cps: f64, burst: f64) -> Option<f64> {
    const LEAST: Duration = Duration::from_secs(1);
    let mut worst: Option<f64> = None;
    // cps·sent − i is greatest for the first call of the worst stretch that may begin up to here.
    let (mut best_begin, mut next) = (f64::NEG_INFINITY, 0);
    for (last, call) in passed.iter().enumerate() {
        while let Some(first) =
            passed.get(next).filter(|first| next <= last && first.sent + LEAST <= call.arrived)
        {
            best_begin = best_begin.max(cps * first.sent.as_secs_f64() - next as f64);
            next += 1;
        }
        let over = best_begin + (last as f64 + 1.0) - cps * call.arrived.as_secs_f64() - burst;
        if over > f64::NEG_INFINITY {
            worst = Some(worst.map_or(over, |worst| worst.max(over)));
        }
    }
    worst
}

/// The most calls in any second that surely lay in it: first sent to last arrived.
#[must_use]
pub fn most_in_a_second(passed: &[Passed]) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, call) in passed.iter().enumerate() {
        while passed
            .get(first)
            .is_some_and(|begin| first < last && begin.sent + Duration::from_secs(1) < call.arrived)
        {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(times_ms: &[u64]) -> Vec<Passed> {
        let passed = |&ms| Passed { sent: Duration::from_millis(ms), arrived: Duration::from_millis(ms + 1) };
        times_ms.iter().map(passed).collect()
    }

    /// The definition itself, over all pairs.
    fn by_definition(passed: &[Passed], cps: f64, burst: f64) -> Option<f64> {
        let mut worst: Option<f64> = None;
        for (i, first) in passed.iter().enumerate() {
            for (j, last) in passed.iter().enumerate().skip(i) {
                let length = last.arrived.saturating_sub(first.sent).as_secs_f64();
                if length >= 1.0 {
                    let over = (j - i + 1) as f64 - cps * length - burst;
                    worst = Some(worst.map_or(over, |worst| worst.max(over)));
                }
            }
        }
        worst
    }

    #[test]
    fn one_call_too_many_is_seen() {
        // Two a second, one at once: 0, 500, 1000, … keeps it, and one more in between does not.
        let kept: Vec<u64> = (0..20).map(|n| n * 500).collect();
        assert!(excess(&at(&kept), 2.0, 1.0).unwrap() <= 0.0);
        let mut broken = kept;
        broken.insert(11, 5_250);
        let over = excess(&at(&broken), 2.0, 1.0).unwrap();
        assert!((0.9..=1.0).contains(&over), "{over}");
        assert_eq!(most_in_a_second(&at(&broken)), 3);
    }

    #[test]
    fn the_quick_way_agrees_with_the_definition() {
        let mut state: u64 = 7;
        for _ in 0..50 {
            let mut times: Vec<u64> = (0..60)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 33) % 10_000
                })
                .collect();
            times.sort_unstable();
            let passed = at(&times);
            let (quick, slow) =
                (excess(&passed, 5.0, 3.0).unwrap(), by_definition(&passed, 5.0, 3.0).unwrap());
            assert!((quick - slow).abs() < 1e-6, "{quick} is not {slow}");
        }
    }
}
