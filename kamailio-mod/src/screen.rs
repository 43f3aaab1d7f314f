//! `trunk_screen()`: what comes before tm makes a transaction of a new INVITE.
//!
//! While strangers come too often, or more waits than is read, a call has to prove itself here, and what proves nothing is
//! answered without a transaction, beyond the flood rate not at all. A right password passes whatever is flooded, and nobody's
//! nonce count is taken twice: what was proved here is carried to `trunk_admit()`. It must never look at anything but
//! memory, and never tell a name that exists from one that does not.

use core::net::IpAddr;

use trunk_admission::{Host, Identity, Proof, Reason};

use crate::judgement::Judgement;
use crate::msg::SipMsg;
use crate::process::{self, Process};
use crate::verdict::Screen;
use crate::{admit, sys};

/// Receive buffers this full, in percent: strangers are answered without a transaction.
const BUSY: u32 = 25;
/// Receive buffers this full in two looks in a row, while customers alone begin more calls than a node that keeps up would let
/// wait: no more of those are begun, so that the calls that are up can be ended. Requests of those never get here.
const OVERLOADED: u32 = 75;
/// When a call that was not begun may come again.
const COME_AGAIN_MS: u64 = 5_000;

/// The script function.
pub(crate) fn trunk_screen(msg: *mut sys::sip_msg) -> Screen {
    // SAFETY: Kamailio hands over the message of the running route.
    let Some(msg) = (unsafe { SipMsg::new(msg) }) else { return Screen::Pass };
    process::with(|process| screen(process, msg)).unwrap_or(Screen::Pass)
}

fn screen(process: &mut Process, msg: SipMsg<'_>) -> Screen {
    let (source, _) = msg.source();
    let backlog = process.instance.live().backlog();
    let crowded = backlog >= BUSY || process.rates.crowded(&process.instance, source);
    if !crowded || !msg.parse() || !msg.is_initial_invite() {
        return Screen::Pass;
    }
    admit::refresh(process);
    // Nothing to judge by: the fail mode decides, in its own place.
    if process.instance.generation() == 0 {
        return Screen::Pass;
    }
    process.judgement = Judgement::unjudged(msg.key());
    process.judgement.generation = u64::from(process.instance.generation());
    let mut host = Host::empty();
    let user = admit::destination(msg, &mut host);
    let attempt = admit::attempt(&process.instance, msg, &host, user);
    let identity = match process.instance.identify(&attempt) {
        Ok(identity) => identity,
        Err(barred) => return stranger(process, source, barred.reason, barred.identity.as_ref()),
    };
    admit::name(process, &identity);
    if identity.needs_password {
        let reason = match admit::prove(process, msg, &identity) {
            Proof::Verified => None,
            Proof::None => Some(Reason::Challenge),
            Proof::Failed => Some(Reason::BadCredentials),
        };
        if let Some(reason) = reason {
            process.instance.turn_away(&identity, reason);
            return stranger(process, source, reason, Some(&identity));
        }
        process.judgement.proven = Some(admit::of(process, &identity));
    }
    // A full buffer alone says nothing about who filled it, and strangers who crowd in are no reason to send customers away.
    let in_load = !process.rates.customer(&process.instance);
    if in_load && overloaded(process) && !process.rates.flooded(&process.instance) {
        return shed(process, &identity, backlog);
    }
    Screen::Pass
}

fn overloaded(process: &Process) -> bool {
    process.instance.live().lasting_backlog() >= OVERLOADED
}

/// Tells a caller that has proved nothing what the careful way would tell it.
fn stranger(process: &mut Process, source: IpAddr, reason: Reason, identity: Option<&Identity>) -> Screen {
    process.rates.stranger(&process.instance, source);
    if !process.rates.answers(&process.instance, source) {
        return Screen::Silent;
    }
    process.judgement.reason = Some(reason);
    if let Some(identity) = identity {
        admit::name(process, identity);
    }
    Screen::Answer
}

/// Sends a customer's new call away: customers begin more calls than the node can read. Counted as a refusal of its trunk.
fn shed(process: &mut Process, identity: &Identity, backlog: u32) -> Screen {
    process.instance.turn_away(identity, Reason::NodeOverloaded);
    let judgement = &mut process.judgement;
    judgement.reason = Some(Reason::NodeOverloaded);
    judgement.limit = OVERLOADED;
    judgement.count = backlog;
    judgement.wait_ms = COME_AGAIN_MS;
    Screen::Answer
}
