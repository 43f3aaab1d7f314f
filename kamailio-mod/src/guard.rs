//! The wall that no panic passes. Every function Kamailio can call goes through [`guarded`].
//!
//! Unwinding out of an `extern "C"` function aborts the process, and Kamailio ends the whole proxy when one of its
//! processes dies: one `unwrap` would be an outage. It must never allocate on the good path, and never re-raise.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::log::{self, Kind, Level};
use crate::process;
use crate::verdict::Answer;

/// Panics caught in this process since it started.
static PANICS: AtomicU64 = AtomicU64::new(0);
static CAUGHT: Kind = Kind::new();

/// Runs one entry point. A panic is logged, counted, and answered with what `A` says after a panic.
///
/// Unwind safety: after a panic the state behind `f` may be half changed. What the module keeps is either atomic words
/// that are each right on their own, or inside `process`, whose borrow ends while the stack unwinds.
pub(crate) fn guarded<A: Answer>(entry: &'static str, f: impl FnOnce() -> A) -> A::C {
    #[cfg(feature = "panic-points")]
    let watch = crate::heap::Watch::start();
    let caught = panic::catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "panic-points")]
        panic_point(entry);
        f()
    }));
    let answer = caught.unwrap_or_else(|payload| {
        core::mem::forget(payload); // its drop could panic again
        PANICS.fetch_add(1, Relaxed);
        let caught = panic::catch_unwind(|| {
            log::line(
                Level::Error,
                &CAUGHT,
                format_args!("{entry}: internal error, answered with the fail mode"),
            );
            process::with(|process| process.instance.count_panic());
        });
        core::mem::forget(caught);
        A::after_panic()
    });
    #[cfg(feature = "panic-points")]
    watch.tell(entry);
    answer.to_c()
}

/// Panics caught in this process.
pub(crate) fn panics() -> u64 {
    PANICS.load(Relaxed)
}

/// From now on a panic says where it was in Kamailio's log instead of on standard error. Once, in `mod_init`.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
        let text = info.payload_as_str().unwrap_or("no message");
        log::line(Level::Error, &CAUGHT, format_args!("panic at {}:{}: {text}", place.0, place.1));
    }));
}

/// Panics when the modparam `panic_at` names this entry point.
#[cfg(feature = "panic-points")]
fn panic_point(entry: &'static str) {
    if crate::params::PANIC_AT.get() == Some(entry.as_bytes()) {
        panic!("asked for by modparam panic_at");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Admit, Plain, Route};

    #[test]
    fn a_panic_becomes_an_answer() {
        let before = panics();
        assert_eq!(guarded("test", || -> Route { panic!("on purpose") }), Route::NoGateway as i32);
        assert_eq!(guarded("test", || -> Plain { panic!("on purpose") }), -1);
        assert_eq!(guarded("test", || Admit::Allow), 1);
        guarded("test", || -> () { panic!("on purpose") });
        assert!(panics() - before >= 3, "each was counted; other tests may panic meanwhile");
    }

    #[test]
    fn a_payload_that_panics_when_dropped_stays_inside() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(guarded("test", || -> Route { panic::panic_any(Bomb) }), Route::NoGateway as i32);
    }
}
