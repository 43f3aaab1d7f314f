//! What look-ups answer: small values copied out of an image, valid as long as the caller keeps them.
//!
//! Nothing here refers to the mapping, so a caller may go on with its answer while a newer image is mapped.

use super::layout::*;
use super::prefix::Lengths;
use super::read::Image;
use super::text::{Label, MAX_TEXT, Text};
use crate::map::Words;
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

/// The fixed part of a trunk's record.
#[derive(Clone, Copy, Debug)]
pub struct TrunkRef {
    /// Index of its words in `live`.
    pub live: u32,
    /// `live` index of its account.
    pub account: Option<u32>,
    pub(super) record: [u64; TRUNK_WORDS],
}

impl TrunkRef {
    pub(super) fn read(words: Words<'_>) -> TrunkRef {
        let record = core::array::from_fn(|index| words.at(index));
        let account = low(record[T_LIVE]);
        TrunkRef { live: high(record[T_LIVE]), account: (account != NO_ACCOUNT).then_some(account), record }
    }

    fn flag(&self, flag: u64) -> bool {
        self.record[T_FLAGS] & flag != 0
    }

    /// Whether it is switched on.
    pub fn enabled(&self) -> bool {
        self.flag(F_ENABLED)
    }

    /// Whether it is the overlay's note that the trunk is gone.
    pub(crate) fn deleted(&self) -> bool {
        self.flag(F_DELETED)
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
        match self.record[T_FLAGS] >> F_AUTH_SHIFT & 3 {
            0 => AuthMode::Any,
            1 => AuthMode::All,
            2 => AuthMode::Password,
            _ => AuthMode::Ip,
        }
    }

    /// Its rate limit.
    pub fn rate(&self) -> Option<Rate> {
        rate_of(self.record[T_INTERVAL], self.record[T_LIMITS])
    }

    /// Its limit of calls at the same time.
    pub fn concurrent(&self) -> Option<u32> {
        concurrent_of(self.record[T_LIMITS])
    }

    /// How many gateways it has.
    pub fn gateway_count(&self) -> usize {
        (low(self.record[T_GATEWAYS]) as usize).min(crate::model::MAX_GATEWAYS)
    }

    /// A number that differs when the list of gateways does.
    pub(crate) fn gateway_sum(&self) -> u32 {
        low(self.record[T_GATEWAY_SUM])
    }

    pub(super) fn lengths(&self) -> Lengths {
        Lengths([self.record[T_LENGTHS], self.record[T_LENGTHS + 1], self.record[T_LENGTHS + 2]])
    }
}

/// An account's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountView {
    pub(crate) enabled: bool,
    pub(crate) rate: Option<Rate>,
    pub(crate) concurrent: Option<u32>,
    pub(super) id: u64,
}

impl AccountView {
    pub(super) fn read(words: Words<'_>) -> AccountView {
        AccountView {
            id: words.at(0),
            enabled: words.at(1) & F_ENABLED != 0,
            rate: rate_of(words.at(2), words.at(3)),
            concurrent: concurrent_of(words.at(3)),
        }
    }
}

pub(super) fn rate_of(interval: u64, limits: u64) -> Option<Rate> {
    (interval != u64::MAX).then(|| Rate::from_words(interval, high(limits)))
}

pub(super) fn concurrent_of(limits: u64) -> Option<u32> {
    Some(low(limits)).filter(|&limit| limit != UNLIMITED)
}

impl Image {
    /// The trunk's id.
    pub fn trunk_id(&self, trunk: &TrunkRef) -> Label {
        self.text(trunk.record[T_ID])
    }

    /// The trunk's domain: its id below the base domain.
    pub fn trunk_domain(&self, trunk: &TrunkRef) -> Text {
        let mut domain: Text = self.text(trunk.record[T_ID]);
        domain.push(b".");
        domain.push(self.text::<MAX_TEXT>(self.header(H_BASE_DOMAIN)).as_bytes());
        domain
    }

    /// The host of all inbound URIs.
    pub fn inbound_host(&self) -> Text {
        self.text(self.header(H_INBOUND_HOST))
    }

    pub(crate) fn account_id(&self, account: &AccountView) -> Label {
        self.text(account.id)
    }

    /// The trunk's gateways in order of priority.
    pub fn gateways<'a>(&'a self, trunk: &TrunkRef) -> impl Iterator<Item = GatewayView> + Clone + use<'a> {
        let first = high(trunk.record[T_GATEWAYS]) as usize;
        let table = self.section(Section::Gateways);
        (0..trunk.gateway_count()).map(move |position| {
            let at = (first + position) * GATEWAY_WORDS;
            let numbers = table.at(at + 1);
            GatewayView {
                position,
                live: high(numbers),
                priority: (numbers >> 16) as u16,
                weight: numbers as u16,
                uri: table.at(at),
            }
        })
    }

    /// The gateway's URI.
    pub fn gateway_uri(&self, gateway: &GatewayView) -> Text {
        self.text(gateway.uri)
    }

    /// The final answers after which the trunk's next gateway is tried.
    pub fn failover_codes(&self, trunk: &TrunkRef) -> FailoverCodes {
        let first = high(trunk.record[T_FLAGS]) as usize * SET_WORDS;
        let sets = self.section(Section::Sets);
        FailoverCodes(core::array::from_fn(|index| sets.at(first + index)))
    }
}
