//! Limits: calls per second, how many of them at once, calls at the same time.

use std::ops::RangeInclusive;

use trunk_admission::Rate;

use crate::domain::Limits;
use crate::input::problem::Broken;
use crate::input::section::{Given, Section};

/// Calls at the same time that a limit may name; 0 admits none.
pub(crate) const CONCURRENT: RangeInclusive<u64> = 0..=1_000_000;
/// Calls at once after silence.
pub(crate) const BURST: RangeInclusive<u64> = 1..=1_000_000;
/// Calls per second; also 0, which admits none.
pub(crate) const CPS: RangeInclusive<f64> = 0.001..=100_000.0;

/// The names of the three, as the API and trunk files have them.
pub(crate) const KEYS: [&str; 3] = ["cpsLimit", "cpsBurst", "concurrentCallsLimit"];

/// Limits under the given names: rate, burst, calls at the same time. `null` takes one back to its `default`.
pub(crate) fn limits(
    section: &Section<'_>,
    [cps_key, burst_key, concurrent_key]: [&'static str; 3],
    limits: &mut Limits,
    default: Limits,
) {
    let count = |range: RangeInclusive<u64>| {
        move |section: &Section<'_>, key| section.integer(key, range).map(|count| count as u32)
    };
    put(section.given(cps_key, Section::number), &mut limits.cps, default.cps);
    put(section.given(burst_key, count(BURST)), &mut limits.cps_burst, default.cps_burst);
    put(
        section.given(concurrent_key, count(CONCURRENT)),
        &mut limits.concurrent_calls,
        default.concurrent_calls,
    );
    if let Some(cps) = limits.cps
        && let Err(rule) = Rate::per_second(cps, limits.cps_burst)
    {
        section.problem(cps_key, Broken::new("invalid_rate", rule.to_string()));
    }
}

fn put<T>(given: Given<T>, now: &mut Option<T>, default: Option<T>) {
    match given {
        Given::Absent => {}
        Given::Null => *now = default,
        Given::Value(value) => *now = Some(value),
    }
}
