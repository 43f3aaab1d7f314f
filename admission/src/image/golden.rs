//! The bytes of this layout version never move: a small table with fixed keys gives the files in `tests/golden`, and
//! from those files all of it is found again.
//!
//! A new layout has a new version, and new files beside the old ones, which are then refused as another layout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use super::layout::{LAYOUT_VERSION, NEAR_SOURCES};
use super::*;
use crate::control::Pair;
use crate::model::*;
use crate::rate::Rate;
use crate::tables::Tables;

const KEYS: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
const BASE: u32 = 7;
const OVERLAY: u32 = 9;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn file(version: u64, sort: &str) -> PathBuf {
    folder().join(format!("image-{version}-{sort}.bin"))
}

fn trunk(id: &str, live: u32) -> Trunk {
    Trunk {
        id: id.into(),
        live,
        account: None,
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits: Limits::default(),
        regions: None,
        sources: vec![],
        credentials: vec![],
        gateways: vec![],
        failover: FailoverCodes::default(),
        secure: false,
    }
}

fn find(tables: &Tables, host: &[u8]) -> Option<(TrunkRef, bool)> {
    tables.trunk_by_host(&Host::new(host))
}

pub(super) fn table() -> Table {
    let rate = |cps, burst| Some(Rate::per_second(cps, Some(burst)).unwrap());
    let gateway = |host, live, priority, weight| Gateway {
        uri: format!("sip:{host}:5060;transport=tls"),
        live,
        priority,
        weight,
    };
    let credential = |name: &str, byte| Credential {
        username: name.into(),
        ha1_md5: std::array::from_fn(|n| byte + n as u8),
        ha1_sha256: std::array::from_fn(|n| byte ^ n as u8),
    };
    let acme = Trunk {
        account: Some(3),
        auth: AuthMode::All,
        limits: Limits { rate: rate(2.5, 10), concurrent: Some(30) },
        regions: Some(vec!["US".parse().unwrap()]),
        sources: ["192.0.2.0/24", "203.0.113.7/32", "2001:db8::/32"].map(|net| net.parse().unwrap()).into(),
        credentials: vec![credential("alice", 1), credential("a-name-of-more-than-one-word", 101)],
        gateways: vec![gateway("b.example", 1, 20, 1), gateway("a.example", 0, 10, 65_535)],
        failover: FailoverCodes::from_codes(&[404, 503, 699]).unwrap(),
        secure: true,
        ..trunk("acme", 5)
    };
    let application = Trunk {
        kind: Kind::Application,
        inbound_user: Some("479fbd44-3362-45f3-bb80-284f21111be4".into()),
        regions: Some(vec![]),
        sources: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
        ..trunk("application", 6)
    };
    let other = Trunk {
        enabled: false,
        auth: AuthMode::Ip,
        sources: vec!["192.0.2.0/24".parse().unwrap()],
        ..trunk("other", 7)
    };
    // More addresses than stand behind a record.
    let many = Trunk {
        auth: AuthMode::Ip,
        sources: (0..=NEAR_SOURCES).map(|n| format!("10.0.{n}.0/24").parse().unwrap()).collect(),
        ..trunk("many", 9)
    };
    // Addresses behind the record, and no room for gateways behind them.
    let full = Trunk {
        sources: (0..NEAR_SOURCES - 1).map(|n| format!("10.1.{n}.0/24").parse().unwrap()).collect(),
        gateways: vec![gateway("c.example", 2, 10, 1)],
        ..trunk("full", 10)
    };
    let limits = Limits { rate: rate(0.0, 1), concurrent: Some(0) };
    Table {
        revision: 41,
        region: "US".parse().unwrap(),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node: Limits { rate: rate(500.0, 1_000), concurrent: Some(10_000) },
        accounts: vec![Account { id: "customer".into(), live: 3, enabled: true, limits }],
        trunks: vec![acme, application, other, many, full],
    }
}

fn base() -> Vec<u8> {
    build_base(&table(), BASE, KEYS).unwrap().to_bytes()
}

/// `acme` moved and lost an address, `application` is gone, `new` has its user.
fn overlay() -> Vec<u8> {
    let mut table = table();
    let mut acme = table.trunks.remove(0);
    acme.live = 8;
    acme.sources.remove(0);
    let new = Trunk { inbound_user: Some("7b0c".into()), ..trunk("new", 6) };
    let settings = Settings {
        generation: OVERLAY,
        base: BASE,
        revision: 42,
        trunks: 5,
        region: table.region,
        base_domain: &table.base_domain,
        inbound_host: &table.inbound_host,
        node: Limits::default(),
        keys: KEYS,
    };
    let [kept, gone] = [Owners { count: 1, combined: 7 }, Owners::default()];
    let prefix = |net: &str| Prefix::from(net.parse::<ipnet::IpNet>().unwrap());
    let moved = Owners { count: 1, combined: 8 };
    let changes = Changes {
        trunks: vec![&acme, &new],
        deleted_ids: vec!["application"],
        deleted_lives: vec![5],
        accounts: vec![],
        deleted_accounts: vec![3],
        deleted_users: vec!["479fbd44-3362-45f3-bb80-284f21111be4"],
        sources: vec![
            (prefix("0.0.0.0/0"), gone),
            (prefix("192.0.2.0/24"), kept),
            (prefix("203.0.113.7/32"), moved),
            (prefix("::/0"), gone),
            (prefix("2001:db8::/32"), moved),
        ],
    };
    build_overlay(&settings, &changes).unwrap().to_bytes()
}

#[test]
fn the_bytes_of_this_layout_never_move() {
    for (sort, built) in [("base", base()), ("overlay", overlay())] {
        let path = file(LAYOUT_VERSION, sort);
        let golden = std::fs::read(&path).unwrap_or_default();
        if golden != built {
            // The file to look at, and to commit if the version is a new one.
            let aside = std::env::temp_dir().join(path.file_name().unwrap());
            std::fs::write(&aside, &built).unwrap();
            let first = golden.iter().zip(&built).position(|(a, b)| a != b).map(|byte| byte / 8);
            panic!("{} is not {}: first other word {first:?}", path.display(), aside.display());
        }
    }
}

#[test]
fn files_of_an_earlier_layout_are_refused_as_such() {
    for version in 1..LAYOUT_VERSION {
        for sort in ["base", "overlay"] {
            let refused = Image::open(&file(version, sort), Check::Everything).map(drop);
            assert!(matches!(refused, Err(crate::error::OpenError::OtherLayout { .. })), "{refused:?}");
        }
    }
}

#[test]
fn what_was_put_in_is_found_in_the_committed_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for (number, sort) in [(BASE, "base"), (OVERLAY, "overlay")] {
        std::fs::copy(file(LAYOUT_VERSION, sort), dir.path().join(format!("table-{number}"))).unwrap();
    }
    let open = |pair| Tables::open(dir.path(), pair, Check::Everything, None).unwrap();
    let tables = open(Pair::new(BASE, 0));
    let image = tables.newest();
    assert_eq!((image.revision(), image.trunks(), image.generation()), (41, 5, BASE));
    assert_eq!(image.region(), Some("US".parse().unwrap()));
    assert_eq!((tables.node_rate(), tables.node_concurrent()), (table().node.rate, Some(10_000)));

    let (acme, _) = find(&tables, b"acme.sip.example").unwrap();
    let wanted = &table().trunks[0];
    assert_eq!((acme.live(), acme.account(), acme.kind()), (5, Some(3), Kind::Trunk));
    assert_eq!((acme.rate(), acme.concurrent()), (wanted.limits.rate, Some(30)));
    assert!(acme.enabled() && acme.secure() && acme.region_allowed() && acme.auth() == AuthMode::All);
    let codes = image.failover_codes(&acme);
    assert!(codes == wanted.failover && codes.contains(699) && !codes.contains(500));
    for credential in &wanted.credentials {
        let ha1 = tables.credential(&acme, false, credential.username.as_bytes()).unwrap();
        assert_eq!((ha1.md5, ha1.sha256), (credential.ha1_md5, credential.ha1_sha256));
    }
    let gateways: Vec<_> = image
        .gateways(&acme)
        .map(|found| {
            (image.gateway_text(&found).as_str().to_owned(), found.live, found.priority, found.weight)
        })
        .collect();
    assert_eq!(gateways[0], ("sip:a.example:5060;transport=tls".to_owned(), 0, 10, 65_535));
    assert_eq!(gateways[1], ("sip:b.example:5060;transport=tls".to_owned(), 1, 20, 1));
    assert!(image.source_allowed(&acme, "192.0.2.9".parse().unwrap()));
    assert!(image.source_allowed(&acme, "2001:db8::9".parse().unwrap()));
    assert!(!image.source_allowed(&acme, "203.0.113.8".parse().unwrap()));

    let (many, _) = find(&tables, b"MANY.sip.example").unwrap();
    assert!(image.source_allowed(&many, "10.0.16.9".parse().unwrap()));
    assert!(image.source_allowed(&many, "::ffff:10.0.0.9".parse().unwrap()));
    assert!(!image.source_allowed(&many, "10.0.18.9".parse().unwrap()));
    assert!(!image.source_allowed(&acme, "10.0.16.9".parse().unwrap()));

    let (full, _) = find(&tables, b"full.sip.example").unwrap();
    let gateway = image.gateways(&full).next().unwrap();
    assert_eq!(
        (gateway.live, image.gateway_text(&gateway).as_str()),
        (2, "sip:c.example:5060;transport=tls")
    );
    assert!(image.source_allowed(&full, "10.1.15.9".parse().unwrap()));
    assert!(!image.source_allowed(&full, "10.1.16.9".parse().unwrap()));

    let source = |tables: &Tables, address: &str| tables.source(address.parse().unwrap());
    assert_eq!(source(&tables, "203.0.113.7"), SourceMatch::Trunk(5));
    assert_eq!(source(&tables, "192.0.2.9"), SourceMatch::Ambiguous);
    assert_eq!(source(&tables, "198.51.100.1"), SourceMatch::Trunk(6));
    let user = b"479fbd44-3362-45f3-bb80-284f21111be4";
    assert_eq!(tables.application_by_user(user).unwrap().0.live(), 6);
    assert_eq!(full.account(), None);
    let (account, _) = tables.account_of(&acme, false).unwrap();
    assert_eq!(image.account_id(&account).as_str(), "customer");
    assert_eq!((account.enabled(), account.rate(), account.concurrent()), (true, Some(Rate::NONE), Some(0)));

    let tables = open(Pair::new(BASE, OVERLAY));
    assert_eq!((tables.newest().revision(), tables.newest().base_generation()), (42, BASE));
    assert_eq!((tables.node_rate(), tables.node_concurrent()), (None, None));
    assert_eq!(find(&tables, b"acme.sip.example").unwrap().0.live(), 8);
    assert!(tables.trunk_by_live(5).is_none() && tables.account(3).is_none());
    assert!(find(&tables, b"application.sip.example").is_none());
    assert!(tables.application_by_user(user).is_none());
    assert_eq!(tables.application_by_user(b"7b0c").unwrap().0.live(), 6);
    assert_eq!(source(&tables, "203.0.113.7"), SourceMatch::Trunk(8));
    assert_eq!(source(&tables, "192.0.2.9"), SourceMatch::Trunk(7));
    assert_eq!(source(&tables, "198.51.100.1"), SourceMatch::None);
    assert!(!find(&tables, b"other.sip.example").unwrap().0.enabled());
}
