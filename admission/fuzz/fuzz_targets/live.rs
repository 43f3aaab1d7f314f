//! The file of limiter words, slots and counters.
#![no_main]

#[path = "../../tests/hostile/files.rs"]
mod files;

use std::cell::RefCell;

use files::{Files, Kind};

thread_local!(static FILES: RefCell<Files> = RefCell::new(Files::new()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    FILES.with_borrow_mut(|files| files.try_out(Kind::Live, data));
});
