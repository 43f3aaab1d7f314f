//! The trunk files: `[[account]]`, `[[trunk]]` and `[[voiceApplication]]` entries, and the rules that hold across all of
//! them.
//!
//! Keys have the names of the HTTP API; what the API would make, a file has to say. An id may stand once in all files; a
//! trunk's domain must be its own, and so must an application's inbound URI.

use std::collections::HashMap;

use trunk_admission::model::Kind;
use uuid::Uuid;

use super::document::Document;
use crate::domain::{Account, Limits, ManagedBy, Stamp, Trunk};
use crate::edit;
use crate::edit::application::Rules;
use crate::edit::parts::Passwords;
use crate::edit::webhook::Key;
use crate::input::problem::Problems;
use crate::input::rules;
use crate::input::section::Section;
use crate::publish::Capacity;
use crate::webhook::UrlRules;

/// Most entries of one kind in one file.
const MAX_ENTRIES: usize = 1_000_000;

/// What the main file says that matters for trunks.
pub(super) struct Context {
    pub(super) base_domain: Option<String>,
    pub(super) inbound_host: Option<String>,
    pub(super) webhook_rules: UrlRules,
    pub(super) allow_private_sources: bool,
    pub(super) capacity: Capacity,
}

/// Where an id or a reference was met, for rules that span files.
struct Place {
    file: String,
    key: String,
}

/// Gathers what all files define.
pub(super) struct Files<'p> {
    context: &'p Context,
    problems: &'p Problems,
    accounts: Vec<Account>,
    trunks: Vec<Trunk>,
    account_ids: HashMap<String, Place>,
    trunk_ids: HashMap<String, Place>,
    inbound_users: HashMap<Uuid, Place>,
    owners: Vec<(String, Place)>,
}

impl<'p> Files<'p> {
    pub(super) fn new(context: &'p Context, problems: &'p Problems) -> Files<'p> {
        Files {
            context,
            problems,
            accounts: Vec::new(),
            trunks: Vec::new(),
            account_ids: HashMap::new(),
            trunk_ids: HashMap::new(),
            inbound_users: HashMap::new(),
            owners: Vec::new(),
        }
    }

    /// Reads one file.
    pub(super) fn read(&mut self, file: &str, text: &str) {
        let document = Document::parse(file, text, self.problems);
        let Some(top) = document.top(None) else { return };
        for section in top.sections("account", MAX_ENTRIES).unwrap_or_default() {
            self.account(section);
        }
        for section in top.sections("trunk", MAX_ENTRIES).unwrap_or_default() {
            self.trunk(section);
        }
        for section in top.sections("voiceApplication", MAX_ENTRIES).unwrap_or_default() {
            self.application(section);
        }
        top.finish();
    }

    /// Checks what spans files and hands over everything, sorted by id.
    pub(super) fn finish(mut self) -> (Vec<Account>, Vec<Trunk>) {
        for (owner, place) in &self.owners {
            if !self.account_ids.contains_key(owner) {
                self.problems.push(
                    &place.file,
                    &place.key,
                    format!("names account {owner:?}, which no file defines"),
                );
            }
        }
        let gateways = self.trunks.iter().map(|trunk| trunk.origination_uris.len()).sum::<usize>();
        let capacity = self.context.capacity;
        for (kind, count, room) in [
            ("accounts", self.accounts.len(), capacity.accounts),
            ("trunks", self.trunks.len(), capacity.trunks),
            ("gateways", gateways, capacity.gateways),
        ] {
            if count > room as usize {
                self.problems.push(
                    "all trunk files",
                    kind,
                    format!("are {count}; shm.{kind} has room for {room}"),
                );
            }
        }
        self.accounts.sort_by(|a, b| a.id.cmp(&b.id));
        self.trunks.sort_by(|a, b| a.id.cmp(&b.id));
        (self.accounts, self.trunks)
    }

    fn account(&mut self, section: Section<'_>) {
        let id = section.parsed_required("accountId", rules::label);
        if let Some(id) = &id {
            claim(&mut self.account_ids, id, "accountId", "account", &section);
        }
        let mut account = Account {
            id: id.clone().unwrap_or_default(),
            name: String::new(),
            enabled: true,
            limits: Limits::default(),
            managed_by: ManagedBy::File,
            stamp: Stamp::default(),
        };
        edit::account::account(&section, &mut account);
        section.finish();
        if let Some(id) = id {
            named(&mut account.name, &id);
            self.accounts.push(account);
        }
    }

    fn trunk(&mut self, section: Section<'_>) {
        let id = section.parsed_required("trunkId", rules::label);
        let mut realm = None;
        if let Some(id) = &id {
            claim(&mut self.trunk_ids, id, "trunkId", "trunk", &section);
            realm = self.domain(id, &section);
        }
        let account = self.owner(&section);
        let mut trunk = edit::trunk::new(id.clone().unwrap_or_default(), Kind::Trunk, ManagedBy::File);
        trunk.account = account;
        edit::trunk::trunk(&section, &mut trunk);
        edit::webhook::webhook(&section, &mut trunk, &self.context.webhook_rules, Key::Written);
        edit::parts::lists(&section, &mut trunk, realm.as_deref(), Passwords::Written);
        section.finish();
        if let Some(id) = id {
            named(&mut trunk.name, &id);
            self.trunks.push(trunk);
        }
    }

    fn application(&mut self, section: Section<'_>) {
        let id = section.parsed_required("applicationId", rules::label);
        if let Some(id) = &id {
            claim(&mut self.trunk_ids, id, "applicationId", "application", &section);
        }
        let account = self.owner(&section);
        let mut app = edit::trunk::new(id.clone().unwrap_or_default(), Kind::Application, ManagedBy::File);
        app.account = account;
        let rules = Rules {
            inbound_host: self.context.inbound_host.as_deref().unwrap_or_default(),
            allow_private: self.context.allow_private_sources,
        };
        edit::application::written(&section, &mut app, rules);
        edit::webhook::webhook(&section, &mut app, &self.context.webhook_rules, Key::Written);
        if let Some(user) = app.inbound_user {
            match self.inbound_users.get(&user) {
                Some(first) => section
                    .problem("sipUri", format!("is already defined in {} at {}", first.file, first.key)),
                None => drop(self.inbound_users.insert(user, place(&section, "sipUri"))),
            }
        }
        section.finish();
        if let Some(id) = id {
            named(&mut app.name, &id);
            self.trunks.push(app);
        }
    }

    /// The account that an entry names; that it exists is judged when all files were read.
    fn owner(&mut self, section: &Section<'_>) -> Option<String> {
        let account = section.parsed("accountId", rules::label)?;
        self.owners.push((account.clone(), place(section, "accountId")));
        Some(account)
    }

    /// The trunk's domain, which must be a host name and nobody else's.
    fn domain(&self, id: &str, section: &Section<'_>) -> Option<String> {
        let domain = format!("{id}.{}", self.context.base_domain.as_deref()?);
        if domain.len() > rules::MAX_HOST_BYTES {
            section.problem(
                "trunkId",
                format!("makes a domain of {} bytes; at most 253 are allowed", domain.len()),
            );
        }
        if self.context.inbound_host.as_ref() == Some(&domain) {
            section.problem("trunkId", format!("makes the domain {domain}, which is node.inbound_host"));
        }
        Some(domain)
    }
}

/// What has no name is called by its id.
fn named(name: &mut String, id: &str) {
    if name.is_empty() {
        id.clone_into(name);
    }
}

fn place(section: &Section<'_>, key: &str) -> Place {
    Place { file: section.file().to_owned(), key: section.path_of(key) }
}

/// Reports an id that was met before, here or in another file.
fn claim(ids: &mut HashMap<String, Place>, id: &str, key: &str, kind: &str, section: &Section<'_>) {
    match ids.get(id) {
        Some(first) => {
            let also = if kind == "trunk" { " and its domain" } else { "" };
            section.problem(
                key,
                format!("{kind} {id:?}{also} is already defined in {} at {}", first.file, first.key),
            );
        }
        None => drop(ids.insert(id.to_owned(), place(section, key))),
    }
}
