//! A turn to write: what is there, and the commit that ends it.
//!
//! Must never tell of a write that is not on the disk, nor let anybody publish one before that.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::{Receipt, Shared, Write};
use crate::crash;
use crate::domain::{Account, Millis, Stamp, Token, Trunk, settle_trunk};
use crate::store::{Placed, PlacedTrunk, Store, StoreError, Terms};

/// The turn to write. Dropping it without a commit changes nothing.
pub struct Session {
    turn: OwnedMutexGuard<()>,
    shared: Arc<Shared>,
    base: i64,
    stamp: Stamp,
}

impl Session {
    pub(super) fn new(turn: OwnedMutexGuard<()>, shared: Arc<Shared>, base: i64, stamp: Stamp) -> Session {
        Session { turn, shared, base, stamp }
    }

    /// The newest revision, which what is read here is part of.
    pub fn base(&self) -> i64 {
        self.base
    }

    /// The revision that a commit will make.
    pub fn revision(&self) -> i64 {
        self.stamp.revision
    }

    /// The time that what is made or changed here will bear.
    pub fn now_ms(&self) -> Millis {
        self.stamp.updated_ms
    }

    /// The stamp of what is made here.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Gives `after` and its parts the ids and stamps that a commit will give them; `before` is what [`Session::trunk`]
    /// answered. For accounts and tokens, [`crate::domain::settle`] with [`Session::stamp`] does the same.
    pub fn settle(&self, after: &mut Trunk, before: Option<&Trunk>) {
        settle_trunk(after, before, self.stamp);
    }

    /// The store, for reading: nothing of the configuration changes while the session lasts.
    pub fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// One account.
    pub async fn account(&self, id: &str) -> Result<Option<Placed<Account>>, StoreError> {
        self.shared.trouble.of_read(self.shared.store.account(id.to_owned()).await)
    }

    /// One trunk or application.
    pub async fn trunk(&self, id: &str) -> Result<Option<PlacedTrunk>, StoreError> {
        self.shared.trouble.of_read(self.shared.store.trunk(id.to_owned()).await)
    }

    /// One token.
    pub async fn token(&self, id: Uuid) -> Result<Option<Token>, StoreError> {
        self.shared.trouble.of_read(self.shared.store.token(id).await)
    }

    /// Makes the write: when this answers, it is on the disk and on its way to be published. Always makes a revision,
    /// also when nothing is different; what did not change keeps its stamp.
    ///
    /// # Errors
    /// As the store says; then nothing changed.
    pub async fn commit(self, write: Write) -> Result<Receipt, StoreError> {
        // A task of its own: a client that hangs up must not keep a stored revision from being published.
        let committed = tokio::spawn(self.finish(write)).await;
        committed.unwrap_or_else(|error| Err(StoreError::Other(format!("committing: {error}"))))
    }

    async fn finish(self, write: Write) -> Result<Receipt, StoreError> {
        let Session { turn, shared, base, stamp } = self;
        let terms = Terms { base, stamp, capacity: shared.capacity, kamailio: shared.kamailio };
        let committed = shared.trouble.of_write(shared.store.commit(write, terms).await)?;
        crash::point("write.committed");
        let receipt = Receipt { revision: committed.revision, lines: committed.lines.clone() };
        shared.status.update(|state| state.stored_revision = Some(committed.revision));
        shared.stored.send_replace(committed.revision);
        // Nobody takes it while the daemon stops; the next start publishes all that is stored.
        let _ = shared.queue.send(committed);
        crash::point("write.queued");
        drop(turn);
        Ok(receipt)
    }
}
