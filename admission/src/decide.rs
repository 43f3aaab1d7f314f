//! The decision: may this call pass? A function of the table, the live words, the attempt and the time, and nothing else.
//!
//! Two halves around the digest check, which belongs to Kamailio: [`identify`] says whose call it is and what it must
//! prove, [`admit`] spends. Nothing is spent on a call that has not proved what it must. Must never wait, allocate, log
//! or know SIP beyond a host, a user part and an address.

use std::net::IpAddr;

use crate::crash;
use crate::image::{AccountView, Folded, SourceMatch, TrunkRef};
use crate::live::slots::Claim;
use crate::live::{CallKey, Line, Live, Scope, SlotRef};
use crate::map;
use crate::model::AuthMode;
use crate::rate::{Rate, Token};
use crate::reason::Reason;
use crate::tables::Tables;

/// What the decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Host of the Request-URI.
    pub host: &'a [u8],
    /// User part of the Request-URI.
    pub user: &'a [u8],
    /// Where the request came from.
    pub source: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The call's key.
    pub call: CallKey,
}

/// What the caller has proved by digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It brought no credentials, or outdated ones.
    None,
    /// They were right.
    Verified,
    /// They were wrong.
    Failed,
}

/// The time of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic clock in nanoseconds: limits.
    pub mono_ns: u64,
    /// Wall clock in milliseconds since 1970: for people.
    pub wall_ms: u64,
}

impl Now {
    /// Both clocks, without a system call.
    pub fn read() -> Now {
        let (mono_ns, wall_ms) = map::both_clocks();
        Now { mono_ns, wall_ms }
    }
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// The trunk's record.
    pub trunk: TrunkRef,
    pub(crate) in_overlay: bool,
    pub(crate) account: Option<(AccountView, bool)>,
    /// Whether a password must be proved.
    pub needs_password: bool,
}

/// A refused call: why, and the numbers behind it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The limit: calls for a count, burst for a rate.
    pub limit: u32,
    /// What was counted against it.
    pub count: u32,
    /// How long until a call would pass, in milliseconds rounded up; 0 when unknown, `u64::MAX` when never.
    pub wait_ms: u64,
    /// The trunk, once it was identified.
    pub identity: Option<Identity>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, identity: Option<Identity>) -> Refusal {
        Refusal { reason, limit: 0, count: 0, wait_ms: 0, identity }
    }
}

/// An admitted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Its slot.
    pub slot: SlotRef,
    /// Its id, a version 7 UUID.
    pub uid: [u8; 16],
}

/// The decision.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// It may pass; its slot is taken.
    Admitted(Admission),
    /// The same INVITE was admitted before: the same slot, nothing taken again.
    Again(Admission),
    /// The same INVITE is being judged by another worker now.
    InFlight,
    /// A password is needed.
    Challenge(Identity),
    /// It may not.
    Refused(Refusal),
}

/// Whose call is it, may that trunk be used here and now, and what must the caller prove?
#[inline]
pub(crate) fn identify(tables: &Tables, live: &Live, attempt: &Attempt<'_>) -> Result<Identity, Refusal> {
    let found = Folded::new(attempt.host).and_then(|host| {
        tables.trunk_by_host(&host).or_else(|| by_user_or_source(tables, host.as_bytes(), attempt))
    });
    let Some((trunk, in_overlay)) = found else {
        return Err(Refusal::new(Reason::UnknownDestination, None));
    };
    // What is needed next is on its way while the caller's address is looked up.
    live.prefetch_line(Scope::Trunk(trunk.live()));
    tables.image(in_overlay).prefetch_gateways(&trunk);
    let account = trunk.account().and_then(|live| tables.account(live));
    let mut identity = Identity { trunk, in_overlay, account, needs_password: false };
    let refuse = |reason| Err(Refusal::new(reason, Some(identity)));
    let account_enabled = trunk.account().is_none() || account.is_some_and(|(account, _)| account.enabled());
    if !trunk.enabled() || !account_enabled {
        return refuse(Reason::Disabled);
    }
    if !trunk.region_allowed() {
        return refuse(Reason::RegionDenied);
    }
    if trunk.secure() && !attempt.secure {
        return refuse(Reason::SourceDenied);
    }
    let listed = || tables.image(in_overlay).source_allowed(&trunk, attempt.source);
    let (sources, credentials) = (trunk.has_sources(), trunk.has_credentials());
    identity.needs_password = match trunk.auth() {
        AuthMode::Any if !sources && !credentials => return refuse(Reason::NoAuthConfigured),
        AuthMode::Any if listed() => false,
        AuthMode::Any if credentials => true,
        AuthMode::All if !sources || !credentials => return refuse(Reason::NoAuthConfigured),
        // The address is judged before a password is asked for: no oracle for whoever may not call at all.
        AuthMode::All if listed() => true,
        AuthMode::Password if credentials => true,
        AuthMode::Password => return refuse(Reason::NoAuthConfigured),
        AuthMode::Ip if !sources => return refuse(Reason::NoAuthConfigured),
        AuthMode::Ip if listed() => false,
        AuthMode::Any | AuthMode::All | AuthMode::Ip => return refuse(Reason::SourceDenied),
    };
    Ok(identity)
}

/// By inbound user on the inbound host; by source address alone on the bare base domain.
fn by_user_or_source(tables: &Tables, host: &[u8], attempt: &Attempt<'_>) -> Option<(TrunkRef, bool)> {
    let newest = tables.newest();
    if newest.is_inbound_host(host) {
        return tables.application_by_user(attempt.user);
    }
    match tables.source(attempt.source) {
        SourceMatch::Trunk(live) if newest.is_base_domain(host) => tables.trunk_by_live(live),
        _ => None,
    }
}

/// One level of limits.
#[derive(Clone, Copy)]
struct Level<'a> {
    line: Line<'a>,
    rate: Option<Rate>,
    concurrent: Option<u32>,
    cps: Reason,
    calls: Reason,
}

/// Spends: CPS, then concurrency, of trunk, account and node, then a slot. All or nothing.
#[inline]
pub(crate) fn admit(
    tables: &Tables,
    live: &Live,
    identity: &Identity,
    attempt: &Attempt<'_>,
    proof: Proof,
    now: Now,
    uid: impl FnOnce() -> [u8; 16],
) -> Verdict {
    let refused = |reason| Verdict::Refused(Refusal::new(reason, Some(*identity)));
    match (identity.needs_password, proof) {
        (true, Proof::None) => return Verdict::Challenge(*identity),
        (true, Proof::Failed) => return refused(Reason::BadCredentials),
        (true, Proof::Verified) | (false, _) => {}
    }
    let slots = live.slots();
    let look = slots.look(attempt.call);
    if let Some(claim) = look.known {
        return known(live, claim);
    }
    slots.prefetch_body(&look);
    let Some(levels) = levels(tables, live, identity) else { return refused(Reason::NoData) };
    for level in levels.each() {
        if let Err(refusal) = peek_rate(level, now, identity) {
            return Verdict::Refused(refusal);
        }
    }
    let slot = match slots.claim_seen(look) {
        Claim::Claimed(slot) => slot,
        Claim::Full => return refused(Reason::SlotsExhausted),
        other => return known(live, other),
    };
    let taken = take_all(live, &levels, now, identity);
    let uid = uid();
    if taken.is_ok() {
        // Not before: nobody reads it while the call is being judged, and its memory is on its way meanwhile.
        live.fill(slot, attempt.call, &identity.trunk, uid, now.wall_ms);
    }
    match taken {
        Ok(()) => {
            slots.open(slot, attempt.call);
            crash::point("admit.published");
            Verdict::Admitted(Admission { slot, uid })
        }
        Err(refusal) => {
            slots.abandon(slot);
            Verdict::Refused(refusal)
        }
    }
}

fn known(live: &Live, claim: Claim) -> Verdict {
    match claim {
        Claim::Again(slot) => Verdict::Again(Admission { slot, uid: live.uid(slot) }),
        _ => Verdict::InFlight,
    }
}

/// The trunk's, its account's and the node's limits, in this order; a trunk without an account has two levels.
struct Levels<'a> {
    all: [Level<'a>; 3],
    count: usize,
}

impl<'a> Levels<'a> {
    #[inline]
    fn each(&self) -> &[Level<'a>] {
        &self.all[..self.count.min(3)]
    }
}

/// The levels of a call; `None` when a line lies beyond the file's capacity.
#[inline]
fn levels<'a>(tables: &Tables, live: &'a Live, identity: &Identity) -> Option<Levels<'a>> {
    let trunk = &identity.trunk;
    let own = Level {
        line: live.line(Scope::Trunk(trunk.live()))?,
        rate: trunk.rate(),
        concurrent: trunk.concurrent(),
        cps: Reason::CpsExceeded,
        calls: Reason::ConcurrencyExceeded,
    };
    let node = Level {
        line: live.line(Scope::Node)?,
        rate: tables.node_rate(),
        concurrent: tables.node_concurrent(),
        cps: Reason::NodeOverloaded,
        calls: Reason::NodeOverloaded,
    };
    let Some(index) = trunk.account() else {
        return Some(Levels { all: [own, node, node], count: 2 });
    };
    let (account, _) = identity.account?;
    let account = Level {
        line: live.line(Scope::Account(index))?,
        rate: account.rate(),
        concurrent: account.concurrent(),
        cps: Reason::AccountCpsExceeded,
        calls: Reason::AccountConcurrencyExceeded,
    };
    Some(Levels { all: [own, account, node], count: 3 })
}

fn over_rate(level: &Level<'_>, rate: Rate, over: crate::rate::Exceeded, identity: &Identity) -> Refusal {
    let wait_ms = if over.wait_ns == u64::MAX { u64::MAX } else { over.wait_ns.div_ceil(1_000_000) };
    Refusal { reason: level.cps, limit: rate.burst(), count: over.count, wait_ms, identity: Some(*identity) }
}

fn peek_rate(level: &Level<'_>, now: Now, identity: &Identity) -> Result<(), Refusal> {
    let Some(rate) = level.rate else { return Ok(()) };
    level.line.rate().peek(rate, now.mono_ns).map_err(|over| over_rate(level, rate, over, identity))
}

/// Counts the call at every level, then takes a token at every level; gives all of it back if one refuses.
#[inline]
fn take_all(live: &Live, levels: &Levels<'_>, now: Now, identity: &Identity) -> Result<(), Refusal> {
    let mut spent = Spent::default();
    let taken = spend(live, levels, now, identity, &mut spent);
    if taken.is_err() {
        give_all_back(live, levels, &spent);
    }
    taken
}

/// What a call that is being judged has taken so far.
#[derive(Default)]
struct Spent {
    /// Counts, in the order of the levels, then the slots' own.
    counts: usize,
    tokens: [Option<Token>; 3],
}

#[inline]
fn spend(
    live: &Live,
    levels: &Levels<'_>,
    now: Now,
    identity: &Identity,
    spent: &mut Spent,
) -> Result<(), Refusal> {
    let over_calls = |reason, limit: Option<u32>, count| Refusal {
        limit: limit.unwrap_or(u32::MAX),
        count,
        ..Refusal::new(reason, Some(*identity))
    };
    for level in levels.each() {
        let taken = level.line.calls().take(level.concurrent);
        taken.map_err(|count| over_calls(level.calls, level.concurrent, count))?;
        spent.counts += 1;
        crash::point("admit.counted");
    }
    let slots = live.capacity().slots;
    let taken = live.slots_used().take(Some(slots));
    taken.map_err(|count| over_calls(Reason::SlotsExhausted, Some(slots), count))?;
    spent.counts += 1;
    crash::point("admit.counted");
    for (level, token) in levels.each().iter().zip(&mut spent.tokens) {
        let Some(rate) = level.rate else { continue };
        let taken = level.line.rate().take(rate, now.mono_ns);
        *token = Some(taken.map_err(|over| over_rate(level, rate, over, identity))?);
        crash::point("admit.taken");
    }
    Ok(())
}

#[cold]
fn give_all_back(live: &Live, levels: &Levels<'_>, spent: &Spent) {
    for level in levels.each().iter().take(spent.counts) {
        level.line.calls().give();
        level.line.count_undone();
        crash::point("admit.uncounted");
    }
    if spent.counts > levels.count {
        live.slots_used().give();
        crash::point("admit.uncounted");
    }
    for (level, token) in levels.each().iter().zip(spent.tokens) {
        if let Some(token) = token {
            level.line.rate().give_back(token);
            crash::point("admit.returned");
        }
    }
}
