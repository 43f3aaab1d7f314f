//! Whether calls notice that trunkd is not there: the same calls while it works and while it stands still, in pairs.
//!
//! It must never leave trunkd standing, nor count a run in which a call failed.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use serde_json::{Value, json};

use super::figures::{self, Spread};
use super::kinds::Kind;
use super::load;
use super::rounds::{self, Effort};
use super::world::World;

/// INVITE to 100 in milliseconds, median and 99th percentile: while trunkd works, while it stands still.
pub type Pair = [(f64, f64); 2];

/// All pairs of a run.
#[derive(Clone, Debug, Default)]
pub struct Away(pub Vec<Pair>);

impl Away {
    /// Over the pairs: the median of what is asked for, for both sides, and of their ratio.
    #[must_use]
    pub fn spreads(&self, of: impl Fn(&(f64, f64)) -> f64) -> Option<[Spread; 3]> {
        let over = |value: &dyn Fn(&Pair) -> f64| Spread::of(self.0.iter().map(value));
        let [here, away] = [0, 1].map(|side| over(&|pair| of(&pair[side])));
        Some([here?, away?, over(&|pair| of(&pair[1]) / of(&pair[0]))?])
    }

    /// What is told, by name.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, Option<[Spread; 3]>); 2] {
        [
            ("INVITE→100 p50, ms", self.spreads(|side| side.0)),
            ("INVITE→100 p99, ms", self.spreads(|side| side.1)),
        ]
    }

    /// For the JSON file.
    #[must_use]
    pub fn json(&self) -> Value {
        let rows = self.rows().map(|(what, spreads)| {
            let [here, away, ratio] = spreads.map_or([None; 3], |spreads| spreads.map(Some));
            let json = |spread: Option<Spread>| spread.as_ref().map(Spread::json);
            json!({"what": what, "working": json(here), "standing": json(away), "ratio": json(ratio)})
        });
        json!({"pairs": self.0.len(), "rows": rows})
    }
}

/// Measures `effort.rounds` pairs; each begins with the other side than the one before.
///
/// # Errors
/// A call failed, or an event was not told afterwards.
pub fn measure(world: &World, effort: Effort) -> Result<Away> {
    let trunkd = world.stack.trunkd.as_ref().context("trunkd")?.child.pid();
    let place = |name: String, stands: bool| -> Result<(f64, f64)> {
        let plan = world.plan(name, Kind::TrunkAddress, effort.calls, effort.rate);
        if stands {
            killpg(trunkd, Signal::SIGSTOP)?;
        }
        let placed = load::start(world.stack.dir(), &plan)
            .and_then(|child| load::finish(world.stack.dir(), &plan, child));
        if stands {
            killpg(trunkd, Signal::SIGCONT)?;
        }
        let delays = placed?;
        rounds::told(world, effort)?;
        figures::middle_and_tail(&delays.trying)
    };
    // Once for nothing: caches, connections, memory that is touched for the first time.
    place("away-warm".to_owned(), false)?;
    let mut away = Away::default();
    for round in 0..effort.rounds {
        let mut pair = Pair::default();
        for step in 0..2 {
            let side = (round + step) % 2;
            pair[side] = place(format!("away-{round}-{side}"), side == 1)?;
        }
        away.0.push(pair);
    }
    Ok(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_that_of_its_own_pair() {
        let away =
            Away(vec![[(1.0, 2.0), (1.0, 4.0)], [(10.0, 20.0), (10.0, 20.0)], [(1.0, 1.0), (3.0, 2.0)]]);
        let [here, standing, ratio] = away.spreads(|side| side.1).unwrap();
        assert_eq!((here.median, standing.median, ratio.median), (2.0, 4.0, 2.0));
        assert!(Away::default().spreads(|side| side.0).is_none());
    }
}
