//! Who asks: the bearer token of a request, proved once and then remembered.
//!
//! Every request counts against its address, and then either against its token or, if that is not proved yet, against
//! the few proofs that an address may ask for. Must never tell an unknown token from one with a wrong secret.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use super::crowd::Crowd;
use super::limit::Limiter;
use super::problem::Refusal;
use super::token::{self, Holder, NewToken, Proved, prefix, proves};
use super::{Api, trouble};
use crate::domain::Scope;
use crate::http::{MAX_CONNECTIONS, Peer};

/// Proofs at the same time: each takes a thread and 19 MiB for some ten milliseconds.
const MAX_PROOFS: usize = 2;

/// CSV files that are written at once, and those of one token.
const CSV_FILES: (usize, usize) = (16, 4);
/// Requests that wait for news at once, and those of one token: half of all connections.
const WAITS: (usize, usize) = (MAX_CONNECTIONS / 2, 16);
/// Sums of calls that are made at once; further ones wait.
const SUMS: usize = 2;

/// What judges requests by their token.
pub(super) struct Gate {
    pub(super) limiter: Limiter,
    pub(super) proved: Proved,
    proofs: Arc<Semaphore>,
    pub(super) csv_files: Arc<Crowd>,
    pub(super) waits: Arc<Crowd>,
    pub(super) sums: Semaphore,
}

impl Gate {
    pub(super) fn new(limiter: Limiter) -> Gate {
        Gate {
            limiter,
            proved: Proved::new(),
            proofs: Arc::new(Semaphore::new(MAX_PROOFS)),
            csv_files: Crowd::new(CSV_FILES.0, CSV_FILES.1),
            waits: Crowd::new(WAITS.0, WAITS.1),
            sums: Semaphore::new(SUMS),
        }
    }

    /// Makes a token.
    pub(super) async fn make(&self) -> Result<NewToken, Refusal> {
        let made = self.hashing(token::make).await.and_then(Result::ok);
        let busy = || {
            let detail = "no token can be made now; the machine lacks threads or memory";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1)
        };
        made.ok_or_else(busy)
    }

    /// Runs what takes a while on a thread of its own, few at a time.
    async fn hashing<T: Send + 'static>(&self, hash: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Nobody closes the semaphore.
        let permit = Arc::clone(&self.proofs).acquire_owned().await;
        let hashed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hash()
        });
        hashed.await.ok()
    }
}

/// Lets a request through that carries a good token, with its holder among the extensions.
pub(super) async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let token = bearer(request.headers()).map(str::to_owned);
    match admit(&api, address, token).await {
        Ok(holder) => {
            request.extensions_mut().insert(holder);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn admit(api: &Api, address: IpAddr, token: Result<String, Refusal>) -> Result<Holder, Refusal> {
    api.gate.limiter.address(address)?;
    let text = &token?;
    let holder = match api.gate.proved.find(text) {
        Some(holder) => holder,
        None => {
            api.gate.limiter.unproved(address)?;
            prove(api, text).await?
        }
    };
    api.gate.limiter.token(holder.token)?;
    api.used(holder.token);
    Ok(holder)
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let text = values.next().and_then(|value| value.to_str().ok());
    let (scheme, token) = text.and_then(|text| text.split_once(' ')).unwrap_or_default();
    match scheme.eq_ignore_ascii_case("bearer") && values.next().is_none() {
        true => Ok(token.trim()),
        false => Err(Refusal::unauthorized("send one header Authorization: Bearer <token>")),
    }
}

async fn prove(api: &Api, text: &str) -> Result<Holder, Refusal> {
    const BAD: &str = "this token is not known";
    let prefix = prefix(text).ok_or_else(|| Refusal::unauthorized(BAD))?;
    let begun = api.gate.proved.moment();
    let found = api.store.token_with_prefix(prefix.to_owned()).await;
    let found = found.map_err(|error| trouble(api, "api_read", error))?;
    let token = found.ok_or_else(|| Refusal::unauthorized(BAD))?;
    let (hash, sent) = (token.hash.clone(), text.to_owned());
    if !api.gate.hashing(move || proves(&hash, &sent)).await.unwrap_or(false) {
        return Err(Refusal::unauthorized(BAD));
    }
    let holder = Holder::new(token.id, token.scope, text);
    api.gate.proved.remember(text, holder.clone(), begun);
    Ok(holder)
}

impl Holder {
    /// The account that this holder is confined to.
    pub(super) fn account(&self) -> Option<&str> {
        self.scope.account()
    }

    /// Whether an object of this owner may be seen. One without an owner is the administrators'.
    pub(super) fn sees(&self, owner: Option<&str>) -> bool {
        self.scope == Scope::Admin || (owner.is_some() && owner == self.account())
    }

    /// Refuses whoever is no administrator.
    pub(super) fn admin(&self) -> Result<(), Refusal> {
        if self.scope == Scope::Admin { Ok(()) } else { Err(Refusal::admin_only()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Holder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Holder, Refusal> {
        parts.extensions.get().cloned().ok_or_else(|| Refusal::unauthorized("this path needs a token"))
    }
}
