//! The ring of events, or its spill file.
#![no_main]

#[path = "../../tests/hostile/files.rs"]
mod files;

use std::cell::RefCell;

use files::{Files, Kind};

thread_local!(static FILES: RefCell<Files> = RefCell::new(Files::new()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Only the ring begins with a magic word.
    let kind = if data.starts_with(b"TRNK") { Kind::Events } else { Kind::Spill };
    FILES.with_borrow_mut(|files| files.try_out(kind, data));
});
