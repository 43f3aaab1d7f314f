//! A trunk or voice application → its rows in the stock tables `subscriber`, `address` and `dispatcher`. Pure.
//!
//! Made of the same value as its part of the image. Must never make a row that Kamailio 5.6 would read as something else,
//! drop, or choke on: no mask 0, no host bits, no weight beyond the slots, no name that has to be looked up to be loaded.
//!
//! The rules of reading are permissions/address.c, dispatcher/dispatch.c and auth_db/authorize.c of 5.6.3;
//! docs/kamailio-tables.md tells how a configuration uses the rows.

mod proof;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use trunk_admission::model::{Gateway, Kind, MAX_GATEWAYS, MAX_LIVE_INDEX, Region, Trunk};

use super::weights;
use proof::Proof;

/// Sets of one trunk in `dispatcher`: one for each priority in use.
pub const SETS_PER_TRUNK: i32 = 64;
const _: () = assert!(MAX_GATEWAYS <= SETS_PER_TRUNK as usize);
// Groups and sets are C ints.
const _: () = assert!((MAX_LIVE_INDEX as i64 + 2) * (SETS_PER_TRUNK as i64) < i32::MAX as i64);

/// Set of the mark of `dispatcher`; below those of every trunk.
pub const MARK_SET: i32 = 1;
/// Group of the mark of `address`; above those of every trunk.
pub const MARK_GROUP: i32 = i32::MAX;

/// dispatcher's flags: admin-disabled, and no look-up of the host when the row is loaded.
const DISABLED: i32 = 4;
const NO_LOOKUP: i32 = 16;

/// What the rows depend on beside the trunk itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The node's region.
    pub region: Region,
    /// The domain below which each trunk has its own.
    pub base_domain: &'a str,
    /// The host of every inbound URI.
    pub inbound_host: &'a str,
    /// Whether the trunk's account is enabled; true for a trunk that nobody owns.
    pub account_enabled: bool,
}

/// The rows of one trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Its digest users.
    pub subscribers: Vec<Subscriber>,
    /// Its networks, and its name.
    pub addresses: Vec<Address>,
    /// Its gateways.
    pub destinations: Vec<Destination>,
}

/// A row of `subscriber`.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// User name.
    pub username: String,
    /// Realm.
    pub domain: String,
    /// MD5 of `user:realm:password`, in lower-case hexadecimal.
    pub ha1: String,
}

impl std::fmt::Debug for Subscriber {
    /// The hash is as good as the password for SIP.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscriber").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A row of `address`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The trunk's group, or [`MARK_GROUP`].
    pub group: i32,
    /// What belongs to the group.
    pub place: Place,
    /// Absent for what needs none: each costs Kamailio memory.
    pub tag: Option<String>,
}

/// What a row of `address` names. Kamailio keeps the three kinds in three tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// One address.
    Host(IpAddr),
    /// A network that is neither one address nor everything.
    Subnet(IpNet),
    /// A name, compared as text and never looked up.
    Name(String),
}

impl Place {
    /// Column `ip_addr`.
    pub fn text(&self) -> String {
        match self {
            Place::Host(address) => address.to_string(),
            Place::Subnet(network) => network.addr().to_string(),
            Place::Name(name) => name.clone(),
        }
    }

    /// Column `mask`.
    pub fn mask(&self) -> u8 {
        match self {
            Place::Host(IpAddr::V6(_)) => 128,
            Place::Host(IpAddr::V4(_)) | Place::Name(_) => 32,
            Place::Subnet(network) => network.prefix_len(),
        }
    }
}

/// A row of `dispatcher`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Which set: [`first_set`] of the trunk for its lowest priority number, the next one for the next.
    pub set: i32,
    /// The gateway.
    pub uri: String,
    /// As dispatcher's flags.
    pub flags: i32,
    /// `duid`, `weight` and `rweight`.
    pub attrs: String,
}

/// The group in `address` of the trunk with this live index.
pub fn group(live: u32) -> i32 {
    live.min(MAX_LIVE_INDEX) as i32 + 1
}

/// The first set in `dispatcher` of the trunk with this live index.
pub fn first_set(live: u32) -> i32 {
    group(live) * SETS_PER_TRUNK
}

/// The rows of a trunk. One that is off keeps its name only, so that its calls are refused as its own.
pub fn rows(trunk: &Trunk, context: &Context<'_>) -> Rows {
    let (name, realm) = match (trunk.kind, &trunk.inbound_user) {
        (Kind::Application, Some(user)) => {
            (format!("{user}@{}", context.inbound_host), context.inbound_host.to_owned())
        }
        // Nobody can call it.
        (Kind::Application, None) => return Rows::default(),
        (Kind::Trunk, _) => {
            let domain = format!("{}.{}", trunk.id, context.base_domain);
            (domain.clone(), domain)
        }
    };
    let proof = Proof::of(trunk, context);
    let group = group(trunk.live);
    let secure = if trunk.secure { ";secure" } else { "" };
    let tag = format!("auth={}{secure}", proof.word());
    let mut addresses = vec![Address { group, place: Place::Name(name), tag: Some(tag) }];
    if proof == Proof::Off {
        return Rows { addresses, ..Rows::default() };
    }
    let mut places: Vec<Place> = trunk.sources.iter().copied().flat_map(places).collect();
    places.sort();
    places.dedup();
    addresses.extend(places.into_iter().map(|place| Address { group, place, tag: None }));
    let subscribers = trunk.credentials.iter().map(|user| Subscriber {
        username: user.username.clone(),
        domain: realm.clone(),
        ha1: user.ha1_md5.iter().map(|byte| format!("{byte:02x}")).collect(),
    });
    Rows { subscribers: subscribers.collect(), addresses, destinations: destinations(trunk) }
}

/// The places of a network: two halves for everything, because a mask of 0 means one address to Kamailio.
fn places(network: IpNet) -> Vec<Place> {
    let network = network.trunc();
    if network.prefix_len() == network.max_prefix_len() {
        return vec![Place::Host(network.addr())];
    }
    let halves = match network {
        IpNet::V4(all) if all.prefix_len() == 0 => {
            let half = |first| Ipv4Net::new([first, 0, 0, 0].into(), 1).map(IpNet::V4);
            [half(0), half(128)]
        }
        IpNet::V6(all) if all.prefix_len() == 0 => {
            let half = |first| Ipv6Net::new([first, 0, 0, 0, 0, 0, 0, 0].into(), 1).map(IpNet::V6);
            [half(0), half(0x8000)]
        }
        _ => return vec![Place::Subnet(network)],
    };
    halves.into_iter().flatten().map(Place::Subnet).collect()
}

/// A set for each priority, lowest number first, without gaps: a configuration goes on to the next number until there is none.
fn destinations(trunk: &Trunk) -> Vec<Destination> {
    let mut gateways: Vec<&Gateway> = trunk.gateways.iter().take(MAX_GATEWAYS).collect();
    gateways.sort_by(|a, b| (a.priority, &a.uri).cmp(&(b.priority, &b.uri)));
    let tiers = gateways.chunk_by(|a, b| a.priority == b.priority);
    let made = (first_set(trunk.live)..).zip(tiers).flat_map(|(set, tier)| {
        let weights: Vec<u16> = tier.iter().map(|gateway| gateway.weight.max(1)).collect();
        let slots = weights::slots(&weights);
        tier.iter().zip(slots).map(move |(gateway, slots)| Destination {
            set,
            uri: gateway.parts().1.to_owned(),
            flags: if is_address(gateway.parts().1) { 0 } else { NO_LOOKUP },
            attrs: format!("duid=g{};weight={slots};rweight={slots}", gateway.live),
        })
    });
    made.collect()
}

/// Whether a gateway URI (`sip:host[:port][;transport=...]`) names an address. Another name would be looked up while the
/// table loads, and the row dropped if that fails.
fn is_address(uri: &str) -> bool {
    let rest = uri.strip_prefix("sip:").unwrap_or(uri);
    let place = rest.split(';').next().unwrap_or_default();
    place.starts_with('[') || place.split(':').next().is_some_and(|host| host.parse::<IpAddr>().is_ok())
}

/// The row by which the content of `address` is known; see `mark`. Its network is for discarding (RFC 6666): nobody's source.
pub fn address_mark(mark: &str) -> Address {
    let network = Ipv6Net::new_assert([0x100, 0, 0, 0, 0, 0, 0, 0].into(), 64);
    Address { group: MARK_GROUP, place: Place::Subnet(IpNet::V6(network)), tag: Some(mark.to_owned()) }
}

/// The row by which the content of `dispatcher` is known: disabled, never looked up, in a set that nobody uses.
pub fn destination_mark(mark: &str) -> Destination {
    let uri = format!("sip:{mark}.invalid");
    Destination { set: MARK_SET, uri, flags: DISABLED | NO_LOOKUP, attrs: String::new() }
}
