//! What lies below a trunk: networks, digest users, gateways.
//!
//! Each has an id of its own and is known within its trunk by one natural key too: network, user name, URI.

use std::fmt;

use ipnet::IpNet;
use uuid::Uuid;

use super::Stamp;

/// One entry of a trunk's address list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpAcl {
    /// Version 7 UUID; nil asks the store for one, or for the one that the same network has already.
    pub id: Uuid,
    /// Canonical network; a single address is /32 or /128. Unique within the trunk.
    pub network: IpNet,
    /// A disabled entry counts as absent.
    pub enabled: bool,
    /// For people.
    pub description: String,
    /// Set by the store.
    pub stamp: Stamp,
}

/// One digest user.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Version 7 UUID; nil asks the store for one, or for the one that the same user name has already.
    pub id: Uuid,
    /// User name, unique within the trunk.
    pub username: String,
    /// MD5 of `user:realm:password`.
    pub ha1_md5: [u8; 16],
    /// SHA-256 of `user:realm:password`.
    pub ha1_sha256: [u8; 32],
    /// A disabled user counts as absent.
    pub enabled: bool,
    /// For people.
    pub description: String,
    /// Set by the store.
    pub stamp: Stamp,
}

impl fmt::Debug for Credential {
    /// The hashes are as good as the password for SIP, so they never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One gateway of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginationUri {
    /// Version 7 UUID; nil asks the store for one, or for the one that the same URI has already.
    pub id: Uuid,
    /// `sip:host[:port][;transport=udp|tcp|tls]`, unique within the trunk.
    pub uri: String,
    /// Lower is tried first.
    pub priority: u16,
    /// Share among the gateways of one priority, at least 1.
    pub weight: u16,
    /// A disabled gateway counts as absent.
    pub enabled: bool,
    /// For people.
    pub description: String,
    /// Set by the store.
    pub stamp: Stamp,
}

/// One address that a gateway's name leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GatewayAddress {
    /// Lower is tried first, among the addresses of one gateway.
    pub tier: u16,
    /// `sip:address[:port][;transport=udp|tcp|tls]`, once for each gateway.
    pub uri: String,
    /// Share among those of its tier, at least 1.
    pub weight: u16,
}

/// How a gateway is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// Every one, in the order of their names' growing safety.
    pub const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

    /// As it stands in a URI's `transport` parameter, in the API and in files.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_prints_without_its_hashes() {
        let credential = Credential {
            id: Uuid::nil(),
            username: "a".into(),
            ha1_md5: [7; 16],
            ha1_sha256: [9; 32],
            enabled: true,
            description: String::new(),
            stamp: Stamp::default(),
        };
        assert_eq!(format!("{credential:?}"), "Credential { username: \"a\", .. }");
    }
}
