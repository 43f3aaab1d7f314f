//! Where a call goes next, and what is heard of gateways.
//!
//! Must never offer a gateway twice to one call, whoever routed it before.

use std::cell::OnceCell;

use super::{Instance, next_random};
use crate::clock::Now;
use crate::decide::Identity;
use crate::image::{GatewayView, Text};
use crate::live::health::{Fitness, HealthWord, Outcome};
use crate::live::{Live, SlotRef};
use crate::map::monotonic_ns;
use crate::model::FailoverCodes;
use crate::route;

/// A gateway for a call.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    text: Text,
    /// Index of its health word.
    pub live: u32,
    /// 1 for the first gateway of the call.
    pub attempt: u8,
}

impl Target {
    /// As it was configured: `sip:host[:port][;transport=…]`.
    pub fn uri(&self) -> &[u8] {
        self.text.split(b' ').0
    }

    /// Where calls are sent: as [`Target::uri`], and an address.
    pub fn next_hop(&self) -> &[u8] {
        self.text.split(b' ').1
    }
}

impl Instance {
    /// The answers after which the trunk's next gateway is tried.
    pub fn failover_codes(&self, identity: &Identity) -> FailoverCodes {
        self.tables.as_ref().map_or_else(FailoverCodes::default, |tables| {
            tables.image(identity.in_overlay).failover_codes(&identity.trunk)
        })
    }

    /// The call's next gateway, never one it has tried; `None` when none is left. A call of another message than the one in hand: see
    /// [`Instance::message_is_over`].
    #[inline]
    pub fn route(&mut self, identity: &Identity, slot: SlotRef) -> Option<Target> {
        let random = next_random(&mut self.random);
        let image = self.tables.as_ref()?.image(identity.in_overlay);
        let sum = identity.trunk.gateway_sum();
        // What it has tried was written a moment ago, and reading it back would wait for its memory.
        let is_first = self.unrouted.take() == Some(slot);
        let (mut tried, last) = if is_first { (0, None) } else { self.live.tried(slot, sum) };
        if let Some(last) = last {
            for gateway in image.gateways(&identity.trunk).filter(|gateway| gateway.live == last) {
                tried |= 1 << gateway.position;
            }
        }
        // Most gateways have never failed; only for others does the time matter.
        let clock = OnceCell::new();
        let now_ms = || *clock.get_or_init(|| monotonic_ns() / 1_000_000);
        // A trial belongs to one call: whoever loses the race for it chooses again, without that gateway.
        let mut lost = 0_u64;
        loop {
            let fitness = |gateway: &GatewayView| match self.live.health(gateway.live) {
                Some(word) if word.is_good() => Fitness::Up,
                Some(word) if (lost >> gateway.position) & 1 == 0 => word.fitness(now_ms()),
                _ => Fitness::Down,
            };
            let position = route::choose(image.gateways(&identity.trunk), tried, fitness, random)?;
            let chosen = image.gateways(&identity.trunk).nth(position)?;
            let lost_already = (lost >> chosen.position) & 1 == 1;
            let health = self.live.health(chosen.live).filter(|word| !lost_already && !word.is_good());
            if health
                .is_some_and(|word| word.fitness(now_ms()) == Fitness::Trial && !word.take_trial(now_ms()))
            {
                lost |= 1 << chosen.position;
                continue;
            }
            let before = if is_first { 0 } else { self.live.attempts(slot) };
            let attempt = self.live.note_tried(slot, sum, tried | 1 << chosen.position, chosen.live, before);
            return Some(Target { text: image.gateway_text(&chosen), live: chosen.live, attempt });
        }
    }

    /// What came of sending a call to a gateway.
    pub fn gateway_result(&self, gateway_live: u32, outcome: Outcome, now: Now) {
        if let Some(word) = self.live.health(gateway_live) {
            word.report(outcome, now.mono_ns / 1_000_000);
        }
    }

    /// Hands the gateways of the trunk with this index to `ask`, which sends each a probe.
    pub fn probe(&self, trunk_live: u32, now: Now, mut ask: impl FnMut(Target)) {
        let Some(tables) = &self.tables else { return };
        let Some((trunk, in_overlay)) = tables.trunk_by_live(trunk_live) else { return };
        let image = tables.image(in_overlay);
        for gateway in image.gateways(&trunk).filter(|_| trunk.enabled()) {
            let Some(word) = self.live.health(gateway.live) else { continue };
            word.probed(now.mono_ns / 1_000_000);
            ask(Target { text: image.gateway_text(&gateway), live: gateway.live, attempt: 0 });
        }
    }

    /// A gateway has answered a probe.
    pub fn probe_answered(&self, gateway_live: u32) {
        if let Some(word) = self.live.health(gateway_live) {
            word.answered();
        }
    }

    /// How many trunks there is room for.
    pub fn trunks_room(&self) -> u32 {
        self.options.trunks
    }

    /// URI of a gateway of the trunk, as it was configured.
    pub fn gateway_uri(&self, identity: &Identity, gateway_live: u32) -> Text {
        let mut uri = Text::EMPTY;
        let Some(tables) = &self.tables else { return uri };
        let image = tables.image(identity.in_overlay);
        let found = image.gateways(&identity.trunk).find(|gateway| gateway.live == gateway_live);
        if let Some(gateway) = found {
            uri.push(image.gateway_text(&gateway).split(b' ').0);
        }
        uri
    }
}

impl Live {
    pub(crate) fn health(&self, gateway_live: u32) -> Option<HealthWord<'_>> {
        self.health_word(gateway_live).map(HealthWord)
    }
}
