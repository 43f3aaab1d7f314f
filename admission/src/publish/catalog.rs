//! The configuration that the images in force hold: a base that never changes, and what changed since.
//!
//! Answers what an overlay must say. Its cost grows with what changed, never with the table. No I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::change::{Change, Node};
use super::rows::{Changed, Difference, Rows};
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
        for (id, row) in &self.trunks {
            let Some(trunk) = &row.now else { continue };
            let before = row.before.as_ref();
            let unchanged = |other: &&Trunk| !self.trunks.contains_key(&other.id);
            let (live, user) = (trunk.live, trunk.inbound_user.as_deref());
            let moved = before.is_none_or(|old| old.live != live);
            if moved && base.trunks.with_live(live).map(Arc::as_ref).filter(unchanged).is_some() {
                found.push(format!("trunk {id}: live index {live} is another trunk's"));
            }
            if user.and_then(|user| base.with_user(user)).filter(unchanged).is_some() {
                found.push(format!("inbound user {} is there twice", user.unwrap_or_default()));
            }
        }
        for (id, account) in
            self.accounts.iter().filter_map(|(id, row)| row.now.as_ref().map(|now| (id, now)))
        {
            let unchanged = |other: &&Arc<Account>| !self.accounts.contains_key(&other.id);
            if base.accounts.with_live(account.live).filter(unchanged).is_some() {
                found.push(format!("account {id}: live index {} is another account's", account.live));
            }
        }
        found
    }

    /// What the overlay on `base`, whose image is `image`, must hold.
    pub(super) fn contents<'a>(&'a self, base: &Base, image: &Image) -> Changes<'a> {
        let trunks: Vec<&Trunk> = now(&self.trunks).collect();
        let accounts: Vec<&Account> = now(&self.accounts).collect();
        let lives: HashSet<u32> = trunks.iter().map(|trunk| trunk.live).collect();
        let users: HashSet<&str> = trunks.iter().filter_map(|trunk| trunk.inbound_user.as_deref()).collect();
        let account_lives: HashSet<u32> = accounts.iter().map(|account| account.live).collect();
        let gone = self.trunks.iter().filter(|(_, row)| row.now.is_none());
        let old_users = before(&self.trunks).filter_map(|old| old.inbound_user.as_deref());
        Changes {
            deleted_ids: gone.map(|(id, _)| id.as_str()).collect(),
            deleted_lives: without(before(&self.trunks).map(|old| old.live), &lives),
            deleted_accounts: without(before(&self.accounts).map(|old| old.live), &account_lives),
            deleted_users: without(old_users, &users),
            sources: self.sources(base, image),
            trunks,
            accounts,
        }
    }

    /// Every prefix that a changed trunk lists or listed, with who lists it now; but of trunks whose list is the same,
    /// nothing: there the base is right.
    fn sources(&self, base: &Base, image: &Image) -> Vec<(Prefix, Owners)> {
        let mut owners = HashMap::new();
        for Difference { before, now } in self.trunks.values() {
            if list(before) == list(now) {
                continue;
            }
            for (trunk, change) in [(before, Owners::remove as fn(&mut Owners, u32)), (now, Owners::add)] {
                let Some(trunk) = trunk else { continue };
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

fn list(trunk: &Option<Arc<Trunk>>) -> Option<(u32, &[ipnet::IpNet])> {
    trunk.as_deref().map(|trunk| (trunk.live, trunk.sources.as_slice()))
}

fn before<T>(changed: &Changed<T>) -> impl Iterator<Item = &T> {
    changed.values().filter_map(|row| row.before.as_deref())
}

fn now<T>(changed: &Changed<T>) -> impl Iterator<Item = &T> {
    changed.values().filter_map(|row| row.now.as_deref())
}

fn without<K: Eq + std::hash::Hash>(keys: impl Iterator<Item = K>, kept: &HashSet<K>) -> Vec<K> {
    keys.filter(|key| !kept.contains(key)).collect()
}
