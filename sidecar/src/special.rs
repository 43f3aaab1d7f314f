//! Addresses that are not just anybody's: the blocks that the IANA special-purpose registries list.
//!
//! One list for all who ask: what a webhook may be sent to, and which sources an inbound URI may name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

/// What a block is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing on the public internet comes from it.
    Special,
    /// Examples in documents (RFC 5737): nothing comes from it, and it may stand in for what does.
    Documentation,
}

const fn block(a: u8, b: u8, c: u8, prefix: u8, purpose: Use) -> (Ipv4Net, Use) {
    (Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix), purpose)
}

const V4: [(Ipv4Net, Use); 15] = [
    block(0, 0, 0, 8, Use::Special),      // this network
    block(10, 0, 0, 8, Use::Special),     // private
    block(100, 64, 0, 10, Use::Special),  // carrier-grade NAT
    block(127, 0, 0, 8, Use::Special),    // loopback
    block(169, 254, 0, 16, Use::Special), // link-local, cloud metadata
    block(172, 16, 0, 12, Use::Special),  // private
    block(192, 0, 0, 24, Use::Special),   // protocol assignments
    block(192, 0, 2, 24, Use::Documentation),
    block(192, 88, 99, 24, Use::Special), // 6to4 relay
    block(192, 168, 0, 16, Use::Special), // private
    block(198, 18, 0, 15, Use::Special),  // benchmarks
    block(198, 51, 100, 24, Use::Documentation),
    block(203, 0, 113, 24, Use::Documentation),
    block(224, 0, 0, 4, Use::Special), // multicast
    block(240, 0, 0, 4, Use::Special), // reserved, broadcast
];

/// Whether an address is one that strangers may be told to reach: global unicast that maps to nothing else.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !V4.iter().any(|(block, _)| block.contains(&v4)),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The first block of no public use that has addresses in common with a network. Documentation is none: it harms nobody
/// in a list of sources, and every example is written with it.
pub(crate) fn not_public_within(network: Ipv4Net) -> Option<Ipv4Net> {
    let shares = |block: &Ipv4Net| block.contains(&network) || network.contains(block);
    let special = V4.iter().filter(|(_, purpose)| *purpose == Use::Special);
    special.map(|(block, _)| *block).find(shares)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Outside 2000::/3 lie loopback, mapped, NAT64, unique local, link-local and multicast addresses.
    let global = a & 0xe000 == 0x2000;
    let special = match a {
        0x2001 => b < 0x200 || b == 0xdb8, // Teredo, ORCHID and other protocol assignments; documentation
        0x2002 => true,                    // 6to4: an IPv4 address in disguise
        0x3fff => b < 0x1000,              // documentation
        _ => false,
    };
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_network_is_public_if_all_of_it_is() {
        for good in ["8.8.8.8/32", "203.0.113.0/24", "192.0.2.16/28", "11.0.0.0/8", "192.0.3.0/24"] {
            assert_eq!(not_public_within(good.parse().unwrap()), None, "{good}");
        }
        for (bad, block) in [
            ("10.1.2.0/24", "10.0.0.0/8"),
            ("8.0.0.0/6", "10.0.0.0/8"),
            ("192.0.0.0/8", "192.0.0.0/24"),
            ("127.0.0.1/32", "127.0.0.0/8"),
            ("0.0.0.0/1", "0.0.0.0/8"),
        ] {
            assert_eq!(not_public_within(bad.parse().unwrap()).unwrap().to_string(), block, "{bad}");
        }
    }
}
