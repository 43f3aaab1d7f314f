//! Deliveries as people look at them, and what they do about them; events in order.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, Transaction, params, params_from_iter};
use uuid::Uuid;

use super::SqliteStore;
use super::configuration::rows;
use super::lists::Conditions;
use super::text::{damaged, get};
use crate::domain::Millis;
use crate::store::{
    Answer, Deliveries, DeliveryFilter, DeliveryRecord, DeliveryState, DeliveryStory, EndpointId,
    EndpointReport, Listed, LoggedAttempt, MAX_REPLAY, Page, Replayed, StoreError, StoredEvent,
};

/// Where a filter's columns are.
const TABLES: &str = "deliveries d JOIN events e USING (position)";

impl Deliveries for SqliteStore {
    fn list_deliveries(&self, filter: DeliveryFilter, page: Page) -> Answer<'_, Listed<DeliveryRecord>> {
        self.read_much(move |db| list(db, &filter, page))
    }

    fn delivery(&self, id: i64) -> Answer<'_, Option<DeliveryStory>> {
        self.read(move |db| story(db, id))
    }

    fn replay(&self, id: i64, now_ms: Millis) -> Answer<'_, Option<EndpointId>> {
        self.run(move |db| replay(db, id, now_ms))
    }

    fn replay_all(&self, filter: DeliveryFilter, now_ms: Millis) -> Answer<'_, Replayed> {
        self.run(move |db| replay_all(db, &filter, now_ms))
    }

    fn endpoint(&self, trunk: String) -> Answer<'_, Option<EndpointReport>> {
        self.read_much(move |db| endpoint(db, &trunk))
    }

    fn enable_endpoint(
        &self,
        trunk: String,
        enabled: bool,
        now_ms: Millis,
    ) -> Answer<'_, Option<EndpointId>> {
        self.run(move |db| enable(db, &trunk, enabled, now_ms))
    }

    fn events_after(
        &self,
        position: i64,
        account: Option<String>,
        limit: u32,
    ) -> Answer<'_, Vec<StoredEvent>> {
        self.read(move |db| events_after(db, position, account, limit))
    }
}

fn conditions(db: &Transaction<'_>, filter: &DeliveryFilter) -> Result<Conditions, StoreError> {
    let mut conditions = Conditions::default();
    conditions.equal("d.account_id", filter.account.clone());
    if let Some(trunk) = &filter.trunk {
        let mut select = db.prepare_cached("SELECT endpoint_id FROM endpoints WHERE trunk_id = ?1")?;
        let found: Option<i64> = select.query_row([trunk], |row| row.get(0)).optional()?;
        // No endpoint has number 0.
        conditions.equal("d.endpoint_id", Some(found.unwrap_or(0)));
    }
    conditions.equal("d.state", filter.state.map(|state| state.name().to_owned()));
    conditions.equal("d.call_id", filter.call.map(|call| call.as_bytes().to_vec()));
    conditions.at_least("e.created_ms", filter.from_ms);
    conditions.below("e.created_ms", filter.before_ms);
    Ok(conditions)
}

fn list(
    db: &Transaction<'_>,
    filter: &DeliveryFilter,
    page: Page,
) -> Result<Listed<DeliveryRecord>, StoreError> {
    let conditions = conditions(db, filter)?;
    let (total, ids): (_, Vec<i64>) =
        conditions.page(db, "d.delivery_id", TABLES, "d.delivery_id DESC", page)?;
    let objects = ids.into_iter().filter_map(|id| one(db, id).transpose()).collect::<Result<_, _>>()?;
    Ok(Listed { total, objects })
}

fn one(db: &Transaction<'_>, id: i64) -> Result<Option<DeliveryRecord>, StoreError> {
    let sql = "SELECT d.*, e.event_id, e.type, e.created_ms, n.trunk_id AS endpoint_trunk
         FROM deliveries d JOIN events e USING (position) JOIN endpoints n USING (endpoint_id) WHERE d.delivery_id = ?1";
    Ok(rows(db, sql, [id], record)?.pop())
}

fn record(row: &Row<'_>) -> Result<DeliveryRecord, StoreError> {
    let state: String = get(row, "state")?;
    let known = DeliveryState::ALL.into_iter().find(|known| known.name() == state);
    Ok(DeliveryRecord {
        id: get(row, "delivery_id")?,
        event_id: get(row, "event_id")?,
        kind: get(row, "type")?,
        call: Uuid::from_bytes(get(row, "call_id")?),
        sequence: get(row, "sequence")?,
        trunk: get(row, "endpoint_trunk")?,
        account: get(row, "account_id")?,
        state: known.ok_or_else(|| damaged("state", &state))?,
        attempts: get(row, "attempts")?,
        next_attempt_ms: get(row, "next_attempt_ms")?,
        created_ms: get(row, "created_ms")?,
        ended_ms: get(row, "ended_ms")?,
    })
}

fn story(db: &Transaction<'_>, id: i64) -> Result<Option<DeliveryStory>, StoreError> {
    let Some(delivery) = one(db, id)? else { return Ok(None) };
    let sql = "SELECT body FROM events JOIN deliveries USING (position) WHERE delivery_id = ?1";
    let body = db.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
    let sql = "SELECT * FROM delivery_attempts WHERE delivery_id = ?1 ORDER BY attempt_id";
    let attempts = rows(db, sql, [id], |row| {
        Ok(LoggedAttempt {
            number: get(row, "number")?,
            target: get(row, "target")?,
            started_ms: get(row, "started_ms")?,
            duration_ms: get(row, "duration_ms")?,
            outcome: get(row, "outcome")?,
            status: get(row, "status")?,
            error: get(row, "error")?,
            answer: get::<Option<Vec<u8>>>(row, "answer")?.unwrap_or_default(),
        })
    })?;
    Ok(Some(DeliveryStory { delivery, body, attempts }))
}

/// Into the outbox as if new, if it has an endpoint still.
const AGAIN: &str =
    "UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_ms = ?2, ended_ms = NULL
     WHERE delivery_id = ?1 AND endpoint_id IN (SELECT endpoint_id FROM endpoints WHERE state != 'removed')
     RETURNING endpoint_id";

fn replay(db: &Transaction<'_>, id: i64, now_ms: Millis) -> Result<Option<EndpointId>, StoreError> {
    let mut update = db.prepare_cached(AGAIN)?;
    Ok(update.query_row(params![id, now_ms], |row| row.get(0).map(EndpointId)).optional()?)
}

fn replay_all(db: &Transaction<'_>, filter: &DeliveryFilter, now_ms: Millis) -> Result<Replayed, StoreError> {
    let mut conditions = conditions(db, filter)?;
    conditions.term("d.state != 'pending'");
    conditions.term("d.endpoint_id IN (SELECT endpoint_id FROM endpoints WHERE state != 'removed')");
    let page = Page { limit: MAX_REPLAY, offset: 0 };
    let (total, ids): (_, Vec<i64>) = conditions.page(db, "d.delivery_id", TABLES, "d.delivery_id", page)?;
    let mut replayed = Replayed { more: total > ids.len() as u64, ..Replayed::default() };
    for id in ids {
        let Some(endpoint) = replay(db, id, now_ms)? else { continue };
        replayed.count += 1;
        if !replayed.endpoints.contains(&endpoint) {
            replayed.endpoints.push(endpoint);
        }
    }
    Ok(replayed)
}

fn endpoint(db: &Transaction<'_>, trunk: &str) -> Result<Option<EndpointReport>, StoreError> {
    let sql = "SELECT * FROM endpoints WHERE trunk_id = ?1 AND state != 'removed'";
    let found = rows(db, sql, [trunk], |row| {
        Ok(EndpointReport {
            id: EndpointId(get(row, "endpoint_id")?),
            enabled: get::<String>(row, "state")? == "enabled",
            note: get(row, "note")?,
            changed_ms: get(row, "changed_ms")?,
            pending: 0,
            oldest_pending_ms: None,
            parked: 0,
        })
    })?;
    let Some(mut report) = found.into_iter().next() else { return Ok(None) };
    let sql = "SELECT count(*), min(position) FROM deliveries WHERE endpoint_id = ?1 AND state = 'pending'";
    let (pending, oldest): (_, Option<i64>) =
        db.prepare_cached(sql)?.query_row([report.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT count(*) FROM deliveries WHERE endpoint_id = ?1 AND state = 'parked'";
    report.parked = db.prepare_cached(sql)?.query_row([report.id.0], |row| row.get(0))?;
    report.pending = pending;
    let sql = "SELECT created_ms FROM events WHERE position = ?1";
    report.oldest_pending_ms = db.prepare_cached(sql)?.query_row([oldest], |row| row.get(0)).optional()?;
    Ok(Some(report))
}

fn enable(
    db: &Transaction<'_>,
    trunk: &str,
    enabled: bool,
    now_ms: Millis,
) -> Result<Option<EndpointId>, StoreError> {
    let (state, note) = if enabled { ("enabled", "") } else { ("disabled", "disabled by hand") };
    db.prepare_cached(
        "UPDATE endpoints SET state = ?2, note = ?3, changed_ms = ?4
         WHERE trunk_id = ?1 AND state != 'removed' AND state != ?2",
    )?
    .execute(params![trunk, state, note, now_ms])?;
    let sql = "SELECT endpoint_id FROM endpoints WHERE trunk_id = ?1 AND state != 'removed'";
    Ok(db.prepare_cached(sql)?.query_row([trunk], |row| row.get(0).map(EndpointId)).optional()?)
}

fn events_after(
    db: &Transaction<'_>,
    position: i64,
    account: Option<String>,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    let whose = if account.is_some() { "account_id = ?3 AND" } else { "" };
    let sql = format!("SELECT * FROM events WHERE {whose} position > ?1 ORDER BY position LIMIT ?2");
    let mut values = vec![Value::from(position), Value::from(limit)];
    values.extend(account.map(Value::from));
    rows(db, &sql, params_from_iter(values), |row| {
        Ok(StoredEvent {
            position: get(row, "position")?,
            event_id: get(row, "event_id")?,
            body: get(row, "body")?,
        })
    })
}
