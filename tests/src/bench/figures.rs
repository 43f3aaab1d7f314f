//! Medians, spreads and percentiles.
//!
//! It must never hide a spread: a median travels with the least and the greatest value that it came from.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The median of repeated measurements, and how far they lay apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; between the two middle ones of an even number.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Spread { median: f64::midpoint(below, above), low, high })
    }

    /// For the JSON file.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"median": self.median, "low": self.low, "high": self.high})
    }
}

/// With as many decimals as the formatter's precision says: `500 (480–520)`.
impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = out.precision().unwrap_or(0);
        let Spread { median, low, high } = self;
        write!(out, "{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
    }
}

/// The value below which `share` (0 to 1) of all values lie, by nearest rank.
#[must_use]
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Median and 99th percentile of delays.
///
/// # Errors
/// There is none.
pub fn middle_and_tail(delays: &[f64]) -> Result<(f64, f64)> {
    let of = |share| percentile(delays, share).context("sipp measured no delay");
    Ok((of(0.5)?, of(0.99)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_keeps_its_spread() {
        let spread = Spread::of([5.0, 1.0, 3.0, 4.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.5, low: 1.0, high: 5.0 });
        assert_eq!(format!("{spread:.1}"), "3.5 (1.0–5.0)");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(50.0));
        assert_eq!(percentile(&values, 0.99), Some(99.0));
        assert_eq!(percentile(&values, 1.0), Some(100.0));
        assert_eq!(percentile(&[7.0], 0.01), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
