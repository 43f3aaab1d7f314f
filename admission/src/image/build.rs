//! Rows to words: makes a base or an overlay image in memory. Pure; writes no file, reads no clock.
//!
//! What an image cannot hold is refused here with the thing's name, all problems at once. The words are final: whoever
//! writes them to a file adds nothing.

mod draft;
mod finish;
mod sources;
mod trunk;

pub use finish::ImageWords;
pub(crate) use sources::{Owners, distinct_prefixes};

use std::collections::HashSet;

use super::layout::*;
use super::prefix::Prefix;
use crate::hash::Space;
use crate::model::*;
use crate::rate::Rate;
use draft::Draft;

/// A configuration that no image can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// One or more things are out of bounds or there twice.
    #[error("the table cannot be published: {}", .0.join("; "))]
    Refused(Vec<String>),
}

/// What stands in the header beside the rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'a> {
    /// The image's number, not 0.
    pub(crate) generation: u32,
    /// Its base's number: the same for a base.
    pub(crate) base: u32,
    /// The store's revision.
    pub(crate) revision: u64,
    /// Trunks of the whole table, wherever their records are.
    pub(crate) trunks: u64,
    /// Region of the node.
    pub(crate) region: Region,
    /// Domain below which trunks live.
    pub(crate) base_domain: &'a str,
    /// Host of inbound URIs.
    pub(crate) inbound_host: &'a str,
    /// Limits of the node.
    pub(crate) node: Limits,
    /// Random words for the hashes.
    pub(crate) keys: [u64; 2],
}

/// Changes since a base was made, each whole: what an overlay holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes<'a> {
    pub(crate) trunks: Vec<&'a Trunk>,
    /// Ids that no trunk has any more.
    pub(crate) deleted_ids: Vec<&'a str>,
    /// `live` indexes that no trunk has any more.
    pub(crate) deleted_lives: Vec<u32>,
    pub(crate) accounts: Vec<&'a Account>,
    /// `live` indexes that no account has any more.
    pub(crate) deleted_accounts: Vec<u32>,
    /// Inbound users that nobody has any more.
    pub(crate) deleted_users: Vec<&'a str>,
    /// Every prefix that a changed trunk lists or listed, with who lists it now.
    pub(crate) sources: Vec<(Prefix, Owners)>,
}

/// A base image, and what its map from prefix to trunk cannot say.
#[derive(Clone, Debug)]
pub(crate) struct BaseWords {
    pub(crate) words: ImageWords,
    /// Prefixes that more than one trunk lists, with who they are: the image itself says only "more than one".
    pub(crate) shared: Vec<(Prefix, Owners)>,
}

/// An image of all of `table`.
pub fn build_base(table: &Table, generation: u32, keys: [u64; 2]) -> Result<ImageWords, BuildError> {
    let settings = Settings {
        generation,
        base: generation,
        revision: table.revision,
        trunks: table.trunks.len() as u64,
        region: table.region,
        base_domain: &table.base_domain,
        inbound_host: &table.inbound_host,
        node: table.node,
        keys,
    };
    build_whole(&settings, table.trunks.iter(), table.accounts.iter()).map(|base| base.words)
}

/// An image of all these trunks and accounts.
pub(crate) fn build_whole<'a>(
    settings: &Settings<'a>,
    trunks: impl Iterator<Item = &'a Trunk>,
    accounts: impl Iterator<Item = &'a Account>,
) -> Result<BaseWords, BuildError> {
    let mut draft = Draft::new(settings);
    let mut listed = sources::Listed::default();
    for trunk in trunks {
        draft.trunk(settings, trunk, |prefix, live| listed.push(prefix, live));
    }
    draft.accounts(accounts);
    let mut shared = Vec::new();
    listed.owners(|prefix, owners| {
        draft.source(prefix, owners);
        if owners.count > 1 {
            shared.push((prefix, owners));
        }
    });
    Ok(BaseWords { words: draft.finish(settings)?, shared })
}

/// An image of these changes alone.
pub(crate) fn build_overlay(
    settings: &Settings<'_>,
    changes: &Changes<'_>,
) -> Result<ImageWords, BuildError> {
    let mut draft = Draft::new(settings);
    for trunk in &changes.trunks {
        draft.trunk(settings, trunk, |_, _| {});
    }
    for id in &changes.deleted_ids {
        draft.deleted_id(settings, id);
    }
    for &live in &changes.deleted_lives {
        draft.deleted_live(live);
    }
    draft.accounts(changes.accounts.iter().copied());
    for &live in &changes.deleted_accounts {
        draft.account_record("", live, F_DELETED, &Limits::default());
    }
    for user in &changes.deleted_users {
        draft.user(user, VALUE_DELETED);
    }
    for &(prefix, owners) in &changes.sources {
        draft.source(prefix, owners);
    }
    draft.finish(settings)
}

impl<'a> Draft<'a> {
    fn accounts(&mut self, accounts: impl Iterator<Item = &'a Account>) {
        let mut ids = HashSet::new();
        for account in accounts {
            let flags = F_ENABLED * u64::from(account.enabled);
            self.check_live(account.live, "account", &account.id, NO_ACCOUNT - 1);
            if !ids.insert(account.id.as_str()) {
                self.problem(format!("account {} is there twice", account.id));
            }
            self.account_record(&account.id, account.live, flags, &account.limits);
        }
    }

    fn account_record(&mut self, id: &str, live: u32, flags: u64, limits: &Limits) {
        let name = self.string(id, "an account id");
        let (interval, words) = limit_words(limits);
        let entry = self.entries(Section::Accounts, ACCOUNT_WORDS);
        self.section(Section::Accounts).extend([name, u64::from(live) << 32 | flags, interval, words]);
        let hash = self.keys.word(u64::from(live));
        self.index(Section::AccountIndex, hash, entry);
    }

    fn user(&mut self, user: &str, value: u64) {
        let reference = self.string(user, "an inbound user");
        let entry = self.entries(Section::Users, USER_WORDS);
        self.section(Section::Users).extend([reference, value]);
        let hash = self.keys.bytes(Space::User, user.as_bytes());
        self.index(Section::UserIndex, hash, entry);
    }
}

/// Interval (all ones: unlimited) and the word of burst and calls at the same time.
fn limit_words(limits: &Limits) -> (u64, u64) {
    let concurrent = limits.concurrent.map_or(UNLIMITED, |limit| limit.min(UNLIMITED - 1));
    match limits.rate {
        None => (u64::MAX, halves(0, concurrent)),
        Some(rate) => (Rate::interval_ns(rate), halves(rate.burst(), concurrent)),
    }
}
