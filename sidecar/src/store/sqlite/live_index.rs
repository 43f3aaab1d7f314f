//! Which small integer a trunk, account or gateway has in shared memory.
//!
//! An index belongs to one thing for that thing's life, and comes back to it if it returns. A freed one is given to
//! another only when no index is left that was never used: the words at a freed index may still count calls that are
//! up, and the longer it rests the surer they are gone.

use rusqlite::{OptionalExtension as _, Transaction, params};

use crate::domain::Stamp;
use crate::store::{PlaceKind, Reused, StoreError};

/// The name of a gateway among all trunks' gateways. A trunk id has no slash.
pub(super) fn gateway_id(trunk: &str, uri: &str) -> String {
    format!("{trunk}/{uri}")
}

/// The index of a thing: its own, else one never used, else the one freed longest ago, which `reused` is told of.
pub(super) fn place(
    db: &Transaction<'_>,
    kind: PlaceKind,
    id: &str,
    room: u32,
    reused: &mut Vec<Reused>,
) -> Result<u32, StoreError> {
    let own = "UPDATE live_indexes SET freed_ms = NULL, freed_revision = NULL WHERE kind = ?1 AND id = ?2 RETURNING live";
    if let Some(live) = db.prepare_cached(own)?.query_row([kind.name(), id], |row| row.get(0)).optional()? {
        return Ok(live);
    }
    let unused = "SELECT coalesce(max(live) + 1, 0) FROM live_indexes WHERE kind = ?1";
    let mut live: u32 = db.prepare_cached(unused)?.query_row([kind.name()], |row| row.get(0))?;
    if live >= room {
        let rested = "DELETE FROM live_indexes WHERE kind = ?1 AND live = (
            SELECT live FROM live_indexes WHERE kind = ?1 AND freed_ms IS NOT NULL AND live < ?2
            ORDER BY freed_ms, live LIMIT 1) RETURNING live, freed_revision";
        let found = db
            .prepare_cached(rested)?
            .query_row(params![kind.name(), room], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (rested, freed_revision) = found.ok_or(StoreError::NoRoom(kind.name()))?;
        reused.push(Reused { kind, live: rested, freed_revision });
        live = rested;
    }
    db.prepare_cached("INSERT INTO live_indexes (kind, id, live) VALUES (?1, ?2, ?3)")?.execute(params![
        kind.name(),
        id,
        live
    ])?;
    Ok(live)
}

/// Marks an index as resting.
pub(super) fn free(db: &Transaction<'_>, kind: PlaceKind, id: &str, now: Stamp) -> Result<(), StoreError> {
    let sql = "UPDATE live_indexes SET freed_ms = ?3, freed_revision = ?4
        WHERE kind = ?1 AND id = ?2 AND freed_ms IS NULL";
    db.prepare_cached(sql)?.execute(params![kind.name(), id, now.updated_ms, now.revision])?;
    Ok(())
}

/// The index that a thing has now.
pub(super) fn of(db: &Transaction<'_>, kind: PlaceKind, id: &str) -> Result<Option<u32>, StoreError> {
    let sql = "SELECT live FROM live_indexes WHERE kind = ?1 AND id = ?2 AND freed_ms IS NULL";
    Ok(db.prepare_cached(sql)?.query_row([kind.name(), id], |row| row.get(0)).optional()?)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use PlaceKind::{Account, Trunk};

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
        let mut reused = Vec::new();
        let mut place = |kind, id, room| super::place(&db, kind, id, room, &mut reused);
        let free = |kind, id, now_ms| super::free(&db, kind, id, Stamp::new(now_ms, now_ms / 10)).unwrap();
        assert_eq!(place(Trunk, "a", 3).unwrap(), 0);
        assert_eq!(place(Trunk, "b", 3).unwrap(), 1);
        assert_eq!(place(Trunk, "a", 3).unwrap(), 0, "kept");
        assert_eq!(place(Account, "a", 3).unwrap(), 0, "kinds count apart");

        free(Trunk, "b", 20);
        free(Trunk, "a", 10);
        assert_eq!(place(Trunk, "c", 3).unwrap(), 2, "one never used comes first");
        assert_eq!(place(Trunk, "b", 3).unwrap(), 1, "its own comes back");
        assert_eq!(place(Trunk, "d", 3).unwrap(), 0, "then the one freed longest ago");
        assert!(matches!(place(Trunk, "e", 3), Err(StoreError::NoRoom("trunk"))));
        free(Trunk, "c", 30);
        assert_eq!(place(Trunk, "a", 3).unwrap(), 2, "a lost its own to d");
        let told = |live, freed_revision| Reused { kind: Trunk, live, freed_revision };
        assert_eq!(reused, [told(0, 1), told(2, 3)]);
    }
}
