//! Lists: pages, totals, filters.

use trunk_admission::model::Kind;
use trunkd::domain::{Actor, ManagedBy};
use trunkd::store::{Change, Page, TrunkFilter};

use super::{Place, account, application, node, put, trunk, write, write_as};

pub(crate) async fn pages_and_totals(place: &dyn Place) {
    let store = place.open().await;
    let accounts = ["c1", "c2", "c3"].map(|id| Change::PutAccount(account(id)));
    let trunks = (0..25).map(|index| put(&trunk(&format!("t{index:02}"), Some("c2"))));
    write(&*store, 1, accounts.into_iter().chain(trunks).collect()).await.unwrap();

    let page = |limit, offset| Page { limit, offset };
    for (limit, offset, wanted) in [(20, 0, 20), (20, 20, 5), (20, 25, 0), (20, 1 << 40, 0), (0, 0, 0)] {
        let listed = store.list_trunks(TrunkFilter::default(), page(limit, offset)).await.unwrap();
        assert_eq!((listed.total, listed.objects.len()), (25, wanted), "{limit} after {offset}");
        for (index, placed) in listed.objects.iter().enumerate() {
            assert_eq!(placed.item.id, format!("t{:02}", offset as usize + index));
            assert_eq!(placed.item.credentials.len(), 1, "with its parts");
        }
    }
    let listed = store.list_accounts(None, page(2, 1)).await.unwrap();
    let ids: Vec<_> = listed.objects.iter().map(|placed| placed.item.id.as_str()).collect();
    assert_eq!((listed.total, ids), (3, vec!["c2", "c3"]));
    let listed = store.list_accounts(Some("c1".into()), Page::ALL).await.unwrap();
    assert_eq!((listed.total, listed.objects.len()), (1, 1));
    assert_eq!(store.list_accounts(Some("x".into()), Page::ALL).await.unwrap().total, 0);

    let found = store.trunks(vec!["t03".into(), "none".into(), "t01".into()]).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(store.accounts(vec!["c3".into(), "none".into()]).await.unwrap().len(), 1);
}

pub(crate) async fn what_a_filter_lets_through(place: &dyn Place) {
    let store = place.open().await;
    let changes = vec![
        Change::PutAccount(account("one")),
        Change::PutAccount(account("two")),
        put(&trunk("t1", Some("one"))),
        put(&trunk("t2", Some("two"))),
        put(&trunk("t3", None)),
        put(&trunkd::domain::Trunk { account: Some("one".into()), ..application("v1") }),
        put(&application("v2")),
    ];
    write(&*store, 1, changes).await.unwrap();
    let of_files = trunkd::domain::Trunk { managed_by: ManagedBy::File, ..trunk("t4", Some("one")) };
    write_as(&*store, Actor::Files, 2, vec![put(&of_files)]).await.unwrap();
    let ids = async |kind, account: Option<&str>, managed_by| {
        let filter = TrunkFilter { kind, account: account.map(str::to_owned), managed_by };
        let listed = store.list_trunks(filter, Page::ALL).await.unwrap();
        assert_eq!(listed.total, listed.objects.len() as u64);
        listed.objects.into_iter().map(|placed| placed.item.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Some(Kind::Trunk), None, None).await, ["t1", "t2", "t3", "t4"]);
    assert_eq!(ids(Some(Kind::Application), None, None).await, ["v1", "v2"]);
    assert_eq!(ids(None, Some("one"), None).await, ["t1", "t4", "v1"]);
    assert_eq!(ids(Some(Kind::Application), Some("one"), None).await, ["v1"]);
    assert_eq!(ids(None, Some("one"), Some(ManagedBy::Api)).await, ["t1", "v1"]);
    assert!(ids(None, Some("none"), None).await.is_empty());
}

pub(crate) async fn files_see_what_they_manage(place: &dyn Place) {
    let store = place.open().await;
    let of_files = trunkd::domain::Trunk { managed_by: ManagedBy::File, ..trunk("f", None) };
    let changes = vec![Change::PutNode(node()), put(&of_files)];
    write_as(&*store, Actor::Files, 1, changes).await.unwrap();
    write(&*store, 2, vec![Change::PutAccount(account("acme")), put(&trunk("a", None))]).await.unwrap();
    let found = store.provisioned().await.unwrap();
    assert_eq!((found.revision, found.accounts.len(), found.trunks.len()), (2, 0, 1));
    assert_eq!(found.node, Some(node()));
    let whole = store.snapshot().await.unwrap();
    assert_eq!(found.trunks[0], whole.trunks[1]);
    assert_eq!(found.trunks[0].item.credentials.len(), 1);
}
