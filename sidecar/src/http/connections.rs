//! Accepts connections and serves each: so many at once, and none that sends or takes nothing for long.
//!
//! Whoever opens connections and says nothing must never keep health and metrics from others for longer than
//! [`HEADER_TIMEOUT`], nor the process from stopping; who asks and does not read, for longer than [`super::WRITE_TIMEOUT`].

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower_layer::Layer as _;

use super::Peer;
use super::patient::Patient;

/// Most connections at once. Further ones wait in the socket's backlog.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a connection may take for the head of a request, the wait for its first byte included.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may take after the stop before their connections are cut.
pub const LAST_REQUESTS: Duration = Duration::from_secs(3);
/// Pause after an accept that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let mut connections = JoinSet::new();
    while let Some((stream, peer, permit)) = stop.run_until_cancelled(next(&listener, &slots)).await {
        while connections.try_join_next().is_some() {}
        let service = TowerToHyperService::new(Extension(Peer(peer)).layer(router.clone()));
        let connection =
            graceful.watch(builder.serve_connection(TokioIo::new(Patient::new(stream)), service));
        connections.spawn(async move {
            // What goes wrong on a connection is its client's concern.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    // Idle ones end at once; one in the middle of a head would use up its time, so it is cut with whatever hangs.
    if timeout(LAST_REQUESTS, graceful.shutdown()).await.is_err() {
        tracing::info!("HTTP connections were cut");
    }
    connections.shutdown().await;
}

/// The next connection. Its permit comes first: what cannot be served is not accepted either.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let Ok(permit) = Arc::clone(slots).acquire_owned().await else {
        return std::future::pending().await; // nobody closes it
    };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if of_client(error.kind()) => {}
            Err(error) => {
                tracing::error!(%error, "accepting an HTTP connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether a connection was gone before it was accepted.
fn of_client(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}
