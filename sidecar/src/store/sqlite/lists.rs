//! Pages of accounts, trunks and the audit log. A page is found in an index; only its objects are read.

use rusqlite::types::{FromSql, Value};
use rusqlite::{OptionalExtension as _, Row, Transaction, params_from_iter};

use super::configuration::{self, rows};
use super::text::{self, damaged, get};
use crate::domain::{Account, AuditEntry, kind_name};
use crate::store::{AuditFilter, Listed, Managed, Page, Placed, PlacedTrunk, StoreError, TrunkFilter};

pub(super) fn accounts(
    db: &Transaction<'_>,
    only: Option<&str>,
    page: Page,
) -> Result<Listed<Placed<Account>>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.equal("account_id", only.map(str::to_owned));
    let (total, ids): (_, Vec<String>) = conditions.page(db, "account_id", "accounts", "account_id", page)?;
    Ok(Listed { total, objects: each(ids, |id| configuration::account(db, id))? })
}

pub(super) fn trunks(
    db: &Transaction<'_>,
    filter: &TrunkFilter,
    page: Page,
) -> Result<Listed<PlacedTrunk>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.equal("account_id", filter.account.clone());
    conditions.equal("kind", filter.kind.map(|kind| kind_name(kind).to_owned()));
    conditions.equal("managed_by", filter.managed_by.map(|by| by.name().to_owned()));
    let (total, ids): (_, Vec<String>) = conditions.page(db, "trunk_id", "trunks", "trunk_id", page)?;
    Ok(Listed { total, objects: each(ids, |id| configuration::trunk(db, id))? })
}

pub(super) fn audit(
    db: &Transaction<'_>,
    filter: &AuditFilter,
    page: Page,
) -> Result<Listed<AuditEntry>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.equal("account_id", filter.account.clone());
    conditions.equal("kind", filter.object.as_ref().map(|(kind, _)| kind.clone()));
    conditions.equal("object_id", filter.object.as_ref().map(|(_, id)| id.clone()));
    conditions.equal("revision", filter.revision);
    let (total, ids): (_, Vec<i64>) = conditions.page(db, "audit_id", "audit_log", "audit_id DESC", page)?;
    let entry = |id: &i64| {
        let sql = "SELECT * FROM audit_log JOIN config_revisions USING (revision) WHERE audit_id = ?1";
        Ok(rows(db, sql, [id], audit_entry)?.pop())
    };
    Ok(Listed { total, objects: each(ids, entry)? })
}

/// Who manages those of these things that exist.
pub(super) fn managers(
    db: &Transaction<'_>,
    accounts: &[String],
    trunks: &[String],
) -> Result<Vec<Managed>, StoreError> {
    let mut found = Vec::new();
    let mut ask = |sql: &str, ids: &[String]| {
        let mut select = db.prepare_cached(sql)?;
        for id in ids {
            let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
            let Some((kind, by)) = select.query_row([id], row).optional()? else { continue };
            let kind = if kind == "account" { "account" } else { kind_name(text::read_kind(&kind)?) };
            found.push(Managed { kind, id: id.clone(), by: text::read_managed_by(&by)? });
        }
        Ok::<_, StoreError>(())
    };
    ask("SELECT 'account', managed_by FROM accounts WHERE account_id = ?1", accounts)?;
    ask("SELECT kind, managed_by FROM trunks WHERE trunk_id = ?1", trunks)?;
    Ok(found)
}

/// Reads what was found on a page.
fn each<I, T>(ids: Vec<I>, read: impl Fn(&I) -> Result<Option<T>, StoreError>) -> Result<Vec<T>, StoreError> {
    ids.iter().filter_map(|id| read(id).transpose()).collect()
}

/// What the rows of a list must be. Columns are ours, values are bound.
#[derive(Default)]
pub(super) struct Conditions {
    terms: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// A column must have this value, if there is one.
    pub(super) fn equal(&mut self, column: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.values.push(value.into());
            self.terms.push(format!("{column} = ?{}", self.values.len()));
        }
    }

    /// How many rows there are, and `column` of those on the page.
    pub(super) fn page<T: FromSql>(
        &self,
        db: &Transaction<'_>,
        column: &str,
        table: &str,
        order: &str,
        page: Page,
    ) -> Result<(u64, Vec<T>), StoreError> {
        let filter = if self.terms.is_empty() { "true".to_owned() } else { self.terms.join(" AND ") };
        let total: i64 = db
            .prepare_cached(&format!("SELECT count(*) FROM {table} WHERE {filter}"))?
            .query_row(params_from_iter(&self.values), |row| row.get(0))?;
        let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
        let bounds = [Value::from(i64::from(page.limit)), Value::from(offset)];
        let (limit, offset) = (self.values.len() + 1, self.values.len() + 2);
        let sql = format!(
            "SELECT {column} FROM {table} WHERE {filter} ORDER BY {order} LIMIT ?{limit} OFFSET ?{offset}"
        );
        let params = params_from_iter(self.values.iter().chain(&bounds));
        let found = rows(db, &sql, params, |row| Ok(row.get(0)?))?;
        Ok((u64::try_from(total).unwrap_or(0), found))
    }
}

fn audit_entry(row: &Row<'_>) -> Result<AuditEntry, StoreError> {
    let fields = |column| {
        let text: Option<String> = get(row, column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| damaged(column, &text))).transpose()
    };
    Ok(AuditEntry {
        id: get(row, "audit_id")?,
        revision: get(row, "revision")?,
        at_ms: get(row, "created_ms")?,
        actor: get(row, "actor")?,
        request_id: get(row, "request_id")?,
        action: get(row, "action")?,
        kind: get(row, "kind")?,
        object: get(row, "object_id")?,
        account: get(row, "account_id")?,
        before: fields("before")?,
        after: fields("after")?,
    })
}
