//! Calls that the proxy hangs up itself: both ends are sent their BYE.
//!
//! `dlg_bye_all` (Kamailio 5.6.3, modules/dialog/dlg_req_within.c) sends one to the caller and then one to the callee, if the dialog is
//! still up. The caller's answer, which any worker may handle (`bye_reply_cb`), ends the dialog: one that comes before the second is sent
//! leaves the callee with a call that nobody is told of any more. So that answer waits here until the second BYE has been made.
//!
//! Which callback runs when (modules/tm): `LOCAL_REQUEST_IN` in `t_uac_prepare`, uac.c, for a request of Kamailio's own before it is sent, in the
//! process that sends it; `LOCAL_RESPONSE_IN` in `t_reply_matching`, t_lookup.c, for an answer to it, each copy of it and each 1xx, before
//! anybody else hears of it, without a lock.
//!
//! Who is at both ends may keep the second BYE from being made (a Contact that leads nowhere) and answer the first as often as they like. So a
//! hang-up is waited for once, by one worker, and for no longer than [`PATIENCE`]; a process never waits for itself. It must never hold back
//! the answer to anything but the caller's BYE of a hang-up.

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread;
use std::time::{Duration, Instant};

use crate::kstr::KStr;
use crate::log::{self, Kind, Level};
use crate::process::{self, Process};
use crate::{abi, ready, shared, sys};

/// Whoever sends the two BYEs may have to wait for a processor between them. Is there never a second one, because it cannot be made, the
/// first one's answer is late by this, or until its sender hangs up the next call.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK: Duration = Duration::from_micros(100);
/// Bits of a name: the number of the call, above it that of the process and 1 more than it is, so that nothing is 0, above that one bit
/// for the worker that waits.
const CALL_BITS: u32 = 48;
const WAITED_FOR: u64 = 1 << 63;

static LATE: Kind = Kind::new();

/// What this process is hanging up, and what all others are.
pub(crate) struct Hangups {
    /// Of each process: the name of the call whose second BYE is not made yet, or 0. They order nothing else in memory: an answer that is
    /// read was sent after the request, and that after the store.
    underway: &'static [AtomicU64],
    /// Calls that this process has hung up.
    calls: u64,
    /// The newest, while BYEs of it are missing.
    legs: Option<Legs>,
}

/// By what the two BYEs of a call are known: their To tags are the caller's and the callee's, RFC 3261 section 12.2.1.1.
struct Legs {
    caller: u64,
    callee: u64,
    /// The caller's is made.
    first_made: bool,
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
        let underway = shared::words(processes as usize, "calls that are hung up")?;
        Ok(Hangups { underway, calls: 0, legs: None })
    }

    /// dialog is about to send a BYE to both ends of a call that is up, from the process of this number.
    fn begin(&mut self, index: usize, [caller, callee]: [&[u8]; 2]) {
        let Some(underway) = self.underway.get(index) else { return };
        self.calls = (self.calls + 1) & ((1 << CALL_BITS) - 1);
        self.legs = Some(Legs { caller: hash(caller), callee: hash(callee), first_made: false });
        underway.store(name(index, self.calls), Relaxed);
    }

    /// A BYE with this To tag is made by that process. The name of the call that the answer to it has to wait for.
    fn made(&mut self, index: usize, tag: &[u8]) -> Option<u64> {
        let (underway, legs) = (self.underway.get(index)?, self.legs.as_mut()?);
        let tag = hash(tag);
        // Whoever is both ends may have given them one tag.
        if tag == legs.callee && (legs.first_made || tag != legs.caller) {
            self.legs = None;
            underway.store(0, Relaxed);
            return None;
        }
        let is_first = tag == legs.caller && !legs.first_made;
        legs.first_made |= is_first;
        is_first.then(|| name(index, self.calls))
    }
}

/// dialog is about to send a BYE to both ends of a call that is up.
pub(crate) fn begin(process: &mut Process, dialog: &sys::dlg_cell) {
    // SAFETY: strings of a live cell.
    let tags = dialog.tag.each_ref().map(|tag| unsafe { KStr::new(tag) }.bytes());
    if let Some(index) = own_index() {
        process.hangups.begin(index, tags);
    }
}

fn own_index() -> Option<usize> {
    // SAFETY: the process's own number, which the core sets before it calls us.
    usize::try_from(unsafe { sys::process_no }).ok()
}

fn hash(tag: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tag.hash(&mut hasher);
    hasher.finish()
}

fn name(index: usize, calls: u64) -> u64 {
    (index as u64 + 1) << CALL_BITS | calls
}

/// `LOCAL_REQUEST_IN`.
pub(crate) fn request(t: *mut sys::cell) {
    // SAFETY: tm hands over the transaction it has just made; null would be a bug of tm, and ends here.
    let Some(cell) = (unsafe { t.as_ref() }) else { return };
    // SAFETY: the method stands at the beginning of the request's text, which tm keeps as long as the transaction.
    if unsafe { KStr::new(&cell.method) }.bytes() != b"BYE" {
        return;
    }
    // SAFETY: so does this header.
    let to = unsafe { KStr::new(&cell.to) }.bytes();
    process::with(|process| {
        if let Some(waits_for) = own_index().and_then(|index| process.hangups.made(index, tag_of(to))) {
            let answers = sys::TMCB_LOCAL_RESPONSE_IN;
            ready::register(process, ptr::null_mut(), t, answers, abi::bye_answered, waits_for);
        }
    });
}

/// The tag of a To header as tm writes it: at its end (`print_to`, t_msgbuilder.c); a tag has no `=` in it (RFC 3261 section 25.1).
fn tag_of(header: &[u8]) -> &[u8] {
    header.trim_ascii_end().rsplit(|byte| *byte == b'=').next().unwrap_or_default()
}

/// `LOCAL_RESPONSE_IN` of the caller's BYE: goes on when the callee's is made. A 1xx ends no dialog.
pub(crate) fn answer(params: *mut sys::tmcb_params) {
    // SAFETY: tm hands over the parameters of this call.
    let Some(params) = (unsafe { params.as_ref() }).filter(|params| params.code >= 200) else { return };
    // SAFETY: `param` points at the number that was registered.
    let waits_for = unsafe { params.param.as_ref() }.map_or(0, |word| word.addr() as u64);
    let index = (waits_for >> CALL_BITS).checked_sub(1).and_then(|index| usize::try_from(index).ok());
    let Some(index) = index.filter(|&index| Some(index) != own_index()) else { return };
    // Without this process's state: others' callbacks run here too.
    let underway = process::with(|process| process.hangups.underway.get(index)).flatten();
    if underway.is_some_and(|underway| !is_over(underway, waits_for)) {
        let text = "a call was hung up, and its callee was sent no BYE for half a second";
        log::line(Level::Warn, &LATE, format_args!("{text}"));
    }
}

/// Waits, unless somebody does already. `false` when it was in vain; then nobody waits any more.
fn is_over(underway: &AtomicU64, waits_for: u64) -> bool {
    let waited_for = waits_for | WAITED_FOR;
    if underway.compare_exchange(waits_for, waited_for, Relaxed, Relaxed).is_err() {
        return true;
    }
    let begun = Instant::now();
    while underway.load(Relaxed) == waited_for {
        if begun.elapsed() > PATIENCE {
            return underway.compare_exchange(waited_for, 0, Relaxed, Relaxed).is_err();
        }
        thread::sleep(LOOK);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: usize = 3;
    const TAGS: [&[u8]; 2] = [b"caller", b"callee"];

    fn fresh() -> (Hangups, &'static AtomicU64) {
        let hangups = Hangups::new(4).expect("memory");
        let underway = &hangups.underway[OWN];
        (hangups, underway)
    }

    #[test]
    fn the_answer_to_the_callers_bye_waits_for_the_callees() {
        let (mut hangups, underway) = fresh();
        hangups.begin(OWN, TAGS);
        let waits_for = hangups.made(OWN, b"caller").expect("the first of two");
        assert_eq!(underway.load(Relaxed), waits_for);
        let waiting = thread::spawn(move || is_over(underway, waits_for));
        assert_eq!(hangups.made(OWN, b"another"), None);
        while underway.load(Relaxed) == waits_for {
            thread::yield_now();
        }
        assert!(is_over(underway, waits_for), "a copy of it does not wait, for somebody does");
        assert_eq!(hangups.made(OWN, b"callee"), None);
        assert!(waiting.join().expect("no panic"));
        assert_eq!(underway.load(Relaxed), 0);
    }

    #[test]
    fn what_belongs_to_no_hang_up_is_not_waited_for() {
        let (mut hangups, underway) = fresh();
        assert_eq!(hangups.made(OWN, b"caller"), None, "as `dlg_bye(side)` sends one");
        hangups.begin(OWN, TAGS);
        assert_eq!(hangups.made(OWN, b"callee"), None, "the caller's could not be made");
        assert_eq!(underway.load(Relaxed), 0);
        hangups.begin(OWN, TAGS);
        assert_eq!(hangups.made(OWN, b"another"), None, "neither could be");
    }

    #[test]
    fn one_tag_for_both_ends_changes_nothing() {
        let (mut hangups, underway) = fresh();
        hangups.begin(OWN, [b"same", b"same"]);
        assert!(hangups.made(OWN, b"same").is_some());
        assert_eq!((hangups.made(OWN, b"same"), underway.load(Relaxed)), (None, 0));
    }

    #[test]
    fn a_second_bye_that_is_never_made_is_waited_for_once_and_not_when_the_next_call_is_hung_up() {
        let (mut hangups, underway) = fresh();
        hangups.begin(OWN, TAGS);
        let first = hangups.made(OWN, b"caller").expect("the first of two");
        assert!(!is_over(underway, first));
        assert!(is_over(underway, first), "its copies pass");
        hangups.begin(OWN, TAGS);
        assert!(is_over(underway, first));
        assert_ne!(hangups.made(OWN, b"caller"), Some(first));
    }

    #[test]
    fn the_tag_of_a_to_header_is_found() {
        assert_eq!(tag_of(b"To: <sip:a@b;x=y>;tag=8f-2\r\n"), b"8f-2");
        assert_eq!(tag_of(b"To: sip:a@b"), b"To: sip:a@b", "which is nobody's");
        assert_eq!(tag_of(b""), b"");
    }
}
