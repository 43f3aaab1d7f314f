//! The benchmark's own machinery, small: every proxy starts and takes calls, every figure is there. What the figures are is
//! nobody's business here.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bench::machine::Machine;
use e2e::bench::page::Report;
use e2e::bench::rounds::{self, Effort};
use e2e::bench::world::{Size, World};
use e2e::bench::{accuracy, away, kinds, times};

#[test]
fn every_kind_of_proxy_is_measured() {
    let run = || -> Result<()> {
        let effort = Effort { rounds: 2, calls: 20, rate: 40 };
        let mut world = World::start(Size { trunks: 30, live: 2 })?;
        let table = rounds::measure(&world, effort)?;
        ensure!(table.refused.is_none(), "{:?}", table.refused);
        ensure!(table.rows.len() == kinds::ALL.len());
        for row in &table.rows {
            ensure!(row.samples.len() == effort.rounds && row.void.is_empty(), "{row:?}");
            ensure!(
                row.samples.iter().flatten().all(|sample| sample.proxy_us > 0.0 && sample.ringing.0 > 0.0),
                "{row:?}"
            );
        }
        let away = away::measure(&world, effort)?;
        ensure!(away.0.len() == effort.rounds && away.spreads(|side| side.1).is_some(), "{away:?}");
        let times = times::measure(&mut world, 2)?;
        ensure!(times.rows().iter().all(|(_, (stock, ours))| stock.is_some() && ours.is_some()), "{times:?}");
        let rows = accuracy::measure(Duration::from_secs(2))?;
        // The one limit that is a promise, not a figure: Trunkline never lets through more than it may.
        for row in rows.iter().filter(|row| row.ours) {
            ensure!(row.excess.is_none_or(|excess| excess < 1e-3), "{row:?}");
            ensure!(row.passed > 0, "{row:?}");
        }

        let dir = tempfile::tempdir()?;
        let report = Report {
            machine: Machine::now(),
            effort,
            tables: vec![table],
            times: vec![times],
            away: Some(away),
            accuracy: (rows, 2),
        };
        report.write(dir.path())?;
        let page = fs::read_to_string(dir.path().join("benchmarks.md")).context("the page")?;
        for kind in kinds::ALL {
            ensure!(page.contains(kind.label()), "{} is not in the page", kind.label());
        }
        ensure!(!page.contains("NaN"), "{page}");
        Ok(())
    };
    if let Err(error) = run() {
        panic!("{error:?}");
    }
}
