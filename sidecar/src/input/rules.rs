//! The rules of single values: what a label, a host, a network, a gateway and a plain text may look like.
//!
//! Pure. Each refuses CR, LF, NUL and quotes, which could leak into SIP, SQL, TOML or dispatcher attributes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use trunk_admission::model::{AuthMode, Region, RegionError};
use uuid::Uuid;

use super::problem::Broken;
use crate::domain::{Millis, Transport, WebhookMethod, auth_mode_from_name};
use crate::gateways::Target;
use crate::secret::{SigningKey, WebhookSecret};
use crate::special;

/// Longest text for people, in characters.
pub(crate) const MAX_TEXT_CHARS: usize = 255;
/// Longest gateway URI, in bytes.
pub(crate) const MAX_URI_BYTES: usize = 255;
/// Longest gateway URI with a name, in bytes: shared memory has room for it with an address that the name leads to.
const MAX_NAMED_URI_BYTES: usize = 175;
/// Longest host name, in bytes (RFC 1035 section 2.3.4).
pub(crate) const MAX_HOST_BYTES: usize = 253;

/// Longest base domain, in bytes: an id that trunkd has made and a dot stand before it in a trunk's domain.
const MAX_BASE_DOMAIN_BYTES: usize = MAX_HOST_BYTES - 37;

/// Fewest different characters of a SIP password: a repeated key is no secret.
const MIN_DIFFERENT_CHARS: usize = 5;
/// Fewest and most characters of a SIP password.
pub(crate) const PASSWORD_CHARS: RangeInclusive<usize> = 12..=128;

/// A time (RFC 3339), to the millisecond.
pub(crate) fn instant(text: &str) -> Result<Millis, Broken> {
    let at: Result<Timestamp, _> = text.parse();
    let rule = "must be a time such as 2026-01-31T12:00:00Z";
    at.map(Timestamp::as_millisecond).map_err(|_| Broken::new("invalid_time", rule))
}

/// An id: a DNS label in lower case.
pub(crate) fn label(text: &str) -> Result<String, Broken> {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    let rule = "must be a DNS label: 1 to 63 of a-z, 0-9 and -, not at the ends -";
    good.then(|| text.to_owned()).ok_or(Broken::new("invalid_label", rule))
}

/// A host name of one or more labels, in lower case.
pub(crate) fn host(text: &str) -> Result<String, Broken> {
    let good = text.len() <= MAX_HOST_BYTES && text.split('.').all(|part| label(part).is_ok());
    let rule = "must be a host name in lower case, such as sip.example.net";
    good.then(|| text.to_owned()).ok_or(Broken::new("invalid_host", rule))
}

/// The host name that trunks' domains are below.
pub(crate) fn base_domain(text: &str) -> Result<String, Broken> {
    let host = host(text)?;
    if host.len() > MAX_BASE_DOMAIN_BYTES {
        let rule =
            format!("must be at most {MAX_BASE_DOMAIN_BYTES} bytes: a trunk's id and a dot stand before it");
        return Err(Broken::new("too_long", rule));
    }
    Ok(host)
}

/// A text for people.
pub(crate) fn text(text: &str) -> Result<String, Broken> {
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(Broken::new("too_long", format!("must be at most {MAX_TEXT_CHARS} characters")));
    }
    let bad = |c: char| c.is_control() || matches!(c, '"' | '\'' | '`' | '\\' | '\u{2028}' | '\u{2029}');
    if text.contains(bad) {
        let rule = "must have no control characters, quotes or backslashes";
        return Err(Broken::new("forbidden_characters", rule));
    }
    Ok(text.to_owned())
}

/// A digest user name.
pub(crate) fn username(text: &str) -> Result<String, Broken> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._~+-".contains(&c);
    let good = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
    let rule = "must be 1 to 64 of a-z, A-Z, 0-9 and . _ ~ + -";
    good.then(|| text.to_owned()).ok_or(Broken::new("invalid_username", rule))
}

/// An application's inbound URI at this host: its user, a version 4 UUID as it is written.
pub(crate) fn inbound_uri(text: &str, host: &str) -> Result<Uuid, Broken> {
    let user = text.strip_prefix("sip:").and_then(|rest| rest.strip_suffix(host)?.strip_suffix('@'));
    let user = user.and_then(|user| Some((user, user.parse::<Uuid>().ok()?)));
    match user {
        // Whoever guesses it may try passwords: another version is not random enough.
        Some((written, user)) if user.get_version_num() == 4 && user.to_string() == written => Ok(user),
        _ => Err(Broken::new(
            "invalid_sip_uri",
            format!("must be sip:<a version 4 UUID in lower case>@{host}"),
        )),
    }
}

/// A SIP password. The rule never repeats it.
pub(crate) fn password(text: &str) -> Result<String, Broken> {
    let length = text.chars().count();
    if !PASSWORD_CHARS.contains(&length) {
        let (min, max) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
        return Err(Broken::new(
            "weak_password",
            format!("must have {min} to {max} characters, has {length}"),
        ));
    }
    if text.contains(char::is_control) {
        return Err(Broken::new("forbidden_characters", "must have no control characters"));
    }
    let mut different: Vec<char> = text.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < MIN_DIFFERENT_CHARS {
        let rule = format!("must have at least {MIN_DIFFERENT_CHARS} different characters");
        return Err(Broken::new("weak_password", rule));
    }
    Ok(text.to_owned())
}

/// A region.
pub(crate) fn region(text: &str) -> Result<Region, Broken> {
    text.parse().map_err(|error: RegionError| Broken::new("invalid_region", error.to_string()))
}

/// What a caller must prove.
pub(crate) fn auth_mode(text: &str) -> Result<AuthMode, Broken> {
    let broken = || Broken::new("invalid_auth_mode", "must be any, all, password or ip");
    auth_mode_from_name(text).ok_or_else(broken)
}

/// How gateways are reached.
pub(crate) fn transport(text: &str) -> Result<Transport, Broken> {
    let broken = || Broken::new("invalid_transport", "must be udp, tcp or tls");
    Transport::ALL.into_iter().find(|transport| transport.name() == text).ok_or_else(broken)
}

/// The HTTP method of a webhook.
pub(crate) fn webhook_method(text: &str) -> Result<WebhookMethod, Broken> {
    let broken = || Broken::new("invalid_webhook_method", "must be POST or GET");
    WebhookMethod::ALL.into_iter().find(|method| method.name() == text).ok_or_else(broken)
}

/// The key of a webhook's second signature. The rule never repeats it.
pub(crate) fn signing_key(text: &str) -> Result<SigningKey, Broken> {
    SigningKey::parse(text).map_err(|error| Broken::new("invalid_signing_key", error.to_string()))
}

/// A webhook's signing key. The rule never repeats it.
pub(crate) fn webhook_secret(text: &str) -> Result<WebhookSecret, Broken> {
    WebhookSecret::parse(text).map_err(|error| Broken::new("invalid_webhook_secret", error.to_string()))
}

/// An address, or a network in canonical form.
pub(crate) fn network(text: &str) -> Result<IpNet, Broken> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            let rule = "must be an IPv4 or IPv6 address or network, such as 203.0.113.0/24";
            Broken::new("invalid_network", rule)
        })?,
    };
    if network != network.trunc() {
        let rule = format!("has bits beyond its mask; write {}", network.trunc());
        return Err(Broken::new("not_canonical", rule));
    }
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && v6.network().to_ipv4_mapped().is_some()
    {
        return Err(Broken::new("mapped_address", "is an IPv4 address in IPv6 form; write it as IPv4"));
    }
    Ok(network)
}

/// A source of calls to an inbound URI: a public IPv4 network in canonical form, or `0.0.0.0/0` for everyone.
pub(crate) fn source(text: &str, allow_private: bool) -> Result<Ipv4Net, Broken> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Err(Broken::new("not_cidr", format!("must have a mask; write {address}/32")));
    }
    let network = text.parse::<Ipv4Net>().map_err(|_| {
        Broken::new("not_ipv4", "must be an IPv4 network in CIDR form, such as 203.0.113.0/24")
    })?;
    let canonical = network.trunc().to_string();
    if canonical != text {
        return Err(Broken::new("not_canonical", format!("is not in canonical form; write {canonical}")));
    }
    match special::not_public_within(network) {
        Some(block) if network.prefix_len() > 0 && !allow_private => {
            Err(Broken::new("not_public", format!("is not public: it shares addresses with {block}")))
        }
        _ => Ok(network),
    }
}

/// A gateway: `sip:host[:port][;transport=udp|tcp|tls]`.
pub(crate) fn gateway_uri(text: &str) -> Result<String, Broken> {
    if text.len() > MAX_URI_BYTES {
        return Err(Broken::new("too_long", format!("must be at most {MAX_URI_BYTES} bytes")));
    }
    gateway_parts(text).map_err(|rule| Broken::new("invalid_gateway_uri", rule))?;
    if text.len() > MAX_NAMED_URI_BYTES && Target::of(text, Transport::Udp).is_some() {
        let rule = format!("must be at most {MAX_NAMED_URI_BYTES} bytes when it names a host");
        return Err(Broken::new("too_long", rule));
    }
    Ok(text.to_owned())
}

fn gateway_parts(text: &str) -> Result<(), &'static str> {
    const GATEWAY: &str = "must be sip:host[:port][;transport=udp|tcp|tls]";
    let rest = text.strip_prefix("sip:").ok_or(GATEWAY)?;
    let (place, transport) = rest.split_once(';').map_or((rest, None), |(place, rest)| (place, Some(rest)));
    if transport.is_some_and(|value| !matches!(value, "transport=udp" | "transport=tcp" | "transport=tls")) {
        return Err(GATEWAY);
    }
    let (name, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(GATEWAY)?;
            address.parse::<Ipv6Addr>().map_err(|_| GATEWAY)?;
            (None, after.strip_prefix(':').map(Some).or((after.is_empty()).then_some(None)).ok_or(GATEWAY)?)
        }
        None => place.split_once(':').map_or((Some(place), None), |(name, port)| (Some(name), Some(port))),
    };
    if let Some(port) = port {
        let digits = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
        if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err("must have a port of 1 to 65535");
        }
    }
    let Some(name) = name else { return Ok(()) };
    // A name whose last label is a number would be an address, and must then be a whole one.
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
    let good = if numeric { name.parse::<Ipv4Addr>().is_ok() } else { host(name).is_ok() };
    good.then_some(()).ok_or(GATEWAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_needs_its_offset() {
        assert_eq!(instant("1970-01-01T00:00:01.5Z").unwrap(), 1_500);
        assert_eq!(instant("1970-01-01T01:00:00+01:00").unwrap(), 0);
        for bad in ["", "1970-01-01", "1970-01-01T00:00:00", "yesterday", "0"] {
            assert_eq!(instant(bad).unwrap_err().code, "invalid_time", "{bad}");
        }
    }

    #[test]
    fn labels() {
        for good in ["a", "acme-1", "0", &"x".repeat(63)] {
            assert!(label(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a\n", "ü", &"x".repeat(64)] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_base_domain_leaves_room_for_an_id() {
        let of = |bytes: usize| "a.".repeat(bytes / 2) + &"b".repeat(bytes % 2 + 2);
        assert_eq!(of(214).len(), 216);
        assert!(base_domain(&of(214)).is_ok() && host(&of(215)).is_ok());
        assert_eq!(base_domain(&of(215)).unwrap_err().code, "too_long");
        assert_eq!(base_domain("Sip.example.net").unwrap_err().code, "invalid_host");
    }

    #[test]
    fn texts_refuse_what_could_leak() {
        assert!(text("Müller & Söhne GmbH").is_ok());
        for bad in ["a\rb", "a\nb", "a\0b", "a\"b", "a'b", "a\\b", &"x".repeat(256)] {
            assert!(text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn networks_are_canonical() {
        for (written, read) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(network(written).unwrap().to_string(), read);
        }
        for bad in [
            "",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2",
            "010.0.0.1",
            "::ffff:192.0.2.1",
            "fe80::1%eth0",
            "x",
        ] {
            assert!(network(bad).is_err(), "{bad}");
        }
        let broken = network("10.0.0.1/24").unwrap_err();
        assert_eq!(
            (broken.code, &*broken.rule),
            ("not_canonical", "has bits beyond its mask; write 10.0.0.0/24")
        );
    }

    #[test]
    fn gateways() {
        for good in [
            "sip:gw.example.net",
            "sip:192.0.2.1:5060",
            "sip:gw.example.net:5061;transport=tls",
            "sip:[2001:db8::1]",
            "sip:[2001:db8::1]:5070;transport=tcp",
        ] {
            assert!(gateway_uri(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "gw.example.net",
            "sips:gw.example.net",
            "sip:user@gw.example.net",
            "sip:gw.example.net:0",
            "sip:gw.example.net:65536",
            "sip:gw.example.net:+5060",
            "sip:gw.example.net;transport=sctp",
            "sip:gw.example.net;lr",
            "sip:192.0.2.256",
            "sip:192.0.2",
            "sip:[192.0.2.1]",
            "sip:[2001:db8::1",
            "sip:[2001:db8::1]5060",
            "sip:gw.example.net\r\nX: y",
            "sip:gw example.net",
        ] {
            assert!(gateway_uri(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sources_are_public_canonical_ipv4_networks() {
        for good in ["0.0.0.0/0", "203.0.113.0/24", "8.8.8.8/32", "192.0.2.16/28"] {
            assert_eq!(source(good, false).unwrap().to_string(), good);
        }
        for (bad, code) in [
            ("203.0.113.9", "not_cidr"),
            ("203.0.113.9/24", "not_canonical"),
            ("203.0.113.0/024", "not_ipv4"),
            ("0.0.0.1/0", "not_canonical"),
            ("203.0.113.0/33", "not_ipv4"),
            ("2001:db8::/32", "not_ipv4"),
            ("::/0", "not_ipv4"),
            ("example.net", "not_ipv4"),
            ("", "not_ipv4"),
            ("10.0.0.0/8", "not_public"),
            ("127.0.0.1/32", "not_public"),
            ("8.0.0.0/6", "not_public"),
            ("0.0.0.0/1", "not_public"),
        ] {
            assert_eq!(source(bad, false).unwrap_err().code, code, "{bad}");
        }
        assert!(source("10.0.0.0/8", true).is_ok());
    }

    #[test]
    fn passwords_are_long_and_varied() {
        for (text, code) in [
            ("short", Some("weak_password")),
            ("aaaaaaaaaaaaaaaa", Some("weak_password")),
            ("abcdabcdabcdabcd", Some("weak_password")),
            ("correct horse battery", None),
            ("correct\nhorse battery", Some("forbidden_characters")),
            (&"abcde".repeat(26), Some("weak_password")),
        ] {
            assert_eq!(password(text).err().map(|broken| broken.code), code, "{text:?}");
        }
    }
}
