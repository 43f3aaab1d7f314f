//! The `trunkctl` binary. Everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    trunkd::ctl::main()
}
