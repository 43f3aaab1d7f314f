//! Which small integer a trunk, account or gateway has in shared memory.
//!
//! An index belongs to one thing for that thing's life, and comes back to it if it returns. A freed one is given to
//! another only when no index is left that was never used: the words at a freed index may still count calls that are
//! up, and the longer it rests the surer they are gone.

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::domain::Millis;
use crate::store::StoreError;

/// Kinds of things that have an index, as they are named in the table.
pub(super) const ACCOUNT: &str = "account";
pub(super) const TRUNK: &str = "trunk";
pub(super) const GATEWAY: &str = "gateway";

/// The name of a gateway among all trunks' gateways. A trunk id has no slash.
pub(super) fn gateway_id(trunk: &str, uri: &str) -> String {
    format!("{trunk}/{uri}")
}

/// The index of a thing: its own, else one never used, else the one freed longest ago.
pub(super) fn place(
    db: &Transaction<'_>,
    kind: &'static str,
    id: &str,
    room: u32,
) -> Result<u32, StoreError> {
    let own = "UPDATE live_indexes SET freed_ms = NULL WHERE kind = ?1 AND id = ?2 RETURNING live";
    if let Some(live) = db.prepare_cached(own)?.query_row([kind, id], |row| row.get(0)).optional()? {
        return Ok(live);
    }
    let unused = "SELECT coalesce(max(live) + 1, 0) FROM live_indexes WHERE kind = ?1";
    let mut live: u32 = db.prepare_cached(unused)?.query_row([kind], |row| row.get(0))?;
    if live >= room {
        let rested = "DELETE FROM live_indexes WHERE kind = ?1 AND live = (
            SELECT live FROM live_indexes WHERE kind = ?1 AND freed_ms IS NOT NULL AND live < ?2
            ORDER BY freed_ms, live LIMIT 1) RETURNING live";
        let reused =
            db.prepare_cached(rested)?.query_row(params![kind, room], |row| row.get(0)).optional()?;
        live = reused.ok_or(StoreError::NoRoom(kind))?;
    }
    db.prepare_cached("INSERT INTO live_indexes (kind, id, live) VALUES (?1, ?2, ?3)")?
        .execute(params![kind, id, live])?;
    Ok(live)
}

/// Marks an index as resting.
pub(super) fn free(
    db: &Transaction<'_>,
    kind: &'static str,
    id: &str,
    now_ms: Millis,
) -> Result<(), StoreError> {
    let sql = "UPDATE live_indexes SET freed_ms = ?3 WHERE kind = ?1 AND id = ?2 AND freed_ms IS NULL";
    db.prepare_cached(sql)?.execute(params![kind, id, now_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::sqlite::schema;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
    }

    #[test]
    fn an_index_is_kept_returned_and_reused_last() {
        let mut connection = database();
        let db = connection.transaction().unwrap();
        assert_eq!(place(&db, TRUNK, "a", 3).unwrap(), 0);
        assert_eq!(place(&db, TRUNK, "b", 3).unwrap(), 1);
        assert_eq!(place(&db, TRUNK, "a", 3).unwrap(), 0, "kept");
        assert_eq!(place(&db, ACCOUNT, "a", 3).unwrap(), 0, "kinds count apart");

        free(&db, TRUNK, "b", 20).unwrap();
        free(&db, TRUNK, "a", 10).unwrap();
        assert_eq!(place(&db, TRUNK, "c", 3).unwrap(), 2, "one never used comes first");
        assert_eq!(place(&db, TRUNK, "b", 3).unwrap(), 1, "its own comes back");
        assert_eq!(place(&db, TRUNK, "d", 3).unwrap(), 0, "then the one freed longest ago");
        assert!(matches!(place(&db, TRUNK, "e", 3), Err(StoreError::NoRoom("trunk"))));
        free(&db, TRUNK, "c", 30).unwrap();
        assert_eq!(place(&db, TRUNK, "a", 3).unwrap(), 2, "a lost its own to d");
    }
}
