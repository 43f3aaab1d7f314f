//! Spends what a call needs: CPS, then concurrency, of trunk, account and node, then a slot. All or nothing.
//!
//! What is only asked here ([`weigh`]) and what is taken ([`admit`]) go by the same levels, limits and reasons.

use super::trace::{LevelName, Step, Trace};
use super::{Admission, Identity, Proof, Refusal, Verdict};
use crate::clock::Now;
use crate::crash;
use crate::live::slots::Claim;
use crate::live::{CallKey, Line, Live, Scope};
use crate::rate::{Rate, Token};
use crate::reason::Reason;
use crate::tables::Tables;

/// One level of limits.
#[derive(Clone, Copy)]
struct Level<'a> {
    name: LevelName,
    line: Line<'a>,
    rate: Option<Rate>,
    /// As it is configured, for whoever is told.
    concurrent: Option<u32>,
    cps: Reason,
    /// How many calls there may be, and why not more.
    most: (Option<u32>, Reason),
}

/// Spends: CPS, then concurrency, of trunk, account and node, then a slot. All or nothing.
///
/// `place` is what a look ahead found for the call, if it found nothing of the call itself. That may be old by now: whoever finds the place
/// taken, and whoever is refused by a rate, looks again.
#[inline]
#[expect(clippy::too_many_arguments, reason = "in registers: a structure would be written and read back")]
pub(crate) fn admit(
    tables: &Tables,
    live: &Live,
    identity: &Identity,
    call: CallKey,
    place: Option<usize>,
    proof: Proof,
    now: Now,
    uid: impl FnOnce() -> [u8; 16],
) -> Verdict {
    let refused = |reason: Reason| Verdict::Refused(reason.into());
    match unproved(identity, proof) {
        Some(Reason::Challenge) => return Verdict::Challenge,
        Some(reason) => return refused(reason),
        None => {}
    }
    let slots = live.slots();
    if place.is_none()
        && let Some(claim) = slots.look(call).known
    {
        return known(live, claim);
    }
    let (mut levels, mut seen) = (Levels::default(), Tokens::default());
    if find_levels(&mut levels, tables, live, identity).is_none() {
        return refused(Reason::NoData);
    }
    if let Err(refusal) = peek_rates(&levels, &mut seen, now, &()) {
        // Another worker may have let this very call in since that look, with the last token.
        return met_meanwhile(live, call).unwrap_or(Verdict::Refused(refusal));
    }
    let claim = place.map_or_else(|| slots.claim(call), |place| slots.claim_at(call, place));
    let slot = match claim {
        Claim::Claimed(slot) => slot,
        Claim::Full => return refused(Reason::SlotsExhausted),
        other => return known(live, other),
    };
    if let Err(refusal) = take_all(&levels, &seen, now) {
        slots.abandon(slot);
        return Verdict::Refused(refusal);
    }
    let uid = uid();
    // Not before: nobody reads it while the call is being judged, and its memory is on its way meanwhile.
    live.fill(slot, call, &identity.trunk, uid, now);
    slots.open(slot, call);
    crash::point("admit.published");
    Verdict::Admitted(Admission { slot, uid })
}

/// What the caller has still to prove, or failed to.
#[inline]
fn unproved(identity: &Identity, proof: Proof) -> Option<Reason> {
    match (identity.needs_password, proof) {
        (true, Proof::None) => Some(Reason::Challenge),
        (true, Proof::Failed) => Some(Reason::BadCredentials),
        (true, Proof::Verified) | (false, _) => None,
    }
}

/// What [`admit`] would say now to a call that nobody has seen yet, taking nothing: `None` if it would be admitted.
pub(crate) fn weigh(
    tables: &Tables,
    live: &Live,
    identity: &Identity,
    proof: Proof,
    now: Now,
    trace: &impl Trace,
) -> Option<Refusal> {
    if let Some(reason) = unproved(identity, proof) {
        return Some(reason.into());
    }
    let (mut levels, mut seen) = (Levels::default(), Tokens::default());
    if find_levels(&mut levels, tables, live, identity).is_none() {
        return Some(Reason::NoData.into());
    }
    let rates = peek_rates(&levels, &mut seen, now, trace);
    rates.and_then(|()| peek_counts(live, &levels, trace)).err()
}

/// What has become of a call that a look found nothing of.
#[cold]
fn met_meanwhile(live: &Live, call: CallKey) -> Option<Verdict> {
    live.slots().look(call).known.map(|claim| known(live, claim))
}

fn known(live: &Live, claim: Claim) -> Verdict {
    match claim {
        Claim::Again(slot) => Verdict::Again(Admission { slot, uid: live.uid(slot) }),
        _ => Verdict::InFlight,
    }
}

/// The trunk's, its account's and the node's limits, in this order; a trunk without an account has two levels. Places, not a
/// list: each step is the same code three times over, which no loop has to find its way through.
type Levels<'a> = [Option<Level<'a>>; 3];

/// The rate of each level and the token that a look at it saw, or that was taken; `None` where there is no rate.
type Tokens = [Option<(Rate, Token)>; 3];

/// The levels of a call, in their places; `None` when a line lies beyond the file's capacity. Written where they are read from: a copy
/// would be waited for.
#[inline]
fn find_levels<'a>(
    levels: &mut Levels<'a>,
    tables: &Tables,
    live: &'a Live,
    identity: &Identity,
) -> Option<()> {
    let trunk = &identity.trunk;
    let [own, account, node] = levels;
    *own = Some(Level {
        name: LevelName::Trunk,
        line: live.line(Scope::Trunk(trunk.live()))?,
        rate: trunk.rate(),
        concurrent: trunk.concurrent(),
        cps: Reason::CpsExceeded,
        most: (trunk.concurrent(), Reason::ConcurrencyExceeded),
    });
    // Every call of the node has a slot: its count is that of the slots in use too, and the smaller limit of the two is in force.
    let (concurrent, slots) = (tables.node_concurrent(), live.capacity().slots);
    *node = Some(Level {
        name: LevelName::Node,
        line: live.line(Scope::Node)?,
        rate: tables.node_rate(),
        concurrent,
        cps: Reason::NodeOverloaded,
        most: match concurrent {
            Some(limit) if limit <= slots => (Some(limit), Reason::NodeOverloaded),
            _ => (Some(slots), Reason::SlotsExhausted),
        },
    });
    if let Some(index) = trunk.account() {
        let (view, _) = identity.account?;
        *account = Some(Level {
            name: LevelName::Account,
            line: live.line(Scope::Account(index))?,
            rate: view.rate(),
            concurrent: view.concurrent(),
            cps: Reason::AccountCpsExceeded,
            most: (view.concurrent(), Reason::AccountConcurrencyExceeded),
        });
    }
    Some(())
}

fn over_rate(level: &Level<'_>, rate: Rate, over: crate::rate::Exceeded) -> Refusal {
    let wait_ms = if over.wait_ns == u64::MAX { u64::MAX } else { over.wait_ns.div_ceil(1_000_000) };
    Refusal { reason: level.cps, limit: rate.burst(), count: over.count, wait_ms }
}

/// Whether a call would conform to every rate, taking nothing; then `seen` is what it would take of each.
#[inline]
fn peek_rates(levels: &Levels<'_>, seen: &mut Tokens, now: Now, trace: &impl Trace) -> Result<(), Refusal> {
    for (level, seen) in levels.iter().zip(seen) {
        let Some(level) = level else { continue };
        let Some(rate) = level.rate else { continue };
        let peeked = level.line.rate().peek(rate, now.mono_ns);
        trace.step(|| Step::Rate {
            level: level.name,
            rate,
            count: level.line.rate().level(rate, now.mono_ns),
            wait_ns: peeked.err().map(|over| over.wait_ns),
        });
        *seen = Some((rate, peeked.map_err(|over| over_rate(level, rate, over))?));
    }
    Ok(())
}

/// Whether there is room for one more call at every level, taking nothing.
fn peek_counts(live: &Live, levels: &Levels<'_>, trace: &impl Trace) -> Result<(), Refusal> {
    for level in levels.iter().flatten() {
        let count = level.line.calls();
        trace.step(|| Step::Calls { level: level.name, limit: level.concurrent, count: count.get() });
        // The last step that is told is the one that decides, and the node's count may be too much for the slots alone.
        let slots = || trace.step(|| Step::Slots { limit: live.capacity().slots, count: count.get() });
        let is_node = level.name == LevelName::Node;
        if is_node && level.most.1 == Reason::SlotsExhausted {
            slots();
        }
        count.peek(level.most.0).map_err(|count| over_calls(level, count))?;
        if is_node && level.most.1 != Reason::SlotsExhausted {
            slots();
        }
    }
    Ok(())
}

fn over_calls(level: &Level<'_>, count: u32) -> Refusal {
    let (limit, reason) = level.most;
    Refusal { limit: limit.unwrap_or(u32::MAX), count, ..reason.into() }
}

/// Counts the call at every level, then takes a token at every level; gives all of it back if one refuses.
#[inline]
fn take_all(levels: &Levels<'_>, seen: &Tokens, now: Now) -> Result<(), Refusal> {
    let mut spent = Spent::default();
    let taken = spend(levels, seen, now, &mut spent);
    if taken.is_err() {
        give_all_back(levels, &spent);
    }
    taken
}

/// What a call that is being judged has taken so far, by level.
#[derive(Default)]
struct Spent {
    counted: [bool; 3],
    tokens: Tokens,
}

#[inline]
fn spend(levels: &Levels<'_>, seen: &Tokens, now: Now, spent: &mut Spent) -> Result<(), Refusal> {
    for (level, counted) in levels.iter().zip(&mut spent.counted) {
        let Some(level) = level else { continue };
        level.line.calls().take(level.most.0).map_err(|count| over_calls(level, count))?;
        *counted = true;
        crash::point("admit.counted");
    }
    for ((level, &seen), token) in levels.iter().zip(seen).zip(&mut spent.tokens) {
        let (Some(level), Some((rate, seen))) = (level, seen) else { continue };
        let taken = level.line.rate().take_seen(seen, rate, now.mono_ns);
        *token = Some((rate, taken.map_err(|over| over_rate(level, rate, over))?));
        crash::point("admit.taken");
    }
    Ok(())
}

#[cold]
fn give_all_back(levels: &Levels<'_>, spent: &Spent) {
    for (level, _) in levels.iter().zip(spent.counted).filter(|(_, counted)| *counted) {
        let Some(level) = level else { continue };
        level.line.calls().give();
        level.line.count_undone();
        crash::point("admit.uncounted");
    }
    for (level, token) in levels.iter().zip(spent.tokens) {
        if let (Some(level), Some((_, token))) = (level, token) {
            level.line.rate().give_back(token);
            crash::point("admit.returned");
        }
    }
}
