//! The one door to atomics: core's, or loom's when a model runs.
//!
//! Every word of shared memory goes through the types named here, so that the very code that runs in production is the
//! code that loom explores. Never import `core::sync::atomic` anywhere else in this crate.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(not(loom))]
pub(crate) use core::hint::spin_loop;

/// Under loom a spin is a point where another thread must be allowed to run.
#[cfg(loom)]
pub(crate) fn spin_loop() {
    loom::thread::yield_now();
}
