//! What happens in a round, out of its seed: which calls, which faults, and when.
//!
//! It must never know the running product, so that a round can be told before it is played.

use std::fmt;
use std::time::Duration;

use super::dice::Dice;

/// Calls of one sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Answered, hung up by the caller.
    Answered,
    /// The same after a challenge.
    Password,
    /// A challenge answered with the wrong password.
    WrongPassword,
    /// From an address that is not listed.
    Refused,
    /// To nobody's domain.
    Unknown,
    /// The gateway is busy.
    Busy,
    /// The first gateway fails, the second one answers.
    Failover,
    /// The caller gives up while it rings.
    Cancel,
    /// More at once than the trunk may have.
    Narrow,
    /// The caller dies: no ACK, no BYE, whatever it was at.
    Vanishing,
    /// Both ends agree anew in the middle of the call.
    Reinvite,
    /// The caller's first ACKs are lost.
    LateAck,
}

/// All sorts.
pub const SORTS: [Sort; 12] = [
    Sort::Answered,
    Sort::Password,
    Sort::WrongPassword,
    Sort::Refused,
    Sort::Unknown,
    Sort::Busy,
    Sort::Failover,
    Sort::Cancel,
    Sort::Narrow,
    Sort::Vanishing,
    Sort::Reinvite,
    Sort::LateAck,
];

/// Calls to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Which.
    pub sort: Sort,
    /// How many.
    pub calls: u32,
    /// Begun per second.
    pub rate: u32,
    /// How long an answered one lasts, in milliseconds.
    pub talk_ms: u32,
}

/// Something that goes wrong, or is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// trunkd is killed and stays away for so long.
    KillTrunkd(Duration),
    /// trunkd stands still for so long.
    StopTrunkd(Duration),
    /// Kamailio is killed, all of it, and started again.
    KillKamailio,
    /// All processes of Kamailio stand still for so long.
    StopKamailio(Duration),
    /// The receiver of webhooks answers 500 for so long.
    ReceiverFails(Duration),
    /// Nothing that trunkd writes reaches its files for so long.
    DiskFull(Duration),
    /// The wall clock of trunkd and Kamailio is so many seconds ahead, or behind, for so long.
    SetClock(i64, Duration),
    /// A gateway that failed whatever came is dead for the rest of the round.
    KillGateway,
    /// So many writes through the API, one refused write among them.
    Writes(u32),
    /// A trunk file with a mistake, and SIGHUP; the mistake is taken back.
    BadFile,
    /// Bytes that are no SIP, in so many datagrams.
    Garbage(u32),
    /// Sabotage: an event is lost. Never in a round out of a seed.
    DropEvent,
    /// Sabotage: the table in force is torn. Never in a round out of a seed.
    TearTable,
}

impl Fault {
    /// Whether calls may come to harm: only Kamailio's own trouble is an excuse.
    #[must_use]
    pub fn touches_calls(self) -> bool {
        matches!(self, Fault::KillKamailio | Fault::StopKamailio(_))
    }
}

/// A fault and when it comes, counted from the begin of the round.
pub type Timed = (Duration, Fault);

/// Nothing that was killed takes longer to come back.
const BACK_WITHIN: Duration = Duration::from_millis(1_000);

/// One round.
#[derive(Clone, Debug)]
pub struct Round {
    /// From which it can be had again.
    pub seed: u64,
    /// What is called, all at once.
    pub batches: Vec<Batch>,
    /// In the order of their times.
    pub faults: Vec<Timed>,
}

impl Round {
    /// The round of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Round {
        let mut dice = Dice::new(seed);
        let batches = (0..dice.of(4..8)).map(|_| Batch {
            sort: *dice.pick(&SORTS),
            calls: dice.of(10..80),
            rate: dice.of(5..40),
            talk_ms: dice.of(0..2_500),
        });
        let batches = batches.collect();
        let mut faults: Vec<Timed> =
            (0..dice.of(2..6)).map(|_| (ms(dice.of(100..5_000)), fault(&mut dice))).collect();
        faults.sort_by_key(|(at, _)| *at);
        Round { seed, batches, faults }
    }

    /// One caller with so many calls a second, beside kills of trunkd and of Kamailio and nothing else; 20 to 2,000 milliseconds after
    /// one has come back, the next one comes.
    #[must_use]
    pub fn of_kills(seed: u64, kills: u32, rate: u32) -> Round {
        let mut dice = Dice::new(seed);
        let mut at = Duration::ZERO;
        let faults: Vec<Timed> = (0..kills)
            .map(|_| {
                at += BACK_WITHIN + ms(dice.of(20..2_000));
                (at, if dice.once_in(2) { Fault::KillTrunkd(Duration::ZERO) } else { Fault::KillKamailio })
            })
            .collect();
        // The last one too falls among calls, and calls go on after it.
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX).saturating_add(5);
        let calls = Batch { sort: Sort::Answered, calls: rate.saturating_mul(seconds), rate, talk_ms: 1_000 };
        Round { seed, batches: vec![calls], faults }
    }

    /// Whether the clock is set: what a password was asked for with may be out of date when it comes, and Kamailio's timers go ahead
    /// with the clock, be it only back to where it was, within five seconds (core/timer.c, `adjust_ticks`): a call that rings has
    /// rung for too long, and the keep-alive of one that is up is due, which sipp knows no answer to and hangs up.
    #[must_use]
    pub fn sets_clock(&self) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::SetClock(..)))
    }

    /// Whether something was in the way of calls.
    #[must_use]
    pub fn touches_calls(&self) -> bool {
        self.faults.iter().any(|(_, fault)| fault.touches_calls())
    }
}

fn ms(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}

fn fault(dice: &mut Dice) -> Fault {
    match dice.of(0..15) {
        0..2 => Fault::KillTrunkd(ms(dice.of(0..2_000))),
        2 => Fault::StopTrunkd(ms(dice.of(50..3_000))),
        3..5 => Fault::KillKamailio,
        5 => Fault::StopKamailio(ms(dice.of(50..1_500))),
        6 => Fault::ReceiverFails(ms(dice.of(200..3_000))),
        7..9 => Fault::Writes(dice.of(3..40)),
        9 => Fault::BadFile,
        10 => Fault::DiskFull(ms(dice.of(200..4_000))),
        11 => Fault::KillGateway,
        12 => {
            // Within what receivers of webhooks bear, and for so long that trunkd follows; and beyond it, for a moment.
            let (seconds, for_so_long) = match dice.once_in(2) {
                true => (dice.of(2..240), dice.of(200..12_000)),
                false => (dice.of(600..7_200), dice.of(200..1_500)),
            };
            let ahead = if dice.once_in(2) { i64::from(seconds) } else { -i64::from(seconds) };
            Fault::SetClock(ahead, ms(for_so_long))
        }
        _ => Fault::Garbage(dice.of(10..300)),
    }
}

impl fmt::Display for Round {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = |batch: &Batch| format!("{} {:?}", batch.calls, batch.sort);
        let batches: Vec<String> = self.batches.iter().map(batch).collect();
        let fault = |(at, fault): &Timed| format!("{:.1} s {fault:?}", at.as_secs_f64());
        let faults: Vec<String> = self.faults.iter().map(fault).collect();
        write!(out, "seed {}: {}; {}", self.seed, batches.join(", "), faults.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_its_round_and_all_things_happen() {
        assert_eq!(Round::of(42).to_string(), Round::of(42).to_string());
        let rounds: Vec<Round> = (0..200).map(Round::of).collect();
        for sort in SORTS {
            assert!(
                rounds.iter().any(|round| round.batches.iter().any(|batch| batch.sort == sort)),
                "{sort:?}"
            );
        }
        let happens = |wanted: fn(&Fault) -> bool| {
            assert!(rounds.iter().any(|round| round.faults.iter().any(|(_, fault)| wanted(fault))));
        };
        happens(|fault| *fault == Fault::KillKamailio);
        happens(|fault| *fault == Fault::BadFile);
        happens(|fault| matches!(fault, Fault::KillTrunkd(_)));
        happens(|fault| matches!(fault, Fault::Writes(_)));
        happens(|fault| matches!(fault, Fault::DiskFull(_)));
        happens(|fault| *fault == Fault::KillGateway);
        happens(|fault| matches!(fault, Fault::SetClock(..0, _)));
        happens(|fault| matches!(fault, Fault::SetClock(600.., _)));
        assert!(rounds.iter().any(|round| !round.touches_calls()));
    }
}
