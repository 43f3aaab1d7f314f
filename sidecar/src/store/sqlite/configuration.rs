//! Reads the configuration back, whole or one object at a time, with the index of each thing.

use rusqlite::{Params, Row, Transaction};
use trunk_admission::model::Table;

use super::objects::{
    Take, account_of, take_acl, take_address, take_credential, take_gateway, take_webhook, trunk_of,
};
use super::text::{self, damaged, get};
use crate::domain::{Account, Node};
use crate::publish::Capacity;
use crate::store::{Placed, PlacedTrunk, Snapshot, StoreError};
use crate::table;

/// Trunks that are read and held at a time, when all are asked for.
const CHUNK: usize = 1_000;

/// Which accounts and trunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    OfFiles,
}

impl Which {
    /// As a condition on `managed_by`.
    fn managed(self) -> &'static str {
        match self {
            Which::All => "true",
            Which::OfFiles => "managed_by = 'file'",
        }
    }
}

const ACCOUNTS: &str = "SELECT account.*, place.live FROM accounts account
    LEFT JOIN live_indexes place ON place.kind = 'account' AND place.id = account_id";
const TRUNKS: &str = "SELECT trunk.*, place.live, owner.live AS owner_live FROM trunks trunk
    LEFT JOIN live_indexes place ON place.kind = 'trunk' AND place.id = trunk_id
    LEFT JOIN live_indexes owner ON owner.kind = 'account' AND owner.id = account_id";
const IP_ACLS: &str = "SELECT * FROM ip_acls part";
const CREDENTIALS: &str = "SELECT * FROM credentials part";
const GATEWAYS: &str = "SELECT part.*, place.live FROM origination_uris part
    LEFT JOIN live_indexes place ON place.kind = 'gateway' AND place.id = trunk_id || '/' || uri";
const ADDRESSES: &str = "SELECT part.*, place.live FROM gateway_addresses part
    LEFT JOIN live_indexes place ON place.kind = 'gateway' AND place.id = trunk_id || '/' || uri || ' ' || address";
const WEBHOOKS: &str = "SELECT * FROM endpoints part";

/// The newest revision; 0 before the first.
pub(super) fn revision(db: &Transaction<'_>) -> Result<i64, StoreError> {
    let mut select = db.prepare_cached("SELECT coalesce(max(revision), 0) FROM config_revisions")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

pub(super) fn snapshot(db: &Transaction<'_>, which: Which) -> Result<Snapshot, StoreError> {
    let mut trunks = Vec::new();
    each_trunk(db, which, |placed| {
        trunks.push(placed);
        Ok(())
    })?;
    Ok(Snapshot { revision: revision(db)?, node: node(db)?, accounts: accounts(db, which)?, trunks })
}

/// The whole configuration as an image needs it.
pub(super) fn table(db: &Transaction<'_>, capacity: Capacity) -> Result<Option<Table>, StoreError> {
    let Some(node) = node(db)? else { return Ok(None) };
    let accounts = accounts(db, Which::All)?.into_iter();
    let accounts = accounts.map(|account| table::account(account, capacity)).collect::<Result<_, _>>()?;
    let mut trunks = Vec::new();
    each_trunk(db, Which::All, |placed| {
        trunks.push(table::trunk(placed, capacity)?);
        Ok(())
    })?;
    Ok(Some(table::whole(revision(db)?, table::node(node)?, accounts, trunks)))
}

/// Sorted by id.
pub(super) fn accounts(db: &Transaction<'_>, which: Which) -> Result<Vec<Placed<Account>>, StoreError> {
    rows(db, &format!("{ACCOUNTS} WHERE {} ORDER BY account_id", which.managed()), [], account_of)
}

/// Hands every trunk to `take`, sorted by id, without ever holding more than a few.
pub(super) fn each_trunk(
    db: &Transaction<'_>,
    which: Which,
    mut take: impl FnMut(PlacedTrunk) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let managed = which.managed();
    let sql = format!("{TRUNKS} WHERE trunk_id > ?1 AND {managed} ORDER BY trunk_id LIMIT {CHUNK}");
    let mut last = String::new();
    loop {
        let mut trunks = rows(db, &sql, [&last], trunk_of)?;
        let (Some(first), Some(end)) = (trunks.first(), trunks.last()) else { return Ok(()) };
        let (first, end) = (first.item.id.clone(), end.item.id.clone());
        // Between two trunks of files there may be many that the API manages, but then the chunk is a small one.
        let narrow = trunks.len() < CHUNK && which != Which::All;
        if narrow {
            for trunk in &mut trunks {
                let id = trunk.item.id.clone();
                each_part(db, "trunk_id = ?1", [&id], |row, take| take(trunk, row))?;
            }
        } else {
            each_part(db, "trunk_id BETWEEN ?1 AND ?2", [&first, &end], |row, take| {
                let id: String = get(row, "trunk_id")?;
                // An endpoint outlives its trunk.
                match trunks.binary_search_by(|trunk| trunk.item.id.as_str().cmp(&id)) {
                    Ok(index) => take(&mut trunks[index], row),
                    Err(_) => Ok(()),
                }
            })?;
        }
        trunks.into_iter().try_for_each(&mut take)?;
        last = end;
    }
}

/// Everything below the trunks of a condition: what `put` does with a row and with how it is to be read.
fn each_part<P: Params + Copy>(
    db: &Transaction<'_>,
    condition: &str,
    params: P,
    mut put: impl FnMut(&Row<'_>, Take) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let parts: [(&str, &str, Take); 5] = [
        (IP_ACLS, "ORDER BY trunk_id, ip_acl_id", take_acl),
        (CREDENTIALS, "ORDER BY trunk_id, credential_id", take_credential),
        (GATEWAYS, "ORDER BY trunk_id, origination_uri_id", take_gateway),
        (ADDRESSES, "ORDER BY trunk_id, uri, tier, address", take_address),
        (WEBHOOKS, "AND state != 'removed'", take_webhook),
    ];
    parts.into_iter().try_for_each(|(select, order, take)| {
        each_row(db, &format!("{select} WHERE {condition} {order}"), params, |row| put(row, take))
    })
}

pub(super) fn account(db: &Transaction<'_>, id: &str) -> Result<Option<Placed<Account>>, StoreError> {
    Ok(rows(db, &format!("{ACCOUNTS} WHERE account_id = ?1"), [id], account_of)?.pop())
}

pub(super) fn trunk(db: &Transaction<'_>, id: &str) -> Result<Option<PlacedTrunk>, StoreError> {
    let found = rows(db, &format!("{TRUNKS} WHERE trunk_id = ?1"), [id], trunk_of)?.pop();
    let Some(mut trunk) = found else { return Ok(None) };
    each_part(db, "trunk_id = ?1", [id], |row, take| take(&mut trunk, row))?;
    Ok(Some(trunk))
}

pub(super) fn node(db: &Transaction<'_>) -> Result<Option<Node>, StoreError> {
    let node = |row: &Row<'_>| {
        let region: String = get(row, "region")?;
        Ok(Node {
            name: get(row, "name")?,
            region: region.parse().map_err(|_| damaged("region", &region))?,
            base_domain: get(row, "base_domain")?,
            inbound_host: get(row, "inbound_host")?,
            limits: text::read_limits(row)?,
        })
    };
    Ok(rows(db, "SELECT * FROM node", [], node)?.pop())
}

/// Runs `take` on every row.
fn each_row(
    db: &Transaction<'_>,
    sql: &str,
    params: impl Params,
    mut take: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(params)?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

/// Everything that `read` makes of the rows.
pub(super) fn rows<T>(
    db: &Transaction<'_>,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    each_row(db, sql, params, |row| {
        found.push(read(row)?);
        Ok(())
    })?;
    Ok(found)
}
