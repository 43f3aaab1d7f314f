//! `trunk.suspects`: slots whose call nobody may end any more, because its dialog is gone or somebody broke off. trunkd asks.
//!
//! A call that comes or goes in this very moment looks the same, so one look convicts nobody: whoever asks must see the
//! same slot again later. Looks at [`LOOKS`] calls at a time, so that other questions to Kamailio do not wait. It must never
//! end a call itself, and never hold on to this process's state while a dialog is let go of: that may destroy the
//! dialog, and its callbacks need the state.

use core::ffi::{c_int, c_void};

use trunk_admission::live::{SlotState, SlotView};
use trunk_admission::{Now, SlotRef};

use crate::asked::Parameters;
use crate::bind::{FindDialog, dialog_parameter};
use crate::process;
use crate::reply::{Reply, fail};
use crate::sys;

/// Calls looked at for one answer: a millisecond of look-ups.
const LOOKS: usize = 4_096;
/// Suspects in one answer: it must fit into a datagram.
const MOST: usize = 512;
/// What dialog itself takes for its parameter `early_timeout` when nobody sets it, in seconds.
const EARLY_TIMEOUT_S: c_int = 300;

/// Why a slot is suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its dialog is not there.
    Gone,
    /// Its dialog has ended.
    Over,
    /// It rings for longer than dialog lets any call ring.
    Ringing,
    /// It never had a dialog.
    Untied,
    /// Somebody is writing its ending.
    Ending,
    /// Somebody is judging it.
    Judging,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Why::Gone => "gone",
            Why::Over => "over",
            Why::Ringing => "ringing",
            Why::Untied => "untied",
            Why::Ending => "ending",
            Why::Judging => "judging",
        }
    }
}

/// What dialog knows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialog {
    /// The slot names none.
    Unnamed,
    /// Nothing.
    Gone,
    /// Its state, one of `DLG_STATE_*`.
    In(u32),
}

/// Calls to be looked at.
struct Calls {
    file: u64,
    epoch: u64,
    restored: bool,
    views: Vec<SlotView>,
    /// Where to go on; `None` at the end.
    next: Option<u32>,
}

/// Fills in one structure: which file the slots are in, epoch, whether all dialogs are restored, where to go on (-1: nowhere), and the suspects, each
/// as a word and the slot's number.
pub(crate) fn suspects(rpc: *mut sys::rpc_t, context: *mut c_void) {
    // SAFETY: Kamailio hands over its table of functions for this request.
    let Some(rpc) = (unsafe { rpc.as_ref() }) else { return };
    let from = Parameters::new(rpc, context).place();
    let Some((find, release)) =
        process::with(|process| Some((process.binds.find_dialog?, process.binds.dialog.release_dlg?)))
            .flatten()
    else {
        return fail(rpc, context, 501, c"this dialog module finds no dialog by its number");
    };
    let Some(calls) = collect(from) else {
        return fail(rpc, context, 500, c"Internal error");
    };
    let early_s = dialog_parameter(c"early_timeout").unwrap_or(EARLY_TIMEOUT_S);
    let (now, early_ms) = (Now::read(), u64::try_from(early_s).unwrap_or(0) * 1_000);
    let rings_too_long = |view: &SlotView| view.clock.at(now).saturating_sub(view.start_wall_ms) > early_ms;
    let found: Vec<(Why, SlotRef)> = calls
        .views
        .iter()
        .filter_map(|view| {
            Some((why(view, dialog_of(view, find, release), rings_too_long(view))?, view.slot))
        })
        .collect();
    if answer(rpc, context, &calls, &found).is_none() {
        fail(rpc, context, 500, c"Internal error");
    }
}

/// The calls of this epoch from a place on.
fn collect(from: u32) -> Option<Calls> {
    process::with(|process| {
        let live = process.instance.live();
        let (epoch, restored) = (live.epoch(), live.restored());
        let mut slots = live.slots_from(from);
        let views: Vec<SlotView> = slots.by_ref().take(LOOKS).collect();
        let next = slots.next().map(|view| view.slot.index());
        // Calls of before this start are orphans or will be restored.
        let ours = |view: &SlotView| view.epoch == epoch || view.state == SlotState::Taking;
        Calls { file: live.file(), epoch, restored, views: views.into_iter().filter(ours).collect(), next }
    })
}

fn dialog_of(view: &SlotView, find: FindDialog, release: unsafe extern "C" fn(*mut sys::dlg_cell)) -> Dialog {
    let (h_entry, h_id) = view.dialog;
    if !matches!(view.state, SlotState::Ringing | SlotState::Answered) || h_id == 0 {
        return Dialog::Unnamed;
    }
    let mut number = sys::dlg_iuid { h_id, h_entry };
    // SAFETY: dialog's own function; it only reads the number.
    let cell = unsafe { find(&raw mut number) };
    // SAFETY: null, or a cell that stays until it is released below.
    let Some(state) = (unsafe { cell.as_ref() }).map(|cell| cell.state) else { return Dialog::Gone };
    // SAFETY: the reference that `find` has taken; the cell is not touched afterwards.
    unsafe { release(cell) };
    Dialog::In(state)
}

fn why(view: &SlotView, dialog: Dialog, rings_too_long: bool) -> Option<Why> {
    match (view.state, dialog) {
        (SlotState::Taking, _) => Some(Why::Judging),
        (SlotState::Ending, _) => Some(Why::Ending),
        (SlotState::Ringing | SlotState::Answered, Dialog::Unnamed) => Some(Why::Untied),
        (SlotState::Ringing | SlotState::Answered, Dialog::Gone) => Some(Why::Gone),
        (SlotState::Ringing | SlotState::Answered, Dialog::In(sys::DLG_STATE_DELETED)) => Some(Why::Over),
        (SlotState::Ringing, Dialog::In(sys::DLG_STATE_UNCONFIRMED | sys::DLG_STATE_EARLY)) => {
            rings_too_long.then_some(Why::Ringing)
        }
        _ => None,
    }
}

fn answer(rpc: &sys::rpc_t, context: *mut c_void, calls: &Calls, found: &[(Why, SlotRef)]) -> Option<()> {
    let reply = Reply::begin(rpc, context)?;
    // Suspects that do not fit are asked for again.
    let rest = found.get(MOST).map(|(_, slot)| slot.index());
    reply.number(c"file", calls.file)?;
    reply.number(c"epoch", calls.epoch)?;
    reply.number(c"restored", calls.restored.into())?;
    reply.signed(c"next", rest.or(calls.next).map_or(-1, i64::from))?;
    let list = reply.list(c"suspects")?;
    found
        .iter()
        .take(MOST)
        .try_for_each(|(why, slot)| list.entry(format_args!("{} {}", why.word(), slot.to_raw())))
}
