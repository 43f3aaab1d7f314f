//! Counts uses of the heap, in test builds only (feature `panic-points`): the tests let real calls pass and look for the
//! line that [`Watch::tell`] prints. Nothing on the way of a call may allocate.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::alloc::System;

use crate::log::{self, Level};

static USES: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: hands everything to the system's allocator, whose promises it keeps.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USES.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One entry point's time.
pub(crate) struct Watch(u64);

impl Watch {
    pub(crate) fn start() -> Watch {
        Watch(USES.load(Relaxed))
    }

    /// Says in the log how often the heap was used since the start, if it was.
    pub(crate) fn tell(self, entry: &'static str) {
        let uses = USES.load(Relaxed) - self.0;
        if uses > 0 {
            log::once(Level::Notice, format_args!("{entry}: the heap was used {uses} times"));
        }
    }
}
