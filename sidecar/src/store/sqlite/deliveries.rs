//! Deliveries as people look at them, and what they do about them; events in order.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, Transaction, params, params_from_iter};
use uuid::Uuid;

use super::SqliteStore;
use super::configuration::rows;
use super::delivery_walk::{Direction, Walk};
use super::text::{damaged, get};
use crate::domain::Millis;
use crate::store::{
    Again, Answer, Deliveries, DeliveryFilter, DeliveryRecord, DeliveryState, DeliveryStory, EndpointId,
    EndpointReport, LoggedAttempt, MAX_LOOKED_AT, Replayed, StoreError, StoredEvent, Walked,
};

impl Deliveries for SqliteStore {
    fn list_deliveries(
        &self,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Answer<'_, Walked<DeliveryRecord>> {
        self.read_much(move |db| list(db, &filter, before, limit))
    }

    fn delivery_ids(&self, filter: DeliveryFilter, after: Option<i64>) -> Answer<'_, Walked<i64>> {
        self.read_much(move |db| Walk::of(db, &filter, Direction::OldestFirst, after)?.run(db, MAX_LOOKED_AT))
    }

    fn delivery(&self, id: i64) -> Answer<'_, Option<DeliveryStory>> {
        self.read(move |db| story(db, id))
    }

    fn replay(&self, again: Again, now_ms: Millis) -> Answer<'_, Replayed> {
        self.run(move |db| replay(db, &again, now_ms))
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

fn list(
    db: &Transaction<'_>,
    filter: &DeliveryFilter,
    before: Option<i64>,
    limit: u32,
) -> Result<Walked<DeliveryRecord>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let Walked { found, last, more } =
        Walk::of(db, filter, Direction::NewestFirst, before)?.run(db, limit)?;
    let found = found.into_iter().filter_map(|id| one(db, id).transpose()).collect::<Result<_, _>>()?;
    Ok(Walked { found, last, more })
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

/// Into the outbox as if new, if it has an endpoint still, and where and whose it is as it was asked for.
const AGAIN: &str =
    "UPDATE deliveries SET state = 'pending', attempts = 0, next_attempt_ms = ?2, ended_ms = NULL
     WHERE delivery_id = ?1 AND (?3 IS NULL OR state = ?3) AND EXISTS
        (SELECT 1 FROM endpoints e WHERE e.endpoint_id = deliveries.endpoint_id AND e.state != 'removed' AND (?4 IS NULL
            OR EXISTS (SELECT 1 FROM trunks t WHERE t.trunk_id = e.trunk_id AND t.account_id = ?4)))
     RETURNING endpoint_id";

fn replay(db: &Transaction<'_>, again: &Again, now_ms: Millis) -> Result<Replayed, StoreError> {
    let mut update = db.prepare_cached(AGAIN)?;
    let mut replayed = Replayed::default();
    for id in &again.deliveries {
        let values = params![id, now_ms, again.state.map(DeliveryState::name), again.owner];
        let endpoint = update.query_row(values, |row| row.get(0).map(EndpointId)).optional()?;
        replayed.count += u64::from(endpoint.is_some());
        replayed.endpoints.extend(endpoint);
    }
    Ok(replayed)
}

// As in the outbox, the indexes are named. Counts read entries of an index and no row.

const PENDING: &str = "SELECT count(*), min(delivery_id) FROM deliveries INDEXED BY deliveries_due
     WHERE endpoint_id = ?1 AND state = 'pending'";

const PARKED: &str = "SELECT count(*) FROM deliveries INDEXED BY deliveries_parked_by_endpoint
     WHERE endpoint_id = ?1 AND state = 'parked'";

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
    let (pending, oldest): (_, Option<i64>) =
        db.prepare_cached(PENDING)?.query_row([report.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    report.parked = db.prepare_cached(PARKED)?.query_row([report.id.0], |row| row.get(0))?;
    report.pending = pending;
    let sql = "SELECT created_ms FROM events JOIN deliveries USING (position) WHERE delivery_id = ?1";
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
