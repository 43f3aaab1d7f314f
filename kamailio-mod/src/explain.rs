//! `trunk.explain`: what would be said now to a call from somewhere to somebody, with nothing spent; and `trunk.calls`: the calls
//! that are up, trunk by trunk. For operators; it must never count, take or end anything.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::net::IpAddr;
use core::ptr;

use trunk_admission::Now;
use trunk_admission::explain::{Explainer, Explanation, Question};
use trunk_admission::live::SlotView;

use crate::judgement::uuid;
use crate::process::{self, Process};
use crate::reply::{Reply, fail};
use crate::sys;

/// Calls in one answer: it must fit into a datagram.
const MOST: usize = 256;

/// Host and user of a Request-URI, a source address, and, if the call brings the right password of one, a user.
pub(crate) fn explain(rpc: *mut sys::rpc_t, context: *mut c_void) {
    // SAFETY: Kamailio hands over its table of functions for this request.
    let Some(rpc) = (unsafe { rpc.as_ref() }) else { return };
    let Some([host, user, source, username]) = four_texts(rpc, context) else {
        return fail(rpc, context, 400, c"wanted: host, user, source address, and perhaps a user name");
    };
    let Some(source) = source.to_str().ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
        return fail(rpc, context, 400, c"the source is no IP address");
    };
    let Some(dir) = process::with(|process| process.instance.dir().to_owned()) else {
        return fail(rpc, context, 500, c"Internal error");
    };
    let question = Question {
        host: host.to_bytes(),
        user: user.to_bytes(),
        source,
        tls: false,
        username: Some(username.to_bytes()).filter(|name| !name.is_empty()),
    };
    let explained = Explainer::open(&dir).and_then(|mut open| open.explain(&question, Now::read()));
    let Ok(explained) = explained else {
        return fail(rpc, context, 503, c"there is no table that can be read");
    };
    if tell(rpc, context, &explained).is_none() {
        fail(rpc, context, 500, c"Internal error");
    }
}

/// Three texts, and a fourth that is empty when it is not given.
fn four_texts<'a>(rpc: &sys::rpc_t, context: *mut c_void) -> Option<[&'a CStr; 4]> {
    let mut texts: [*mut c_char; 4] = [ptr::null_mut(); 4];
    let [host, user, source, username] = texts.each_mut().map(ptr::from_mut);
    let scan: unsafe extern "C" fn(*mut c_void, *mut c_char, ...) -> c_int = rpc.scan?;
    // SAFETY: "s" stores a NUL-terminated text of the request for each place that it is given; what follows "*" may be absent.
    let read = unsafe { scan(context, c"sss*s".as_ptr().cast_mut(), host, user, source, username) };
    if read < 3 && texts[..3].iter().any(|text| text.is_null()) {
        return None;
    }
    // SAFETY: null, or a text of the request, which lives until the RPC returns.
    Some(texts.map(|text| if text.is_null() { c"" } else { unsafe { CStr::from_ptr(text) } }))
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
    let mut from: c_int = 0;
    if let Some(scan) = rpc.scan {
        // SAFETY: "*d" reads one optional integer into the place that it is given.
        unsafe { scan(context, c"*d".as_ptr().cast_mut(), &raw mut from) };
    }
    let told = process::with(|process| {
        crate::admit::refresh(process);
        list(rpc, context, process, u32::try_from(from).unwrap_or(0))
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
    let now_ms = Now::read().wall_ms;
    views.iter().try_for_each(|view| {
        let identity = process.instance.identity_of(view.trunk_live);
        let names = identity.map(|identity| process.instance.names(&identity));
        let trunk = names.as_ref().map_or(&b"?"[..], |names| names.trunk.as_bytes());
        let seconds = now_ms.saturating_sub(view.start_wall_ms) / 1_000;
        let uid = uuid(view.uid);
        calls.entry(format_args!("{uid} {} {:?} {seconds}", trunk.escape_ascii(), view.state))
    })
}
