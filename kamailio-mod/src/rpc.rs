//! `trunk.status`: numbers of the shared memory, for operators and tests. Read-only; it must never take part in a
//! decision, and names no trunk, no address and no credential.

use core::ffi::{CStr, c_void};

use crate::guard;
use crate::process::{self, Process};
use crate::reply::{Reply, fail};
use crate::sys;

/// Fills in one structure.
pub(crate) fn status(rpc: *mut sys::rpc_t, context: *mut c_void) {
    // SAFETY: Kamailio hands over its table of functions for this request.
    let Some(rpc) = (unsafe { rpc.as_ref() }) else { return };
    let answered = process::with(|process| {
        crate::admit::refresh(process);
        fill(rpc, context, process)
    });
    if answered.flatten().is_none() {
        fail(rpc, context, 500, c"Internal error");
    }
}

fn fill(rpc: &sys::rpc_t, context: *mut c_void, process: &Process) -> Option<()> {
    let reply = Reply::begin(rpc, context)?;
    let status = process.instance.status();
    let live = process.instance.live();
    let totals = live.counters();
    let number = |name: &CStr, value: u64| reply.number(name, value);
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
    number(c"lasting_backlog_percent", live.lasting_backlog().into())?;
    number(c"gateways_down", status.gateways_down.into())?;
    number(c"admitted", totals.admitted)?;
    number(c"refused", totals.refused.iter().map(|(_, count)| count).sum())?;
    number(c"ended", totals.ended)?;
    number(c"images_refused", totals.images_refused)?;
    number(c"underflows", totals.underflows)?;
    number(c"panics", totals.panics)?;
    number(c"panics_here", guard::panics())?;
    number(c"heartbeat_ms", status.heartbeat_ms)?;
    reply.text(c"fail_mode", if process::fail_open() { "open" } else { "closed" })
}
