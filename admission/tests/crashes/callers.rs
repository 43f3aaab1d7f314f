//! Processes that make calls: some that hold as many as they get, and one that dies in the middle of one.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use trunk_admission::instance::Instance;
use trunk_admission::{Now, Reason, SlotRef, Verdict};

use crate::harness::{self, Process};
use crate::recount::{HEALTHY, MORTAL, judge, options};
use crate::windows::Call;

/// Calls that one caller holds at most.
const HELD: usize = 4;
/// Between two calls of one caller: together they still make some thousand a second.
const BETWEEN_CALLS: Duration = Duration::from_micros(200);

/// Runs `act` while no caller is in the middle of anything.
pub(crate) fn in_peace(callers: &mut [Process], act: impl FnOnce()) {
    callers.iter_mut().for_each(|caller| caller.say("pause"));
    callers.iter_mut().for_each(|caller| assert_eq!(caller.hear().as_deref(), Some("paused")));
    act();
    callers.iter_mut().for_each(|caller| caller.say("go"));
}

/// One call after the other, from admission to ending: directory.
pub(crate) fn mortal(arguments: &[String]) {
    let [dir] = arguments else { panic!("one argument") };
    let mut instance = Instance::join(&options(Path::new(dir))).unwrap();
    instance.enter_process(7, std::process::id(), 7);
    for call in 0..u64::MAX {
        if let Verdict::Admitted(call) = judge(&mut instance, MORTAL, call, std::process::id()) {
            instance.answered(call.slot, 1);
            assert!(instance.end(call.slot, |_| {}));
        }
    }
}

/// Holds as many calls as it gets until its input closes, and stands still between two of them when it is told to: directory, number.
pub(crate) fn caller(arguments: &[String]) {
    let [dir, number] = arguments else { panic!("two arguments") };
    let (dir, number): (&Path, u32) = (Path::new(dir), number.parse().unwrap());
    let mut instance = Instance::join(&options(dir)).unwrap();
    instance.enter_process(number, std::process::id(), u64::from(number));
    harness::say("ready");
    let (told, orders) = mpsc::channel();
    let ear = std::thread::spawn(move || {
        while let Some(order) = harness::hear() {
            told.send(order).unwrap();
        }
    });
    let (mut held, mut log): (Vec<(SlotRef, u64)>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut end = |instance: &Instance, (slot, from): (SlotRef, u64)| {
        log.extend([from, Now::read().mono_ns]);
        assert!(instance.end(slot, |_| {}), "a call ended without its owner");
    };
    for call in 0.. {
        match orders.recv_timeout(BETWEEN_CALLS) {
            Ok(pause) => {
                assert_eq!(pause, "pause");
                harness::say("paused");
                assert_eq!(orders.recv().as_deref(), Ok("go"));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        match judge(&mut instance, HEALTHY, call, number) {
            Verdict::Admitted(call) => held.push((call.slot, Now::read().mono_ns)),
            Verdict::Refused(refusal) => assert_eq!(refusal.reason, Reason::NodeOverloaded),
            other => panic!("{other:?}"),
        }
        if held.len() == HELD || call % 3 == 0 {
            held.drain(..held.len().min(1)).for_each(|call| end(&instance, call));
        }
    }
    held.drain(..).for_each(|call| end(&instance, call));
    ear.join().unwrap();
    let bytes: Vec<u8> = log.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(dir.join(format!("log-{number}")), bytes).unwrap();
}

pub(crate) fn read_log(dir: &Path, number: u32) -> Vec<Call> {
    let bytes = fs::read(dir.join(format!("log-{number}"))).unwrap();
    let (words, []) = bytes.as_chunks::<8>() else { panic!("a log is whole words") };
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    let (calls, []) = words.as_chunks::<2>() else { panic!("a call is two words") };
    calls.iter().map(|&[from, to]| Call { trunk: HEALTHY, decided: from, from, to }).collect()
}
