//! A webhook receiver on a port of its own, whose answer a test can change, and a check of signatures that shares no
//! code with the product: HMAC written out from RFC 2104.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::{SECRET, until};

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the signature is good for what came, and the only one.
    pub(crate) fn verified(&self) -> bool {
        self.header("webhook-signature") == self.signature_of(SECRET)
    }

    /// Whether one of the signatures is of this secret.
    pub(crate) fn verified_by(&self, secret: &str) -> bool {
        let wanted = self.signature_of(secret);
        self.header("webhook-signature").split(' ').any(|signature| signature == wanted)
    }

    fn signature_of(&self, secret: &str) -> String {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &self.signed())))
    }

    /// The bytes that every signature is over: of a POST the body, of a GET the query.
    pub(crate) fn signed(&self) -> Vec<u8> {
        let mut signed = format!("{}.{}.", self.id(), self.header("webhook-timestamp")).into_bytes();
        match self.query.as_deref() {
            Some(query) if self.body.is_empty() => signed.extend_from_slice(query.as_bytes()),
            _ => signed.extend_from_slice(&self.body),
        }
        signed
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key); // keys of the tests are shorter than a block
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// What the receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Status(u16),
    /// A redirect to this URL.
    Redirect(String),
    /// Never.
    Silence,
    /// This many bytes.
    Long(usize),
    /// A failure with this many bytes.
    LongFailure(usize),
}

#[derive(Clone)]
struct Shared(Arc<Mutex<(Vec<Received>, Answer)>>);

pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
}

impl Receiver {
    pub(crate) async fn start(answer: Answer) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let shared = Shared(Arc::new(Mutex::new((Vec::new(), answer))));
        let router = Router::new().route("/hook", any(take)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Receiver { url, shared }
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.shared.0.lock().unwrap().1 = answer;
    }

    /// Waits until the three events of each of these calls have come, signed and under the ids that they must have and no other; all
    /// that was received, repetitions included.
    pub(crate) async fn all_events_of(&self, calls: &[Uuid]) -> Vec<Received> {
        let of = |call: &Uuid| (0..3).map(|part| format!("evt_{}_{part}", call.simple())).collect::<Vec<_>>();
        let wanted: BTreeSet<String> = calls.iter().flat_map(of).collect();
        let ids = |received: &[Received]| -> BTreeSet<String> {
            received.iter().map(|event| event.id().to_owned()).collect()
        };
        let received = until("every event", async || {
            let received = self.received();
            (ids(&received).len() >= wanted.len()).then_some(received)
        })
        .await;
        assert!(received.iter().all(Received::verified));
        assert_eq!(ids(&received), wanted);
        received
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.0.lock().unwrap().0.clone()
    }
}

async fn take(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = {
        let mut shared = shared.0.lock().unwrap();
        shared.0.push(Received { at: Instant::now(), query, headers, body });
        shared.1.clone()
    };
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response(),
        Answer::Silence => std::future::pending().await,
        Answer::Long(length) => vec![b'x'; length].into_response(),
        Answer::LongFailure(length) => {
            (StatusCode::INTERNAL_SERVER_ERROR, vec![b'x'; length]).into_response()
        }
    }
}
