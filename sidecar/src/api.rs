//! The HTTP API below `/v1`: accounts, tokens, trunks and their parts, voice applications, what is live, what was, how we are.
//!
//! ```text
//! finish (id, problem documents) ▶ guard (token, limits) ▶ handler ▶ turn (idempotency, conditions) ▶ change::Writer
//! ```
//! Every answer that is an error is a problem document. Must never change anything but through the one writer, never wait
//! for Kamailio on a read, and never show a secret but in the one answer that brings it.

mod accounts;
mod answer;
mod applications;
mod ask;
mod auth;
mod batch;
mod body;
mod calls;
mod credentials;
mod crowd;
mod deliveries;
mod ending;
mod etag;
mod events;
mod explain;
mod finish;
mod first;
mod ip_acls;
mod limit;
mod live;
mod openapi;
mod origination_uris;
mod owner;
mod parts;
mod problem;
mod rate_payers;
mod rate_plans;
mod rates;
mod reload;
mod repeat;
mod replays;
mod schema;
mod status;
mod token;
mod tokens;
mod trunks;
mod turn;
mod used;
mod view;
mod webhooks;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use trunk_admission::explain::Explainer;
use utoipa_axum::router::OpenApiRouter;

use crate::change::Writer;
use crate::clock::Clock;
use crate::domain::{ManagedBy, Node};
use crate::gateways::Board;
use crate::kamailio::rpc::Client;
use crate::live::LiveFile;
use crate::metrics::Metrics;
use crate::reload as files;
use crate::status::Status;
use crate::store::{Store, StoreError};
use crate::webhook::client::Transport;
use crate::webhook::{self, UrlRules, Wakes};
use auth::Gate;
use limit::Limiter;
use problem::Refusal;

pub use first::{ADMIN_TOKEN, FirstTokenError, first_token};
pub use limit::{Limits, Rate};
pub use used::Used;

/// Longest time for one request; waiting to be applied and the end of calls are within it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What the main file says about the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often somebody may ask.
    pub limits: Limits,
    /// Development only: sources of voice applications need not be public.
    pub allow_private_sources: bool,
}

/// Host names that are made of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Trunk domains are `{trunk id}.{base_domain}`.
    pub base_domain: String,
    /// Host of inbound URIs, and realm of their passwords.
    pub inbound_host: String,
}

impl From<&Node> for Names {
    fn from(node: &Node) -> Names {
        Names { base_domain: node.base_domain.clone(), inbound_host: node.inbound_host.clone() }
    }
}

impl Names {
    fn trunk_domain(&self, id: &str) -> String {
        format!("{id}.{}", self.base_domain)
    }
}

/// What the API needs.
#[expect(missing_docs, reason = "the types say it")]
pub struct Deps {
    pub settings: Settings,
    pub names: Names,
    pub shm: PathBuf,
    pub store: Arc<dyn Store>,
    pub writer: Writer,
    /// How the names of gateways stand.
    pub gateway_names: Arc<Board>,
    /// Ends calls; `None` if Kamailio is never asked.
    pub kamailio: Option<Arc<Client>>,
    pub webhooks: watch::Receiver<webhook::Settings>,
    /// Carries probes.
    pub transport: Arc<dyn Transport>,
    /// Tells the deliverer who has something to be sent.
    pub wakes: Wakes,
    pub status: Arc<Status>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    pub used: Arc<Used>,
    /// Reads the files.
    pub reload: files::Asker,
    /// Owns what goes on after a client has hung up.
    pub tracker: TaskTracker,
    /// Ends it when the daemon stops.
    pub stop: CancellationToken,
}

/// What every handler has.
#[derive(Clone)]
struct Api(Arc<Shared>);

struct Shared {
    deps: Deps,
    gate: Arc<Gate>,
    live: Mutex<LiveFile>,
    explainer: Mutex<Option<Explainer>>,
}

impl Deref for Shared {
    type Target = Deps;

    fn deref(&self) -> &Deps {
        &self.deps
    }
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// What a webhook's URL may be, now.
    fn url_rules(&self) -> UrlRules {
        self.webhooks.borrow().url.clone()
    }
}

/// The API, ready to serve.
pub fn router(deps: Deps) -> Router {
    let live = Mutex::new(LiveFile::new(deps.shm.clone()));
    let gate = Arc::new(Gate::new(Limiter::new(deps.settings.limits)));
    let api = Api(Arc::new(Shared { deps, gate, live, explainer: Mutex::new(None) }));
    let (routes, document) = routes().split_for_parts();
    let guarded = routes.route_layer(middleware::from_fn_with_state(api.clone(), auth::guard));
    guarded
        .merge(openapi::route(document))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn_with_state(api.clone(), finish::finish))
        .with_state(api)
}

/// Every path that needs a token.
fn routes() -> OpenApiRouter<Api> {
    let resources = [
        accounts::routes(),
        tokens::routes(),
        trunks::routes(),
        batch::routes(),
        credentials::routes(),
        ip_acls::routes(),
        origination_uris::routes(),
        applications::routes(),
        webhooks::routes(),
        deliveries::routes(),
        replays::routes(),
        events::routes(),
        live::routes(),
        calls::routes(),
        rate_plans::routes(),
        rates::routes(),
        rate_payers::routes(),
        explain::routes(),
        reload::routes(),
        status::routes(),
    ];
    resources.into_iter().fold(OpenApiRouter::with_openapi(openapi::base()), OpenApiRouter::merge)
}

/// Refuses to change what a file manages.
fn by_api(who: ManagedBy) -> Result<(), Refusal> {
    match who {
        ManagedBy::Api => Ok(()),
        ManagedBy::File => {
            let detail = "a file manages this object: change it there";
            Err(Refusal::new(StatusCode::CONFLICT, "managed_by_file", detail))
        }
    }
}

/// The answer to an error of the store; trouble is counted and logged.
fn trouble(api: &Api, task: &str, error: StoreError) -> Refusal {
    if error.is_trouble() {
        api.metrics.store_errors.with_label_values(&[task]).inc();
        tracing::error!(%error, task, "the API cannot use the store");
    }
    error.into()
}
