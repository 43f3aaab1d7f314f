//! Rate plans: the longest prefix of the nearest plan counts, and a call is held to the rate that it began under.

use std::collections::BTreeMap;

use trunk_admission::events::{EndCause, Party};
use trunkd::call::{Call, Ended, Report};
use trunkd::cost::Rate;
use trunkd::domain::{Payer, RatePlan, Stamp};
use trunkd::store::{AuditFilter, Batch, CallFilter, CallRecord, Change, Orphan, Page, Store, StoreError};

use super::{Place, account, put, trunk, write};
use crate::support::{answered, call_id, initiated};

fn plan(id: &str, currency: &str) -> Change {
    Change::PutRatePlan(RatePlan {
        id: id.into(),
        name: format!("plan {id}"),
        description: String::new(),
        currency: currency.into(),
        stamp: Stamp::default(),
    })
}

fn rates(plan: &str, rates: &[(&str, &str)]) -> Change {
    let rate = |(prefix, price): &(&str, &str)| Rate {
        prefix: (*prefix).into(),
        price: price.parse().unwrap(),
        connection_fee: "0.001".parse().unwrap(),
        first_s: 60,
        next_s: 60,
        minimum: "0".parse().unwrap(),
    };
    Change::PutRates { plan: plan.into(), rates: rates.iter().map(rate).collect() }
}

fn choose(payer: Payer, plan: Option<&str>) -> Change {
    Change::ChooseRatePlan { payer, plan: plan.map(str::to_owned) }
}

/// The beginning of a call of the account `acme`.
fn begun(number: u8, trunk: &str, to: &str) -> CallRecord {
    let mut record = initiated(call_id(number), trunk, 1_000);
    if let Report::Initiated(initiated) = &mut record.report {
        (initiated.account, initiated.to) = (Some("acme".into()), to.into());
    }
    record
}

fn ended(number: u8, trunk: &str, answer_ms: Option<i64>) -> CallRecord {
    let ended = Ended {
        sip_code: 200,
        q850: None,
        no_media: false,
        by: Party::Caller,
        cause: EndCause::Bye,
        start_ms: Some(1_000),
        ring_ms: None,
        answer_ms,
        end_ms: 63_000,
        gateway: None,
        attempts: 1,
    };
    CallRecord { report: Report::Ended(Box::new(ended)), ..answered(call_id(number), trunk, 63_000) }
}

async fn ingest(store: &dyn Store, records: Vec<CallRecord>) {
    store.ingest(Batch { ring_id: 7, last_sequence: 1, records }, 5).await.unwrap();
}

async fn call(store: &dyn Store, number: u8) -> Call {
    store.call(call_id(number)).await.unwrap().unwrap()
}

fn told(call: &Call) -> (Option<String>, Option<&str>, Option<i64>) {
    (call.cost.map(|cost| cost.to_string()), call.currency(), call.billable_seconds())
}

async fn filled(place: &dyn Place) -> std::sync::Arc<dyn Store> {
    let store = place.open().await;
    let changes = vec![
        Change::PutAccount(account("acme")),
        put(&trunk("t1", Some("acme"))),
        put(&trunk("t2", Some("acme"))),
        plan("p1", "EUR"),
        rates("p1", &[("1", "0.01"), ("1555", "0.02"), ("44", "0.05")]),
        plan("p2", "USD"),
        rates("p2", &[("", "0.30")]),
        choose(Payer::Account("acme".into()), Some("p1")),
        choose(Payer::Trunk("t2".into()), Some("p2")),
    ];
    write(&*store, 1_000, changes).await.unwrap();
    store
}

pub(crate) async fn a_call_is_held_to_the_rate_it_began_under(place: &dyn Place) {
    let store = filled(place).await;
    let numbers = ["+15550100001", "12120100001", "+33100000000", "alice", "+15550100001", "+4420"];
    let trunks = ["t1", "t1", "t1", "t1", "t2", "t1"];
    let first =
        (1..).zip(trunks).zip(numbers).map(|((number, trunk), to)| begun(number, trunk, to)).collect();
    ingest(&*store, first).await;
    // Everything about prices changes while the calls are up.
    let changes = vec![
        rates("p1", &[("", "9")]),
        plan("p2", "GBP"),
        rates("p2", &[]),
        choose(Payer::Account("acme".into()), None),
        choose(Payer::Trunk("t2".into()), None),
        Change::RemoveRatePlan("p2".into()),
    ];
    write(&*store, 2_000, changes).await.unwrap();
    let answer_ms = |number| (number != 6).then_some(2_000);
    let last = (1..).zip(trunks).map(|(number, trunk)| ended(number, trunk, answer_ms(number))).collect();
    ingest(&*store, last).await;
    ingest(&*store, vec![begun(7, "t2", "+15550100001"), ended(7, "t2", Some(2_000))]).await;

    // 61 seconds are two minutes at 60/60, and one and a bit without a rate.
    for (number, cost, currency, seconds) in [
        (1, Some("0.041"), Some("EUR"), 120),
        (2, Some("0.021"), Some("EUR"), 120),
        (3, None, None, 61),
        (4, None, None, 61),
        (5, Some("0.601"), Some("USD"), 120),
        (6, Some("0"), Some("EUR"), 0),
        (7, None, None, 61),
    ] {
        let found = call(&*store, number).await;
        assert_eq!(told(&found), (cost.map(str::to_owned), currency, Some(seconds)), "{number}");
    }
    let (sums, _) = store.sum_calls(CallFilter::default(), None).await.unwrap();
    let wanted = BTreeMap::from([("EUR".to_owned(), 62_000), ("USD".to_owned(), 601_000)]);
    assert_eq!((sums.costs, sums.billable_seconds), (wanted, 3 * 120 + 3 * 61));
}

pub(crate) async fn a_call_that_nobody_saw_end_costs_nothing_known(place: &dyn Place) {
    let store = filled(place).await;
    ingest(&*store, vec![begun(1, "t1", "+1555"), answered(call_id(1), "t1", 2_000)]).await;
    let orphan = Orphan { call: call_id(1), trunk_live: None, start_ms: 0, end_ms: None };
    store.reconcile(vec![orphan], 9_000_000).await.unwrap();
    ingest(&*store, vec![ended(1, "t1", Some(2_000))]).await;
    let found = call(&*store, 1).await;
    assert!(found.reconciled && found.cost.is_none() && found.currency().is_none());
}

pub(crate) async fn plans_are_listed_chosen_and_told_of(place: &dyn Place) {
    let store = filled(place).await;
    let plans = store.list_rate_plans(Page::ALL).await.unwrap();
    let ids: Vec<_> = plans.objects.iter().map(|plan| plan.id.as_str()).collect();
    assert_eq!((plans.total, ids), (2, vec!["p1", "p2"]));
    let page = store.list_rates("p1".into(), Page { limit: 2, offset: 1 }).await.unwrap();
    let prefixes: Vec<_> = page.objects.iter().map(|rate| rate.prefix.as_str()).collect();
    assert_eq!((page.total, prefixes), (3, vec!["1555", "44"]));
    let of = async |payer: Payer| store.rate_plan_of(payer).await.unwrap();
    assert_eq!(of(Payer::Account("acme".into())).await.as_deref(), Some("p1"));
    assert_eq!(of(Payer::Trunk("t1".into())).await, None);

    // One that somebody goes by stays, and is left behind by whoever goes.
    let refused = write(&*store, 2_000, vec![Change::RemoveRatePlan("p2".into())]).await;
    assert!(matches!(refused, Err(StoreError::Contradiction(_))), "{refused:?}");
    assert_eq!(store.rate_plan_payers("p2".into()).await.unwrap(), 1);
    write(&*store, 3_000, vec![Change::RemoveTrunk("t2".into())]).await.unwrap();
    assert_eq!(store.rate_plan_payers("p2".into()).await.unwrap(), 0);
    let before = store.rate_plan("p1".into()).await.unwrap().unwrap();
    write(&*store, 4_000, vec![Change::RemoveRatePlan("p2".into()), rates("p1", &[])]).await.unwrap();
    let after = store.rate_plan("p1".into()).await.unwrap().unwrap();
    assert_eq!((before.stamp.revision, after.stamp.revision), (1, 3), "it moves with its rates");

    let filter = AuditFilter { object: Some(("ratePlan".into(), "p2".into())), ..AuditFilter::default() };
    let entries = store.list_audit(filter, Page::ALL).await.unwrap().objects;
    let told: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(told, ["delete", "update", "update", "update", "create"]);
}
