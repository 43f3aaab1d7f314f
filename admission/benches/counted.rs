//! What a decision must not use at all: system calls, locks, the heap. The rows of the table; a test asserts the same.

#[path = "common/call.rs"]
#[allow(dead_code, reason = "shared with other benches")]
mod call;
#[path = "common/counted.rs"]
mod counted;
#[path = "common/figures.rs"]
#[allow(dead_code, reason = "shared with other benches")]
mod figures;
#[path = "common/world.rs"]
mod world;

use std::path::Path;

use figures::{grouped, row};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == counted::ROLE) {
        let (dir, count) = (Path::new(&arguments[at + 1]), arguments[at + 2].parse().expect("a number"));
        return counted::role(dir, count);
    }
    let decisions = grouped(counted::DECISIONS as u64);
    let calls = counted::system_calls();
    let others: i64 = calls.others.values().sum();
    row(format!("system calls in {decisions} decisions, the clock's apart"), others, "0");
    row(format!("locks (futex) in {decisions} decisions"), calls.locks, "0");
    row(format!("uses of the heap in {decisions} decisions"), counted::uses_of_the_heap(), "0");
}
