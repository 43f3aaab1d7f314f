//! The event ring: what happened to calls, from the module's processes to the daemon.
//!
//! Many producers, one consumer, fixed cells. Nobody waits: a producer that finds the ring full counts a drop, a
//! consumer that finds a cell reserved but not written reads past it and comes back. Positions only grow, over restarts
//! too, so a position names an event for ever.

mod codec;
mod consumer;
mod decode;
mod event;
mod file;
mod producer;
mod repair;
pub(crate) mod ring;
mod spill;

pub use consumer::{Consumer, Record};
pub use event::{
    Answered, Body, BodyOut, DecodeError, EndCause, Ended, EndedOut, Event, EventOut, Initiated,
    InitiatedOut, MAX_EVENT_TEXT, NO_MEDIA, Party,
};
pub use ring::Pushed;

pub(crate) use file::Size;
pub(crate) use producer::Producer;
