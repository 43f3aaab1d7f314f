//! Calls that the proxy hangs up itself: both ends are sent their BYE.
//!
//! `dlg_bye_all` (Kamailio 5.6.3, modules/dialog/dlg_req_within.c) sends one to the caller and then one to the callee, if the dialog is
//! still up. The caller's answer, which any worker may handle (`bye_reply_cb`), ends the dialog: one that comes before the second is sent
//! leaves the callee with a call that nobody is told of any more. So that answer waits here until the second BYE has been made.
//!
//! Which callback runs when (modules/tm): `LOCAL_REQUEST_IN` in `t_uac_prepare`, uac.c, for a request of Kamailio's own before it is sent, in the
//! process that sends it; `LOCAL_RESPONSE_IN` in `t_reply_matching`, t_lookup.c, for an answer to it before anybody else hears of it, without
//! a lock. It must never hold an answer back for longer than [`PATIENCE`], and never one to anything but the first of two BYEs.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::kstr::KStr;
use crate::log::{self, Kind, Level};
use crate::process::{self, Process};
use crate::{abi, shared, sys};

/// Whoever sends the two BYEs may have to wait for a processor between them. Is there never a second one, because it cannot be made, the
/// first one's answer is late by this, or until its sender hangs up the next call.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK: Duration = Duration::from_micros(100);
/// Bits of a number; the number of the process is above them, and 1 more than it is, so that nothing is 0.
const NUMBER_BITS: u32 = 48;

static LATE: Kind = Kind::new();
static NOT_REGISTERED: Kind = Kind::new();

/// What this process is hanging up, and what all others are.
pub(crate) struct Hangups {
    /// Of each process: the call whose second BYE is not made yet, or 0. They order nothing else in memory: an answer that is read
    /// was sent after the request, and that after the store.
    underway: &'static [AtomicU64],
    /// Calls that this process has hung up.
    calls: u64,
    /// BYEs of the newest that are not made yet.
    missing: u32,
}

/// Asks tm for every request of Kamailio's own. `false` when it has no memory left.
pub(crate) fn register(tm: &sys::tm_binds) -> bool {
    let Some(register) = tm.register_tmcb else { return false };
    let (none, event) = (ptr::null_mut(), sys::TMCB_LOCAL_REQUEST_IN as i32);
    // SAFETY: tm's own function, in `mod_init` as it demands, with a callback that lives as long as the process; this event takes no
    // transaction.
    unsafe { register(none, ptr::null_mut(), event, Some(abi::local_request), ptr::null_mut(), None) > 0 }
}

impl Hangups {
    /// A word for each of so many processes; one beyond them sends its BYEs as dialog always did. Before the fork.
    pub(crate) fn new(processes: u32) -> Result<Hangups, String> {
        Ok(Hangups {
            underway: shared::words(processes as usize, "calls that are hung up")?,
            calls: 0,
            missing: 0,
        })
    }

    /// dialog is about to send a BYE to both ends of a call that is up, from the process of this number.
    fn begin(&mut self, index: usize) {
        let Some(underway) = self.underway.get(index) else { return };
        self.calls = (self.calls + 1) & ((1 << NUMBER_BITS) - 1);
        self.missing = 2;
        underway.store(name(index, self.calls), Relaxed);
    }

    /// A BYE of that process is made. The name of what the answer to it has to wait for.
    fn made(&mut self, index: usize) -> Option<u64> {
        let underway = self.underway.get(index)?;
        self.missing = self.missing.checked_sub(1)?;
        if self.missing > 0 {
            return Some(name(index, self.calls));
        }
        underway.store(0, Relaxed);
        None
    }
}

/// dialog is about to send a BYE to both ends of a call that is up.
pub(crate) fn begin(process: &mut Process) {
    if let Some(index) = own_index() {
        process.hangups.begin(index);
    }
}

fn own_index() -> Option<usize> {
    // SAFETY: the process's own number, which the core sets before it calls us.
    usize::try_from(unsafe { sys::process_no }).ok()
}

fn name(index: usize, calls: u64) -> u64 {
    (index as u64 + 1) << NUMBER_BITS | calls
}

/// `LOCAL_REQUEST_IN`.
pub(crate) fn request(t: *mut sys::cell) {
    // SAFETY: tm hands over the transaction it has just made; null would be a bug of tm, and ends here.
    let Some(cell) = (unsafe { t.as_ref() }) else { return };
    // SAFETY: the method stands at the beginning of the request's text, which tm keeps as long as the transaction.
    if unsafe { KStr::new(&cell.method) }.bytes() != b"BYE" {
        return;
    }
    process::with(|process| {
        if let Some(waits_for) = own_index().and_then(|index| process.hangups.made(index)) {
            watch(process, t, waits_for);
        }
    });
}

/// Asks for the answers to a BYE.
fn watch(process: &Process, t: *mut sys::cell, waits_for: u64) {
    let Some(register) = process.binds.tm.register_tmcb else { return };
    let (event, number) =
        (sys::TMCB_LOCAL_RESPONSE_IN as i32, ptr::without_provenance_mut(waits_for as usize));
    // SAFETY: tm's own function, for a transaction that was not sent yet, with a callback that lives as long as the process and a
    // parameter that is a number.
    if unsafe { register(ptr::null_mut(), t, event, Some(abi::bye_answered), number, None) } <= 0 {
        log::line(Level::Error, &NOT_REGISTERED, format_args!("tm took no callback: out of shared memory?"));
    }
}

/// `LOCAL_RESPONSE_IN` of the first BYE: goes on when the second is made.
pub(crate) fn answer(params: *mut sys::tmcb_params) {
    // SAFETY: tm hands over the parameters of this call.
    let Some(params) = (unsafe { params.as_ref() }) else { return };
    // SAFETY: `param` points at the number that was registered.
    let waits_for = unsafe { params.param.as_ref() }.map_or(0, |word| word.addr() as u64);
    let Some(index) = (waits_for >> NUMBER_BITS).checked_sub(1).and_then(|index| usize::try_from(index).ok())
    else {
        return;
    };
    // Without this process's state: others' callbacks run here too.
    let underway = process::with(|process| process.hangups.underway.get(index)).flatten();
    if underway.is_some_and(|underway| !is_over(underway, waits_for)) {
        let text = "a call was hung up, and its callee was sent no BYE for half a second";
        log::line(Level::Warn, &LATE, format_args!("{text}"));
    }
}

fn is_over(underway: &AtomicU64, waits_for: u64) -> bool {
    let begun = Instant::now();
    while underway.load(Relaxed) == waits_for {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(LOOK);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: usize = 3;

    fn fresh() -> Hangups {
        Hangups::new(4).expect("memory")
    }

    #[test]
    fn the_answer_to_the_first_bye_waits_for_the_second() {
        let mut hangups = fresh();
        hangups.begin(OWN);
        let waits_for = hangups.made(OWN).expect("the first of two");
        let underway = &hangups.underway[OWN];
        assert_eq!(underway.load(Relaxed), waits_for);
        let waiting = thread::spawn(move || is_over(underway, waits_for));
        assert_eq!(hangups.made(OWN), None, "nobody waits for what comes after the second");
        assert!(waiting.join().expect("no panic"));
        assert_eq!(underway.load(Relaxed), 0);
    }

    #[test]
    fn a_bye_of_no_hang_up_is_not_waited_for() {
        let mut hangups = fresh();
        assert_eq!(hangups.made(OWN), None, "as `dlg_bye(side)` sends one");
        hangups.begin(OWN);
        hangups.made(OWN);
        hangups.made(OWN);
        assert_eq!(hangups.made(OWN), None);
    }

    #[test]
    fn a_second_bye_that_is_never_made_is_waited_for_until_the_next_call_is_hung_up_or_not_for_long() {
        let mut hangups = fresh();
        hangups.begin(OWN);
        let first = hangups.made(OWN).expect("the first of two");
        let underway = &hangups.underway[OWN];
        assert!(!is_over(underway, first));
        hangups.begin(OWN);
        assert!(is_over(underway, first));
        let second = hangups.made(OWN).expect("the first of two");
        assert_ne!(first, second);
    }
}
