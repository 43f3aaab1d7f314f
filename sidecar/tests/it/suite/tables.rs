//! Kamailio's tables: the same truth as the trunks, and never more than Kamailio can hold.

use trunk_admission::model::Region;
use trunk_admission::publish::Change as Published;
use trunkd::domain::{Account, Node, Stamp, Trunk};
use trunkd::kamailio::mark::Load;
use trunkd::kamailio::preflight::Limits;
use trunkd::kamailio::rows::{Context, rows};
use trunkd::store::{Change, Committed, Store, StoreError, Terms, Write};

use super::{Place, ROOM, TOKEN, account, acl, application, node, put, trunk, write};
use crate::support::LIMITS;

/// What the tables must hold for what was published.
fn wanted(node: &Node, account_enabled: bool, published: &[Published]) -> Load {
    let mut load = Load::default();
    for change in published {
        let Published::PutTrunk(trunk) = change else { continue };
        let context = Context {
            region: node.region,
            base_domain: &node.base_domain,
            inbound_host: &node.inbound_host,
            account_enabled: account_enabled || trunk.account.is_none(),
        };
        let rows = rows(trunk, &context);
        rows.addresses.iter().for_each(|row| load.add_address(row));
        rows.destinations.iter().for_each(|row| load.add_destination(row));
    }
    load
}

async fn start(store: &dyn Store) -> Committed {
    let changes = vec![
        Change::PutNode(node()),
        Change::PutAccount(account("acme")),
        put(&trunk("a", Some("acme"))),
        put(&trunk("b", None)),
        put(&application("voice")),
    ];
    write(store, 1, changes).await.unwrap()
}

pub(crate) async fn kamailios_tables_hold_what_the_trunks_say(place: &dyn Place) {
    let store = place.open().await;
    assert_eq!(store.kamailio().await.unwrap().load, Load::default());
    let done = start(&*store).await;
    let first = store.kamailio().await.unwrap();
    assert_eq!((first.revision, first.load), (1, wanted(&node(), true, &done.effects)));
    assert_eq!(first.load.names.rows, 3);

    let renamed = Trunk { name: "other".into(), ..trunk("a", Some("acme")) };
    write(&*store, 2, vec![put(&renamed)]).await.unwrap();
    assert_eq!(store.kamailio().await.unwrap().load, first.load, "a name is in none of them");
    let mut more = trunk("a", Some("acme"));
    more.ip_acls.push(acl("203.0.113.7/32"));
    write(&*store, 3, vec![put(&more)]).await.unwrap();
    let found = store.kamailio().await.unwrap().load;
    assert_eq!((found.hosts.rows, found.subnets), (1, first.load.subnets));
    write(&*store, 4, vec![put(&trunk("a", Some("acme")))]).await.unwrap();
    assert_eq!(store.kamailio().await.unwrap().load, first.load, "what was added and removed");

    let all = ["a", "b", "voice"].map(|id| Change::RemoveTrunk(id.into()));
    write(&*store, 5, all.to_vec()).await.unwrap();
    assert_eq!(store.kamailio().await.unwrap().load, Load::default());
    store.close().await.unwrap();
    assert_eq!(place.open().await.kamailio().await.unwrap().revision, 5);
}

pub(crate) async fn a_disabled_account_takes_its_trunks_rows_away(place: &dyn Place) {
    let store = place.open().await;
    let done = start(&*store).await;
    let off = Account { enabled: false, ..account("acme") };
    write(&*store, 2, vec![Change::PutAccount(off)]).await.unwrap();
    let found = store.kamailio().await.unwrap().load;
    assert_eq!(found, wanted(&node(), false, &done.effects));
    assert_eq!(found.names.rows, 3, "its trunks keep their names, to be refused under them");
    assert_eq!(found.destinations.rows, 2);
    write(&*store, 3, vec![Change::PutAccount(account("acme"))]).await.unwrap();
    assert_eq!(store.kamailio().await.unwrap().load, wanted(&node(), true, &done.effects));
}

pub(crate) async fn another_node_makes_all_rows_anew(place: &dyn Place) {
    let store = place.open().await;
    let done = start(&*store).await;
    let in_region = |name: &str| Node { region: name.parse::<Region>().unwrap(), ..node() };
    for (revision, node) in [(2, in_region("JP")), (3, in_region("US"))] {
        write(&*store, revision, vec![Change::PutNode(node.clone())]).await.unwrap();
        let found = store.kamailio().await.unwrap().load;
        assert_eq!(found, wanted(&node, true, &done.effects), "{node:?}");
    }
}

pub(crate) async fn what_kamailio_could_not_hold_is_refused(place: &dyn Place) {
    let store = place.open().await;
    let commit = async |base, changes, limits| {
        let terms = Terms { base, stamp: Stamp::new(1, base + 1), capacity: ROOM, kamailio: limits };
        let write = Write { actor: TOKEN, request_id: "r".into(), changes, idempotency: None };
        store.commit(write, terms).await
    };
    let trunk_of = |networks: usize| Trunk {
        ip_acls: (0..networks).map(|index| acl(&format!("10.0.{index}.0/24"))).collect(),
        ..trunk("a", None)
    };
    let two = Limits { address: true, max_subnets: 3, ..LIMITS };
    commit(0, vec![Change::PutNode(node()), put(&trunk_of(2))], two).await.unwrap();
    let before = (store.snapshot().await.unwrap(), store.kamailio().await.unwrap());
    let refused = commit(1, vec![put(&trunk_of(3))], two).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Kamailio(_)) && !refused.is_trouble(), "{refused:?}");
    assert!(refused.to_string().contains("kamailio.max_subnets is 3"), "{refused}");
    assert_eq!((store.snapshot().await.unwrap(), store.kamailio().await.unwrap()), before);

    // Lowered under what is there: that may stay and shrink, not grow.
    let one = Limits { max_subnets: 2, ..two };
    commit(1, vec![put(&Trunk { name: "other".into(), ..trunk_of(2) })], one).await.unwrap();
    assert!(commit(2, vec![put(&trunk_of(3))], one).await.is_err());
    commit(2, vec![put(&trunk_of(1))], one).await.unwrap();
    commit(3, vec![put(&trunk_of(9))], LIMITS).await.unwrap();
}
