//! Putting a table, or changes to the one in force, in force.

use std::sync::Arc;

use super::catalog::{Base, Delta};
use super::change::{Change, Node};
use super::debts::Debts;
use super::images::{Whole, write_base, write_overlay};
use super::{Catalog, PublishError, Published, Publisher};
use crate::control::Pair;
use crate::live::Live;
use crate::model::{Account, Table, Trunk};

impl Publisher {
    /// Puts `table` in force for every call judged from now on: as an overlay when little of it changed since the base
    /// that is in force, else as a new base.
    ///
    /// `live` is where rate limits keep their debts: a trunk whose rate changes keeps its debt in calls.
    ///
    /// # Errors
    /// If the table cannot be held by an image, or the image not written or read back. What was in force still is.
    pub fn publish(&mut self, table: &Table, live: Option<&Live>) -> Result<Published, PublishError> {
        self.look_at_files(live);
        let debts = match self.change_of(table, live)? {
            Step::Done(published) => return Ok(published),
            Step::Base(debts) => debts,
        };
        let trunks = table.trunks.iter().cloned().map(Arc::new).collect();
        let accounts = table.accounts.iter().cloned().map(Arc::new).collect();
        self.publish_base(Node::of(table), table.revision, trunks, accounts, debts, live)
    }

    /// As [`Publisher::publish`], for whoever needs the table no more: it becomes ours, and is not held twice.
    ///
    /// # Errors
    /// The same.
    pub fn publish_owned(&mut self, table: Table, live: Option<&Live>) -> Result<Published, PublishError> {
        self.look_at_files(live);
        let debts = match self.change_of(&table, live)? {
            Step::Done(published) => return Ok(published),
            Step::Base(debts) => debts,
        };
        let (node, revision) = (Node::of(&table), table.revision);
        let trunks = table.trunks.into_iter().map(Arc::new).collect();
        let accounts = table.accounts.into_iter().map(Arc::new).collect();
        self.publish_base(node, revision, trunks, accounts, debts, live)
    }

    /// Puts `table` in force as an overlay, if that serves; else answers the debts that a new base has to carry over.
    fn change_of<'a>(&mut self, table: &Table, live: Option<&'a Live>) -> Result<Step<'a>, PublishError> {
        let node = Node::of(table);
        let debts = match &self.catalog {
            None => self.tables.as_ref().zip(live).map(|(tables, live)| {
                let (trunks, accounts) = (table.trunks.iter(), table.accounts.iter());
                Debts::new(live, tables, node.limits.rate, trunks, accounts)
            }),
            Some(Catalog { base, delta: old, .. }) => match difference(base, &node, table) {
                Some(new) if self.overlay_serves(&new) && (self.is_folding() || !self.fold_due(&new)) => {
                    return self.publish_overlay(new, table.revision, live).map(Step::Done);
                }
                Some(new) => self.debts(live, old, &new, base),
                // Something is there twice, and the builder will say so.
                None => None,
            },
        };
        Ok(Step::Base(debts))
    }

    /// Puts these rows in force as a new base.
    fn publish_base(
        &mut self,
        node: Node,
        revision: u64,
        trunks: Vec<Arc<Trunk>>,
        accounts: Vec<Arc<Account>>,
        debts: Option<Debts<'_>>,
        live: Option<&Live>,
    ) -> Result<Published, PublishError> {
        let generation = self.last + 1;
        let whole = Whole {
            node: &node,
            revision,
            trunks: trunks.iter().map(Arc::as_ref),
            accounts: accounts.iter().map(Arc::as_ref),
        };
        let shared = write_base(&self.files, generation, whole)?;
        self.name(Pair::new(generation, 0), revision, debts, live)?;
        let base = Base::new(generation, node, trunks, accounts, shared);
        // A base of another making is in force: a fold of the one before is of no use.
        self.abandon_fold();
        let delta = Delta::none(&base);
        Ok(self.adopt(Arc::new(base), delta, revision))
    }

    /// Puts these changes in force for every call judged from now on, all or none of them. `revision` is the store's
    /// with all of them in it.
    ///
    /// # Errors
    /// [`PublishError::NoTable`] before this process has published a whole table; else as [`Publisher::publish`].
    pub fn apply(
        &mut self,
        revision: u64,
        changes: impl IntoIterator<Item = Change>,
        live: Option<&Live>,
    ) -> Result<Published, PublishError> {
        self.look_at_files(live);
        let catalog = self.catalog.as_ref().ok_or(PublishError::NoTable)?;
        let base = Arc::clone(&catalog.base);
        let mut delta = catalog.delta.clone();
        for change in changes {
            delta.apply(&base, change);
        }
        let at_once = base.trunks.len() <= self.folding.at_once_trunks && !self.is_folding();
        if self.overlay_serves(&delta) && !(at_once && self.fold_due(&delta)) {
            return self.publish_overlay(delta, revision, live);
        }
        let debts = self.debts(live, &catalog.delta, &delta, &base);
        let (trunks, accounts) = (base.trunks.merged(&delta.trunks), base.accounts.merged(&delta.accounts));
        self.publish_base(delta.node, revision, trunks, accounts, debts, live)
    }

    fn publish_overlay(
        &mut self,
        delta: Delta,
        revision: u64,
        live: Option<&Live>,
    ) -> Result<Published, PublishError> {
        let both = self.catalog.as_ref().zip(self.tables.as_ref());
        let (catalog, tables) = both.ok_or(PublishError::NoTable)?;
        let base = Arc::clone(&catalog.base);
        let generation = self.last + 1;
        write_overlay(&self.files, generation, revision, &base, tables.base(), &delta)?;
        let debts = self.debts(live, &catalog.delta, &delta, &base);
        self.name(Pair::new(base.generation, generation), revision, debts, live)?;
        Ok(self.adopt(base, delta, revision))
    }

    /// Whether an overlay on the base in force can say what this configuration is, and is worth its while.
    fn overlay_serves(&self, delta: &Delta) -> bool {
        self.tables.is_some()
            && self.catalog.as_ref().is_some_and(|Catalog { base, .. }| {
                delta.node.can_use(&base.node) && base.trunks.len() > self.folding.small_trunks
            })
    }

    fn fold_due(&self, delta: &Delta) -> bool {
        let trunks = self.catalog.as_ref().map_or(0, |catalog| catalog.base.trunks.len());
        self.folding.due(trunks, delta.len())
    }

    fn is_folding(&self) -> bool {
        self.kept.folding.is_some()
    }
}

/// What came of looking at a table.
enum Step<'a> {
    /// It is in force.
    Done(Published),
    /// It needs a new base.
    Base(Option<Debts<'a>>),
}

/// What `table` says differently from `base`; `None` when something is there twice.
fn difference(base: &Base, node: &Node, table: &Table) -> Option<Delta> {
    Some(Delta {
        node: node.clone(),
        trunks: base.trunks.difference(&table.trunks)?,
        accounts: base.accounts.difference(&table.accounts)?,
    })
}
