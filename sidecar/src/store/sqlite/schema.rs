//! Brings a database to the newest schema, step by step; see `schema/README.md`.

use rusqlite::Connection;
use rusqlite_migration::{Error, M, MigrationDefinitionError, Migrations};

use crate::store::StoreError;

/// The steps in order: name of the file in `schema/sqlite/`, and its text.
const STEPS: &[(&str, &str)] = &[
    ("0001_initial.sql", include_str!("../../../../schema/sqlite/0001_initial.sql")),
    ("0002_control_plane.sql", include_str!("../../../../schema/sqlite/0002_control_plane.sql")),
    ("0003_kamailio.sql", include_str!("../../../../schema/sqlite/0003_kamailio.sql")),
    ("0004_recent_calls.sql", include_str!("../../../../schema/sqlite/0004_recent_calls.sql")),
    ("0005_calls.sql", include_str!("../../../../schema/sqlite/0005_calls.sql")),
    ("0006_webhooks.sql", include_str!("../../../../schema/sqlite/0006_webhooks.sql")),
    ("0007_rate_plans.sql", include_str!("../../../../schema/sqlite/0007_rate_plans.sql")),
    ("0008_retention.sql", include_str!("../../../../schema/sqlite/0008_retention.sql")),
    ("0009_deliveries.sql", include_str!("../../../../schema/sqlite/0009_deliveries.sql")),
    ("0010_endpoints.sql", include_str!("../../../../schema/sqlite/0010_endpoints.sql")),
    ("0011_clock.sql", include_str!("../../../../schema/sqlite/0011_clock.sql")),
    ("0012_gateway_addresses.sql", include_str!("../../../../schema/sqlite/0012_gateway_addresses.sql")),
];

pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let steps = Migrations::new(STEPS.iter().map(|(_, sql)| M::up(sql)).collect());
    steps.to_latest(connection).map_err(|error| match error {
        Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => {
            StoreError::Newer { found: found as usize, known: STEPS.len() }
        }
        Error::RusqliteError { err, .. } => err.into(),
        other => StoreError::Other(format!("migrating the database: {other}")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const FULL: &str = include_str!("../../../../schema/sqlite/full.sql");

    /// Everything that makes up a schema, with the layout of its text evened out.
    fn objects(connection: &Connection) -> Vec<String> {
        let mut select = connection
            .prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name")
            .unwrap();
        let rows = select.query_map([], |row| {
            let sql: String = row.get(3)?;
            let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
            // A column that was added stands after the line's end.
            let sql = sql.replace(" ,", ",").replace(" )", ")");
            Ok(format!(
                "{} {} {} {sql}",
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?
            ))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn steps_and_full_schema_agree() {
        let mut stepped = Connection::open_in_memory().unwrap();
        migrate(&mut stepped).unwrap();
        let full = Connection::open_in_memory().unwrap();
        full.execute_batch(FULL).unwrap();
        assert_eq!(objects(&stepped), objects(&full));
    }

    #[test]
    fn every_file_is_a_step_and_every_step_a_file() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/sqlite");
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.retain(|name| name != "full.sql");
        files.sort();
        let steps: Vec<_> = STEPS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(files, steps);
    }

    #[test]
    fn a_second_run_changes_nothing_and_a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let before = objects(&connection);
        migrate(&mut connection).unwrap();
        assert_eq!(objects(&connection), before);

        connection.pragma_update(None, "user_version", STEPS.len() as u32 + 1).unwrap();
        let refused = migrate(&mut connection);
        assert!(
            matches!(refused, Err(StoreError::Newer { found, known }) if found == known + 1),
            "{refused:?}"
        );
    }
}
