//! Opening an image and finding things in it.
//!
//! Every search is bounded by the layout, never by what a file claims. Must never write, allocate on a look-up, or panic
//! on any content.

use std::net::IpAddr;
use std::path::Path;

use super::index;
use super::layout::*;
use super::prefix::{Address, Lengths, Prefix};
use super::records::{AccountView, Ha1, TrunkRef, concurrent_of, rate_of};
use super::text::{Stored, Text};
use crate::error::OpenError;
use crate::hash::{CheckSum, Keys, Space};
use crate::map::{Map, Words};
use crate::model::Region;
use crate::rate::Rate;

/// How much of an image to check before using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Header, sizes and the sum of every word: by whoever publishes, and wherever no call waits.
    Everything,
    /// Header and sizes, and every word of images up to a mebibyte: by a worker, between two calls. The publisher has
    /// read the whole file back before it named it.
    BetweenCalls,
}

/// Images up to this many words are always checked whole.
const SMALL_WORDS: usize = 1 << 17;

/// An image mapped for reading.
#[derive(Debug)]
pub struct Image {
    map: Map,
    keys: Keys,
    sections: [(usize, usize); SECTIONS],
}

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
    /// Maps and checks the image at `path`.
    pub fn open(path: &Path, check: Check) -> Result<Image, OpenError> {
        let map = Map::open_read_only(path).map_err(|error| OpenError::io(path, error))?;
        let words = map.words();
        let damaged = |fault| OpenError::Damaged { path: path.to_owned(), fault };
        if words.at(H_MAGIC) != MAGIC {
            return Err(OpenError::Foreign { path: path.to_owned(), what: "table" });
        }
        if words.at(H_LAYOUT) != IMAGE_LAYOUT {
            let found = words.at(H_LAYOUT);
            return Err(OpenError::OtherLayout { path: path.to_owned(), found, wanted: IMAGE_LAYOUT });
        }
        if words.len() < HEADER_WORDS || words.at(H_TOTAL_WORDS) != words.len() as u64 {
            return Err(damaged("its length is not the one in its header"));
        }
        let header = words.range(0, H_HEADER_SUM).iter();
        if CheckSum::of(header) != words.at(H_HEADER_SUM) {
            return Err(damaged("the sum of its header does not agree"));
        }
        let whole = check == Check::Everything || words.len() <= SMALL_WORDS;
        if whole && CheckSum::of(words.range(HEADER_WORDS, words.len()).iter()) != words.at(H_BODY_SUM) {
            return Err(damaged("the sum of its body does not agree"));
        }
        let mut sections = [(0, 0); SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            let word = words.at(H_SECTIONS + index);
            let (from, count) = (high(word) as usize, low(word) as usize);
            if from < HEADER_WORDS || from + count > words.len() {
                return Err(damaged("a section lies outside of it"));
            }
            *section = (from, count);
        }
        let keys = Keys(words.at(H_KEY_0), words.at(H_KEY_1));
        Ok(Image { map, keys, sections })
    }

    #[inline]
    pub(super) fn header(&self, index: usize) -> u64 {
        self.map.words().at(index)
    }

    #[inline]
    pub(super) fn section(&self, section: Section) -> Words<'_> {
        let (from, count) = self.sections[section as usize];
        self.map.words().range(from, count)
    }

    pub(super) fn text<const ROOM: usize>(&self, reference: u64) -> Text<ROOM> {
        Stored::new(self.section(Section::Strings), reference).copy()
    }

    /// The image's own number.
    pub fn generation(&self) -> u32 {
        low(self.header(H_GENERATION))
    }

    /// The generation of the base that this overlay changes; its own number for a base.
    pub fn base_generation(&self) -> u32 {
        low(self.header(H_BASE))
    }

    /// Whether it is an overlay.
    pub fn is_overlay(&self) -> bool {
        self.header(H_SORT) == 2
    }

    /// The store's revision it was made from.
    pub fn revision(&self) -> u64 {
        self.header(H_REVISION)
    }

    /// The region that `regions` of the trunks were compared with.
    pub fn region(&self) -> Option<Region> {
        Region::from_word(self.header(H_REGION))
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.map.words().len() * crate::map::WORD
    }

    /// Trunk records in it, deletions included.
    pub fn trunk_records(&self) -> usize {
        self.section(Section::Trunks).len() / TRUNK_WORDS
    }

    /// The node's rate limit.
    pub fn node_rate(&self) -> Option<Rate> {
        rate_of(self.header(H_NODE_INTERVAL), self.header(H_NODE_LIMITS))
    }

    /// The node's limit of calls at the same time.
    pub fn node_concurrent(&self) -> Option<u32> {
        concurrent_of(self.header(H_NODE_LIMITS))
    }

    /// Whether this host, in lower case, is the one of all inbound URIs.
    pub(crate) fn is_inbound_host(&self, host: &[u8]) -> bool {
        Stored::new(self.section(Section::Strings), self.header(H_INBOUND_HOST)).equals(host)
    }

    /// Whether this host, in lower case, is the bare base domain.
    pub(crate) fn is_base_domain(&self, host: &[u8]) -> bool {
        Stored::new(self.section(Section::Strings), self.header(H_BASE_DOMAIN)).equals(host)
    }

    fn trunk_at(&self, entry: usize) -> TrunkRef {
        TrunkRef::read(self.section(Section::Trunks).range(entry * TRUNK_WORDS, TRUNK_WORDS))
    }

    /// The trunk whose domain is `host`, in lower case.
    pub(crate) fn trunk_by_host(&self, host: &[u8]) -> Found<TrunkRef> {
        let strings = self.section(Section::Strings);
        let suffix = Stored::new(strings, self.header(H_BASE_DOMAIN));
        let Some(label) = host.len().checked_sub(suffix.len() + 1) else { return Found::Nothing };
        if host.get(label) != Some(&b'.') || !suffix.equals(&host[label + 1..]) {
            return Found::Nothing;
        }
        index::candidates(self.section(Section::HostIndex), self.keys.host(host))
            .map(|entry| self.trunk_at(entry))
            .find(|trunk| Stored::new(strings, trunk.record[T_ID]).equals(&host[..label]))
            .map_or(Found::Nothing, |trunk| if trunk.deleted() { Found::Deleted } else { Found::Here(trunk) })
    }

    /// The trunk with this `live` index.
    pub(crate) fn trunk_by_live(&self, live: u32) -> Found<TrunkRef> {
        index::candidates(self.section(Section::LiveIndex), self.keys.word(u64::from(live)))
            .map(|entry| self.trunk_at(entry))
            .find(|trunk| trunk.live == live)
            .map_or(Found::Nothing, |trunk| if trunk.deleted() { Found::Deleted } else { Found::Here(trunk) })
    }

    /// The account with this `live` index.
    pub(crate) fn account(&self, live: u32) -> Found<AccountView> {
        let accounts = self.section(Section::Accounts);
        index::candidates(self.section(Section::AccountIndex), self.keys.word(u64::from(live)))
            .map(|entry| accounts.range(entry * ACCOUNT_WORDS, ACCOUNT_WORDS))
            .find(|record| high(record.at(1)) == live)
            .map_or(Found::Nothing, |record| {
                if record.at(1) & F_DELETED != 0 {
                    Found::Deleted
                } else {
                    Found::Here(AccountView::read(record))
                }
            })
    }

    /// `live` of the application with this inbound user.
    pub(crate) fn application_by_user(&self, user: &[u8]) -> Found<u32> {
        let (users, strings) = (self.section(Section::Users), self.section(Section::Strings));
        index::candidates(self.section(Section::UserIndex), self.keys.bytes(Space::User, &[user]))
            .map(|entry| entry * USER_WORDS)
            .find(|&at| Stored::new(strings, users.at(at)).equals(user))
            .map_or(Found::Nothing, |at| value_found(users.at(at + 1)).map_live())
    }

    /// Whether the trunk lists this address.
    pub fn source_allowed(&self, trunk: &TrunkRef, source: IpAddr) -> bool {
        let live = u64::from(trunk.live);
        trunk.lengths().candidates(Address::from(source)).any(|prefix| match prefix {
            Prefix::V4(address, length) => {
                let key = set4_key(live, address, length);
                index::keyed(self.section(Section::Set4), self.keys.word(key), key, 0).is_some()
            }
            Prefix::V6(address, length) => self.prefix6(address, length, Some(trunk.live)).is_some(),
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
            credential_hash(self.keys, trunk.live, username),
        )
        .map(|entry| credentials.range(entry * CREDENTIAL_WORDS, CREDENTIAL_WORDS))
        .find(|words| {
            words.at(1) == u64::from(trunk.live) && Stored::new(strings, words.at(0)).equals(username)
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

pub(super) const MAP4_VALUE_BITS: u32 = 26;
/// Where the value stands in the last word of an IPv6 prefix of the node's map; the length is below it.
pub(super) const PREFIX6_VALUE: u64 = 0xffff_ffff << 8;
/// Set in the last word of an IPv6 prefix of a trunk's own list.
const PREFIX6_OF_TRUNK: u64 = 1 << 63;

/// Key of a trunk's IPv4 prefix; its top bit keeps it from being 0.
#[inline]
pub(super) fn set4_key(live: u64, address: u32, length: u8) -> u64 {
    1 << 62 | live << 38 | u64::from(address) << 6 | u64::from(length)
}

/// Key of an IPv4 prefix of the node's map.
#[inline]
pub(super) fn map4_key(address: u32, length: u8) -> u64 {
    u64::from(address) << 6 | u64::from(length)
}

/// The three words of an IPv6 prefix: of a trunk's list, or of the node's map with its value still 0.
pub(super) fn prefix6_words(address: u128, length: u8, trunk: Option<u32>) -> [u64; 3] {
    let last = trunk.map_or(0, |live| PREFIX6_OF_TRUNK | u64::from(live) << 8);
    [(address >> 64) as u64, address as u64, last | u64::from(length)]
}

pub(super) fn prefix6_hash(keys: Keys, words: [u64; 3]) -> u64 {
    keys.pair(keys.pair(words[0], words[1]), words[2])
}

pub(super) fn credential_hash(keys: Keys, live: u32, username: &[u8]) -> u64 {
    keys.bytes(Space::Credential, &[&live.to_le_bytes(), username])
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
