//! Kamailio's tables in the database: do they follow the configuration, whole and in the same transaction?

use std::path::Path;

use rusqlite::Connection;
use trunk_admission::model::AuthMode;
use trunkd::config;
use trunkd::difference::Plan;
use trunkd::domain::{Actor, GatewayAddress, Stamp, Transport};
use trunkd::gateways::Target;
use trunkd::kamailio::preflight::Limits;
use trunkd::kamailio::rows;
use trunkd::publish::Capacity;
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{Change, Store, StoreError, Terms, Write};

use crate::support::{LIMITS, Site, commit};

const ROOM: Capacity = Capacity { trunks: 64, accounts: 64, gateways: 64 };

/// What a table holds, in the order of its rows' texts, marks left out.
fn table(database: &Path, sql: &str) -> Vec<String> {
    let db = Connection::open(database).unwrap();
    let mut select = db.prepare(sql).unwrap();
    let columns = select.column_count();
    let text = |row: &rusqlite::Row<'_>| {
        let value = |column| match row.get_unwrap::<_, rusqlite::types::Value>(column) {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Null => "-".to_owned(),
            other => format!("{other:?}"),
        };
        Ok((0..columns).map(value).collect::<Vec<_>>().join(" "))
    };
    let mut rows: Vec<String> = select.query_map([], text).unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

fn addresses(database: &Path) -> Vec<String> {
    table(database, "SELECT grp, ip_addr, mask, tag FROM address WHERE trunk_id != ''")
}

fn destinations(database: &Path) -> Vec<String> {
    table(database, "SELECT setid, destination, flags, attrs FROM dispatcher WHERE trunk_id != ''")
}

const ACME: &str = "[[account]]\naccountId = \"carol\"\n[[trunk]]\ntrunkId = \"acme\"\naccountId = \"carol\"\n\
    allowedRegions = [\"US\"]\n\
    [[trunk.ipAcls]]\nipAddress = \"0.0.0.0/0\"\n[[trunk.ipAcls]]\nipAddress = \"192.0.2.7\"\n\
    [[trunk.ipAcls]]\nipAddress = \"198.51.100.0/24\"\nenabled = false\n\
    [[trunk.credentials]]\nusername = \"pbx\"\npassword = \"correct horse battery\"\n\
    [[trunk.originationUris]]\nuri = \"sip:192.0.2.1\"\npriority = 20\nweight = 3\n\
    [[trunk.originationUris]]\nuri = \"sip:192.0.2.2\"\npriority = 20\nweight = 1\n\
    [[trunk.originationUris]]\nuri = \"sip:192.0.2.9\"\npriority = 10\n";

/// A store with `ACME` in it.
async fn acme(site: &Site) -> SqliteStore {
    site.write("acme.toml", ACME);
    drop(site.store().await);
    SqliteStore::open(&site.database()).unwrap()
}

/// Writes what the files say now.
async fn follow(site: &Site, store: &SqliteStore) -> Result<i64, StoreError> {
    let snapshot = store.snapshot().await.unwrap();
    let plan = Plan::between(&snapshot, &config::load(&site.main()).unwrap().provisioned, 0);
    commit(store, snapshot.revision, plan.changes, ROOM).await.map(|committed| committed.revision)
}

#[tokio::test]
async fn the_tables_say_what_the_trunk_says() {
    let site = Site::new();
    let store = acme(&site).await;
    let database = site.database();
    assert_eq!(
        addresses(&database),
        ["1 0.0.0.0 1 -", "1 128.0.0.0 1 -", "1 192.0.2.7 32 -", "1 acme.sip.example.net 32 auth=any"]
    );
    assert_eq!(
        destinations(&database),
        [
            "64 sip:192.0.2.9 0 duid=g2;weight=100;rweight=100",
            "65 sip:192.0.2.1 0 duid=g0;weight=75;rweight=75",
            "65 sip:192.0.2.2 0 duid=g1;weight=25;rweight=25",
        ]
    );
    let users = table(&database, "SELECT username, domain, ha1, length(ha1b), ha1b != ha1 FROM subscriber");
    let ha1 = trunkd::secret::ha1("pbx", "acme.sip.example.net", "correct horse battery").0;
    let ha1: String = ha1.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(users, [format!("pbx acme.sip.example.net {ha1} 32 1")]);

    let written = store.kamailio().await.unwrap();
    assert_eq!(written.revision, 1);
    let mark = table(&database, "SELECT tag FROM address WHERE trunk_id = ''");
    assert_eq!(mark, [written.load.address_mark()]);
    assert!(mark[0].starts_with("rows-4-"), "{mark:?}");
    let mark = table(&database, "SELECT destination FROM dispatcher WHERE trunk_id = ''");
    assert_eq!(mark, [rows::destination_mark(&written.load.destination_mark()).uri]);
    assert!(!store.check_kamailio(ROOM).await.unwrap(), "nothing was wrong");
}

#[tokio::test]
async fn a_name_has_the_rows_of_its_addresses_and_none_before_they_are_known() {
    let (site, uri) = (Site::new(), "sip:gw.example.net");
    site.write("acme.toml", &ACME.replace("sip:192.0.2.9", uri));
    drop(site.store().await);
    let store = SqliteStore::open(&site.database()).unwrap();
    let database = site.database();
    assert_eq!(destinations(&database).len(), 2);
    let at = |uri: &str, weight| GatewayAddress { tier: 0, uri: uri.into(), weight };
    let put = |transport, addresses| Change::PutAddresses {
        trunk: "acme".into(),
        uri: uri.into(),
        target: Target::of(uri, transport).unwrap(),
        addresses,
    };
    let addresses = vec![at("sip:192.0.2.8:5070", 1), at("sip:192.0.2.9:5070", 3)];
    commit(&store, 1, vec![put(Transport::Udp, addresses.clone())], ROOM).await.unwrap();
    assert_eq!(
        destinations(&database)[..2],
        [
            "64 sip:192.0.2.8:5070 0 duid=g3;weight=25;rweight=25",
            "64 sip:192.0.2.9:5070 0 duid=g4;weight=75;rweight=75"
        ]
    );
    assert!(!store.check_kamailio(ROOM).await.unwrap(), "nothing was wrong");
    assert_eq!(store.named_gateways().await.unwrap()[0].addresses, addresses);
    // What was asked for another transport says nothing of this one.
    commit(&store, 2, vec![put(Transport::Tcp, vec![at("sip:192.0.2.7", 1)])], ROOM).await.unwrap();
    assert_eq!(store.named_gateways().await.unwrap()[0].addresses, addresses);
    // The first is gone and comes back: its place is its own.
    commit(&store, 3, vec![put(Transport::Udp, vec![at("sip:192.0.2.9:5070", 3)])], ROOM).await.unwrap();
    commit(&store, 4, vec![put(Transport::Udp, addresses)], ROOM).await.unwrap();
    assert!(destinations(&database)[0].contains("duid=g3;"), "{:?}", destinations(&database));
    // Its trunk speaks TCP now: nothing is known of that.
    let text = ACME.replace("sip:192.0.2.9", uri).replace("[\"US\"]", "[\"US\"]\ntransport = \"tcp\"");
    site.write("acme.toml", &text);
    follow(&site, &store).await.unwrap();
    assert!(store.named_gateways().await.unwrap()[0].addresses.is_empty());
    assert_eq!(destinations(&database).len(), 2);
}

#[tokio::test]
async fn addresses_replace_their_own_revisions_whatever_others_call_their_requests() {
    let (site, uri) = (Site::new(), "sip:gw.example.net");
    site.write("acme.toml", &ACME.replace("sip:192.0.2.9", uri));
    drop(site.store().await);
    let store = SqliteStore::open(&site.database()).unwrap();
    let kamailio = Limits { address: true, dispatcher: true, max_subnets: 100, ..LIMITS };
    let write = async |actor, base, changes| {
        let write = Write { actor, request_id: "gateway-addresses".into(), changes, idempotency: None };
        let terms = Terms { base, stamp: Stamp::new(5, base + 1), capacity: ROOM, kamailio };
        store.commit(write, terms).await.unwrap();
    };
    // An audit row names the revision of a customer's write.
    site.write("acme.toml", &ACME.replace("sip:192.0.2.9", uri).replace("priority = 10", "priority = 30"));
    let plan = Plan::between(&store.snapshot().await.unwrap(), &site.load().provisioned, 0);
    assert!(!plan.is_empty());
    write(Actor::Files, 1, plan.changes).await;
    for base in 2..5 {
        let address = GatewayAddress { tier: 0, uri: format!("sip:192.0.2.{base}"), weight: 1 };
        let target = Target::of(uri, Transport::Udp).unwrap();
        let (trunk, uri) = ("acme".into(), uri.into());
        let change = Change::PutAddresses { trunk, uri, target, addresses: vec![address] };
        write(Actor::Daemon, base, vec![change]).await;
    }
    let revisions = table(&site.database(), "SELECT revision, actor FROM config_revisions");
    assert_eq!(revisions, ["1 files", "2 files", "5 trunkd"]);
}

#[tokio::test]
async fn a_new_database_has_its_marks() {
    let site = Site::new();
    std::fs::create_dir_all(site.database().parent().unwrap()).unwrap();
    let store = SqliteStore::open(&site.database()).unwrap();
    assert!(!store.check_kamailio(ROOM).await.unwrap());
    follow(&site, &store).await.unwrap();
    assert!(!store.check_kamailio(ROOM).await.unwrap(), "after the first node");
}

#[tokio::test]
async fn only_what_changed_is_written_anew() {
    let site = Site::new();
    let store = acme(&site).await;
    let database = site.database();
    let before = store.kamailio().await.unwrap().load;
    let secret = table(&database, "SELECT id, ha1b FROM subscriber");
    let ids = table(&database, "SELECT id FROM address WHERE trunk_id = 'acme'");
    site.write("acme.toml", &ACME.replace("priority = 10", "priority = 30"));
    follow(&site, &store).await.unwrap();
    assert_eq!(destinations(&database)[2], "65 sip:192.0.2.9 0 duid=g2;weight=100;rweight=100");
    assert_eq!(table(&database, "SELECT id, ha1b FROM subscriber"), secret);
    assert_eq!(table(&database, "SELECT id FROM address WHERE trunk_id = 'acme'"), ids);
    let after = store.kamailio().await.unwrap().load;
    assert_eq!(after.address_mark(), before.address_mark());
    assert_ne!(after.destination_mark(), before.destination_mark());
}

#[tokio::test]
async fn what_is_switched_off_leaves_its_name_and_what_is_gone_leaves_nothing() {
    let site = Site::new();
    let store = acme(&site).await;
    let database = site.database();
    let off = ["1 acme.sip.example.net 32 auth=off"];
    let full = addresses(&database);
    for (text, wanted) in [
        (
            ACME.replace(
                "accountId = \"carol\"\n[[trunk]]",
                "accountId = \"carol\"\nenabled = false\n[[trunk]]",
            ),
            &off[..],
        ),
        (ACME.to_owned(), &[]),
        (ACME.replace("trunkId = \"acme\"", "trunkId = \"acme\"\nenabled = false"), &off),
        (ACME.replace("\"US\"", "\"DE\""), &off),
        (ACME.to_owned(), &[]),
    ] {
        site.write("acme.toml", &text);
        follow(&site, &store).await.unwrap();
        if wanted.is_empty() {
            assert_eq!(addresses(&database), full);
            assert_eq!(destinations(&database).len(), 3);
        } else {
            assert_eq!(addresses(&database), wanted);
            assert!(destinations(&database).is_empty());
            assert!(table(&database, "SELECT * FROM subscriber").is_empty());
        }
        assert!(!store.check_kamailio(ROOM).await.unwrap(), "after {text}");
    }
    site.write("acme.toml", "");
    follow(&site, &store).await.unwrap();
    assert!(addresses(&database).is_empty() && destinations(&database).is_empty());
    let load = store.kamailio().await.unwrap().load;
    assert_eq!(load, trunkd::kamailio::mark::Load::default());
}

#[tokio::test]
async fn a_node_that_moves_takes_all_rows_along() {
    let site = Site::new();
    let store = acme(&site).await;
    let mut node = store.snapshot().await.unwrap().node.unwrap();
    node.region = "DE".parse().unwrap();
    commit(&store, 1, vec![Change::PutNode(node)], ROOM).await.unwrap();
    assert_eq!(addresses(&site.database()), ["1 acme.sip.example.net 32 auth=off"]);
    assert!(!store.check_kamailio(ROOM).await.unwrap());
}

#[tokio::test]
async fn what_kamailio_cannot_hold_changes_nothing() {
    let site = Site::new();
    let store = acme(&site).await;
    let database = site.database();
    let before = (addresses(&database), store.kamailio().await.unwrap());
    let networks = |count: usize| {
        let one = |number| format!("[[trunk.ipAcls]]\nipAddress = \"10.0.{number}.0/24\"\n");
        format!("{ACME}[[trunk]]\ntrunkId = \"wide\"\n{}", (0..count).map(one).collect::<String>())
    };
    // Two halves of everything, 98 more and the mark are 101 of 100.
    site.write("acme.toml", &networks(98));
    let refused = follow(&site, &store).await.unwrap_err();
    let StoreError::Kamailio(refusals) = &refused else { panic!("{refused}") };
    assert_eq!(refusals.len(), 1);
    assert!(refused.to_string().contains("max_subnets is 100") && !refused.is_trouble(), "{refused}");
    assert_eq!((addresses(&database), store.kamailio().await.unwrap()), before);
    assert_eq!(store.revision().await.unwrap(), 1);
    site.write("acme.toml", &networks(97));
    follow(&site, &store).await.unwrap();
}

#[tokio::test]
async fn touched_tables_are_found_and_put_right() {
    let site = Site::new();
    let store = acme(&site).await;
    let database = site.database();
    let right = (addresses(&database), destinations(&database));
    for harm in [
        "DELETE FROM address WHERE ip_addr = '192.0.2.7'",
        "UPDATE address SET tag = 'rows-4-0' WHERE trunk_id = ''",
        "UPDATE address SET mask = 33 WHERE ip_addr = '192.0.2.7'",
        "INSERT INTO address (grp, ip_addr, mask, trunk_id) VALUES (1, '203.0.113.1', 32, 'acme')",
        "UPDATE subscriber SET ha1 = lower(hex(randomblob(16)))",
        "DELETE FROM subscriber",
        "UPDATE dispatcher SET setid = 999 WHERE destination = 'sip:192.0.2.1'",
        "DELETE FROM dispatcher",
        "UPDATE kamailio_load SET row_count = 77 WHERE kind = 'host'",
    ] {
        Connection::open(&database).unwrap().execute_batch(harm).unwrap();
        assert!(store.check_kamailio(ROOM).await.unwrap(), "not found: {harm}");
        assert_eq!((addresses(&database), destinations(&database)), right, "{harm}");
        assert!(!store.check_kamailio(ROOM).await.unwrap(), "still wrong: {harm}");
    }
}

#[tokio::test]
async fn the_tables_of_many_random_changes_are_those_of_the_end() {
    let site = Site::new();
    let store = acme(&site).await;
    let mut seed = 7_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let modes = [AuthMode::Any, AuthMode::All, AuthMode::Password, AuthMode::Ip];
    for _ in 0..60 {
        let base = store.revision().await.unwrap();
        let mut trunk = store.trunk("acme".into()).await.unwrap().unwrap().item;
        trunk.id = format!("t{}", next(8));
        let change = if next(5) == 0 {
            Change::RemoveTrunk(trunk.id)
        } else {
            trunk.auth_mode = modes[next(4) as usize];
            trunk.enabled = next(6) != 0;
            trunk.ip_acls.retain(|_| next(3) != 0);
            trunk.origination_uris.retain(|_| next(3) != 0);
            trunk.credentials.iter_mut().for_each(|user| user.enabled = next(2) == 0);
            Change::PutTrunk(Box::new(trunk))
        };
        commit(&store, base, vec![change], ROOM).await.unwrap();
    }
    assert!(!store.check_kamailio(ROOM).await.unwrap());
}
