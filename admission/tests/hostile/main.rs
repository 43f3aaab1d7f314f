//! Files that nobody of ours wrote: whatever stands in them, nothing panics, nothing loops, no signal comes.
//!
//! A seed makes a case, so a failure comes again: its number is printed. `TRUNK_PROOF_FILES` asks for more cases, and
//! `fuzz/` looks for them with coverage. `TRUNK_WRITE_CORPUS=1` writes the corpus of `fuzz/` anew after a change of layout.

#![allow(clippy::unwrap_used, reason = "a surprise must fail the test")]

mod damage;
mod files;

use std::path::Path;
use std::time::{Duration, Instant};

use damage::{Random, damage_image, damage_words};
use files::{Files, Kind};

/// Cases over all kinds of file.
const CASES: u64 = 24_000;
/// No case takes so long, on whatever machine.
const TOO_LONG: Duration = Duration::from_secs(10);

fn cases() -> u64 {
    std::env::var("TRUNK_PROOF_FILES").ok().map_or(CASES, |value| value.parse().expect("a number"))
}

/// Says which case it was when a test fails in it.
struct Case(Kind, u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}, case {}", self.0, self.1);
        }
    }
}

/// Runs cases of one kind: a good file, damaged by `damage`, used in every way. Answers how many were accepted.
fn run(kind: Kind, share: u64, damage: impl Fn(&mut Vec<u8>, &mut Random)) -> u64 {
    let mut files = Files::new();
    let mut accepted = 0;
    for seed in 0..cases() * share / 100 {
        let case = Case(kind, seed);
        let mut bytes = files.good(kind).to_vec();
        damage(&mut bytes, &mut Random::new(seed));
        let started = Instant::now();
        accepted += u64::from(files.try_out(kind, &bytes));
        assert!(started.elapsed() < TOO_LONG, "a look-up loops");
        drop(case);
    }
    accepted
}

#[test]
fn damaged_bases_whose_sums_agree_are_survived() {
    let accepted = run(Kind::Base, 35, damage_image);
    assert!(accepted > cases() / 10, "only {accepted} were looked into");
}

#[test]
fn damaged_overlays_whose_sums_agree_are_survived() {
    let accepted = run(Kind::Overlay, 35, damage_image);
    assert!(accepted > cases() / 10, "only {accepted} were looked into");
}

#[test]
fn damage_that_nobody_repaired_is_refused() {
    for kind in [Kind::Base, Kind::Overlay] {
        let accepted = run(kind, 5, |bytes, random| {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        });
        assert_eq!(accepted, 0, "{kind:?}");
    }
}

#[test]
fn damaged_control_files_are_survived() {
    run(Kind::Control, 5, damage_words);
}

#[test]
fn damaged_live_files_are_survived() {
    assert!(run(Kind::Live, 10, damage_words) > 0);
}

#[test]
fn damaged_rings_are_survived() {
    assert!(run(Kind::Events, 10, damage_words) > 0);
    run(Kind::Spill, 2, damage_words);
}

#[test]
fn the_corpus_is_still_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files = Files::new();
    for kind in Kind::ALL {
        let path = corpus.join(kind.target()).join(format!("{kind:?}").to_lowercase());
        if std::env::var_os("TRUNK_WRITE_CORPUS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, files.good(kind)).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(files.try_out(kind, &bytes), "{}: TRUNK_WRITE_CORPUS=1 writes it anew", path.display());
    }
}
