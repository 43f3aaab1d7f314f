//! Objects: what is written, what is read, what a refused write leaves behind.

use trunk_admission::publish::Change as Published;
use trunkd::domain::{Actor, ManagedBy, Stamp};
use trunkd::publish::Capacity;
use trunkd::store::{Change, Page, PlaceKind, Reused, Store, StoreError, Terms, TrunkFilter, Write};
use uuid::{Uuid, Version};

use super::{
    Place, ROOM, TOKEN, account, acl, application, credential, gateway, node, put, read, trunk, write,
    write_as,
};
use crate::support::LIMITS;

pub(crate) async fn what_was_written_is_what_is_read(place: &dyn Place) {
    let store = place.open().await;
    let wanted = trunk("a", Some("acme"));
    let voice = application("voice");
    let changes =
        vec![Change::PutNode(node()), Change::PutAccount(account("acme")), put(&wanted), put(&voice)];
    let done = write(&*store, 1_000, changes).await.unwrap();
    assert_eq!(done.revision, 1);
    let lines: Vec<_> = done.lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["added node edge-1", "added account acme", "added trunk a", "added application voice"]
    );

    let placed = read(&*store, "a").await;
    let mut found = placed.item.clone();
    let stamp = Stamp::new(1_000, 1);
    assert_eq!(found.stamp, stamp);
    for id in [&mut found.ip_acls[0].id, &mut found.credentials[0].id, &mut found.origination_uris[0].id] {
        assert_eq!(id.get_version(), Some(Version::SortRand), "{id}");
        *id = Uuid::nil();
    }
    found.stamp = Stamp::default();
    for part in
        [&mut found.ip_acls[0].stamp, &mut found.credentials[0].stamp, &mut found.origination_uris[0].stamp]
    {
        assert_eq!(std::mem::take(part), stamp);
    }
    assert_eq!(found, wanted);
    let found = store.account("acme".into()).await.unwrap().unwrap();
    assert_eq!(found.item, trunkd::domain::Account { stamp, ..account("acme") });
    assert_eq!(placed.account, Some(found.live));
    let found = read(&*store, "voice").await.item;
    assert_eq!((found.inbound_user, found.password_auth), (voice.inbound_user, true));

    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.revision, snapshot.node.as_ref()), (1, Some(&node())));
    assert_eq!(snapshot.trunks[0], placed);
    store.close().await.unwrap();
    assert_eq!(place.open().await.snapshot().await.unwrap(), snapshot, "over a restart");
}

pub(crate) async fn what_did_not_change_keeps_its_stamp(place: &dyn Place) {
    let store = place.open().await;
    let mut wanted = trunk("a", None);
    wanted.credentials.push(credential("carol", "another one, longer"));
    write(&*store, 1_000, vec![put(&wanted)]).await.unwrap();
    let first = read(&*store, "a").await.item;

    // The same again: a revision, and nothing else.
    let same = write(&*store, 2_000, vec![put(&first)]).await.unwrap();
    assert_eq!((same.revision, same.lines.len()), (2, 0));
    assert_eq!(read(&*store, "a").await.item, first);

    // One credential: its own stamp moves, not the trunk's, which does not show it.
    let mut changed = first.clone();
    changed.credentials[0].enabled = false;
    let done = write(&*store, 3_000, vec![put(&changed)]).await.unwrap();
    assert_eq!(done.lines[0].to_string(), "changed trunk a: credentials");
    let second = read(&*store, "a").await.item;
    assert_eq!(second.stamp, first.stamp);
    let moved = Stamp { created_ms: 1_000, updated_ms: 3_000, revision: 3 };
    assert_eq!((second.credentials[0].stamp, second.credentials[1].stamp), (moved, Stamp::new(1_000, 1)));

    let renamed = trunkd::domain::Trunk { name: "other".into(), ..second.clone() };
    write(&*store, 4_000, vec![put(&renamed)]).await.unwrap();
    let third = read(&*store, "a").await.item;
    assert_eq!(third.stamp, Stamp { created_ms: 1_000, updated_ms: 4_000, revision: 4 });
    assert_eq!(third.credentials, second.credentials);
}

pub(crate) async fn an_application_is_one_object(place: &dyn Place) {
    let store = place.open().await;
    write(&*store, 1_000, vec![put(&application("voice"))]).await.unwrap();
    let mut changed = read(&*store, "voice").await.item;
    changed.ip_acls.push(acl("198.51.100.0/24"));
    write(&*store, 2_000, vec![put(&changed)]).await.unwrap();
    let found = read(&*store, "voice").await.item;
    assert_eq!(found.stamp, Stamp { created_ms: 1_000, updated_ms: 2_000, revision: 2 });
}

pub(crate) async fn parts_keep_their_ids_by_key_and_may_swap_keys(place: &dyn Place) {
    let store = place.open().await;
    let mut wanted = trunk("a", None);
    wanted.ip_acls.push(acl("198.51.100.0/24"));
    write(&*store, 1_000, vec![put(&wanted)]).await.unwrap();
    let first = read(&*store, "a").await.item;

    // As files do: without ids, in another order.
    wanted.ip_acls.reverse();
    wanted.ip_acls.push(acl("203.0.113.0/24"));
    write(&*store, 2_000, vec![put(&wanted)]).await.unwrap();
    let second = read(&*store, "a").await.item;
    assert_eq!(second.ip_acls[..2], first.ip_acls[..]);
    assert_eq!(second.ip_acls[2].stamp, Stamp::new(2_000, 2));

    let mut swapped = second.clone();
    let [one, other] = [second.ip_acls[0].network, second.ip_acls[1].network];
    (swapped.ip_acls[0].network, swapped.ip_acls[1].network) = (other, one);
    swapped.ip_acls.pop();
    write(&*store, 3_000, vec![put(&swapped)]).await.unwrap();
    let third = read(&*store, "a").await.item;
    let found: Vec<_> = third.ip_acls.iter().map(|acl| (acl.id, acl.network)).collect();
    assert_eq!(found, [(first.ip_acls[0].id, other), (first.ip_acls[1].id, one)]);
}

pub(crate) async fn a_write_against_another_revision_changes_nothing(place: &dyn Place) {
    let store = place.open().await;
    write(&*store, 1, vec![put(&trunk("a", None))]).await.unwrap();
    let before = store.snapshot().await.unwrap();
    let terms = Terms { base: 0, stamp: Stamp::new(2, 1), capacity: ROOM, kamailio: LIMITS };
    let changes = vec![Change::RemoveTrunk("a".into())];
    let late = Write { actor: TOKEN, request_id: "late".into(), changes, idempotency: None };
    let refused = store.commit(late, terms).await;
    assert!(matches!(refused, Err(StoreError::Conflict { expected: 0, found: 1 })), "{refused:?}");
    assert_eq!(store.snapshot().await.unwrap(), before);
}

pub(crate) async fn a_write_that_does_not_fit_is_undone_whole(place: &dyn Place) {
    let store = place.open().await;
    write(&*store, 1, vec![Change::PutNode(node()), put(&trunk("a", None))]).await.unwrap();
    let before = (store.snapshot().await.unwrap(), store.kamailio().await.unwrap());
    let capacity = Capacity { trunks: 2, ..ROOM };
    let terms = Terms { base: 1, stamp: Stamp::new(2, 2), capacity, kamailio: LIMITS };
    let changed = trunkd::domain::Trunk { enabled: false, ..trunk("a", None) };
    let changes = vec![put(&changed), put(&trunk("b", None)), put(&trunk("c", None))];
    let write = Write { actor: TOKEN, request_id: "big".into(), changes, idempotency: None };
    let refused = store.commit(write, terms).await;
    assert!(matches!(refused, Err(StoreError::NoRoom("trunk"))), "{refused:?}");
    assert_eq!((store.snapshot().await.unwrap(), store.kamailio().await.unwrap()), before);
    assert_eq!(store.list_audit(Default::default(), Page::ALL).await.unwrap().total, 2);
}

pub(crate) async fn nobody_changes_what_another_manages(place: &dyn Place) {
    let store = place.open().await;
    let of_files = trunkd::domain::Trunk { managed_by: ManagedBy::File, ..trunk("f", None) };
    write_as(&*store, Actor::Files, 1, vec![put(&of_files)]).await.unwrap();
    write(&*store, 2, vec![Change::PutAccount(account("acme")), put(&trunk("a", None))]).await.unwrap();
    let before = store.snapshot().await.unwrap();

    let wrongs = vec![
        put(&trunkd::domain::Trunk { managed_by: ManagedBy::File, ..trunk("a", None) }),
        put(&of_files),
        Change::RemoveAccount("acme".into()),
    ];
    let refused = write_as(&*store, Actor::Files, 3, wrongs).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "trunk \"a\" is managed by the API; account \"acme\" is managed by the API"
    );
    assert!(!refused.is_trouble());
    let refused = write(&*store, 4, vec![Change::RemoveTrunk("f".into())]).await.unwrap_err();
    assert_eq!(refused.to_string(), "trunk \"f\" is managed by the trunk files");
    assert_eq!(store.snapshot().await.unwrap(), before);
    let found = store.managers(vec!["acme".into(), "x".into()], vec!["f".into()]).await.unwrap();
    assert_eq!(
        found.iter().map(|found| (found.kind, found.id.as_str(), found.by)).collect::<Vec<_>>(),
        [("account", "acme", ManagedBy::Api), ("trunk", "f", ManagedBy::File)]
    );
}

pub(crate) async fn an_owner_cannot_go_before_what_it_owns(place: &dyn Place) {
    let store = place.open().await;
    let orphan = write(&*store, 1, vec![put(&trunk("a", Some("acme")))]).await.unwrap_err();
    assert!(matches!(orphan, StoreError::Contradiction(_)) && !orphan.is_trouble(), "{orphan:?}");
    assert_eq!(store.revision().await.unwrap(), 0);

    let both = vec![Change::PutAccount(account("acme")), put(&trunk("a", Some("acme")))];
    write(&*store, 2, both).await.unwrap();
    let early = write(&*store, 3, vec![Change::RemoveAccount("acme".into())]).await;
    assert!(matches!(early, Err(StoreError::Contradiction(_))), "{early:?}");
    let in_order = vec![Change::RemoveTrunk("a".into()), Change::RemoveAccount("acme".into())];
    let done = write(&*store, 4, in_order).await.unwrap();
    let published = [Published::RemoveTrunk("a".into()), Published::RemoveAccount("acme".into())];
    assert_eq!(done.effects, published);
    assert_eq!(store.list_trunks(TrunkFilter::default(), Page::ALL).await.unwrap().total, 0);
}

pub(crate) async fn a_realm_cannot_change_under_passwords_that_nobody_knows(place: &dyn Place) {
    let store = place.open().await;
    let of_files = trunkd::domain::Trunk { managed_by: ManagedBy::File, ..trunk("f", None) };
    write_as(&*store, Actor::Files, 1, vec![Change::PutNode(node()), put(&of_files)]).await.unwrap();
    let base = trunkd::domain::Node { base_domain: "sip.example.org".into(), ..node() };
    let host = trunkd::domain::Node { inbound_host: "in.example.org".into(), ..node() };
    // Files say their passwords anew.
    for wanted in [&base, &host, &node()] {
        write_as(&*store, Actor::Files, 2, vec![Change::PutNode(wanted.clone())]).await.unwrap();
    }
    write(&*store, 3, vec![put(&trunk("a", None)), put(&application("voice"))]).await.unwrap();
    for (wanted, key, kind) in [(&base, "base_domain", "1 trunks"), (&host, "inbound_host", "1 applications")]
    {
        let refused = write_as(&*store, Actor::Files, 4, vec![Change::PutNode(wanted.clone())]).await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(&format!("node.{key} cannot change")) && said.contains(kind), "{said}");
    }
    assert_eq!(store.provisioned().await.unwrap().node, Some(node()));
    let gone = trunkd::domain::Trunk { credentials: Vec::new(), ..read(&*store, "a").await.item };
    write(&*store, 5, vec![put(&gone)]).await.unwrap();
    write_as(&*store, Actor::Files, 6, vec![Change::PutNode(base)]).await.unwrap();
}

pub(crate) async fn a_thing_keeps_its_place_and_a_freed_one_is_given_away_last(place: &dyn Place) {
    let store = place.open().await;
    let mut many = trunk("a", None);
    many.origination_uris.push(gateway("sip:192.0.2.10"));
    write(&*store, 1, vec![put(&many), put(&trunk("b", None))]).await.unwrap();
    let first = read(&*store, "a").await;
    write(&*store, 2, vec![Change::RemoveTrunk("a".into())]).await.unwrap();
    write(&*store, 3, vec![put(&many)]).await.unwrap();
    let again = read(&*store, "a").await;
    assert_eq!((again.live, &again.gateways), (first.live, &first.gateways), "it came back to its places");
    many.origination_uris.remove(0);
    write(&*store, 4, vec![put(&many)]).await.unwrap();
    let fewer = read(&*store, "a").await;
    assert_eq!(fewer.gateways, first.gateways[1..], "a gateway keeps its place when another leaves");

    write(&*store, 5, vec![Change::RemoveTrunk("b".into())]).await.unwrap();
    let freed = first.live ^ 1;
    let mut full = Vec::new();
    for index in 2..ROOM.trunks {
        full.push(put(&trunkd::domain::Trunk {
            origination_uris: Vec::new(),
            ..trunk(&format!("t{index}"), None)
        }));
    }
    assert!(write(&*store, 6, full).await.unwrap().reused.is_empty(), "those never used come first");
    let last = trunkd::domain::Trunk { origination_uris: Vec::new(), ..trunk("z", None) };
    let done = write(&*store, 7, vec![put(&last)]).await.unwrap();
    assert_eq!(done.reused, [Reused { kind: PlaceKind::Trunk, live: freed, freed_revision: 5 }]);
    assert_eq!(read(&*store, "z").await.live, freed);
}

pub(crate) async fn what_is_to_be_published_is_what_a_snapshot_says(place: &dyn Place) {
    let store = place.open().await;
    let changes = vec![
        Change::PutNode(node()),
        Change::PutAccount(account("acme")),
        put(&trunk("a", Some("acme"))),
        put(&application("voice")),
    ];
    let done = write(&*store, 1, changes).await.unwrap();
    let [
        Published::PutNode(of_node),
        Published::PutAccount(of_account),
        Published::PutTrunk(a),
        Published::PutTrunk(voice),
    ] = &done.effects[..]
    else {
        panic!("{:?}", done.effects)
    };
    assert_eq!(of_node.base_domain, "sip.example.net");
    let placed = read(&*store, "a").await;
    assert_eq!((a.live, a.account), (placed.live, Some(of_account.live)));
    assert_eq!(
        a.gateways[0].uri, "sip:192.0.2.9:5070;transport=tls",
        "the trunk's transport, where it names none"
    );
    assert_eq!(a.gateways[0].live, placed.gateways[0]);
    let user = read(&*store, "voice").await.item.inbound_user.unwrap();
    assert_eq!(voice.inbound_user, Some(user.to_string()));
}

pub(crate) async fn a_closed_store_says_so(place: &dyn Place) {
    let store = place.open().await;
    store.close().await.unwrap();
    assert!(matches!(store.snapshot().await, Err(StoreError::Closed)));
    assert!(matches!(store.revision().await, Err(StoreError::Closed)));
    assert!(matches!(write_error(&*store).await, StoreError::Closed));
}

async fn write_error(store: &dyn Store) -> StoreError {
    let terms = Terms { base: 0, stamp: Stamp::new(1, 1), capacity: ROOM, kamailio: LIMITS };
    let write = Write { actor: TOKEN, request_id: "x".into(), changes: Vec::new(), idempotency: None };
    store.commit(write, terms).await.unwrap_err()
}
