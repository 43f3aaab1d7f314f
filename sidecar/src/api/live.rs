//! What is live: calls that are up, how fast they come, who was refused last and why.
//!
//! Counts come from the memory that Kamailio keeps, the rest from the call log. Reads only, but for the end of calls by
//! force, which is Kamailio's work.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use serde::Serialize;
use trunk_admission::live::{LineView, Live, Scope as Line};
use trunk_admission::model::Kind;
use trunk_admission::{Fitness, Now, Rate, Reason};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, time};
use super::ask::Ask;
use super::view::{Address, Gateway, Health};
use super::{Api, owner, trouble};
use crate::call::Call;
use crate::domain::{Limits, Millis, OriginationUri};
use crate::gateways::{Standing, Target};
use crate::store::{CallFilter, PlacedTrunk};

/// Over how long a rate is taken.
const WINDOW_MS: Millis = 10_000;
/// Refusals that are shown.
const REFUSALS: u32 = 20;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(node)).routes(routes!(trunk))
}

/// What is live.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LiveView {
    /// Whether Kamailio has made its memory; without it there are no calls.
    attached: bool,
    /// Calls that are up, ringing ones included.
    concurrent_calls: u32,
    /// Most calls at the same time; null is no limit.
    concurrent_calls_limit: Option<u32>,
    /// Attempts per second, admitted and refused, over the last ten.
    attempts_per_second: f64,
    /// Admitted calls per second over the last ten.
    calls_per_second: f64,
    /// Most calls per second; null is no limit.
    cps_limit: Option<f64>,
    /// Calls of the burst that are used up now.
    burst_used: u32,
    /// Calls admitted since Kamailio made its memory.
    admitted_total: u64,
    /// Calls refused since then, after they were identified.
    refused_total: u64,
    /// The last attempts that were refused, newest first.
    last_refusals: Vec<RefusalView>,
}

/// An attempt that was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RefusedCall)]
struct RefusalView {
    call_id: String,
    #[schema(format = DateTime)]
    at: String,
    trunk_id: Option<String>,
    reason: Option<&'static str>,
    /// The limit that refused it; 0 if it was none.
    limit: u32,
    /// The count that was seen.
    count: u32,
    source_ip: Option<String>,
    from: Option<String>,
    to: Option<String>,
    sip_call_id: Option<String>,
}

impl From<Call> for RefusalView {
    fn from(call: Call) -> RefusalView {
        RefusalView {
            call_id: call.id.to_string(),
            at: time(call.start_ms),
            trunk_id: call.trunk,
            reason: call.reason.map(Reason::name),
            limit: call.limit,
            count: call.count,
            source_ip: call.source.map(|(ip, _)| ip.to_string()),
            from: call.from,
            to: call.to,
            sip_call_id: call.sip_call_id,
        }
    }
}

/// The whole node; to an account's token its account.
#[utoipa::path(get, path = "/v1/live", tag = "live",
    responses((status = 200, description = "What is live", body = LiveView)))]
async fn node(State(api): State<Api>, ask: Ask) -> Answer {
    ask.no_query()?;
    let (line, limits, filter) = match ask.holder.account() {
        None => {
            let node = api.store.node().await.map_err(|error| trouble(&api, "api_read", error))?;
            (Line::Node, node.map(|node| node.limits).unwrap_or_default(), CallFilter::default())
        }
        Some(id) => {
            let found = api.store.account(id.to_owned()).await;
            let found = found.map_err(|error| trouble(&api, "api_read", error))?;
            let found = found.ok_or_else(super::problem::Refusal::not_found)?;
            let filter = CallFilter { account: Some(id.to_owned()), ..CallFilter::default() };
            (Line::Account(found.live), found.item.limits, filter)
        }
    };
    view(&api, line, limits, filter).await
}

/// One trunk.
#[utoipa::path(get, path = "/v1/trunks/{trunkId}/live", tag = "live",
    responses((status = 200, description = "What is live", body = LiveView)))]
async fn trunk(State(api): State<Api>, Path(id): Path<String>, ask: Ask) -> Answer {
    ask.no_query()?;
    let found = owner::visible(&api, &ask.holder, id, Kind::Trunk).await?;
    let filter = CallFilter { trunk: Some(found.item.id.clone()), ..CallFilter::default() };
    view(&api, Line::Trunk(found.live), found.item.limits, filter).await
}

async fn view(api: &Api, line: Line, limits: Limits, filter: CallFilter) -> Answer {
    let rate = limits.cps.and_then(|cps| Rate::per_second(cps, limits.cps_burst).ok());
    let counts = api.live(|live| live.line_view(line, rate, Now::read().mono_ns));
    let since = api.clock.now_ms() - WINDOW_MS;
    let recent = api.store.recent_calls(filter, since, REFUSALS).await;
    let recent = recent.map_err(|error| trouble(api, "api_read", error))?;
    let LineView { calls, bucket, admitted_total, refused_total } = counts.flatten().unwrap_or_default();
    let per_second = |count: i64| count as f64 * 1000.0 / WINDOW_MS as f64;
    let view = LiveView {
        attached: counts.is_some(),
        concurrent_calls: calls,
        concurrent_calls_limit: limits.concurrent_calls,
        attempts_per_second: per_second(recent.admitted + recent.refused),
        calls_per_second: per_second(recent.admitted),
        cps_limit: limits.cps,
        burst_used: bucket,
        admitted_total,
        refused_total,
        last_refusals: recent.refusals.into_iter().map(RefusalView::from).collect(),
    };
    Ok(Json(view).into_response())
}

impl Api {
    /// Asks the memory that Kamailio keeps; `None` if there is none.
    pub(super) fn live<T>(&self, ask: impl FnOnce(&Live) -> T) -> Option<T> {
        // What it holds is a mapping: sound whoever died while looking into it.
        self.live.lock().unwrap_or_else(PoisonError::into_inner).get().map(ask)
    }

    /// Calls that are up on a trunk or application.
    pub(super) fn live_calls(&self, trunk: u32) -> u32 {
        self.live(|live| live.trunk_calls(trunk)).unwrap_or(0)
    }

    /// The gateways of a trunk or application as they are stored.
    pub(super) fn gateways(&self, placed: &PlacedTrunk) -> Vec<Gateway> {
        placed.item.origination_uris.iter().map(|gateway| self.gateway(placed, gateway)).collect()
    }

    /// A gateway, with how the one under its URI does in the stored trunk.
    pub(super) fn gateway(&self, stored: &PlacedTrunk, gateway: &OriginationUri) -> Gateway {
        if let Some(target) = Target::of(&gateway.uri, stored.item.transport) {
            let problem = match self.gateway_names.standing(&target) {
                Some(Standing::Failing(problem)) => Some(problem),
                Some(Standing::Current) | None => None,
            };
            let addresses = stored.addresses_of(&gateway.uri).map(|address| Address {
                uri: address.item.uri.clone(),
                tier: address.item.tier,
                weight: address.item.weight,
                health: self.health(Some(address.live).filter(|_| gateway.enabled)),
            });
            return Gateway::of_name(gateway, addresses.collect(), problem);
        }
        let places = stored.item.origination_uris.iter().zip(&stored.gateways);
        let place = places.filter(|(known, _)| known.uri == gateway.uri).map(|(_, live)| *live).next();
        Gateway::new(gateway, self.health(place.filter(|_| gateway.enabled)))
    }

    fn health(&self, place: Option<u32>) -> Health {
        let fitness = place.and_then(|place| self.live(|live| live.gateway_fitness(place, Now::read()))?);
        match fitness {
            Some(Fitness::Up) => Health::Up,
            Some(Fitness::Trial) => Health::Trial,
            Some(Fitness::Down) => Health::Down,
            None => Health::Unknown,
        }
    }

    /// A gateway that was just made.
    pub(super) fn new_gateway(&self, gateway: &OriginationUri) -> Gateway {
        Gateway::new(gateway, Health::Unknown)
    }
}
