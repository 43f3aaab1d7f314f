//! The `trunkd` binary. Everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// The configuration of 100,000 trunks is millions of small strings, read anew at each reload: with glibc's a third of the time and
/// half of the memory were its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trunkd::cli::main()
}
