//! The configuration as the daemon hands it to the image builder: plain values, no layout, no I/O.
//!
//! The same types feed the reference models of the property tests. They must never carry a clear-text password.

use core::fmt;
use core::str::FromStr;

use ipnet::IpNet;

use crate::rate::Rate;

/// How a "no limit" is written in a 32-bit limit word.
pub const UNLIMITED: u32 = u32::MAX;
/// Longest trunk or account id in bytes: a DNS label (RFC 1035 section 2.3.4).
pub const MAX_ID_BYTES: usize = 63;
/// Most gateways a trunk may have: the tried ones of a call are one bit each in one word.
pub const MAX_GATEWAYS: usize = 64;
/// Longest text of a gateway, in bytes.
pub const MAX_GATEWAY_BYTES: usize = 255;
/// `live` indexes must stay below this: they share a word with an address in the source index.
pub const MAX_LIVE_INDEX: u32 = (1 << 24) - 1;

/// The whole configuration of one node at one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The store's revision that this table was made from.
    pub revision: u64,
    /// Where this node stands; compared with each trunk's `regions`.
    pub region: Region,
    /// The domain below which each trunk has its own: `{trunk id}.{base_domain}`, lower case.
    pub base_domain: String,
    /// The host of every inbound URI, lower case.
    pub inbound_host: String,
    /// Limits over all calls of the node.
    pub node: Limits,
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All trunks and voice applications.
    pub trunks: Vec<Trunk>,
}

/// Limits of a trunk, an account or the node. `None` is unlimited; a limit of 0 admits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Calls per second, with burst.
    pub rate: Option<Rate>,
    /// Calls at the same time, ringing ones included.
    pub concurrent: Option<u32>,
}

/// A customer: owner of trunks, with limits over all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// DNS label, unique.
    pub id: String,
    /// Index of the account's words in `live`, kept for the account's life.
    pub live: u32,
    /// A disabled account refuses the calls of all its trunks.
    pub enabled: bool,
    /// Limits over all trunks of the account.
    pub limits: Limits,
}

/// A SIP trunk, or a voice application's inbound URI.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// DNS label, unique; the first label of the trunk's domain.
    pub id: String,
    /// Index of the trunk's words in `live`, kept for the trunk's life.
    pub live: u32,
    /// `live` index of the account that owns it.
    pub account: Option<u32>,
    /// Trunk or voice application.
    pub kind: Kind,
    /// User part of the inbound URI (voice applications).
    pub inbound_user: Option<String>,
    /// A disabled trunk refuses every call.
    pub enabled: bool,
    /// What a caller must prove.
    pub auth: AuthMode,
    /// The trunk's own limits.
    pub limits: Limits,
    /// Regions it may be used in: `None` is everywhere, an empty list nowhere.
    pub regions: Option<Vec<Region>>,
    /// Networks whose calls are taken for the trunk's own.
    pub sources: Vec<IpNet>,
    /// Digest credentials.
    pub credentials: Vec<Credential>,
    /// Where calls go, in any order.
    pub gateways: Vec<Gateway>,
    /// Final answers after which the next gateway is tried.
    pub failover: FailoverCodes,
    /// Refuse calls that did not come over TLS.
    pub secure: bool,
}

/// What a trunk is, for the customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A SIP trunk with its own domain.
    #[default]
    Trunk,
    /// A voice application, reached by an inbound URI.
    Application,
}

/// What a caller must prove (design section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// A listed address needs no password, others need one.
    #[default]
    Any,
    /// Listed address and password.
    All,
    /// Password, whatever the address.
    Password,
    /// Listed address.
    Ip,
}

/// One digest user of a trunk. Only the hash over `user:realm:password` is kept (RFC 7616 section 3.4.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Digest user name, at most 255 bytes.
    pub username: String,
    /// MD5 of `user:realm:password`.
    pub ha1_md5: [u8; 16],
    /// SHA-256 of `user:realm:password`.
    pub ha1_sha256: [u8; 32],
}

impl fmt::Debug for Credential {
    /// The hashes are as good as the password for SIP, so they never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One place that calls of a trunk may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `sip:address[:port][;transport=udp|tcp|tls]`. For an address that a name leads to, what [`Gateway::named`] makes:
    /// calls are addressed to the name and sent to the address. At most [`MAX_GATEWAY_BYTES`].
    pub uri: String,
    /// Index of the gateway's health word in `live`.
    pub live: u32,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among gateways of one priority, at least 1 (RFC 2782).
    pub weight: u16,
}

impl Gateway {
    /// What stands for an address that a name leads to: the URI with the name, a space, the URI with the address.
    pub fn named(name: &str, address: &str) -> String {
        format!("{name} {address}")
    }

    /// The URI that was configured, and the one that calls are sent to.
    pub fn parts(&self) -> (&str, &str) {
        self.uri.split_once(' ').unwrap_or((&self.uri, &self.uri))
    }
}

/// A region: two upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region([u8; 2]);

impl Region {
    /// The two letters as they stand in an image header.
    pub(crate) fn to_word(self) -> u64 {
        u64::from(self.0[0]) << 8 | u64::from(self.0[1])
    }

    /// The inverse of [`Region::to_word`]; `None` for anything that is not two letters.
    pub(crate) fn from_word(word: u64) -> Option<Region> {
        let [.., a, b] = word.to_be_bytes();
        (word <= 0xffff && a.is_ascii_uppercase() && b.is_ascii_uppercase()).then_some(Region([a, b]))
    }
}

/// A region that is not two upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a region is two upper-case letters, such as US")]
pub struct RegionError;

impl FromStr for Region {
    type Err = RegionError;

    fn from_str(text: &str) -> Result<Region, RegionError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(Region([*a, *b])),
            _ => Err(RegionError),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.0[0]), char::from(self.0[1]))
    }
}

/// The SIP final answers (400–699) after which another gateway is tried, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FailoverCodes(pub(crate) [u64; FailoverCodes::WORDS]);

/// A failover code outside 400–699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no SIP failure: failover codes are 400 to 699")]
pub struct FailoverCodeError(pub u16);

impl FailoverCodes {
    pub(crate) const WORDS: usize = 5;

    /// The set of exactly these codes.
    pub fn from_codes(codes: &[u16]) -> Result<FailoverCodes, FailoverCodeError> {
        let mut words = [0; FailoverCodes::WORDS];
        for &code in codes {
            if !(400..700).contains(&code) {
                return Err(FailoverCodeError(code));
            }
            let bit = usize::from(code - 400);
            words[bit / 64] |= 1 << (bit % 64);
        }
        Ok(FailoverCodes(words))
    }

    /// Whether this final answer lets the call go on to the next gateway.
    pub fn contains(&self, code: u16) -> bool {
        let Some(bit) = code.checked_sub(400).map(usize::from) else { return false };
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

impl Default for FailoverCodes {
    /// 408, 480, 500, 502, 503, 504: the gateway's trouble, not the callee's choice.
    fn default() -> FailoverCodes {
        let mut words = [0; FailoverCodes::WORDS];
        for code in [408_usize, 480, 500, 502, 503, 504] {
            words[(code - 400) / 64] |= 1 << ((code - 400) % 64);
        }
        FailoverCodes(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failover_codes_hold_what_was_put_in_and_nothing_else() {
        let set = FailoverCodes::from_codes(&[400, 463, 464, 699]).unwrap();
        for code in 0..=1000 {
            assert_eq!(set.contains(code), [400, 463, 464, 699].contains(&code), "{code}");
        }
        assert_eq!(FailoverCodes::from_codes(&[503, 200]), Err(FailoverCodeError(200)));
        assert_eq!(
            FailoverCodes::default(),
            FailoverCodes::from_codes(&[408, 480, 500, 502, 503, 504]).unwrap()
        );
    }

    #[test]
    fn regions_are_two_upper_case_letters() {
        assert_eq!("US".parse::<Region>().unwrap().to_string(), "US");
        for bad in ["", "U", "us", "USA", "U1", "Ü"] {
            assert_eq!(bad.parse::<Region>(), Err(RegionError), "{bad}");
        }
        let region: Region = "DE".parse().unwrap();
        assert_eq!(Region::from_word(region.to_word()), Some(region));
        assert_eq!(Region::from_word(0), None);
    }

    #[test]
    fn a_credential_prints_without_its_hashes() {
        let credential = Credential { username: "a".into(), ha1_md5: [7; 16], ha1_sha256: [9; 32] };
        assert_eq!(format!("{credential:?}"), "Credential { username: \"a\", .. }");
    }
}
