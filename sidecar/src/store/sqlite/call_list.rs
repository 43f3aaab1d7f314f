//! Pages and sums of calls. The index is chosen here, not by SQLite, which would have to guess what is rare.
//!
//! Every list walks one index from the newest entry on, in the order of the list: nothing is ever sorted, and what is not
//! looked at is not read. Must never look at more than the bounds below in one transaction.

use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};

use super::calls;
use crate::call::status::Status;
use crate::domain::{Millis, kind_name};
use crate::store::{CallCursor, CallFilter, CallPage, CallSums, CallsFound, StoreError};

/// Most calls that one page looks at.
const MAX_LOOKED_AT: u64 = 10_000;
/// Most calls that one sum looks at.
const MAX_SUMMED: usize = 50_000;

pub(super) fn page(
    db: &Transaction<'_>,
    filter: &CallFilter,
    page: CallPage,
) -> Result<CallsFound, StoreError> {
    let walk = Walk::of(filter, page.after);
    let sql = walk.sql("call_number, start_ms");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(&walk.values))?;
    let (mut looked, mut matched, mut last) = (0, 0, None);
    let (mut found, mut next, mut complete) = (Vec::new(), None, false);
    let wanted = page.skip.saturating_add(u64::from(page.limit));
    loop {
        let Some(row) = rows.next()? else {
            complete = true;
            break;
        };
        if looked == MAX_LOOKED_AT {
            next = next.or(last);
            break;
        }
        looked += 1;
        let here = CallCursor { number: row.get(0)?, start_ms: row.get(1)? };
        if row.get(2)? {
            matched += 1;
            if matched > wanted {
                // One more than there is room for: the next page begins behind what was looked at before it.
                next = next.or(last);
                if !page.count {
                    break;
                }
            } else if matched > page.skip {
                found.push(here.number);
            }
        }
        if next.is_none() {
            last = Some(here);
        }
    }
    let mut load = db.prepare_cached("SELECT * FROM calls WHERE call_number = ?1")?;
    let mut calls = Vec::with_capacity(found.len());
    for number in found {
        let mut rows = load.query([number])?;
        calls.extend(rows.next()?.map(calls::read).transpose()?);
    }
    Ok(CallsFound { calls, total: (page.count && complete).then_some(matched), next })
}

pub(super) fn sums(
    db: &Transaction<'_>,
    filter: &CallFilter,
    after: Option<CallCursor>,
) -> Result<(CallSums, Option<CallCursor>), StoreError> {
    let walk = Walk::of(filter, after);
    let sql =
        walk.sql("call_number, start_ms, allowed, answer_ms, end_ms, cost_micros, currency, first_s, next_s");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(params_from_iter(&walk.values))?;
    let (mut sums, mut last) = (CallSums::default(), None);
    for _ in 0..MAX_SUMMED {
        let Some(row) = rows.next()? else { return Ok((sums, None)) };
        last = Some(CallCursor { number: row.get(0)?, start_ms: row.get(1)? });
        if row.get(9)? {
            let increments = row.get::<_, Option<u32>>(7)?.zip(row.get(8)?);
            sums.add(row.get(2)?, row.get(3)?, row.get(4)?, increments);
            if let (Some(micros), Some(currency)) = (row.get(5)?, row.get::<_, Option<String>>(6)?) {
                sums.add_cost(&currency, micros);
            }
        }
    }
    Ok((sums, last))
}

/// A walk over an index: which, from where to where, and what else must hold of an entry.
struct Walk {
    index: &'static str,
    keys: Vec<String>,
    rest: Vec<String>,
    values: Vec<Value>,
}

impl Walk {
    fn of(filter: &CallFilter, after: Option<CallCursor>) -> Walk {
        // The newest that may be found, and below which number among those of its millisecond.
        let newest = filter.until_ms.map_or(Millis::MAX, |until| until.saturating_sub(1));
        let (newest, below) = match after {
            Some(after) if after.start_ms <= newest => (after.start_ms, after.number),
            _ => (newest, i64::MAX),
        };
        let oldest = filter.since_ms.unwrap_or(Millis::MIN);
        let values = vec![oldest.into(), newest.into(), below.into()];
        let (index, keys) = index(filter);
        let mut walk = Walk { index, keys: Vec::new(), rest: Vec::new(), values };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        for (column, value) in [
            ("sip_call_id", text(&filter.sip_call_id)),
            ("to_user", text(&filter.to)),
            ("from_user", text(&filter.from)),
            ("trunk_id", text(&filter.trunk)),
            ("account_id", text(&filter.account)),
            ("status", filter.status.map(|status| Status::name(status).to_owned().into())),
            ("kind", filter.kind.map(|kind| kind_name(kind).to_owned().into())),
            ("allowed", filter.allowed.map(|allowed| i64::from(allowed).into())),
        ] {
            let Some(value) = value else { continue };
            walk.values.push(value);
            let term = format!("{column} = ?{}", walk.values.len());
            if keys.contains(&column) { walk.keys.push(term) } else { walk.rest.push(term) }
        }
        walk
    }

    /// The columns, then whether the entry matches.
    fn sql(&self, columns: &str) -> String {
        let matches = if self.rest.is_empty() { "true".to_owned() } else { self.rest.join(" AND ") };
        let keys: String = self.keys.iter().map(|key| format!("{key} AND ")).collect();
        format!(
            "SELECT {columns}, coalesce({matches}, false) FROM calls INDEXED BY {} WHERE {keys}start_ms BETWEEN ?1 AND ?2 \
             AND (start_ms < ?2 OR call_number < ?3) ORDER BY start_ms DESC, call_number DESC",
            self.index
        )
    }
}

/// The index that leaves least to be looked at, and the columns that it goes by.
fn index(filter: &CallFilter) -> (&'static str, &'static [&'static str]) {
    let CallFilter { trunk, account, status, from, to, sip_call_id, .. } = filter;
    match (trunk, account, status) {
        _ if sip_call_id.is_some() => ("calls_by_sip_call_id", &["sip_call_id"]),
        _ if to.is_some() => ("calls_by_to", &["to_user"]),
        _ if from.is_some() => ("calls_by_from", &["from_user"]),
        (Some(_), _, Some(_)) => ("calls_by_trunk_status", &["trunk_id", "status"]),
        (Some(_), _, None) => ("calls_by_trunk", &["trunk_id"]),
        (None, Some(_), Some(_)) => ("calls_by_account_status", &["account_id", "status"]),
        (None, Some(_), None) => ("calls_by_account", &["account_id"]),
        (None, None, Some(_)) => ("calls_by_status", &["status"]),
        (None, None, None) => ("calls_by_time", &[]),
    }
}

#[cfg(test)]
mod tests {
    use trunk_admission::model::Kind;

    use super::*;
    use crate::store::sqlite::open;

    /// Every combination of filters walks its index in order: no sorting, no other index.
    #[test]
    fn no_list_sorts_or_scans() {
        let connection = open::in_memory();
        let some = |bit: u32, bits: u32| (bits & bit != 0).then(|| "x".to_owned());
        for bits in 0..512 {
            let filter = CallFilter {
                trunk: some(1, bits),
                account: some(2, bits),
                kind: (bits & 4 != 0).then_some(Kind::Trunk),
                status: (bits & 8 != 0).then_some(Status::UserBusy),
                allowed: (bits & 16 != 0).then_some(true),
                from: some(32, bits),
                to: some(64, bits),
                sip_call_id: some(128, bits),
                since_ms: (bits & 256 != 0).then_some(5),
                until_ms: Some(9),
            };
            let walk = Walk::of(&filter, Some(CallCursor { start_ms: 7, number: 3 }));
            let sql = format!("EXPLAIN QUERY PLAN {}", walk.sql("call_number, start_ms"));
            let mut explain = connection.prepare(&sql).unwrap();
            let plan = explain.query_map(params_from_iter(&walk.values), |row| row.get(3)).unwrap();
            let plan: Vec<String> = plan.collect::<Result<_, _>>().unwrap();
            assert_eq!(plan.len(), 1, "{plan:?}");
            assert!(
                plan[0].starts_with("SEARCH calls USING") && plan[0].contains("start_ms>? AND start_ms<?"),
                "{plan:?}"
            );
        }
    }
}
