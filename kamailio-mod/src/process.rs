//! What one Kamailio process keeps between two entry points: the shared memory, the other modules' functions, and the
//! judgement of the message in hand.
//!
//! Made in `mod_init`; every forked process goes on with its own copy. Kamailio calls a module from one thread of each
//! process only, and never from a signal handler. It must never block: a second borrow is refused, not waited for.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use trunk_admission::instance::Instance;

use crate::backlog::Sockets;
use crate::bind::Binds;
use crate::brake::Rates;
use crate::digest::Algorithm;
use crate::hangup::Hangups;
use crate::judgement::Judgement;
use crate::probe::Round;
use crate::ready::LastReady;
use crate::rows::Rows;
use crate::sys;

/// Everything of one process.
pub(crate) struct Process {
    /// The shared memory.
    pub(crate) instance: Instance,
    /// The functions of tm, dialog and auth.
    pub(crate) binds: Binds,
    /// The auth module's functions and the digest it computes; `None` when it is not there.
    pub(crate) digest: Option<(sys::auth_api_s, Algorithm)>,
    /// What strangers may do.
    pub(crate) rates: Rates,
    /// Where the rows of dialogs that are over go; `None` when dialog deletes them itself.
    pub(crate) rows: Option<Rows>,
    /// Calls that the proxy ends itself.
    pub(crate) hangups: Hangups,
    /// Whose receive buffers the timer process looks at.
    pub(crate) sockets: Sockets,
    /// Which gateways are asked next whether they are there.
    pub(crate) round: Round,
    /// What was decided about the message in hand, for `$trunk(...)`, `trunk_route()` and the dialog.
    pub(crate) judgement: Judgement,
    /// The answer that tm is about to send, for the dialog callback that follows it.
    pub(crate) ready: Option<LastReady>,
}

struct Cell(RefCell<Option<Process>>);

// SAFETY: Kamailio's processes run our entry points on one thread each; nothing is shared between processes but the
// mappings inside `Instance`, which are atomic words.
unsafe impl Sync for Cell {}

static PROCESS: Cell = Cell(RefCell::new(None));
static FAIL_OPEN: AtomicBool = AtomicBool::new(false);

/// Runs `f` on this process's state. `None` before `mod_init` has made it, and for an entry point that is called from
/// inside another.
pub(crate) fn with<R>(f: impl FnOnce(&mut Process) -> R) -> Option<R> {
    let mut process = PROCESS.0.try_borrow_mut().ok()?;
    process.as_mut().map(f)
}

/// Puts the state in place; once, in `mod_init`.
pub(crate) fn install(process: Process, fail_open: bool) {
    FAIL_OPEN.store(fail_open, Relaxed);
    if let Ok(mut place) = PROCESS.0.try_borrow_mut() {
        *place = Some(process);
    }
}

/// Whether calls that cannot be judged pass.
pub(crate) fn fail_open() -> bool {
    FAIL_OPEN.load(Relaxed)
}
