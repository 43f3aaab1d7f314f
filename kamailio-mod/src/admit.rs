//! `trunk_admit()`: from a SIP message to the decision, and from the decision to the script's answer and the event.
//!
//! The decision itself is the core's; nothing is decided here. It must never allocate, wait, or leave a slot that
//! nobody looks after: what no dialog has taken over when the route ends is given back in [`script_done`].

use trunk_admission::events::{BodyOut, EndCause, EventOut, InitiatedOut, Party};
use trunk_admission::instance::{Freshness, Instance};
use trunk_admission::{Admission, Attempt, Host, Identity, Kind, Now, Proof, Reason, Refusal, Verdict};

use crate::digest::{self, Asked, Proved};
use crate::ending::{self, How};
use crate::judgement::{Judgement, Proven, uuid};
use crate::log::{self, Level};
use crate::msg::SipMsg;
use crate::process::{self, Process};
use crate::text::Text;
use crate::uri::Uri;
use crate::verdict::{Admit, Plain};
use crate::{ready, sys};

static MISUSED: log::Kind = log::Kind::new();
static MALFORMED: log::Kind = log::Kind::new();
static IMAGE: log::Kind = log::Kind::new();
static NO_DIGEST: log::Kind = log::Kind::new();
static UNBOUND: log::Kind = log::Kind::new();

/// The script function.
pub(crate) fn trunk_admit(msg: *mut sys::sip_msg) -> Admit {
    // SAFETY: Kamailio hands over the message of the running route.
    let Some(msg) = (unsafe { SipMsg::new(msg) }) else { return unjudged() };
    let judged = process::with(|process| {
        let screened = &process.judgement;
        let proven = screened.proven.filter(|_| screened.key == msg.key());
        // The worst first: whatever goes wrong from here on, `$trunk(code)` has an answer for the caller.
        process.judgement = Judgement::unjudged(msg.key());
        judge(process, msg, proven)
    });
    judged.unwrap_or_else(unjudged)
}

/// The answer for a call that could not be judged: the fail mode.
pub(crate) fn unjudged() -> Admit {
    if process::fail_open() { Admit::Passed } else { Admit::Deny }
}

fn judge(process: &mut Process, msg: SipMsg<'_>, proven: Option<Proven>) -> Admit {
    if !msg.parse() {
        log::line(Level::Warn, &MALFORMED, format_args!("an INVITE without Call-ID, From, To or CSeq"));
        return unjudged();
    }
    if !msg.is_initial_invite() {
        log::line(Level::Error, &MISUSED, format_args!("trunk_admit() is for INVITEs without a To tag only"));
        return unjudged();
    }
    refresh(process);
    process.judgement.generation = u64::from(process.instance.generation());
    let mut host = Host::empty();
    let user = destination(msg, &mut host);
    let attempt = attempt(&process.instance, msg, &host, user);
    let (source, source_port) = msg.source();
    let facts = Facts { msg, attempt, source_port, now: Now::read() };
    let identity = match process.instance.identify(&attempt) {
        Ok(identity) => identity,
        Err(barred) => {
            process.rates.stranger(&process.instance, source);
            return refuse(process, &facts, &barred.reason.into(), barred.identity.as_ref());
        }
    };
    name(process, &identity);
    let proof = match proven {
        _ if !identity.needs_password => Proof::None,
        Some(proven) if proven == of(process, &identity) => Proof::Verified,
        // Of another table or trunk, it proves nothing here: the nonce count is taken, so this says stale.
        _ => prove(process, msg, &identity),
    };
    if identity.needs_password && proof != Proof::Verified {
        process.rates.stranger(&process.instance, source);
    }
    match process.instance.admit(&identity, &attempt, proof, facts.now) {
        Verdict::Admitted(admission) => {
            note(process, admission, false);
            ready::watch(process, msg, admission.slot);
            report(process, &facts, admission.uid, identity.trunk.kind(), None);
            Admit::Allow
        }
        Verdict::Again(admission) => {
            note(process, admission, true);
            Admit::Again
        }
        Verdict::InFlight => {
            process.judgement.reason = None;
            Admit::InFlight
        }
        Verdict::Challenge => {
            process.judgement.reason = Some(Reason::Challenge);
            Admit::Challenge
        }
        Verdict::Refused(refusal) => refuse(process, &facts, &refusal, Some(&identity)),
    }
}

/// Whom a call is for: the host, which is written where it stays, and the user.
pub(crate) fn destination<'a>(msg: SipMsg<'a>, host: &mut Host) -> &'a [u8] {
    let uri = Uri::parse(msg.request_uri());
    host.set(uri.map_or(b"", |uri| uri.host));
    uri.map_or(b"", |uri| uri.user)
}

/// What the decision looks at.
pub(crate) fn attempt<'a>(
    instance: &Instance,
    msg: SipMsg<'a>,
    host: &'a Host,
    user: &'a [u8],
) -> Attempt<'a> {
    let (source, _) = msg.source();
    let (call_id, tag) = (msg.call_id(), msg.caller_tag());
    let call = instance.call_key_to(host, call_id.bytes(), tag.bytes(), msg.cseq().unwrap_or(0));
    Attempt { host, user, source, secure: msg.is_secure(), call }
}

/// What an event about this request needs.
struct Facts<'a> {
    msg: SipMsg<'a>,
    attempt: Attempt<'a>,
    source_port: u16,
    now: Now,
}

/// What a right password would prove now.
pub(crate) fn of(process: &Process, identity: &Identity) -> Proven {
    Proven { generation: process.instance.generation(), trunk: identity.trunk.live() }
}

/// Looks at the credentials that the message brings for the trunk, whose realm has been noted. Once for each message.
pub(crate) fn prove(process: &mut Process, msg: SipMsg<'_>, identity: &Identity) -> Proof {
    let Some((auth, algorithm)) = &process.digest else {
        log::line(
            Level::Error,
            &NO_DIGEST,
            format_args!("a trunk needs a password, but auth.so is not loaded"),
        );
        return Proof::None;
    };
    let realm = process.judgement.realm;
    let asked = Asked { auth, algorithm: *algorithm, rates: &process.rates, realm: realm.bytes() };
    let proved = digest::prove(&asked, &process.instance, identity, msg);
    process.judgement.braked = proved == Proved::NotLookedAt;
    process.judgement.stale = proved == Proved::Stale;
    match proved {
        Proved::Nothing | Proved::Stale => Proof::None,
        Proved::Right => Proof::Verified,
        Proved::Wrong | Proved::NotLookedAt => Proof::Failed,
    }
}

/// Maps a newer table if there is one, and says so when it cannot be used.
pub(crate) fn refresh(process: &mut Process) {
    if let Freshness::Refused(error) = process.instance.refresh() {
        log::line(Level::Error, &IMAGE, format_args!("the new table is refused, the old one stays: {error}"));
    }
}

/// Notes whose call it is, and the realm that the hashes were made for, however the caller spelled the host.
pub(crate) fn name(process: &mut Process, identity: &Identity) {
    let realm = process.instance.realm(identity);
    process.judgement.realm = Text::new(realm.as_bytes()).unwrap_or(Text::EMPTY);
    let names = process.instance.names(identity);
    process.judgement.trunk = Text::new(names.trunk.as_bytes()).unwrap_or(Text::EMPTY);
    process.judgement.account = Text::new(names.account.as_bytes()).unwrap_or(Text::EMPTY);
}

fn note(process: &mut Process, admission: Admission, again: bool) {
    let judgement = &mut process.judgement;
    judgement.reason = None;
    judgement.slot = Some(admission.slot);
    judgement.again = again;
    judgement.uid = uuid(admission.uid);
}

fn refuse(process: &mut Process, facts: &Facts<'_>, refusal: &Refusal, identity: Option<&Identity>) -> Admit {
    let judgement = &mut process.judgement;
    judgement.reason = Some(refusal.reason);
    judgement.limit = refusal.limit;
    judgement.count = refusal.count;
    judgement.wait_ms = refusal.wait_ms;
    if let Some(identity) = identity {
        name(process, identity);
    }
    if refusal.reason == Reason::NoData && process::fail_open() {
        return Admit::Passed;
    }
    let uid = process.instance.new_uid(facts.now);
    process.judgement.uid = uuid(uid);
    let kind = identity.map_or(Kind::Trunk, |identity| identity.trunk.kind());
    report(process, facts, uid, kind, Some(refusal));
    Admit::Deny
}

fn report(process: &Process, facts: &Facts<'_>, uid: [u8; 16], kind: Kind, refusal: Option<&Refusal>) {
    let judgement = &process.judgement;
    let from = facts.msg.caller_uri();
    let initiated = InitiatedOut {
        account: judgement.account.bytes(),
        kind,
        reason: refusal.map(|refusal| refusal.reason),
        limit: refusal.map_or(0, |refusal| refusal.limit),
        count: refusal.map_or(0, |refusal| refusal.count),
        wait_ms: refusal.map_or(0, |refusal| refusal.wait_ms),
        generation: judgement.generation,
        source: facts.attempt.source,
        source_port: facts.source_port,
        sip_call_id: facts.msg.call_id().bytes(),
        from_user: from.map_or(b"", |uri| uri.user),
        from_host: from.map_or(b"", |uri| uri.host),
        to_user: facts.attempt.user,
        request_uri: facts.msg.request_uri().bytes(),
    };
    let body = BodyOut::Initiated(initiated);
    // A full ring is counted inside; there is nobody to tell.
    process.instance.push(&EventOut {
        call: uid,
        wall_ms: facts.now.wall_ms,
        trunk: judgement.trunk.bytes(),
        body,
    });
}

/// The request route has ended: gives back a slot that no dialog looks after, for example because the script forgot
/// `dlg_manage()` or left before it.
pub(crate) fn script_done(msg: *mut sys::sip_msg) -> Plain {
    // SAFETY: Kamailio hands over the message whose route has just ended.
    let Some(msg) = (unsafe { SipMsg::new(msg) }) else { return Plain(1) };
    process::with(|process| {
        process.instance.message_is_over();
        let judgement = &process.judgement;
        let loose = judgement.key == msg.key() && !judgement.bound && !judgement.again;
        let Some(slot) = judgement.slot.filter(|_| loose) else { return };
        process.judgement.slot = None;
        let how = How { sip_code: 0, q850: 0, by: Party::Proxy, cause: EndCause::Terminated };
        if ending::end(process, slot, how) {
            log::line(
                Level::Warn,
                &UNBOUND,
                format_args!("a route ended without dlg_manage() for an admitted call"),
            );
        }
    });
    Plain(1)
}
