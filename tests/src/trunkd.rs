//! The daemon: its configuration file, its process, its ready line.
//!
//! It must never look inside its database or its memory; what it did shows in what it answers and delivers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child::Child;
use crate::{artifacts, clock, wait};

/// Directories of one instance.
#[derive(Clone, Debug)]
pub struct Places {
    /// Everything but the shared memory.
    pub dir: PathBuf,
    /// The shared memory.
    pub shm: PathBuf,
}

/// Room in shared memory: enough for any test, and small, so that many instances fit beside each other.
pub const ROOM: [(&str, u32); 5] =
    [("slots", 4096), ("trunks", 256), ("accounts", 256), ("gateways", 256), ("ring_cells", 4096)];

/// A running daemon.
#[derive(Debug)]
pub struct Trunkd {
    /// Its process.
    pub child: Child,
    /// Where its HTTP listens.
    pub api: SocketAddr,
}

/// Writes the configuration file and the directories it names.
///
/// # Errors
/// They cannot be written.
pub fn configure(places: &Places, base_domain: &str) -> Result<()> {
    fs::create_dir_all(places.dir.join("trunks.d"))?;
    let room = |key: &str| ROOM.iter().find(|(name, _)| *name == key).map_or(0, |(_, value)| *value);
    let text = format!(
        "[node]\nname = \"e2e\"\nregion = \"US\"\nbase_domain = \"{base_domain}\"\ninbound_host = \"in.{base_domain}\"\n\
         dangerous_allow_private_sources = true\n\n\
         [shm]\ndir = \"{shm}\"\ntrunks = {trunks}\naccounts = {accounts}\ngateways = {gateways}\n\n\
         [state]\ndir = \"{dir}/data\"\n\n[api]\nlisten = \"127.0.0.1:0\"\n\n[files]\ntrunks = \"{dir}/trunks.d\"\n\n\
         [webhooks]\nretry_delays_s = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\ndangerous_allow_private_addresses = true\n\
         dangerous_allow_http = true\n",
        shm = places.shm.display(),
        dir = places.dir.display(),
        trunks = room("trunks"),
        accounts = room("accounts"),
        gateways = room("gateways"),
    );
    fs::write(config(places), text).context("writing trunkd.toml")
}

/// Adds a section to the configuration file.
///
/// # Errors
/// It cannot be written to.
pub fn add_section(places: &Places, text: &str) -> Result<()> {
    let before = fs::read_to_string(config(places))?;
    fs::write(config(places), before + text).context("writing trunkd.toml")
}

/// Adds lines to the `[node]` section.
///
/// # Errors
/// The configuration cannot be written.
pub fn set_node(places: &Places, lines: &str) -> Result<()> {
    let before = fs::read_to_string(config(places))?;
    fs::write(config(places), before.replacen("[node]\n", &format!("[node]\n{lines}"), 1))
        .context("writing trunkd.toml")
}

/// Gives `name` of [`ROOM`] another size; Kamailio needs the same as `SHM_…`.
///
/// # Errors
/// The configuration cannot be written.
pub fn set_room(places: &Places, name: &str, size: u32) -> Result<()> {
    let before = fs::read_to_string(config(places))?;
    let old = ROOM.iter().find(|(known, _)| *known == name).context("a name of ROOM")?.1;
    let after = before.replacen(&format!("\n{name} = {old}\n"), &format!("\n{name} = {size}\n"), 1);
    anyhow::ensure!(after != before, "{name} is not in trunkd.toml");
    fs::write(config(places), after).context("writing trunkd.toml")
}

/// The configuration file.
#[must_use]
pub fn config(places: &Places) -> PathBuf {
    places.dir.join("trunkd.toml")
}

impl Trunkd {
    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(places: &Places, round: u32) -> Result<Trunkd> {
        Trunkd::start_within(wait::PATIENCE, places, round)
    }

    /// As [`Trunkd::start`], with a limit for one that has many trunks to read.
    ///
    /// # Errors
    /// It does not come up within `limit`.
    pub fn start_within(limit: Duration, places: &Places, round: u32) -> Result<Trunkd> {
        let config = config(places);
        let arguments = [Path::new("run"), Path::new("--config"), &config];
        // A log of its own for each start, so that a ready line is never that of an earlier one.
        let log = places.dir.join(format!("trunkd-{round}.log"));
        let (program, arguments) = clock::under(places, &artifacts::trunkd()?, arguments);
        let mut child = Child::spawn("trunkd", &program, arguments, &log)?;
        let line = child.line_with_within(limit, "trunkd ready")?;
        let api = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("api="))
            .context("api= in the ready line")?;
        Ok(Trunkd { child, api: api.parse().with_context(|| format!("api={api}"))? })
    }
}
