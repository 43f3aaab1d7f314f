//! A reload: read the files whole, validate everything, tell the plan, write it as one revision, tell what came of it.
//!
//! Anything wrong with the files leaves everything as it was. A revision that is stored but could not be published is
//! published again until it is in force, also after a restart; until then nobody is told that it was refused.

mod fixed;
mod plan;
mod report;
mod start;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::change::{self, Write, Writer};
use crate::clock::Clock;
use crate::config::{self, Config, Problem};
use crate::domain::{Actor, Provisioned};
use crate::live::LiveFile;
use crate::logging::LevelHandle;
use crate::metrics::Metrics;
use crate::status::{self, Status};
use crate::store::{Store, StoreError};
use crate::webhook::{self, Wakes};

pub use plan::Outline;
use report::{Refused, Stored};
pub use report::{Report, STORED};

/// How long a reload waits until its revision is in force, before it says that it is not yet.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Reloads that may wait for the one under way.
const MAX_WAITING: usize = 16;

/// What the reloader needs.
pub struct Deps {
    /// The main file.
    pub path: PathBuf,
    /// Changes the configuration.
    pub writer: Writer,
    /// Tells what is stored.
    pub store: Arc<dyn Store>,
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
    #[error(transparent)]
    Publish(#[from] change::PublishingError),
    /// The trunk files are faulty, and there is no earlier configuration to start with.
    #[error("the trunk files are faulty, and no configuration is stored that could be used instead")]
    NothingStored,
}

/// Somebody who asks for a reload.
struct Request {
    /// Only tell what would change.
    dry_run: bool,
    answer: Option<oneshot::Sender<Report>>,
}

/// Asks for reloads.
#[derive(Clone)]
pub struct Asker(mpsc::Sender<Request>);

impl Asker {
    /// Asks for a reload and does not wait; those that wait already are enough.
    pub fn nudge(&self) {
        let _ = self.0.try_send(Request { dry_run: false, answer: None });
    }

    /// Reloads, or only tells what would change. `None` if the daemon stops or is overrun with reloads.
    pub async fn reload(&self, dry_run: bool) -> Option<Report> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Request { dry_run, answer: Some(answer) }).ok()?;
        answered.await.ok()
    }
}

/// The one who reads the files.
pub struct Reloader {
    deps: Deps,
    /// What the main file said last. The store has the accounts and trunks.
    config: Config,
    live: LiveFile,
    /// The revision that the last reload made, while it is not in force.
    awaited: Option<i64>,
    asked: mpsc::Receiver<Request>,
}

impl Reloader {
    fn new(deps: Deps, config: Config) -> (Reloader, Asker) {
        let (ask, asked) = mpsc::channel(MAX_WAITING);
        let live = LiveFile::new(config.publish.dir.clone());
        (Reloader { deps, config, live, awaited: None, asked }, Asker(ask))
    }

    /// Reloads whenever it is asked to, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let writer = self.deps.writer.clone();
        loop {
            let awaited = self.awaited;
            tokio::select! {
                () = stop.cancelled() => return,
                Some(Request { dry_run, answer }) = self.asked.recv() => {
                    let report = self.reload(dry_run).await;
                    // Whoever asked may be gone.
                    answer.map(|answer| answer.send(report));
                }
                () = writer.caught_up(awaited.unwrap_or(0)), if awaited.is_some() => {
                    tracing::info!("what the last reload stored is in force");
                    self.awaited = None;
                    self.tell("good", Vec::new());
                }
            }
        }
    }

    /// Reads the files and takes them over, or keeps everything.
    async fn reload(&mut self, dry_run: bool) -> Report {
        let path = self.deps.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let loaded =
            loaded.unwrap_or_else(|error| Err(vec![problem(&self.deps.path, "file", &error.to_string())]));
        let report = match loaded.and_then(|config| fixed::check(&self.deps.path, &self.config, config)) {
            Err(problems) => Refused::Problems(problems.iter().map(ToString::to_string).collect()).into(),
            Ok(config) if dry_run => self.dry_run(config).await,
            Ok(config) => self.take_over(config).await,
        };
        if !dry_run {
            report.log();
            self.deps.metrics.reloads.with_label_values(&[report.result]).inc();
            self.tell(report.result, report.problems.clone());
        }
        report
    }

    /// Shows how the last reload went.
    fn tell(&self, word: &'static str, problems: Vec<String>) {
        self.deps.metrics.last_reload_good.set(i64::from(problems.is_empty()));
        let reload = status::Reload::new(self.deps.clock.now_ms(), word, problems);
        self.deps.status.update(|state| state.last_reload = Some(reload));
    }

    /// Takes everything over as soon as the revision is stored: from then on it comes into force by itself.
    async fn take_over(&mut self, mut config: Config) -> Report {
        let mut report = match self.put(config.provisioned.take()).await {
            Ok(report) => report,
            Err(refused) => return refused.into(),
        };
        let settings = config.webhooks != self.config.webhooks || config.log != self.config.log;
        if let Some(log) = &self.deps.log {
            log.set(config.log.level);
        }
        self.deps.webhooks.send_replace(config.webhooks.clone());
        // An endpoint may have come back, or its URL may be right now.
        self.deps.wakes.rescan();
        self.config = config;
        if settings && report.result == "unchanged" {
            report.result = "good";
        }
        report
    }

    async fn dry_run(&mut self, mut config: Config) -> Report {
        let wanted = config.provisioned.take();
        let planned = async { plan::make(&self.deps.writer.begin().await?, &wanted).await };
        match planned.await {
            Err(refused) => Report::from(refused),
            Ok(plan) => {
                let outline = Outline::of(&plan, self.live.get());
                Report { plan: Some(outline), ..Report::new("planned") }
            }
        }
    }

    /// Stores, and waits until it is in force. An error says that nothing was stored.
    async fn put(&mut self, wanted: Provisioned) -> Result<Report, Refused> {
        let Stored { outline, touched, revision, changed } = self.store(wanted).await?;
        let mut done = Report { plan: Some(outline), ..Report::new("unchanged") };
        done.revision = changed.then_some(revision);
        let applied = self.deps.writer.applied(revision, APPLY_TIMEOUT).await;
        done.calls_after = plan::calls(self.live.get(), &touched);
        match applied {
            Err(error) => {
                self.awaited = Some(revision);
                (done.result, done.problems) = (STORED, vec![error.to_string()]);
            }
            Ok(()) => {
                if changed || self.awaited.take().is_some() {
                    done.result = "good";
                }
                self.log_in_force(done.calls_after);
            }
        }
        Ok(done)
    }

    /// Tells the plan and writes it, if there is anything to write.
    async fn store(&mut self, wanted: Provisioned) -> Result<Stored, Refused> {
        let session = self.deps.writer.begin().await?;
        let plan = plan::make(&session, &wanted).await?;
        drop(wanted); // with 100,000 trunks each copy counts
        let (outline, touched) = (Outline::of(&plan, self.live.get()), plan.touched());
        outline.log();
        let changed = !plan.is_empty();
        let mut revision = session.base();
        if changed {
            let request_id = uuid::Uuid::now_v7().to_string();
            let write = Write { actor: Actor::Files, request_id, changes: plan.changes, idempotency: None };
            revision = session.commit(write).await?.revision;
        }
        Ok(Stored { outline, touched, revision, changed })
    }

    fn log_in_force(&self, calls_touched: Option<u64>) {
        let state = self.deps.status.get();
        tracing::info!(
            generation = state.generation,
            revision = state.published_revision,
            calls_touched,
            "configuration in force"
        );
    }
}

fn problem(path: &std::path::Path, key: &str, rule: &str) -> Problem {
    Problem { file: path.display().to_string(), key: key.to_owned(), code: "invalid", rule: rule.to_owned() }
}
