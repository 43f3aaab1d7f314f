//! The HTTP client of deliveries: bounded in time and in memory, blind to redirects and proxies.
//!
//! Every connection goes through the address guard. Rebuilt when its settings change, so that no kept-alive connection
//! outlives the rules it was opened under.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Url, redirect};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Settings;
use super::guard::{Denied, UrlRules};
use super::resolver::GuardedResolver;

/// How much of an answer's body is read, and kept of one that did not take the event, in bytes.
pub const MAX_ANSWER_BYTES: usize = 16 << 10;
/// Longest URL of a request: one that was set, and the fields of an event after it.
const MAX_REQUEST_URL_BYTES: usize = 64 << 10;
/// Connections kept open for one host.
const MAX_IDLE_PER_HOST: usize = 4;
/// How long they are kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// One signed event on its way.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub url: String,
    /// `webhook-id`.
    pub event_id: String,
    /// `webhook-timestamp`.
    pub timestamp_s: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The body of a POST, the exact bytes that were signed; `None` is a GET, whose query was.
    pub body: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status. It alone decides; a body that drips or never ends changes nothing.
    pub status: u16,
    /// `Retry-After`, if it is text.
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// Why the rest of the body was not read.
    pub cut: Option<String>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The URL leads to an address that is not sent to.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The URL is none, or its scheme is not allowed any more.
    #[error("the URL is refused: {0}")]
    Url(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// No connection: name, TCP or TLS.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke, or what came was not HTTP.
    #[error("{0}")]
    Broken(String),
}

impl SendError {
    /// One word for metrics and the attempt log.
    pub fn word(&self) -> &'static str {
        match self {
            SendError::Denied(_) | SendError::Url(_) => "denied",
            SendError::TimedOut(_) => "timeout",
            SendError::Connect(_) => "connect",
            SendError::Broken(_) => "broken",
        }
    }
}

/// What people are told of an attempt, and what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub answer: Vec<u8>,
}

impl From<Result<Answer, SendError>> for Told {
    fn from(result: Result<Answer, SendError>) -> Told {
        match result {
            Ok(Answer { status, cut, body, .. }) => Told { status: Some(status), error: cut, answer: body },
            Err(error) => Told { status: None, error: Some(error.to_string()), answer: Vec::new() },
        }
    }
}

/// Whoever can carry a request: the client below, or a test's stand-in for the network.
pub trait Transport: Send + Sync + 'static {
    /// Sends one event and reads the answer, all within the attempt's time.
    fn send(&self, request: Request) -> Sending<'_>;
}

/// A request under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, SendError>> + Send + 'a>>;

/// The client for the settings in force.
#[derive(Debug)]
pub struct Clients {
    settings: watch::Receiver<Settings>,
    built: Mutex<Option<(Key, Client)>>,
}

type Key = (Duration, UrlRules, Vec<SocketAddr>);

impl Clients {
    /// Builds clients as `settings` says, when they are needed.
    pub fn new(settings: watch::Receiver<Settings>) -> Clients {
        Clients { settings, built: Mutex::new(None) }
    }

    /// Builds the client now, so that the first event does not wait for the machine's root certificates to be read.
    ///
    /// # Errors
    /// If there are none, for example: then every attempt will fail until there are.
    pub fn prepare(&self) -> Result<(), SendError> {
        let settings = self.settings.borrow().clone();
        self.client(&settings).map(drop)
    }

    async fn exchange(&self, request: Request) -> Result<Answer, SendError> {
        let settings = self.settings.borrow().clone();
        let rules = &settings.url;
        // The rules may have become stricter since the URL was stored.
        let url = rules.check(&request.url, MAX_REQUEST_URL_BYTES).map_err(SendError::Url)?;
        let url = Url::parse(&url).map_err(|error| SendError::Url(error.to_string()))?;
        rules.check_host(&url)?;
        let client = self.client(&settings)?;

        let deadline = Instant::now() + settings.attempt_timeout;
        let building = match request.body {
            Some(body) => client.post(url).header(CONTENT_TYPE, "application/json").body(body),
            None => client.get(url),
        };
        let sending = building
            .header(USER_AGENT, concat!("trunkd/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", request.event_id)
            .header("webhook-timestamp", request.timestamp_s)
            .header("webhook-signature", request.signature)
            .send();
        let response = match timeout_at(deadline, sending).await {
            Err(_) => return Err(SendError::TimedOut(settings.attempt_timeout)),
            Ok(Err(error)) => return Err(send_error(&error, settings.attempt_timeout)),
            Ok(Ok(response)) => response,
        };
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (body, cut) = read_body(response, deadline).await;
        Ok(Answer { status, retry_after, body, cut })
    }

    fn client(&self, settings: &Settings) -> Result<Client, SendError> {
        let key = (settings.connect_timeout, settings.url.clone(), settings.dns_servers.clone());
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*built
            && *known == key
        {
            return Ok(client.clone());
        }
        let client = build(&key)?;
        *built = Some((key, client.clone()));
        Ok(client)
    }
}

impl Transport for Clients {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}

fn build((connect_timeout, rules, dns_servers): &Key) -> Result<Client, SendError> {
    // The first call wins; a provider that is there already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let resolver = GuardedResolver::new(rules.clone(), dns_servers);
    let builder = Client::builder()
        .dns_resolver(Arc::new(resolver))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .https_only(!rules.allow_http)
        .connect_timeout(*connect_timeout)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT);
    builder.build().map_err(|error| SendError::Broken(chain(&error)))
}

/// The beginning of the body, and why not all of it.
async fn read_body(mut response: reqwest::Response, deadline: Instant) -> (Vec<u8>, Option<String>) {
    let mut body = Vec::new();
    loop {
        let chunk = match timeout_at(deadline, response.chunk()).await {
            Err(_) => return (body, Some("the body did not end in time".into())),
            Ok(Err(error)) => return (body, Some(chain(&error))),
            Ok(Ok(None)) => return (body, None),
            Ok(Ok(Some(chunk))) => chunk,
        };
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return (body, Some(format!("the body is longer than {MAX_ANSWER_BYTES} bytes")));
        }
    }
}

fn send_error(error: &reqwest::Error, limit: Duration) -> SendError {
    if let Some(denied) = denied(error) {
        // For the log alone: see [`Denied`].
        tracing::info!(address = %denied.0, "a webhook leads to an address that is not sent to");
        return SendError::Denied(denied);
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, _) => SendError::Connect(chain(error)),
        (false, true) => SendError::TimedOut(limit),
        (false, false) => SendError::Broken(chain(error)),
    }
}

fn denied(error: &reqwest::Error) -> Option<Denied> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(denied) = error.downcast_ref::<Denied>() {
            return Some(*denied);
        }
        source = error.source();
    }
    None
}

/// An error and what caused it, without the URL, whose query may hold a token.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = if text.is_empty() { part } else { format!("{text}: {part}") };
        }
        source = error.source();
    }
    if text.is_empty() { "the request failed".into() } else { text }
}
