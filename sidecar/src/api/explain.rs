//! Why a call would pass or not, now: the real decision over the live memory, told step by step.
//!
//! Takes nothing and changes nothing. To an account's token what belongs to others is as unknown as what is nobody's.

use std::net::IpAddr;
use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Serialize;
use trunk_admission::explain::{By, Choice, Explainer, Explanation, LevelName, Question, Step};
use trunk_admission::model::Kind;
use trunk_admission::{Fitness, Now, OpenError, Reason};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::answer::Answer;
use super::ask::Ask;
use super::body::Body;
use super::problem::Refusal;
use super::schema::ExplainBody;
use super::view::Health;
use crate::domain;
use crate::input::problem::Broken;
use crate::input::section::Section;

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

/// What would happen to a call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Explanation)]
struct View {
    /// Generation of the table that decided; 0 if nothing was ever published.
    generation: u32,
    /// Configuration revision in it.
    revision: u64,
    /// `admit`, `challenge` (it would be asked for a password) or `refuse`.
    verdict: &'static str,
    /// Why it would not be admitted, as in the call log.
    reason: Option<&'static str>,
    /// The SIP answer that it would get.
    sip_code: Option<u16>,
    /// The limit that would refuse it.
    limit: Option<u32>,
    /// What is counted against that limit.
    count: Option<u32>,
    /// Milliseconds until a call would pass; null is unknown or never.
    retry_after_ms: Option<u64>,
    /// Whose call it is.
    trunk_id: Option<String>,
    account_id: Option<String>,
    /// `trunk` or `application`.
    kind: Option<&'static str>,
    /// Realm of its digest users.
    realm: Option<String>,
    /// Each step of the decision in order; the last one decided.
    steps: Vec<StepView>,
    /// The gateways in the order in which they would be tried.
    gateways: Vec<GatewayView>,
}

/// One step of a decision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplanationStep)]
struct StepView {
    /// `identify`, `enabled`, `region`, `transport`, `auth`, `source`, `password`, `credential`, `cps`, `concurrency` or `slots`.
    step: &'static str,
    /// Whether the call got past it.
    passed: bool,
    /// What was seen, for people.
    detail: String,
    /// Whose limit it is: `trunk`, `account` or `node`.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    /// The limit: calls per second, or calls at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    /// What was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
}

/// A gateway that would be tried.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplanationGateway)]
struct GatewayView {
    uri: String,
    /// Lower is tried first.
    priority: u16,
    weight: u16,
    /// How often it would be chosen among those of its priority that are as fit: 0 to 1.
    share: f64,
    health: Health,
}

/// Judges a call that nobody has seen yet, as it would be judged now. Spends nothing.
#[utoipa::path(post, path = "/v1/explain", tag = "explain", request_body = ExplainBody,
    responses((status = 200, description = "What would happen to it", body = View)))]
async fn explain(State(api): State<Api>, ask: Ask, body: Body) -> Answer {
    ask.no_query()?;
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

impl View {
    fn of(explanation: Explanation) -> View {
        let Explanation { generation, revision, steps, refusal, trunk, gateways } = explanation;
        let verdict = match refusal.map(|refused| refused.reason) {
            None => "admit",
            Some(Reason::Challenge) => "challenge",
            Some(_) => "refuse",
        };
        let counted = refusal.filter(|refused| refused.limit > 0 || refused.count > 0);
        let last = steps.len().saturating_sub(1);
        let refused = refusal.is_some();
        View {
            generation,
            revision,
            verdict,
            reason: refusal.map(|refused| refused.reason.name()),
            sip_code: refusal.map(|refused| refused.reason.sip_code()),
            limit: counted.map(|refused| refused.limit),
            count: counted.map(|refused| refused.count),
            retry_after_ms: refusal
                .map(|refused| refused.wait_ms)
                .filter(|&wait| wait != 0 && wait != u64::MAX),
            kind: trunk.as_ref().map(|owner| match owner.kind {
                Kind::Trunk => "trunk",
                Kind::Application => "application",
            }),
            account_id: trunk.as_ref().and_then(|owner| owner.account.clone()),
            realm: trunk.as_ref().map(|owner| owner.realm.clone()),
            trunk_id: trunk.map(|owner| owner.id),
            steps: (0..).zip(&steps).map(|(at, step)| StepView::of(step, !refused || at < last)).collect(),
            gateways: gateways.into_iter().map(GatewayView::from).collect(),
        }
    }
}

impl StepView {
    fn of(step: &Step, passed: bool) -> StepView {
        let plain =
            |step, detail: String| StepView { step, passed, detail, level: None, limit: None, count: None };
        let yes_no = |flag: bool, yes: &str, no: &str| if flag { yes } else { no }.to_owned();
        match *step {
            Step::Identified(by) => plain(
                "identify",
                match by {
                    Some(By::Domain) => "the host of the Request-URI is the trunk's domain",
                    Some(By::InboundUser) => "the user of the Request-URI is a voice application's",
                    Some(By::Source) => "only this trunk lists the source address",
                    None => "no trunk has this domain, user or source address",
                }
                .to_owned(),
            ),
            Step::Enabled { trunk: true, account: true } => plain("enabled", "it is enabled".to_owned()),
            Step::Enabled { trunk, .. } => {
                plain("enabled", yes_no(trunk, "its account is disabled", "it is disabled"))
            }
            Step::Region { allowed } => plain(
                "region",
                yes_no(allowed, "it may be used in this region", "it may not be used in this region"),
            ),
            Step::Transport { tls_required, tls } => {
                let wants = if tls_required {
                    "it takes calls over TLS only"
                } else {
                    "it takes calls over any transport"
                };
                plain(
                    "transport",
                    format!(
                        "{wants}; this one {}",
                        if tls { "came over TLS" } else { "did not come over TLS" }
                    ),
                )
            }
            Step::Configured { mode, addresses, credentials } => {
                let has = |flag: bool, what: &str| format!("{} {what}", if flag { "has" } else { "has no" });
                let mode = domain::auth_mode_name(mode);
                let detail = format!(
                    "mode {mode}; it {}, {}",
                    has(addresses, "addresses"),
                    has(credentials, "credentials")
                );
                plain("auth", detail)
            }
            Step::Source { listed } => {
                // In mode `any` an address that is not listed only means that a password is needed.
                plain(
                    "source",
                    yes_no(listed, "the source address is listed", "the source address is not listed"),
                )
            }
            Step::Password { needed } => {
                plain("password", yes_no(needed, "a password is needed", "no password is needed"))
            }
            Step::Credential { known } => plain(
                "credential",
                yes_no(known, "it has this user; the password is taken to be right", "it has no such user"),
            ),
            Step::Rate { level, rate, count, wait_ns } => StepView {
                level: Some(level_name(level)),
                limit: Some(rate.cps()),
                count: Some(count),
                ..plain(
                    "cps",
                    match wait_ns {
                        None => format!("{count} of a burst of {} are used", rate.burst()),
                        Some(u64::MAX) => "it admits no calls".to_owned(),
                        Some(wait) => {
                            format!(
                                "{count} of a burst of {} are used; the next call passes in {} ms",
                                rate.burst(),
                                wait.div_ceil(1_000_000)
                            )
                        }
                    },
                )
            },
            Step::Calls { level, limit, count } => StepView {
                level: Some(level_name(level)),
                limit: limit.map(f64::from),
                count: Some(count),
                ..plain(
                    "concurrency",
                    match limit {
                        Some(limit) => format!("{count} of {limit} calls are up"),
                        None => format!("{count} calls are up, and there is no limit"),
                    },
                )
            },
            Step::Slots { limit, count } => StepView {
                limit: Some(f64::from(limit)),
                count: Some(count),
                ..plain("slots", format!("{count} of {limit} slots are in use"))
            },
        }
    }
}

fn level_name(level: LevelName) -> &'static str {
    match level {
        LevelName::Trunk => "trunk",
        LevelName::Account => "account",
        LevelName::Node => "node",
    }
}

impl From<Choice> for GatewayView {
    fn from(choice: Choice) -> GatewayView {
        let health = match choice.fitness {
            Fitness::Up => Health::Up,
            Fitness::Trial => Health::Trial,
            Fitness::Down => Health::Down,
        };
        let Choice { uri, priority, weight, share, .. } = choice;
        GatewayView { uri, priority, weight, share, health }
    }
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
