//! tm's callbacks for the INVITE of an admitted call: which call a failure route is about, what final answer goes out,
//! and how the gateways did.
//!
//! Which callback runs when (Kamailio 5.6.3, modules/tm):
//!
//! | event | where | process, lock |
//! |---|---|---|
//! | `REQUEST_FWDED` | `prepare_new_uac`, t_fwd.c: a branch is about to be sent | the worker of the INVITE; the worker of the reply or the timer process for a failover branch, then under the reply lock |
//! | `ON_FAILURE` | `run_failure_handlers`, t_reply.c: all branches failed, right before the failure route runs on a copy of the request | worker of the reply, or timer process; reply lock held |
//! | `RESPONSE_READY` | `relay_reply` and `_reply_light`, t_reply.c: the answer for the caller is decided, `code` is the status that goes out | any of them; no lock |
//!
//! dialog hears of the final answer in `RESPONSE_READY` too and is told only the reply message, which is a marker
//! without a status when tm made the answer itself (timeout, CANCEL, script). tm runs the newest registration first. So
//! ours for `RESPONSE_READY` is registered when the first branch is made, after dialog's, and leaves the status in this
//! process for the dialog callback that follows at once. It must never keep a pointer: a call is known by its slot, whose
//! reference is never used twice.

use trunk_admission::live::SlotRef;

use crate::log::{self, Kind, Level};
use crate::msg::SipMsg;
use crate::process::{self, Process};
use crate::{abi, route, sys};

/// The final answer that tm is about to send for the INVITE of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastReady {
    slot: SlotRef,
    answer: FinalAnswer,
}

/// What a caller gets to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FinalAnswer {
    /// SIP status; 0 when none was given.
    pub(crate) code: u16,
    /// The caller had sent CANCEL.
    pub(crate) cancelled: bool,
}

static NOT_REGISTERED: Kind = Kind::new();

/// Asks tm to tell us about this INVITE, now or as soon as it makes a transaction of it.
pub(crate) fn watch(process: &Process, msg: SipMsg<'_>, slot: SlotRef) {
    let events = sys::TMCB_REQUEST_FWDED | sys::TMCB_ON_FAILURE;
    register(process, msg.as_ptr(), core::ptr::null_mut(), events, abi::tm_event, slot.to_raw());
}

type Callback = unsafe extern "C" fn(*mut sys::cell, core::ffi::c_int, *mut sys::tmcb_params);

/// Asks tm for events of a transaction, or of the one that it is about to make of a message.
pub(crate) fn register(
    process: &Process,
    msg: *mut sys::sip_msg,
    t: *mut sys::cell,
    events: u32,
    callback: Callback,
    number: u64,
) {
    let number = core::ptr::without_provenance_mut(number as usize);
    let Some(register) = process.binds.tm.register_tmcb else { return };
    // SAFETY: tm's own function, with a callback that lives as long as the process and a parameter that is a number.
    if unsafe { register(msg, t, events as i32, Some(callback), number, None) } <= 0 {
        log::line(Level::Error, &NOT_REGISTERED, format_args!("tm took no callback: out of shared memory?"));
    }
}

/// One of the events above.
pub(crate) fn tm_event(t: *mut sys::cell, event: i32, params: *mut sys::tmcb_params) {
    // SAFETY: tm hands over its transaction; null would be a bug of tm, and ends here.
    let Some(cell) = (unsafe { t.as_ref() }) else { return };
    // SAFETY: and the parameters of this call.
    let Some(params) = (unsafe { params.as_ref() }) else { return };
    // SAFETY: `param` points at the word that was registered.
    let slot = unsafe { params.param.as_ref() }.and_then(|word| SlotRef::from_raw(word.addr() as u64));
    let Some(slot) = slot else { return };
    process::with(|process| match event as u32 {
        sys::TMCB_REQUEST_FWDED if cell.nr_of_outgoings == 0 => {
            register(
                process,
                core::ptr::null_mut(),
                t,
                sys::TMCB_RESPONSE_READY,
                abi::tm_event,
                slot.to_raw(),
            );
        }
        sys::TMCB_ON_FAILURE => {
            // SAFETY: the copy of the request that the failure route runs on.
            if let Some(request) = unsafe { SipMsg::new(params.req) } {
                // SAFETY: the reply, or the marker for a local one, which `new` turns into `None`.
                let local = unsafe { SipMsg::new(params.rpl) }.is_none();
                let code = u16::try_from(params.code).unwrap_or(0);
                route::attempt_failed(
                    process,
                    request,
                    slot,
                    FailedAttempt { code, local, cancelled: cancelled(cell) },
                );
            }
        }
        sys::TMCB_RESPONSE_READY => {
            let code = u16::try_from(params.code).unwrap_or(0);
            let answer = FinalAnswer { code, cancelled: cancelled(cell) };
            process.ready = Some(LastReady { slot, answer });
        }
        _ => {}
    });
}

/// All branches of one attempt have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
    /// The status that won.
    pub(crate) code: u16,
    /// tm made it: nobody answered in time, or nothing could be sent.
    pub(crate) local: bool,
    /// The caller had sent CANCEL.
    pub(crate) cancelled: bool,
}

fn cancelled(cell: &sys::cell) -> bool {
    u32::from(cell.flags) & sys::T_CANCELED != 0
}

/// The final answer to the call's INVITE, as the dialog callback that is running now must report it.
///
/// Without a branch there was no `RESPONSE_READY` of ours: then the script answered, and tm's transaction in hand is
/// the INVITE's own. (While a CANCEL is being handled it is the CANCEL's, hence the comparison.)
pub(crate) fn final_answer(
    process: &mut Process,
    slot: SlotRef,
    request: *mut sys::sip_msg,
    reply: Option<SipMsg<'_>>,
) -> FinalAnswer {
    if let Some(ready) = process.ready.take().filter(|ready| ready.slot == slot) {
        return ready.answer;
    }
    if let Some(code) = reply.and_then(|reply| reply.status()) {
        return FinalAnswer { code, cancelled: false };
    }
    match current(process) {
        Some(cell) if cell.uas.request == request => {
            FinalAnswer { code: u16::try_from(cell.uas.status).unwrap_or(0), cancelled: cancelled(cell) }
        }
        _ => FinalAnswer::default(),
    }
}

/// The transaction tm has in hand in this process.
fn current(process: &Process) -> Option<&sys::cell> {
    const UNDEFINED: usize = usize::MAX; // T_UNDEFINED in modules/tm/h_table.h
    // SAFETY: returns a pointer that tm keeps.
    let cell = unsafe { process.binds.tm.t_gett?() };
    if cell.addr() == UNDEFINED {
        return None;
    }
    // SAFETY: null, or a transaction that tm holds a reference to while our entry point runs.
    unsafe { cell.as_ref() }
}
