//! What several processes over one directory must keep, whatever they do at the same time.
//!
//! `TRUNK_PROOF_ATTEMPTS`, `TRUNK_PROOF_TWINS` and `TRUNK_PROOF_SECONDS` make the proofs longer. Times and counts are
//! judged from what the processes wrote down; nothing here waits for a time to pass and hopes.

#![allow(clippy::unwrap_used, reason = "a surprise must fail the test")]

#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/harness.rs"]
mod harness;
#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/numbered.rs"]
mod numbered;
#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/tables.rs"]
mod tables;

mod hammer;
mod scenes;
mod torn;
mod twins;
mod windows;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(
        &[("hammer", hammer::worker), ("twin", twins::worker), ("reader", torn::reader)],
        &[
            ("the_checks_notice_what_they_look_for", windows::the_checks_notice),
            ("eight_processes_pass_no_limit_and_leave_none_unused", hammer::hammer),
            ("two_processes_admit_one_call_once", twins::twins),
            ("readers_never_see_two_generations_at_once", torn::torn),
        ],
    )
}
