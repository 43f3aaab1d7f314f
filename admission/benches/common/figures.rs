//! Figures and how they are shown: one row for each, what was measured beside what is wanted.
//!
//! Asserts nothing: a timed assertion is no test.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Every figure is the median of so many runs.
pub(crate) const RUNS: usize = 5;

/// One row of the table that `make bench` prints.
pub(crate) fn row(what: impl Display, measured: impl Display, wanted: impl Display) {
    println!("| {what} | {measured} | {wanted} |");
}

/// A number in groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

/// The middle one of an odd number of figures.
pub(crate) fn median<T: Copy + PartialOrd>(mut figures: Vec<T>) -> T {
    figures.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    figures[figures.len() / 2]
}

/// Times of one run, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

impl Sample {
    pub(crate) fn of(mut times: Vec<u64>) -> Sample {
        times.sort_unstable();
        Sample { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }

    /// The median of each figure over [`RUNS`] runs.
    pub(crate) fn of_runs(run: impl FnMut(usize) -> Sample) -> Sample {
        let samples: Vec<Sample> = (0..RUNS).map(run).collect();
        Sample {
            p50: median(samples.iter().map(|sample| sample.p50).collect()),
            p99: median(samples.iter().map(|sample| sample.p99).collect()),
        }
    }
}

impl Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {} ns, p99 {} ns", grouped(self.p50), grouped(self.p99))
    }
}

/// How often one figure is the other.
pub(crate) fn times(figure: u64, of: u64) -> String {
    format!("{:.2} ×", figure as f64 / of.max(1) as f64)
}

/// What reading the clock twice costs: it is in every figure and not taken out.
pub(crate) fn clock_ns() -> u64 {
    let cost = |_| std::hint::black_box(Instant::now().elapsed()).as_nanos() as u64;
    median((0..10_001).map(cost).collect())
}

/// A directory in memory, as in production.
pub(crate) fn directory() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a directory in shared memory")
}

/// Whether the machine has room for the rows of a million trunks: some gigabytes.
pub(crate) fn room_for_a_million() -> bool {
    let free = std::fs::read_to_string(Path::new("/proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.to_owned();
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    free.is_some_and(|kib| kib >= 10 << 20)
}
