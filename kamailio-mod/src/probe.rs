//! OPTIONS to gateways, so that one that is dead is known before a call finds out, and one that is back before a call tries it.
//!
//! Runs in Kamailio's timer process, once a second a part of the trunks, and tells the health words alone: an answer in whatever
//! process it comes, no answer when the next probe is sent. A probe that is not answered is a transaction for `fr_timer` (30 s). It must never be
//! called on the way of a call, or send to a name.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr;

use trunk_admission::Now;
use trunk_admission::instance::Target;

use crate::kstr::KStr;
use crate::log::{self, Kind, Level};
use crate::msg::SipMsg;
use crate::process::{self, Process};
use crate::route::is_address;
use crate::{abi, admit, sys};

/// Most probes of a second: 3,000 transactions when nobody answers. With more gateways than this times the interval, each is probed less
/// often.
const MOST_PER_SECOND: usize = 100;
/// Who asks. Nobody answers to it.
const FROM: &[u8] = b"sip:trunkline@localhost";

static NOT_SENT: Kind = Kind::new();

/// Which trunks come next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Seconds in which each gateway is probed once; 0 for never.
    every_s: u32,
    next: u32,
}

impl Round {
    /// From the module's parameter.
    pub(crate) fn new(every_s: u32) -> Round {
        Round { every_s, next: 0 }
    }
}

type Send = unsafe extern "C" fn(
    *mut sys::uac_req,
    *mut sys::str_,
    *mut sys::str_,
    *mut sys::str_,
    *mut sys::str_,
) -> core::ffi::c_int;

/// One second's probes.
pub(crate) fn look() {
    let Some(Some((send, targets))) = process::with(due) else { return };
    let failed = targets.iter().filter(|target| !options(send, target)).count();
    if failed > 0 {
        log::line(Level::Warn, &NOT_SENT, format_args!("{failed} gateways could not be sent OPTIONS"));
    }
}

/// Which gateways are to be asked now.
fn due(process: &mut Process) -> Option<(Send, Vec<Target>)> {
    let send = process.binds.tm.t_request?;
    let Round { every_s, next } = process.round;
    if every_s == 0 {
        return None;
    }
    admit::refresh(process);
    let (room, now) = (process.instance.trunks_room(), Now::read());
    let mut targets = Vec::new();
    let mut looked_at = 0;
    while looked_at < room.div_ceil(every_s) && targets.len() < MOST_PER_SECOND {
        let trunk = (next + looked_at) % room;
        process.instance.probe(trunk, now, |target| {
            if is_address(target.next_hop()) {
                targets.push(target);
            }
        });
        looked_at += 1;
    }
    process.round.next = (next + looked_at) % room;
    Some((send, targets))
}

/// Sends one. tm copies what it needs.
fn options(send: Send, target: &Target) -> bool {
    let text = |bytes| KStr::from_bytes(bytes).as_sys();
    let (mut method, mut from) = (text(b"OPTIONS"), text(FROM));
    let (mut uri, mut to, mut hop) = (text(target.uri()), text(target.uri()), text(target.next_hop()));
    // SAFETY: null pointers and zeros are what tm takes for "not given".
    let mut request = unsafe { MaybeUninit::<sys::uac_req>::zeroed().assume_init() };
    request.method = &raw mut method;
    request.cb_flags = sys::TMCB_LOCAL_COMPLETED as i32;
    request.cb = Some(abi::probe_done);
    request.cbp = ptr::without_provenance_mut::<c_void>(target.live as usize + 1);
    // SAFETY: tm's own function; all texts live until it returns, and the callback as long as the process.
    unsafe { send(&raw mut request, &raw mut uri, &raw mut to, &raw mut from, &raw mut hop) >= 0 }
}

/// A probe is over. Any answer but one that says that the gateway cannot serve is a sign of life.
pub(crate) fn done(params: *mut sys::tmcb_params) {
    // SAFETY: tm hands over the parameters of this call.
    let Some(params) = (unsafe { params.as_ref() }) else { return };
    // SAFETY: `param` points at the number that was registered.
    let number = unsafe { params.param.as_ref() }.map_or(0, |word| word.addr());
    let Some(live) = number.checked_sub(1).and_then(|live| u32::try_from(live).ok()) else { return };
    // SAFETY: the reply, or the marker for one that tm made because none came, which `new` turns into `None`.
    let from_gateway = unsafe { SipMsg::new(params.rpl) }.is_some();
    if from_gateway && !matches!(params.code, 500 | 502..=599) {
        process::with(|process| process.instance.probe_answered(live));
    }
}
