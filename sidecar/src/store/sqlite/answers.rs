//! Answers that are kept with their write, so that the same request gets the same one again.

use rusqlite::{OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use super::text;
use crate::domain::{IdempotencyRecord, Millis};
use crate::store::StoreError;

/// Kept answers that have expired and are removed with one write.
const FORGOTTEN: u32 = 1_000;

/// An answer that is kept again under its key replaces the one before, which must have expired.
pub(super) fn keep(db: &Transaction<'_>, record: &IdempotencyRecord) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO kept_answers VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        params![
            text::uuid(record.owner),
            record.key,
            record.fingerprint,
            record.status,
            record.answer,
            record.expires_ms
        ],
    )?;
    Ok(())
}

/// Removes some of those that nobody can ask for any more.
pub(super) fn forget(db: &Transaction<'_>, now_ms: Millis) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM kept_answers WHERE (owner, key) IN
            (SELECT owner, key FROM kept_answers WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
    )?
    .execute(params![now_ms, FORGOTTEN])?;
    Ok(())
}

pub(super) fn kept(
    db: &Transaction<'_>,
    owner: Uuid,
    key: &str,
    now_ms: Millis,
) -> Result<Option<IdempotencyRecord>, StoreError> {
    let sql = "SELECT fingerprint, status, answer, expires_ms FROM kept_answers
        WHERE owner = ?1 AND key = ?2 AND expires_ms > ?3";
    let found = db.prepare_cached(sql)?.query_row(params![text::uuid(owner), key, now_ms], |row| {
        let (fingerprint, status, answer) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(IdempotencyRecord {
            owner,
            key: key.to_owned(),
            fingerprint,
            status,
            answer,
            expires_ms: row.get(3)?,
        })
    });
    Ok(found.optional()?)
}
