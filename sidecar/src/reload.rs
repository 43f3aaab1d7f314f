//! A change: read the files whole, validate everything, store it as one revision, publish it, log the difference.
//!
//! Anything wrong leaves everything as it was. A revision that is stored but could not be published is published again
//! until it is in force, also after a restart.

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
}

/// The one who changes the configuration.
pub struct Reloader {
    deps: Deps,
    /// What the main file said last. The store has the accounts and trunks.
    config: Config,
    unpublished: bool,
}

impl Reloader {
    /// Puts the configuration of the start in force.
    ///
    /// # Errors
    /// If it cannot be stored or published: then the daemon must not start.
    pub async fn start(deps: Deps, config: Config) -> Result<Reloader, Error> {
        let mut config = config;
        let wanted = config.provisioned.take();
        let mut reloader = Reloader { deps, config, unpublished: true };
        reloader.put(wanted).await?;
        Ok(reloader)
    }

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
        let result = match loaded.and_then(|config| self.changeable(config)) {
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
            Ok(config) => self.take_over(config).await.map_err(|error| vec![error.to_string()]),
        };
        let good = result.is_ok();
        let (word, problems) = match result {
            Ok(true) => ("good", Vec::new()),
            Ok(false) => ("unchanged", Vec::new()),
            Err(problems) => ("refused", problems),
        };
        for problem in &problems {
            tracing::error!("{problem}");
        }
        if !good {
            tracing::error!(problems = problems.len(), "reload refused; the configuration stays as it was");
        }
        self.deps.metrics.reloads.with_label_values(&[word]).inc();
        self.deps.metrics.last_reload_good.set(i64::from(good));
        let reload = Reload::new(self.deps.clock.now_ms(), word, problems);
        self.deps.status.update(|state| state.last_reload = Some(reload));
        good
    }

    /// Refuses a change of what needs a restart.
    fn changeable(&self, config: Config) -> Result<Config, Vec<Problem>> {
        let (old, new) = (&self.config, &config);
        let (old_node, new_node) = (&old.provisioned.node, &new.provisioned.node);
        let fixed = [
            ("node.base_domain", old_node.base_domain != new_node.base_domain),
            ("shm.dir", old.publish.dir != new.publish.dir),
            ("shm.group", old.publish.group != new.publish.group),
            ("shm.trunks", old.publish.capacity.trunks != new.publish.capacity.trunks),
            ("shm.accounts", old.publish.capacity.accounts != new.publish.capacity.accounts),
            ("shm.gateways", old.publish.capacity.gateways != new.publish.capacity.gateways),
            ("state.dir", old.state_dir != new.state_dir),
            ("api.listen", old.listen != new.listen),
            ("shutdown.grace_ms", old.grace != new.grace),
            ("log.format", old.log.format != new.log.format),
        ];
        let rule = "cannot change while trunkd runs; restart it";
        let problems: Vec<_> = fixed
            .into_iter()
            .filter(|(_, changed)| *changed)
            .map(|(key, _)| problem(&self.deps.path, key, rule))
            .collect();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Whether anything changed.
    async fn take_over(&mut self, mut config: Config) -> Result<bool, Error> {
        let stored = self.put(config.provisioned.take()).await?;
        let settings = config.webhooks != self.config.webhooks || config.log != self.config.log;
        if let Some(log) = &self.deps.log {
            log.set(config.log.level);
        }
        self.deps.webhooks.send_replace(config.webhooks.clone());
        // An endpoint may have come back, or its URL may be right now.
        self.deps.wakes.rescan();
        self.config = config;
        Ok(stored || settings)
    }

    /// Stores and publishes. Whether the store had to change.
    async fn put(&mut self, wanted: Provisioned) -> Result<bool, Error> {
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
        if self.unpublished {
            self.publish().await?;
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
        Ok(changed)
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
            }
            Err(error) => tracing::error!(%error, "the stored configuration is still not published"),
        }
    }
}

fn problem(path: &std::path::Path, key: &str, rule: &str) -> Problem {
    Problem { file: path.display().to_string(), key: key.to_owned(), rule: rule.to_owned() }
}
