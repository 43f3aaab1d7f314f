//! Checks signed payloads with the Standard Webhooks library for Rust: each must verify with both secrets, and no more once
//! one character of it has changed. Reads JSON lines from standard input. Built apart from the workspace.

use std::io::{self, BufRead};
use std::process::ExitCode;

use http::HeaderMap;
use serde_json::Value;
use standardwebhooks::Webhook;

fn main() -> ExitCode {
    let (mut good, mut refused) = (0, 0);
    for line in io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let text = |field: &str| case[field].as_str().expect("a text");
        let mut headers = HeaderMap::new();
        for (name, field) in
            [("webhook-id", "id"), ("webhook-timestamp", "timestamp"), ("webhook-signature", "signature")]
        {
            headers.insert(name, text(field).parse().expect("a header"));
        }
        let payload = text("payload");
        for secret in ["secret", "oldSecret"] {
            let webhook = Webhook::new(text(secret)).expect("a secret");
            webhook.verify(payload.as_bytes(), &headers).expect("a good signature");
        }
        good += 1;
        let changed = format!(" {payload}");
        let webhook = Webhook::new(text("secret")).expect("a secret");
        refused += u32::from(webhook.verify(changed.as_bytes(), &headers).is_err());
    }
    println!("rust: {good} verified, {refused} changed ones refused");
    if good == refused && good > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
