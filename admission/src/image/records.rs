//! What look-ups answer: small values copied out of an image, and places in it.
//!
//! Nothing here borrows the mapping. What is a place (names, addresses, gateways, URIs, failover codes) must be asked for in the image
//! that gave it, before a newer one is mapped; after that it may name anything, and must still harm nobody.

use super::layout::*;
use super::prefix::Lengths;
use super::read::Image;
use super::text::{Label, MAX_TEXT, Text};
use crate::model::{AuthMode, FailoverCodes, Kind, UNLIMITED};
use crate::rate::Rate;

/// Both hashes of a digest user.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ha1 {
    /// MD5 of `user:realm:password`.
    pub md5: [u8; 16],
    /// SHA-256 of `user:realm:password`.
    pub sha256: [u8; 32],
}

/// What the node knows about a source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceMatch {
    /// No trunk lists it.
    None,
    /// Its longest prefix is listed by more than one trunk.
    Ambiguous,
    /// Its longest prefix is listed by exactly the trunk with this `live` index.
    Trunk(u32),
}

/// A gateway of a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayView {
    /// Position in the trunk's list, which is in order of priority.
    pub position: usize,
    /// Index of its health word.
    pub live: u32,
    /// Lower is tried first.
    pub priority: u16,
    /// Share within its priority.
    pub weight: u16,
    pub(super) uri: u64,
}

/// What every call wants of a trunk's record, copied; and where the rest of its block is, in the image that it was found in.
#[derive(Clone, Copy, Debug)]
pub struct TrunkRef {
    record: [u64; T_COPIED.end - T_COPIED.start],
    /// The number of its block.
    entry: u32,
}

impl TrunkRef {
    #[inline]
    pub(super) fn of(record: [u64; T_COPIED.end - T_COPIED.start], entry: u32) -> TrunkRef {
        TrunkRef { record, entry }
    }

    #[inline]
    fn word(&self, word: usize) -> u64 {
        self.record[word - T_COPIED.start]
    }

    /// Index of its words in `live`.
    #[inline]
    pub fn live(&self) -> u32 {
        high(self.word(T_LIVE))
    }

    /// `live` index of its account.
    #[inline]
    pub fn account(&self) -> Option<u32> {
        Some(low(self.word(T_LIVE))).filter(|&account| account != NO_ACCOUNT)
    }

    /// Where its account's record is in the image that it was found in, if it is there.
    #[inline]
    pub(super) fn account_entry(&self) -> u32 {
        high(self.word(T_SUM))
    }

    fn flag(&self, flag: u64) -> bool {
        self.word(T_FLAGS) & flag != 0
    }

    /// Whether it is switched on.
    pub fn enabled(&self) -> bool {
        self.flag(F_ENABLED)
    }

    /// Whether calls must come over TLS.
    pub fn secure(&self) -> bool {
        self.flag(F_SECURE)
    }

    /// Whether it may be used in the image's region.
    pub fn region_allowed(&self) -> bool {
        self.flag(F_REGION)
    }

    /// Whether it lists any address.
    pub fn has_sources(&self) -> bool {
        self.flag(F_SOURCES)
    }

    /// Whether it has any credential.
    pub fn has_credentials(&self) -> bool {
        self.flag(F_CREDENTIALS)
    }

    /// Trunk or application.
    pub fn kind(&self) -> Kind {
        if self.flag(F_APPLICATION) { Kind::Application } else { Kind::Trunk }
    }

    /// What a caller must prove.
    pub fn auth(&self) -> AuthMode {
        match self.word(T_FLAGS) >> F_AUTH_SHIFT & 3 {
            0 => AuthMode::Any,
            1 => AuthMode::All,
            2 => AuthMode::Password,
            _ => AuthMode::Ip,
        }
    }

    /// Its rate limit.
    pub fn rate(&self) -> Option<Rate> {
        rate_of(self.word(T_INTERVAL), self.word(T_LIMITS))
    }

    /// Its limit of calls at the same time.
    pub fn concurrent(&self) -> Option<u32> {
        concurrent_of(self.word(T_LIMITS))
    }

    /// Whether its IPv4 prefixes are too many to stand behind the record.
    #[inline]
    pub(super) fn has_far_sources(&self) -> bool {
        self.flag(F_FAR_SOURCES)
    }

    /// Where a word of its block stands in the section.
    #[inline]
    fn in_block(&self, word: usize) -> usize {
        self.entry as usize * BLOCK_WORDS + word
    }

    /// Where the prefixes behind the record begin in the section, and how many there are.
    #[inline]
    pub(super) fn near_sources(&self) -> (usize, usize) {
        let count = low(self.word(T_GATEWAYS)) as usize >> NEAR_SHIFT;
        (self.in_block(TRUNK_WORDS), count.min(NEAR_SOURCES))
    }

    /// Where its gateways begin in the section.
    #[inline]
    fn gateways_at(&self) -> usize {
        high(self.word(T_GATEWAYS)) as usize
    }

    /// How many gateways it has.
    pub fn gateway_count(&self) -> usize {
        usize::from(self.word(T_GATEWAYS) as u16).min(crate::model::MAX_GATEWAYS)
    }

    /// A number that differs when the list of gateways does.
    pub(crate) fn gateway_sum(&self) -> u32 {
        low(self.word(T_SUM))
    }
}

/// An account's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountView {
    record: [u64; ACCOUNT_WORDS],
}

impl AccountView {
    #[inline]
    pub(super) fn of(record: [u64; ACCOUNT_WORDS]) -> AccountView {
        AccountView { record }
    }

    /// Whether it is the one whose words in `live` have this index.
    #[inline]
    pub(super) fn is_of(&self, live: u32) -> bool {
        high(self.record[A_LIVE]) == live && self.record[A_LIVE] & F_DELETED == 0
    }

    #[inline]
    pub(crate) fn enabled(&self) -> bool {
        self.record[A_LIVE] & F_ENABLED != 0
    }

    #[inline]
    pub(crate) fn rate(&self) -> Option<Rate> {
        rate_of(self.record[2], self.record[3])
    }

    #[inline]
    pub(crate) fn concurrent(&self) -> Option<u32> {
        concurrent_of(self.record[3])
    }
}

pub(super) fn rate_of(interval: u64, limits: u64) -> Option<Rate> {
    (interval != u64::MAX).then(|| Rate::from_words(interval, high(limits)))
}

pub(super) fn concurrent_of(limits: u64) -> Option<u32> {
    Some(low(limits)).filter(|&limit| limit != UNLIMITED)
}

impl Image {
    /// Which prefix lengths occur in the trunk's list.
    pub(super) fn lengths(&self, trunk: &TrunkRef) -> Lengths {
        Lengths(self.section(Section::Trunks).array(trunk.in_block(T_LENGTHS)))
    }

    /// The trunk's id.
    #[inline(always)]
    pub fn trunk_id(&self, trunk: &TrunkRef) -> Label {
        let id = trunk.word(T_ID);
        if high(id) == IN_RECORD {
            let name: [u64; NAME_WORDS] = self.section(Section::Trunks).array(trunk.in_block(T_NAME));
            Label::of(&name, low(id) as usize)
        } else {
            self.text(id)
        }
    }

    /// The trunk's domain: its id below the base domain.
    pub fn trunk_domain(&self, trunk: &TrunkRef) -> Text {
        let mut domain = Text::EMPTY;
        domain.push(self.trunk_id(trunk).as_bytes());
        domain.push(b".");
        domain.push(self.text::<MAX_TEXT>(self.header(H_BASE_DOMAIN)).as_bytes());
        domain
    }

    /// The host of all inbound URIs.
    pub fn inbound_host(&self) -> Text {
        self.text(self.header(H_INBOUND_HOST))
    }

    #[inline(always)]
    pub(crate) fn account_id(&self, account: &AccountView) -> Label {
        Text::stored(self.section(Section::Strings), account.record[A_ID])
    }

    /// Asks for the URI of the trunk's first gateway, which most calls take, and for what stands behind it: the next one's, unless other
    /// trunks have named that before. Answers the index of the first one's health word.
    #[inline]
    pub(crate) fn prefetch_gateway(&self, trunk: &TrunkRef) -> Option<u32> {
        let first = self.gateways(trunk).next()?;
        let (strings, from) = (self.section(Section::Strings), high(first.uri) as usize);
        strings.prefetch(from);
        strings.prefetch(from + LINE_WORDS - 1);
        Some(first.live)
    }

    /// The trunk's gateways in order of priority.
    pub fn gateways<'a>(&'a self, trunk: &TrunkRef) -> impl Iterator<Item = GatewayView> + Clone + use<'a> {
        let first = trunk.gateways_at();
        let table = self.section(Section::Trunks);
        (0..trunk.gateway_count()).map(move |position| {
            let [uri, numbers] = table.array(first + position * GATEWAY_WORDS);
            GatewayView {
                position,
                live: high(numbers),
                priority: (numbers >> 16) as u16,
                weight: numbers as u16,
                uri,
            }
        })
    }

    /// The gateway's URI as it was configured, and the one that calls are sent to: `crate::model::Gateway::uri`.
    pub fn gateway_text(&self, gateway: &GatewayView) -> Text {
        self.text(gateway.uri)
    }

    /// The final answers after which the trunk's next gateway is tried.
    pub fn failover_codes(&self, trunk: &TrunkRef) -> FailoverCodes {
        let first = high(trunk.word(T_FLAGS)) as usize * SET_WORDS;
        let sets = self.section(Section::Sets);
        FailoverCodes(core::array::from_fn(|index| sets.at(first + index)))
    }
}
