//! The one door to atomics: core's, or loom's when a model runs.
//!
//! Every word of shared memory goes through the types named here, so that the very code that runs in production is the
//! code that loom explores. Orderings that matter have a name, a [`Site`]; the proofs weaken one after the other and see
//! that a model notices. Never import `core::sync::atomic` anywhere else in this crate.

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

/// A place whose ordering, or whose atomicity, a protocol rests on. `docs/shared-memory.md` argues each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// Storing the pair makes the images it names readable.
    PairStore,
    /// Loading the pair.
    PairLoad,
    /// A limiter word moves from what was judged, or not at all.
    RateSwap,
    /// A count moves from what was judged, or not at all.
    CountSwap,
    /// Reading a count between two looks at the slots that it counts.
    CountLoad,
    /// A free tag is claimed by one.
    TagClaim,
    /// Between storing a claim and looking for its twin.
    TwinFence,
    /// A tag's new state hands over what its owner wrote into the body.
    TagStore,
    /// A tag's state moves for one caller only.
    TagSwap,
    /// Loading a tag before its body.
    TagLoad,
    /// After a key was read, before the tag is looked at again.
    KeyLoadFence,
    /// A position of the ring is reserved by one.
    HeadSwap,
    /// A record is complete.
    CommitStore,
    /// Looking whether it is.
    CommitLoad,
    /// A number is handed over into a word that is empty, or not at all.
    PutSwap,
}

/// `ordering`, unless a proof has weakened this site.
#[inline(always)]
pub(crate) fn at(site: Site, ordering: Ordering) -> Ordering {
    if weakened(site) { Ordering::Relaxed } else { ordering }
}

/// A fence, unless a proof has taken it out.
#[inline(always)]
pub(crate) fn fence_at(site: Site, ordering: Ordering) {
    if !weakened(site) {
        fence(ordering);
    }
}

/// Between storing a claim and looking for its twin. The claim is a sequentially consistent swap and the look is made of
/// sequentially consistent loads, so of two twins one sees the other; the release fence keeps what is written next behind
/// the claim. Loom takes sequentially consistent accesses for weaker ones, so there a full fence stands for them; here it
/// would cost as much as the claim itself.
#[inline(always)]
pub(crate) fn twin_fence() {
    fence_at(Site::TwinFence, if cfg!(loom) { Ordering::SeqCst } else { Ordering::Release });
}

/// Compare and swap; a proof that weakens its site makes it a load and a store.
#[inline(always)]
pub(crate) fn swap(
    site: Site,
    cell: &AtomicU64,
    current: u64,
    next: u64,
    success: Ordering,
) -> Result<u64, u64> {
    if weakened(site) {
        cell.store(next, success);
        return Ok(current);
    }
    cell.compare_exchange(current, next, success, Ordering::Relaxed)
}

#[cfg(not(loom))]
#[inline(always)]
fn weakened(_: Site) -> bool {
    false
}

#[cfg(loom)]
pub(crate) use proofs::{set_weakened, weakened};

#[cfg(loom)]
mod proofs {
    use super::Site;

    // Not loom's: it is set between models and only read within one.
    static WEAKENED: std::sync::Mutex<Option<Site>> = std::sync::Mutex::new(None);

    pub(crate) fn set_weakened(site: Option<Site>) {
        *WEAKENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = site;
    }

    pub(crate) fn weakened(site: Site) -> bool {
        *WEAKENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) == Some(site)
    }
}
