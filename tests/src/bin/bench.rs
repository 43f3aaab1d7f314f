//! `make bench`, after the table of the core: whole calls through Trunkline, a bare relay and stock modules.
//!
//! It measures and tells; it must never fail because something was slow.
//!
//! BENCH_MODE=short|full   some minutes, or three quarters of an hour
//! BENCH_PARTS=…           calls, away, times, accuracy: which of them, separated by blanks; all of them if nothing is said
//! BENCH_WORLDS=…         trunks/calls that are up, separated by blanks, instead of the mode's own: 100000/10
//! BENCH_OUT=DIR           where benchmarks.md, .svg and .json go

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use e2e::bench::machine::Machine;
use e2e::bench::page::Report;
use e2e::bench::rounds::{self, Effort};
use e2e::bench::world::{Size, World};
use e2e::bench::{accuracy, away, process, times};

/// How much is done.
struct Mode {
    worlds: Vec<Size>,
    effort: Effort,
    accuracy: u64,
}

/// A variable; empty is as good as absent, for that is how make hands on what nobody has set.
fn said(name: &str, default: &str) -> String {
    env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
}

fn mode() -> Result<Mode> {
    let size = |(trunks, live)| Size { trunks, live };
    match said("BENCH_MODE", "short").as_str() {
        "short" => Ok(Mode {
            worlds: [(100, 10), (10_000, 2_000)].map(size).into(),
            effort: Effort { rounds: 5, calls: 500, rate: 200 },
            accuracy: 10,
        }),
        "full" => Ok(Mode {
            worlds: [(100, 10), (100, 2_000), (10_000, 10), (10_000, 2_000), (100_000, 10), (100_000, 2_000)]
                .map(size)
                .into(),
            effort: Effort { rounds: 5, calls: 1_600, rate: 200 },
            accuracy: 60,
        }),
        other => bail!("BENCH_MODE is {other}: it may be short or full"),
    }
}

fn world(text: &str) -> Result<Size> {
    let numbers =
        text.split_once('/').and_then(|(trunks, live)| Some((trunks.parse().ok()?, live.parse().ok()?)));
    let (trunks, live) = numbers.with_context(|| format!("BENCH_WORLDS: {text} is not trunks/calls"))?;
    Ok(Size { trunks, live })
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut mode = mode()?;
    let worlds = said("BENCH_WORLDS", "");
    if !worlds.is_empty() {
        mode.worlds = worlds.split_whitespace().map(world).collect::<Result<_>>()?;
    }
    let parts = said("BENCH_PARTS", "calls away times accuracy");
    if let Some(unknown) =
        parts.split_whitespace().find(|part| !["calls", "away", "times", "accuracy"].contains(part))
    {
        bail!("BENCH_PARTS names {unknown}: there are calls, away, times and accuracy");
    }
    let wanted = |part: &str| parts.split_whitespace().any(|wanted| wanted == part);
    let out = PathBuf::from(said("BENCH_OUT", "var/bench"));
    let machine = Machine::now();
    process::stay_off_the_proxy()?;
    let mut report = Report {
        machine,
        effort: mode.effort,
        tables: Vec::new(),
        times: Vec::new(),
        away: None,
        accuracy: (Vec::new(), mode.accuracy),
    };
    if ["calls", "away", "times"].into_iter().any(wanted) {
        for (number, size) in mode.worlds.iter().enumerate() {
            // Times do not depend on the calls that are up: the last world of each number of trunks tells them.
            let last = mode.worlds.get(number + 1).is_none_or(|next| next.trunks != size.trunks);
            eprintln!("bench: {} trunks, {} calls up", size.trunks, size.live);
            let mut world = World::start(*size)?;
            if wanted("calls") {
                report.tables.push(rounds::measure(&world, mode.effort)?);
            }
            if wanted("away") && number == 0 {
                report.away = Some(away::measure(&world, mode.effort)?);
            }
            if wanted("times") && last {
                report.times.push(times::measure(&mut world, mode.effort.rounds)?);
            }
        }
    }
    if wanted("accuracy") {
        eprintln!("bench: limits");
        report.accuracy.0 = accuracy::measure(std::time::Duration::from_secs(mode.accuracy))?;
    }
    report.write(&out)?;
    println!("\n{}", report.text());
    println!("The same as {0}/benchmarks.md, .svg and .json.", out.display());
    Ok(())
}
