//! Brakes: how often an address, or a user of a trunk, has lately done what only attackers do often.
//!
//! Limiter words like those of the trunks, found by a keyed hash: what is remembered is bounded whatever is sent, decays by
//! itself, and costs neither a lock nor a list. Two that meet on one word share it, one in eight thousand. It must never take
//! part in a decision about a call that has proved what it must: a brake says how a call is looked at, not what it is worth.

use std::net::IpAddr;

use super::Live;
use super::layout::*;
use crate::hash::Space;
use crate::map;
use crate::rate::{Rate, RateWord};
use crate::sync::AtomicU64;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brake<'a> {
    /// Wrong passwords from an address.
    WrongFrom(IpAddr),
    /// Wrong passwords for a user of the trunk with this `live` index, known or not.
    WrongFor(u32, &'a [u8]),
    /// Wrong passwords, for a user of the trunk with this `live` index, from an address that has lately proved that user.
    WrongAsProved(IpAddr, u32, &'a [u8]),
    /// Calls from an address that had proved nothing.
    Strangers(IpAddr),
    /// Those of them that came on top of what is answered with care.
    Flood(IpAddr),
    /// Calls from anywhere that had proved nothing.
    AllStrangers,
    /// New calls of customers, let pass while there is a crowd.
    Customers,
}

impl Live {
    /// Whether one more would be too many at this rate, taking nothing.
    pub fn is_braked(&self, brake: Brake<'_>, rate: Rate) -> bool {
        self.brake(brake).is_some_and(|word| word.peek(rate, map::monotonic_ns()).is_err())
    }

    /// Counts one. `false` when it is one too many; it is not counted then.
    pub fn press(&self, brake: Brake<'_>, rate: Rate) -> bool {
        self.brake(brake).is_none_or(|word| word.take(rate, map::monotonic_ns()).is_ok())
    }

    /// Takes one press of [`Brake::AllStrangers`] back: that stranger has proved itself. One more or fewer changes how soon the
    /// next is answered without a transaction, and no promise; a limit's word is never forgiven (`RateWord::give_back`).
    pub fn forgive_stranger(&self, rate: Rate) {
        RateWord(self.word(L_STRANGERS)).forgive(rate, map::monotonic_ns());
    }

    fn brake(&self, brake: Brake<'_>) -> Option<RateWord<'_>> {
        let keys = self.keys();
        let (field, hash) = match brake {
            Brake::WrongFrom(source) => (0, keys.bytes(Space::Source, &neighbourhood(source))),
            Brake::WrongFor(trunk, user) => (1, keys.credential(trunk, user)),
            Brake::WrongAsProved(source, trunk, user) => {
                let source = keys.bytes(Space::Source, &neighbourhood(source));
                (1, keys.pair(source, keys.credential(trunk, user)))
            }
            Brake::Strangers(source) => (2, keys.bytes(Space::Source, &neighbourhood(source))),
            Brake::Flood(source) => (3, keys.bytes(Space::Source, &neighbourhood(source))),
            Brake::AllStrangers => return Some(RateWord(self.word(L_STRANGERS))),
            Brake::Customers => return Some(RateWord(self.word(L_CUSTOMERS))),
        };
        self.field(field, hash).map(RateWord)
    }

    fn field(&self, field: usize, hash: u64) -> Option<&AtomicU64> {
        let index = (hash % BRAKE_WORDS as u64) as usize;
        self.map.shared_words().get(self.offsets.brakes + field * BRAKE_WORDS + index)
    }
}

/// Who counts as one: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from (RFC 4291 section 2.5.4).
pub(super) fn neighbourhood(source: IpAddr) -> [u8; 8] {
    match source {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            [a, b, c, d, e, f, g, h]
        }
    }
}

#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::*;
    use crate::sync::Ordering;

    pub(in super::super) fn live() -> (tempfile::TempDir, Live) {
        let dir = tempfile::tempdir().expect("a directory");
        let capacity = Capacity { trunks: 1, accounts: 1, gateways: 1, slots: 16, processes: 1 };
        let live = Live::create_or_reopen(dir.path(), capacity).expect("a file");
        // Of random keys, one in some hundred makes two of the entries below share a word.
        live.word(L_KEY_0).store(11, Ordering::Relaxed);
        live.word(L_KEY_1).store(22, Ordering::Relaxed);
        (dir, live)
    }

    #[test]
    fn each_brake_counts_its_own_and_nothing_else() {
        let (_dir, live) = live();
        let rate = Rate::per_second(0.001, Some(3)).unwrap();
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        for brake in [
            Brake::WrongFrom(here),
            Brake::WrongFor(7, b"pbx"),
            Brake::WrongAsProved(here, 7, b"pbx"),
            Brake::Strangers(here),
            Brake::Flood(here),
        ] {
            for _ in 0..3 {
                assert!(!live.is_braked(brake, rate) && live.press(brake, rate), "{brake:?}");
            }
            assert!(live.is_braked(brake, rate) && !live.press(brake, rate), "{brake:?}");
        }
        for brake in [
            Brake::WrongFrom(there),
            Brake::WrongFor(8, b"pbx"),
            Brake::WrongFor(7, b"pby"),
            Brake::WrongAsProved(there, 7, b"pbx"),
            Brake::WrongAsProved(here, 8, b"pbx"),
            Brake::Strangers(there),
            Brake::Flood(there),
            Brake::AllStrangers,
            Brake::Customers,
        ] {
            assert!(!live.is_braked(brake, rate), "{brake:?}");
        }
    }

    #[test]
    fn an_ipv6_host_cannot_walk_through_its_addresses() {
        let (_dir, live) = live();
        let rate = Rate::per_second(0.001, Some(1)).unwrap();
        let address = |text: &str| Brake::WrongFrom(text.parse().unwrap());
        assert!(live.press(address("2001:db8::1"), rate));
        assert!(live.is_braked(address("2001:db8::ffff:2"), rate));
        assert!(!live.is_braked(address("2001:db8:0:1::1"), rate));
    }
}
