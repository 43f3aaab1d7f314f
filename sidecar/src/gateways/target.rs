//! What is to be looked up for a gateway: a name, with the port and transport that were said. Pure.

use std::fmt;
use std::net::IpAddr;

use crate::domain::Transport;

/// A name that leads to addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The name, in lower case.
    pub host: String,
    /// If the URI names one: then only addresses are looked up.
    pub port: Option<u16>,
    /// If the URI names one, or its trunk one that is not UDP: then name servers have no choice of it.
    pub transport: Option<Transport>,
}

impl Target {
    /// What a gateway's URI asks for; `None` for an address. UDP is what a trunk says that says nothing.
    pub fn of(uri: &str, of_trunk: Transport) -> Option<Target> {
        let rest = uri.strip_prefix("sip:")?;
        let (place, param) = rest.split_once(';').map_or((rest, None), |(place, param)| (place, Some(param)));
        if place.starts_with('[') {
            return None;
        }
        let (host, port) =
            place.split_once(':').map_or((place, None), |(host, port)| (host, port.parse().ok()));
        if host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let named = param.and_then(|param| param.strip_prefix("transport="));
        let named = named.and_then(|name| Transport::ALL.into_iter().find(|known| known.name() == name));
        let transport = named.or((of_trunk != Transport::Udp).then_some(of_trunk));
        Some(Target { host: host.to_owned(), port, transport })
    }
}

impl fmt::Display for Target {
    /// As a URI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.transport.map_or(Ok(()), |transport| write!(f, ";transport={}", transport.name()))
    }
}

/// A gateway's URI with its trunk's transport, if it names none itself. UDP is what no name means.
pub(super) fn reached_by(uri: &str, of_trunk: Transport) -> String {
    match of_trunk {
        Transport::Udp => uri.to_owned(),
        _ if uri.contains(";transport=") => uri.to_owned(),
        other => format!("{uri};transport={}", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_what_was_said_of_it() {
        let text = |uri, transport| Target::of(uri, transport).map(|target| target.to_string());
        for (uri, transport, expected) in [
            ("sip:gw.example", Transport::Udp, Some("sip:gw.example")),
            ("sip:gw.example:5070", Transport::Udp, Some("sip:gw.example:5070")),
            ("sip:gw.example", Transport::Tls, Some("sip:gw.example;transport=tls")),
            ("sip:gw.example;transport=udp", Transport::Tls, Some("sip:gw.example;transport=udp")),
            ("sip:3cx.example", Transport::Udp, Some("sip:3cx.example")),
            ("sip:192.0.2.1", Transport::Udp, None),
            ("sip:192.0.2.1:5060;transport=tcp", Transport::Udp, None),
            ("sip:[2001:db8::1]:5060", Transport::Udp, None),
        ] {
            assert_eq!(text(uri, transport).as_deref(), expected, "{uri}");
        }
    }
}
