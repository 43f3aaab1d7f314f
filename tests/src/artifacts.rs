//! Where the things under test are: the built binaries, the module, the proxy script, the scenarios.
//!
//! It must never build anything: `make test` has built them, and a missing one is an error that says so.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The top of the source tree.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

fn existing(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    bail!("{} is not there: run `make build` (or `make test`, which does)", path.display())
}

/// The released daemon.
///
/// # Errors
/// It has not been built.
pub fn trunkd() -> Result<PathBuf> {
    existing(target().join("release/trunkd"))
}

/// The released command line.
///
/// # Errors
/// It has not been built.
pub fn trunkctl() -> Result<PathBuf> {
    existing(target().join("release/trunkctl"))
}

/// The released Kamailio module.
///
/// # Errors
/// It has not been built.
pub fn module() -> Result<PathBuf> {
    existing(target().join("module/libtrunk.so"))
}

/// The module with the feature `panic-points`, built apart so that it can never be taken for the released one.
///
/// # Errors
/// It has not been built.
pub fn panicking_module() -> Result<PathBuf> {
    existing(target().join("panic-points/module/libtrunk.so"))
}

/// The proxy script.
///
/// # Errors
/// The source tree is not whole.
pub fn kamailio_cfg() -> Result<PathBuf> {
    existing(root().join("kamailio.cfg"))
}

/// The proxy script of stock modules alone.
///
/// # Errors
/// The source tree is not whole.
pub fn stock_cfg() -> Result<PathBuf> {
    existing(root().join("tests/stock-tables/kamailio.cfg"))
}

/// A file of the stock configuration that Trunkline is measured beside.
///
/// # Errors
/// The source tree is not whole.
pub fn stock(file: &str) -> Result<PathBuf> {
    existing(root().join("tests/stock").join(file))
}

/// The tables of Kamailio's dialog module.
///
/// # Errors
/// The source tree is not whole.
pub fn dialog_schema() -> Result<PathBuf> {
    existing(root().join("schema/kamailio/dialog.sql"))
}

/// A sipp scenario, by folder and file: `scenario_file("answered", "uac")`.
///
/// # Errors
/// There is no such scenario.
pub fn scenario_file(folder: &str, role: &str) -> Result<PathBuf> {
    existing(root().join("tests/scenarios").join(folder).join(format!("{role}.xml")))
}
