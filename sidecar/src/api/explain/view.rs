//! A decision as it is told: what would happen, and each step with what was seen.

use serde::Serialize;
use trunk_admission::explain::{By, Choice, Explanation, LevelName, Step};
use trunk_admission::{Fitness, Reason};
use utoipa::ToSchema;

use crate::api::view::Health;
use crate::domain;

/// What would happen to a call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Explanation)]
pub(super) struct View {
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
pub(super) struct StepView {
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
pub(super) struct GatewayView {
    /// As it was configured.
    uri: String,
    /// Where calls would be sent, for a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Lower is tried first. Names that lead to addresses of several priorities have those of the trunk counted anew.
    priority: u16,
    weight: u16,
    /// How often it would be chosen among those of its priority that are as fit: 0 to 1.
    share: f64,
    health: Health,
}

impl View {
    /// Tells a decision.
    pub(super) fn of(explanation: Explanation) -> View {
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
            kind: trunk.as_ref().map(|owner| domain::kind_name(owner.kind)),
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
        let Choice { uri, address, priority, weight, share, .. } = choice;
        GatewayView { uri, address, priority, weight, share, health }
    }
}
