//! Kamailio's stock tables, written with the trunks that they are made of, in the same transaction.
//!
//! What a trunk's rows are is `crate::kamailio::rows`' business; here they are put in place of those that it had, and only where
//! they differ. How much there is of each kind, and the mark of it, moves along. Must never leave a row of a trunk that
//! is gone, nor a mark that is not that of the rows.

mod found;

use std::collections::HashMap;

use rusqlite::{Transaction, params};
use trunk_admission::model::Trunk;

use super::configuration::{self, Which};
use crate::domain::Node;
use crate::kamailio::mark::{Kind, Load, Tally, Written};
use crate::kamailio::preflight::{self, Limits};
use crate::kamailio::rows::{self, Address, Context, Destination, Rows, Subscriber};
use crate::publish::Capacity;
use crate::store::StoreError;
use crate::table;
use found::{rows_of, same, same_rows, same_subscribers};

/// In the order of [`Rows`].
const TABLES: [&str; 3] = ["subscriber", "address", "dispatcher"];
/// Whose rows the marks are.
const NOBODY: &str = "";

/// The tables during one write.
pub(super) struct Tables<'a> {
    db: &'a Transaction<'a>,
    capacity: Capacity,
    node: Option<Node>,
    /// Which accounts are enabled, as far as that was asked.
    enabled: HashMap<String, bool>,
    load: Load,
    was: Load,
}

impl<'a> Tables<'a> {
    pub(super) fn open(db: &'a Transaction<'a>, capacity: Capacity) -> Result<Tables<'a>, StoreError> {
        let load = load(db)?;
        let node = configuration::node(db)?;
        Ok(Tables { db, capacity, node, enabled: HashMap::new(), load, was: load })
    }

    /// Brings the rows of a trunk to what it is now. One that is new has none yet.
    pub(super) fn trunk(
        &mut self,
        trunk: &Trunk,
        account: Option<&str>,
        is_new: bool,
    ) -> Result<(), StoreError> {
        let rows = self.rows(trunk, account)?;
        if is_new { self.insert(&trunk.id, &rows) } else { self.put(&trunk.id, &rows) }
    }

    /// Takes the rows of a trunk away.
    pub(super) fn trunk_gone(&mut self, id: &str) -> Result<(), StoreError> {
        self.put(id, &Rows::default())
    }

    /// An account was switched on or off.
    pub(super) fn account(&mut self, id: &str, enabled: bool) -> Result<(), StoreError> {
        self.enabled.insert(id.to_owned(), enabled);
        let mut select = self.db.prepare_cached("SELECT trunk_id FROM trunks WHERE account_id = ?1")?;
        let trunks: Vec<String> = select.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for trunk in trunks {
            if let Some(placed) = configuration::trunk(self.db, &trunk)? {
                self.trunk(&table::trunk(placed, self.capacity)?, Some(id), false)?;
            }
        }
        Ok(())
    }

    /// The node is another: where it stands and what its domains are called is in every trunk's rows.
    pub(super) fn node(&mut self, node: &Node) -> Result<(), StoreError> {
        let matters = |node: &Node| (node.region, node.base_domain.clone(), node.inbound_host.clone());
        let same = self.node.as_ref().map(matters) == Some(matters(node));
        self.node = Some(node.clone());
        if same { Ok(()) } else { self.rewrite() }
    }

    /// Writes everything anew but the marks.
    fn rewrite(&mut self) -> Result<(), StoreError> {
        for table in TABLES {
            self.db.execute(&format!("DELETE FROM {table} WHERE trunk_id != ?1"), [NOBODY])?;
        }
        self.load = Load::default();
        configuration::each_trunk(self.db, Which::All, |placed| {
            let account = placed.item.account.clone();
            self.trunk(&table::trunk(placed, self.capacity)?, account.as_deref(), true)
        })
    }

    /// Ends the write: counts and marks are brought up to date, and what Kamailio could not hold is refused.
    pub(super) fn close(self, limits: &Limits) -> Result<(), StoreError> {
        if self.load == self.was {
            return Ok(());
        }
        // What is too much already may get less.
        let refusals = preflight::check(&self.load, limits);
        if !refusals.is_empty() && !is_less(&self.load, &self.was) {
            return Err(StoreError::Kamailio(refusals));
        }
        self.write_load()
    }

    fn write_load(&self) -> Result<(), StoreError> {
        let sql = "UPDATE kamailio_load SET row_count = ?2, characters = ?3, hash_sum = ?4 WHERE kind = ?1";
        let mut update = self.db.prepare_cached(sql)?;
        for kind in Kind::ALL {
            let Tally { rows, characters, sum } = *self.load.of(kind);
            update.execute(params![
                kind.word(),
                rows.cast_signed(),
                characters.cast_signed(),
                sum.to_be_bytes()
            ])?;
        }
        for table in ["address", "dispatcher"] {
            self.db.prepare_cached(&format!("DELETE FROM {table} WHERE trunk_id = ?1"))?.execute([NOBODY])?;
        }
        self.insert_address(NOBODY, &rows::address_mark(&self.load.address_mark()))?;
        self.insert_destination(NOBODY, &rows::destination_mark(&self.load.destination_mark()))
    }

    fn rows(&mut self, trunk: &Trunk, account: Option<&str>) -> Result<Rows, StoreError> {
        let account_enabled = account.map(|id| self.is_enabled(id)).transpose()?.unwrap_or(true);
        // Before the first node there is no domain that a trunk could have.
        let Some(node) = &self.node else { return Ok(Rows::default()) };
        let context = Context {
            region: node.region,
            base_domain: &node.base_domain,
            inbound_host: &node.inbound_host,
            account_enabled,
        };
        let rows = rows::rows(trunk, &context);
        match preflight::faults(&rows).first() {
            None => Ok(rows),
            Some(fault) => Err(StoreError::Other(format!("trunk {}: {fault}", trunk.id))),
        }
    }

    fn is_enabled(&mut self, account: &str) -> Result<bool, StoreError> {
        if let Some(&known) = self.enabled.get(account) {
            return Ok(known);
        }
        let sql = "SELECT coalesce((SELECT enabled FROM accounts WHERE account_id = ?1), false)";
        let enabled = self.db.prepare_cached(sql)?.query_row([account], |row| row.get(0))?;
        self.enabled.insert(account.to_owned(), enabled);
        Ok(enabled)
    }

    /// Each table by itself: what did not change keeps its rows.
    fn put(&mut self, trunk: &str, wanted: &Rows) -> Result<(), StoreError> {
        let found = rows_of(self.db, trunk)?;
        let mut new = Rows::default();
        if !same_subscribers(&found, wanted) {
            self.delete("subscriber", trunk)?;
            new.subscribers.clone_from(&wanted.subscribers);
        }
        if !same(&found.addresses, &wanted.addresses, Clone::clone) {
            self.delete("address", trunk)?;
            found.addresses.iter().for_each(|row| self.load.remove_address(row));
            new.addresses.clone_from(&wanted.addresses);
        }
        if !same(&found.destinations, &wanted.destinations, Clone::clone) {
            self.delete("dispatcher", trunk)?;
            found.destinations.iter().for_each(|row| self.load.remove_destination(row));
            new.destinations.clone_from(&wanted.destinations);
        }
        self.insert(trunk, &new)
    }

    fn delete(&self, table: &str, trunk: &str) -> Result<(), StoreError> {
        self.db.prepare_cached(&format!("DELETE FROM {table} WHERE trunk_id = ?1"))?.execute([trunk])?;
        Ok(())
    }

    fn insert(&mut self, trunk: &str, rows: &Rows) -> Result<(), StoreError> {
        let sql = "INSERT INTO subscriber (username, domain, ha1, trunk_id) VALUES (?1, ?2, ?3, ?4)";
        for Subscriber { username, domain, ha1 } in &rows.subscribers {
            self.db.prepare_cached(sql)?.execute(params![username, domain, ha1, trunk])?;
        }
        for row in &rows.addresses {
            self.insert_address(trunk, row)?;
            self.load.add_address(row);
        }
        for row in &rows.destinations {
            self.insert_destination(trunk, row)?;
            self.load.add_destination(row);
        }
        Ok(())
    }

    fn insert_address(&self, trunk: &str, row: &Address) -> Result<(), StoreError> {
        let sql = "INSERT INTO address (grp, ip_addr, mask, tag, trunk_id) VALUES (?1, ?2, ?3, ?4, ?5)";
        let values = params![row.group, row.place.text(), row.place.mask(), row.tag, trunk];
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn insert_destination(&self, trunk: &str, row: &Destination) -> Result<(), StoreError> {
        let sql = "INSERT INTO dispatcher (setid, destination, flags, attrs, description, trunk_id)
            VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
        self.db.prepare_cached(sql)?.execute(params![row.set, row.uri, row.flags, row.attrs, trunk])?;
        Ok(())
    }
}

/// Whether nothing got more.
fn is_less(now: &Load, was: &Load) -> bool {
    let fits =
        |kind| now.of(kind).rows <= was.of(kind).rows && now.of(kind).characters <= was.of(kind).characters;
    Kind::ALL.into_iter().all(fits)
}

/// What the tables hold, and the revision that it belongs to.
pub(super) fn written(db: &Transaction<'_>) -> Result<Written, StoreError> {
    Ok(Written { revision: configuration::revision(db)?, load: load(db)? })
}

fn load(db: &Transaction<'_>) -> Result<Load, StoreError> {
    let mut load = Load::default();
    let mut select =
        db.prepare_cached("SELECT row_count, characters, hash_sum FROM kamailio_load WHERE kind = ?1")?;
    for kind in Kind::ALL {
        *load.of_mut(kind) = select.query_row([kind.word()], |row| {
            let (rows, characters): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (rows, characters) = (rows.cast_unsigned(), characters.cast_unsigned());
            Ok(Tally { rows, characters, sum: u128::from_be_bytes(row.get(2)?) })
        })?;
    }
    Ok(load)
}

/// Compares the tables with the trunks, row by row, and writes them anew if anybody else has touched them, or if they were
/// never written. Whether that was needed.
pub(super) fn check(db: &Transaction<'_>, capacity: Capacity) -> Result<bool, StoreError> {
    let mut tables = Tables::open(db, capacity)?;
    let (mut wanted, mut counts, mut good) = (Load::default(), [0, 0, 0], true);
    configuration::each_trunk(db, Which::All, |placed| {
        let account = placed.item.account.clone();
        let trunk = table::trunk(placed, capacity)?;
        let rows = tables.rows(&trunk, account.as_deref())?;
        good &= same_rows(&rows_of(db, &trunk.id)?, &rows);
        rows.addresses.iter().for_each(|row| wanted.add_address(row));
        rows.destinations.iter().for_each(|row| wanted.add_destination(row));
        let lengths = [rows.subscribers.len(), rows.addresses.len(), rows.destinations.len()];
        counts.iter_mut().zip(lengths).for_each(|(count, length)| *count += length as i64);
        Ok(())
    })?;
    let marks = Rows {
        addresses: vec![rows::address_mark(&wanted.address_mark())],
        destinations: vec![rows::destination_mark(&wanted.destination_mark())],
        ..Rows::default()
    };
    good &= tables.load == wanted && rows_of(db, NOBODY)? == marks;
    // What belongs to no trunk of ours was not looked at.
    for (table, count) in TABLES.into_iter().zip(counts) {
        let found = format!("SELECT count(*) FROM {table} WHERE trunk_id != ?1");
        good &= db.query_row(&found, [NOBODY], |row| row.get::<_, i64>(0))? == count;
    }
    if !good {
        tables.rewrite()?;
        tables.write_load()?;
    }
    Ok(!good)
}
