//! The `trunkd` binary. Everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

/// The configuration of 100,000 trunks is millions of small strings, made and dropped at each reload. glibc's keeps what they took, four times as
/// much as this one after five reloads, and takes a third longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trunkd::cli::main()
}
