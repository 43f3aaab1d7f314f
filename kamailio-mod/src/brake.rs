//! Brakes against whoever proves nothing: wrong passwords are answered with 403 after a while, and a flood of strangers is
//! first answered without a transaction, then not at all.
//!
//! `trunk_screen()` comes before tm makes a transaction of a new INVITE. A call that needs no password, or brings one from an
//! address that has not guessed too often, is never stopped by it. It must never look at anything but memory, and never tell a name that exists from one that does not.

use core::net::IpAddr;

use trunk_admission::instance::Instance;
use trunk_admission::live::Brake;
use trunk_admission::{Attempt, Rate, Reason, Refusal};

use crate::judgement::Judgement;
use crate::msg::SipMsg;
use crate::params::Brakes;
use crate::process::{self, Process};
use crate::verdict::Screen;
use crate::{admit, sys};

/// A user of a trunk may be got wrong this many times as often as one address may get anything wrong: many phones of
/// one customer share a name.
const NAME_FACTOR: u32 = 2;
/// All strangers together may come this many times as often as those of one address.
const NODE_FACTOR: u32 = 4;
/// Of strangers, this many seconds' worth may come at once.
const BURST_SECONDS: u32 = 2;

/// Receive buffers this full, in percent: strangers are answered without a transaction.
const BUSY: u32 = 25;
/// Receive buffers this full, and not by strangers: no new call is begun, so that those that are up can be ended. Requests of
/// those never get here.
const OVERLOADED: u32 = 75;
/// When a call that was not begun may come again.
const COME_AGAIN_MS: u64 = 5_000;

/// The rates in force; `None` switches a brake off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    wrong_from: Option<Rate>,
    wrong_for: Option<Rate>,
    strangers: Option<Rate>,
    all_strangers: Option<Rate>,
    /// As `all_strangers`, and the same word, but noticed at half the burst: a flood does not seem over between two of its calls.
    crowd: Option<Rate>,
    flood: Option<Rate>,
}

impl Rates {
    /// From the module's parameters.
    pub(crate) fn new(brakes: Brakes) -> Rates {
        let minute = |failures: u32| Rate::per_second(f64::from(failures) / 60.0, Some(failures.max(1))).ok();
        let second =
            |calls: u32| Rate::per_second(f64::from(calls), Some((calls * BURST_SECONDS).max(1))).ok();
        let on = |number: u32, rate: Option<Rate>| rate.filter(|_| number > 0);
        let Brakes { failures, strangers, flood } = brakes;
        Rates {
            wrong_from: on(failures, minute(failures)),
            wrong_for: on(failures, minute(failures * NAME_FACTOR)),
            strangers: on(strangers, second(strangers)),
            all_strangers: on(strangers, second(strangers * NODE_FACTOR)),
            crowd: on(strangers, Rate::per_second(f64::from(strangers * NODE_FACTOR), None).ok()),
            flood: on(flood, second(flood)),
        }
    }

    /// Whether this address, or somebody with this name, has been wrong too often for another try to be looked at. An
    /// address that has lately proved the name is not held to what others did with it.
    pub(crate) fn refuse_guess(&self, live: &Instance, source: IpAddr, trunk: u32, user: &[u8]) -> bool {
        self.guesses_too_often(live, source)
            || self.wrong_for.is_some_and(|rate| live.live().is_braked(Brake::WrongFor(trunk, user), rate))
                && !live.live().is_trusted(source, trunk, user)
    }

    /// Whether this address has been wrong too often for anything that it brings to be looked at.
    fn guesses_too_often(&self, live: &Instance, source: IpAddr) -> bool {
        self.wrong_from.is_some_and(|rate| live.live().is_braked(Brake::WrongFrom(source), rate))
    }

    /// Counts a wrong password.
    pub(crate) fn wrong(&self, live: &Instance, source: IpAddr, trunk: u32, user: &[u8]) {
        self.forged(live, source);
        if let Some(rate) = self.wrong_for {
            live.live().press(Brake::WrongFor(trunk, user), rate);
        }
    }

    /// Counts an answer to a challenge that nobody has sent.
    pub(crate) fn forged(&self, live: &Instance, source: IpAddr) {
        if let Some(rate) = self.wrong_from {
            live.live().press(Brake::WrongFrom(source), rate);
        }
    }

    /// Counts a call that had proved nothing.
    pub(crate) fn stranger(&self, live: &Instance, source: IpAddr) {
        if let (Some(own), Some(all)) = (self.strangers, self.all_strangers) {
            live.live().press(Brake::Strangers(source), own);
            live.live().press(Brake::AllStrangers, all);
        }
    }

    /// Whether strangers come faster, all together, than they are answered with care.
    fn flooded(&self, live: &Instance) -> bool {
        self.crowd.is_some_and(|rate| live.live().is_braked(Brake::AllStrangers, rate))
    }

    fn crowded(&self, live: &Instance, source: IpAddr) -> bool {
        self.strangers.is_some_and(|rate| live.live().is_braked(Brake::Strangers(source), rate))
            || self.all_strangers.is_some_and(|rate| live.live().is_braked(Brake::AllStrangers, rate))
    }
}

/// The script function.
pub(crate) fn trunk_screen(msg: *mut sys::sip_msg) -> Screen {
    // SAFETY: Kamailio hands over the message of the running route.
    let Some(msg) = (unsafe { SipMsg::new(msg) }) else { return Screen::Pass };
    process::with(|process| screen(process, msg)).unwrap_or(Screen::Pass)
}

fn screen(process: &mut Process, msg: SipMsg<'_>) -> Screen {
    let (source, _) = msg.source();
    let backlog = process.instance.live().backlog();
    let crowded = backlog >= BUSY || process.rates.crowded(&process.instance, source);
    if !crowded || !msg.parse() || !msg.is_initial_invite() {
        return Screen::Pass;
    }
    admit::refresh(process);
    let attempt = admit::attempt(&process.instance, msg);
    let Some(refusal) = stranger(process, msg, &attempt) else {
        // Strangers who crowd in are no reason to send customers away: those are kept, whatever waits.
        if backlog < OVERLOADED || process.rates.flooded(&process.instance) {
            return Screen::Pass;
        }
        return shed(process, msg, backlog);
    };
    process.rates.stranger(&process.instance, source);
    if process.rates.flood.is_some_and(|rate| !process.instance.live().press(Brake::Flood(source), rate)) {
        return Screen::Silent;
    }
    let braked = refusal.reason == Reason::BadCredentials;
    process.judgement = Judgement { reason: Some(refusal.reason), braked, ..Judgement::unjudged(msg.key()) };
    if let Some(identity) = &refusal.identity {
        admit::name(process, identity);
    }
    Screen::Answer
}

/// Sends a customer's new call away: the node has more to read than it can.
fn shed(process: &mut Process, msg: SipMsg<'_>, backlog: u32) -> Screen {
    process.instance.shed();
    process.judgement = Judgement {
        reason: Some(Reason::NodeOverloaded),
        limit: OVERLOADED,
        count: backlog,
        wait_ms: COME_AGAIN_MS,
        ..Judgement::unjudged(msg.key())
    };
    Screen::Answer
}

/// What to tell a caller that has proved nothing; `None` for one that may have.
fn stranger(process: &Process, msg: SipMsg<'_>, attempt: &Attempt<'_>) -> Option<Refusal> {
    match process.instance.identify(attempt) {
        Ok(identity) if !identity.needs_password => None,
        Ok(identity) if !msg.has_credentials() => {
            Some(process.instance.turn_away(&identity, Reason::Challenge))
        }
        // Made-up credentials are no way around the brake: they would not be looked at anyway.
        Ok(identity) if process.rates.guesses_too_often(&process.instance, attempt.source) => {
            Some(process.instance.turn_away(&identity, Reason::BadCredentials))
        }
        Ok(_) => None,
        // Nothing to judge by: the fail mode decides, in its own place.
        Err(refusal) if refusal.reason == Reason::NoData => None,
        Err(refusal) => Some(refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nought_switches_a_brake_off() {
        let off = Rates::new(Brakes { failures: 0, strangers: 0, flood: 0 });
        assert!(off.wrong_from.is_none() && off.wrong_for.is_none());
        assert!(off.strangers.is_none() && off.all_strangers.is_none() && off.flood.is_none());
    }

    #[test]
    fn every_number_that_a_parameter_takes_is_a_rate() {
        for number in [1, 10, 1_000] {
            let on = Rates::new(Brakes { failures: number, strangers: number, flood: number });
            let burst = |rate: Option<Rate>| rate.expect("a rate").burst();
            assert_eq!((burst(on.wrong_from), burst(on.wrong_for)), (number, 2 * number));
            assert_eq!((burst(on.strangers), burst(on.flood)), (2 * number, 2 * number));
            assert_eq!(burst(on.all_strangers), 8 * number);
        }
    }
}
