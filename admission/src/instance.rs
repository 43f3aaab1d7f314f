//! The module's handle: the images in force, the live words and the ring, joined for one process.
//!
//! Made once before Kamailio forks, then each process goes on with its own copy of the handle over the same memory.
//! After start nothing here locks, waits, or allocates, but for the moment a new image is mapped.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::clock::Now;
use crate::control::{Control, Pair};
use crate::crash;
use crate::decide::{self, Admission, Attempt, Barred, Identity, Proof, Verdict};
use crate::error::OpenError;
use crate::events::{EventOut, Producer, Pushed, Size};
use crate::image::{Check, GatewayView, Ha1, Host, Label, Text, TrunkRef};
use crate::live::health::{Fitness, HealthWord, Outcome};
use crate::live::process::Counter;
use crate::live::slots::Ahead;
use crate::live::{CallKey, CallView, Capacity, Ending, Live, Origin, Scope, SlotRef};
use crate::map::{self, monotonic_ns};
use crate::model::FailoverCodes;
use crate::reason::Reason;
use crate::route;
use crate::tables::Tables;

/// Start-up parameters: how much room the shared files have.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the shared files.
    pub dir: PathBuf,
    /// Most calls at the same time.
    pub slots: u32,
    /// Most trunks.
    pub trunks: u32,
    /// Most accounts.
    pub accounts: u32,
    /// Most gateways.
    pub gateways: u32,
    /// Most processes.
    pub processes: u32,
    /// Events that may wait in the ring.
    pub ring_cells: u32,
    /// Events that may wait in the spill file while the ring is full; 0 for no spill file.
    pub spill_cells: u32,
}

/// How [`Instance::refresh`] went.
#[derive(Debug)]
pub enum Freshness {
    /// What is mapped is what is in force.
    Same,
    /// A newer table was mapped.
    Newer,
    /// Nothing was ever published.
    Empty,
    /// What is in force cannot be used; what was mapped before goes on. Said once for each pair.
    Refused(OpenError),
    /// As before, already said.
    StillRefused,
}

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

/// Numbers for the status RPC.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Generation in force in this process; 0 for none.
    pub generation: u32,
    /// Store revision of it.
    pub revision: u64,
    /// Trunks of the table in force.
    pub trunks: usize,
    /// Calls at the same time.
    pub calls: u32,
    /// Most calls at the same time.
    pub slots: u32,
    /// Start of Kamailio, counted.
    pub epoch: u64,
    /// Cells of the ring, and how many wait.
    pub ring: (u64, u64),
    /// Events whose producer died while writing.
    pub events_lost: u64,
    /// Gateways that are down, or due for a trial.
    pub gateways_down: u32,
    /// Milliseconds since 1970 of the publisher's last sign of life; 0 for none.
    pub heartbeat_ms: u64,
}

/// The handle of one process.
#[derive(Debug)]
pub struct Instance {
    options: Options,
    control: Option<Control>,
    tables: Option<Tables>,
    /// The pair that could not be mapped: not tried again until it changes or a while has passed.
    refused: Pair,
    retry_at_ns: u64,
    live: Live,
    events: Producer,
    process: u32,
    random: u64,
    /// What [`Instance::identify`] found for the call among the slots, for [`Instance::admit`].
    ahead: Ahead,
    /// The call of the message in hand, if it was admitted and not routed yet: it has tried no gateway.
    unrouted: Option<SlotRef>,
}

/// Between two attempts at something that was not there.
const RETRY_NS: u64 = 100_000_000;
/// How often one refresh goes after a publisher that names faster than this process maps.
const TURNS: u32 = 8;

impl Instance {
    /// Before the fork: makes or takes over `live` and `events`, and maps what is published, if anything is.
    pub fn create(options: &Options) -> Result<Instance, OpenError> {
        map::make_directory(&options.dir, None).map_err(|error| OpenError::io(&options.dir, error))?;
        let capacity = Capacity {
            trunks: options.trunks,
            accounts: options.accounts,
            gateways: options.gateways,
            slots: options.slots,
            processes: options.processes,
        };
        let live = Live::create_or_reopen(&options.dir, capacity)?;
        let size = Size { cells: options.ring_cells, spill: options.spill_cells };
        let events = Producer::create_or_reopen(&options.dir, size)?;
        Ok(Instance::over(options, live, events))
    }

    /// A handle for a process that was not forked from the one that called [`Instance::create`]: over the files as they
    /// are, in the present epoch. For load generators and proofs; only the directory of `options` counts.
    pub fn join(options: &Options) -> Result<Instance, OpenError> {
        let live = Live::attach(&options.dir)?;
        let events = Producer::attach(&options.dir)?;
        let mut instance = Instance::over(options, live, events);
        instance.refresh();
        Ok(instance)
    }

    fn over(options: &Options, live: Live, events: Producer) -> Instance {
        Instance {
            options: options.clone(),
            control: None,
            tables: None,
            refused: Pair::default(),
            retry_at_ns: 0,
            live,
            events,
            process: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            ahead: Ahead::default(),
            unrouted: None,
        }
    }

    /// After the fork: which counters are this process's own, and where its random numbers start.
    pub fn enter_process(&mut self, index: u32, pid: u32, seed: u64) {
        self.process = index;
        self.random = seed | 1;
        self.live.enter_process(index, pid);
        // What was mapped before the fork is this process's too.
        self.live.note_pair(index, self.tables.as_ref().map(|tables| tables.pair).unwrap_or_default().0);
    }

    /// Maps what is in force. One load when nothing changed.
    #[inline]
    pub fn refresh(&mut self) -> Freshness {
        self.refresh_in(TURNS)
    }

    fn refresh_in(&mut self, turns: u32) -> Freshness {
        let mapped = self.tables.as_ref().map(|tables| tables.pair).unwrap_or_default();
        let Some(control) = &self.control else { return self.find_control() };
        let pair = control.pair();
        if pair == mapped {
            self.tables.iter_mut().for_each(Tables::release_some);
            return if pair == Pair::default() { Freshness::Empty } else { Freshness::Same };
        }
        if pair == self.refused && monotonic_ns() < self.retry_at_ns {
            return Freshness::StillRefused;
        }
        let check = if self.process == 0 { Check::Everything } else { Check::BetweenCalls };
        let said = pair == self.refused;
        match Tables::open(&self.options.dir, pair, check, self.tables.take()) {
            Ok(tables) => {
                self.tables = Some(tables);
                self.refused = Pair::default();
                self.live.count(self.process, Counter::ImagesMapped);
                self.live.note_pair(self.process, pair.0);
                Freshness::Newer
            }
            // Named again while we were off the processor, and what it named is gone: no fault of the image.
            Err(outrun) if control.pair() != pair && turns > 0 => {
                self.tables = outrun.1;
                self.refresh_in(turns - 1)
            }
            Err(refused) => {
                let (error, previous) = *refused;
                self.tables = previous;
                self.refused = pair;
                self.retry_at_ns = monotonic_ns() + RETRY_NS;
                if said {
                    return Freshness::StillRefused;
                }
                self.live.count(self.process, Counter::ImagesRefused);
                Freshness::Refused(error)
            }
        }
    }

    /// Looks for the control file, not more often than every 100 ms.
    fn find_control(&mut self) -> Freshness {
        let now = monotonic_ns();
        if now < self.retry_at_ns {
            return Freshness::Empty;
        }
        self.retry_at_ns = now + RETRY_NS;
        match Control::open(&self.options.dir) {
            Ok(control) => {
                self.control = Some(control);
                self.retry_at_ns = 0;
                self.refresh()
            }
            Err(OpenError::Missing { .. }) => Freshness::Empty,
            // Said once: a second look at the same damage is no news.
            Err(_) if self.refused.0 == u64::MAX => Freshness::StillRefused,
            Err(error) => {
                self.refused = Pair(u64::MAX);
                Freshness::Refused(error)
            }
        }
    }

    /// The generation that this process decides by; 0 for none.
    pub fn generation(&self) -> u32 {
        self.tables.as_ref().map_or(0, |tables| tables.pair.generation())
    }

    /// The key of a call: the same for every copy of one INVITE, wherever it is met (RFC 3261 section 8.2.2.2).
    #[inline]
    pub fn call_key(&self, call_id: &[u8], from_tag: &[u8], cseq: u32) -> CallKey {
        CallKey::new(self.live.keys().call(call_id, from_tag, cseq))
    }

    /// As [`Instance::call_key`], of a call to this host that [`Instance::identify`] and [`Instance::admit`] are about to judge: what
    /// they will read is on its way from memory meanwhile. Most of the time of a decision would otherwise be waiting for it.
    #[inline]
    pub fn call_key_to(&self, host: &Host, call_id: &[u8], from_tag: &[u8], cseq: u32) -> CallKey {
        let keys = self.live.keys();
        if let Some(tables) = self.tables.as_ref() {
            tables.ask(host);
        }
        let call = keys.call_id(call_id);
        let key = CallKey::new(keys.call_of(call, from_tag, cseq));
        self.live.slots().prefetch(key);
        self.events.prefetch();
        key
    }

    /// Whose call it is and what the caller must prove. Takes nothing; call [`Instance::refresh`] before.
    #[inline]
    pub fn identify(&self, attempt: &Attempt<'_>) -> Result<Identity, Barred> {
        let Some(tables) = &self.tables else {
            self.count_refusal(Reason::NoData, None);
            return Err(Barred { reason: Reason::NoData, identity: None });
        };
        // Its trunk is on its way from memory meanwhile.
        self.ahead.note(attempt.call, self.live.slots().look_ahead(attempt.call));
        let found = decide::find(tables, &self.live, attempt);
        let counted = |reason, trunk: Option<&TrunkRef>| self.count_refusal(reason, trunk);
        decide::identify(tables, found, attempt, counted, &())
    }

    /// The hashes of one of the trunk's digest users.
    pub fn credential(&self, identity: &Identity, username: &[u8]) -> Option<Ha1> {
        self.tables.as_ref()?.credential(&identity.trunk, identity.in_overlay, username)
    }

    /// Spends what the call needs, or nothing.
    #[inline]
    pub fn admit(&mut self, identity: &Identity, attempt: &Attempt<'_>, proof: Proof, now: Now) -> Verdict {
        let Some(tables) = &self.tables else { return Verdict::Refused(Reason::NoData.into()) };
        let random = [next_random(&mut self.random), next_random(&mut self.random)];
        let uid = || uuid_v7(now.wall_ms, random);
        let place = self.ahead.take(attempt.call);
        let verdict = decide::admit(tables, &self.live, identity, attempt.call, place, proof, now, uid);
        self.unrouted = None;
        match &verdict {
            Verdict::Admitted(admission) => {
                self.unrouted = Some(admission.slot);
                self.live.count(self.process, Counter::Admitted);
            }
            Verdict::Again(_) => self.live.count(self.process, Counter::Again),
            Verdict::InFlight => self.live.count(self.process, Counter::InFlight),
            Verdict::Challenge => self.live.count(self.process, Counter::Refused(Reason::Challenge)),
            Verdict::Refused(refusal) => self.count_refusal(refusal.reason, Some(&identity.trunk)),
        }
        verdict
    }

    /// Refuses an identified call without looking any further: it brings nothing that is worth it.
    pub fn turn_away(&self, identity: &Identity, reason: Reason) {
        match reason {
            // Asked for a password: the call goes on, so its trunk has refused nothing yet.
            Reason::Challenge => self.live.count(self.process, Counter::Refused(reason)),
            _ => self.count_refusal(reason, Some(&identity.trunk)),
        }
    }

    /// The directory of the shared files.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    #[cold]
    fn count_refusal(&self, reason: Reason, trunk: Option<&TrunkRef>) {
        self.live.count(self.process, Counter::Refused(reason));
        if let Some(line) = trunk.and_then(|trunk| self.live.line(Scope::Trunk(trunk.live()))) {
            line.count_refused();
        }
    }

    /// An id for an attempt that was refused: refused calls have one too.
    pub fn new_uid(&mut self, now: Now) -> [u8; 16] {
        uuid_v7(now.wall_ms, [next_random(&mut self.random), next_random(&mut self.random)])
    }

    /// Id and account id of the trunk.
    #[inline]
    pub fn names(&self, identity: &Identity) -> Names {
        let Some(tables) = &self.tables else { return Names::EMPTY };
        let image = tables.image(identity.in_overlay);
        Names {
            trunk: image.trunk_id(&identity.trunk),
            account: identity
                .account
                .map_or(Text::EMPTY, |(view, overlay)| tables.image(overlay).account_id(&view)),
        }
    }

    /// The realm of its digest users: the trunk's domain, or the host of all inbound URIs for an application.
    pub fn realm(&self, identity: &Identity) -> Text {
        self.tables.as_ref().map_or(Text::EMPTY, |tables| tables.realm(identity))
    }

    /// The trunk of a call that was admitted before, perhaps by another process.
    pub fn identity_of(&self, trunk_live: u32) -> Option<Identity> {
        let tables = self.tables.as_ref()?;
        let (trunk, in_overlay) = tables.trunk_by_live(trunk_live)?;
        let account = tables.account_of(&trunk, in_overlay);
        Some(Identity { trunk, in_overlay, account, needs_password: false })
    }

    /// The answers after which the trunk's next gateway is tried.
    pub fn failover_codes(&self, identity: &Identity) -> FailoverCodes {
        self.tables.as_ref().map_or_else(FailoverCodes::default, |tables| {
            tables.image(identity.in_overlay).failover_codes(&identity.trunk)
        })
    }

    /// What comes now is about another message: a call that was admitted a moment ago may be routed by another process meanwhile.
    pub fn message_is_over(&mut self) {
        self.unrouted = None;
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
            let chosen = route::choose(image.gateways(&identity.trunk), tried, fitness, random)?;
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

    /// The call of a slot, while the slot carries it.
    pub fn call(&self, slot: SlotRef) -> Option<CallView> {
        self.live.call(slot)
    }

    /// The time of a call, by its own clock.
    pub fn time_of(&self, slot: SlotRef, now: Now) -> u64 {
        self.live.clock_of(slot).at(now)
    }

    /// The far side rings.
    pub fn ringing(&self, slot: SlotRef, wall_ms: u64) {
        self.live.ringing(slot, wall_ms);
    }

    /// The call is answered; `true` for the first who says so.
    pub fn answered(&self, slot: SlotRef, wall_ms: u64) -> bool {
        self.live.answered(slot, wall_ms)
    }

    /// Ties a call to Kamailio's dialog.
    pub fn bind_dialog(&self, slot: SlotRef, entry: u32, id: u32) {
        self.live.bind_dialog(slot, entry, id);
    }

    /// Whether a call whose dialog Kamailio restored has ended before: the row should have been deleted, and was not.
    pub fn has_ended(&self, call: &CallView, key: CallKey, saved: Origin) -> bool {
        self.live.has_ended(call, key, saved)
    }

    /// Takes a call whose dialog Kamailio restored into this epoch.
    pub fn adopt(&self, call: &CallView, key: CallKey) -> Option<SlotRef> {
        self.live.adopt(call, key, Now::read())
    }

    /// Every restored dialog has been adopted: what is left of earlier epochs is orphaned.
    pub fn mark_restored(&self) {
        self.live.mark_restored();
    }

    /// Ends a call: claims it, reports its ending, frees its slot. `false` when somebody else did.
    ///
    /// `report` gets the call and pushes its event before the slot is freed: whoever dies in between leaves a slot that
    /// the daemon finds.
    pub fn end(&self, slot: SlotRef, report: impl FnOnce(&CallView)) -> bool {
        let Some(ending) = self.live.begin_end(slot) else { return false };
        let Ending(view) = ending;
        crash::point("end.claimed");
        report(&view);
        crash::point("end.reported");
        for _ in 0..self.live.finish_end(ending) {
            self.live.count(self.process, Counter::Underflows);
        }
        self.live.count(self.process, Counter::Ended);
        true
    }

    /// Puts an event on the ring.
    #[inline]
    pub fn push(&self, event: &EventOut<'_>) -> Pushed {
        let pushed = self.events.push(event);
        if pushed == Pushed::Full {
            self.live.count(self.process, Counter::EventsDropped);
        }
        pushed
    }

    /// Counts a panic that was caught at the boundary.
    pub fn count_panic(&self) {
        self.live.count(self.process, Counter::Panics);
    }

    /// The live words, for reading.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Numbers for the status RPC.
    pub fn status(&self) -> Status {
        let newest = self.tables.as_ref().map(Tables::newest);
        Status {
            generation: self.generation(),
            revision: newest.map_or(0, |image| image.revision()),
            trunks: newest.map_or(0, |image| image.trunks()),
            calls: self.live.node_calls(),
            slots: self.options.slots,
            epoch: self.live.epoch(),
            ring: self.events.fill(),
            events_lost: self.events.lost(),
            gateways_down: self.live.gateways_down(Now::read()),
            heartbeat_ms: self.control.as_ref().map_or(0, Control::heartbeat_ms),
        }
    }

    /// The slot of an admission that is still in its first use: for scripts that lost it.
    pub fn admission(&self, slot: SlotRef) -> Option<Admission> {
        self.live.call(slot).map(|call| Admission { slot, uid: call.uid })
    }
}

/// The names of a trunk, for pseudo-variables and events.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Its id.
    pub trunk: Label,
    /// Id of its account; empty when it has none.
    pub account: Label,
}

impl Names {
    /// No names.
    pub const EMPTY: Names = Names { trunk: Label::EMPTY, account: Label::EMPTY };
}

/// xorshift64*: fair enough to share calls among gateways, and no system call.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// A version 7 UUID (RFC 9562 section 5.7): milliseconds since 1970, then random bits.
fn uuid_v7(wall_ms: u64, random: [u64; 2]) -> [u8; 16] {
    let time = u128::from(wall_ms & 0xffff_ffff_ffff) << 80;
    let noise = u128::from(random[0]) << 64 | u128::from(random[1]);
    let value = time | noise & ((1 << 80) - 1);
    let value = value & !(0xf << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62;
    value.to_be_bytes()
}

impl Live {
    pub(crate) fn health(&self, gateway_live: u32) -> Option<HealthWord<'_>> {
        self.health_word(gateway_live).map(HealthWord)
    }
}
