//! One write as one transaction: objects, their places, audit rows, the kept answer, and the revision that names it all.
//!
//! Must never do a part of a write: whatever is wrong is an error, and an error rolls everything back.

use rusqlite::{Transaction, params};
use trunk_admission::model::Kind;
use uuid::Uuid;

use super::kamailio::Tables;
use super::record::Entry;
use super::{addresses, answers, configuration, endpoints, live_index, put, text, tokens};
use crate::crash;
use crate::difference::Line;
use crate::domain::{
    Account, Actor, ManagedBy, Node, Payer, Token, Trunk, account_fields, audit, kind_name, node_fields,
    settle, settle_trunk, token_fields, trunk_fields,
};
use crate::store::{
    Change, Committed, Effect, Managed, PlaceKind, Placed, PlacedTrunk, Reused, StoreError, Terms, Write,
};
use crate::table;

/// Longest description kept of a revision, in bytes.
const MAX_SUMMARY_BYTES: usize = 64 << 10;

pub(super) fn commit(db: &Transaction<'_>, write: Write, terms: Terms) -> Result<Committed, StoreError> {
    let found = configuration::revision(db)?;
    if found != terms.base {
        return Err(StoreError::Conflict { expected: terms.base, found });
    }
    let Write { actor, request_id, changes, idempotency } = write;
    let (revision, now_ms) = (terms.stamp.revision, terms.stamp.updated_ms);
    let row = params![revision, now_ms, actor.to_string(), request_id];
    db.prepare_cached("INSERT INTO config_revisions VALUES (?1, ?2, ?3, ?4, '')")?.execute(row)?;
    crash::point("write.revision");
    if changes.iter().all(|change| matches!(change, Change::PutAddresses { .. })) {
        addresses::replace_revision(db, terms.base)?;
    }
    let tables = Tables::open(db, terms.capacity)?;
    let mut work = Work { db, actor, terms, tables, done: Done::default() };
    for change in changes {
        work.change(change)?;
        crash::point("write.object");
    }
    let Work { tables, done: Done { effects, reused, lines, managed }, .. } = work;
    if !managed.is_empty() {
        return Err(StoreError::Managed(managed));
    }
    tables.close(&terms.kamailio)?;
    crash::point("write.tables");
    let mut summary = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    summary.truncate(summary.floor_char_boundary(MAX_SUMMARY_BYTES));
    db.prepare_cached("UPDATE config_revisions SET summary = ?2 WHERE revision = ?1")?
        .execute(params![revision, summary])?;
    if let Some(record) = &idempotency {
        answers::keep(db, record)?;
    }
    answers::forget(db, now_ms)?;
    crash::point("write.done");
    Ok(Committed { revision, effects, reused, lines })
}

/// A write under way.
pub(super) struct Work<'a> {
    pub(super) db: &'a Transaction<'a>,
    actor: Actor,
    pub(super) terms: Terms,
    pub(super) tables: Tables<'a>,
    pub(super) done: Done,
}

/// What was done so far.
#[derive(Default)]
pub(super) struct Done {
    pub(super) effects: Vec<Effect>,
    reused: Vec<Reused>,
    pub(super) lines: Vec<Line>,
    managed: Vec<Managed>,
}

impl Work<'_> {
    fn change(&mut self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::PutNode(node) => self.put_node(node),
            Change::PutAccount(account) => self.put_account(account),
            Change::RemoveAccount(id) => self.remove_account(id),
            Change::PutTrunk(trunk) => self.put_trunk(*trunk),
            Change::RemoveTrunk(id) => self.remove_trunk(id),
            Change::PutAddresses { trunk, uri, target, addresses } => {
                self.put_addresses(&trunk, &uri, &target, &addresses)
            }
            Change::PutToken(token) => self.put_token(token),
            Change::RemoveToken(id) => self.remove_token(id),
            Change::PutRatePlan(plan) => self.put_rate_plan(plan),
            Change::RemoveRatePlan(id) => self.remove_rate_plan(id),
            Change::PutRates { plan, rates } => self.put_rates(&plan, &rates),
            Change::ChooseRatePlan { payer, plan } => self.choose_rate_plan(&payer, plan.as_deref()),
        }
    }

    fn put_node(&mut self, node: Node) -> Result<(), StoreError> {
        let before = configuration::node(self.db)?;
        if let Some(before) = &before {
            self.check_realms(before, &node)?;
        }
        put::node(self.db, &node)?;
        self.tables.node(&node)?;
        let entry = Entry { kind: "node", id: &node.name, account: None };
        match &before {
            None => self.added(entry, audit::node(&node), None)?,
            Some(before) => {
                let change = audit::node_change(before, &node);
                self.changed(entry, node_fields(before, &node), change, None)?;
            }
        }
        self.done.effects.push(Effect::PutNode(table::node(node)?));
        Ok(())
    }

    /// A password is kept as a hash over its realm. Those of files are hashed anew; those that the API was given are gone.
    fn check_realms(&self, before: &Node, after: &Node) -> Result<(), StoreError> {
        let sql = "SELECT count(DISTINCT trunk_id) FROM credentials JOIN trunks USING (trunk_id)
            WHERE kind = ?1 AND managed_by = 'api'";
        for (key, kind, old, new) in [
            ("base_domain", Kind::Trunk, &before.base_domain, &after.base_domain),
            ("inbound_host", Kind::Application, &before.inbound_host, &after.inbound_host),
        ] {
            let kind = kind_name(kind);
            let count: i64 = match old == new {
                true => 0,
                false => self.db.prepare_cached(sql)?.query_row([kind], |row| row.get(0))?,
            };
            if count > 0 {
                return Err(StoreError::Contradiction(format!(
                    "node.{key} cannot change from {old} to {new}: it is the realm of the passwords of {count} {kind}s \
                     that the API manages; remove those credentials first"
                )));
            }
        }
        Ok(())
    }

    fn put_account(&mut self, mut account: Account) -> Result<(), StoreError> {
        let before = configuration::account(self.db, &account.id)?.map(|placed| placed.item);
        let by = before.as_ref().map(|before| before.managed_by);
        if !self.may_change("account", &account.id, by) {
            return Ok(());
        }
        settle(&mut account, before.as_ref(), self.terms.stamp);
        put::account(self.db, &account)?;
        if before.as_ref().is_some_and(|before| before.enabled != account.enabled) {
            self.tables.account(&account.id, account.enabled)?;
        }
        let live = self.place(PlaceKind::Account, &account.id, self.terms.capacity.accounts)?;
        let entry = Entry { kind: "account", id: &account.id, account: Some(&account.id) };
        match &before {
            None => self.added(entry, audit::account(&account), None)?,
            Some(before) => {
                let change = audit::account_change(before, &account);
                self.changed(entry, account_fields(before, &account), change, None)?;
            }
        }
        let account = table::account(Placed { item: account, live }, self.terms.capacity)?;
        self.done.effects.push(Effect::PutAccount(account));
        Ok(())
    }

    /// Its tokens go with it, each with a row of its own in the audit log.
    fn remove_account(&mut self, id: String) -> Result<(), StoreError> {
        let Some(Placed { item: before, .. }) = configuration::account(self.db, &id)? else { return Ok(()) };
        if !self.may_change("account", &id, Some(before.managed_by)) {
            return Ok(());
        }
        for token in tokens::of_account(self.db, &id)? {
            self.remove_token(token.id)?;
        }
        self.choose_rate_plan(&Payer::Account(id.clone()), None)?;
        self.db.prepare_cached("DELETE FROM accounts WHERE account_id = ?1")?.execute([&id])?;
        live_index::free(self.db, PlaceKind::Account, &id, self.terms.stamp)?;
        let entry = Entry { kind: "account", id: &id, account: Some(&id) };
        self.removed(entry, audit::account(&before), None)?;
        self.done.effects.push(Effect::RemoveAccount(id));
        Ok(())
    }

    fn put_trunk(&mut self, mut trunk: Trunk) -> Result<(), StoreError> {
        let kind = kind_name(trunk.kind);
        let before = configuration::trunk(self.db, &trunk.id)?;
        let by = before.as_ref().map(|before| before.item.managed_by);
        if !self.may_change(kind, &trunk.id, by) {
            return Ok(());
        }
        let was = before.as_ref().map(|before| &before.item);
        settle_trunk(&mut trunk, was, self.terms.stamp);
        put::trunk(self.db, &trunk, was, self.terms.stamp.updated_ms)?;
        let live = self.place(PlaceKind::Trunk, &trunk.id, self.terms.capacity.trunks)?;
        let gateways = self.place_gateways(&trunk, was)?;
        let addresses = match &before {
            Some(before) => self.keep_addresses(&trunk, before)?,
            None => Vec::new(),
        };
        let account = trunk.account.as_deref();
        let owner = account.map(|id| live_index::of(self.db, PlaceKind::Account, id)).transpose()?.flatten();
        let entry = Entry { kind, id: &trunk.id, account };
        match was {
            None => self.added(entry, audit::trunk(&trunk), None)?,
            Some(was) => {
                let change = audit::trunk_change(was, &trunk);
                self.changed(entry, trunk_fields(was, &trunk), change, Some(live))?;
            }
        }
        let account = trunk.account.clone();
        let placed = PlacedTrunk { item: trunk, live, gateways, addresses, account: owner };
        let trunk = table::trunk(placed, self.terms.capacity)?;
        self.tables.trunk(&trunk, account.as_deref(), before.is_none())?;
        self.done.effects.push(Effect::PutTrunk(Box::new(trunk)));
        Ok(())
    }

    /// An endpoint that is sent to stays: what is still owed for the trunk's last calls gets sent.
    fn remove_trunk(&mut self, id: String) -> Result<(), StoreError> {
        let Some(placed) = configuration::trunk(self.db, &id)? else { return Ok(()) };
        let kind = kind_name(placed.item.kind);
        if !self.may_change(kind, &id, Some(placed.item.managed_by)) {
            return Ok(());
        }
        self.forget_addresses(&id, placed.addresses.iter())?;
        let PlacedTrunk { item: before, live, .. } = placed;
        self.choose_rate_plan(&Payer::Trunk(id.clone()), None)?;
        self.db.prepare_cached("DELETE FROM trunks WHERE trunk_id = ?1")?.execute([&id])?;
        live_index::free(self.db, PlaceKind::Trunk, &id, self.terms.stamp)?;
        endpoints::trunk_removed(self.db, &id, self.terms.stamp.updated_ms)?;
        self.tables.trunk_gone(&id)?;
        for gateway in &before.origination_uris {
            self.free_gateway(&id, &gateway.uri)?;
        }
        let entry = Entry { kind, id: &id, account: before.account.as_deref() };
        self.removed(entry, audit::trunk(&before), Some(live))?;
        self.done.effects.push(Effect::RemoveTrunk(id));
        Ok(())
    }

    fn put_token(&mut self, mut token: Token) -> Result<(), StoreError> {
        let before = tokens::by_id(self.db, token.id)?;
        token.last_used_ms = before.as_ref().and_then(|before| before.last_used_ms);
        settle(&mut token, before.as_ref(), self.terms.stamp);
        tokens::put(self.db, &token)?;
        let id = text::uuid(token.id);
        let entry = Entry { kind: "token", id: &id, account: token.scope.account() };
        match &before {
            None => self.added(entry, audit::token(&token), None),
            Some(before) => {
                let change = audit::token_change(before, &token);
                self.changed(entry, token_fields(before, &token), change, None)
            }
        }
    }

    fn remove_token(&mut self, id: Uuid) -> Result<(), StoreError> {
        let Some(before) = tokens::by_id(self.db, id)? else { return Ok(()) };
        tokens::remove(self.db, id)?;
        let id = text::uuid(id);
        let entry = Entry { kind: "token", id: &id, account: before.scope.account() };
        self.removed(entry, audit::token(&before), None)
    }

    /// Whether who writes manages what is there. If not, it is noted, and nothing of the write will be done.
    fn may_change(&mut self, kind: &'static str, id: &str, by: Option<ManagedBy>) -> bool {
        match by.filter(|by| *by != self.actor.manages()) {
            None => true,
            Some(by) => {
                self.done.managed.push(Managed { kind, id: id.to_owned(), by });
                false
            }
        }
    }

    pub(super) fn place(&mut self, kind: PlaceKind, id: &str, room: u32) -> Result<u32, StoreError> {
        live_index::place(self.db, kind, id, room, &mut self.done.reused)
    }

    /// Frees the indexes of gateways that are gone, then places those that are there, in their order.
    fn place_gateways(&mut self, trunk: &Trunk, before: Option<&Trunk>) -> Result<Vec<u32>, StoreError> {
        for old in before.iter().flat_map(|before| &before.origination_uris) {
            if !trunk.origination_uris.iter().any(|gateway| gateway.uri == old.uri) {
                self.free_gateway(&trunk.id, &old.uri)?;
            }
        }
        let room = self.terms.capacity.gateways;
        let gateways = trunk.origination_uris.iter();
        let mut place =
            |uri: &str| self.place(PlaceKind::Gateway, &live_index::gateway_id(&trunk.id, uri), room);
        gateways.map(|gateway| place(&gateway.uri)).collect()
    }

    pub(super) fn free_gateway(&self, trunk: &str, uri: &str) -> Result<(), StoreError> {
        let id = live_index::gateway_id(trunk, uri);
        live_index::free(self.db, PlaceKind::Gateway, &id, self.terms.stamp)
    }
}
