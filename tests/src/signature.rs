//! Checks a webhook as its receiver would: Standard Webhooks, HMAC-SHA256, from the specification alone.
//!
//! It must never use the product's own signing code: a mistake made twice is not found.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::http::Request;

/// How far a timestamp may be off, in seconds, as the specification's libraries have it.
const TOLERANCE_S: u64 = 300;

/// A new signing secret in the form that trunk files take. Not random: tests only.
#[must_use]
pub fn secret(seed: &str) -> String {
    let bytes: Vec<u8> = seed.bytes().cycle().take(32).collect();
    format!("whsec_{}", STANDARD.encode(bytes))
}

/// Checks id, age and signature of a request, and returns the id.
///
/// # Errors
/// Says what is wrong with it.
pub fn verify(secret: &str, request: &Request) -> Result<String> {
    let id = request.header("webhook-id").context("no webhook-id")?;
    let timestamp = request.header("webhook-timestamp").context("no webhook-timestamp")?;
    let signatures = request.header("webhook-signature").context("no webhook-signature")?;
    if id.is_empty() || id.contains('.') {
        bail!("webhook-id {id:?} may not be empty or hold a dot");
    }
    let sent: u64 = timestamp.parse().context("webhook-timestamp is no integer")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    if now.abs_diff(sent) > TOLERANCE_S {
        bail!("webhook-timestamp {sent} is {} s off", now.abs_diff(sent));
    }
    let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret begins with whsec_")?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", &request.body] {
        mac.update(part);
    }
    for signature in signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")) {
        if mac.clone().verify_slice(&STANDARD.decode(signature)?).is_ok() {
            return Ok(id.to_owned());
        }
    }
    bail!("no v1 signature matches")
}
