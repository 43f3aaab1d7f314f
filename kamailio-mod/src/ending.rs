//! How a call ends: one event, one slot given back, whoever comes first.
//! It must never decide that a call is over; it only says so, once.

use trunk_admission::events::{BodyOut, EndCause, EndedOut, EventOut, Party};
use trunk_admission::{Now, SlotRef};

use crate::process::Process;

/// What the far sides and we did to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    /// Final answer to the INVITE; 200 for a call that was up, 0 when none was given.
    pub(crate) sip_code: u16,
    /// Q.850 cause of a Reason header, or 0.
    pub(crate) q850: u16,
    /// Who ended it.
    pub(crate) by: Party,
    /// In which way.
    pub(crate) cause: EndCause,
}

/// Ends a call: event first, then the slot. `false` when the call was over already.
pub(crate) fn end(process: &mut Process, slot: SlotRef, how: How) -> bool {
    crate::admit::refresh(process); // names come from the table; a timer process judges no calls and may have an old one
    let instance = &process.instance;
    let now = Now::read();
    instance.end(slot, |call| {
        let end_wall_ms = call.clock.at(now);
        let identity = instance.identity_of(call.trunk_live);
        let trunk = identity.map(|identity| instance.names(&identity).trunk);
        let gateway = identity.map(|identity| instance.gateway_uri(&identity, call.gateway_live));
        let ended = EndedOut {
            sip_code: if call.answer_wall_ms == 0 { how.sip_code } else { 200 },
            q850: how.q850,
            by: how.by,
            cause: how.cause,
            start_wall_ms: call.start_wall_ms,
            ring_wall_ms: call.ring_wall_ms,
            answer_wall_ms: call.answer_wall_ms,
            end_wall_ms,
            gateway: gateway.as_ref().map_or(b"", |uri| uri.as_bytes()),
            attempts: call.attempts,
        };
        let event = EventOut {
            call: call.uid,
            wall_ms: end_wall_ms,
            trunk: trunk.as_ref().map_or(b"", |id| id.as_bytes()),
            body: BodyOut::Ended(ended),
        };
        instance.push(&event); // a full ring is counted inside
    })
}
