//! How values that are not plain numbers or texts stand in columns, both ways.
//!
//! A text that cannot be read back means the file was damaged or edited by hand: an error, never a default.

use rusqlite::Row;
use rusqlite::types::FromSql;
use trunk_admission::model::{AuthMode, Kind, Region};

use crate::domain::{Limits, ManagedBy};
use crate::store::StoreError;

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Trunk => "trunk",
        Kind::Application => "application",
    }
}

pub(super) fn auth_mode(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::Any => "any",
        AuthMode::All => "all",
        AuthMode::Password => "password",
        AuthMode::Ip => "ip",
    }
}

pub(super) fn managed_by(who: ManagedBy) -> &'static str {
    match who {
        ManagedBy::Api => "api",
        ManagedBy::File => "file",
    }
}

pub(super) fn read_kind(text: &str) -> Result<Kind, StoreError> {
    [Kind::Trunk, Kind::Application]
        .into_iter()
        .find(|value| kind(*value) == text)
        .ok_or_else(|| damaged("kind", text))
}

pub(super) fn read_auth_mode(text: &str) -> Result<AuthMode, StoreError> {
    let all = [AuthMode::Any, AuthMode::All, AuthMode::Password, AuthMode::Ip];
    all.into_iter().find(|value| auth_mode(*value) == text).ok_or_else(|| damaged("auth_mode", text))
}

pub(super) fn read_managed_by(text: &str) -> Result<ManagedBy, StoreError> {
    let all = [ManagedBy::Api, ManagedBy::File];
    all.into_iter().find(|value| managed_by(*value) == text).ok_or_else(|| damaged("managed_by", text))
}

/// Space separated.
pub(super) fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn read_list<T: std::str::FromStr>(column: &str, text: &str) -> Result<Vec<T>, StoreError> {
    text.split_whitespace().map(|word| word.parse().map_err(|_| damaged(column, word))).collect()
}

pub(super) fn read_regions(text: Option<String>) -> Result<Option<Vec<Region>>, StoreError> {
    text.map(|text| read_list("allowed_regions", &text)).transpose()
}

/// The three limit columns, which have the same names in every table.
pub(super) fn read_limits(row: &Row<'_>) -> Result<Limits, StoreError> {
    Ok(Limits {
        cps: row.get("cps")?,
        cps_burst: row.get("cps_burst")?,
        concurrent_calls: row.get("concurrent_calls")?,
    })
}

/// A column by name, with the error of this store.
pub(super) fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    row.get(column).map_err(StoreError::from)
}

/// The error of a text that no version of us writes.
pub(super) fn damaged(column: &str, text: &str) -> StoreError {
    StoreError::Damaged(format!("column {column} holds {text:?}"))
}
