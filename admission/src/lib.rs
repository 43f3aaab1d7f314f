//! The memory that Trunkline's processes share, and the one decision that is taken from it.
//!
//! | file | written by | read by | what |
//! |---|---|---|---|
//! | `control` | the publisher | all | names the images in force, by one word |
//! | `table-N` | the publisher, once | all | an immutable image of the configuration |
//! | `live` | the module, a little by the daemon | all | limiter words, counts, call slots, health, counters |
//! | `events` | the module | the daemon | a bounded ring of what happened to calls |
//!
//! A publisher builds an image aside, reads it back and names it by one release store; a reader that sees the name by an
//! acquire load can read the image. Limits are single words moved by compare-and-swap. A call is a slot that one process
//! claims, and that exactly one process frees. Nobody waits for anybody, and no order of deaths leaves the memory in a
//! state that its readers cannot use: `docs/shared-memory.md` argues each step.
//!
//! This crate knows no SIP, no serialisation framework and no runtime. `unsafe` is in `map` alone.

mod bytes;
mod clock;
mod control;
#[cfg(feature = "crash-points")]
#[doc(hidden)]
pub mod crash;
#[cfg(not(feature = "crash-points"))]
mod crash;
mod decide;
mod error;
pub mod events;
pub mod explain;
pub mod handover;
mod hash;
pub mod image;
pub mod instance;
#[cfg(all(test, loom))]
mod interleavings;
pub mod live;
mod map;
pub mod model;
pub mod publish;
mod rate;
mod reason;
mod route;
mod sync;
mod tables;

pub use clock::{CallClock, Now};
pub use decide::{Admission, Attempt, Barred, Identity, Proof, Refusal, Verdict};
pub use error::OpenError;
pub use image::Host;
pub use live::health::{Fitness, Outcome};
pub use live::{CallKey, SlotRef};
pub use model::{Kind, Region};
pub use rate::{Exceeded, Rate, RateError};
pub use reason::Reason;
