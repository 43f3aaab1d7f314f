//! A decision makes no system call, waits for no lock and leaves the heap alone: counted, not timed.
//!
//! A binary of its own, because its allocator counts.

#![allow(clippy::unwrap_used, reason = "a surprise must fail the test")]

#[path = "../../benches/common/call.rs"]
#[allow(dead_code, reason = "shared with the benches")]
mod call;
#[path = "../../benches/common/counted.rs"]
mod counted;
#[path = "../../benches/common/figures.rs"]
#[allow(dead_code, reason = "shared with the benches")]
mod figures;
#[path = "../../benches/common/world.rs"]
mod world;

#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/harness.rs"]
mod harness;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == counted::ROLE) {
        counted::role(Path::new(&arguments[at + 1]), arguments[at + 2].parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    harness::main(
        &[],
        &[
            ("a_decision_makes_no_system_call_and_waits_for_no_lock", no_system_call),
            ("a_decision_leaves_the_heap_alone", no_heap),
        ],
    )
}

fn no_system_call() -> String {
    let calls = counted::system_calls();
    assert!(calls.others.is_empty(), "{:?}", calls.others);
    assert_eq!(calls.locks, 0);
    format!("{} decisions", counted::DECISIONS)
}

fn no_heap() -> String {
    assert_eq!(counted::uses_of_the_heap(), 0);
    // The count can tell: one text is one use.
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(String::from("counted"))));
    assert_eq!(counted.count_total, 1);
    format!("{} decisions", counted::DECISIONS)
}
