//! Old calls and events go, a bounded number in each transaction.

use rusqlite::{Transaction, params};

use crate::domain::Millis;
use crate::store::StoreError;

/// Deletes ended calls that began before `before_ms`, oldest first.
pub(super) fn calls(db: &Transaction<'_>, before_ms: Millis, limit: u32) -> Result<u32, StoreError> {
    let sql = "DELETE FROM calls WHERE call_number IN (SELECT call_number FROM calls INDEXED BY calls_by_time
        WHERE start_ms < ?1 AND end_ms IS NOT NULL ORDER BY start_ms LIMIT ?2)";
    let deleted = db.prepare_cached(sql)?.execute(params![before_ms, limit])?;
    Ok(u32::try_from(deleted).unwrap_or(u32::MAX))
}

/// Looks at `limit` events behind a position, and deletes those from before `before_ms` that nobody is still owed, with
/// their deliveries and attempts. How many went, and the position to go on behind; `None` if the next one is too young.
pub(super) fn events(
    db: &Transaction<'_>,
    before_ms: Millis,
    after: i64,
    limit: u32,
) -> Result<(u32, Option<i64>), StoreError> {
    let mut select = db.prepare_cached(
        "SELECT position, created_ms, EXISTS (SELECT 1 FROM deliveries d WHERE d.position = e.position AND d.state = 'pending')
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
    for position in &old {
        let sql = "DELETE FROM delivery_attempts WHERE delivery_id IN (SELECT delivery_id FROM deliveries WHERE position = ?1)";
        db.prepare_cached(sql)?.execute([position])?;
        db.prepare_cached("DELETE FROM deliveries WHERE position = ?1")?.execute([position])?;
        db.prepare_cached("DELETE FROM events WHERE position = ?1")?.execute([position])?;
    }
    let gone = u32::try_from(old.len()).unwrap_or(u32::MAX);
    Ok((gone, (looked == limit).then_some(last)))
}
