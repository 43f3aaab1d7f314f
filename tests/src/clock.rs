//! A wall clock of a test's own: trunkd and Kamailio are started under it, and it is set while they run. The monotonic clock goes on.
//!
//! `tests/clock.c` answers for the C library. It must never touch the machine's clock.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::artifacts;
use crate::trunkd::Places;

const NS_PER_SECOND: i64 = 1_000_000_000;

fn file(places: &Places) -> PathBuf {
    places.dir.join("clock")
}

fn library(places: &Places) -> PathBuf {
    places.dir.join("clock.so")
}

/// Whatever is started over these places from now on has this clock, which begins as the machine's.
///
/// # Errors
/// It cannot be compiled.
pub fn make(places: &Places) -> Result<()> {
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(library(places));
    let done = compiler.arg(artifacts::root().join("tests/clock.c")).status().context("cc")?;
    ensure!(done.success(), "cc cannot compile tests/clock.c");
    Ok(fs::write(file(places), [0; 8])?)
}

/// Sets the clock so many seconds ahead of the machine's, or behind it: at once, for all who run under it.
///
/// # Errors
/// There is none.
pub fn set(places: &Places, ahead_s: i64) -> Result<()> {
    let file = File::options().write(true).open(file(places)).context("the clock of a test")?;
    Ok(file.write_all_at(&(ahead_s * NS_PER_SECOND).to_ne_bytes(), 0)?)
}

/// How a program is started: under the clock of these places, if they have one.
pub fn under(
    places: &Places,
    program: &Path,
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
) -> (PathBuf, Vec<OsString>) {
    let arguments = arguments.into_iter().map(Into::into);
    if !library(places).exists() {
        return (program.to_owned(), arguments.collect());
    }
    let settings = [
        format!("LD_PRELOAD={}", library(places).display()),
        format!("TRUNKLINE_CLOCK={}", file(places).display()),
    ];
    let settings = settings.into_iter().map(OsString::from);
    ("env".into(), settings.chain([program.as_os_str().to_owned()]).chain(arguments).collect())
}
