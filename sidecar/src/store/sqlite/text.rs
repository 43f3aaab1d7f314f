//! How values that are not plain numbers or texts stand in columns, both ways.
//!
//! A text that cannot be read back means the file was damaged or edited by hand: an error, never a default.

use std::cell::Cell;

use rusqlite::Row;
use rusqlite::types::FromSql;
use trunk_admission::model::{AuthMode, Kind, Region};
use uuid::Uuid;

use crate::domain::{Limits, ManagedBy, Transport, WebhookMethod, auth_mode_from_name, kind_from_name};
use crate::store::StoreError;

pub(super) fn read_kind(text: &str) -> Result<Kind, StoreError> {
    kind_from_name(text).ok_or_else(|| damaged("kind", text))
}

pub(super) fn read_auth_mode(text: &str) -> Result<AuthMode, StoreError> {
    auth_mode_from_name(text).ok_or_else(|| damaged("auth_mode", text))
}

pub(super) fn read_managed_by(text: &str) -> Result<ManagedBy, StoreError> {
    ManagedBy::ALL.into_iter().find(|value| value.name() == text).ok_or_else(|| damaged("managed_by", text))
}

pub(super) fn read_transport(text: &str) -> Result<Transport, StoreError> {
    Transport::ALL.into_iter().find(|value| value.name() == text).ok_or_else(|| damaged("transport", text))
}

pub(super) fn read_method(text: &str) -> Result<WebhookMethod, StoreError> {
    WebhookMethod::ALL.into_iter().find(|value| value.name() == text).ok_or_else(|| damaged("method", text))
}

pub(super) fn read_uuid(column: &str, text: &str) -> Result<Uuid, StoreError> {
    text.parse().map_err(|_| damaged(column, text))
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
        cps: get(row, "cps")?,
        cps_burst: get(row, "cps_burst")?,
        concurrent_calls: get(row, "concurrent_calls")?,
    })
}

/// A column by name, with the error of this store. Columns are read in the order in which they stand as a rule, so the one after the
/// last is looked at first: searching them all for each of a row's took a quarter of reading a large configuration.
pub(super) fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    thread_local!(static NEXT: Cell<usize> = const { Cell::new(0) });
    let (statement, next) = (row.as_ref(), NEXT.get());
    let index = match statement.column_name(next) {
        Ok(name) if name == column => next,
        _ => statement.column_index(column)?,
    };
    debug_assert_eq!(statement.column_index(column).ok(), Some(index), "{column} stands there twice");
    NEXT.set(index + 1);
    Ok(row.get(index)?)
}

/// An id by name.
pub(super) fn get_uuid(row: &Row<'_>, column: &str) -> Result<Uuid, StoreError> {
    read_uuid(column, &get::<String>(row, column)?)
}

/// An id as it stands in a column.
pub(super) fn uuid(id: Uuid) -> String {
    id.hyphenated().to_string()
}

/// The error of a text that no version of us writes.
pub(super) fn damaged(column: &str, text: &str) -> StoreError {
    StoreError::Damaged(format!("column {column} holds {text:?}"))
}
