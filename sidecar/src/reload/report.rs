//! What a reload came to, for whoever asked and for the log.

use serde::Serialize;
use utoipa::ToSchema;

use super::Outline;
use crate::store::StoreError;

/// A reload's result while its revision waits to be published.
pub const STORED: &str = "stored, not yet in force";

/// What a reload came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reload)]
pub struct Report {
    /// `good`, `unchanged`, `refused`, `planned` or `stored, not yet in force`.
    pub result: &'static str,
    /// What was wrong, one line each.
    pub problems: Vec<String>,
    /// What is to change, or changed; `None` if the files could not be read.
    pub plan: Option<Outline>,
    /// Calls that are up on the trunks that changed or went, after the change.
    pub calls_after: Option<u64>,
    /// The configuration revision that the reload made.
    pub revision: Option<i64>,
}

impl Report {
    pub(super) fn new(result: &'static str) -> Report {
        Report { result, problems: Vec::new(), plan: None, calls_after: None, revision: None }
    }

    /// Writes what was wrong into the log.
    pub(super) fn log(&self) {
        for problem in &self.problems {
            tracing::error!("{problem}");
        }
        let problems = self.problems.len();
        match self.result {
            "refused" => tracing::error!(problems, "reload refused; the configuration stays as it was"),
            STORED => tracing::error!("reload {STORED}; publishing is tried again until it succeeds"),
            _ => {}
        }
    }
}

/// A plan that was written.
pub(super) struct Stored {
    pub(super) outline: Outline,
    /// Indexes of the trunks that change or go.
    pub(super) touched: Vec<u32>,
    /// The newest revision, whether or not it is ours.
    pub(super) revision: i64,
    pub(super) changed: bool,
}

/// Why nothing was stored.
pub(super) enum Refused {
    /// The files contradict what is stored.
    Problems(Vec<String>),
    /// The store is in trouble.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        if error.is_trouble() { Refused::Store(error) } else { Refused::Problems(vec![error.to_string()]) }
    }
}

impl From<Refused> for Report {
    fn from(refused: Refused) -> Report {
        let problems = match refused {
            Refused::Problems(problems) => problems,
            Refused::Store(error) => vec![error.to_string()],
        };
        Report { problems, ..Report::new("refused") }
    }
}
