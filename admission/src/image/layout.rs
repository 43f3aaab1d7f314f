//! Where things stand in an image, in words. Shared by the builder and the reader; nothing else may know an offset.
//!
//! Changing anything here means raising [`LAYOUT_VERSION`]: `tests/golden` holds the bytes of each version.

/// First word of an image: "TRNKIMG1".
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"TRNKIMG1");
pub(super) const LAYOUT_VERSION: u64 = 5;
/// The layout word: version and a number derived from every size below.
pub(super) const IMAGE_LAYOUT: u64 = LAYOUT_VERSION << 32
    | (HEADER_WORDS * 31
        + SECTIONS * 37
        + TRUNK_WORDS * 41
        + BLOCK_WORDS * 71
        + PILOT_BITS as usize * 73
        + ACCOUNT_WORDS * 43
        + CREDENTIAL_WORDS * 47
        + GATEWAY_WORDS * 53
        + V6_WORDS * 59
        + USER_WORDS * 61
        + SET_WORDS * 67) as u64;

/// Words before the first section.
pub(super) const HEADER_WORDS: usize = 64;
pub(super) const H_MAGIC: usize = 0;
pub(super) const H_LAYOUT: usize = 1;
pub(super) const H_TOTAL_WORDS: usize = 2;
pub(super) const H_GENERATION: usize = 3;
pub(super) const H_REVISION: usize = 4;
/// Sum over every word after the header.
pub(super) const H_BODY_SUM: usize = 5;
pub(super) const H_SORT: usize = 6;
pub(super) const SORT_BASE: u64 = 1;
pub(super) const SORT_OVERLAY: u64 = 2;
/// Generation of the base that an overlay belongs to; of itself for a base.
pub(super) const H_BASE: usize = 7;
pub(super) const H_KEY_0: usize = 8;
pub(super) const H_KEY_1: usize = 9;
pub(super) const H_REGION: usize = 10;
pub(super) const H_BASE_DOMAIN: usize = 11;
pub(super) const H_INBOUND_HOST: usize = 12;
pub(super) const H_NODE_INTERVAL: usize = 13;
/// Burst in the high half, calls at the same time in the low half.
pub(super) const H_NODE_LIMITS: usize = 14;
/// Which prefix lengths occur among all sources: three words as in [`super::prefix::Lengths`].
pub(super) const H_LENGTHS: usize = 15;
/// Trunks of the whole table, of which an overlay holds only the changed ones.
pub(super) const H_TRUNKS: usize = 18;
/// Places of blocks that a host leads to: how many.
pub(super) const H_PLACES: usize = 19;
/// One word for each section: offset in the high half, length in the low half, both in words.
pub(super) const H_SECTIONS: usize = 20;
/// Sum over all other header words.
pub(super) const H_HEADER_SUM: usize = 63;

/// What the body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Section {
    /// A block for each trunk ([`BLOCK_WORDS`]): its record, the IPv4 prefixes of its list if they are few, its gateways if there is room
    /// for them, so that what one call reads lies on neighbouring cache lines. First the blocks that a host leads to, each in the place
    /// that [`super::placed`] says; then those that only `live` leads to; then the gateways that found no room.
    Trunks = 0,
    Accounts = 1,
    Credentials = 2,
    /// IPv6 prefixes of trunks and of the node.
    Prefixes6 = 3,
    /// Inbound users.
    Users = 4,
    /// Distinct failover sets.
    Sets = 5,
    Strings = 6,
    /// The pilots of [`super::placed`]: host → place of its trunk's block.
    Pilots = 7,
    /// Index: `live` → trunk.
    LiveIndex = 8,
    /// Index: `live` → account.
    AccountIndex = 9,
    /// Index: inbound user → user entry.
    UserIndex = 10,
    /// Index: (trunk, user name) → credential.
    CredentialIndex = 11,
    /// Index: IPv6 prefix → prefix entry.
    Index6 = 12,
    /// Set of (trunk, IPv4 prefix), the key itself in each bucket: of trunks that list more than [`NEAR_SOURCES`].
    Set4 = 13,
    /// Map: IPv4 prefix → trunk, key and value in each bucket.
    Map4 = 14,
}

pub(super) const SECTIONS: usize = 15;

/// Words of a cache line.
pub(super) const LINE_WORDS: usize = 8;
/// A trunk's block: whole lines, and the same for all, so that its place can be computed.
pub(super) const BLOCK_WORDS: usize = BLOCK_LINES * LINE_WORDS;
pub(crate) const BLOCK_LINES: usize = 4;
/// A trunk record: what a block begins with.
pub(super) const TRUNK_WORDS: usize = 15;
/// Most IPv4 prefixes that stand behind their trunk's record: address in the high half, the bits of a host in the low half.
pub(super) const NEAR_SOURCES: usize = BLOCK_WORDS - TRUNK_WORDS;
/// A short id, padded with zeros.
pub(super) const T_NAME: usize = 0;
/// Words of a short id: a UUID fits.
pub(super) const NAME_WORDS: usize = 5;
/// The id: offset in the strings in the high half, length in bytes in the low half. A short one stands in the record
/// itself, where it costs no look elsewhere, and its offset is [`IN_RECORD`].
pub(super) const T_ID: usize = 5;
/// `live` of the trunk in the high half, of its account in the low half ([`NO_ACCOUNT`] when it has none).
pub(super) const T_LIVE: usize = 6;
/// Bits below, failover set in the high half.
pub(super) const T_FLAGS: usize = 7;
pub(super) const T_INTERVAL: usize = 8;
pub(super) const T_LIMITS: usize = 9;
/// Where in the section its gateways begin in the high half; in the low half how many prefixes stand behind the record, above
/// [`NEAR_SHIFT`], and how many gateways there are.
pub(super) const T_GATEWAYS: usize = 10;
pub(super) const NEAR_SHIFT: u32 = 16;
/// Sum that changes when the list of gateways does, in the low half; in the high half where the account's record is in this image, and
/// [`ELSEWHERE`] when it is not.
pub(super) const T_SUM: usize = 11;
pub(super) const ELSEWHERE: u32 = u32::MAX;
/// The words that are copied on every call.
pub(super) const T_COPIED: core::ops::Range<usize> = T_ID..T_SUM + 1;
/// Prefix lengths in use, three words.
pub(super) const T_LENGTHS: usize = 12;
pub(super) const IN_RECORD: u32 = u32::MAX;

pub(super) const NO_ACCOUNT: u32 = u32::MAX;

pub(super) const F_ENABLED: u64 = 1 << 0;
pub(super) const F_DELETED: u64 = 1 << 1;
pub(super) const F_AUTH_SHIFT: u32 = 2;
pub(super) const F_APPLICATION: u64 = 1 << 4;
pub(super) const F_SECURE: u64 = 1 << 5;
pub(super) const F_REGION: u64 = 1 << 6;
pub(super) const F_SOURCES: u64 = 1 << 7;
pub(super) const F_CREDENTIALS: u64 = 1 << 8;
/// Its IPv4 prefixes are in [`Section::Set4`].
pub(super) const F_FAR_SOURCES: u64 = 1 << 9;

/// An account record: id, `live` and flags, interval, limits.
pub(super) const ACCOUNT_WORDS: usize = 4;
/// The word of an account that is its id.
pub(super) const A_ID: usize = 0;
/// The word of an account whose high half is its `live`; flags in the low half.
pub(super) const A_LIVE: usize = 1;
/// A credential: user name, `live` of its trunk, MD5 (2), SHA-256 (4).
pub(super) const CREDENTIAL_WORDS: usize = 8;
/// A gateway: URI, `live` with priority and weight.
pub(super) const GATEWAY_WORDS: usize = 2;
/// An IPv6 prefix: address (2), value with length.
pub(super) const V6_WORDS: usize = 3;
/// An inbound user: string, `live` of its trunk or [`VALUE_DELETED`].
pub(super) const USER_WORDS: usize = 2;
/// A failover set.
pub(super) const SET_WORDS: usize = crate::model::FailoverCodes::WORDS;

/// Bits of a pilot.
pub(super) const PILOT_BITS: u32 = 16;

/// A value of the source maps: nothing is listed here any more (overlays).
pub(super) const VALUE_DELETED: u64 = 1;
/// A value of the source maps: more than one trunk lists this prefix.
pub(crate) const VALUE_AMBIGUOUS: u64 = 2;
/// A value of the source maps: this plus `live` of the only trunk that lists the prefix.
pub(crate) const VALUE_LIVE: u64 = 3;

/// Two halves of a word.
pub(super) const fn halves(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// The high half.
pub(super) const fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The low half.
pub(super) const fn low(word: u64) -> u32 {
    word as u32
}
