//! The module inside a real Kamailio: calls over UDP on loopback, events read from the ring.
//!
//! One Kamailio per test, in a folder and on ports of its own; the script is the smallest that uses every function. It
//! must never wait for a time to pass, only for something to happen, with a deadline.

mod calls;
mod digest;
mod endings;
mod failover;
#[cfg(feature = "panic-points")]
mod heap;
mod host;
mod kemi;
#[cfg(feature = "panic-points")]
mod panics;
mod restart;
mod rpcs;
mod sip;
mod site;
mod slow;
mod suspects;
