//! The rows of Kamailio's tables, read as Kamailio 5.6 reads them: do they say what the trunk says?
//!
//! The reader here is written from permissions/address.c and dispatcher/dispatch.c, not from the code under test.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use trunk_admission::model::{
    AuthMode, Credential, FailoverCodes, Gateway, Kind, Limits, MAX_LIVE_INDEX, Region, Trunk,
};
use trunkd::kamailio::mark::Load;
use trunkd::kamailio::preflight;
use trunkd::kamailio::rows::{self, Address, Context, Place, Rows};

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn context() -> Context<'static> {
    Context {
        region: region("US"),
        base_domain: "sip.example.net",
        inbound_host: "in.sip.example.net",
        account_enabled: true,
    }
}

fn trunk() -> Trunk {
    Trunk {
        id: "acme".into(),
        live: 4,
        account: None,
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits: Limits::default(),
        regions: None,
        sources: Vec::new(),
        credentials: Vec::new(),
        gateways: Vec::new(),
        failover: FailoverCodes::default(),
        secure: false,
    }
}

/// Whether permissions takes `source` for one of the group's: a mask of 0 is a whole address to it.
fn listed(rows: &Rows, group: i32, source: IpAddr) -> bool {
    rows.addresses.iter().filter(|row| row.group == group).any(|row| {
        let Ok(address) = row.place.text().parse::<IpAddr>() else { return false };
        let mask = u32::from(row.place.mask());
        match (address, source) {
            (IpAddr::V4(net), IpAddr::V4(source)) => {
                let mask = if mask == 0 { 32 } else { mask };
                assert!(mask <= 32);
                u32::from(net) >> (32 - mask) == u32::from(source) >> (32 - mask)
            }
            (IpAddr::V6(net), IpAddr::V6(source)) => {
                let mask = if mask == 0 { 128 } else { mask };
                u128::from(net) >> (128 - mask) == u128::from(source) >> (128 - mask)
            }
            _ => false,
        }
    })
}

fn network() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0..=32u8)
        .prop_map(|(bits, len)| IpNet::V4(Ipv4Net::new(Ipv4Addr::from(bits), len).unwrap().trunc()));
    let v6 = (any::<u128>(), 0..=128u8)
        .prop_map(|(bits, len)| IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bits), len).unwrap().trunc()));
    let low = (0..64u128, 120..=128u8)
        .prop_map(|(bits, len)| IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bits), len).unwrap().trunc()));
    prop_oneof![4 => v4, 3 => v6, 1 => low]
}

fn gateway() -> impl Strategy<Value = Gateway> {
    let host = prop_oneof![Just("192.0.2.1"), Just("[2001:db8::1]"), Just("gw.example.net")];
    let transport = prop_oneof![Just(""), Just(";transport=tcp"), Just(";transport=tls")];
    (host, 1..=u16::MAX, transport, 0..MAX_LIVE_INDEX, 0..4u16, 1..=u16::MAX).prop_map(
        |(host, port, transport, live, priority, weight)| Gateway {
            uri: format!("sip:{host}:{port}{transport}"),
            live,
            priority,
            weight,
        },
    )
}

fn any_trunk() -> impl Strategy<Value = Trunk> {
    let auth =
        prop_oneof![Just(AuthMode::Any), Just(AuthMode::All), Just(AuthMode::Password), Just(AuthMode::Ip)];
    let user = "[a-zA-Z0-9._~+-]{1,64}".prop_map(|username| Credential {
        username,
        ha1_md5: [0xa5; 16],
        ha1_sha256: [1; 32],
    });
    let id = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
    (
        id,
        0..MAX_LIVE_INDEX,
        any::<bool>(),
        auth,
        vec(network(), 0..12),
        vec(user, 0..3),
        vec(gateway(), 0..64),
    )
        .prop_map(|(id, live, secure, auth, sources, credentials, gateways)| Trunk {
            id,
            live,
            secure,
            auth,
            sources,
            credentials,
            gateways,
            ..trunk()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn an_address_is_listed_in_kamailio_if_it_is_in_a_network_of_the_trunk(
        trunk in any_trunk(), probes in vec((any::<u128>(), any::<prop::sample::Index>(), 0..3u8), 32)
    ) {
        let rows = rows::rows(&trunk, &context());
        let group = rows::group(trunk.live);
        for (bits, which, how) in probes {
            // A source of anywhere, and one at the edge of a network.
            let source = match (how, trunk.sources.is_empty()) {
                (0, _) | (_, true) if bits % 2 == 0 => IpAddr::V4(Ipv4Addr::from(bits as u32)),
                (0, _) | (_, true) => IpAddr::V6(Ipv6Addr::from(bits)),
                (1, _) => which.get(&trunk.sources).network(),
                _ => which.get(&trunk.sources).broadcast(),
            };
            let wanted = trunk.sources.iter().any(|network| network.contains(&source));
            prop_assert_eq!(listed(&rows, group, source), wanted, "{} in {:?}", source, trunk.sources);
        }
    }

    #[test]
    fn no_row_can_be_taken_for_something_else(trunk in any_trunk()) {
        let rows = rows::rows(&trunk, &context());
        prop_assert_eq!(preflight::faults(&rows), vec![]);
        for row in &rows.addresses {
            prop_assert!(row.group > 0 && row.group < rows::MARK_GROUP);
            let text = row.place.text();
            prop_assert_eq!(text.parse::<IpAddr>().is_err(), matches!(row.place, Place::Name(_)));
            // The reader of IPv6 in Kamailio knows no dotted form.
            prop_assert!(!(text.contains(':') && text.contains('.')), "{}", text);
        }
        let texts = rows.subscribers.iter().flat_map(|row| [&row.username, &row.domain, &row.ha1]);
        let texts = texts.chain(rows.destinations.iter().flat_map(|row| [&row.uri, &row.attrs]));
        for text in texts {
            prop_assert!(text.bytes().all(|c| c.is_ascii_graphic() && c != b'\'' && c != b'"'), "{:?}", text);
        }
    }

    #[test]
    fn sets_are_the_priorities_in_order_and_slots_the_weights(trunk in any_trunk()) {
        let rows = rows::rows(&trunk, &context());
        let mut wanted: BTreeMap<u16, Vec<&Gateway>> = BTreeMap::new();
        trunk.gateways.iter().for_each(|gateway| wanted.entry(gateway.priority).or_default().push(gateway));
        let first = rows::first_set(trunk.live);
        prop_assert!(first > rows::MARK_SET);
        prop_assert_eq!(rows.destinations.len(), trunk.gateways.len());
        for (set, (_, gateways)) in (first..).zip(wanted) {
            prop_assert!(set < first + rows::SETS_PER_TRUNK);
            let of_set: Vec<_> = rows.destinations.iter().filter(|row| row.set == set).collect();
            prop_assert_eq!(of_set.len(), gateways.len());
            let mut uris: Vec<_> = gateways.iter().map(|gateway| gateway.uri.as_str()).collect();
            uris.sort_unstable();
            prop_assert_eq!(of_set.iter().map(|row| row.uri.as_str()).collect::<Vec<_>>(), uris);
            let sum: u32 = of_set.iter().map(|row| slot(&row.attrs, "weight=")).sum();
            prop_assert_eq!(sum, 100);
            for row in of_set {
                prop_assert_eq!(slot(&row.attrs, "weight="), slot(&row.attrs, "rweight="));
                prop_assert_eq!(row.flags == 16, row.uri.contains("gw.example"), "{}", row.uri);
            }
        }
    }

    #[test]
    fn a_mark_is_the_content_whatever_the_way_to_it(
        trunks in vec(any_trunk(), 1..6), other in option::of(any_trunk())
    ) {
        let add = |load: &mut Load, trunk: &Trunk| {
            let rows = rows::rows(trunk, &context());
            rows.addresses.iter().for_each(|row| load.add_address(row));
            rows.destinations.iter().for_each(|row| load.add_destination(row));
        };
        let (mut there, mut back) = (Load::default(), Load::default());
        trunks.iter().for_each(|trunk| add(&mut there, trunk));
        if let Some(other) = &other {
            add(&mut back, other);
        }
        trunks.iter().rev().for_each(|trunk| add(&mut back, trunk));
        if let Some(other) = &other {
            prop_assert_ne!(there.address_mark(), back.address_mark());
            let rows = rows::rows(other, &context());
            rows.addresses.iter().for_each(|row| back.remove_address(row));
            rows.destinations.iter().for_each(|row| back.remove_destination(row));
        }
        prop_assert_eq!(there, back);
        prop_assert_eq!(there.address_mark(), back.address_mark());
        prop_assert_eq!(there.destination_mark(), back.destination_mark());
    }
}

fn slot(attrs: &str, key: &str) -> u32 {
    attrs.split(';').find_map(|part| part.strip_prefix(key)).unwrap().parse().unwrap()
}

#[test]
fn everything_is_two_halves() {
    let trunk = Trunk { sources: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()], ..trunk() };
    let rows = rows::rows(&trunk, &context());
    let texts: Vec<_> =
        rows.addresses[1..].iter().map(|row| format!("{}/{}", row.place.text(), row.place.mask())).collect();
    assert_eq!(texts, ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]);
}

#[test]
fn the_name_says_what_must_be_proved() {
    let source: Vec<IpNet> = vec!["192.0.2.0/24".parse().unwrap()];
    let user = [Credential { username: "pbx".into(), ha1_md5: [0x0f; 16], ha1_sha256: [0; 32] }];
    let tag = |trunk: &Trunk, context: &Context<'_>| {
        let rows = rows::rows(trunk, context);
        assert_eq!(rows.addresses[0].place, Place::Name("acme.sip.example.net".into()));
        rows.addresses[0].tag.clone().unwrap()
    };
    use AuthMode::{All, Any, Ip, Password};
    for (auth, sources, users, word) in [
        (Any, 1, 1, "any"),
        (Any, 1, 0, "ip"),
        (Any, 0, 1, "password"),
        (Any, 0, 0, "none"),
        (All, 1, 1, "all"),
        (All, 1, 0, "none"),
        (All, 0, 1, "none"),
        (All, 0, 0, "none"),
        (Password, 1, 1, "password"),
        (Password, 1, 0, "none"),
        (Password, 0, 1, "password"),
        (Password, 0, 0, "none"),
        (Ip, 1, 1, "ip"),
        (Ip, 1, 0, "ip"),
        (Ip, 0, 1, "none"),
        (Ip, 0, 0, "none"),
    ] {
        let trunk = Trunk {
            auth,
            sources: source[..sources].to_vec(),
            credentials: user[..users].to_vec(),
            ..trunk()
        };
        assert_eq!(tag(&trunk, &context()), format!("auth={word}"), "{auth:?} {sources} {users}");
        let secure = Trunk { secure: true, ..trunk.clone() };
        assert_eq!(tag(&secure, &context()), format!("auth={word};secure"));
        for off in [
            (Trunk { enabled: false, ..trunk.clone() }, context()),
            (trunk.clone(), Context { account_enabled: false, ..context() }),
            (Trunk { regions: Some(vec![]), ..trunk.clone() }, context()),
            (Trunk { regions: Some(vec![region("DE")]), ..trunk.clone() }, context()),
        ] {
            assert_eq!(tag(&off.0, &off.1), "auth=off");
            let rows = rows::rows(&off.0, &off.1);
            assert!(rows.subscribers.is_empty() && rows.destinations.is_empty() && rows.addresses.len() == 1);
        }
    }
}

#[test]
fn an_application_is_known_by_its_inbound_uri() {
    let user = "479fbd44-3362-45f3-bb80-284f21111be4";
    let credential = Credential { username: user.into(), ha1_md5: [0x0f; 16], ha1_sha256: [0; 32] };
    let application = Trunk {
        kind: Kind::Application,
        inbound_user: Some(user.into()),
        auth: AuthMode::Password,
        credentials: vec![credential],
        ..trunk()
    };
    let rows = rows::rows(&application, &context());
    let name = Place::Name(format!("{user}@in.sip.example.net"));
    assert_eq!(rows.addresses, [Address { group: 5, place: name, tag: Some("auth=password".into()) }]);
    let subscriber = &rows.subscribers[0];
    assert_eq!((subscriber.username.as_str(), subscriber.domain.as_str()), (user, "in.sip.example.net"));
    assert_eq!(subscriber.ha1, "0f".repeat(16));
    assert_eq!(format!("{subscriber:?}"), format!("Subscriber {{ username: \"{user}\", .. }}"));

    let nobodys = Trunk { inbound_user: None, ..application };
    assert_eq!(rows::rows(&nobodys, &context()), Rows::default());
}
