//! A change: read the files whole, validate everything, store it as one revision, publish it, log the difference.
//!
//! Anything wrong with the files leaves everything as it was. A revision that is stored but could not be published is
//! published again until it is in force, also after a restart; until then nobody is told that it was refused.

mod fixed;
mod start;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{self, Config, Problem};
use crate::difference::Plan;
use crate::domain::Provisioned;
use crate::logging::LevelHandle;
use crate::metrics::Metrics;
use crate::publish::{self, Handle};
use crate::status::{Reload, Status};
use crate::store::{Store, StoreError};
use crate::webhook::{self, Wakes};

/// How soon a publish that failed is tried again.
const PUBLISH_AGAIN: Duration = Duration::from_secs(5);
/// A reload's result while its revision waits to be published.
pub const STORED: &str = "stored, not yet in force";
/// Lines of a difference that are logged one by one; a bigger one is told in numbers.
const MAX_LOGGED_LINES: usize = 100;

/// What the reloader needs.
pub struct Deps {
    /// The main file.
    pub path: PathBuf,
    /// Keeps the configuration.
    pub store: Arc<dyn Store>,
    /// Puts it in force.
    pub publish: Handle,
    /// Tells the webhook workers their settings.
    pub webhooks: watch::Sender<webhook::Settings>,
    /// Tells them to look again.
    pub wakes: Wakes,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Metrics,
    /// What `/readyz` shows.
    pub status: Arc<Status>,
    /// Changes the log level; absent in tests.
    pub log: Option<LevelHandle>,
}

/// Why a configuration was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused it: nothing changed.
    #[error("storing the configuration: {0}")]
    Store(#[from] StoreError),
    /// It is stored but not published.
    #[error("publishing the configuration: {0}")]
    Publish(#[from] publish::Error),
    /// The trunk files are faulty, and there is no earlier configuration to start with.
    #[error("the trunk files are faulty, and no configuration is stored that could be used instead")]
    NothingStored,
}

/// What storing and publishing came to. The store is right in any case.
struct Outcome {
    /// Whether something changed that is in force now, or will be.
    changed: bool,
    /// Why it is not in force yet.
    publish: Result<(), Error>,
}

/// The one who changes the configuration.
pub struct Reloader {
    deps: Deps,
    /// What the main file said last. The store has the accounts and trunks.
    config: Config,
    unpublished: bool,
}

impl Reloader {
    /// Reloads whenever it is asked to, until `stop`.
    pub async fn run(mut self, mut asked: mpsc::Receiver<()>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                asked = asked.recv() => match asked {
                    Some(()) => drop(self.reload().await),
                    None => stop.cancelled().await,
                },
                () = tokio::time::sleep(PUBLISH_AGAIN), if self.unpublished => self.publish_again().await,
            }
        }
    }

    /// Reads the files and takes them over, or keeps everything. Whether what the files say is in force.
    pub async fn reload(&mut self) -> bool {
        let path = self.deps.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let loaded =
            loaded.unwrap_or_else(|error| Err(vec![problem(&self.deps.path, "file", &error.to_string())]));
        let result = match loaded.and_then(|config| fixed::check(&self.deps.path, &self.config, config)) {
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
            Ok(config) => self.take_over(config).await.map_err(|error| vec![error.to_string()]),
        };
        let (word, problems) = match result {
            Ok(Outcome { publish: Err(error), .. }) => (STORED, vec![error.to_string()]),
            Ok(Outcome { changed: true, .. }) => ("good", Vec::new()),
            Ok(Outcome { changed: false, .. }) => ("unchanged", Vec::new()),
            Err(problems) => ("refused", problems),
        };
        log(word, &problems);
        self.deps.metrics.reloads.with_label_values(&[word]).inc();
        self.tell(word, problems)
    }

    /// Shows how the last reload went. Whether what it said is in force.
    fn tell(&self, word: &'static str, problems: Vec<String>) -> bool {
        let good = problems.is_empty();
        self.deps.metrics.last_reload_good.set(i64::from(good));
        let reload = Reload::new(self.deps.clock.now_ms(), word, problems);
        self.deps.status.update(|state| state.last_reload = Some(reload));
        good
    }

    /// Takes everything over as soon as the revision is stored: from then on it comes into force by itself.
    async fn take_over(&mut self, mut config: Config) -> Result<Outcome, StoreError> {
        let mut outcome = self.put(config.provisioned.take()).await?;
        let settings = config.webhooks != self.config.webhooks || config.log != self.config.log;
        if let Some(log) = &self.deps.log {
            log.set(config.log.level);
        }
        self.deps.webhooks.send_replace(config.webhooks.clone());
        // An endpoint may have come back, or its URL may be right now.
        self.deps.wakes.rescan();
        self.config = config;
        outcome.changed |= settings;
        Ok(outcome)
    }

    /// Stores and publishes. An error says that nothing was stored.
    async fn put(&mut self, wanted: Provisioned) -> Result<Outcome, StoreError> {
        let snapshot = self.deps.store.snapshot().await?;
        let base = snapshot.revision;
        let plan = Plan::between(&snapshot, &wanted);
        drop((snapshot, wanted)); // with 100,000 trunks each copy counts
        let changed = !plan.is_empty();
        let (added, changes, removed) = plan.counts();
        let total = plan.lines.len();
        let lines: Vec<_> = plan.lines.iter().take(MAX_LOGGED_LINES).cloned().collect();
        if changed {
            let capacity = self.config.publish.capacity;
            self.deps.store.apply(base, plan, capacity, self.deps.clock.now_ms()).await?;
            self.unpublished = true;
        }
        for line in lines {
            tracing::info!("{line}");
        }
        if total > MAX_LOGGED_LINES {
            tracing::info!("... and {} more changes", total - MAX_LOGGED_LINES);
        }
        let late = self.unpublished;
        if late && let Err(error) = self.publish().await {
            return Ok(Outcome { changed: true, publish: Err(error) });
        }
        let state = self.deps.status.get();
        tracing::info!(
            generation = state.generation,
            revision = state.published_revision,
            added,
            changed = changes,
            removed,
            "configuration in force"
        );
        Ok(Outcome { changed: late, publish: Ok(()) })
    }

    async fn publish(&mut self) -> Result<(), Error> {
        let snapshot = Arc::new(self.deps.store.snapshot().await?);
        let revision = snapshot.revision;
        let (trunks, accounts) = (snapshot.trunks.len(), snapshot.accounts.len());
        self.deps.status.update(|state| state.stored_revision = Some(revision));
        match self.deps.publish.publish(snapshot).await {
            Ok(published) => {
                self.unpublished = false;
                self.deps.metrics.generation.set(i64::from(published.generation));
                self.deps.metrics.revision.set(revision);
                self.deps.metrics.trunks.set(i64::try_from(trunks).unwrap_or(i64::MAX));
                self.deps.metrics.accounts.set(i64::try_from(accounts).unwrap_or(i64::MAX));
                self.deps.status.update(|state| {
                    state.generation = Some(published.generation);
                    state.published_revision = Some(revision);
                    state.publish_error = None;
                });
                Ok(())
            }
            Err(error) => {
                self.deps.metrics.publish_failures.inc();
                self.deps.status.update(|state| state.publish_error = Some(error.to_string()));
                Err(error.into())
            }
        }
    }

    async fn publish_again(&mut self) {
        match self.publish().await {
            Ok(()) => {
                let state = self.deps.status.get();
                tracing::info!(
                    generation = state.generation,
                    revision = state.published_revision,
                    "configuration in force"
                );
                if state.last_reload.is_some_and(|reload| reload.result == STORED) {
                    self.tell("good", Vec::new());
                }
            }
            Err(error) => tracing::error!(%error, "the stored configuration is still not published"),
        }
    }
}

fn log(word: &str, problems: &[String]) {
    for problem in problems {
        tracing::error!("{problem}");
    }
    let problems = problems.len();
    match word {
        "refused" => tracing::error!(problems, "reload refused; the configuration stays as it was"),
        STORED => tracing::error!("reload {STORED}; publishing is tried again until it succeeds"),
        _ => {}
    }
}

fn problem(path: &std::path::Path, key: &str, rule: &str) -> Problem {
    Problem { file: path.display().to_string(), key: key.to_owned(), code: "invalid", rule: rule.to_owned() }
}
