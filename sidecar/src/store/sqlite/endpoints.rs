//! Endpoints: whom a trunk's events are owed to, and their end.
//!
//! Must never keep a secret of an endpoint that is ended, nor leave pending what nobody can have sent any more.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::text::damaged;
use crate::domain::{Millis, Wanted};
use crate::store::{EndpointId, StoreError};

/// Whom a trunk's events are owed to, and which of them: disabled endpoints included, for what is born meanwhile is kept for
/// later.
pub(super) fn of(db: &Transaction<'_>, trunk: &str) -> Result<Option<(EndpointId, Wanted)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT endpoint_id, events FROM endpoints WHERE trunk_id = ?1 AND state != 'removed'",
    )?;
    let found = select.query_row([trunk], |row| Ok((EndpointId(row.get(0)?), row.get::<_, String>(1)?)));
    let Some((endpoint, events)) = found.optional()? else { return Ok(None) };
    let wanted = Wanted::from_names(events.split(' ')).ok_or_else(|| damaged("events", &events))?;
    Ok(Some((endpoint, wanted)))
}

/// Why an endpoint was ended that nobody can switch on again.
pub(super) const TRUNK_REMOVED: &str = "trunk removed";

/// Ends the endpoint of a trunk: what it is owed is parked, and its secrets are forgotten.
pub(super) fn end(db: &Transaction<'_>, trunk: &str, note: &str, now_ms: Millis) -> Result<(), StoreError> {
    let sql =
        "UPDATE endpoints SET state = 'removed', note = ?2, changed_ms = ?3, secret = '', old_secret = NULL,
            old_secret_until_ms = NULL, signing_key = NULL
         WHERE trunk_id = ?1 AND state != 'removed' RETURNING endpoint_id";
    let values = params![trunk, note, now_ms];
    let ended: Option<i64> = db.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    if let Some(endpoint) = ended {
        let sql = "UPDATE deliveries INDEXED BY deliveries_due SET state = 'parked', ended_ms = ?2
             WHERE endpoint_id = ?1 AND state = 'pending'";
        db.prepare_cached(sql)?.execute([endpoint, now_ms])?;
    }
    Ok(())
}

/// The trunk of an endpoint is going. An endpoint that is sent to gets what is owed for the trunk's last calls; of one that
/// is not, nobody is left who could switch it on.
pub(super) fn trunk_removed(db: &Transaction<'_>, trunk: &str, now_ms: Millis) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM endpoints WHERE trunk_id = ?1 AND state = 'disabled'";
    let off: i64 = db.prepare_cached(sql)?.query_row([trunk], |row| row.get(0))?;
    if off > 0 { end(db, trunk, TRUNK_REMOVED, now_ms) } else { Ok(()) }
}
