//! The call log: any filter's pages hold what a look at every call finds, in order, each once; sums agree with them.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use trunk_admission::events::{EndCause, Party};
use trunk_admission::{Kind, Reason};
use trunkd::call::status::Status;
use trunkd::call::{Call, Ended, Initiated, Report};
use trunkd::store::{
    Batch, CallCursor, CallFilter, CallPage, CallRecord, CallSums, CallsFound, Orphan, Store,
};
use uuid::Uuid;

use super::Place;

const CALLS: u32 = 400;

/// Some attempts over a few trunks: refused, unanswered, answered, still up; many of them in the same millisecond.
fn reports(first: u32, count: u32) -> Vec<CallRecord> {
    let mut random = StdRng::seed_from_u64(u64::from(first) + 1);
    let mut records = Vec::new();
    for index in first..first + count {
        let call = Uuid::from_u128(u128::from(index) + 1);
        let (trunk, account, kind) = *[
            (Some("t1"), Some("one"), Kind::Trunk),
            (Some("t2"), Some("one"), Kind::Trunk),
            (Some("v1"), Some("one"), Kind::Application),
            (Some("t3"), Some("two"), Kind::Trunk),
            (None, None, Kind::Trunk),
        ]
        .choose(&mut random)
        .unwrap();
        let start_ms = 1_000 + i64::from(index / 4);
        let reason = [None, None, None, Some(Reason::CpsExceeded)].choose(&mut random).copied().unwrap();
        let number = |random: &mut StdRng| format!("+1555000{}", random.random_range(0..4));
        let initiated = Initiated {
            account: account.map(str::to_owned),
            kind,
            reason,
            limit: 2,
            count: 2,
            wait_ms: 10,
            generation: 1,
            source: ("192.0.2.1".parse().unwrap(), 5060),
            sip_call_id: format!("{}@host", index / 2),
            from: number(&mut random),
            from_host: "pbx.example".into(),
            to: number(&mut random),
            request_uri: "sip:x@acme.sip.example.net".into(),
        };
        let record = |at_ms, report| CallRecord { call, trunk: trunk.map(str::to_owned), at_ms, report };
        records.push(record(start_ms, Report::Initiated(Box::new(initiated))));
        if reason.is_some() || random.random_bool(0.1) {
            continue;
        }
        let answer_ms = random.random_bool(0.6).then_some(start_ms + 700);
        if let Some(answer_ms) = answer_ms {
            let gateway = Some("sip:192.0.2.9".to_owned());
            records.push(record(answer_ms, Report::Answered { gateway, attempts: 1, ring_ms: None }));
        }
        let end_ms = start_ms + random.random_range(800..90_000);
        let ended = Ended {
            sip_code: if answer_ms.is_some() { 200 } else { *[486, 480, 404].choose(&mut random).unwrap() },
            q850: None,
            no_media: false,
            by: Party::Caller,
            cause: if answer_ms.is_some() { EndCause::Bye } else { EndCause::Rejected },
            start_ms: Some(start_ms),
            ring_ms: None,
            answer_ms,
            end_ms,
            gateway: None,
            attempts: 1,
        };
        records.push(record(end_ms, Report::Ended(Box::new(ended))));
    }
    records
}

async fn filled(store: &dyn Store, first: u32, count: u32) -> Vec<Call> {
    let records = reports(first, count);
    let last_sequence = u64::from(first + count);
    store.ingest(Batch { ring_id: 7, last_sequence, records }, 5).await.unwrap();
    let mut calls = Vec::new();
    for index in first..first + count {
        calls.push(store.call(Uuid::from_u128(u128::from(index) + 1)).await.unwrap().unwrap());
    }
    calls
}

fn filter(random: &mut StdRng) -> CallFilter {
    fn some<T>(random: &mut StdRng, value: T) -> Option<T> {
        random.random_bool(0.3).then_some(value)
    }
    let trunk = *["t1", "t2", "v1", "t3", "none"].choose(random).unwrap();
    let account = *["one", "two"].choose(random).unwrap();
    let kind = *[Kind::Trunk, Kind::Application].choose(random).unwrap();
    let status =
        *[Status::NormalClearing, Status::UserBusy, Status::SwitchCongestion].choose(random).unwrap();
    let (from, to) = (random.random_range(0..4), random.random_range(0..4));
    let sip = random.random_range(0..CALLS / 2);
    let since_ms = random.random_range(1_000..1_100);
    let (until_ms, allowed) = (random.random_range(1_000..1_110), random.random_bool(0.5));
    CallFilter {
        trunk: some(random, trunk.to_owned()),
        account: some(random, account.to_owned()),
        kind: some(random, kind),
        status: some(random, status),
        allowed: some(random, allowed),
        from: some(random, format!("+1555000{from}")),
        to: some(random, format!("+1555000{to}")),
        sip_call_id: random.random_bool(0.1).then(|| format!("{sip}@host")),
        since_ms: some(random, since_ms),
        until_ms: some(random, until_ms),
    }
}

fn lets_through(filter: &CallFilter, call: &Call) -> bool {
    fn is<T: PartialEq>(wanted: &Option<T>, found: Option<&T>) -> bool {
        wanted.as_ref().is_none_or(|wanted| found == Some(wanted))
    }
    is(&filter.trunk, call.trunk.as_ref())
        && is(&filter.account, call.account.as_ref())
        && is(&filter.kind, Some(&call.kind))
        && is(&filter.status, call.status.as_ref())
        && is(&filter.allowed, Some(&call.allowed))
        && is(&filter.from, call.from.as_ref())
        && is(&filter.to, call.to.as_ref())
        && is(&filter.sip_call_id, call.sip_call_id.as_ref())
        && filter.since_ms.is_none_or(|since| call.start_ms >= since)
        && filter.until_ms.is_none_or(|until| call.start_ms < until)
}

async fn all_pages(store: &dyn Store, filter: &CallFilter, limit: u32) -> Vec<Call> {
    let (mut calls, mut after): (Vec<Call>, Option<CallCursor>) = (Vec::new(), None);
    loop {
        let page = CallPage { after, limit, ..CallPage::default() };
        let CallsFound { calls: found, next, total } = store.list_calls(filter.clone(), page).await.unwrap();
        assert!(found.len() <= limit as usize && total.is_none());
        calls.extend(found);
        after = next;
        if after.is_none() {
            return calls;
        }
    }
}

pub(crate) async fn any_filter_finds_what_a_look_at_every_call_finds(place: &dyn Place) {
    let store = place.open().await;
    let mut wanted = filled(&*store, 0, CALLS).await;
    wanted.reverse(); // newest first; of one millisecond the one that was written last
    let mut random = StdRng::seed_from_u64(3);
    let mut pages = 0;
    for round in 0..300 {
        let filter = if round == 0 { CallFilter::default() } else { filter(&mut random) };
        let matching: Vec<Call> = wanted.iter().filter(|call| lets_through(&filter, call)).cloned().collect();
        let limit = random.random_range(1..40);
        assert_eq!(all_pages(&*store, &filter, limit).await, matching, "{filter:?}");
        pages += matching.len() / limit as usize + 1;

        let skip = random.random_range(0..=matching.len());
        let page = CallPage { after: None, skip: skip as u64, limit, count: true };
        let found = store.list_calls(filter.clone(), page).await.unwrap();
        let end = matching.len().min(skip + limit as usize);
        assert_eq!(
            (found.total, &found.calls[..]),
            (Some(matching.len() as u64), &matching[skip..end]),
            "{filter:?}"
        );
        assert_eq!(found.next.is_some(), end < matching.len(), "{filter:?}");

        let mut sums = CallSums::default();
        matching.iter().for_each(|call| sums.add(call.allowed, call.answer_ms, call.end_ms, None));
        assert_eq!(store.sum_calls(filter.clone(), None).await.unwrap(), (sums, None), "{filter:?}");
    }
    assert!(pages > 500, "{pages}");
}

pub(crate) async fn a_list_goes_on_where_it_was_whatever_comes_in(place: &dyn Place) {
    let store = place.open().await;
    let mut wanted = filled(&*store, 0, 50).await;
    wanted.reverse();
    let page = CallPage { limit: 20, ..CallPage::default() };
    let first = store.list_calls(CallFilter::default(), page).await.unwrap();
    // Calls come in, and calls that were read already end: a row keeps its place.
    filled(&*store, 50, 30).await;
    let orphan = |call: &Call| Orphan { call: call.id, trunk_live: None, start_ms: 0, end_ms: None };
    let open: Vec<Orphan> = wanted.iter().filter(|call| call.end_ms.is_none()).map(orphan).collect();
    assert!(!open.is_empty());
    // By a clock that has been set back, too: no call ends before it was answered.
    let (late, early) = open.split_at(open.len() / 2);
    let (late, by_their_own) = late.split_at(late.len() / 2);
    store.reconcile(late.to_vec(), 200_000).await.unwrap();
    store.reconcile(early.to_vec(), -1).await.unwrap();
    let by_their_own: Vec<_> =
        by_their_own.iter().map(|orphan| Orphan { end_ms: Some(300_000), ..orphan.clone() }).collect();
    assert!(!by_their_own.is_empty());
    store.reconcile(by_their_own.clone(), 200_000).await.unwrap();
    let page = CallPage { after: first.next, limit: 100, ..CallPage::default() };
    let second = store.list_calls(CallFilter::default(), page).await.unwrap();
    let ids: Vec<Uuid> = first.calls.iter().chain(&second.calls).map(|call| call.id).collect();
    assert_eq!(ids, wanted.iter().map(|call| call.id).collect::<Vec<_>>());
    assert!(second.next.is_none());
    for orphan in by_their_own {
        let call = store.call(orphan.call).await.unwrap().unwrap();
        assert_eq!(call.end_ms, Some(300_000), "its own clock says when it ended");
    }
    assert!(second.calls.iter().all(|call| call.end_ms >= Some(call.answer_ms.unwrap_or(call.start_ms))));
}

pub(crate) async fn one_page_looks_at_a_bounded_number_of_calls(place: &dyn Place) {
    let store = place.open().await;
    // One over the bound, and the only one that matches is the oldest.
    for first in (0..10_004).step_by(4_000) {
        let count = 4_000.min(10_004 - first);
        let mut records = reports(first, count);
        records.retain(|record| matches!(record.report, Report::Initiated(_)));
        for record in &mut records {
            let Report::Initiated(initiated) = &mut record.report else { continue };
            initiated.from = if record.call == Uuid::from_u128(1) { "rare" } else { "common" }.into();
            initiated.to = "all".into();
        }
        store.ingest(Batch { ring_id: 7, last_sequence: 1, records }, 5).await.unwrap();
    }
    let filter = CallFilter { to: Some("all".into()), from: Some("rare".into()), ..CallFilter::default() };
    let page = CallPage { limit: 20, count: true, ..CallPage::default() };
    let first = store.list_calls(filter.clone(), page).await.unwrap();
    assert_eq!((first.total, first.calls.len()), (None, 0));
    assert!(first.next.is_some(), "it goes on");
    let page = CallPage { after: first.next, limit: 20, ..CallPage::default() };
    let second = store.list_calls(filter, page).await.unwrap();
    assert_eq!((second.calls.len(), second.next), (1, None));
    let page = CallPage { limit: 100, count: true, ..CallPage::default() };
    let all = store.list_calls(CallFilter::default(), page).await.unwrap();
    assert_eq!((all.total, all.calls.len()), (None, 100), "too many to be counted");
    let few = CallFilter { until_ms: Some(1_010), ..CallFilter::default() };
    assert_eq!(store.list_calls(few, page).await.unwrap().total, Some(40));
}
