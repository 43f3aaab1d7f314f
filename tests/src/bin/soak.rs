//! `make soak MINUTES=n`: calls and changes in a stream; memory, descriptors and delays as they go, their slopes, and plots.
//!
//! It must never fail because something was slow; a call, a change or an event that is lost does fail it.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::bench::machine::Machine;
use e2e::bench::soak::{self, Look};
use e2e::bench::{plot, process};
use serde_json::json;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // Empty is as good as absent, for that is how make hands on what nobody has set.
    let said = |name: &str, default: &str| {
        env::var(name).ok().filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let minutes: u64 = said("MINUTES", "10").parse().context("MINUTES: a whole number is wanted")?;
    let out = PathBuf::from(said("SOAK_OUT", "var/soak"));
    let machine = Machine::now();
    process::stay_off_the_proxy()?;
    println!("{}\n", machine.line());
    println!(
        "| s | Kamailio MiB | its pool | trunkd MiB | descriptors, Kamailio | trunkd | INVITE→180 p50, ms | p99, ms |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    let looks = soak::run(Duration::from_secs(60 * minutes), |look| {
        let Look { at, memory, pool, descriptors, ringing } = look;
        println!(
            "| {at:.0} | {:.1} | {pool:.2} | {:.1} | {} | {} | {:.2} | {:.2} |",
            memory.0, memory.1, descriptors.0, descriptors.1, ringing.0, ringing.1
        );
    })?;

    type Of = fn(&Look) -> f64;
    let lines: [(&str, &str, &str, Of); 7] = [
        ("kamailio-memory", "Memory of Kamailio", "MiB", |look| look.memory.0),
        ("kamailio-pool", "Taken of Kamailio's shared pool", "MiB", |look| look.pool),
        ("trunkd-memory", "Memory of trunkd", "MiB", |look| look.memory.1),
        ("kamailio-descriptors", "Descriptors of Kamailio", "", |look| look.descriptors.0 as f64),
        ("trunkd-descriptors", "Descriptors of trunkd", "", |look| look.descriptors.1 as f64),
        ("ringing-p50", "INVITE to 180, median", "ms", |look| look.ringing.0),
        ("ringing-p99", "INVITE to 180, 99th percentile", "ms", |look| look.ringing.1),
    ];
    fs::create_dir_all(&out)?;
    println!("\n| over the second half | rises in an hour by |\n|---|---:|");
    for (file, title, unit, of) in lines {
        let points: Vec<(f64, f64)> = looks.iter().map(|look| (look.at, of(look))).collect();
        fs::write(out.join(format!("{file}.svg")), plot::line(title, unit, &points))?;
        let slope = soak::slope_per_hour(&looks, of)
            .map_or_else(|| "too short".to_owned(), |slope| format!("{slope:+.2}"));
        println!("| {title} | {slope} {unit} |");
    }
    let json = json!({"machine": machine.json(), "looks": looks.iter().map(Look::json).collect::<Vec<_>>()});
    fs::write(out.join("soak.json"), format!("{json:#}\n"))?;
    println!("\nPlots and figures are in {}.", out.display());
    Ok(())
}
