//! The store in one SQLite file: one thread that writes, two that read, each with a connection of its own.
//!
//! WAL with `synchronous=FULL`: what is answered is on the disk. One writer, so no transaction of ours ever meets another
//! of ours; readers see the last commit and wait for nobody, short questions not even for long ones.

mod addresses;
mod answers;
mod call_list;
mod calls;
mod commit;
mod configuration;
mod deliveries;
mod delivery_walk;
mod endpoints;
mod forget;
mod ingest;
mod kamailio;
mod lane;
mod lists;
mod live_index;
mod objects;
mod open;
mod outbox;
mod put;
mod rates;
mod record;
mod schema;
mod text;
mod tokens;

use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction};
use trunk_admission::model::Table;
use uuid::Uuid;

use super::{
    Answer, AuditFilter, Backlog, Batch, CallCursor, CallFilter, CallPage, CallSums, CallsFound, Committed,
    Listed, Managed, NamedGateway, Orphan, Page, Placed, PlacedTrunk, Recent, Snapshot, Store, StoreError,
    Terms, TrunkFilter, Write, Written,
};
use crate::call::Call;
use crate::cost::Rate;
use crate::domain::{Account, AuditEntry, IdempotencyRecord, Millis, Node, Payer, RatePlan, Token};
use crate::kamailio::mark as kamailio_mark;
use crate::publish::Capacity;
use crate::table::TableError;
use configuration::Which;
use lane::Lane;

pub use open::Options;

/// The store. Dropping it, or closing it, ends its threads.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Lane,
    /// Short questions.
    reader: Lane,
    /// Those that may take a while.
    long_reader: Lane,
}

impl SqliteStore {
    /// Opens or makes the database and brings its schema up to date. Blocks.
    ///
    /// # Errors
    /// If the file cannot be opened or locked, is damaged, or was made by a newer trunkd.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_with(path, Options::default())
    }

    /// As [`SqliteStore::open`], but otherwise.
    ///
    /// # Errors
    /// The same.
    pub fn open_with(path: &Path, options: Options) -> Result<SqliteStore, StoreError> {
        let [writer, reader, long_reader] = open::connections(path, options)?;
        Ok(SqliteStore {
            writer: Lane::start("trunkd-store", writer, true)?,
            reader: Lane::start("trunkd-read", reader, false)?,
            long_reader: Lane::start("trunkd-list", long_reader, false)?,
        })
    }

    /// Runs `job` as one transaction that writes.
    fn run<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(job)
    }

    /// Runs `job`, which only reads, and little.
    fn read<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.reader.run(job)
    }

    /// Runs `job`, which only reads, and maybe much.
    fn read_much<'a, T, F>(&'a self, job: F) -> Answer<'a, T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.long_reader.run(job)
    }
}

impl Store for SqliteStore {
    fn revision(&self) -> Answer<'_, i64> {
        self.read(configuration::revision)
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.read_much(|db| configuration::snapshot(db, Which::All))
    }

    fn provisioned(&self) -> Answer<'_, Snapshot> {
        self.read_much(|db| configuration::snapshot(db, Which::OfFiles))
    }

    fn table(&self, capacity: Capacity) -> Answer<'_, Option<Table>> {
        self.read_much(move |db| configuration::table(db, capacity))
    }

    fn commit(&self, write: Write, terms: Terms) -> Answer<'_, Committed> {
        self.run(move |db| commit::commit(db, write, terms))
    }

    fn kamailio(&self) -> Answer<'_, kamailio_mark::Written> {
        self.read(kamailio::written)
    }

    fn check_kamailio(&self, capacity: Capacity) -> Answer<'_, bool> {
        self.run(move |db| kamailio::check(db, capacity))
    }

    fn try_write(&self) -> Answer<'_, ()> {
        // A row that is set to what it is goes to the disk all the same.
        self.run(|db| Ok(db.execute("UPDATE kamailio_load SET row_count = row_count", []).map(drop)?))
    }

    fn node(&self) -> Answer<'_, Option<Node>> {
        self.read(configuration::node)
    }

    fn account(&self, id: String) -> Answer<'_, Option<Placed<Account>>> {
        self.read(move |db| configuration::account(db, &id))
    }

    fn trunk(&self, id: String) -> Answer<'_, Option<PlacedTrunk>> {
        self.read(move |db| configuration::trunk(db, &id))
    }

    fn trunks(&self, ids: Vec<String>) -> Answer<'_, Vec<PlacedTrunk>> {
        self.read_much(move |db| {
            let found = ids.iter().filter_map(|id| configuration::trunk(db, id).transpose());
            found.collect()
        })
    }

    fn accounts(&self, ids: Vec<String>) -> Answer<'_, Vec<Placed<Account>>> {
        self.read_much(move |db| {
            let found = ids.iter().filter_map(|id| configuration::account(db, id).transpose());
            found.collect()
        })
    }

    fn managers(&self, accounts: Vec<String>, trunks: Vec<String>) -> Answer<'_, Vec<Managed>> {
        self.read_much(move |db| lists::managers(db, &accounts, &trunks))
    }

    fn named_gateways(&self) -> Answer<'_, Vec<NamedGateway>> {
        self.read_much(addresses::named)
    }

    fn list_accounts(&self, only: Option<String>, page: Page) -> Answer<'_, Listed<Placed<Account>>> {
        self.read_much(move |db| lists::accounts(db, only.as_deref(), page))
    }

    fn list_trunks(&self, filter: TrunkFilter, page: Page) -> Answer<'_, Listed<PlacedTrunk>> {
        self.read_much(move |db| lists::trunks(db, &filter, page))
    }

    fn token(&self, id: Uuid) -> Answer<'_, Option<Token>> {
        self.read(move |db| tokens::by_id(db, id))
    }

    fn token_with_prefix(&self, prefix: String) -> Answer<'_, Option<Token>> {
        self.read(move |db| tokens::by_prefix(db, &prefix))
    }

    fn list_tokens(&self, account: Option<String>, page: Page) -> Answer<'_, Listed<Token>> {
        self.read_much(move |db| tokens::list(db, account.as_deref(), page))
    }

    fn touch_tokens(&self, used: Vec<(Uuid, Millis)>) -> Answer<'_, ()> {
        self.run(move |db| tokens::touch(db, &used))
    }

    fn list_audit(&self, filter: AuditFilter, page: Page) -> Answer<'_, Listed<AuditEntry>> {
        self.read_much(move |db| lists::audit(db, &filter, page))
    }

    fn kept_answer(&self, owner: Uuid, key: String, now_ms: Millis) -> Answer<'_, Option<IdempotencyRecord>> {
        self.read(move |db| answers::kept(db, owner, &key, now_ms))
    }

    fn rate_plan(&self, id: String) -> Answer<'_, Option<RatePlan>> {
        self.read(move |db| rates::plan(db, &id))
    }

    fn list_rate_plans(&self, page: Page) -> Answer<'_, Listed<RatePlan>> {
        self.read_much(move |db| rates::plans(db, page))
    }

    fn list_rates(&self, plan: String, page: Page) -> Answer<'_, Listed<Rate>> {
        self.read_much(move |db| rates::rates(db, &plan, page))
    }

    fn rate_plan_of(&self, payer: Payer) -> Answer<'_, Option<String>> {
        self.read(move |db| rates::plan_of_payer(db, &payer))
    }

    fn rate_plan_payers(&self, plan: String) -> Answer<'_, u64> {
        self.read(move |db| rates::payers(db, &plan))
    }

    fn ring_position(&self, ring_id: u64) -> Answer<'_, Option<u64>> {
        self.read(move |db| ingest::ring_position(db, ring_id))
    }

    fn ingest(&self, batch: Batch, now_ms: Millis) -> Answer<'_, Written> {
        self.run(move |db| ingest::ingest(db, &batch, now_ms))
    }

    fn open_calls(&self, before_ms: Millis) -> Answer<'_, Vec<Uuid>> {
        self.read(move |db| calls::open(db, before_ms))
    }

    fn reconcile(&self, orphans: Vec<Orphan>, now_ms: Millis) -> Answer<'_, Written> {
        self.run(move |db| ingest::reconcile(db, &orphans, now_ms))
    }

    fn call(&self, id: Uuid) -> Answer<'_, Option<Call>> {
        self.read(move |db| calls::load(db, id))
    }

    fn list_calls(&self, filter: CallFilter, page: CallPage) -> Answer<'_, CallsFound> {
        self.read_much(move |db| call_list::page(db, &filter, page))
    }

    fn sum_calls(
        &self,
        filter: CallFilter,
        after: Option<CallCursor>,
    ) -> Answer<'_, (CallSums, Option<CallCursor>)> {
        self.read_much(move |db| call_list::sums(db, &filter, after))
    }

    fn forget_calls(&self, before_ms: Millis, limit: u32) -> Answer<'_, u32> {
        self.run(move |db| forget::calls(db, before_ms, limit))
    }

    fn old_events(&self, before_ms: Millis, after: i64, limit: u32) -> Answer<'_, (Vec<i64>, Option<i64>)> {
        self.read_much(move |db| forget::old_events(db, before_ms, after, limit))
    }

    fn forget_events(&self, positions: Vec<i64>) -> Answer<'_, u32> {
        self.run(move |db| forget::events(db, &positions))
    }

    fn believed_clock(&self) -> Answer<'_, Option<Millis>> {
        self.read(forget::believed_clock)
    }

    fn believe_clock(&self, at_ms: Millis) -> Answer<'_, ()> {
        self.run(move |db| forget::believe_clock(db, at_ms))
    }

    fn recent_calls(&self, filter: CallFilter, since_ms: Millis, limit: u32) -> Answer<'_, Recent> {
        self.read(move |db| calls::recent(db, &filter, since_ms, limit))
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        self.read_much(outbox::backlog)
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async {
            self.reader.close(|_| ()).await?;
            self.long_reader.close(|_| ()).await?;
            let empty_log = |connection: &Connection| {
                let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                // Somebody may be reading: then the log stays as it is, and nothing is lost by that.
                emptied.unwrap_or_default();
            };
            self.writer.close(empty_log).await
        })
    }
}

impl From<TableError> for StoreError {
    fn from(error: TableError) -> StoreError {
        StoreError::Contradiction(error.to_string())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        use ErrorCode::*;
        match error.sqlite_error_code() {
            Some(DatabaseBusy | DatabaseLocked) => StoreError::Busy,
            Some(DiskFull) => StoreError::Full,
            Some(DatabaseCorrupt | NotADatabase) => StoreError::Damaged(error.to_string()),
            Some(ConstraintViolation) => StoreError::Contradiction(error.to_string()),
            Some(SystemIoFailure | CannotOpen | ReadOnly | PermissionDenied | FileLockingProtocolFailed) => {
                StoreError::Io(error.to_string())
            }
            _ => StoreError::Other(error.to_string()),
        }
    }
}
