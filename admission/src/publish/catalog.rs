//! The configuration that the images in force hold: a base that never changes, and what changed since.
//!
//! Answers what an overlay must say. Its cost grows with what changed, never with the table. No I/O.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::change::{Change, Node};
use super::rows::{Changed, Rows};
use crate::image::{Changes, Found, Image, Owners, Prefix, VALUE_AMBIGUOUS, VALUE_LIVE, distinct_prefixes};
use crate::model::{Account, Trunk};

/// What a base image holds.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) generation: u32,
    pub(super) node: Node,
    pub(super) trunks: Rows<Trunk>,
    pub(super) accounts: Rows<Account>,
    /// Rows of trunks that have an inbound user, in the order of these.
    by_user: Vec<Arc<Trunk>>,
    /// Who lists a prefix, where they are more than one. Of all others the image itself can say it.
    shared: HashMap<Prefix, Owners>,
}

impl Base {
    pub(super) fn new(
        generation: u32,
        node: Node,
        trunks: Vec<Arc<Trunk>>,
        accounts: Vec<Arc<Account>>,
        shared: Vec<(Prefix, Owners)>,
    ) -> Base {
        let mut by_user: Vec<Arc<Trunk>> =
            trunks.iter().filter(|trunk| trunk.inbound_user.is_some()).cloned().collect();
        by_user.sort_unstable_by(|a, b| a.inbound_user.cmp(&b.inbound_user));
        Base {
            generation,
            node,
            trunks: Rows::new(trunks),
            accounts: Rows::new(accounts),
            by_user,
            shared: shared.into_iter().collect(),
        }
    }

    fn with_user(&self, user: &str) -> Option<&Trunk> {
        let found = self.by_user.binary_search_by(|trunk| trunk.inbound_user.as_deref().cmp(&Some(user)));
        found.ok().map(|index| &*self.by_user[index])
    }

    /// Who lists `prefix` in the base; `image` is the base's.
    fn owners(&self, image: &Image, prefix: Prefix) -> Owners {
        match image.source(prefix) {
            Found::Here(VALUE_AMBIGUOUS) => self.shared.get(&prefix).copied().unwrap_or_default(),
            Found::Here(value) => Owners { count: 1, combined: value.saturating_sub(VALUE_LIVE) as u32 },
            Found::Nothing | Found::Deleted => Owners::default(),
        }
    }
}

/// What is not as the base has it.
#[derive(Clone, Debug)]
pub(super) struct Delta {
    pub(super) node: Node,
    pub(super) trunks: Changed<Trunk>,
    pub(super) accounts: Changed<Account>,
}

impl Delta {
    /// Nothing changed.
    pub(super) fn none(base: &Base) -> Delta {
        Delta { node: base.node.clone(), trunks: Changed::new(), accounts: Changed::new() }
    }

    /// Trunks and accounts in it.
    pub(super) fn len(&self) -> usize {
        self.trunks.len() + self.accounts.len()
    }

    pub(super) fn is_none(&self, base: &Base) -> bool {
        self.len() == 0 && self.node == base.node
    }

    pub(super) fn apply(&mut self, base: &Base, change: Change) {
        match change {
            Change::PutNode(node) => self.node = node,
            Change::PutTrunk(trunk) => {
                let id = trunk.id.clone();
                base.trunks.note(&mut self.trunks, &id, Some(Arc::from(trunk)));
            }
            Change::RemoveTrunk(id) => base.trunks.note(&mut self.trunks, &id, None),
            Change::PutAccount(account) => {
                let id = account.id.clone();
                base.accounts.note(&mut self.accounts, &id, Some(Arc::new(account)));
            }
            Change::RemoveAccount(id) => base.accounts.note(&mut self.accounts, &id, None),
        }
    }

    /// The same configuration as seen from a base that was folded when `at_fold` was what had changed.
    pub(super) fn rebased(&self, base: &Base, at_fold: &Delta, folded: &Base) -> Delta {
        let mut delta = Delta { node: self.node.clone(), ..Delta::none(folded) };
        for id in self.trunks.keys().chain(at_fold.trunks.keys()) {
            folded.trunks.note(&mut delta.trunks, id, base.trunks.now(&self.trunks, id).cloned());
        }
        for id in self.accounts.keys().chain(at_fold.accounts.keys()) {
            folded.accounts.note(&mut delta.accounts, id, base.accounts.now(&self.accounts, id).cloned());
        }
        delta
    }

    /// What collides with rows of the base that did not change; collisions among the changed the builder finds.
    pub(super) fn collisions(&self, base: &Base) -> Vec<String> {
        let mut found = Vec::new();
        for trunk in self.trunks.values().flatten() {
            let unchanged = |other: &&Trunk| !self.trunks.contains_key(&other.id);
            if base.trunks.with_live(trunk.live).map(Arc::as_ref).filter(unchanged).is_some() {
                found.push(format!("trunk {}: live index {} is another trunk's", trunk.id, trunk.live));
            }
            let user = trunk.inbound_user.as_deref();
            if user.and_then(|user| base.with_user(user)).filter(unchanged).is_some() {
                found.push(format!("inbound user {} is there twice", user.unwrap_or_default()));
            }
        }
        for account in self.accounts.values().flatten() {
            let unchanged = |other: &&Arc<Account>| !self.accounts.contains_key(&other.id);
            if base.accounts.with_live(account.live).filter(unchanged).is_some() {
                let (id, live) = (&account.id, account.live);
                found.push(format!("account {id}: live index {live} is another account's"));
            }
        }
        found
    }

    /// What the overlay on `base`, whose image is `image`, must hold.
    pub(super) fn contents<'a>(&'a self, base: &'a Base, image: &Image) -> Changes<'a> {
        let trunks: Vec<&Trunk> = self.trunks.values().flatten().map(Arc::as_ref).collect();
        let accounts: Vec<&Account> = self.accounts.values().flatten().map(Arc::as_ref).collect();
        let before: Vec<&Trunk> =
            self.trunks.keys().filter_map(|id| base.trunks.get(id)).map(Arc::as_ref).collect();
        let lives: BTreeSet<u32> = trunks.iter().map(|trunk| trunk.live).collect();
        let users: BTreeSet<&str> = trunks.iter().filter_map(|trunk| trunk.inbound_user.as_deref()).collect();
        let account_lives: BTreeSet<u32> = accounts.iter().map(|account| account.live).collect();
        let accounts_before = self.accounts.keys().filter_map(|id| base.accounts.get(id));
        let gone = self.trunks.iter().filter(|(id, row)| row.is_none() && base.trunks.get(id).is_some());
        Changes {
            deleted_ids: gone.map(|(id, _)| id.as_str()).collect(),
            deleted_lives: before.iter().map(|old| old.live).filter(|live| !lives.contains(live)).collect(),
            deleted_accounts: accounts_before
                .map(|old| old.live)
                .filter(|live| !account_lives.contains(live))
                .collect(),
            deleted_users: before
                .iter()
                .filter_map(|old| old.inbound_user.as_deref())
                .filter(|user| !users.contains(user))
                .collect(),
            sources: self.sources(base, image, &before, &trunks),
            trunks,
            accounts,
        }
    }

    /// Every prefix that a changed trunk lists or listed, with who lists it now.
    fn sources(
        &self,
        base: &Base,
        image: &Image,
        before: &[&Trunk],
        now: &[&Trunk],
    ) -> Vec<(Prefix, Owners)> {
        let mut owners = HashMap::new();
        for (trunks, change) in [(before, Owners::remove as fn(&mut Owners, u32)), (now, Owners::add)] {
            for trunk in trunks {
                distinct_prefixes(trunk, |prefix| {
                    let entry = owners.entry(prefix).or_insert_with(|| base.owners(image, prefix));
                    change(entry, trunk.live);
                });
            }
        }
        let mut sources: Vec<(Prefix, Owners)> = owners.into_iter().collect();
        sources.sort_unstable_by_key(|(prefix, _)| *prefix);
        sources
    }
}
