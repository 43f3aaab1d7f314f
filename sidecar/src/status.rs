//! What the daemon would say if asked how it is: shared by those who do the work and the one who answers.
//!
//! A few words under a mutex that is held for moments; nothing waits for it on a path that matters.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Millis;

/// The state that `/readyz` shows.
#[derive(Debug, Default)]
pub struct Status(Mutex<State>);

/// The state of trunkd and of what it hands on.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Generation of the image in force; null before the first.
    pub generation: Option<u32>,
    /// Revision of the configuration in force.
    pub published_revision: Option<i64>,
    /// Revision that is stored; later than the published one only while publishing fails.
    pub stored_revision: Option<i64>,
    /// Why the last publish failed.
    pub publish_error: Option<String>,
    /// Why the store failed to keep events last, until it works again.
    pub store_error: Option<String>,
    /// Why the store failed to change or read the configuration last, until it works again.
    pub configuration_error: Option<String>,
    /// What each of Kamailio's processes has mapped.
    pub workers: Vec<Worker>,
    /// Whether the module's shared memory is attached, or why not.
    pub module: String,
    /// How the last reload went; null before the first.
    pub last_reload: Option<Reload>,
    /// What Kamailio holds of the tables that it loads; empty if it is never asked.
    pub kamailio: Vec<TableStatus>,
}

/// What Kamailio holds of one table.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableStatus {
    /// Which table.
    pub table: &'static str,
    /// `loaded`; `waiting` while the table changes faster than it may be reloaded; `differs`, which is an alarm; `unknown`, when
    /// Kamailio cannot be asked.
    pub state: &'static str,
    /// The newest revision that it is known to have held whole.
    pub loaded_revision: Option<i64>,
    /// When it was looked at, RFC 3339.
    pub checked_at: String,
    /// What is wrong.
    pub problem: Option<String>,
}

/// One of Kamailio's processes. One that judges no calls stays with an old generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// Kamailio's number of it.
    pub index: u32,
    /// Process id.
    pub pid: u32,
    /// Generation of the image that it judges by; it looks for a newer one before each call.
    pub generation: u32,
}

/// A reload's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LastReload)]
pub struct Reload {
    /// When it ended, RFC 3339.
    pub at: String,
    /// `good`, `unchanged`, `refused`, or `stored, not yet in force` until that revision is published.
    pub result: &'static str,
    /// What was wrong, one line each.
    pub problems: Vec<String>,
}

impl Reload {
    /// A result of now.
    pub fn new(now_ms: Millis, result: &'static str, problems: Vec<String>) -> Reload {
        Reload { at: crate::call::payload::rfc3339(now_ms), result, problems }
    }
}

impl Status {
    /// Changes the state.
    pub fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
    }

    /// The state now.
    pub fn get(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The words stay sound whoever died while changing them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why the daemon is not ready; empty if it is. A module that is not there yet is no reason: calls do not wait for us.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.generation.is_none() {
            reasons.push("no configuration was published yet".to_owned());
        }
        if let Some(error) = &self.publish_error {
            reasons.push(format!("publishing fails: {error}"));
        }
        if let Some(error) = self.store_error.as_ref().or(self.configuration_error.as_ref()) {
            reasons.push(format!("the store fails: {error}"));
        }
        reasons
    }
}
