//! What a call costs: a rate, the seconds that it bills, and their price. Pure and exact: decimals, no floating point.
//!
//! ```text
//! answered time ─▶ seconds, each begun one counted ─▶ the first increment, then whole next ones
//!               ─▶ connection fee + price per minute · seconds / 60, at least the minimum, rounded once
//! ```
//! A rate is published as first/next increment: `1/1` bills each second, `60/60` each begun minute, `30/6` half a minute and
//! then each begun six seconds. Rounding is to the millionth, half away from zero, and happens once, at the end.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::domain::Millis;

/// Decimal places of every amount.
pub const PLACES: u32 = 6;
/// Largest price, fee or minimum, in units of the currency.
pub const MAX_AMOUNT: u32 = 1_000_000;
/// Seconds of an increment.
pub const INCREMENT: RangeInclusive<u32> = 1..=3_600;
/// Most digits of a prefix (E.164 section 6.2.1).
pub const MAX_PREFIX_DIGITS: usize = 15;

/// An amount of money, to the millionth of the currency's unit. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(Decimal);

/// A text that is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to {MAX_AMOUNT} with at most {PLACES} decimal places, such as 0.0125")]
pub struct NoAmount;

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(Decimal::ZERO);

    /// From millionths; what is negative is nothing.
    pub fn from_micros(micros: i64) -> Amount {
        Amount(Decimal::new(micros.max(0), PLACES).normalize())
    }

    /// In millionths; what is beyond them all is the most.
    pub fn micros(self) -> i64 {
        let scaled = self.0.checked_mul(Decimal::from(1_000_000)).map(|scaled| scaled.trunc());
        scaled.and_then(|scaled| i64::try_from(scaled).ok()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Amount {
    type Err = NoAmount;

    /// Digits, and perhaps a point with digits on both sides: no sign, no exponent, no grouping.
    fn from_str(text: &str) -> Result<Amount, NoAmount> {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if !digits(whole) || !digits(fraction) || text.len() > 32 {
            return Err(NoAmount);
        }
        let value = Decimal::from_str_exact(text).map_err(|_| NoAmount)?.normalize();
        let good = value.scale() <= PLACES && value <= Decimal::from(MAX_AMOUNT);
        good.then_some(Amount(value)).ok_or(NoAmount)
    }
}

impl fmt::Display for Amount {
    /// Without zeros at the end: `0.0125`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What calls to some destinations cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// First digits of the number that is called, without `+`; empty matches every destination.
    pub prefix: String,
    /// Per minute.
    pub price: Amount,
    /// For each answered call.
    pub connection_fee: Amount,
    /// Seconds that are billed at least.
    pub first_s: u32,
    /// Seconds that are billed as a whole after that.
    pub next_s: u32,
    /// Least cost of an answered call, fee included.
    pub minimum: Amount,
}

impl Rate {
    /// Seconds that are billed for this time between answer and end.
    pub fn billed_seconds(&self, talk_ms: Millis) -> i64 {
        billed_seconds(talk_ms, (self.first_s, self.next_s))
    }

    /// What an answered call of this length costs.
    pub fn cost(&self, talk_ms: Millis) -> Amount {
        let sixty = Decimal::from(60);
        // Divided last, so that nothing is rounded before the end.
        let time = self.price.0.checked_mul(Decimal::from(self.billed_seconds(talk_ms)));
        let sum = time.and_then(|time| time.checked_add(self.connection_fee.0.checked_mul(sixty)?));
        let sum = sum.unwrap_or(Decimal::MAX) / sixty;
        let cost = sum.round_dp_with_strategy(PLACES, RoundingStrategy::MidpointAwayFromZero);
        Amount(cost.max(self.minimum.0).normalize())
    }
}

/// Each second that was begun, which is what a call without a rate is said to bill.
pub const PER_SECOND: (u32, u32) = (1, 1);

/// Seconds that are billed for a time: the first increment, then whole next ones.
pub fn billed_seconds(talk_ms: Millis, (first, next): (u32, u32)) -> i64 {
    let ms = talk_ms.max(0);
    let seconds = ms / 1000 + i64::from(ms % 1000 > 0);
    let (first, next) = (i64::from(first.max(1)), i64::from(next.max(1)));
    match seconds {
        0 => 0,
        seconds if seconds <= first => first,
        seconds => {
            let whole = (seconds - first) / next + i64::from((seconds - first) % next > 0);
            first.saturating_add(whole.saturating_mul(next))
        }
    }
}

/// A rate in the currency of its plan: what a call is held to from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// ISO 4217, three capital letters.
    pub currency: String,
    /// The rate.
    pub rate: Rate,
}

/// The digits that a prefix is compared with: the number without `+`, or nothing if it is no number.
pub fn digits(number: &str) -> &str {
    let number = number.strip_prefix('+').unwrap_or(number);
    if number.bytes().all(|byte| byte.is_ascii_digit()) { number } else { "" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn rate(price: &str, first_s: u32, next_s: u32) -> Rate {
        let (connection_fee, minimum) = (Amount::ZERO, Amount::ZERO);
        Rate { prefix: String::new(), price: amount(price), connection_fee, first_s, next_s, minimum }
    }

    #[test]
    fn amounts_are_plain_decimals() {
        for (text, micros, shown) in [
            ("0", 0, "0"),
            ("0.0125", 12_500, "0.0125"),
            ("0.012500", 12_500, "0.0125"),
            ("1.10", 1_100_000, "1.1"),
            ("1000000", 1_000_000_000_000, "1000000"),
            ("0.000001", 1, "0.000001"),
            ("00.5", 500_000, "0.5"),
        ] {
            assert_eq!((amount(text).micros(), amount(text).to_string().as_str()), (micros, shown), "{text}");
            assert_eq!(Amount::from_micros(micros), amount(text), "{text}");
        }
        for bad in [
            "",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "1_000",
            "1,5",
            " 1",
            "0.0000001",
            "1000000.1",
            "1.2.3",
            "NaN",
            "٣",
        ] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }

    /// Carriers' own examples of their increments, with the seconds and the price that each names.
    #[test]
    fn published_examples() {
        for (first, next, seconds, billed, price, cost) in [
            // Per second: a call of 61 s at 0.06 a minute is 61 s, 0.061.
            (1, 1, 61, 61, "0.06", "0.061"),
            (1, 1, 1, 1, "0.06", "0.001"),
            // 6/6, the usual one in North America: 7 s are 12 s, 61 s are 66 s.
            (6, 6, 1, 6, "0.01", "0.001"),
            (6, 6, 7, 12, "0.01", "0.002"),
            (6, 6, 61, 66, "0.01", "0.011"),
            (6, 6, 60, 60, "0.01", "0.01"),
            // 30/6: at least half a minute, then six seconds: 5 s are 30 s, 31 s are 36 s, 65 s are 66 s.
            (30, 6, 5, 30, "0.02", "0.01"),
            (30, 6, 30, 30, "0.02", "0.01"),
            (30, 6, 31, 36, "0.02", "0.012"),
            (30, 6, 65, 66, "0.02", "0.022"),
            // 60/60, whole minutes: 1 s is a minute, 61 s are two.
            (60, 60, 1, 60, "0.15", "0.15"),
            (60, 60, 60, 60, "0.15", "0.15"),
            (60, 60, 61, 120, "0.15", "0.3"),
            // 60/1: a minute at least, then each second.
            (60, 1, 61, 61, "0.6", "0.61"),
        ] {
            let rate = rate(price, first, next);
            let about = format!("{first}/{next} {seconds} s");
            assert_eq!(rate.billed_seconds(seconds * 1000), billed, "{about}");
            assert_eq!(rate.cost(seconds * 1000), amount(cost), "{about}");
        }
    }

    #[test]
    fn fee_minimum_and_fractions_of_a_second() {
        let full = Rate { connection_fee: amount("0.05"), minimum: amount("0.1"), ..rate("0.06", 1, 1) };
        assert_eq!(full.cost(1), amount("0.1"), "0.05 and a second are less than the minimum");
        assert_eq!(full.cost(60_000), amount("0.11"));
        assert_eq!(full.cost(0), amount("0.1"), "it was answered");
        let rate = rate("0.06", 1, 1);
        assert_eq!([1, 999, 1000, 1001].map(|ms| rate.billed_seconds(ms)), [1, 1, 1, 2]);
        assert_eq!((rate.billed_seconds(-5), rate.cost(0)), (0, Amount::ZERO));
        let third = super::Rate { price: amount("0.000010"), ..rate };
        assert_eq!(
            [2, 3].map(|s| third.cost(s * 1000)),
            [Amount::ZERO, amount("0.000001")],
            "half is rounded up"
        );
    }

    #[test]
    fn only_numbers_have_digits() {
        for (number, found) in [
            ("+15550100001", "15550100001"),
            ("0049", "0049"),
            ("alice", ""),
            ("1-555", ""),
            ("++1", ""),
            ("", ""),
        ] {
            assert_eq!(digits(number), found, "{number}");
        }
    }

    /// The reference: seconds counted one by one, money as whole numbers of sixtieths of a millionth.
    fn reference(rate: [i64; 3], first: u32, next: u32, talk_ms: i64) -> (i64, i64) {
        let [price, fee, minimum] = rate.map(i128::from);
        let (mut billed, mut passed) = (0_i64, 0_i64);
        while passed < talk_ms {
            passed += 1000;
            if billed * 1000 < passed {
                billed += i64::from(if billed == 0 { first } else { next });
            }
        }
        let sixtieths = fee * 60 + price * i128::from(billed);
        let (whole, rest) = (sixtieths / 60, sixtieths % 60);
        let cost = (whole + i128::from(rest >= 30)).max(minimum);
        (billed, i64::try_from(cost).unwrap())
    }

    proptest! {
        #[test]
        fn a_call_costs_what_the_reference_says(
            price in 0_i64..100_000_000, fee in 0_i64..10_000_000, minimum in 0_i64..10_000_000,
            first in 1_u32..=120, next in 1_u32..=120, talk_ms in 0_i64..4_000_000,
        ) {
            let rate = Rate {
                prefix: String::new(),
                price: Amount::from_micros(price),
                connection_fee: Amount::from_micros(fee),
                first_s: first,
                next_s: next,
                minimum: Amount::from_micros(minimum),
            };
            let found = (rate.billed_seconds(talk_ms), rate.cost(talk_ms).micros());
            prop_assert_eq!(found, reference([price, fee, minimum], first, next, talk_ms));
        }

        #[test]
        fn an_amount_is_read_as_it_is_written(micros in 0_i64..=1_000_000_000_000) {
            let amount = Amount::from_micros(micros);
            prop_assert_eq!((amount.to_string().parse(), amount.micros()), (Ok(amount), micros));
        }
    }
}
