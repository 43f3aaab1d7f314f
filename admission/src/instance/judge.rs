//! What is decided about a call, in the order in which the module asks: its key, whose it is, whether it may pass; and the names of both.
//!
//! Must never keep what one step found for another call than it was found for, nor beyond the message in hand.

use super::{Instance, next_random};
use crate::clock::Now;
use crate::decide::{self, Attempt, Barred, Identity, Proof, Verdict};
use crate::image::{Ha1, Host, Label, Text, TrunkRef};
use crate::live::process::Counter;
use crate::live::{CallKey, Scope};
use crate::reason::Reason;

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

impl Instance {
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

    /// What comes now is about another message: a call that was admitted a moment ago may be routed by another process meanwhile.
    pub fn message_is_over(&mut self) {
        self.unrouted = None;
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
}

/// A version 7 UUID (RFC 9562 section 5.7): milliseconds since 1970, then random bits.
fn uuid_v7(wall_ms: u64, random: [u64; 2]) -> [u8; 16] {
    let time = u128::from(wall_ms & 0xffff_ffff_ffff) << 80;
    let noise = u128::from(random[0]) << 64 | u128::from(random[1]);
    let value = time | noise & ((1 << 80) - 1);
    let value = value & !(0xf << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62;
    value.to_be_bytes()
}
