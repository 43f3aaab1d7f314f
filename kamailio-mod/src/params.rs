//! The module's parameters: the cells Kamailio writes into while it reads the configuration, and the checked values.
//!
//! Kamailio parses `modparam` lines before `mod_init` and knows only their type. Everything else is checked here, all
//! problems at once, each naming the parameter and the rule. Nobody reads a cell after that.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering::Relaxed};
use std::path::PathBuf;

/// What to answer when a call cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailMode {
    /// Refuse it: 503.
    Closed,
    /// Let it pass, unjudged and uncounted.
    Open,
}

/// Checked parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// Folder of the shared files; one per Kamailio instance.
    pub(crate) shm_dir: PathBuf,
    /// What to answer when a call cannot be judged.
    pub(crate) fail_mode: FailMode,
    /// Calls at the same time that the shared files have room for.
    pub(crate) slots: u32,
    /// Trunks they have room for.
    pub(crate) trunks: u32,
    /// Accounts they have room for.
    pub(crate) accounts: u32,
    /// Gateways they have room for.
    pub(crate) gateways: u32,
    /// Events that may wait for the daemon in memory.
    pub(crate) ring_cells: u32,
    /// Events that may wait in a file while those cells are full; 0 for none.
    pub(crate) spill_cells: u32,
    /// What strangers may do.
    pub(crate) brakes: Brakes,
    /// Seconds in which each gateway is sent OPTIONS once; 0 for never.
    pub(crate) probe_s: u32,
}

/// What those may do that have proved nothing; 0 for as much as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Brakes {
    /// Wrong passwords from one address in a minute.
    pub(crate) failures: u32,
    /// Calls from one address in a second that are answered with a transaction and an event.
    pub(crate) strangers: u32,
    /// Calls from one address in a second on top of those that are answered at all.
    pub(crate) flood: u32,
    /// New calls of customers in a second that are a load of their own.
    pub(crate) customers: u32,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    modparam: &'static str,
    rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "modparam \"{}\": {}", self.modparam, self.rule)
    }
}

/// Longest `shm_dir`, in bytes: leaves room for our file names below `PATH_MAX`.
const DIR_BYTES: usize = 1024;

/// A string parameter's cell. Kamailio stores a NUL-terminated copy that it never frees or changes.
pub(crate) struct TextCell(AtomicPtr<c_char>);

/// A number parameter's cell.
pub(crate) struct NumberCell {
    value: AtomicI32,
    name: &'static str,
    least: c_int,
    most: c_int,
}

pub(crate) static SHM_DIR: TextCell = TextCell::unset();
pub(crate) static FAIL_MODE: TextCell = TextCell::unset();
pub(crate) static SLOTS: NumberCell = NumberCell::new("slots", 262_144, 16, 1 << 24);
pub(crate) static TRUNKS: NumberCell = NumberCell::new("trunks", 131_072, 1, 1 << 24);
pub(crate) static ACCOUNTS: NumberCell = NumberCell::new("accounts", 65_536, 1, 1 << 24);
pub(crate) static GATEWAYS: NumberCell = NumberCell::new("gateways", 262_144, 1, 1 << 24);
pub(crate) static RING_CELLS: NumberCell = NumberCell::new("ring_cells", 32_768, 64, 1 << 22);
pub(crate) static SPILL_CELLS: NumberCell = NumberCell::new("spill_cells", 262_144, 0, 1 << 24);
pub(crate) static FAILURES: NumberCell = NumberCell::new("failures", 10, 0, 1_000);
pub(crate) static STRANGERS: NumberCell = NumberCell::new("strangers", 50, 0, 4_000);
pub(crate) static FLOOD: NumberCell = NumberCell::new("flood", 500, 0, 100_000);
pub(crate) static CUSTOMERS: NumberCell = NumberCell::new("customers", 200, 1, 100_000);
pub(crate) static PROBE_S: NumberCell = NumberCell::new("probe_s", 0, 0, 60);
/// All of them, in the order in which they are checked.
static NUMBERS: [&NumberCell; 11] = [
    &SLOTS,
    &TRUNKS,
    &ACCOUNTS,
    &GATEWAYS,
    &RING_CELLS,
    &SPILL_CELLS,
    &FAILURES,
    &STRANGERS,
    &FLOOD,
    &CUSTOMERS,
    &PROBE_S,
];
#[cfg(feature = "panic-points")]
pub(crate) static PANIC_AT: TextCell = TextCell::unset();

impl TextCell {
    const fn unset() -> TextCell {
        TextCell(AtomicPtr::new(ptr::null_mut()))
    }

    /// Where Kamailio stores the value.
    pub(crate) const fn cell(&'static self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// What was set.
    pub(crate) fn get(&self) -> Option<&'static [u8]> {
        let text = self.0.load(Relaxed);
        // SAFETY: null, or a NUL-terminated string that Kamailio keeps for the life of the process.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
    }
}

impl NumberCell {
    const fn new(name: &'static str, default: c_int, least: c_int, most: c_int) -> NumberCell {
        NumberCell { value: AtomicI32::new(default), name, least, most }
    }

    /// Where Kamailio stores the value.
    pub(crate) const fn cell(&'static self) -> *mut c_void {
        self.value.as_ptr().cast()
    }

    fn check(&self, problems: &mut Vec<Problem>) -> u32 {
        let value = self.value.load(Relaxed);
        if !(self.least..=self.most).contains(&value) {
            let rule = format!("{value} is not in {} to {}", self.least, self.most);
            problems.push(Problem { modparam: self.name, rule });
        }
        value.unsigned_abs()
    }
}

impl Params {
    /// Reads and checks the cells.
    pub(crate) fn read() -> Result<Params, Vec<Problem>> {
        Params::check(SHM_DIR.get(), FAIL_MODE.get(), NUMBERS)
    }

    fn check(
        dir: Option<&[u8]>,
        mode: Option<&[u8]>,
        numbers: [&NumberCell; NUMBERS.len()],
    ) -> Result<Params, Vec<Problem>> {
        let mut problems = Vec::new();
        let shm_dir = check_dir(dir, &mut problems);
        let fail_mode = match mode {
            None | Some(b"closed") => FailMode::Closed,
            Some(b"open") => FailMode::Open,
            Some(other) => {
                let rule = format!("\"{}\" is neither \"closed\" nor \"open\"", other.escape_ascii());
                problems.push(Problem { modparam: "fail_mode", rule });
                FailMode::Closed
            }
        };
        let [
            slots,
            trunks,
            accounts,
            gateways,
            ring_cells,
            spill_cells,
            failures,
            strangers,
            flood,
            customers,
            probe_s,
        ] = numbers.map(|cell| cell.check(&mut problems));
        let brakes = Brakes { failures, strangers, flood, customers };
        if !ring_cells.is_power_of_two() && problems.iter().all(|problem| problem.modparam != "ring_cells") {
            let rule = format!("{ring_cells} is no power of two");
            problems.push(Problem { modparam: "ring_cells", rule });
        }
        let params = Params {
            shm_dir,
            fail_mode,
            slots,
            trunks,
            accounts,
            gateways,
            ring_cells,
            spill_cells,
            brakes,
            probe_s,
        };
        if problems.is_empty() { Ok(params) } else { Err(problems) }
    }
}

fn check_dir(dir: Option<&[u8]>, problems: &mut Vec<Problem>) -> PathBuf {
    let dir = dir.unwrap_or(b"/dev/shm/trunkline");
    let mut broken = |rule: &str| problems.push(Problem { modparam: "shm_dir", rule: rule.to_owned() });
    match core::str::from_utf8(dir) {
        Err(_) => broken("the path is not UTF-8"),
        Ok(text) if !text.starts_with('/') => broken("the path does not start with /"),
        Ok(text) if text.len() > DIR_BYTES => broken("the path is longer than 1024 bytes"),
        Ok(text) if text.split('/').any(|part| part == "..") => broken("the path has a .. in it"),
        Ok(text) => return PathBuf::from(text),
    }
    PathBuf::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(name: &'static str, value: c_int) -> NumberCell {
        NumberCell::new(name, value, 64, 1 << 20)
    }

    #[test]
    fn defaults_are_good() {
        let params = Params::read().expect("nothing is set in a test");
        assert_eq!(params.shm_dir, PathBuf::from("/dev/shm/trunkline"));
        assert_eq!(params.fail_mode, FailMode::Closed);
        assert_eq!((params.slots, params.ring_cells), (262_144, 32_768));
    }

    #[test]
    fn every_problem_is_named_in_one_run() {
        let cells = [
            number("slots", 0),
            number("trunks", -5),
            number("a", 64),
            number("g", 64),
            number("ring_cells", 100),
            number("spill_cells", 63),
            number("failures", 64),
            number("strangers", 64),
            number("flood", -1),
            number("customers", 64),
            number("probe_s", 65),
        ];
        let problems =
            Params::check(Some(b"run/x"), Some(b"maybe"), cells.each_ref()).expect_err("all wrong");
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "modparam \"shm_dir\": the path does not start with /",
                "modparam \"fail_mode\": \"maybe\" is neither \"closed\" nor \"open\"",
                "modparam \"slots\": 0 is not in 64 to 1048576",
                "modparam \"trunks\": -5 is not in 64 to 1048576",
                "modparam \"spill_cells\": 63 is not in 64 to 1048576",
                "modparam \"flood\": -1 is not in 64 to 1048576",
                "modparam \"ring_cells\": 100 is no power of two",
            ]
        );
    }

    #[test]
    fn odd_folders_are_refused() {
        for bad in [&b"/a/../b"[..], b"", b"/\xff"] {
            assert!(Params::check(Some(bad), None, NUMBERS).is_err());
        }
    }
}
