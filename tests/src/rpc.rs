//! Kamailio's JSON-RPC over its datagram socket.
//!
//! It must never have two requests under way at one proxy: Kamailio answers them one at a time anyway.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::wait::PATIENCE;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where Kamailio sends its answer; the socket file goes when the call is over.
struct Mailbox(PathBuf);

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Calls `method` and returns the result.
///
/// # Errors
/// Nobody answers at `socket`, or the answer is an error.
pub fn call(socket: &Path, method: &str, parameters: &[Value]) -> Result<Value> {
    call_within(PATIENCE, socket, method, parameters)
}

/// As [`call`], with a limit for what takes long.
///
/// # Errors
/// Nobody answers at `socket` within `limit`, or the answer is an error.
pub fn call_within(limit: Duration, socket: &Path, method: &str, parameters: &[Value]) -> Result<Value> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let place = socket.parent().context("a socket in a directory")?;
    let mailbox = Mailbox(place.join(format!("answers-{}-{number}", process::id())));
    let ours = UnixDatagram::bind(&mailbox.0).with_context(|| format!("binding {}", mailbox.0.display()))?;
    ours.set_read_timeout(Some(limit))?;
    ours.connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
    let request = json!({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters});
    ours.send(request.to_string().as_bytes())?;
    let mut buffer = vec![0; 65_535];
    let length = ours.recv(&mut buffer).with_context(|| format!("waiting for the answer to {method}"))?;
    let mut answer: Value = serde_json::from_slice(&buffer[..length])
        .with_context(|| format!("{method} answered {}", String::from_utf8_lossy(&buffer[..length])))?;
    match answer.get_mut("result").map(Value::take) {
        Some(result) => Ok(result),
        None => bail!("{method}: {answer}"),
    }
}
