//! Addresses and prefixes as words, and the set of prefix lengths that makes a longest match a few exact look-ups.
//!
//! IPv4-mapped IPv6 addresses are IPv4 (RFC 4291 section 2.5.5.2). A length of 0 is everything of its family.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address with its family, ready to be masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    V4(u32),
    V6(u128),
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Address {
        match address.to_canonical() {
            IpAddr::V4(v4) => Address::V4(v4.to_bits()),
            IpAddr::V6(v6) => Address::V6(v6.to_bits()),
        }
    }
}

/// A prefix with its host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Prefix {
    V4(u32, u8),
    V6(u128, u8),
}

impl From<IpNet> for Prefix {
    /// A network inside `::ffff:0:0/96` is the IPv4 network that it maps.
    fn from(net: IpNet) -> Prefix {
        match net {
            IpNet::V4(v4) => Prefix::v4(v4.addr().to_bits(), v4.prefix_len()),
            IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
                (Some(v4), Some(length)) => Prefix::v4(v4.to_bits(), length),
                _ => Prefix::v6(v6.addr().to_bits(), v6.prefix_len()),
            },
        }
    }
}

impl Prefix {
    #[inline]
    pub(crate) fn v4(address: u32, length: u8) -> Prefix {
        Prefix::V4(address & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0), length)
    }

    #[inline]
    pub(crate) fn v6(address: u128, length: u8) -> Prefix {
        Prefix::V6(address & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0), length)
    }
}

/// Which prefix lengths occur: bits 0–32 of the first word for IPv4, its bit 63 for `::/0`, and one bit for each of
/// 1–128 in the two others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lengths(pub(crate) [u64; 3]);

const V6_ALL: u64 = 1 << 63;

impl Lengths {
    pub(crate) fn insert(&mut self, prefix: Prefix) {
        match prefix {
            Prefix::V4(_, length) => self.0[0] |= 1 << length,
            Prefix::V6(_, 0) => self.0[0] |= V6_ALL,
            Prefix::V6(_, length) => self.0[1 + usize::from(length - 1) / 64] |= 1 << ((length - 1) % 64),
        }
    }

    pub(crate) fn union(self, other: Lengths) -> Lengths {
        Lengths([self.0[0] | other.0[0], self.0[1] | other.0[1], self.0[2] | other.0[2]])
    }

    /// The prefixes that could hold this address, longest first: at most 33 or 129 of them.
    #[inline]
    pub(crate) fn candidates(self, address: Address) -> Candidates {
        let bits = match address {
            Address::V4(_) => u128::from(self.0[0] & 0x1_ffff_ffff),
            Address::V6(_) => u128::from(self.0[2]) << 64 | u128::from(self.0[1]),
        };
        let all = matches!(address, Address::V6(_)) && self.0[0] & V6_ALL != 0;
        Candidates { bits, all, address }
    }
}

/// Iterator of [`Lengths::candidates`].
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    bits: u128,
    all: bool,
    address: Address,
}

impl Iterator for Candidates {
    type Item = Prefix;

    #[inline]
    fn next(&mut self) -> Option<Prefix> {
        if self.bits == 0 {
            return std::mem::take(&mut self.all).then_some(Prefix::V6(0, 0));
        }
        let top = 127 - self.bits.leading_zeros() as u8;
        self.bits &= !(1 << top);
        Some(match self.address {
            Address::V4(address) => Prefix::v4(address, top),
            Address::V6(address) => Prefix::v6(address, top + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse::<IpNet>().unwrap().into()
    }

    #[test]
    fn candidates_come_longest_first_and_only_of_the_right_family() {
        let mut lengths = Lengths::default();
        for text in
            ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "0.0.0.0/0", "2001:db8::/32", "::/0", "::1/128"]
        {
            lengths.insert(prefix(text));
        }
        let of = |text: &str| lengths.candidates(text.parse::<IpAddr>().unwrap().into()).collect::<Vec<_>>();
        let v4 = ["10.1.2.3/32", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"].map(prefix);
        assert_eq!(of("10.1.2.3"), v4);
        assert_eq!(of("::ffff:10.1.2.3"), v4);
        assert_eq!(of("2001:db8::5"), ["2001:db8::5/128", "2001:db8::/32", "::/0"].map(prefix));
    }

    #[test]
    fn host_bits_are_cleared_and_mapped_networks_are_ipv4() {
        assert_eq!(prefix("10.1.2.3/8"), Prefix::V4(0x0a00_0000, 8));
        assert_eq!(prefix("::ffff:10.0.0.0/104"), prefix("10.0.0.0/8"));
        assert_eq!(prefix("::ffff:0:0/95"), Prefix::v6(0xffff << 32, 95));
        assert_eq!(Prefix::v6(u128::MAX, 0), Prefix::V6(0, 0));
    }
}
