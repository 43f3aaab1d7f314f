//! `trunk.status`: numbers of the shared memory, for operators and tests. Read-only; it must never take part in a
//! decision, and names no trunk, no address and no credential.

use core::ffi::{CStr, c_char, c_void};
use core::ptr;

use crate::guard;
use crate::process::{self, Process};
use crate::sys;

/// Fills in one structure. Numbers are printed as decimals: Kamailio's RPC integers have 32 bits.
pub(crate) fn status(rpc: *mut sys::rpc_t, context: *mut c_void) {
    // SAFETY: Kamailio hands over its table of functions for this request.
    let Some(rpc) = (unsafe { rpc.as_ref() }) else { return };
    let answered = process::with(|process| {
        crate::admit::refresh(process);
        fill(rpc, context, process)
    });
    if answered.flatten().is_none()
        && let Some(fault) = rpc.fault
    {
        // SAFETY: printf-like; the text has no directives.
        unsafe { fault(context, 500, c"Internal error".as_ptr().cast_mut()) };
    }
}

fn fill(rpc: &sys::rpc_t, context: *mut c_void, process: &Process) -> Option<()> {
    let mut handle: *mut c_void = ptr::null_mut();
    // SAFETY: "{" takes one pointer, where it stores the new structure.
    if unsafe { rpc.add?(context, c"{".as_ptr().cast_mut(), &raw mut handle) } < 0 {
        return None;
    }
    let status = process.instance.status();
    let live = process.instance.live();
    let totals = live.counters();
    let number = |name: &CStr, value: u64| add(rpc, handle, name, value);
    number(c"generation", status.generation.into())?;
    number(c"revision", status.revision)?;
    number(c"trunks", status.trunks as u64)?;
    number(c"calls", status.calls.into())?;
    number(c"slots", status.slots.into())?;
    number(c"epoch", status.epoch)?;
    number(c"ring_cells", status.ring.0)?;
    number(c"ring_fill", status.ring.1)?;
    number(c"events_dropped", totals.events_dropped)?;
    number(c"events_lost", status.events_lost)?;
    number(c"backlog_percent", live.backlog().into())?;
    number(c"gateways_down", status.gateways_down.into())?;
    number(c"admitted", totals.admitted)?;
    number(c"refused", totals.refused.iter().map(|(_, count)| count).sum())?;
    number(c"ended", totals.ended)?;
    number(c"images_refused", totals.images_refused)?;
    number(c"underflows", totals.underflows)?;
    number(c"panics", totals.panics)?;
    number(c"panics_here", guard::panics())?;
    number(c"heartbeat_ms", status.heartbeat_ms)?;
    let mode = if process::fail_open() { c"open" } else { c"closed" };
    add_text(rpc, handle, c"fail_mode", mode)
}

/// Adds a number as text.
fn add(rpc: &sys::rpc_t, handle: *mut c_void, name: &CStr, value: u64) -> Option<()> {
    let printf = rpc.struct_printf?;
    let (name, format) = (name.as_ptr().cast_mut(), c"%llu".as_ptr().cast_mut());
    // SAFETY: printf-like, with one argument of the type that the format names.
    (unsafe { printf(handle, name, format, value) } >= 0).then_some(())
}

fn add_text(rpc: &sys::rpc_t, handle: *mut c_void, name: &CStr, value: &CStr) -> Option<()> {
    let add: unsafe extern "C" fn(*mut c_void, *mut c_char, ...) -> i32 = rpc.struct_add?;
    // SAFETY: "s" takes a name and a NUL-terminated text.
    (unsafe { add(handle, c"s".as_ptr().cast_mut(), name.as_ptr(), value.as_ptr()) } >= 0).then_some(())
}
