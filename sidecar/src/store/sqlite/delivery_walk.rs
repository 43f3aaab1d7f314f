//! Which deliveries match: a walk over one index in the order of their numbers. As with calls, the index is chosen here.
//!
//! Nothing is sorted, and the events are looked at only to learn when they were written down. Must never look at more
//! than [`MAX_LOOKED_AT`] deliveries in one transaction.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Transaction, params_from_iter};

use crate::store::{DeliveryFilter, DeliveryState, MAX_LOOKED_AT, StoreError, Walked};

/// Which way a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    NewestFirst,
    OldestFirst,
}

/// A walk: over which index, from where, and what else must hold of a delivery.
pub(super) struct Walk {
    /// `INDEXED BY` one, or the table's own order.
    index: &'static str,
    keys: Vec<String>,
    rest: Vec<String>,
    values: Vec<Value>,
    direction: Direction,
}

impl Walk {
    /// From behind a delivery on, or from the beginning.
    pub(super) fn of(
        db: &Transaction<'_>,
        filter: &DeliveryFilter,
        direction: Direction,
        behind: Option<i64>,
    ) -> Result<Walk, StoreError> {
        let endpoint = match &filter.trunk {
            None => None,
            Some(trunk) => {
                let mut select =
                    db.prepare_cached("SELECT endpoint_id FROM endpoints WHERE trunk_id = ?1")?;
                let found: Option<i64> = select.query_row([trunk], |row| row.get(0)).optional()?;
                // No endpoint has number 0.
                Some(found.unwrap_or(0))
            }
        };
        Ok(Walk::over(filter, endpoint, direction, behind))
    }

    fn over(
        filter: &DeliveryFilter,
        endpoint: Option<i64>,
        direction: Direction,
        behind: Option<i64>,
    ) -> Walk {
        let start = match direction {
            Direction::NewestFirst => behind.unwrap_or(i64::MAX),
            Direction::OldestFirst => behind.unwrap_or(i64::MIN),
        };
        let (index, keys) = index(filter, endpoint);
        let mut walk =
            Walk { index, keys: Vec::new(), rest: Vec::new(), values: vec![start.into()], direction };
        if filter.state == Some(DeliveryState::Parked) {
            // In so many words, or SQLite does not see that an index of parked ones has all of them.
            walk.keys.push("d.state = 'parked'".into());
        }
        let created = "(SELECT e.created_ms FROM events e WHERE e.position = d.position)";
        for (column, compare, value) in [
            ("d.call_id", "=", filter.call.map(|call| call.as_bytes().to_vec().into())),
            ("d.endpoint_id", "=", endpoint.map(Value::from)),
            ("d.account_id", "=", filter.account.clone().map(Value::from)),
            ("d.state", "=", filter.state.map(|state| state.name().to_owned().into())),
            (created, ">=", filter.from_ms.map(Value::from)),
            (created, "<", filter.before_ms.map(Value::from)),
        ] {
            let Some(value) = value else { continue };
            walk.values.push(value);
            let term = format!("{column} {compare} ?{}", walk.values.len());
            if column == keys { walk.keys.push(term) } else { walk.rest.push(term) }
        }
        walk
    }

    /// The number, then whether the delivery matches.
    fn sql(&self) -> String {
        let Walk { index, .. } = self;
        let matches = if self.rest.is_empty() { "true".to_owned() } else { self.rest.join(" AND ") };
        let keys: String = self.keys.iter().map(|key| format!("{key} AND ")).collect();
        let (compare, order) = match self.direction {
            Direction::NewestFirst => ("<", "DESC"),
            Direction::OldestFirst => (">", "ASC"),
        };
        format!(
            "SELECT d.delivery_id, coalesce({matches}, false) FROM deliveries d {index} \
             WHERE {keys}d.delivery_id {compare} ?1 ORDER BY d.delivery_id {order}"
        )
    }

    /// The first so many that match.
    pub(super) fn run(&self, db: &Transaction<'_>, limit: usize) -> Result<Walked<i64>, StoreError> {
        let mut select = db.prepare_cached(&self.sql())?;
        let mut rows = select.query(params_from_iter(&self.values))?;
        let mut walked = Walked { found: Vec::new(), last: None, more: false };
        let mut looked = 0;
        while let Some(row) = rows.next()? {
            if looked == MAX_LOOKED_AT || walked.found.len() == limit {
                walked.more = true;
                break;
            }
            looked += 1;
            let id = row.get(0)?;
            walked.last = Some(id);
            if row.get(1)? {
                walked.found.push(id);
            }
        }
        Ok(walked)
    }
}

/// The index that leaves least to be looked at, and the column that it goes by.
fn index(filter: &DeliveryFilter, endpoint: Option<i64>) -> (&'static str, &'static str) {
    let parked = filter.state == Some(DeliveryState::Parked);
    match (endpoint, &filter.account) {
        _ if filter.call.is_some() => ("INDEXED BY deliveries_by_call", "d.call_id"),
        (Some(_), _) if parked => ("INDEXED BY deliveries_parked_by_endpoint", "d.endpoint_id"),
        (None, Some(_)) if parked => ("INDEXED BY deliveries_parked_by_account", "d.account_id"),
        (None, None) if parked => ("INDEXED BY deliveries_parked", ""),
        (Some(_), _) => ("INDEXED BY deliveries_by_endpoint", "d.endpoint_id"),
        (None, Some(_)) => ("INDEXED BY deliveries_by_account", "d.account_id"),
        (None, None) => ("NOT INDEXED", ""),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::sqlite::open;

    /// Every combination of filters walks its index in order, either way: no sorting, no scan, no event without a time.
    #[test]
    fn no_walk_sorts_or_scans() {
        let connection = open::in_memory();
        let states = [None].into_iter().chain(DeliveryState::ALL.map(Some));
        for (state, bits) in states.flat_map(|state| (0..32).map(move |bits| (state, bits))) {
            let filter = DeliveryFilter {
                account: (bits & 1 != 0).then(|| "a".to_owned()),
                trunk: None,
                state,
                call: (bits & 2 != 0).then_some(uuid::Uuid::nil()),
                from_ms: (bits & 4 != 0).then_some(5),
                before_ms: (bits & 8 != 0).then_some(9),
            };
            let endpoint = (bits & 16 != 0).then_some(1);
            for direction in [Direction::NewestFirst, Direction::OldestFirst] {
                let walk = Walk::over(&filter, endpoint, direction, Some(7));
                let sql = format!("EXPLAIN QUERY PLAN {}", walk.sql());
                let mut explain = connection.prepare(&sql).unwrap();
                let plan = explain.query_map(params_from_iter(&walk.values), |row| row.get(3)).unwrap();
                let plan: Vec<String> = plan.collect::<Result<_, _>>().unwrap();
                let [here, of_time @ ..] = &plan[..] else { panic!("no plan") };
                let place = if direction == Direction::NewestFirst { "rowid<?" } else { "rowid>?" };
                assert!(
                    here.starts_with("SEARCH d USING")
                        && (here.contains(&place.replace("rowid", "delivery_id")) || here.contains(place)),
                    "{sql}: {plan:?}"
                );
                let looks_up = |step: &&String| {
                    !step.contains("SCALAR SUBQUERY")
                        && *step != "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"
                };
                assert_eq!(of_time.iter().find(looks_up), None, "{sql}: {plan:?}");
                assert_eq!(of_time.is_empty(), bits & 12 == 0, "{sql}: {plan:?}");
            }
        }
    }
}
