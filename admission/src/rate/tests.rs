//! GCRA windows against a list of what was granted, tokens given back, debts under a new limit.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_burst_passes_at_once_and_then_one_call_each_interval() {
    let word = AtomicU64::new(0);
    let word = RateWord(&word);
    let rate = Rate::per_second(2.0, Some(3)).unwrap();
    let start = 100 * SECOND;
    for _ in 0..3 {
        let _ = word.take(rate, start).unwrap();
    }
    assert_eq!(word.take(rate, start), Err(Exceeded { wait_ns: SECOND / 2, count: 3 }));
    assert_eq!(word.take(rate, start + SECOND / 2 - 1), Err(Exceeded { wait_ns: 1, count: 3 }));
    let _ = word.take(rate, start + SECOND / 2).unwrap();
    assert!(word.take(rate, start + SECOND / 2).is_err());
}

#[test]
fn zero_admits_nothing_and_a_rate_has_bounds() {
    let word = AtomicU64::new(0);
    let none = Rate::per_second(0.0, None).unwrap();
    assert_eq!(RateWord(&word).take(none, SECOND), Err(Exceeded { wait_ns: u64::MAX, count: 0 }));
    for bad in [-1.0, 0.0001, 100_001.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Rate::per_second(bad, None), Err(RateError::Cps), "{bad}");
    }
    assert_eq!(Rate::per_second(1.0, Some(0)), Err(RateError::Burst));
    assert_eq!(Rate::per_second(0.5, None).unwrap().burst(), 1);
    assert_eq!(Rate::per_second(2.5, None).unwrap().burst(), 3);
}

/// Forty lines that cannot be wrong: a bucket of exact fractions of a call, drained by the clock.
struct Model {
    level: u128, // in interval_ns * SCALE
    last: u64,
}

impl Model {
    fn take(&mut self, rate: Rate, now: u64) -> bool {
        self.level = self.level.saturating_sub(u128::from(now - self.last));
        self.last = now;
        let full = u128::from(rate.interval_ns()) * u128::from(rate.burst());
        let fits = self.level + u128::from(rate.interval_ns()) <= full;
        if fits {
            self.level += u128::from(rate.interval_ns());
        }
        fits
    }
}

#[test]
fn a_debt_is_capped_at_a_full_bucket_and_a_smaller_one_stays() {
    let rate = Rate::per_second(10.0, Some(5)).unwrap();
    for (debt, left) in [(0, 0), (SECOND / 4, SECOND / 4), (SECOND / 2, SECOND / 2), (9 * SECOND, SECOND / 2)]
    {
        let word = AtomicU64::new(100 * SECOND + debt);
        RateWord(&word).cap(rate, || 100 * SECOND);
        assert_eq!(word.load(Ordering::Relaxed), 100 * SECOND + left);
    }
    let word = AtomicU64::new(u64::MAX);
    RateWord(&word).cap(Rate::NONE, || 0);
    assert_eq!(word.load(Ordering::Relaxed), u64::MAX, "what admits nothing has no bucket");
}

#[test]
fn a_call_that_is_forgiven_leaves_room_for_one_and_never_for_more_than_a_burst() {
    let rate = Rate::per_second(2.0, Some(2)).unwrap();
    let cell = AtomicU64::new(0);
    let word = RateWord(&cell);
    let start = 100 * SECOND;
    word.forgive(rate, start);
    for _ in 0..2 {
        let _ = word.take(rate, start).unwrap();
    }
    assert!(word.take(rate, start).is_err());
    word.forgive(rate, start);
    let _ = word.take(rate, start).unwrap();
    for _ in 0..9 {
        word.forgive(rate, start);
    }
    let taken = (0..9).filter(|_| word.take(rate, start).is_ok()).count();
    assert_eq!(taken, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_word_agrees_with_a_leaky_bucket_and_no_window_is_broken(
        cps in 0.05f64..500.0, burst in 1u32..20, gaps in prop::collection::vec(0u64..400_000_000, 1..120)
    ) {
        let rate = Rate::per_second(cps, Some(burst)).unwrap();
        let cell = AtomicU64::new(0);
        let word = RateWord(&cell);
        let mut model = Model { level: 0, last: SECOND };
        let mut now = SECOND;
        let mut admitted = Vec::new();
        for gap in gaps {
            now += gap;
            let taken = word.take(rate, now);
            prop_assert_eq!(taken.is_ok(), model.take(rate, now));
            match taken {
                Ok(_) => admitted.push(now),
                // The wait is true: one nanosecond less is refused, exactly that long is admitted.
                Err(exceeded) => {
                    prop_assert!(word.peek(rate, now + exceeded.wait_ns - 1).is_err());
                    prop_assert!(word.peek(rate, now + exceeded.wait_ns).is_ok());
                }
            }
        }
        for (i, &from) in admitted.iter().enumerate() {
            for (j, &to) in admitted.iter().enumerate().skip(i) {
                let window = to - from;
                let bound = window / rate.interval_ns() + u64::from(burst);
                prop_assert!((j - i + 1) as u64 <= bound, "{} calls in {window} ns", j - i + 1);
            }
        }
    }

    #[test]
    fn tokens_given_back_in_any_order_break_no_window(
        burst in 1u32..5, steps in prop::collection::vec((0u64..25, 0usize..4, any::<bool>()), 1..60)
    ) {
        let rate = Rate { interval_ns: 10, burst };
        let cell = AtomicU64::new(0);
        let (mut now, mut kept, mut pending) = (SECOND, Vec::new(), Vec::new());
        for (gap, which, back) in steps {
            now += gap;
            match (pending.len().checked_sub(1), back) {
                (Some(last), true) => RateWord(&cell).give_back(pending.remove(which.min(last))),
                _ => if let Ok(token) = RateWord(&cell).take(rate, now) {
                    if which == 0 { kept.push(now) } else { pending.push(token) }
                },
            }
        }
        for (i, &from) in kept.iter().enumerate() {
            for (j, &to) in kept.iter().enumerate().skip(i) {
                prop_assert!((j - i + 1) as u64 <= (to - from) / 10 + u64::from(burst), "{kept:?}");
            }
        }
    }

    #[test]
    fn a_token_given_back_at_once_leaves_the_word_as_it_was(cps in 0.5f64..50.0, before in 0u32..9) {
        let rate = Rate::per_second(cps, Some(10)).unwrap();
        let cell = AtomicU64::new(0);
        for _ in 0..before {
            let _ = RateWord(&cell).take(rate, SECOND).unwrap();
        }
        let word = cell.load(Ordering::Relaxed);
        let token = RateWord(&cell).take(rate, SECOND).unwrap();
        RateWord(&cell).give_back(token);
        prop_assert_eq!(cell.load(Ordering::Relaxed), word);
    }

    #[test]
    fn a_new_rate_keeps_the_debt_in_calls(
        old in 0.1f64..1000.0, new in 0.1f64..1000.0, burst in 1u32..50, used in 1u32..50
    ) {
        let (old, new) = (Rate::per_second(old, Some(burst)).unwrap(), Rate::per_second(new, Some(burst)).unwrap());
        let cell = AtomicU64::new(0);
        let word = RateWord(&cell);
        let used = used.min(burst);
        for _ in 0..used {
            let _ = word.take(old, SECOND).unwrap();
        }
        word.carry_over(old, new, SECOND);
        let mut left = 0;
        while word.take(new, SECOND).is_ok() {
            left += 1;
        }
        prop_assert!(left <= burst - used, "{left} left of {burst} after {used}");
        prop_assert!(left + 1 >= burst - used);
    }
}
