//! How many calls a limit lets through in any stretch of time, and how many it may.
//!
//! It must never accuse a limiter of what the network did: a call was admitted somewhere between the caller's wire and the
//! gateway's, so a call counts for a stretch only when it was sent and had arrived within it. Calls overtake each other between the
//! workers of a proxy: the one that was sent last need not be the one that arrived last.

use std::time::Duration;

/// A call that was let through: sent by the caller, arrived at the gateway; counted from any common moment.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// At the caller.
    pub sent: Duration,
    /// At the gateway.
    pub arrived: Duration,
}

const SECOND: Duration = Duration::from_secs(1);

/// By how many calls the worst stretch of at least a second exceeds `cps`·T + `burst`; up to 0 the limit was kept. `None` when no
/// stretch is that long. The calls are ordered by when they were sent.
#[must_use]
pub fn excess(passed: &[Passed], cps: f64, burst: f64) -> Option<f64> {
    let mut begins = Begins::new(passed.len());
    let mut worst: Option<f64> = None;
    let mut next = 0;
    for last in by_arrival(passed) {
        begins.arrived(last);
        let end = passed[last].arrived;
        while let Some(first) = passed.get(next).filter(|first| first.sent + SECOND <= end) {
            begins.open(next, cps * first.sent.as_secs_f64());
            next += 1;
        }
        let over = begins.best() - cps * end.as_secs_f64() - burst;
        if over > f64::NEG_INFINITY {
            worst = Some(worst.map_or(over, |worst| worst.max(over)));
        }
    }
    worst
}

/// The most calls in any second that surely lay in it.
#[must_use]
pub fn most_in_a_second(passed: &[Passed]) -> usize {
    let mut arrived = vec![false; passed.len()];
    let (mut first, mut within, mut most) = (0, 0_usize, 0);
    for last in by_arrival(passed) {
        let end = passed[last].arrived;
        while passed.get(first).is_some_and(|begin| begin.sent + SECOND < end) {
            within -= usize::from(arrived[first]);
            first += 1;
        }
        arrived[last] = true;
        within += usize::from(last >= first);
        most = most.max(within);
    }
    most
}

/// The numbers of the calls, first arrived first.
fn by_arrival(passed: &[Passed]) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..passed.len()).collect();
    numbers.sort_by_key(|&number| passed[number].arrived);
    numbers
}

/// Where a stretch may begin: at the sending of any call. For each, its worth (`cps` times when it begins) and the calls sent since
/// then that have arrived; the greatest sum of both is at the root of a tree over the calls as they were sent.
struct Begins {
    leaves: usize,
    /// Of each node: calls arrived below it, and the greatest sum among the beginnings below it.
    nodes: Vec<(f64, f64)>,
}

impl Begins {
    fn new(calls: usize) -> Begins {
        let leaves = calls.next_power_of_two();
        Begins { leaves, nodes: vec![(0.0, f64::NEG_INFINITY); 2 * leaves] }
    }

    /// A call has arrived: it counts for every stretch that begins with it or before it.
    fn arrived(&mut self, call: usize) {
        let (arrived, best) = self.nodes[self.leaves + call];
        self.set(call, (arrived + 1.0, best + 1.0));
    }

    /// A stretch may begin with this call now.
    fn open(&mut self, call: usize, worth: f64) {
        let (arrived, _) = self.nodes[self.leaves + call];
        self.set(call, (arrived, worth + arrived));
    }

    fn best(&self) -> f64 {
        self.nodes[1].1
    }

    fn set(&mut self, call: usize, leaf: (f64, f64)) {
        let mut node = self.leaves + call;
        self.nodes[node] = leaf;
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            self.nodes[node] = (left.0 + right.0, (left.1 + right.0).max(right.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(times_ms: &[u64]) -> Vec<Passed> {
        let passed = |&ms| Passed { sent: Duration::from_millis(ms), arrived: Duration::from_millis(ms + 1) };
        times_ms.iter().map(passed).collect()
    }

    /// The definition itself: over every beginning and every end, the calls that were sent and had arrived in between.
    fn by_definition(passed: &[Passed], cps: f64, burst: f64) -> (f64, usize) {
        let (mut worst, mut most) = (f64::NEG_INFINITY, 0);
        for Passed { sent: begin, .. } in passed {
            for Passed { arrived: end, .. } in passed {
                let within = passed.iter().filter(|call| call.sent >= *begin && call.arrived <= *end).count();
                let length = end.saturating_sub(*begin);
                if length >= SECOND {
                    worst = worst.max(within as f64 - cps * length.as_secs_f64() - burst);
                }
                if length <= SECOND {
                    most = most.max(within);
                }
            }
        }
        (worst, most)
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
    fn a_call_that_was_overtaken_is_no_call_too_many() {
        // Two a second, one at once. The call of 1000 waits in a worker and is let through at 1500; the one of 1001 was before it.
        let ms = Duration::from_millis;
        let passed: Vec<Passed> = [(0, 1), (500, 501), (1_000, 1_501), (1_001, 1_002)]
            .map(|(sent, arrived)| Passed { sent: ms(sent), arrived: ms(arrived) })
            .into();
        assert!(excess(&passed, 2.0, 1.0).unwrap() <= 0.0);
        assert_eq!(most_in_a_second(&passed), 2);
    }

    #[test]
    fn the_quick_way_agrees_with_the_definition() {
        let mut state: u64 = 7;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for round in 0..50 {
            // From no overtaking at all to calls that take longer than a second.
            let slowest = 1 + round * 40;
            let mut passed: Vec<Passed> = (0..60)
                .map(|_| {
                    let sent = Duration::from_millis(random(10_000));
                    Passed { sent, arrived: sent + Duration::from_millis(1 + random(slowest)) }
                })
                .collect();
            passed.sort_by_key(|call| call.sent);
            let (worst, most) = by_definition(&passed, 5.0, 3.0);
            let quick = excess(&passed, 5.0, 3.0).unwrap();
            assert!((quick - worst).abs() < 1e-6, "{quick} is not {worst}");
            assert_eq!(most_in_a_second(&passed), most);
        }
    }
}
