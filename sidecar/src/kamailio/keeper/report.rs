//! What came of looking and reloading, shown: in the status, in the metrics, in the log.
//!
//! Must never call a table loaded that was not compared.

use std::sync::Arc;

use crate::clock::Clock;
use crate::kamailio::commands::Table;
use crate::kamailio::mark::Written;
use crate::kamailio::rpc::RpcError;
use crate::metrics::Metrics;
use crate::status::{Status, TableStatus};
use crate::store::StoreError;

/// How a table is, with what is wrong.
pub(super) enum State {
    /// Kamailio holds it.
    Loaded,
    /// It changes faster than it may be reloaded.
    Waiting,
    /// Kamailio holds something else although it was told to reload: an alarm.
    Differs(String),
    /// Kamailio, or the store, could not be asked.
    Unknown(String),
}

impl State {
    const LOADED: &str = "loaded";
    const UNKNOWN: &str = "unknown";

    fn word(&self) -> &'static str {
        match self {
            State::Loaded => State::LOADED,
            State::Waiting => "waiting",
            State::Differs(_) => "differs",
            State::Unknown(_) => State::UNKNOWN,
        }
    }
}

impl From<RpcError> for State {
    fn from(error: RpcError) -> State {
        match error {
            RpcError::Refused { .. } | RpcError::Garbled { .. } => State::Differs(error.to_string()),
            RpcError::Absent { .. } | RpcError::Silent { .. } | RpcError::Socket { .. } => {
                State::Unknown(error.to_string())
            }
        }
    }
}

impl From<StoreError> for State {
    fn from(error: StoreError) -> State {
        State::Unknown(error.to_string())
    }
}

/// Shows it.
pub(super) struct Report {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) status: Arc<Status>,
}

impl Report {
    /// What came of a reload.
    pub(super) fn reloaded(&self, table: Table, state: State, written: &Written) {
        let (name, revision) = (table.name(), written.revision);
        match &state {
            State::Loaded => tracing::info!(table = name, revision, "Kamailio has reloaded"),
            State::Differs(problem) => {
                tracing::error!(table = name, problem, "Kamailio does not hold what the table holds");
            }
            State::Waiting | State::Unknown(_) => {}
        }
        self.metrics.kamailio_reloads.with_label_values(&[name, state.word()]).inc();
        self.tell(table, state, written);
    }

    /// A change waits until Kamailio may reload again. What was an alarm stays one.
    pub(super) fn wait(&self, table: Table, written: &Written) {
        if self.known(table).is_some_and(|known| known.state == State::LOADED) {
            self.tell(table, State::Waiting, written);
        }
    }

    /// How a table is now; `written` is what it was compared with.
    pub(super) fn tell(&self, table: Table, state: State, written: &Written) {
        let (name, word) = (table.name(), state.word());
        let before = self.known(table);
        let mut loaded_revision = before.as_ref().and_then(|before| before.loaded_revision);
        let problem = match state {
            State::Loaded => {
                loaded_revision = Some(written.revision);
                None
            }
            State::Waiting => None,
            State::Differs(problem) | State::Unknown(problem) => Some(problem),
        };
        if word == State::UNKNOWN && before.is_none_or(|before| before.state != word) {
            tracing::warn!(table = name, problem, "what Kamailio holds is not known");
        }
        self.metrics.kamailio_current.with_label_values(&[name]).set(i64::from(word == State::LOADED));
        self.metrics.kamailio_differs.with_label_values(&[name]).set(i64::from(word == "differs"));
        let checked_at = crate::call::payload::rfc3339(self.clock.now_ms());
        let now = TableStatus { table: name, state: word, loaded_revision, checked_at, problem };
        self.status.update(|status| {
            status.kamailio.retain(|known| known.table != name);
            status.kamailio.push(now);
        });
    }

    fn known(&self, table: Table) -> Option<TableStatus> {
        self.status.get().kamailio.into_iter().find(|known| known.table == table.name())
    }
}
