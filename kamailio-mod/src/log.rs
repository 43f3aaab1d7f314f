//! Lines into Kamailio's log: formatted on the stack, cut when too long, and few of a kind per ten seconds.
//!
//! It must never allocate, never print a secret (callers pass ids, counts and reasons only) and never fail: a line that
//! cannot be written is dropped and counted.

use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::sys;

/// Longest text of one line, in bytes; the rest is cut.
const LINE_BYTES: usize = 640;
/// Lines of one kind in one process in [`WINDOW_SECONDS`]; more are counted and reported with the next one.
const LINES_PER_WINDOW: u32 = 5;
const WINDOW_SECONDS: u64 = 10;

const MODULE: &CStr = c"trunk";
const PREFIX: &CStr = c"trunk: ";

/// Kamailio's log levels that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Level {
    /// Something is broken and somebody should look.
    Error = -1,
    /// Something is off, service goes on.
    Warn = 0,
    /// An operator wants to know this once.
    Notice = 1,
}

/// One kind of line: where its rate is counted. Process-local, because every process has its own copy after the fork.
pub(crate) struct Kind {
    window: AtomicU64,
    lines: AtomicU32,
    dropped: AtomicU32,
}

impl Kind {
    /// A kind that has printed nothing yet.
    pub(crate) const fn new() -> Kind {
        Kind { window: AtomicU64::new(0), lines: AtomicU32::new(0), dropped: AtomicU32::new(0) }
    }

    /// `Some(lines dropped since the last printed one)` when a line may be printed at `second`.
    fn admit(&self, second: u64) -> Option<u32> {
        let window = second / WINDOW_SECONDS + 1; // 0 stands for "never"
        if self.window.swap(window, Relaxed) != window {
            self.lines.store(0, Relaxed);
        }
        if self.lines.fetch_add(1, Relaxed) < LINES_PER_WINDOW {
            return Some(self.dropped.swap(0, Relaxed));
        }
        self.dropped.fetch_add(1, Relaxed);
        None
    }
}

/// Prints one line of `kind`, if its rate allows and Kamailio's debug level asks for it.
pub(crate) fn line(level: Level, kind: &Kind, text: fmt::Arguments<'_>) {
    if !wanted(level) {
        return;
    }
    let Some(dropped) = kind.admit(monotonic_seconds()) else { return };
    let mut buffer = Line::new();
    let _ = buffer.write_fmt(text);
    if dropped > 0 {
        let _ = write!(buffer, " ({dropped} lines like this were not printed)");
    }
    emit(level, buffer.finish());
}

/// Prints one line without a rate, for start-up and shutdown.
pub(crate) fn once(level: Level, text: fmt::Arguments<'_>) {
    if wanted(level) {
        let mut buffer = Line::new();
        let _ = buffer.write_fmt(text);
        emit(level, buffer.finish());
    }
}

fn wanted(level: Level) -> bool {
    // SAFETY: reads Kamailio's debug level for a module name of the given length; it does not keep the pointer.
    unsafe {
        sys::get_debug_level(MODULE.as_ptr().cast_mut(), MODULE.count_bytes() as c_int) >= level as c_int
    }
}

/// Hands a finished text (`\n` and NUL at its end) to whatever Kamailio logs with: what its `LM_*` macros do.
fn emit(level: Level, text: &CStr) {
    let table = (&raw const sys::log_level_info).cast::<sys::log_level_info>();
    // SAFETY: the table has one entry per level from L_ALERT to L_DBG, and our levels are within.
    let info = unsafe { table.add((level as c_int - sys::L_ALERT) as usize) };
    // SAFETY: Kamailio's own constant table.
    let info = unsafe { &*info };
    // SAFETY: as in `wanted`.
    let facility =
        unsafe { sys::get_debug_facility(MODULE.as_ptr().cast_mut(), MODULE.count_bytes() as c_int) };
    // SAFETY: plain words that Kamailio sets while it reads its configuration; copied, not borrowed. These two too:
    let structured = unsafe { sys::_ksr_slog_func };
    // SAFETY: as above.
    let to_stderr = unsafe { sys::log_stderr } != 0;
    // SAFETY: as above.
    let plain = unsafe { sys::_km_log_func };
    if let Some(structured) = structured {
        let mut data = sys::ksr_logdata {
            v_facility: info.syslog_level | facility,
            v_level: level as c_int,
            v_lname: info.name,
            v_fname: MODULE.as_ptr(),
            v_fline: 0,
            v_mname: MODULE.as_ptr(),
            v_func: c"".as_ptr(),
            v_locinfo: PREFIX.as_ptr(),
            v_pid: 0,
            v_pidx: 0,
        };
        // SAFETY: a printf-like function; "%s" takes one NUL-terminated string, which `text` is.
        unsafe { structured(&raw mut data, c"%s".as_ptr(), text.as_ptr()) };
    } else if to_stderr {
        write_stderr(info.name, text);
    } else if let Some(plain) = plain {
        let priority = info.syslog_level | facility;
        // SAFETY: as above, with three strings.
        unsafe { plain(priority, c"%s: %s%s".as_ptr(), info.name, PREFIX.as_ptr(), text.as_ptr()) };
    }
}

fn write_stderr(level: *const c_char, text: &CStr) {
    // SAFETY: a plain word of the process table, set before our code can run.
    let index = unsafe { sys::process_no };
    // SAFETY: reads the same table.
    let pid = unsafe { sys::my_pid() };
    // SAFETY: a static string of Kamailio's level table.
    let level = unsafe { CStr::from_ptr(level) };
    let mut buffer = Line::new();
    let _ = write!(buffer, "{index:2}({pid}) ");
    for part in [level.to_bytes(), b": ", PREFIX.to_bytes(), text.to_bytes().trim_ascii_end()] {
        buffer.push(part);
    }
    let bytes = buffer.finish().to_bytes();
    // SAFETY: writes initialised bytes of our own; a short write only shortens the line.
    unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
}

fn monotonic_seconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the struct we own.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    now.tv_sec.unsigned_abs()
}

/// A line under construction; writing past its end cuts the text instead of failing.
struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    fn new() -> Line {
        Line { bytes: [0; LINE_BYTES], len: 0 }
    }

    fn push(&mut self, text: &[u8]) {
        let room = (LINE_BYTES - 2).saturating_sub(self.len); // "\n" and NUL always fit
        let take = text.len().min(room);
        self.bytes[self.len..self.len + take].copy_from_slice(&text[..take]);
        self.len += take;
    }

    fn finish(&mut self) -> &CStr {
        for byte in &mut self.bytes[..self.len] {
            if byte.is_ascii_control() {
                *byte = b' '; // a line break in a header value must not forge a second line
            }
        }
        self.bytes[self.len] = b'\n';
        self.bytes[self.len + 1] = 0;
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"\n")
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_prints_five_lines_and_then_counts() {
        let kind = Kind::new();
        let printed: Vec<_> = (0..8).filter_map(|_| kind.admit(100)).collect();
        assert_eq!(printed, [0; 5]);
        assert_eq!(kind.admit(110), Some(3), "the next window reports what was dropped");
    }

    #[test]
    fn a_long_line_is_cut_and_control_bytes_cannot_forge_a_line() {
        let mut line = Line::new();
        let _ = write!(line, "a\r\nb{}", "x".repeat(2 * LINE_BYTES));
        let text = line.finish().to_bytes();
        assert_eq!(text.len(), LINE_BYTES - 1);
        assert!(text.starts_with(b"a  bxx") && text.ends_with(b"x\n"));
        assert_eq!(text.iter().filter(|b| **b == b'\n').count(), 1);
    }
}
