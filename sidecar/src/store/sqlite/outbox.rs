//! The outbox: what is owed to whom, what is due, and what came of each attempt.

use rusqlite::{OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use super::objects::webhook_of;
use super::{SqliteStore, endpoints};
use crate::crash;
use crate::domain::Millis;
use crate::store::{
    Answer, AttemptRecord, Backlog, Delivery, Due, EndpointId, ORDERED_ATTEMPTS, Outbox, StoreError, Then,
};

impl Outbox for SqliteStore {
    fn endpoints_with_work(&self) -> Answer<'_, Vec<EndpointId>> {
        self.read(endpoints_with_work)
    }

    fn endpoints_of(&self, trunks: Vec<String>) -> Answer<'_, Vec<EndpointId>> {
        self.read(move |db| {
            let found = trunks.iter().map(|trunk| endpoints::of(db, trunk));
            let found = found.collect::<Result<Vec<_>, _>>()?;
            Ok(found.into_iter().flatten().map(|(endpoint, _)| endpoint).collect())
        })
    }

    fn due(&self, endpoint: EndpointId, now_ms: Millis, limit: usize) -> Answer<'_, Option<Due>> {
        self.read(move |db| due(db, endpoint, now_ms, limit))
    }

    fn pull_in(&self, by_ms: Millis, latest_ms: Millis) -> Answer<'_, ()> {
        let sql =
            "UPDATE deliveries INDEXED BY deliveries_due SET next_attempt_ms = min(next_attempt_ms - ?1, ?2)
             WHERE state = 'pending' AND (?1 > 0 OR next_attempt_ms > ?2)";
        self.run(move |db| Ok(db.execute(sql, [by_ms, latest_ms]).map(drop)?))
    }

    fn record(&self, attempts: Vec<AttemptRecord>) -> Answer<'_, ()> {
        self.run(move |db| {
            attempts.iter().try_for_each(|attempt| record(db, attempt))?;
            crash::point("delivery.written");
            Ok(())
        })
    }
}

// The indexes are named: by what SQLite guesses, without numbers, one endpoint's backlog is as good as one call's events.

const WITH_WORK: &str = "SELECT endpoint_id FROM endpoints e WHERE state = 'enabled' AND EXISTS
    (SELECT 1 FROM deliveries d INDEXED BY deliveries_due WHERE d.endpoint_id = e.endpoint_id AND d.state = 'pending')";

const DUE: &str = "SELECT d.delivery_id, e.event_id, d.attempts, e.created_ms, e.body
     FROM deliveries d INDEXED BY deliveries_due JOIN events e USING (position)
     WHERE d.endpoint_id = ?1 AND d.state = 'pending' AND d.next_attempt_ms <= ?2 AND NOT EXISTS (
        SELECT 1 FROM deliveries o INDEXED BY deliveries_in_order WHERE o.endpoint_id = d.endpoint_id
            AND o.call_id = d.call_id AND o.sequence < d.sequence AND o.state = 'pending' AND o.attempts < ?4)
     ORDER BY d.next_attempt_ms, d.delivery_id LIMIT ?3";

const NEXT_DUE: &str = "SELECT min(next_attempt_ms) FROM deliveries INDEXED BY deliveries_due
     WHERE endpoint_id = ?1 AND state = 'pending' AND next_attempt_ms > ?2";

const HOLD_BACK: &str = "UPDATE deliveries INDEXED BY deliveries_in_order SET next_attempt_ms = ?2
     FROM (SELECT endpoint_id, call_id, sequence FROM deliveries WHERE delivery_id = ?1) AS first
     WHERE deliveries.endpoint_id = first.endpoint_id AND deliveries.call_id = first.call_id
        AND deliveries.sequence > first.sequence AND state = 'pending' AND next_attempt_ms < ?2";

const FIRST_DUE: &str =
    "SELECT max(?4, coalesce(max(next_attempt_ms), ?4)) FROM deliveries INDEXED BY deliveries_in_order
     WHERE endpoint_id = ?1 AND call_id = ?2 AND sequence < ?3 AND state = 'pending' AND attempts < ?5";

fn endpoints_with_work(db: &Transaction<'_>) -> Result<Vec<EndpointId>, StoreError> {
    let mut select = db.prepare(WITH_WORK)?;
    let ids = select.query_map([], |row| row.get(0).map(EndpointId))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

fn due(
    db: &Transaction<'_>,
    endpoint: EndpointId,
    now_ms: Millis,
    limit: usize,
) -> Result<Option<Due>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT * FROM endpoints WHERE endpoint_id = ?1 AND state = 'enabled'")?;
    let mut rows = select.query([endpoint.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let webhook = webhook_of(row)?;

    let mut select = db.prepare_cached(DUE)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let deliveries = select.query_map(params![endpoint.0, now_ms, limit, ORDERED_ATTEMPTS], |row| {
        Ok(Delivery {
            id: row.get(0)?,
            event_id: row.get(1)?,
            attempts: row.get(2)?,
            created_ms: row.get(3)?,
            body: row.get(4)?,
        })
    })?;
    let deliveries = deliveries.collect::<Result<_, _>>()?;

    let mut select = db.prepare_cached(NEXT_DUE)?;
    let next_ms = select.query_row(params![endpoint.0, now_ms], |row| row.get(0))?;
    Ok(Some(Due { webhook, deliveries, next_ms }))
}

fn record(db: &Transaction<'_>, attempt: &AttemptRecord) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO delivery_attempts (delivery_id, number, started_ms, duration_ms, outcome, status, error, answer, target)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM deliveries WHERE delivery_id = ?1",
    )?
    .execute(params![
        attempt.delivery,
        attempt.number,
        attempt.started_ms,
        attempt.duration_ms,
        attempt.outcome,
        attempt.status,
        attempt.error,
        attempt.answer,
        attempt.target.name()
    ])?;
    let over_ms = attempt.started_ms + attempt.duration_ms;
    let (state, next_ms, ended_ms) = match attempt.then {
        Then::GoOn => return Ok(()),
        Then::Delivered => ("delivered", over_ms, Some(over_ms)),
        Then::RetryAt(at_ms) => ("pending", at_ms, None),
        Then::Park => ("parked", over_ms, Some(over_ms)),
        Then::Disable => ("pending", over_ms, None),
    };
    // One that was parked meanwhile, because its webhook was removed, may still turn out delivered; no more than that.
    db.prepare_cached(
        "UPDATE deliveries SET state = ?2, attempts = ?3, next_attempt_ms = ?4, ended_ms = ?5
         WHERE delivery_id = ?1 AND (state = 'pending' OR ?2 = 'delivered')",
    )?
    .execute(params![attempt.delivery, state, attempt.number, next_ms, ended_ms])?;
    if let Then::RetryAt(at_ms) = attempt.then
        && attempt.number < ORDERED_ATTEMPTS
    {
        hold_back(db, attempt.delivery, at_ms)?;
    }
    if attempt.then == Then::Disable {
        db.prepare_cached(
            "UPDATE endpoints SET state = 'disabled', note = 'the receiver answered 410', changed_ms = ?2
             WHERE endpoint_id = ?1 AND state = 'enabled'",
        )?
        .execute(params![attempt.endpoint.0, over_ms])?;
        let sql = "SELECT trunk_id FROM endpoints WHERE endpoint_id = ?1 AND state = 'disabled'
             AND trunk_id NOT IN (SELECT trunk_id FROM trunks)";
        let of_none: Option<String> =
            db.prepare_cached(sql)?.query_row([attempt.endpoint.0], |row| row.get(0)).optional()?;
        if let Some(trunk) = of_none {
            endpoints::end(db, &trunk, endpoints::TRUNK_REMOVED, over_ms)?;
        }
    }
    Ok(())
}

/// What waits for this delivery comes due no earlier than it does. Without that, a dead endpoint's waiting events would
/// stand due at the head of the queue, and every look for work would have to pass over all of them.
fn hold_back(db: &Transaction<'_>, delivery: i64, at_ms: Millis) -> Result<(), StoreError> {
    db.prepare_cached(HOLD_BACK)?.execute(params![delivery, at_ms])?;
    Ok(())
}

/// An event that is owed.
pub(super) struct Owed<'a> {
    pub(super) endpoint: EndpointId,
    pub(super) position: i64,
    pub(super) call: Uuid,
    pub(super) account: Option<&'a str>,
    pub(super) sequence: u8,
}

/// Puts a new event into the outbox.
pub(super) fn owe(db: &Transaction<'_>, owed: &Owed<'_>, now_ms: Millis) -> Result<(), StoreError> {
    let due_ms = first_due(db, owed.endpoint, owed.call, owed.sequence, now_ms)?;
    db.prepare_cached(
        "INSERT INTO deliveries (position, endpoint_id, call_id, sequence, state, attempts, next_attempt_ms, account_id)
         VALUES (?1, ?2, ?3, ?4, 'pending', 0, ?5, ?6)",
    )?
    .execute(params![
        owed.position,
        owed.endpoint.0,
        owed.call.as_bytes(),
        owed.sequence,
        due_ms,
        owed.account
    ])?;
    Ok(())
}

/// When a new event of a call may first be sent: at once, or when the earlier one comes due that it waits for.
fn first_due(
    db: &Transaction<'_>,
    endpoint: EndpointId,
    call: Uuid,
    sequence: u8,
    now_ms: Millis,
) -> Result<Millis, StoreError> {
    let mut select = db.prepare_cached(FIRST_DUE)?;
    let found = select
        .query_row(params![endpoint.0, call.as_bytes(), sequence, now_ms, ORDERED_ATTEMPTS], |row| {
            row.get(0)
        })?;
    Ok(found)
}

pub(super) fn backlog(db: &Transaction<'_>) -> Result<Backlog, StoreError> {
    let count = |sql| db.query_row(sql, [], |row| row.get(0));
    Ok(Backlog {
        pending: count("SELECT count(*) FROM deliveries INDEXED BY deliveries_due WHERE state = 'pending'")?,
        parked: count("SELECT count(*) FROM deliveries WHERE state = 'parked'")?,
        disabled_endpoints: count("SELECT count(*) FROM endpoints WHERE state = 'disabled'")?,
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, StatementStatus};

    use super::*;
    use crate::store::sqlite::open;

    /// How SQLite goes about a statement, a line for each step.
    fn plan(db: &Connection, sql: &str) -> Vec<String> {
        let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nulls = vec![rusqlite::types::Value::Null; explain.parameter_count()];
        let steps = explain.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap();
        steps.collect::<Result<_, _>>().unwrap()
    }

    /// Whatever is asked for one endpoint or call looks at no other's.
    #[test]
    fn nothing_sorts_or_scans_deliveries() {
        let connection = open::in_memory();
        let in_order = "deliveries_in_order (endpoint_id=? AND call_id=? AND sequence";
        for (sql, terms) in [
            (WITH_WORK, "deliveries_due (endpoint_id=?)"),
            (DUE, "deliveries_due (endpoint_id=? AND next_attempt_ms<?)"),
            (DUE, in_order),
            (NEXT_DUE, "deliveries_due (endpoint_id=? AND next_attempt_ms>?)"),
            (HOLD_BACK, in_order),
            (FIRST_DUE, in_order),
        ] {
            let plan = plan(&connection, sql);
            assert!(plan.iter().any(|step| step.contains(terms)), "{terms}: {plan:?}");
            let bad = |step: &&String| step.contains("TEMP B-TREE") || step.starts_with("SCAN deliveries");
            assert_eq!(plan.iter().find(bad), None, "{plan:?}");
        }
    }

    /// A dead receiver's backlog: one more failure costs the same however much there is.
    #[test]
    fn holding_back_takes_no_longer_with_a_hundred_thousand_pending() {
        let connection = open::in_memory();
        connection
            .execute_batch(
                "INSERT INTO endpoints (endpoint_id, trunk_id, url, secret, state, note, changed_ms)
                    VALUES (1, 't', 'https://192.0.2.1/', 's', 'enabled', '', 0);
                 PRAGMA foreign_keys = OFF;
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
                 INSERT INTO deliveries (position, endpoint_id, call_id, sequence, state, attempts, next_attempt_ms)
                    SELECT i, 1, CAST(printf('%016d', i / 2) AS BLOB), i % 2, 'pending', 0, i FROM n",
            )
            .unwrap();
        let mut held = connection.prepare(HOLD_BACK).unwrap();
        held.execute(params![50_000, 200_000]).unwrap();
        let steps = held.get_status(StatementStatus::VmStep);
        assert!(steps < 1_000, "{steps} steps");
    }

    /// Looking for what is due is done for every event; planned anew each time it would cost twice as much.
    #[test]
    fn what_is_due_is_planned_once() {
        let mut connection = open::in_memory();
        let db = connection.transaction().unwrap();
        let mut select = db.prepare(DUE).unwrap();
        for now_ms in 0..10 {
            let found =
                select.query_map(params![now_ms, now_ms, now_ms, ORDERED_ATTEMPTS], |_| Ok(())).unwrap();
            assert_eq!(found.count(), 0);
        }
        assert_eq!(select.get_status(StatementStatus::RePrepare), 0);
    }
}
