//! Brakes: how often an address, or a user of a trunk, has lately done what only attackers do often.
//!
//! Limiter words like those of the trunks, found by a keyed hash: what is remembered is bounded whatever is sent, decays by
//! itself, and costs neither a lock nor a list. Two that meet on one word share it, one in eight thousand; a word is only
//! ever asked about calls that have proved nothing. It must never take part in a decision about a call that has.

use std::net::IpAddr;

use super::Live;
use super::layout::*;
use crate::hash::Space;
use crate::map;
use crate::rate::{Rate, RateWord};
use crate::sync::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brake<'a> {
    /// Wrong passwords from an address.
    WrongFrom(IpAddr),
    /// Wrong passwords for a user of the trunk with this `live` index, known or not.
    WrongFor(u32, &'a [u8]),
    /// Calls from an address that had proved nothing.
    Strangers(IpAddr),
    /// Those of them that came on top of what is answered with care.
    Flood(IpAddr),
    /// Calls from anywhere that had proved nothing.
    AllStrangers,
}

/// How long a look at the receive buffers counts, in nanoseconds: longer than until the next one, so that a node does not
/// swing between too much and nothing.
const BACKLOG_NS: u64 = 3_000_000_000;

/// How long a right password speaks for the address it came from, in nanoseconds.
const TRUST_NS: u64 = 3_600_000_000_000;

impl Live {
    /// Whether one more would be too many at this rate, taking nothing.
    pub fn is_braked(&self, brake: Brake<'_>, rate: Rate) -> bool {
        self.brake(brake).is_some_and(|word| word.peek(rate, map::monotonic_ns()).is_err())
    }

    /// Counts one. `false` when it is one too many; it is not counted then.
    pub fn press(&self, brake: Brake<'_>, rate: Rate) -> bool {
        self.brake(brake).is_none_or(|word| word.take(rate, map::monotonic_ns()).is_ok())
    }

    /// This address has proved the password of this user of a trunk.
    pub fn trust(&self, source: IpAddr, trunk: u32, user: &[u8]) {
        if let Some(word) = self.trust_word(source, trunk, user) {
            word.fetch_max(map::monotonic_ns().saturating_add(TRUST_NS), Ordering::Relaxed);
        }
    }

    /// Whether it has within the last hour: then what others did to the same user is not held against it.
    pub fn is_trusted(&self, source: IpAddr, trunk: u32, user: &[u8]) -> bool {
        self.trust_word(source, trunk, user)
            .is_some_and(|word| word.load(Ordering::Relaxed) > map::monotonic_ns())
    }

    /// What one look at the receive buffers found. A smaller find does not take the place of a larger one that still counts.
    pub fn note_backlog(&self, percent: u32) {
        if percent >= self.backlog() {
            self.word(L_BACKLOG).store(percent.into(), Ordering::Relaxed);
            self.word(L_BACKLOG_UNTIL).store(map::monotonic_ns() + BACKLOG_NS, Ordering::Relaxed);
        }
    }

    /// How full the receive buffers have lately been, in percent.
    pub fn backlog(&self) -> u32 {
        match self.word(L_BACKLOG).load(Ordering::Relaxed) {
            0 => 0,
            _ if self.word(L_BACKLOG_UNTIL).load(Ordering::Relaxed) < map::monotonic_ns() => 0,
            percent => u32::try_from(percent).unwrap_or(u32::MAX),
        }
    }

    fn brake(&self, brake: Brake<'_>) -> Option<RateWord<'_>> {
        let keys = self.keys();
        let (field, hash) = match brake {
            Brake::WrongFrom(source) => (0, keys.bytes(Space::Source, &neighbourhood(source))),
            Brake::WrongFor(trunk, user) => (1, keys.credential(trunk, user)),
            Brake::Strangers(source) => (2, keys.bytes(Space::Source, &neighbourhood(source))),
            Brake::Flood(source) => (3, keys.bytes(Space::Source, &neighbourhood(source))),
            Brake::AllStrangers => return Some(RateWord(self.word(L_STRANGERS))),
        };
        self.field(field, hash).map(RateWord)
    }

    fn trust_word(&self, source: IpAddr, trunk: u32, user: &[u8]) -> Option<&AtomicU64> {
        let keys = self.keys();
        let source = keys.bytes(Space::Source, &neighbourhood(source));
        self.field(TRUST_FIELD, keys.pair(source, keys.credential(trunk, user)))
    }

    fn field(&self, field: usize, hash: u64) -> Option<&AtomicU64> {
        let index = (hash % BRAKE_WORDS as u64) as usize;
        self.map.shared_words().get(self.offsets.brakes + field * BRAKE_WORDS + index)
    }
}

/// Who counts as one: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from (RFC 4291 section 2.5.4).
fn neighbourhood(source: IpAddr) -> [u8; 8] {
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
mod tests {
    use super::*;

    fn live() -> (tempfile::TempDir, Live) {
        let dir = tempfile::tempdir().expect("a directory");
        let capacity = Capacity { trunks: 1, accounts: 1, gateways: 1, slots: 16, processes: 1 };
        let live = Live::create_or_reopen(dir.path(), capacity).expect("a file");
        (dir, live)
    }

    #[test]
    fn each_brake_counts_its_own_and_nothing_else() {
        let (_dir, live) = live();
        let rate = Rate::per_second(0.001, Some(3)).unwrap();
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        for brake in
            [Brake::WrongFrom(here), Brake::WrongFor(7, b"pbx"), Brake::Strangers(here), Brake::Flood(here)]
        {
            for _ in 0..3 {
                assert!(!live.is_braked(brake, rate) && live.press(brake, rate), "{brake:?}");
            }
            assert!(live.is_braked(brake, rate) && !live.press(brake, rate), "{brake:?}");
        }
        for brake in [
            Brake::WrongFrom(there),
            Brake::WrongFor(8, b"pbx"),
            Brake::WrongFor(7, b"pby"),
            Brake::Strangers(there),
            Brake::Flood(there),
            Brake::AllStrangers,
        ] {
            assert!(!live.is_braked(brake, rate), "{brake:?}");
        }
    }

    #[test]
    fn a_backlog_counts_for_a_while_and_the_largest_stands() {
        let (_dir, live) = live();
        assert_eq!(live.backlog(), 0);
        live.note_backlog(80);
        live.note_backlog(10);
        assert_eq!(live.backlog(), 80);
        live.word(L_BACKLOG_UNTIL).store(map::monotonic_ns() - 1, Ordering::Relaxed);
        assert_eq!(live.backlog(), 0);
        live.note_backlog(10);
        assert_eq!(live.backlog(), 10);
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

    #[test]
    fn a_right_password_speaks_for_its_address_and_user_alone() {
        let (_dir, live) = live();
        let (here, there) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!(!live.is_trusted(here, 7, b"pbx"));
        live.trust(here, 7, b"pbx");
        assert!(live.is_trusted(here, 7, b"pbx"));
        assert!(!live.is_trusted(there, 7, b"pbx") && !live.is_trusted(here, 8, b"pbx"));
        assert!(!live.is_trusted(here, 7, b"other"));
    }
}
