//! Tokens as rows: finds, lists, writes, and notes when one was used.

use rusqlite::{Row, Transaction, params};
use uuid::Uuid;

use super::configuration::rows;
use super::lists::Conditions;
use super::objects::stamp;
use super::text::{self, get, get_uuid};
use crate::domain::{Millis, Scope, Token};
use crate::store::{Listed, Page, StoreError};

pub(super) fn by_id(db: &Transaction<'_>, id: Uuid) -> Result<Option<Token>, StoreError> {
    Ok(rows(db, "SELECT * FROM tokens WHERE token_id = ?1", [text::uuid(id)], token)?.pop())
}

pub(super) fn by_prefix(db: &Transaction<'_>, prefix: &str) -> Result<Option<Token>, StoreError> {
    Ok(rows(db, "SELECT * FROM tokens WHERE prefix = ?1", [prefix], token)?.pop())
}

pub(super) fn list(
    db: &Transaction<'_>,
    account: Option<&str>,
    page: Page,
) -> Result<Listed<Token>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.equal("account_id", account.map(str::to_owned));
    let (total, ids): (_, Vec<String>) = conditions.page(db, "token_id", "tokens", "token_id", page)?;
    let read = |id: &String| by_id(db, text::read_uuid("token_id", id)?);
    let objects = ids.iter().filter_map(|id| read(id).transpose()).collect::<Result<_, _>>()?;
    Ok(Listed { total, objects })
}

pub(super) fn of_account(db: &Transaction<'_>, account: &str) -> Result<Vec<Token>, StoreError> {
    rows(db, "SELECT * FROM tokens WHERE account_id = ?1", [account], token)
}

pub(super) fn put(db: &Transaction<'_>, token: &Token) -> Result<(), StoreError> {
    let stamp = token.stamp;
    db.prepare_cached(
        "INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, NULL, ?6, ?7, ?8)
         ON CONFLICT (token_id) DO UPDATE SET prefix = ?2, hash = ?3, account_id = ?4, description = ?5,
            updated_ms = ?7, revision = ?8",
    )?
    .execute(params![
        text::uuid(token.id),
        token.prefix,
        token.hash,
        token.scope.account(),
        token.description,
        stamp.created_ms,
        stamp.updated_ms,
        stamp.revision
    ])?;
    Ok(())
}

pub(super) fn remove(db: &Transaction<'_>, id: Uuid) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM tokens WHERE token_id = ?1")?.execute([text::uuid(id)])?;
    db.prepare_cached("DELETE FROM kept_answers WHERE owner = ?1")?.execute([text::uuid(id)])?;
    Ok(())
}

/// A token that is gone meanwhile is no error, and an earlier time changes nothing.
pub(super) fn touch(db: &Transaction<'_>, used: &[(Uuid, Millis)]) -> Result<(), StoreError> {
    let mut update = db.prepare_cached(
        "UPDATE tokens SET last_used_ms = ?2 WHERE token_id = ?1 AND coalesce(last_used_ms, 0) < ?2",
    )?;
    for (id, at_ms) in used {
        update.execute(params![text::uuid(*id), at_ms])?;
    }
    Ok(())
}

fn token(row: &Row<'_>) -> Result<Token, StoreError> {
    let account: Option<String> = get(row, "account_id")?;
    Ok(Token {
        id: get_uuid(row, "token_id")?,
        prefix: get(row, "prefix")?,
        hash: get(row, "hash")?,
        scope: account.map_or(Scope::Admin, Scope::Account),
        description: get(row, "description")?,
        last_used_ms: get(row, "last_used_ms")?,
        stamp: stamp(row)?,
    })
}
