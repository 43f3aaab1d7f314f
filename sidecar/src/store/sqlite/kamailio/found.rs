//! The rows of Kamailio's tables as they are found, and whether they are those that should be there.
//!
//! Must never trust a row: somebody else may have written it.

use std::net::IpAddr;

use ipnet::IpNet;
use rusqlite::{Row, Transaction};

use crate::kamailio::rows::{Address, Destination, Place, Rows, Subscriber};
use crate::store::StoreError;
use crate::store::sqlite::text::damaged;

/// Whether both say the same, in whatever order.
pub(super) fn same_rows(a: &Rows, b: &Rows) -> bool {
    same_subscribers(a, b)
        && same(&a.addresses, &b.addresses, Clone::clone)
        && same(&a.destinations, &b.destinations, Clone::clone)
}

pub(super) fn same_subscribers(a: &Rows, b: &Rows) -> bool {
    same(&a.subscribers, &b.subscribers, |row| (row.username.clone(), row.domain.clone()))
}

const SUBSCRIBER: &str = "username, domain, ha1";
const ADDRESS: &str = "grp, ip_addr, mask, tag";
const DESTINATION: &str = "setid, destination, flags, attrs";

/// The rows of a trunk as they are. One that cannot be ours does not count: it goes with the others.
pub(super) fn rows_of(db: &Transaction<'_>, trunk: &str) -> Result<Rows, StoreError> {
    let mut found = Rows::default();
    let of = |table: &str, columns: &str| format!("SELECT {columns} FROM {table} WHERE trunk_id = ?1");
    let mut select = db.prepare_cached(&of("subscriber", SUBSCRIBER))?;
    let mut rows = select.query([trunk])?;
    while let Some(row) = rows.next()? {
        found.subscribers.push(subscriber(row)?);
    }
    let mut select = db.prepare_cached(&of("address", ADDRESS))?;
    let mut rows = select.query([trunk])?;
    while let Some(row) = rows.next()? {
        match address(row) {
            Ok(row) => found.addresses.push(row),
            Err(StoreError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let mut select = db.prepare_cached(&of("dispatcher", DESTINATION))?;
    let mut rows = select.query([trunk])?;
    while let Some(row) = rows.next()? {
        found.destinations.push(destination(row)?);
    }
    Ok(found)
}

fn subscriber(row: &Row<'_>) -> Result<Subscriber, StoreError> {
    Ok(Subscriber { username: row.get(0)?, domain: row.get(1)?, ha1: row.get(2)? })
}

fn address(row: &Row<'_>) -> Result<Address, StoreError> {
    let (group, text, mask, tag): (i32, String, u8, Option<String>) =
        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let place = match text.parse::<IpAddr>() {
        Err(_) => Place::Name(text),
        Ok(address) => match IpNet::new(address, mask) {
            Ok(network) if network.prefix_len() == network.max_prefix_len() => Place::Host(address),
            Ok(network) => Place::Subnet(network),
            Err(_) => return Err(damaged("mask", &mask.to_string())),
        },
    };
    Ok(Address { group, place, tag })
}

fn destination(row: &Row<'_>) -> Result<Destination, StoreError> {
    Ok(Destination { set: row.get(0)?, uri: row.get(1)?, flags: row.get(2)?, attrs: row.get(3)? })
}

pub(super) fn same<T: PartialEq, K: Ord>(a: &[T], b: &[T], key: impl Fn(&T) -> K) -> bool {
    let sorted = |rows: &[T]| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&index| key(&rows[index]));
        order
    };
    a.len() == b.len() && sorted(a).into_iter().zip(sorted(b)).all(|(i, j)| a[i] == b[j])
}
