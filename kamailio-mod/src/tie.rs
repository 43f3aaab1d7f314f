//! The tie between a dialog and a call: the callback with the slot as its parameter, the dialog noted in the slot, and
//! the variable that brings the call back after a restart. It must never judge or end a call.

use trunk_admission::SlotRef;

use crate::dialog::EVENTS;
use crate::kstr::KStr;
use crate::log::{self, Kind, Level};
use crate::process::Process;
use crate::saved::{Saved, VARIABLE};
use crate::{abi, sys};

static UNTIED: Kind = Kind::new();

/// Registers for the dialog's events with the slot as parameter, and notes the dialog in the slot.
pub(crate) fn tie(process: &Process, dialog: *mut sys::dlg_cell, slot: SlotRef) -> bool {
    // SAFETY: dialog hands over a live cell.
    let Some(cell) = (unsafe { dialog.as_ref() }) else { return false };
    process.instance.bind_dialog(slot, cell.h_entry, cell.h_id);
    register(process, dialog, EVENTS, slot.to_raw() as usize)
}

/// Registers for the end of a dialog that is no call of ours: its row has to go all the same, and both its ends have to be told.
pub(crate) fn watch(process: &Process, dialog: *mut sys::dlg_cell) {
    // Without a parameter there is no slot.
    register(process, dialog, sys::DLGCB_TERMINATED | sys::DLGCB_DESTROY, 0);
}

fn register(process: &Process, dialog: *mut sys::dlg_cell, events: u32, parameter: usize) -> bool {
    let Some(register) = process.binds.dialog.register_dlgcb else { return false };
    let word = core::ptr::without_provenance_mut(parameter);
    // SAFETY: dialog's own function, with a callback that lives as long as the process and a parameter that is a number.
    let registered = unsafe { register(dialog, events as i32, Some(abi::dialog_event), word, None) } == 0;
    if !registered {
        log::line(Level::Error, &UNTIED, format_args!("dialog took no callback: out of shared memory?"));
    }
    registered
}

/// Writes the call into the dialog's variable.
pub(crate) fn save(process: &Process, dialog: *mut sys::dlg_cell, slot: SlotRef, cseq: u32) {
    let origin = process.instance.live().origin();
    let text = process.instance.call(slot).and_then(|call| Saved { call, cseq, origin }.write());
    let (Some(text), Some(set)) = (text, process.binds.dialog.set_dlg_var) else { return };
    let mut name = KStr::from_bytes(VARIABLE).as_sys();
    let mut value = KStr::from_bytes(text.bytes()).as_sys();
    // SAFETY: dialog's own function; copies both texts.
    if unsafe { set(dialog, &raw mut name, &raw mut value) } < 0 {
        log::line(Level::Error, &UNTIED, format_args!("dialog took no variable: out of shared memory?"));
    }
}

/// What [`save`] wrote, before or after a restart.
pub(crate) fn read_saved(process: &Process, dialog: *mut sys::dlg_cell) -> Option<Saved> {
    let mut name = KStr::from_bytes(VARIABLE).as_sys();
    // SAFETY: dialog's own function; the value is ours alone, so nobody replaces it while we read it.
    let value = unsafe { process.binds.dialog.get_dlg_varref?(dialog, &raw mut name) };
    // SAFETY: null, or a string of the dialog.
    let value = unsafe { value.as_ref() }?;
    // SAFETY: as above.
    Saved::read(unsafe { KStr::new(value) }.bytes())
}
