//! How long it takes to start, to read everything anew, and to put one change in force: stock modules and Trunkline over the
//! same trunks.
//!
//! It must never take for done what is only asked for: a start ends with the first answer, a change with the word of
//! whoever judges calls that it is in force.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::figures::Spread;
use super::kinds::Kind;
use super::world::{self, World};
use crate::api::Api;
use crate::{rpc, wait};

/// Stock modules, where they start, and Trunkline; in milliseconds.
pub type Sides = (Option<Spread>, Option<Spread>);

/// What takes how long.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Trunks.
    pub trunks: u32,
    /// From the start to the first answer.
    pub start: Sides,
    /// Everything read again: htable, address and dispatcher; all trunk files with one change.
    pub reload: Sides,
    /// One address more for one trunk: an address reload; the answer of the API that says "applied".
    pub change: Sides,
}

impl Times {
    /// What is told, by name: stock modules, then Trunkline.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, &Sides); 3] {
        [("start", &self.start), ("full reload", &self.reload), ("one change in force", &self.change)]
    }

    /// For the JSON file.
    #[must_use]
    pub fn json(&self) -> Value {
        let spread = |spread: &Option<Spread>| spread.as_ref().map(Spread::json);
        let rows = self.rows().map(|(what, (stock, ours))| {
            json!({"what": what, "stockMs": spread(stock), "trunklineMs": spread(ours)})
        });
        json!({"trunks": self.trunks, "rows": rows})
    }
}

/// Measures all of it, `rounds` times. Ends the calls that are up.
///
/// # Errors
/// Something fails that should not.
pub fn measure(world: &mut World, rounds: usize) -> Result<Times> {
    let mut times = Times { trunks: world.size.trunks, ..Times::default() };
    let stock = world.refused.is_none();
    times.change.1 = changes(world, rounds)?;
    times.reload.1 = reloads(world, rounds)?;
    if stock {
        let rpc = world.proxy(Kind::StockAddress).rpc.clone();
        let asked = |methods: &[(&str, Vec<Value>)]| -> Result<Option<Spread>> {
            let run = || -> Result<Duration> {
                let begun = Instant::now();
                for (method, parameters) in methods {
                    rpc::call_within(world::LONG, &rpc, method, parameters)?;
                }
                Ok(begun.elapsed())
            };
            spread((0..rounds).map(|_| run()))
        };
        let more = "INSERT INTO address (grp, ip_addr, mask) SELECT min(grp), '192.0.2.1', 32 FROM address";
        world::run_sql(&world.database, &[more])?;
        times.change.0 = asked(&[("permissions.addressReload", Vec::new())])?;
        times.reload.0 = asked(&[
            ("htable.reload", vec![json!("trunk")]),
            ("permissions.addressReload", Vec::new()),
            ("dispatcher.reload", Vec::new()),
        ])?;
        times.start.0 = spread(world.restart(Kind::StockAddress, rounds)?.into_iter().map(Ok))?;
    }
    times.start.1 = spread(world.restart(Kind::TrunkAddress, rounds)?.into_iter().map(Ok))?;
    Ok(times)
}

fn spread(times: impl Iterator<Item = Result<Duration>>) -> Result<Option<Spread>> {
    let times = times.collect::<Result<Vec<Duration>>>()?;
    Ok(Spread::of(times.into_iter().map(|time| time.as_secs_f64() * 1e3)))
}

/// A trunk of the API's own: those of the files cannot be changed there.
fn changes(world: &World, rounds: usize) -> Result<Option<Spread>> {
    let api = Api::of(&world.stack)?;
    let made = api.done("POST", "/v1/trunks?wait=applied", &json!({"name": "changed"}))?;
    let path = format!("/v1/trunks/{}/ip-acls?wait=applied", made["trunkId"].as_str().context("trunkId")?);
    let change = |number: usize| -> Result<Duration> {
        let begun = Instant::now();
        api.done("POST", &path, &json!({"ipAddress": format!("192.0.2.{number}")}))?;
        Ok(begun.elapsed())
    };
    spread((1..=rounds).map(change))
}

/// The limit of one trunk among all is changed in its file.
fn reloads(world: &World, rounds: usize) -> Result<Option<Spread>> {
    let site = &world.stack.site;
    let file = site.trunks.join("address.toml");
    let text = std::fs::read_to_string(&file)?;
    let change = |number: usize| -> Result<Duration> {
        let limit = format!("concurrentCallsLimit = {}", 100_000 + number);
        site.write_text("address", &text.replacen("concurrentCallsLimit = 100000", &limit, 1))?;
        let (before, begun) = (site.generation()?, Instant::now());
        site.sighup()?;
        wait::until_within(world::LONG, "the change in force", || {
            Ok((site.generation()? > before).then_some(()))
        })?;
        Ok(begun.elapsed())
    };
    spread((1..=rounds).map(change))
}
