//! `trunk.explain`: what would be said now to a call from somewhere to somebody, with nothing spent; and `trunk.calls`: the calls
//! that are up, by their slots. For operators; it must never count, take or end anything.

use core::ffi::{CStr, c_void};
use core::net::IpAddr;

use trunk_admission::Now;
use trunk_admission::explain::{Explainer, Explanation, Question};
use trunk_admission::live::{SlotState, SlotView};

use crate::asked::{Asked, Parameters, Unreadable};
use crate::judgement::uuid;
use crate::process::{self, Process};
use crate::reply::{Reply, fail};
use crate::sys;
use crate::text::Text;

/// Calls in one answer: it must fit into a datagram.
const MOST: usize = 256;

/// Host and user of a Request-URI, a source address, the digest user whose right password the call brings, if any, and `tls` if it
/// comes over TLS.
pub(crate) fn explain(rpc: *mut sys::rpc_t, context: *mut c_void) {
    // SAFETY: Kamailio hands over its table of functions for this request.
    let Some(rpc) = (unsafe { rpc.as_ref() }) else { return };
    let call = match call_of(Parameters::new(rpc, context)) {
        Ok(call) => call,
        Err(wrong) => return fail(rpc, context, 400, wrong),
    };
    let Some(dir) = process::with(|process| process.instance.dir().to_owned()) else {
        return fail(rpc, context, 500, c"Internal error");
    };
    let question = Question {
        host: call.host.bytes(),
        user: call.user.bytes(),
        source: call.source,
        tls: call.tls,
        username: call.username.as_ref().map(Text::bytes),
    };
    let explained = Explainer::open(&dir).and_then(|mut open| open.explain(&question, Now::read()));
    let Ok(explained) = explained else {
        return fail(rpc, context, 503, c"there is no table that can be read");
    };
    if tell(rpc, context, &explained).is_none() {
        fail(rpc, context, 500, c"Internal error");
    }
}

/// What a call would be, as it was asked.
struct Call {
    host: Asked,
    user: Asked,
    source: IpAddr,
    username: Option<Asked>,
    tls: bool,
}

/// Host, user and source, and perhaps a digest user (empty for none) and the word `tls`; else what is wrong.
fn call_of(mut parameters: Parameters<'_>) -> Result<Call, &'static CStr> {
    let mut text = || {
        parameters
            .text()
            .map_err(|Unreadable| c"a parameter is no text and no number, or longer than 256 bytes")
    };
    let (Some(host), Some(user), Some(source)) = (text()?, text()?, text()?) else {
        return Err(
            c"wanted: host, user, source address, and perhaps a digest user (or an empty text) and tls",
        );
    };
    let source = core::str::from_utf8(source.bytes()).ok().and_then(|text| text.parse::<IpAddr>().ok());
    let source = source.ok_or(c"the source is no IP address")?;
    let username = text()?.filter(|name| !name.is_empty());
    let tls = match text()? {
        None => false,
        Some(word) if word.bytes() == b"tls" => true,
        Some(_) => return Err(c"after the digest user there may be the word tls, and nothing else"),
    };
    Ok(Call { host, user, source, username, tls })
}

fn tell(rpc: &sys::rpc_t, context: *mut c_void, explained: &Explanation) -> Option<()> {
    let reply = Reply::begin(rpc, context)?;
    let reason = explained.refusal.map(|refusal| refusal.reason);
    reply.text(c"verdict", if reason.is_none() { "admitted" } else { "refused" })?;
    reply.text(c"reason", reason.map_or("", |reason| reason.name()))?;
    reply.number(c"code", reason.map_or(0, |reason| u64::from(reason.sip_code())))?;
    let (limit, count) = explained.refusal.map_or((0, 0), |refusal| (refusal.limit, refusal.count));
    reply.number(c"limit", limit.into())?;
    reply.number(c"count", count.into())?;
    reply.number(c"wait_ms", explained.refusal.map_or(0, |refusal| refusal.wait_ms))?;
    reply.number(c"generation", explained.generation.into())?;
    let owner = explained.trunk.as_ref();
    reply.text(c"trunk", owner.map_or("", |owner| &owner.id))?;
    reply.text(c"account", owner.and_then(|owner| owner.account.as_deref()).unwrap_or(""))?;
    let gateways = reply.list(c"gateways")?;
    explained.gateways.iter().take(MOST).try_for_each(|choice| {
        let (uri, priority, weight) = (&choice.uri, choice.priority, choice.weight);
        gateways.entry(format_args!("{uri} priority {priority} weight {weight} {:?}", choice.fitness))
    })
}

/// From which place on. Each call as its id, its trunk, what it does and for how many seconds; where to go on, or -1.
pub(crate) fn calls(rpc: *mut sys::rpc_t, context: *mut c_void) {
    // SAFETY: Kamailio hands over its table of functions for this request.
    let Some(rpc) = (unsafe { rpc.as_ref() }) else { return };
    let from = Parameters::new(rpc, context).place();
    let told = process::with(|process| {
        crate::admit::refresh(process);
        list(rpc, context, process, from)
    });
    if told.flatten().is_none() {
        fail(rpc, context, 500, c"Internal error");
    }
}

fn list(rpc: &sys::rpc_t, context: *mut c_void, process: &Process, from: u32) -> Option<()> {
    let live = process.instance.live();
    let mut slots = live.slots_from(from);
    let views: Vec<SlotView> = slots.by_ref().take(MOST).collect();
    let next = slots.next().map(|view| view.slot.index());
    let reply = Reply::begin(rpc, context)?;
    reply.signed(c"next", next.map_or(-1, i64::from))?;
    let calls = reply.list(c"calls")?;
    let (now, epoch) = (Now::read(), live.epoch());
    // One that is being judged has the body of the slot's last use; those of before this start are nobody's, or will be restored.
    let is_up = |view: &&SlotView| {
        view.epoch == epoch && matches!(view.state, SlotState::Ringing | SlotState::Answered)
    };
    views.iter().filter(is_up).try_for_each(|view| {
        let identity = process.instance.identity_of(view.trunk_live);
        let names = identity.map(|identity| process.instance.names(&identity));
        let trunk = names.as_ref().map_or(&b"?"[..], |names| names.trunk.as_bytes());
        let seconds = view.clock.at(now).saturating_sub(view.start_wall_ms) / 1_000;
        let uid = uuid(view.uid);
        calls.entry(format_args!("{uid} {} {:?} {seconds}", trunk.escape_ascii(), view.state))
    })
}
