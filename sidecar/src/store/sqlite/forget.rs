//! Old calls and events go, a bounded number in each transaction; and what retention knows of the clock.

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::domain::Millis;
use crate::store::StoreError;

/// Deletes ended calls that began before `before_ms`, oldest first.
pub(super) fn calls(db: &Transaction<'_>, before_ms: Millis, limit: u32) -> Result<u32, StoreError> {
    let sql = "DELETE FROM calls WHERE call_number IN (SELECT call_number FROM calls INDEXED BY calls_by_time
        WHERE start_ms < ?1 AND end_ms IS NOT NULL ORDER BY start_ms LIMIT ?2)";
    let deleted = db.prepare_cached(sql)?.execute(params![before_ms, limit])?;
    Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
}

/// Looks at `limit` events behind a position. Those from before `before_ms` that nobody is still owed, and the position to go
/// on behind; `None` if the next one is too young.
pub(super) fn old_events(
    db: &Transaction<'_>,
    before_ms: Millis,
    after: i64,
    limit: u32,
) -> Result<(Vec<i64>, Option<i64>), StoreError> {
    let mut select = db.prepare_cached(
        "SELECT position, created_ms, EXISTS (SELECT 1 FROM deliveries d INDEXED BY deliveries_by_position
            WHERE d.position = e.position AND d.state = 'pending')
         FROM events e WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let mut rows = select.query(params![after, limit])?;
    let (mut looked, mut last, mut old) = (0, after, Vec::new());
    while let Some(row) = rows.next()? {
        if row.get::<_, Millis>(1)? >= before_ms {
            break;
        }
        looked += 1;
        last = row.get(0)?;
        if !row.get::<_, bool>(2)? {
            old.push(last);
        }
    }
    Ok((old, (looked == limit).then_some(last)))
}

/// Deletes events with their deliveries and attempts, but for those that are owed again since somebody looked. How many went.
pub(super) fn events(db: &Transaction<'_>, positions: &[i64]) -> Result<u32, StoreError> {
    let mut gone = 0;
    for position in positions {
        let sql = "SELECT EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_by_position
            WHERE position = ?1 AND state = 'pending')";
        if db.prepare_cached(sql)?.query_row([position], |row| row.get(0))? {
            continue;
        }
        let sql = "DELETE FROM delivery_attempts WHERE delivery_id IN
            (SELECT delivery_id FROM deliveries INDEXED BY deliveries_by_position WHERE position = ?1)";
        db.prepare_cached(sql)?.execute([position])?;
        let sql = "DELETE FROM deliveries INDEXED BY deliveries_by_position WHERE position = ?1";
        db.prepare_cached(sql)?.execute([position])?;
        db.prepare_cached("DELETE FROM events WHERE position = ?1")?.execute([position])?;
        gone += 1;
    }
    Ok(gone)
}

pub(super) fn believed_clock(db: &Transaction<'_>) -> Result<Option<Millis>, StoreError> {
    let sql = "SELECT clock_ms FROM retention";
    Ok(db.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?)
}

pub(super) fn believe_clock(db: &Transaction<'_>, at_ms: Millis) -> Result<(), StoreError> {
    let sql = "INSERT INTO retention VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET clock_ms = ?1";
    Ok(db.prepare_cached(sql)?.execute([at_ms]).map(drop)?)
}
