//! A customer's webhook endpoint: a real HTTP server on a free port that checks every signature and keeps what came.
//!
//! It must never be lenient: a delivery that does not verify is kept as such and answered with 400.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;
use serde_json::Value;

use crate::http::{self, Request};
use crate::{signature, wait};

/// One POST as it came in.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `webhook-id` when the signature is good, otherwise what is wrong with it.
    pub id: Result<String, String>,
    /// What it was answered with.
    pub status: u16,
    /// The body, `Null` when it is not JSON.
    pub body: Value,
}

impl Delivery {
    /// `call.initiated` and so on.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.body["type"].as_str().unwrap_or_default()
    }

    /// The SIP Call-ID that it is about.
    #[must_use]
    pub fn sip_call_id(&self) -> &str {
        self.body["data"]["sipCallId"].as_str().unwrap_or_default()
    }

    /// The event as a line to compare; a bad signature shows.
    #[must_use]
    pub fn story(&self) -> String {
        let data = &self.body["data"];
        let text = |key: &str| data[key].as_str().unwrap_or("?").to_owned();
        let what = match self.kind() {
            "call.initiated" if data["allowed"] == true => "initiated allowed".to_owned(),
            "call.initiated" => format!("initiated refused {}", text("reason")),
            "call.answered" => "answered".to_owned(),
            "call.hangup" if data["reconciled"] == true => format!("hangup {} reconciled", text("status")),
            "call.hangup" => format!("hangup {} by {}", text("status"), text("hangupBy")),
            other => format!("{other:?}?"),
        };
        if self.id.is_ok() { what } else { format!("{what} UNVERIFIED") }
    }
}

#[derive(Debug)]
struct Shared {
    secret: String,
    status: AtomicU16,
    stop: AtomicBool,
    swallow: AtomicBool,
    deliveries: Mutex<Vec<Delivery>>,
}

/// A running endpoint.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<thread::JoinHandle<()>>,
}

impl Receiver {
    /// Opens the endpoint; `name` goes into its secret.
    ///
    /// # Errors
    /// No port.
    pub fn start(name: &str) -> Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            secret: signature::secret(name),
            status: AtomicU16::new(204),
            stop: AtomicBool::new(false),
            swallow: AtomicBool::new(false),
            deliveries: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stop.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepting);
                // A connection ends when its peer closes it; a test's process does not outlive its peers.
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Ok(Receiver { shared, address, acceptor: Some(acceptor) })
    }

    /// For `webhookUrl`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// For `webhookSecret`.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.shared.secret
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.shared.status.store(status, Ordering::Release);
    }

    /// The next delivery is answered as any other and kept nowhere: an event that is lost.
    pub fn swallow_next(&self) {
        self.shared.swallow.store(true, Ordering::Release);
    }

    /// Everything that came so far, repetitions included.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets everything that came so far, and says how many deliveries that were.
    pub fn forget(&self) -> usize {
        std::mem::take(&mut *self.shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    /// How many deliveries came so far, repetitions included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The accepted events of a call in the order they first came, each once by its id.
    #[must_use]
    pub fn events(&self, sip_call_id: &str) -> Vec<Delivery> {
        let mut events: Vec<Delivery> = Vec::new();
        for delivery in self.deliveries() {
            let known = delivery.id.is_ok() && events.iter().any(|e| e.id == delivery.id);
            if delivery.sip_call_id() == sip_call_id && delivery.status < 300 && !known {
                events.push(delivery);
            }
        }
        events
    }

    /// Of every call, the accepted events in the order they first came, each once by its id.
    #[must_use]
    pub fn stories(&self) -> HashMap<String, String> {
        let mut known = HashSet::new();
        let mut stories: HashMap<String, Vec<String>> = HashMap::new();
        for delivery in self.deliveries().iter().filter(|delivery| delivery.status < 300) {
            if delivery.id.as_ref().map_or(true, |id| known.insert(id.clone())) {
                stories.entry(delivery.sip_call_id().to_owned()).or_default().push(delivery.story());
            }
        }
        stories.into_iter().map(|(call, story)| (call, story.join(", "))).collect()
    }

    /// Waits until that many events of a call have come, and tells them; when they do not come, what did.
    ///
    /// # Errors
    /// Never by itself; the comparison shows what is missing.
    pub fn story(&self, sip_call_id: &str, count: usize) -> Result<String> {
        let _ = wait::until("webhooks", || Ok((self.events(sip_call_id).len() >= count).then_some(())));
        Ok(self.events(sip_call_id).iter().map(Delivery::story).collect::<Vec<_>>().join(", "))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = http::read_request(&mut reader) {
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        let delivery = judge(shared, &request);
        let status = delivery.status;
        if !shared.swallow.swap(false, Ordering::AcqRel) {
            shared.deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
        }
        if write!(writer, "HTTP/1.1 {status} Noted\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn judge(shared: &Shared, request: &Request) -> Delivery {
    let id = signature::verify(&shared.secret, request).map_err(|e| format!("{e:#}"));
    let good = id.is_ok() && request.line.starts_with("POST /hook ");
    let status = if good { shared.status.load(Ordering::Acquire) } else { 400 };
    Delivery { id, status, body: serde_json::from_slice(&request.body).unwrap_or(Value::Null) }
}
