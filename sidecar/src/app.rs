//! The one place that wires the parts together: build, spawn, wait, drain.
//!
//! Nothing is global: each part gets what it needs and no more, so a test can run a whole daemon inside itself.

use std::fs::{self, DirBuilder, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::change;
use crate::clock::{Clock, SteadyClock};
use crate::config::{Config, Loaded};
use crate::events::{self, Ingest, Lookout};
use crate::gateways::{self, Board, Refresher};
use crate::http::{self, Server};
use crate::kamailio::keeper::{self, Keeper};
use crate::kamailio::{preflight, rpc};
use crate::logging::LevelHandle;
use crate::metrics::Metrics;
use crate::publish::Handle;
use crate::reload::{self, Reloader};
use crate::retention::{self, Retention};
use crate::shutdown;
use crate::status::Status;
use crate::store::Store;
use crate::store::sqlite::{Options, SqliteStore};
use crate::webhook::client::Clients;
use crate::webhook::{Dispatcher, Wakes};

/// Name of the database below the state directory.
pub const DATABASE: &str = "trunkline.sqlite";
/// What draining may take beyond the attempts under way: the last events, the last rows.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// A running daemon.
pub struct Daemon {
    /// Where HTTP listens: the real port, if 0 was asked for.
    pub address: SocketAddr,
    status: Arc<Status>,
    store: Arc<dyn Store>,
    reload: reload::Asker,
    stop: CancellationToken,
    failed: CancellationToken,
    tracker: TaskTracker,
    grace: Duration,
}

impl Daemon {
    /// Opens the store, puts the configuration in force and starts every task. With faulty trunk files it is the stored
    /// configuration that is put in force.
    ///
    /// # Errors
    /// If the state directory, the database, the shared memory or the address cannot be used;
    /// [`reload::Error::NothingStored`] if the trunk files are faulty and nothing was ever stored.
    pub async fn start(path: PathBuf, loaded: Loaded, log: Option<LevelHandle>) -> Result<Daemon> {
        let Loaded { config, problems } = loaded;
        for problem in &problems {
            tracing::error!("{problem}");
        }
        // Before anything is made: a first start with a mistake leaves nothing behind.
        if !problems.is_empty() && !config.state_dir.join(DATABASE).exists() {
            return Err(reload::Error::NothingStored.into());
        }
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::start());
        let metrics = Metrics::new().context("registering the metrics")?;
        let status = Arc::new(Status::default());
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("binding {}", config.listen))?;
        let address = listener.local_addr().context("reading the bound address")?;

        let store = open_store(&config)?;
        check_kamailio(&*store, &config).await?;
        let publish = Handle::start(config.publish.clone(), Arc::clone(&clock), Arc::clone(&status));
        let publish = publish.context("opening the shared memory")?;
        let (writer, mut publishing) = change::new(change::Deps {
            store: Arc::clone(&store),
            publish,
            capacity: config.publish.capacity,
            kamailio: config.kamailio.limits(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            status: Arc::clone(&status),
        });
        warn_of_dangers(&config);

        let (webhooks, webhook_settings) = watch::channel(config.webhooks.clone());
        let wakes = Wakes::default();
        let (grace, shm) = (config.grace, config.publish.dir.clone());
        let client = config.kamailio.client(&shm, config.publish.group);
        let keeper = keeper(&config, client.as_ref(), &store, writer.stored(), &clock, &metrics, &status);
        let store_watch = writer.clone();
        // Before the first image, so that it has the revision that is stored.
        api::first_token(&writer, &config.state_dir).await.context("making the first token of the API")?;
        let api_settings = config.api;
        let deps = reload::Deps {
            path,
            writer: writer.clone(),
            store: Arc::clone(&store),
            webhooks,
            wakes: wakes.clone(),
            clock: Arc::clone(&clock),
            metrics: metrics.clone(),
            status: Arc::clone(&status),
            log,
        };
        let gateway_settings = config.gateways.clone();
        let (keep, clock_checked_ms) = (config.keep_calls, config.clock_checked_ms);
        let (reloader, reload) = Reloader::start(deps, Loaded { config, problems }, &mut publishing).await?;
        // What is in force, whatever the files say: domains are parts of what passwords were hashed with.
        let names = store.node().await.context("reading the node")?.map(|node| api::Names::from(&node));
        let names = names.context("no node is configured")?;
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let used = Arc::new(api::Used::default());
        let gateway_names = Arc::new(Board::default());
        let refresher = Refresher::new(gateways::Deps {
            settings: gateway_settings,
            store: Arc::clone(&store),
            writer: writer.clone(),
            board: Arc::clone(&gateway_names),
            metrics: metrics.clone(),
        });
        let transport = Arc::new(Clients::new(webhook_settings.clone()));
        if let Err(error) = transport.prepare() {
            tracing::error!(%error, "webhooks cannot be sent");
        }
        let api = api::router(api::Deps {
            settings: api_settings,
            names,
            shm: shm.clone(),
            store: Arc::clone(&store),
            writer,
            gateway_names,
            kamailio: client.clone(),
            webhooks: webhook_settings.clone(),
            transport: transport.clone(),
            wakes: wakes.clone(),
            status: Arc::clone(&status),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
            used: Arc::clone(&used),
            reload: reload.clone(),
            tracker: tracker.clone(),
            stop: stop.clone(),
        });
        let (finds, lost) = mpsc::channel(1);
        let lookout = client.map(|client| Lookout::new(client, events::LOOK_EVERY, metrics.clone(), finds));
        let retention = keep.map(|keep| {
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            Retention::new(retention::Deps { store, clock, metrics: metrics.clone(), keep, clock_checked_ms })
        });
        let ingest = events::Deps {
            dir: shm,
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            wakes: wakes.clone(),
            metrics: metrics.clone(),
            status: Arc::clone(&status),
        };
        let ingest = Ingest::new(ingest, lost);
        let dispatcher =
            Dispatcher::new(webhook_settings, transport, store.clone(), clock, metrics.clone(), wakes);
        let server = Server::new(
            listener,
            http::Deps { status: Arc::clone(&status), metrics, store: Arc::clone(&store) },
            api,
        );

        let failed = CancellationToken::new();
        let spawn = |name, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            shutdown::spawn(&tracker, &stop, &failed, name, task);
        };
        spawn("publishing", Box::pin(publishing.run(stop.clone())));
        spawn("store", Box::pin(store_watch.watch_store(stop.clone())));
        spawn("reload", Box::pin(reloader.run(stop.clone())));
        spawn("gateway names", Box::pin(refresher.run(stop.clone())));
        spawn("events", Box::pin(ingest.run(stop.clone())));
        spawn("webhooks", Box::pin(dispatcher.run(stop.clone())));
        if let Some(keeper) = keeper {
            spawn("kamailio", Box::pin(keeper.run(stop.clone())));
        }
        match lookout {
            Some(lookout) => spawn("dialogs", Box::pin(lookout.run(stop.clone()))),
            None => tracing::warn!(
                "there is no kamailio.rpc_socket: a call that loses its dialog keeps its slot until Kamailio's next start"
            ),
        }
        if let Some(retention) = retention {
            spawn("retention", Box::pin(retention.run(stop.clone())));
        }
        spawn("tokens", Box::pin(used.run(Arc::clone(&store), stop.clone())));
        spawn("http", Box::pin(server.run(stop.clone())));
        Ok(Daemon { address, status, store, reload, stop, failed, tracker, grace })
    }

    /// Generation of the image in force.
    pub fn generation(&self) -> u32 {
        self.status.get().generation.unwrap_or(0)
    }

    /// Asks for a reload; those that are waiting already are enough.
    pub fn reload(&self) {
        self.reload.nudge();
    }

    /// Ends when a task has died.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops taking in, finishes what is under way within the grace, empties the ring, closes the store.
    ///
    /// # Errors
    /// If a task had died before.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        shutdown::drain(&self.tracker, self.grace + DRAIN_MARGIN).await;
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "closing the store");
        }
        anyhow::ensure!(!self.failed.is_cancelled(), "a task ended too early");
        Ok(())
    }
}

fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
    let dir = &config.state_dir;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.and_then(|()| share(dir, config.state_group))
        .with_context(|| format!("making {} and setting its mode", dir.display()))?;
    let file = dir.join(DATABASE);
    let options = Options { group: config.state_group, ..Options::default() };
    let store = SqliteStore::open_with(&file, options);
    let store = store.with_context(|| format!("opening {}", file.display()))?;
    Ok(Arc::new(store))
}

/// Lets a group in, or nobody. What is made in the directory then belongs to that group, as SQLite's files beside the
/// database must.
fn share(dir: &Path, group: Option<u32>) -> std::io::Result<()> {
    if let Some(group) = group {
        chown(dir, None, Some(group))?;
    }
    let mode = if group.is_some() { 0o2750 } else { 0o700 };
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

/// Kamailio's tables say what the configuration says, or are made to.
async fn check_kamailio(store: &dyn Store, config: &Config) -> Result<()> {
    let checked = store.check_kamailio(config.publish.capacity).await;
    if checked.context("comparing Kamailio's tables with the configuration")? {
        tracing::warn!("Kamailio's tables were not those of the configuration; they were written anew");
    }
    let written = store.kamailio().await.context("reading what Kamailio's tables hold")?;
    for refusal in preflight::check(&written.load, &config.kamailio.limits()) {
        tracing::error!("{refusal}; changes that make it worse will be refused");
    }
    Ok(())
}

/// Whoever keeps Kamailio's memory as the tables are; nobody, if it has loaded none or cannot be asked.
fn keeper(
    config: &Config,
    client: Option<&Arc<rpc::Client>>,
    store: &Arc<dyn Store>,
    changed: watch::Receiver<i64>,
    clock: &Arc<dyn Clock>,
    metrics: &Metrics,
    status: &Arc<Status>,
) -> Option<Keeper> {
    let tables = &config.kamailio.tables;
    if tables.is_empty() {
        return None;
    }
    let Some(client) = client else {
        tracing::warn!(
            "kamailio.reload names tables, but there is no kamailio.rpc_socket: nobody reloads them"
        );
        return None;
    };
    Some(Keeper::new(keeper::Deps {
        client: Arc::clone(client),
        tables: tables.clone(),
        spacing: config.kamailio.spacing(),
        look_every: keeper::LOOK_EVERY,
        source: Arc::new(Arc::clone(store)),
        changed,
        clock: Arc::clone(clock),
        metrics: metrics.clone(),
        status: Arc::clone(status),
    }))
}

fn warn_of_dangers(config: &Config) {
    let webhooks = &config.webhooks;
    if webhooks.url.allow_private {
        tracing::warn!("webhooks.dangerous_allow_private_addresses is on: for development only");
    }
    if webhooks.url.allow_http {
        tracing::warn!("webhooks.dangerous_allow_http is on: for development only");
    }
    if config.api.allow_private_sources {
        tracing::warn!("node.dangerous_allow_private_sources is on: for development only");
    }
    const PROMISED: Duration = Duration::from_secs(76 * 3600);
    if webhooks.schedule.attempts() < 12 || webhooks.schedule.shortest() < PROMISED {
        tracing::warn!("webhooks.retry_delays_s makes fewer than 12 attempts or ends within 76 hours");
    }
}
