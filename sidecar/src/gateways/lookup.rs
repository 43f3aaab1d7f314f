//! Where a name leads (RFC 3263): NAPTR, then SRV, then addresses; a port or a transport that was named skips what it answers.
//!
//! TLS is used where the operator chose it, never because a name server says so, nor left because of one. What a name server
//! says is bounded: so many records of a service, so many addresses. Must never take silence for an answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{RData, RecordType};

use super::target::Target;
use crate::dns::{LOOPBACK, absolute, is_localhost};
use crate::domain::{GatewayAddress, Transport};

/// Most records of one service that are followed.
const MAX_SERVERS: usize = 16;
/// Most addresses of one name.
pub(super) const MAX_ADDRESSES: usize = 16;
/// How long one name may take, all its questions together.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much lighter a record of weight 0 is than one of weight 1, where there are both (RFC 2782: "very small chance").
const FEATHER: f64 = 0.01;

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In order; never empty.
    pub addresses: Vec<GatewayAddress>,
    /// How long that may be believed, as the name servers have it.
    pub ttl: Duration,
    /// What else was asked for and not answered: there may be more addresses.
    pub incomplete: Option<String>,
    /// Whether these are the host's own, for lack of an answer about its services.
    pub stand_in: bool,
}

/// Why nothing is known of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Name servers say that there is nothing.
    #[error("the name leads to no address")]
    Nothing,
    /// They say nothing.
    #[error("{0}")]
    Failed(String),
}

/// Looks a name up; `ipv6` says whether IPv6 addresses are of use.
///
/// # Errors
/// If no address was found, or nobody answered in time.
pub async fn look_up(resolver: &TokioResolver, target: &Target, ipv6: bool) -> Result<Found, LookupError> {
    let mut walk = Walk { resolver, ipv6, ttl_s: u32::MAX, trouble: None, stand_in: false };
    let late = || LookupError::Failed(format!("no answer within {} s", PATIENCE.as_secs()));
    let walked = tokio::time::timeout(PATIENCE, walk.target(target)).await;
    let places = match walked {
        Ok(places) => places.map_err(LookupError::Failed)?,
        Err(_) => return Err(walk.trouble.map_or_else(late, LookupError::Failed)),
    };
    match (places.is_empty(), walk.trouble) {
        (true, Some(trouble)) => Err(LookupError::Failed(trouble)),
        (true, None) => Err(LookupError::Nothing),
        (false, incomplete) => {
            let ttl = Duration::from_secs(walk.ttl_s.into());
            Ok(Found { addresses: addresses(places), ttl, incomplete, stand_in: walk.stand_in })
        }
    }
}

/// An address with its share of its tier.
struct Place {
    tier: u16,
    share: f64,
    address: IpAddr,
    port: Option<u16>,
    transport: Transport,
}

/// A question that was not answered.
struct Unanswered {
    why: String,
    /// Nothing came, not so much as a refusal.
    silent: bool,
}

struct Walk<'a> {
    resolver: &'a TokioResolver,
    ipv6: bool,
    ttl_s: u32,
    /// The first question about a part of the answer that was not answered.
    trouble: Option<String>,
    /// Whether the host's own addresses stand in for those of its services.
    stand_in: bool,
}

impl Walk<'_> {
    async fn target(&mut self, target: &Target) -> Result<Vec<Place>, String> {
        let Target { host, port, transport } = target;
        if port.is_none() && !is_localhost(host) {
            let services = match *transport {
                Some(transport) => vec![(transport, service_name(transport, host))],
                None => self.services(host).await,
            };
            let mut refusals = false;
            for (transport, service) in services {
                match self.service(transport, &service).await {
                    Ok(found) if found.is_empty() => {}
                    Ok(found) => return Ok(found),
                    Err(Unanswered { why, silent: true }) => return Err(why),
                    // Some name servers refuse what they do not know of; the host may be there all the same.
                    Err(refused) => {
                        refusals = true;
                        self.note(refused);
                    }
                }
            }
            self.stand_in = refusals;
        }
        let transport = transport.unwrap_or_default();
        let addresses = self.addresses(host).await;
        let share = 1.0 / addresses.len() as f64;
        let place = |address| Place { tier: 0, share, address, port: *port, transport };
        Ok(addresses.into_iter().map(place).collect())
    }

    /// Where the services of a name are told of: what its NAPTR records say, else where everybody would look.
    async fn services(&mut self, host: &str) -> Vec<(Transport, String)> {
        let records = self.ask(host, RecordType::NAPTR).await;
        let records = records.unwrap_or_else(|error| {
            self.note(error);
            Vec::new()
        });
        let mut records: Vec<&NAPTR> = records.iter().filter_map(naptr).collect();
        records.sort_by_key(|record| (record.order, record.preference));
        let found = records.into_iter().filter_map(|record| {
            let is = |text: &[u8], word: &str| text.eq_ignore_ascii_case(word.as_bytes());
            let transport = match &record.services {
                services if is(services, "SIP+D2U") => Transport::Udp,
                services if is(services, "SIP+D2T") => Transport::Tcp,
                _ => return None,
            };
            is(&record.flags, "s").then(|| (transport, record.replacement.to_ascii()))
        });
        let found: Vec<_> = found.take(MAX_SERVERS).collect();
        if !found.is_empty() {
            return found;
        }
        let usual = [Transport::Udp, Transport::Tcp];
        usual.into_iter().map(|transport| (transport, service_name(transport, host))).collect()
    }

    /// The addresses of a service; none if there is no such service.
    async fn service(&mut self, transport: Transport, name: &str) -> Result<Vec<Place>, Unanswered> {
        let records = self.ask(name, RecordType::SRV).await?;
        // A dot for a server: the service is decidedly not there. Nothing can be sent to port 0.
        let there = |record: &&SRV| !record.target.is_root() && record.port != 0;
        let mut records: Vec<&SRV> = records.iter().filter_map(srv).filter(there).collect();
        records.sort_by_key(|record| (record.priority, std::cmp::Reverse(record.weight)));
        records.truncate(MAX_SERVERS);
        let mut places = Vec::new();
        for (tier, records) in records.chunk_by(|a, b| a.priority == b.priority).enumerate() {
            for record in records {
                let addresses = self.addresses(&record.target.to_ascii()).await;
                let weight = if record.weight == 0 { FEATHER } else { f64::from(record.weight) };
                let share = weight / addresses.len() as f64;
                let port = Some(record.port);
                places.extend(addresses.into_iter().map(|address| Place {
                    tier: tier as u16,
                    share,
                    address,
                    port,
                    transport,
                }));
            }
        }
        Ok(places)
    }

    /// The addresses of a host that calls can be sent to. One kind of them may be missing.
    async fn addresses(&mut self, host: &str) -> Vec<IpAddr> {
        let mut found = if is_localhost(host) { LOOPBACK.to_vec() } else { Vec::new() };
        let kinds = [RecordType::A, RecordType::AAAA];
        for kind in kinds.into_iter().filter(|_| !is_localhost(host)) {
            if kind == RecordType::AAAA && !self.ipv6 {
                continue;
            }
            match self.ask(host, kind).await {
                Ok(records) => found.extend(records.iter().filter_map(RData::ip_addr)),
                Err(error) => self.note(error),
            }
        }
        found.retain(|address| match address {
            IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast() && !v4.is_broadcast(),
            IpAddr::V6(v6) => self.ipv6 && !v6.is_unspecified() && !v6.is_multicast(),
        });
        found
    }

    fn note(&mut self, unanswered: Unanswered) {
        self.trouble.get_or_insert(unanswered.why);
    }

    /// The records of one kind; none if name servers say that there are none. An error is that they say nothing.
    async fn ask(&mut self, name: &str, kind: RecordType) -> Result<Vec<RData>, Unanswered> {
        match self.resolver.lookup(absolute(name), kind).await {
            Ok(answer) => {
                let records = answer.answers();
                self.ttl_s = records.iter().map(|record| record.ttl).fold(self.ttl_s, u32::min);
                Ok(records.iter().map(|record| record.data.clone()).collect())
            }
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            // A server too old to know of the kind has none of it.
            Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::NotImp))) => Ok(Vec::new()),
            Err(error) => {
                let silent = matches!(error, NetError::Timeout);
                Err(Unanswered { why: format!("{kind} of {name}: {error}"), silent })
            }
        }
    }
}

fn naptr(data: &RData) -> Option<&NAPTR> {
    if let RData::NAPTR(record) = data { Some(record) } else { None }
}

fn srv(data: &RData) -> Option<&SRV> {
    if let RData::SRV(record) = data { Some(record) } else { None }
}

/// RFC 3263 section 4.2; TLS is that of `sips`.
fn service_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{host}")
}

/// Each address once, where it is tried first; those of the same tier share as their records say. In order, so that two
/// answers that say the same are the same.
fn addresses(places: Vec<Place>) -> Vec<GatewayAddress> {
    let mut first: BTreeMap<String, (u16, f64)> = BTreeMap::new();
    for Place { tier, share, address, port, transport } in places {
        let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let param = match transport {
            Transport::Udp => String::new(),
            other => format!(";transport={}", other.name()),
        };
        let known = first.entry(format!("sip:{host}{port}{param}")).or_insert((tier, 0.0));
        if known.0 == tier {
            known.1 += share;
        }
    }
    let mut ordered: Vec<_> = first.into_iter().map(|(uri, (tier, share))| (tier, uri, share)).collect();
    ordered.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    ordered.truncate(MAX_ADDRESSES);
    weighed(&ordered)
}

/// Tier, URI and share of each, sorted by tier: with weights in place of the shares.
pub(super) fn weighed(ordered: &[(u16, String, f64)]) -> Vec<GatewayAddress> {
    let mut found = Vec::with_capacity(ordered.len());
    for tier in ordered.chunk_by(|a, b| a.0 == b.0) {
        let shares: Vec<f64> = tier.iter().map(|(.., share)| *share).collect();
        let even = shares.iter().all(|share| (share - shares[0]).abs() < f64::EPSILON * shares[0].max(1.0));
        let weights = if even { vec![1; tier.len()] } else { super::spread::weights(&shares) };
        let address = |((tier, uri, _), weight): (&(u16, String, f64), u16)| GatewayAddress {
            tier: *tier,
            uri: uri.clone(),
            weight,
        };
        found.extend(tier.iter().zip(weights).map(address));
    }
    found
}
