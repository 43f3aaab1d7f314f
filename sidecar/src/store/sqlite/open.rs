//! Opens the database: who may read the file, how connections behave, the newest schema.
//!
//! Must never leave the file readable for everybody: it holds digest hashes and signing keys.

use std::fs::{self, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema;
use crate::store::StoreError;

/// Statements kept prepared on each connection.
const STATEMENT_CACHE: usize = 96;
/// Pages kept by the writer, in KiB: a write of thousands of trunks touches thousands of pages.
const WRITER_CACHE_KIB: i64 = 32 << 10;
/// What the log is cut down to after a large write, once it is in the database.
const MAX_LOG_BYTES: i64 = 32 << 20;

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long to wait for another process that has the file locked.
    pub busy_timeout: Duration,
    /// Group that may read the file; `None` is nobody else.
    pub group: Option<u32>,
}

impl Default for Options {
    /// Two seconds, and nobody else.
    fn default() -> Options {
        Options { busy_timeout: Duration::from_secs(2), group: None }
    }
}

/// One connection that writes and two that only read. Blocks.
pub(super) fn connections(path: &Path, options: Options) -> Result<[Connection; 3], StoreError> {
    let Options { busy_timeout, group } = options;
    share(path, group).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
    let mut writer = prepared(Connection::open(path)?, busy_timeout)?;
    writer.pragma_update(None, "journal_mode", "WAL")?;
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.pragma_update(None, "foreign_keys", true)?;
    writer.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    writer.pragma_update(None, "journal_size_limit", MAX_LOG_BYTES)?;
    schema::migrate(&mut writer)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = || prepared(Connection::open_with_flags(path, flags)?, busy_timeout);
    Ok([writer, reader()?, reader()?])
}

/// Makes the file, and sets who may read it, and what lies beside it from before. SQLite makes new files beside it with
/// its mode, in the group of the directory. It holds digest hashes and signing keys.
fn share(path: &Path, group: Option<u32>) -> std::io::Result<()> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let mode = if group.is_some() { 0o640 } else { 0o600 };
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let set = fs::set_permissions(&file, Permissions::from_mode(mode));
        match set.and_then(|()| group.map_or(Ok(()), |group| chown(&file, None, Some(group)))) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What every connection needs.
fn prepared(connection: Connection, busy_timeout: Duration) -> Result<Connection, StoreError> {
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Plans go by the statement alone. Else SQLite looks at what is bound as well, and where that could have mattered it plans anew at
    // each other value: at every look for what is due, for one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The last connection to close would remove the log and its index, and then nobody who may only read could open the
    // database any more: the log is emptied when we close, and stays.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A database in memory whose statements are planned as those of a file are.
#[cfg(test)]
pub(super) fn in_memory() -> Connection {
    let connection = Connection::open_in_memory().expect("memory");
    let mut connection = prepared(connection, Duration::ZERO).expect("a connection");
    schema::migrate(&mut connection).expect("the schema");
    connection
}
