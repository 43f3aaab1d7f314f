//! Trust: which addresses have lately proved the password of which user of a trunk.
//!
//! A word for each, found by a keyed hash: 32 bits of that hash, and the second of the monotonic clock until which it holds. The
//! latest takes the place of whoever stood there. It must never let anything pass by itself: it only says whose guesses
//! are not held against an address.

use std::net::IpAddr;

use super::Live;
use super::brakes::neighbourhood;
use super::layout::TRUST_WORDS;
use crate::hash::Space;
use crate::map;
use crate::sync::{AtomicU64, Ordering};

/// How long a right password speaks for the address it came from, in seconds.
const TRUST_S: u64 = 3_600;

impl Live {
    /// This address has proved the password of this user of a trunk.
    pub fn trust(&self, source: IpAddr, trunk: u32, user: &[u8]) {
        if let Some((word, print)) = self.trust_word(source, trunk, user) {
            word.store(print | (now_s() + TRUST_S) & LOW_HALF, Ordering::Relaxed);
        }
    }

    /// Whether it has within the last hour: then what others did to the same user is not held against it.
    pub fn is_trusted(&self, source: IpAddr, trunk: u32, user: &[u8]) -> bool {
        self.trust_word(source, trunk, user).is_some_and(|(word, print)| {
            let found = word.load(Ordering::Relaxed);
            found & !LOW_HALF == print && found & LOW_HALF > now_s()
        })
    }

    /// Its word, and what its high half is when it is the one who stands there. Place and fingerprint are of different bits.
    fn trust_word(&self, source: IpAddr, trunk: u32, user: &[u8]) -> Option<(&AtomicU64, u64)> {
        let keys = self.keys();
        let source = keys.bytes(Space::Source, &neighbourhood(source));
        let hash = keys.pair(source, keys.credential(trunk, user));
        let index = (hash % TRUST_WORDS as u64) as usize;
        Some((self.map.shared_words().get(self.offsets.trust + index)?, hash & !LOW_HALF))
    }
}

const LOW_HALF: u64 = 0xffff_ffff;

/// Seconds of the monotonic clock: 32 bits of them are 136 years.
fn now_s() -> u64 {
    map::monotonic_ns() / 1_000_000_000
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::brakes::tests::live;
    use super::*;

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

    #[test]
    fn whoever_shares_the_word_is_not_trusted_for_it() {
        let (_dir, live) = live();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..40_000 {
            live.trust(address(number), 7, b"pbx");
        }
        let known = (0..40_000).filter(|&number| live.is_trusted(address(number), 7, b"pbx")).count();
        assert!(known > 25_000, "{known} of 40000 kept their word");
        let strangers =
            (40_000..140_000).filter(|&number| live.is_trusted(address(number), 7, b"pbx")).count();
        assert_eq!(strangers, 0);
    }

    #[test]
    fn trust_ends() {
        let (_dir, live) = live();
        let here = IpAddr::from([192, 0, 2, 1]);
        live.trust(here, 7, b"pbx");
        let (word, print) = live.trust_word(here, 7, b"pbx").expect("a word");
        word.store(print | now_s(), Ordering::Relaxed);
        assert!(!live.is_trusted(here, 7, b"pbx"));
    }
}
