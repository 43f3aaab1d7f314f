//! The first token: made by the first start, for whoever can read the state directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::token;
use crate::change::{Change, Write, Writer};
use crate::domain::{Actor, Scope, Token};
use crate::store::{Page, StoreError};

/// Name of its file below the state directory.
pub const ADMIN_TOKEN: &str = "admin-token";

/// Why there is no first token.
#[derive(Debug, thiserror::Error)]
pub enum FirstTokenError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: String,
        /// The operating system's word.
        error: io::Error,
    },
    /// The hash could not be made.
    #[error("making a token: {0}")]
    Hash(String),
}

/// Makes a token of scope admin if there is no token at all, and writes it to a file that only we can read.
///
/// The file comes first: a kill in between leaves a token that is not good, and the next start makes another one.
///
/// # Errors
/// If the store or the file cannot be written.
pub async fn first_token(writer: &Writer, state_dir: &Path) -> Result<(), FirstTokenError> {
    let session = writer.begin().await?;
    if session.store().list_tokens(None, Page { limit: 1, offset: 0 }).await?.total > 0 {
        return Ok(());
    }
    let made = tokio::task::spawn_blocking(token::make).await;
    let made = made.map_err(|error| FirstTokenError::Hash(error.to_string()))?;
    let made = made.map_err(|error| FirstTokenError::Hash(error.to_string()))?;
    let path = state_dir.join(ADMIN_TOKEN);
    write(&path, &made.text)
        .map_err(|error| FirstTokenError::File { path: path.display().to_string(), error })?;
    let token = Token {
        id: Uuid::now_v7(),
        prefix: made.prefix,
        hash: made.hash,
        scope: Scope::Admin,
        description: "made at the first start".into(),
        last_used_ms: None,
        stamp: session.stamp(),
    };
    let changes = vec![Change::PutToken(token)];
    let write = Write { actor: Actor::Daemon, request_id: "start".into(), changes, idempotency: None };
    session.commit(write).await?;
    tracing::info!(file = %path.display(), "made the first token of the API");
    Ok(())
}

/// Whole or not at all, and never readable for others.
fn write(path: &PathBuf, text: &str) -> io::Result<()> {
    let aside = path.with_extension("new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&aside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&aside, path)
}
