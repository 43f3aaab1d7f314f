//! Brakes against whoever proves nothing: how often an address may be wrong, and how fast strangers may come.
//!
//! What stands in shared memory is counted here and nowhere else; [`crate::screen`] and [`crate::digest`] ask. It must never
//! be asked in place of a password: a right one passes whatever is counted here, but from an address, or for a name, that has
//! been wrong too often without having been right within the hour.

use core::net::IpAddr;

use trunk_admission::Rate;
use trunk_admission::instance::Instance;
use trunk_admission::live::Brake;

use crate::params::Brakes;

/// A user of a trunk may be got wrong this many times as often as one address may get anything wrong: many phones of
/// one customer share a name.
const NAME_FACTOR: u32 = 2;
/// An address that has lately proved a user may get it wrong this many times as often: somebody there who guesses is
/// stopped too, a phone with an old password among a hundred that are right is not.
const PROVED_FACTOR: u32 = 10;
/// All strangers together may come this many times as often as those of one address.
const NODE_FACTOR: u32 = 4;
/// Strangers a second that are a flood of their own when no brake on them says how many.
const CROWD: u32 = 200;
/// Of strangers, this many seconds' worth may come at once.
const BURST_SECONDS: u32 = 2;

/// Whether a password is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    /// It is.
    Look,
    /// Only if it answers a challenge that was sent to this very address, so that nobody guesses in its name.
    LookIfAskedHere,
    /// It is not.
    Refuse,
}

/// The rates in force; `None` switches a brake off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    wrong_from: Option<Rate>,
    wrong_for: Option<Rate>,
    wrong_as_proved: Option<Rate>,
    strangers: Option<Rate>,
    /// Counted though nobody is held up by it, when `strangers` is off: whether strangers are the load has to be known.
    all_strangers: Option<Rate>,
    /// As `all_strangers`, and the same word, but noticed at half the burst: a flood does not seem over between two of its calls.
    crowd: Option<Rate>,
    customers: Option<Rate>,
    flood: Option<Rate>,
}

impl Rates {
    /// From the module's parameters.
    pub(crate) fn new(brakes: Brakes) -> Rates {
        let minute = |failures: u32| Rate::per_second(f64::from(failures) / 60.0, Some(failures.max(1))).ok();
        let second =
            |calls: u32| Rate::per_second(f64::from(calls), Some((calls * BURST_SECONDS).max(1))).ok();
        let on = |number: u32, rate: Option<Rate>| rate.filter(|_| number > 0);
        let Brakes { failures, strangers, flood, customers } = brakes;
        let crowd = if strangers > 0 { strangers * NODE_FACTOR } else { CROWD };
        Rates {
            wrong_from: on(failures, minute(failures)),
            wrong_for: on(failures, minute(failures * NAME_FACTOR)),
            wrong_as_proved: on(failures, minute(failures * PROVED_FACTOR)),
            strangers: on(strangers, second(strangers)),
            all_strangers: second(crowd),
            crowd: Rate::per_second(f64::from(crowd), None).ok(),
            customers: Rate::per_second(f64::from(customers), None).ok(),
            flood: on(flood, second(flood)),
        }
    }

    /// How far to look at a password when this address, or somebody with this name, may have been wrong too often. An
    /// address that has lately proved the name is held to neither what others did with it nor what was sent in the address's own
    /// name, which over UDP anybody can: only to what it got wrong of challenges that were sent to it.
    pub(crate) fn guess(&self, live: &Instance, source: IpAddr, trunk: u32, user: &[u8]) -> Guess {
        let braked = |brake, rate: Option<Rate>| rate.is_some_and(|rate| live.live().is_braked(brake, rate));
        if !braked(Brake::WrongFrom(source), self.wrong_from)
            && !braked(Brake::WrongFor(trunk, user), self.wrong_for)
        {
            return Guess::Look;
        }
        let trusted = live.live().is_trusted(source, trunk, user)
            && !braked(Brake::WrongAsProved(source, trunk, user), self.wrong_as_proved);
        if trusted { Guess::LookIfAskedHere } else { Guess::Refuse }
    }

    /// Counts a wrong password of an address that was looked at because it had proved that user: an answer to a challenge that
    /// was sent to that address.
    pub(crate) fn wrong_as_proved(&self, live: &Instance, source: IpAddr, trunk: u32, user: &[u8]) {
        if let Some(rate) = self.wrong_as_proved {
            live.live().press(Brake::WrongAsProved(source, trunk, user), rate);
        }
    }

    /// Counts a wrong password: an answer to a challenge of ours, so somebody got that. What is made up counts nowhere but
    /// among the strangers.
    pub(crate) fn wrong(&self, live: &Instance, source: IpAddr, trunk: u32, user: &[u8]) {
        if let Some(rate) = self.wrong_from {
            live.live().press(Brake::WrongFrom(source), rate);
        }
        if let Some(rate) = self.wrong_for {
            live.live().press(Brake::WrongFor(trunk, user), rate);
        }
    }

    /// Counts a call that had proved nothing.
    pub(crate) fn stranger(&self, live: &Instance, source: IpAddr) {
        let live = live.live();
        self.strangers.map(|rate| live.press(Brake::Strangers(source), rate));
        self.all_strangers.map(|rate| live.press(Brake::AllStrangers, rate));
    }

    /// The one who was challenged has proved itself: it was no stranger, and is not one of a crowd of them.
    pub(crate) fn no_stranger(&self, live: &Instance) {
        if let Some(rate) = self.all_strangers {
            live.live().forgive_stranger(rate);
        }
    }

    /// Counts a customer's new call in a crowd. `false` when there are so many of those that they are a load by themselves.
    pub(crate) fn customer(&self, live: &Instance) -> bool {
        self.customers.is_none_or(|rate| live.live().press(Brake::Customers, rate))
    }

    /// Whether strangers come faster, all together, than they are answered with care.
    pub(crate) fn flooded(&self, live: &Instance) -> bool {
        self.crowd.is_some_and(|rate| live.live().is_braked(Brake::AllStrangers, rate))
    }

    /// Whether strangers, from here or all together, come faster than they are answered with care.
    pub(crate) fn crowded(&self, live: &Instance, source: IpAddr) -> bool {
        let braked = |brake, rate: Option<Rate>| rate.is_some_and(|rate| live.live().is_braked(brake, rate));
        self.strangers.is_some()
            && (braked(Brake::Strangers(source), self.strangers)
                || braked(Brake::AllStrangers, self.all_strangers))
    }

    /// Counts one of a crowd. `false` when so many come from there that they are not answered.
    pub(crate) fn answers(&self, live: &Instance, source: IpAddr) -> bool {
        self.flood.is_none_or(|rate| live.live().press(Brake::Flood(source), rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nought_switches_a_brake_off() {
        let off = Rates::new(Brakes { failures: 0, strangers: 0, flood: 0, customers: 200 });
        assert!(off.wrong_from.is_none() && off.wrong_for.is_none() && off.wrong_as_proved.is_none());
        assert!(off.strangers.is_none() && off.flood.is_none());
        // Whether there is a crowd of them is known all the same.
        assert_eq!(off.crowd.map(Rate::burst), Some(CROWD));
    }

    #[test]
    fn every_number_that_a_parameter_takes_is_a_rate() {
        for number in [1, 10, 1_000] {
            let on =
                Rates::new(Brakes { failures: number, strangers: number, flood: number, customers: number });
            let burst = |rate: Option<Rate>| rate.expect("a rate").burst();
            assert_eq!((burst(on.wrong_from), burst(on.wrong_for)), (number, 2 * number));
            assert_eq!((burst(on.strangers), burst(on.flood)), (2 * number, 2 * number));
            assert_eq!((burst(on.all_strangers), burst(on.crowd)), (8 * number, 4 * number));
            assert_eq!((burst(on.customers), burst(on.wrong_as_proved)), (number, 10 * number));
        }
    }
}
