//! A base or an overlay image. Its lengths and sums are made to agree first, so that look-ups are reached.
#![no_main]

#[path = "../../tests/hostile/damage.rs"]
#[allow(dead_code, reason = "shared with the seeded tests")]
mod damage;
#[path = "../../tests/hostile/files.rs"]
mod files;

use std::cell::RefCell;

use files::{Files, Kind};

thread_local!(static FILES: RefCell<Files> = RefCell::new(Files::new()));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    FILES.with_borrow_mut(|files| {
        // A seed of the corpus begins with the magic's first letter: an image as it is.
        let (kind, bytes) = match choice % 4 {
            0 => (Kind::Base, data),
            1 => (Kind::Overlay, data),
            2 => (Kind::Base, bytes),
            _ => (Kind::Overlay, bytes),
        };
        let mut image = bytes.to_vec();
        damage::repair(&mut image, files.good(kind));
        files.try_out(kind, &image);
    });
});
