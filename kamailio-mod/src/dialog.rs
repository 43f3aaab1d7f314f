//! Dialogs: every admitted call is tied to one, and ends with it, exactly once.
//!
//! Which callback runs when (Kamailio 5.6.3, modules/dialog; "worker" is any SIP process, "timer" a timer process):
//!
//! | callback | where | when | process |
//! |---|---|---|---|
//! | `CREATED` | `dlg_new_dialog`, dlg_handlers.c | inside `dlg_manage()`, or when tm makes the transaction | worker of the INVITE |
//! | `EARLY` | `dlg_onreply`, dlg_handlers.c | each 101–199 passed on (100 stays with tm) | worker of the reply |
//! | `RESPONSE_FWDED` | `dlg_onreply` | a 1xx or 2xx is about to be passed on, **before** the dialog saves itself; reply lock held | worker of the reply |
//! | `CONFIRMED_NA` | `dlg_onreply` | first 2xx, after the dialog was saved | worker of the reply |
//! | `FAILED` | `dlg_onreply` | the caller gets a final 3xx–6xx: far side's, tm's own 408, 487 after CANCEL, the script's | worker, timer (timeouts) |
//! | `TERMINATED` | `dlg_terminated`, dlg_handlers.c | BYE of either side; `req` is the BYE, `direction` tells whose | worker of the BYE |
//! | `TERMINATED`, no `req` | `dlg_bye_all`, dlg_req_within.c | `dlg.end_dlg`, `dlg_terminate`, and lifetime over with BYEs to send (`DLG_FLAG_EXPIRED` is set then); **before** `send_bye` refuses a dialog that nobody has answered yet, which then goes on | RPC process, worker, timer |
//! | `TERMINATED_CONFIRMED` | `bye_reply_cb`, dlg_req_within.c | answer to a BYE of ours; the only one for `dlg_bye(side)` | worker, timer |
//! | `EXPIRED` | `dlg_ontimeout`, dlg_handlers.c | lifetime over without BYEs; also 10 s after a missing ACK (`dlg_clean_run`, after `noack_timeout`) and after too many unanswered keep-alives (`dlg_ka_cb_all`) | timer |
//! | `DESTROY` | `destroy_dlg`, dlg_hash.c | the last reference is gone: for a dialog without transaction at the route's end (`dlg_cfg_cb`), for one that rang longer than `early_timeout`, and for **all of them when Kamailio stops** | any; main process at the end |
//! | `LOADED` | `child_init(PROC_INIT)`, dialog.c | for each dialog read from the database, before any worker is forked | main process |
//!
//! A failed branch that the failure route replaces ends nothing: dialog hears only of the answer that goes to the
//! caller. A 2xx that crosses our 487 raises a dialog from the dead (`next_state_dlg`); its call has been reported as
//! ended and stays so. The callbacks share one static parameter block in dialog, so nothing is kept from it.

use core::ffi::c_void;

use trunk_admission::events::{Answered, BodyOut, EndCause, EventOut, Party};
use trunk_admission::{Now, Outcome, SlotRef};

use crate::ending::{self, How};
use crate::kstr::KStr;
use crate::log::{self, Kind, Level};
use crate::msg::SipMsg;
use crate::process::{self, Process};
use crate::tie::{read_saved, save, tie, watch};
use crate::{abi, admit, hangup, ready, rows, sys};

/// What we want to hear of each dialog of ours.
pub(crate) const EVENTS: u32 = sys::DLGCB_EARLY
    | sys::DLGCB_RESPONSE_FWDED
    | sys::DLGCB_CONFIRMED_NA
    | sys::DLGCB_FAILED
    | sys::DLGCB_TERMINATED
    | sys::DLGCB_TERMINATED_CONFIRMED
    | sys::DLGCB_EXPIRED
    | sys::DLGCB_DESTROY;

static UNTIED: Kind = Kind::new();
static ENDED: Kind = Kind::new();
static RAISED: Kind = Kind::new();

/// Asks dialog for every new and every loaded dialog. `false` when it has no memory left.
pub(crate) fn register(dialog: &sys::dlg_binds) -> bool {
    let Some(register) = dialog.register_dlgcb else { return false };
    let null: *mut c_void = core::ptr::null_mut();
    // SAFETY: dialog's own function, with a callback that lives as long as the process; these two take no dialog.
    let created =
        unsafe { register(null.cast(), sys::DLGCB_CREATED as i32, Some(abi::dialog_created), null, None) };
    // SAFETY: as above.
    let loaded =
        unsafe { register(null.cast(), sys::DLGCB_LOADED as i32, Some(abi::dialog_loaded), null, None) };
    created == 0 && loaded == 0
}

/// `CREATED`: ties the dialog to the call that `trunk_admit()` has just admitted for the same message, if it did.
pub(crate) fn created(dialog: *mut sys::dlg_cell, params: *mut sys::dlg_cb_params) {
    // SAFETY: dialog hands over the parameters of this call.
    let Some(params) = (unsafe { params.as_ref() }) else { return };
    // SAFETY: the INVITE of the running route.
    let Some(request) = (unsafe { SipMsg::new(params.req) }) else { return };
    process::with(|process| {
        let judgement = &process.judgement;
        let fresh = judgement.key == request.key() && !judgement.again && !judgement.bound;
        let Some(slot) = judgement.slot.filter(|_| fresh) else { return };
        let cseq = request.cseq().unwrap_or(0);
        // Without callbacks nobody would hear of the call's end: it stays unbound, and `trunk_route()` refuses it.
        process.judgement.bound = tie(process, dialog, slot);
        save(process, dialog, slot, cseq);
        // Not written before the answer, with the dialog itself: a restart could not take a call on that rings.
        // SAFETY: dialog hands over a live cell that it has just made; nobody writes an unconfirmed one.
        if let Some(cell) = unsafe { dialog.as_mut() } {
            cell.dflags &= !sys::DLG_FLAG_CHANGED_VARS;
        }
    });
}

/// `LOADED`: takes a call of before the restart into this epoch, whatever the limits say now.
pub(crate) fn loaded(dialog: *mut sys::dlg_cell) {
    process::with(|process| {
        let Some(saved) = read_saved(process, dialog) else {
            watch(process, dialog);
            return;
        };
        // SAFETY: dialog hands over a live cell.
        let Some(cell) = (unsafe { dialog.as_ref() }) else { return };
        // SAFETY: a string of the cell.
        let call_id = unsafe { KStr::new(&cell.callid) };
        // SAFETY: as above.
        let caller_tag = unsafe { KStr::new(&cell.tag[0]) };
        let key = process.instance.call_key(call_id.bytes(), caller_tag.bytes(), saved.cseq);
        if process.instance.has_ended(&saved.call, key, saved.origin) {
            // Its slot and its story are over: it is neither counted nor told again. The keep-alive will find both ends gone; its row goes
            // now, or a dozen deaths in a minute would leave more of them than the next start has memory to read.
            watch(process, dialog);
            rows::forget(process, cell);
            log::line(
                Level::Notice,
                &ENDED,
                format_args!("a restored dialog's call has ended before; not counted"),
            );
            return;
        }
        let Some(slot) = process.instance.adopt(&saved.call, key) else {
            watch(process, dialog);
            log::line(
                Level::Error,
                &UNTIED,
                format_args!("a restored dialog found no slot and is not counted"),
            );
            return;
        };
        if tie(process, dialog, slot) {
            save(process, dialog, slot, saved.cseq);
        } else {
            // Nobody would hear of its end.
            let how = How { sip_code: 200, q850: 0, by: Party::Proxy, cause: EndCause::Terminated };
            ending::end(process, slot, how);
        }
    });
}

/// One of [`EVENTS`].
pub(crate) fn event(dialog: *mut sys::dlg_cell, event: i32, params: *mut sys::dlg_cb_params) {
    // SAFETY: reads a flag of the core.
    let stopping = unsafe { sys::destroy_modules_phase() } != 0;
    if event as u32 == sys::DLGCB_DESTROY && !stopping {
        process::with(|process| rows::leave(process, dialog));
    }
    // SAFETY: dialog hands over a live cell.
    let Some(cell) = (unsafe { dialog.as_ref() }) else { return };
    // SAFETY: and the parameters of this call.
    let Some(params) = (unsafe { params.as_ref() }) else { return };
    // SAFETY: the request of this event, or null.
    let request = unsafe { SipMsg::new(params.req) };
    if event as u32 == sys::DLGCB_TERMINATED && request.is_none() && is_up(cell.state) {
        process::with(|process| hangup::begin(process, cell));
    }
    // SAFETY: `param` points at the word that was registered.
    let slot = unsafe { params.param.as_ref() }.and_then(|word| SlotRef::from_raw(word.addr() as u64));
    let Some(slot) = slot else { return };
    // SAFETY: its reply, or null, or the marker for a local one.
    let reply = unsafe { SipMsg::new(params.rpl) };
    process::with(|process| match event as u32 {
        sys::DLGCB_EARLY => {
            if matches!(reply.and_then(|reply| reply.status()), Some(180 | 183)) {
                process.instance.ringing(slot, process.instance.time_of(slot, Now::read()));
            }
        }
        sys::DLGCB_RESPONSE_FWDED => {
            if matches!(reply.and_then(|reply| reply.status()), Some(200..300)) {
                answered(process, dialog, slot);
            }
        }
        sys::DLGCB_CONFIRMED_NA => {
            process.ready = None;
            confirmed(process, slot);
        }
        sys::DLGCB_FAILED => {
            let how = failed(process, slot, params.req, reply);
            ending::end(process, slot, how);
        }
        // Nobody has answered it, so dialog is about to refuse the BYE: the call goes on, and so does its slot. A dialog
        // that is answered in this very moment is ended by `TERMINATED_CONFIRMED`.
        sys::DLGCB_TERMINATED if request.is_none() && !can_be_hung_up(cell.state) => {}
        sys::DLGCB_TERMINATED => {
            let how = terminated(cell, params.direction, request);
            ending::end(process, slot, how);
        }
        sys::DLGCB_TERMINATED_CONFIRMED => {
            let how = How { sip_code: 200, q850: 0, by: Party::Proxy, cause: EndCause::Terminated };
            ending::end(process, slot, how);
        }
        sys::DLGCB_EXPIRED => {
            let how = How { sip_code: 200, q850: 0, by: Party::Proxy, cause: EndCause::Expired };
            ending::end(process, slot, how);
        }
        sys::DLGCB_DESTROY => {
            if let Some(cause) = destroyed(cell.state, stopping) {
                ending::end(process, slot, How { sip_code: 0, q850: 0, by: Party::Proxy, cause });
            }
        }
        _ => {}
    });
}

/// How a call ends whose dialog is destroyed with its slot still taken. `None`: it does not. When Kamailio stops,
/// calls that are up go on between their ends, and the next start finds their dialogs in the database.
fn destroyed(state: u32, stopping: bool) -> Option<EndCause> {
    match state {
        state if stopping && is_up(state) => None,
        sys::DLG_STATE_UNCONFIRMED => Some(EndCause::NoRoute),
        sys::DLG_STATE_EARLY if !stopping => Some(EndCause::TimedOut),
        _ => Some(EndCause::Terminated),
    }
}

/// Whether `send_bye` (dlg_req_within.c) takes a dialog in this state.
fn is_up(state: u32) -> bool {
    matches!(state, sys::DLG_STATE_CONFIRMED_NA | sys::DLG_STATE_CONFIRMED)
}

/// Whether it would, or would have before the dialog ended.
fn can_be_hung_up(state: u32) -> bool {
    !matches!(state, sys::DLG_STATE_UNCONFIRMED | sys::DLG_STATE_EARLY)
}

fn failed(
    process: &mut Process,
    slot: SlotRef,
    request: *mut sys::sip_msg,
    reply: Option<SipMsg<'_>>,
) -> How {
    let answer = ready::final_answer(process, slot, request, reply);
    let q850 = reply.map_or(0, |reply| reply.q850());
    let (by, cause) = match (answer.cancelled, reply, answer.code) {
        (true, ..) => (Party::Caller, EndCause::Cancel),
        (false, Some(_), _) => (Party::Callee, EndCause::Rejected),
        (false, None, 408) => (Party::Proxy, EndCause::TimedOut),
        (false, None, _) => (Party::Proxy, EndCause::NoRoute),
    };
    How { sip_code: answer.code, q850, by, cause }
}

fn terminated(cell: &sys::dlg_cell, direction: u32, bye: Option<SipMsg<'_>>) -> How {
    let q850 = bye.map_or(0, |bye| bye.q850());
    let (by, cause) = match (bye, direction) {
        (Some(_), sys::DLG_DIR_DOWNSTREAM) => (Party::Caller, EndCause::Bye),
        (Some(_), sys::DLG_DIR_UPSTREAM) => (Party::Callee, EndCause::Bye),
        _ if cell.dflags & sys::DLG_FLAG_EXPIRED != 0 => (Party::Proxy, EndCause::Expired),
        _ => (Party::Proxy, EndCause::Terminated),
    };
    How { sip_code: 200, q850, by, cause }
}

/// The answer is on its way. The dialog saves itself right after this, so the variable is brought up to date now.
fn answered(process: &mut Process, dialog: *mut sys::dlg_cell, slot: SlotRef) {
    let now = Now::read();
    if !process.instance.answered(slot, process.instance.time_of(slot, now)) {
        return;
    }
    if let Some(call) = process.instance.call(slot) {
        process.instance.gateway_result(call.gateway_live, Outcome::Good, now);
    }
    let cseq = read_saved(process, dialog).map_or(0, |saved| saved.cseq);
    save(process, dialog, slot, cseq);
}

/// The call is up: says so.
fn confirmed(process: &mut Process, slot: SlotRef) {
    admit::refresh(process);
    let instance = &process.instance;
    let Some(call) = instance.call(slot) else {
        log::line(
            Level::Notice,
            &RAISED,
            format_args!("a 2xx came after the call had ended: cancelled too late"),
        );
        return;
    };
    let identity = instance.identity_of(call.trunk_live);
    let trunk = identity.map(|identity| instance.names(&identity).trunk);
    let gateway = identity.map(|identity| instance.gateway_uri(&identity, call.gateway_live));
    let answered = Answered {
        gateway: gateway.as_ref().map_or(&b""[..], |uri| uri.as_bytes()),
        attempts: call.attempts,
        ring_wall_ms: call.ring_wall_ms,
    };
    instance.push(&EventOut {
        call: call.uid,
        wall_ms: call.answer_wall_ms,
        trunk: trunk.as_ref().map_or(&b""[..], |id| id.as_bytes()),
        body: BodyOut::Answered(answered),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_nobody_has_answered_cannot_be_hung_up() {
        assert!(!can_be_hung_up(sys::DLG_STATE_UNCONFIRMED) && !can_be_hung_up(sys::DLG_STATE_EARLY));
        assert!(can_be_hung_up(sys::DLG_STATE_CONFIRMED_NA) && can_be_hung_up(sys::DLG_STATE_CONFIRMED));
    }

    #[test]
    fn a_stop_of_kamailio_ends_calls_that_ring_and_keeps_calls_that_are_up() {
        assert_eq!(destroyed(sys::DLG_STATE_CONFIRMED, true), None);
        assert_eq!(destroyed(sys::DLG_STATE_CONFIRMED_NA, true), None);
        assert_eq!(destroyed(sys::DLG_STATE_EARLY, true), Some(EndCause::Terminated));
        assert_eq!(destroyed(sys::DLG_STATE_EARLY, false), Some(EndCause::TimedOut));
        assert_eq!(destroyed(sys::DLG_STATE_UNCONFIRMED, false), Some(EndCause::NoRoute));
        assert_eq!(destroyed(sys::DLG_STATE_CONFIRMED, false), Some(EndCause::Terminated));
    }
}
