//! From the ring's records to calls, events and deliveries: one transaction for each batch.
//!
//! A batch may come twice: written, then the daemon was killed before it told the ring. An event's id follows from its
//! call and its place in the call, so one that is there already is known by its id, and nothing is doubled. The position
//! alone could not tell: the ring hands out records past a slow producer's cell, so a lower sequence may come later.

use std::collections::HashMap;

use rusqlite::{OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use super::outbox::Owed;
use super::{calls, endpoints, outbox, rates, text};
use crate::call::payload::{EventKind, event_id, render};
use crate::call::{Call, Report};
use crate::crash;
use crate::domain::{Millis, Wanted};
use crate::store::{Batch, EndpointId, Orphan, StoreError, Written};

pub(super) fn ring_position(db: &Transaction<'_>, ring_id: u64) -> Result<Option<u64>, StoreError> {
    let mut select = db.prepare_cached("SELECT sequence FROM ring_position WHERE ring_id = ?1")?;
    let sequence: Option<i64> = select.query_row([ring_id.cast_signed()], |row| row.get(0)).optional()?;
    Ok(sequence.map(i64::cast_unsigned))
}

pub(super) fn ingest(db: &Transaction<'_>, batch: &Batch, now_ms: Millis) -> Result<Written, StoreError> {
    let mut writer = Writer { db, now_ms, endpoints: HashMap::new(), written: Written::default() };
    for record in &batch.records {
        let mut call = match calls::load(db, record.call)? {
            Some(call) => call,
            None => first_seen(db, record.call, record.trunk.clone(), record.at_ms)?,
        };
        call.apply(&record.report, record.at_ms);
        if let Report::Initiated(initiated) = &record.report
            && initiated.reason.is_none()
            && call.tariff.is_none()
        {
            let (trunk, account) = (call.trunk.as_deref(), call.account.as_deref());
            call.begin_under(rates::tariff(db, trunk, account, &initiated.to)?);
        }
        writer.write(&call, kind_of(&record.report), record.at_ms)?;
        crash::point("ingest.row");
    }
    let written = ring_position(db, batch.ring_id)?;
    let last = written.map_or(batch.last_sequence, |written| written.max(batch.last_sequence));
    db.prepare_cached("INSERT OR REPLACE INTO ring_position VALUES (1, ?1, ?2, ?3)")?.execute(params![
        batch.ring_id.cast_signed(),
        last.cast_signed(),
        now_ms
    ])?;
    crash::point("ingest.written");
    Ok(writer.written)
}

pub(super) fn reconcile(
    db: &Transaction<'_>,
    orphans: &[Orphan],
    now_ms: Millis,
) -> Result<Written, StoreError> {
    let mut writer = Writer { db, now_ms, endpoints: HashMap::new(), written: Written::default() };
    for orphan in orphans {
        if calls::has_ended(db, orphan.call)? == Some(true) {
            continue;
        }
        let mut call = match calls::load(db, orphan.call)? {
            Some(call) => call,
            None => first_seen(db, orphan.call, trunk_at(db, orphan.trunk_live)?, orphan.start_ms)?,
        };
        let at_ms = orphan.end_ms.unwrap_or(now_ms);
        call.reconcile(at_ms);
        writer.write(&call, EventKind::Hangup, call.end_ms.unwrap_or(at_ms))?;
    }
    Ok(writer.written)
}

/// A call of which nothing was written down. Its beginning may never have been told, and then its trunk alone says whose it
/// is; if it was, it will say so itself.
fn first_seen(
    db: &Transaction<'_>,
    id: Uuid,
    trunk: Option<String>,
    at_ms: Millis,
) -> Result<Call, StoreError> {
    let mut call = Call::new(id, trunk, at_ms);
    let Some(trunk) = &call.trunk else { return Ok(call) };
    let mut select = db.prepare_cached("SELECT account_id, kind FROM trunks WHERE trunk_id = ?1")?;
    let owner = select.query_row([trunk], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).optional()?;
    if let Some((account, kind)) = owner {
        call.account = account;
        call.kind = text::read_kind(&kind)?;
    }
    Ok(call)
}

/// The trunk that has, or last had, an index in shared memory.
fn trunk_at(db: &Transaction<'_>, live: Option<u32>) -> Result<Option<String>, StoreError> {
    let Some(live) = live else { return Ok(None) };
    let mut select = db.prepare_cached("SELECT id FROM live_indexes WHERE kind = 'trunk' AND live = ?1")?;
    Ok(select.query_row([live], |row| row.get(0)).optional()?)
}

fn kind_of(report: &Report) -> EventKind {
    match report {
        Report::Initiated(_) => EventKind::Initiated,
        Report::Answered { .. } => EventKind::Answered,
        Report::Ended(_) => EventKind::Hangup,
    }
}

struct Writer<'a> {
    db: &'a Transaction<'a>,
    now_ms: Millis,
    endpoints: HashMap<String, Option<(EndpointId, Wanted)>>,
    written: Written,
}

impl Writer<'_> {
    /// Writes one event and the call as it is after it; nothing if the event was there.
    fn write(&mut self, call: &Call, kind: EventKind, at_ms: Millis) -> Result<(), StoreError> {
        let body = render(call, kind, at_ms)
            .map_err(|error| StoreError::Other(format!("rendering an event: {error}")))?;
        let inserted = self
            .db
            .prepare_cached(
                "INSERT INTO events (event_id, call_id, sequence, type, trunk_id, account_id, created_ms, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (event_id) DO NOTHING RETURNING position",
            )?
            .query_row(
                params![
                    event_id(call.id, kind),
                    call.id.as_bytes(),
                    kind.sequence(),
                    kind.name(),
                    call.trunk,
                    call.account,
                    self.now_ms,
                    body
                ],
                |row| row.get::<_, i64>(0),
            )
            .optional()?;
        let Some(position) = inserted else { return Ok(()) };
        calls::save(self.db, call)?;
        self.written.events += 1;
        let endpoint = call.trunk.as_deref().map(|trunk| self.endpoint(trunk)).transpose()?.flatten();
        let Some((endpoint, wanted)) = endpoint else { return Ok(()) };
        let sequence = kind.sequence();
        if wanted.has(sequence) {
            let owed = Owed { endpoint, position, call: call.id, account: call.account.as_deref(), sequence };
            outbox::owe(self.db, &owed, self.now_ms)?;
            if !self.written.endpoints.contains(&endpoint) {
                self.written.endpoints.push(endpoint);
            }
        }
        Ok(())
    }

    /// Where a trunk's events go.
    fn endpoint(&mut self, trunk: &str) -> Result<Option<(EndpointId, Wanted)>, StoreError> {
        if let Some(known) = self.endpoints.get(trunk) {
            return Ok(*known);
        }
        let found = endpoints::of(self.db, trunk)?;
        self.endpoints.insert(trunk.to_owned(), found);
        Ok(found)
    }
}
