//! Clients that open HTTP connections and then say too little.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use trunkd::app::Daemon;
use trunkd::http::{HEADER_TIMEOUT, MAX_CONNECTIONS};

use crate::daemon::start;
use crate::support::Site;

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n";

/// A connection in the middle of its first request's head.
async fn half_open(daemon: &Daemon) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    stream
}

/// Sends the end of the head and reads until `ok`.
async fn answered(stream: &mut TcpStream) {
    stream.write_all(b"\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_end_and_then_others_are_served() {
    let site = Site::new();
    let daemon = start(&site).await;
    let began = Instant::now();
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push(half_open(&daemon).await);
    }
    // One more than are served: it waits for a place, however complete its request is.
    let mut late = half_open(&daemon).await;
    answered(&mut late).await;
    assert!(began.elapsed() >= HEADER_TIMEOUT, "served beside {MAX_CONNECTIONS} others");
    for mut stream in open {
        let mut rest = Vec::new();
        // An end or a reset: either way it is over.
        let _ = timeout(Duration::from_secs(120), stream.read_to_end(&mut rest)).await.expect("an end");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_neither_for_idle_nor_for_half_open_connections() {
    let site = Site::new();
    let daemon = start(&site).await;
    let silent = TcpStream::connect(daemon.address).await.unwrap();
    let mut idle = half_open(&daemon).await;
    answered(&mut idle).await;
    let half = half_open(&daemon).await;
    let began = Instant::now();
    daemon.stop().await.unwrap();
    // Less than the header timeout: the stop itself ended them.
    assert!(began.elapsed() < HEADER_TIMEOUT, "{:?}", began.elapsed());
    drop((silent, idle, half));
}
