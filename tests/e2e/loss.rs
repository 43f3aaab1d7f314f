//! No event of any call is lost, whoever is killed: calls in a stream beside kills of trunkd and of Kamailio at moments that nobody
//! chose, and a receiver that must have heard of the end of every call that got so much as a 100.

use std::env;
use std::io::Write as _;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use e2e::chaos::ground::Ground;
use e2e::chaos::plan::Round;
use e2e::chaos::play;
use e2e::kamailio::Options;

/// Attempts at one endpoint at a time (`webhooks.endpoint_concurrency`).
const UNDER_WAY: u32 = 8;
/// Calls a second from which on one delivery more in a hundred is the most: the same deaths weigh more among fewer calls.
const BAR_RATE: u32 = 200;

/// Most kills in a round: its callers write down all that they see.
const IN_A_ROUND: u32 = 30;

fn number(name: &str, default: u32) -> Result<u32> {
    env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name}={text}")))
}

/// TRUNKLINE_KILLS in all beside TRUNKLINE_KILLS_RATE calls a second; TRUNKLINE_KILLS_SEED has a run again.
#[test]
fn whoever_is_killed_every_call_is_told_to_its_end() {
    let run = || -> Result<()> {
        let kills = number("TRUNKLINE_KILLS", 4)?;
        let rate = number("TRUNKLINE_KILLS_RATE", 50)?;
        let seed = match number("TRUNKLINE_KILLS_SEED", 0)? {
            0 => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos(),
            seed => seed,
        };
        writeln!(
            std::io::stderr(),
            "{kills} kills beside {rate} calls a second, TRUNKLINE_KILLS_SEED={seed}"
        )?;
        let mut ground = Ground::start(Options::new()?)?;
        let (mut calls, mut events, mut deliveries, mut left, mut number) = (0, 0, 0, kills, 0);
        while left > 0 {
            let round = Round::of_kills(u64::from(seed) + u64::from(number), left.min(IN_A_ROUND), rate);
            let played = play::round(&mut ground, number, &round);
            let played = played.inspect_err(|_| eprintln!("{}", ground.stack.logs().unwrap_or_default()))?;
            let broken: Vec<String> = played.findings.0.iter().map(ToString::to_string).collect();
            ensure!(broken.is_empty(), "{round}: {broken:#?}\n{}", ground.stack.logs()?);
            let unended = played.unended.len();
            ensure!(
                unended == 0,
                "{round}: nobody was told of the end of {unended} calls, the first {:#?}",
                &played.unended[..unended.min(5)]
            );
            (calls, events, deliveries) =
                (calls + played.calls, events + played.events, deliveries + played.deliveries);
            (left, number) = (left - left.min(IN_A_ROUND), number + 1);
        }
        let more = deliveries - events;
        // Past the runner, which keeps what a passing test prints to itself.
        writeln!(
            std::io::stderr(),
            "{kills} kills: {calls} calls, {events} events, 0 lost, {more} deliveries more ({:.2} %)",
            100.0 * more as f64 / events as f64
        )?;
        // What was under way at a death is sent again, and nothing else.
        ensure!(more <= (kills * UNDER_WAY) as usize, "{more} deliveries more over {kills} kills");
        ensure!(rate < BAR_RATE || more * 100 <= events, "{more} deliveries more than {events} events");
        Ok(())
    };
    if let Err(error) = run() {
        panic!("{error:?}");
    }
}
