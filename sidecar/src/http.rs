//! The HTTP side: health, readiness and metrics for everybody, and the API. Bounded in body, time and connections.
//!
//! Must never wait for Kamailio to say how we are.

mod connections;
mod health;
mod patient;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::metrics::Metrics;
use crate::status::Status;
use crate::store::Store;

pub use connections::{HEADER_TIMEOUT, LAST_REQUESTS, MAX_CONNECTIONS};
pub use patient::WRITE_TIMEOUT;

/// Largest request body outside the API, which has a limit of its own.
const MAX_BODY_BYTES: usize = 1 << 10;
/// Longest time for one request outside the API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What the handlers need.
#[derive(Clone)]
pub struct Deps {
    /// Answers how it is.
    pub status: Arc<Status>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is kept.
    pub store: Arc<dyn Store>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The server.
pub struct Server {
    listener: TcpListener,
    deps: Deps,
    api: Router,
}

impl Server {
    /// A server on a socket that is bound already, so that its address is known.
    pub fn new(listener: TcpListener, deps: Deps, api: Router) -> Server {
        Server { listener, deps, api }
    }

    /// Serves until `stop`, then finishes what was asked, within [`LAST_REQUESTS`].
    pub async fn run(self, stop: CancellationToken) {
        let router = Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(health::metrics))
            .with_state(self.deps)
            .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
            .merge(self.api);
        connections::serve(self.listener, router, stop).await;
    }
}
