//! Look-ups in one image.
//!
//! Every search is bounded by the layout, never by what a file claims. Must never write, allocate, or panic on any
//! content.

use std::net::IpAddr;

use super::host::Host;
use super::index;
use super::keys::*;
use super::layout::*;
use super::prefix::{Address, Lengths, Prefix};
use super::read::Image;
use super::records::{AccountView, Ha1, TrunkRef};
use super::text::Stored;
use crate::hash::Space;

/// What a look-up in one image says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// This image says nothing about it.
    Nothing,
    /// An overlay says: gone.
    Deleted,
    /// Here it is.
    Here(T),
}

impl Image {
    /// The record of a trunk that was found.
    #[inline]
    pub(crate) fn trunk(&self, entry: u32) -> TrunkRef {
        TrunkRef::of(
            self.section(Section::Trunks).array(entry as usize * BLOCK_WORDS + T_COPIED.start),
            entry,
        )
    }

    /// Asks for so many lines of the block that a host leads to.
    #[inline]
    pub(crate) fn ask<const LINES: usize>(&self, host: &Host) {
        let block = self.section(Section::Trunks).range(self.block_of(host) * BLOCK_WORDS, BLOCK_WORDS);
        (0..LINES).for_each(|line| block.prefetch(line * LINE_WORDS));
    }

    /// Where the trunk is whose domain is this host.
    #[inline]
    pub(crate) fn trunk_by_host(&self, host: &Host) -> Found<u32> {
        let suffix = &self.trunk_suffix;
        let Some(id_length @ 1..) = host.len().checked_sub(suffix.len()) else { return Found::Nothing };
        if suffix.is_empty() || !host.ends_with(suffix.words(), id_length) {
            return Found::Nothing;
        }
        let (trunks, entry) = (self.section(Section::Trunks), self.block_of(host));
        let id = trunks.at(entry * BLOCK_WORDS + T_ID);
        if low(id) as usize != id_length {
            return Found::Nothing;
        }
        let is_it = if high(id) == IN_RECORD {
            host.begins_with(trunks.range(entry * BLOCK_WORDS + T_NAME, NAME_WORDS), id_length)
        } else {
            Stored::new(self.section(Section::Strings), id).begins(host)
        };
        if is_it { self.trunk_found(entry) } else { Found::Nothing }
    }

    #[inline]
    fn trunk_found(&self, entry: usize) -> Found<u32> {
        let flags = self.section(Section::Trunks).at(entry * BLOCK_WORDS + T_FLAGS);
        if flags & F_DELETED != 0 { Found::Deleted } else { Found::Here(entry as u32) }
    }

    /// Where the trunk with this `live` index is.
    pub(crate) fn trunk_by_live(&self, live: u32) -> Found<u32> {
        index::candidates(self.section(Section::LiveIndex), self.keys.word(u64::from(live)))
            .find(|&entry| high(self.section(Section::Trunks).at(entry * BLOCK_WORDS + T_LIVE)) == live)
            .map_or(Found::Nothing, |entry| self.trunk_found(entry))
    }

    /// Where the account with this `live` index is.
    #[inline]
    pub(crate) fn account_by_live(&self, live: u32) -> Found<u32> {
        let accounts = self.section(Section::Accounts);
        index::candidates(self.section(Section::AccountIndex), self.keys.word(u64::from(live)))
            .map(|entry| (entry as u32, accounts.at(entry * ACCOUNT_WORDS + A_LIVE)))
            .find(|&(_, word)| high(word) == live)
            .map_or(Found::Nothing, |(entry, word)| match word & F_DELETED {
                0 => Found::Here(entry),
                _ => Found::Deleted,
            })
    }

    /// The record of an account that was found.
    #[inline]
    pub(crate) fn account(&self, entry: u32) -> AccountView {
        AccountView::of(self.section(Section::Accounts).array(entry as usize * ACCOUNT_WORDS))
    }

    /// The account of a trunk of this image, if it is where the trunk's record says.
    #[inline]
    pub(crate) fn account_at(&self, trunk: &TrunkRef, live: u32) -> Option<AccountView> {
        let entry = trunk.account_entry();
        let is_there = (entry as usize) < self.section(Section::Accounts).len() / ACCOUNT_WORDS;
        Some(self.account(entry)).filter(|account| is_there && account.is_of(live))
    }

    /// `live` of the application with this inbound user.
    pub(crate) fn application_by_user(&self, user: &[u8]) -> Found<u32> {
        let (users, strings) = (self.section(Section::Users), self.section(Section::Strings));
        index::candidates(self.section(Section::UserIndex), self.keys.bytes(Space::User, user))
            .map(|entry| entry * USER_WORDS)
            .find(|&at| Stored::new(strings, users.at(at)).equals(user))
            .map_or(Found::Nothing, |at| value_found(users.at(at + 1)).map_live())
    }

    /// Whether the trunk lists this address.
    #[inline]
    pub fn source_allowed(&self, trunk: &TrunkRef, source: IpAddr) -> bool {
        let source = Address::from(source);
        match source {
            Address::V4(address) if !trunk.has_far_sources() => {
                let (from, count) = trunk.near_sources();
                self.section(Section::Trunks).range(from, count).iter().any(|near| holds(near, address))
            }
            _ => self.looked_up(trunk, source),
        }
    }

    /// Whether the trunk lists this address, among those that are looked up.
    fn looked_up(&self, trunk: &TrunkRef, source: Address) -> bool {
        let live = u64::from(trunk.live());
        self.lengths(trunk).candidates(source).any(|prefix| match prefix {
            Prefix::V4(address, length) => {
                let key = set4_key(live, address, length);
                index::keyed(self.section(Section::Set4), self.keys.word(key), key, 0).is_some()
            }
            Prefix::V6(address, length) => self.prefix6(address, length, Some(trunk.live())).is_some(),
        })
    }

    /// Which lengths occur among all sources of this image.
    pub(crate) fn source_lengths(&self) -> Lengths {
        Lengths(core::array::from_fn(|index| self.header(H_LENGTHS + index)))
    }

    /// What this image says about one prefix: [`VALUE_AMBIGUOUS`] or more.
    pub(crate) fn source(&self, prefix: Prefix) -> Found<u64> {
        let value = match prefix {
            Prefix::V4(address, length) => {
                let key = map4_key(address, length);
                index::keyed(self.section(Section::Map4), self.keys.word(key), key, MAP4_VALUE_BITS)
            }
            Prefix::V6(address, length) => self.prefix6(address, length, None),
        };
        value.map_or(Found::Nothing, value_found)
    }

    /// The value of an IPv6 prefix: of one trunk's list, or of the node's map.
    fn prefix6(&self, address: u128, length: u8, trunk: Option<u32>) -> Option<u64> {
        let table = self.section(Section::Prefixes6);
        let wanted = prefix6_words(address, length, trunk);
        index::candidates(self.section(Section::Index6), prefix6_hash(self.keys, wanted))
            .map(|entry| table.range(entry * V6_WORDS, V6_WORDS))
            .find(|words| {
                let last = if trunk.is_some() { words.at(2) } else { words.at(2) & !PREFIX6_VALUE };
                [words.at(0), words.at(1), last] == wanted
            })
            .map(|words| (words.at(2) & PREFIX6_VALUE) >> 8)
    }

    /// The hashes of a trunk's digest user.
    pub fn credential(&self, trunk: &TrunkRef, username: &[u8]) -> Option<Ha1> {
        let (credentials, strings) = (self.section(Section::Credentials), self.section(Section::Strings));
        index::candidates(
            self.section(Section::CredentialIndex),
            credential_hash(self.keys, trunk.live(), username),
        )
        .map(|entry| credentials.range(entry * CREDENTIAL_WORDS, CREDENTIAL_WORDS))
        .find(|words| {
            words.at(1) == u64::from(trunk.live()) && Stored::new(strings, words.at(0)).equals(username)
        })
        .map(|words| {
            let mut ha1 = Ha1 { md5: [0; 16], sha256: [0; 32] };
            for (index, chunk) in ha1.md5.chunks_mut(8).chain(ha1.sha256.chunks_mut(8)).enumerate() {
                chunk.copy_from_slice(&words.at(2 + index).to_le_bytes());
            }
            ha1
        })
    }
}

fn value_found(value: u64) -> Found<u64> {
    if value == VALUE_DELETED { Found::Deleted } else { Found::Here(value) }
}

impl Found<u64> {
    fn map_live(self) -> Found<u32> {
        match self {
            Found::Here(value) => value
                .checked_sub(VALUE_LIVE)
                .and_then(|live| u32::try_from(live).ok())
                .map_or(Found::Nothing, Found::Here),
            Found::Deleted => Found::Deleted,
            Found::Nothing => Found::Nothing,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::image::{Check, build_base, golden};
    use crate::model::Trunk;

    #[test]
    fn whoever_is_led_to_anothers_block_or_to_an_empty_one_is_nobody() {
        let mut table = golden::table();
        let other = table.trunks.swap_remove(2);
        let trunk = |live: u32| Trunk { id: format!("{live:03}"), live, ..other.clone() };
        table.trunks = (0..100).map(trunk).collect();
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("base");
        let words = build_base(&table, 1, [5, 6]).expect("an image");
        std::fs::write(&path, words.to_bytes()).expect("a file");
        let image = Image::open(&path, Check::Everything).expect("an image");
        let host = |n: u32| Host::new(format!("{n:03}.sip.example").as_bytes());
        let owners: HashMap<usize, u32> = (0..100).map(|live| (image.block_of(&host(live)), live)).collect();
        assert_eq!(owners.len(), 100);
        for (&block, &live) in &owners {
            assert_eq!(image.trunk_by_host(&host(live)), Found::Here(block as u32));
            assert_eq!(image.trunk(block as u32).live(), live);
        }
        let led_to_others: Vec<bool> =
            (100..1_000).map(|stranger| owners.contains_key(&image.block_of(&host(stranger)))).collect();
        assert!(led_to_others.contains(&true) && led_to_others.contains(&false), "both are tried");
        assert!((100..1_000).all(|stranger| image.trunk_by_host(&host(stranger)) == Found::Nothing));
        for host in
            [".sip.example", "sip.example", "", "007.sip.exampl", "007.sip.examples", "07.sip.example"]
        {
            assert_eq!(image.trunk_by_host(&Host::new(host.as_bytes())), Found::Nothing, "{host:?}");
        }
    }
}
