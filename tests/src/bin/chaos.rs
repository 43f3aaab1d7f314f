//! `make chaos MINUTES=n`: rounds of random calls and random faults, and what does not hold after each. Ends with 0 only when
//! everything held.
//!
//! A round that fails is told with its seed: `make chaos SEED=… MINUTES=0` plays that one round again. It must never go on after a
//! round that could not be played to its end: what follows would be judged on broken ground.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::chaos::dice::Dice;
use e2e::chaos::ground::Ground;
use e2e::chaos::plan::Round;
use e2e::chaos::play;
use e2e::kamailio::Options;

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            eprintln!("chaos: {broken} things did not hold");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn number(name: &str, default: u64) -> Result<u64> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().with_context(|| format!("{name}={text}: a whole number is wanted"))
        }
        _ => Ok(default),
    }
}

/// What the processes themselves were worried about, the last of it.
fn worries(logs: &str) -> String {
    let worried = |line: &&str| {
        [" WARN", " ERROR", "WARNING", "ERROR:", "CRITICAL", "panicked"]
            .iter()
            .any(|word| line.contains(word))
    };
    let lines: Vec<String> = logs.lines().filter(worried).map(|line| format!("  > {line}\n")).collect();
    lines[lines.len().saturating_sub(60)..].concat()
}

fn run() -> Result<usize> {
    let length = Duration::from_secs(60 * number("MINUTES", 5)?);
    let first = number("SEED", 1)?;
    let begun = Instant::now();
    let mut ground = Ground::start(Options::new()?)?;
    let (mut broken, mut played) = (0, 0);
    // The first round is the seed's own, so that any round can be had again by its number; the others follow from it.
    let (mut seed, mut dice) = (first, Dice::new(first));
    loop {
        let round = Round::of(seed);
        println!("round {played}, {round}");
        let at = Instant::now();
        let result = play::round(&mut ground, played, &round);
        let result = result.with_context(|| format!("round {played}, seed {seed}")).inspect_err(|_| {
            // What the processes said comes before what went wrong.
            eprintln!("{}", ground.stack.logs().unwrap_or_default());
        })?;
        for finding in &result.findings.0 {
            println!("  ! {finding}");
        }
        if !result.findings.0.is_empty() {
            println!("{}", worries(&ground.stack.logs()?));
        }
        let (calls, events, wrong) = (result.calls, result.events, result.findings.0.len());
        let timers = if result.timers_astray { ", timers astray" } else { "" };
        println!(
            "  {calls} calls, {events} events, {wrong} things did not hold, {:.0} s{timers}",
            at.elapsed().as_secs_f64()
        );
        broken += wrong;
        played += 1;
        if begun.elapsed() >= length {
            break;
        }
        seed = dice.seed() >> 16;
    }
    println!("{played} rounds, {broken} things did not hold.");
    Ok(broken)
}
