//! Which URLs and which addresses may be sent to. The last word is spoken on the address that is connected to.
//!
//! A customer chooses the URL, so without this the daemon would be anybody's way into the operator's network. Names are
//! looked up by [`super::resolver`], which hands out addresses that are checked here. Hosts that are addresses never
//! reach it; [`UrlRules::check_host`] covers them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 500;

/// What a webhook URL may be. The default is strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UrlRules {
    /// Development only: special addresses are as good as others.
    pub allow_private: bool,
    /// Development only: `http:` is as good as `https:`.
    pub allow_http: bool,
}

/// An address that nothing is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address")]
pub struct Denied(pub IpAddr);

impl UrlRules {
    /// Checks a URL when it is set, and returns it in normal form.
    pub fn check(self, text: &str) -> Result<String, String> {
        if text.len() > MAX_URL_BYTES {
            return Err(format!("must be at most {MAX_URL_BYTES} bytes"));
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || "\"'`\\<>".contains(c)) {
            return Err("must have no spaces, control characters, quotes or backslashes".into());
        }
        let url = Url::parse(text).map_err(|error| format!("must be a URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err("must be https (webhooks.dangerous_allow_http is off)".into()),
            _ => return Err("must be an https URL".into()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no user name or password".into());
        }
        if url.fragment().is_some() {
            return Err("must have no fragment".into());
        }
        if url.port() == Some(0) {
            return Err("must not have port 0".into());
        }
        self.check_host(&url).map_err(|denied| denied.to_string())?;
        Ok(url.into())
    }

    /// Checks a host that is an address, in whatever notation it was written: `Url` has normalised it.
    pub fn check_host(self, url: &Url) -> Result<(), Denied> {
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check_address(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => self.check_address(IpAddr::V6(v6)),
            _ => Ok(()),
        }
    }

    /// Checks an address just before it is connected to.
    pub fn check_address(self, address: IpAddr) -> Result<(), Denied> {
        if self.allow_private || is_public(address) { Ok(()) } else { Err(Denied(address)) }
    }
}

/// Whether an address is one that strangers may be told to reach: global unicast that maps to nothing else.
/// Source: the IANA special-purpose address registries for IPv4 and IPv6.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b) {
        (0 | 10 | 127, _) => true,           // this network, private, loopback
        (100, 64..=127) => true,             // carrier-grade NAT
        (169, 254) => true,                  // link-local, cloud metadata
        (172, 16..=31) | (192, 168) => true, // private
        (192, 0) => c == 0 || c == 2,        // protocol assignments, documentation
        (192, 88) => c == 99,                // 6to4 relay
        (198, 18 | 19) => true,              // benchmarks
        (198, 51) => c == 100,               // documentation
        (203, 0) => c == 113,                // documentation
        (224.., _) => true,                  // multicast, reserved, broadcast
        _ => false,
    };
    !special
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
    fn urls_are_checked_in_every_notation() {
        let strict = UrlRules::default();
        assert_eq!(
            strict.check("https://hooks.example.com/a?b=c").unwrap(),
            "https://hooks.example.com/a?b=c"
        );
        for bad in [
            "",
            "hooks.example.com",
            "http://hooks.example.com/",
            "ftp://hooks.example.com/",
            "https://u:p@hooks.example.com/",
            "https://hooks.example.com/#f",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://0/",
            "https://169.254.169.254/latest/meta-data",
            "https://hooks.example.com/\r\nX: y",
            "https://hooks.example.com:0/",
            "https://127.0.0.1./",
            "https://①②⑦.⓪.⓪.①/",
        ] {
            assert!(strict.check(bad).is_err(), "{bad:?}");
        }
        let open = UrlRules { allow_private: true, allow_http: true };
        assert!(open.check("http://127.0.0.1:9000/hook").is_ok());
        assert!(open.check(&format!("https://h.example/{}", "x".repeat(500))).is_err());
    }
}
