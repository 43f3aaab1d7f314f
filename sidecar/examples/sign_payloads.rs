//! Signs random payloads as trunkd signs events, for somebody else to check: one JSON object a line with `id`, `timestamp`,
//! `signature`, `payload`, `secret` and `oldSecret`. `scripts/verify-webhooks.sh` hands them to the public libraries.
//!
//! The argument is how many. Must use the product's own signing code and nothing else.

use std::io::{self, BufWriter, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use trunkd::domain::{OldSecret, Webhook};
use trunkd::secret::WebhookSecret;
use trunkd::webhook::sign;

/// Pieces that texts are made of: what has broken somebody's signature before.
const PIECES: [&str; 14] = [
    "a", ".", "\r\n", "\n", "\"", "\\", "é", "e\u{301}", "日本", "🦀", "\u{feff}", "\u{2028}", "\u{0}", "v1,",
];
/// One payload in so many is as large as a payload may be, in bytes.
const LARGE: (u32, usize) = (500, 1 << 20);

fn text(rng: &mut impl rand::Rng, bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text += PIECES.choose(rng).copied().unwrap_or_default();
    }
    text
}

fn main() -> io::Result<()> {
    let count: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let mut rng = rand::rng();
    let mut out = BufWriter::new(io::stdout().lock());
    for index in 0..count {
        let bytes = match rng.random_ratio(1, LARGE.0) {
            true => LARGE.1,
            false => rng.random_range(0..2_000),
        };
        let payload: Value = match index % 3 {
            0 => Value::from(text(&mut rng, bytes)),
            1 => json!({ "type": "call.hangup", "data": { "to": text(&mut rng, bytes), "sipCode": index } }),
            _ => json!([index, text(&mut rng, bytes), null, 0.5]),
        };
        let payload = payload.to_string();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let (secret, old) = (WebhookSecret::random(), WebhookSecret::random());
        let webhook = Webhook {
            old_secret: Some(OldSecret { secret: old.clone(), until_ms: now_ms + 60_000 }),
            ..Webhook::new(String::new(), secret.clone())
        };
        let id = format!("evt_{index}");
        let line = json!({
            "id": id,
            "timestamp": now_ms.div_euclid(1000).to_string(),
            "signature": sign::signatures(&webhook, &id, now_ms, payload.as_bytes()),
            "payload": payload,
            "secret": secret.reveal(),
            "oldSecret": old.reveal(),
        });
        writeln!(out, "{line}")?;
    }
    out.flush()
}
