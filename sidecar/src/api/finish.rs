//! The outermost layer: gives each request its id, and each answer its last form.
//!
//! Whatever was refused, by us or by axum itself, leaves as a problem document. Must never log a query or a body.

use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

use super::Api;
use super::problem::Refusal;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a client may give its request, in bytes.
const MAX_ID_BYTES: usize = 64;

/// What a request is called in answers, in the log and in the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(pub(super) String);

impl RequestId {
    /// The client's own, if it may stand anywhere; else a new one.
    fn of(headers: &HeaderMap) -> RequestId {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let given = given.filter(|id| (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(allowed));
        RequestId(given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RequestId, Self::Rejection> {
        let known = parts.extensions.get::<RequestId>().cloned();
        Ok(known.unwrap_or_else(|| RequestId::of(&parts.headers)))
    }
}

/// The layer.
pub(super) async fn finish(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let (id, begun) = (RequestId::of(request.headers()), Instant::now());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(id.clone());
    let mut response = last_form(next.run(request).await, &id);
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    // Answers hold what is shown once.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

    let status = response.status();
    let class = match status.as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    api.metrics.api_requests.with_label_values(&[class]).inc();
    let (ms, status) = (begun.elapsed().as_millis() as u64, status.as_u16());
    if class == "5xx" {
        tracing::warn!(request = id.0, %method, path, status, ms, "API request");
    } else {
        tracing::debug!(request = id.0, %method, path, status, ms, "API request");
    }
    response
}

/// A refusal becomes its document; an error that says nothing becomes one in words of ours.
fn last_form(mut response: Response, id: &RequestId) -> Response {
    let said = response.extensions_mut().remove::<Refusal>();
    let status = response.status();
    let refusal = match said {
        Some(refusal) => refusal,
        None if status.is_client_error() || status.is_server_error() => Refusal::of_status(status),
        None => return response,
    };
    let mut document = refusal.render(&id.0);
    // What axum says beside the status: the methods of a path.
    if let (StatusCode::METHOD_NOT_ALLOWED, Some(allow)) =
        (status, response.headers_mut().remove(header::ALLOW))
    {
        document.headers_mut().insert(header::ALLOW, allow);
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_an_id_that_may_stand_anywhere() {
        let of = |id: &'static str| {
            RequestId::of(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))])).0
        };
        assert_eq!(of("7f3a.-_Z"), "7f3a.-_Z");
        for bad in ["", "a b", "a\"b", "a/b", &"x".repeat(MAX_ID_BYTES + 1)] {
            let id =
                RequestId::of(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(bad).unwrap())])).0;
            assert_eq!(id.len(), 36, "{bad}");
        }
    }
}
