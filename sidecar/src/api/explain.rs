//! Why a call would pass or not, now: the real decision over the live memory, told step by step.
//!
//! Takes nothing and changes nothing. To an account's token what belongs to others is as unknown as what is nobody's.

mod view;

use std::net::IpAddr;
use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use trunk_admission::explain::{Explainer, Explanation, Question};
use trunk_admission::{Now, OpenError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::answer::Answer;
use super::ask::Ask;
use super::body::Body;
use super::problem::Refusal;
use super::schema::ExplainBody;
use crate::input::problem::Broken;
use crate::input::section::Section;
use view::View;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// A call that somebody asks about.
pub(super) struct Attempt {
    user: String,
    host: String,
    source: IpAddr,
    tls: bool,
    username: Option<String>,
}

/// Judges a call that nobody has seen yet, as it would be judged now. Spends nothing.
#[utoipa::path(post, path = "/v1/explain", tag = "explain", request_body = ExplainBody,
    responses((status = 200, description = "What would happen to it", body = View)))]
async fn explain(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.no_query()?;
    ask.no_write()?;
    let attempt = body.parse()?.read(read)?.ok_or_else(Refusal::not_found)?;
    let explanation = api.explain(&attempt)?;
    if let Some(own) = ask.holder.account() {
        let owner = explanation.trunk.as_ref().and_then(|trunk| trunk.account.as_deref());
        if owner != Some(own) {
            return Err(Refusal::not_found().into());
        }
    }
    Ok(Json(View::of(explanation)).into_response())
}

/// The fields of a question; those that are wrong are reported.
pub(super) fn read(section: &Section<'_>) -> Option<Attempt> {
    let uri = section.parsed_required("requestUri", request_uri);
    let source = section.parsed_required("sourceIp", |text| {
        text.parse::<IpAddr>().map_err(|_| Broken::new("invalid_address", "must be an IPv4 or IPv6 address"))
    });
    let tls = section.flag("tls", false);
    let username = section.parsed("username", crate::input::rules::username);
    let ((user, host), source) = (uri?, source?);
    Some(Attempt { user, host, source, tls, username })
}

/// User and host of a `sip:` or `sips:` URI (RFC 3261 section 19.1); what follows the host is no part of the decision.
fn request_uri(text: &str) -> Result<(String, String), Broken> {
    let broken = |rule| Broken::new("invalid_uri", rule);
    let rest = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:"));
    let rest = rest.ok_or_else(|| broken("must be a URI such as sip:user@host"))?;
    if text.len() > MAX_URI_BYTES || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(broken("must be at most 255 visible ASCII characters"));
    }
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let end = rest.find([';', '?']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    };
    if host.is_empty() {
        return Err(broken("names no host"));
    }
    let user = user.split([':', ';']).next().unwrap_or_default();
    Ok((user.to_owned(), host.to_owned()))
}

/// Longest Request-URI that may be asked about, in bytes.
const MAX_URI_BYTES: usize = 255;

impl Api {
    fn explain(&self, attempt: &Attempt) -> Result<Explanation, Refusal> {
        let question = Question {
            host: attempt.host.as_bytes(),
            user: attempt.user.as_bytes(),
            source: attempt.source,
            tls: attempt.tls,
            username: attempt.username.as_deref().map(str::as_bytes),
        };
        // What it holds are mappings: sound whoever died while looking into them.
        let mut explainer = self.explainer.lock().unwrap_or_else(PoisonError::into_inner);
        if !explainer.as_ref().is_some_and(Explainer::is_current) {
            *explainer = Some(Explainer::open(&self.shm).map_err(not_there)?);
        }
        let explainer = explainer.as_mut().ok_or_else(Refusal::not_found)?;
        explainer.explain(&question, Now::read()).map_err(not_there)
    }
}

/// The shared memory cannot be read.
fn not_there(error: OpenError) -> Refusal {
    let detail = match error {
        OpenError::Missing { .. } => "Kamailio has not started yet, so there is no live memory".to_owned(),
        error => error.to_string(),
    };
    Refusal::new(StatusCode::CONFLICT, "no_live_memory", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_uri_is_taken_apart_as_sip_has_it() {
        let of = |text: &str| request_uri(text).map(|(user, host)| format!("{user}|{host}")).map_err(|_| ());
        assert_eq!(of("sip:15550001@acme.sip.example.net"), Ok("15550001|acme.sip.example.net".into()));
        assert_eq!(of("sips:a;x=y:secret@host:5061;transport=tls?h=v"), Ok("a|host".into()));
        assert_eq!(of("sip:host"), Ok("|host".into()));
        assert_eq!(of("sip:u@[2001:db8::1]:5060"), Ok("u|[2001:db8::1]".into()));
        assert_eq!(of("sip:u@[2001:db8::1]"), Ok("u|[2001:db8::1]".into()));
        for wrong in ["tel:+15550001", "sip:", "sip:u@", "sip:u@:5060", "sip:a b@host", "sip:a\r\nX: y@host"]
        {
            assert_eq!(of(wrong), Err(()), "{wrong}");
        }
    }
}
