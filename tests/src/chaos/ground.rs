//! The ground that rounds are played on: one Trunkline, one receiver, and a fresh set of gateways for each round.
//!
//! It must never be repaired between rounds: what one round leaves behind, the next one finds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::check::Told;
use super::plan::Sort;
use crate::api::Api;
use crate::bench::agent::Busy;
use crate::gateway::Gateway;
use crate::kamailio::Options;
use crate::receiver::Receiver;
use crate::stack::Stack;
use crate::toml::Trunk;
use crate::{clock, kamailio, trunkd, wait};

/// Calls at once that the narrow trunk may have.
pub const NARROW: usize = 3;
/// Calls per second of the paced trunk, and at once.
pub const PACED: (f64, u32) = (10.0, 5);
/// Digest user and password, which is a secret.
pub const CREDENTIAL: (&str, &str) = ("pbx", "never-seen-anywhere-4711");

/// Counters that may move only when Kamailio itself came to harm.
const EXCUSED: [&str; 3] =
    ["trunkline_orphans_total", "trunkline_count_drift_total", "trunkline_calls_reconciled_total"];
/// Counters that may never move.
const FORBIDDEN: [&str; 5] = [
    "trunkline_images_refused",
    "trunkline_module_panics",
    "trunkline_module_underflows",
    "trunkline_ring_dropped",
    "trunkline_outbox_parked",
];

/// What rounds share.
#[derive(Debug)]
pub struct Ground {
    /// trunkd and Kamailio.
    pub stack: Stack,
    /// Where all events go.
    pub receiver: Receiver,
    /// The trunk that is written to through the API.
    pub written: String,
    /// Its limit, as the last accepted write said.
    pub limit: f64,
    /// When the clock was put right that had been set, if Kamailio has seen that clock.
    pub clock_right_since: Option<Instant>,
}

/// The far sides of one round.
#[derive(Debug)]
pub struct Gateways {
    all: Vec<Gateway>,
    /// Fails every call.
    pub failing: Gateway,
    /// Of the paced trunk.
    pub paced: Busy,
}

impl Gateways {
    /// Call-IDs of all INVITEs that came.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn invited(&self) -> Result<BTreeSet<String>> {
        let mut ids = BTreeSet::new();
        for gateway in self.all.iter().chain([&self.failing]) {
            let messages = gateway.messages()?;
            let invites = messages.iter().filter(|m| !m.sent && m.code().is_none() && m.method() == "INVITE");
            ids.extend(invites.map(|m| m.call_id().to_owned()));
        }
        Ok(ids)
    }
}

impl Ground {
    /// Starts it.
    ///
    /// # Errors
    /// Something does not come up.
    pub fn start(options: Options) -> Result<Ground> {
        // A caller that died is noticed soon, and nothing rings for long.
        let options = options.define("KEEPALIVE_S=30").define("GATEWAY_RING_MS=20000");
        // All callers have one address: who guesses must not spoil it for those who know, and of whom the brake of strangers answers
        // nobody is told.
        let options = options.define("WRONG_PASSWORDS_PER_MINUTE=0").define("STRANGERS_PER_S=0");
        // Many deaths leave many dialogs to be restored.
        let options = Options { memory_mb: 256, ..options };
        let mut stack = Stack::prepare(options)?;
        clock::make(&stack.places)?;
        let socket = kamailio::rpc_socket(&stack.places);
        trunkd::add_section(
            &stack.places,
            &format!("\n[kamailio]\nrpc_socket = \"{}\"\n", socket.display()),
        )?;
        stack.start_trunkd()?;
        stack.start_kamailio()?;
        let trunk = json!({"name": "written", "cpsLimit": 1, "ipAcls": [{"ipAddress": "127.0.0.1"}]});
        let made = Api::of(&stack)?.done("POST", "/v1/trunks?wait=applied", &trunk)?;
        let written = made["trunkId"].as_str().context("trunkId")?.to_owned();
        Ok(Ground {
            stack,
            receiver: Receiver::start("chaos")?,
            written,
            limit: 1.0,
            clock_right_since: None,
        })
    }

    /// Gateways for a round, and the trunks that lead to them.
    ///
    /// # Errors
    /// One does not come up, or the trunks are not taken.
    pub fn gateways(&self, round: u32) -> Result<Gateways> {
        let play =
            |name: &str, scenario| Gateway::playing(self.stack.dir(), &format!("{name}-{round}"), scenario);
        let answering = play("answering", "call")?;
        let (busy, failing, ringing) =
            (play("busy", "busy")?, play("failing", "unavailable")?, play("ringing", "cancel")?);
        let agreeing = play("agreeing", "reinvite")?;
        let paced = Busy::start()?;
        let listed = |sort: Sort| self.trunk(&id(sort)).source("127.0.0.1");
        let locked = |sort: Sort| {
            self.trunk(&id(sort)).key("authMode", "\"password\"").credential(CREDENTIAL.0, CREDENTIAL.1)
        };
        let to = |trunk: Trunk, gateway: &Gateway| trunk.gateway(&gateway.uri(), 1);
        let trunks = [
            to(listed(Sort::Answered), &answering),
            to(locked(Sort::Password), &answering),
            to(locked(Sort::WrongPassword), &answering),
            to(self.trunk(&id(Sort::Refused)).source("192.0.2.1"), &answering),
            to(listed(Sort::Busy), &busy),
            to(listed(Sort::Failover), &failing).gateway(&answering.uri(), 2),
            to(listed(Sort::Cancel), &ringing),
            to(listed(Sort::Narrow).limits(NARROW as u32, "1000"), &answering),
            to(listed(Sort::Vanishing), &answering),
            to(listed(Sort::Reinvite), &agreeing),
            to(listed(Sort::LateAck), &answering),
            // Without webhooks: what it lets through is seen on the wire, and nobody checks who was told of its refusals.
            Trunk::new("paced")
                .limits(1000, &PACED.0.to_string())
                .key("cpsBurst", &PACED.1.to_string())
                .source("127.0.0.1")
                .gateway(&format!("sip:{}", paced.address), 1),
        ];
        self.stack.site.apply(&trunks)?;
        Ok(Gateways { all: vec![answering, busy, ringing, agreeing], failing, paced })
    }

    fn trunk(&self, id: &str) -> Trunk {
        Trunk::new(id).webhook(&self.receiver.url(), self.receiver.secret())
    }

    /// The domain that calls of a sort go to.
    #[must_use]
    pub fn domain(&self, sort: Sort) -> String {
        self.stack.site.domain(&id(sort))
    }

    /// Waits until no call is up, nothing is on its way and everything is delivered.
    ///
    /// # Errors
    /// What is still there.
    pub fn quiet(&self) -> Result<()> {
        let site = &self.stack.site;
        // A minute for a lost call, and what a keep-alive needs to find a dead end.
        let limit = Duration::from_secs(180);
        wait::until_within(limit, "no slot and no dialog", || {
            Ok((site.calls()? == 0 && site.dialogs()? == 0).then_some(()))
        })
        .with_context(|| format!("{:?} slots, {:?} dialogs", site.calls(), site.dialogs()))?;
        wait::until_within(limit, "all events to be delivered", || {
            let waiting = site.metric("trunkline_ring_waiting")? + site.metric("trunkline_outbox_pending")?;
            Ok((waiting == 0.0).then_some(()))
        })
    }

    /// What the receiver has accepted in this round, each event once.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        let mut known = BTreeSet::new();
        let mut told = Vec::new();
        for delivery in self.receiver.deliveries() {
            let Ok(id) = &delivery.id else { continue };
            if delivery.status >= 300 || !known.insert(id.clone()) {
                continue;
            }
            let data = &delivery.body["data"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            told.push(Told {
                call: text(&data["callId"]),
                sip_call: text(&data["sipCallId"]),
                kind: delivery.kind().to_owned(),
                sequence: data["sequence"].as_u64().unwrap_or_default(),
                allowed: data["allowed"] == true,
                length_ms: data["durationMs"].as_i64().filter(|_| data["reconciled"] != true),
            });
        }
        told
    }

    /// Events that were being written in the instant in which Kamailio was killed, over the ring's life.
    ///
    /// # Errors
    /// trunkd does not answer.
    pub fn lost(&self) -> Result<usize> {
        Ok(self.stack.site.metric("trunkline_ring_lost")? as usize)
    }

    /// Counters that may not move at all, and those that may when Kamailio came to harm.
    ///
    /// # Errors
    /// trunkd does not answer.
    pub fn counters(&self) -> Result<[Vec<(&'static str, f64)>; 2]> {
        let read = |names: &[&'static str]| -> Result<Vec<_>> {
            names.iter().map(|name| Ok((*name, self.stack.site.metric(name)?))).collect()
        };
        Ok([read(&FORBIDDEN)?, read(&EXCUSED)?])
    }
}

fn id(sort: Sort) -> String {
    format!("{sort:?}").to_lowercase()
}
