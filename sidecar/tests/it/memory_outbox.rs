//! An outbox in memory that keeps the rules of [`trunkd::store::Outbox`], for tests that play days.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use trunkd::domain::Webhook;
use trunkd::secret::WebhookSecret;
use trunkd::store::{Answer, AttemptRecord, Delivery, Due, EndpointId, ORDERED_ATTEMPTS, Outbox, Then};

use crate::support::SECRET;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Delivered,
    Parked,
}

/// One event owed to one endpoint, due at once.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    endpoint: i64,
    call: i64,
    sequence: u8,
    attempts: u32,
    next_ms: i64,
    state: State,
}

impl Row {
    pub(crate) fn new(endpoint: i64, call: i64, sequence: u8) -> Row {
        Row { endpoint, call, sequence, attempts: 0, next_ms: 0, state: State::Pending }
    }

    /// The id of an event.
    pub(crate) fn event(call: i64, sequence: u8) -> String {
        format!("evt_{call}_{sequence}")
    }
}

/// The outbox. A row's delivery id is its place in the list.
pub(crate) struct MemoryOutbox {
    /// Where all of it goes.
    url: Mutex<String>,
    rows: Mutex<Rows>,
    empty: Notify,
}

struct Rows {
    all: Vec<Row>,
    /// Pending ones by endpoint, then in the order in which they come due.
    pending: BTreeMap<i64, BTreeSet<(i64, usize)>>,
}

impl Rows {
    fn set_next(&mut self, id: usize, next_ms: i64) {
        let row = &mut self.all[id];
        if let Some(queue) = self.pending.get_mut(&row.endpoint) {
            queue.remove(&(row.next_ms, id));
            queue.insert((next_ms, id));
        }
        row.next_ms = next_ms;
    }

    /// The other pending events of a call at the same endpoint.
    fn of_call(&self, id: usize) -> Vec<usize> {
        let row = &self.all[id];
        let near = id.saturating_sub(2)..(id + 3).min(self.all.len());
        let same = |other: &Row| other.endpoint == row.endpoint && other.call == row.call;
        near.filter(|&other| same(&self.all[other]) && self.all[other].state == State::Pending).collect()
    }

    fn waits(&self, id: usize) -> bool {
        let earlier = |other: &usize| self.all[*other].sequence < self.all[id].sequence;
        self.of_call(id)
            .iter()
            .filter(|other| earlier(other))
            .any(|&other| self.all[other].attempts < ORDERED_ATTEMPTS)
    }

    fn due(&self, endpoint: i64, now_ms: i64, limit: usize, url: String) -> Due {
        let queue = self.pending.get(&endpoint);
        let due = queue.into_iter().flat_map(|queue| queue.range(..=(now_ms, usize::MAX)));
        let ids = due.map(|(_, id)| *id).filter(|&id| !self.waits(id)).take(limit);
        let deliveries = ids.map(|id| Delivery {
            id: id as i64,
            event_id: Row::event(self.all[id].call, self.all[id].sequence),
            attempts: self.all[id].attempts,
            created_ms: 0,
            body: "{}".into(),
        });
        let later = queue.and_then(|queue| queue.range((now_ms + 1, 0)..).next());
        Due {
            webhook: Webhook::new(url, WebhookSecret::parse(SECRET).unwrap()),
            deliveries: deliveries.collect(),
            next_ms: later.map(|(at_ms, _)| *at_ms),
        }
    }

    fn record(&mut self, attempt: &AttemptRecord) {
        let id = attempt.delivery as usize;
        self.all[id].attempts = attempt.number;
        let state = match attempt.then {
            Then::RetryAt(at_ms) => {
                self.set_next(id, at_ms);
                for other in self.of_call(id) {
                    let later = self.all[other].sequence > self.all[id].sequence;
                    if later && attempt.number < ORDERED_ATTEMPTS && self.all[other].next_ms < at_ms {
                        self.set_next(other, at_ms);
                    }
                }
                return;
            }
            Then::Delivered => State::Delivered,
            Then::Park => State::Parked,
            Then::Disable | Then::GoOn => panic!("nobody answers 410 here, and there is no fallback"),
        };
        let row = &mut self.all[id];
        row.state = state;
        if let Some(queue) = self.pending.get_mut(&row.endpoint) {
            queue.remove(&(row.next_ms, id));
            if queue.is_empty() {
                self.pending.remove(&row.endpoint);
            }
        }
    }
}

impl MemoryOutbox {
    /// Events of one call must stand beside each other.
    pub(crate) fn new(all: Vec<Row>) -> Arc<MemoryOutbox> {
        let mut pending: BTreeMap<i64, BTreeSet<(i64, usize)>> = BTreeMap::new();
        for (id, row) in all.iter().enumerate() {
            pending.entry(row.endpoint).or_default().insert((row.next_ms, id));
        }
        let url = Mutex::new("https://hooks.example.com/".to_owned());
        Arc::new(MemoryOutbox { url, rows: Mutex::new(Rows { all, pending }), empty: Notify::new() })
    }

    /// Has everything go elsewhere from now on.
    pub(crate) fn set_url(&self, url: &str) {
        url.clone_into(&mut self.url.lock().unwrap());
    }

    /// Waits until nothing is pending.
    pub(crate) async fn emptied(&self) {
        self.empty.notified().await;
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.rows.lock().unwrap().all.iter().filter(|row| row.state == state).count()
    }
}

impl Outbox for MemoryOutbox {
    fn endpoints_with_work(&self) -> Answer<'_, Vec<EndpointId>> {
        let endpoints = self.rows.lock().unwrap().pending.keys().copied().map(EndpointId).collect();
        Box::pin(ready(Ok(endpoints)))
    }

    fn endpoints_of(&self, _: Vec<String>) -> Answer<'_, Vec<EndpointId>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn due(&self, endpoint: EndpointId, now_ms: i64, limit: usize) -> Answer<'_, Option<Due>> {
        let url = self.url.lock().unwrap().clone();
        Box::pin(ready(Ok(Some(self.rows.lock().unwrap().due(endpoint.0, now_ms, limit, url)))))
    }

    fn pull_in(&self, by_ms: i64, latest_ms: i64) -> Answer<'_, ()> {
        let mut rows = self.rows.lock().unwrap();
        for id in 0..rows.all.len() {
            let next_ms = (rows.all[id].next_ms - by_ms).min(latest_ms);
            if rows.all[id].state == State::Pending {
                rows.set_next(id, next_ms);
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn record(&self, attempts: Vec<AttemptRecord>) -> Answer<'_, ()> {
        let mut rows = self.rows.lock().unwrap();
        attempts.iter().for_each(|attempt| rows.record(attempt));
        if rows.pending.is_empty() {
            self.empty.notify_one();
        }
        Box::pin(ready(Ok(())))
    }
}
