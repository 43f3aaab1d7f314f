//! A running Trunkline as its operator meets it: where it listens, where its trunk files are, how it is told of a change.
//!
//! It must never start or stop anything, so that it serves a stack of our own and one that somebody else runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::toml::Trunk;
use crate::{http, rpc, wait};

/// Addresses and files of one instance.
#[derive(Clone, Debug)]
pub struct Site {
    /// SIP, UDP and TCP.
    pub sip: SocketAddr,
    /// trunkd's HTTP.
    pub api: SocketAddr,
    /// trunkd's process.
    pub trunkd: Pid,
    /// Directory of the trunk files.
    pub trunks: PathBuf,
    /// Kamailio's RPC socket.
    pub rpc: PathBuf,
    /// A trunk's domain is its id, a dot, and this.
    pub base_domain: String,
}

impl Site {
    /// The instance that `make run` has up in `state`.
    ///
    /// # Errors
    /// There is none.
    pub fn running_in(state: &Path) -> Result<Site> {
        let file = state.join("run/stack");
        let text = fs::read_to_string(&file).with_context(|| {
            format!("{} is not there: is `make run` up, with this STATE_DIR?", file.display())
        })?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.with_context(|| format!("{} has no {key}", file.display()))
        };
        let config = fs::read_to_string(value("config")?)?;
        let domain = config.lines().find_map(|line| line.strip_prefix("base_domain = \"")?.strip_suffix('"'));
        Ok(Site {
            sip: value("sip")?.parse().context("sip")?,
            api: value("api")?.parse().context("api")?,
            trunkd: Pid::from_raw(value("trunkd_pid")?.parse()?),
            trunks: value("trunks")?.into(),
            rpc: value("rpc")?.into(),
            base_domain: domain.context("base_domain")?.to_owned(),
        })
    }

    /// The domain that a caller puts into the Request-URI.
    #[must_use]
    pub fn domain(&self, trunk: &str) -> String {
        format!("{trunk}.{}", self.base_domain)
    }

    /// Writes the file of a trunk in one step, as an editor would; nothing changes before `reload`.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write(&self, trunk: &Trunk) -> Result<()> {
        self.write_text(&trunk.id, &trunk.render())
    }

    /// Writes any text as the file of `id`.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write_text(&self, id: &str, text: &str) -> Result<()> {
        let aside = self.trunks.join(format!(".{id}.new"));
        fs::write(&aside, text).with_context(|| format!("writing {}", aside.display()))?;
        Ok(fs::rename(&aside, self.file(id))?)
    }

    /// Removes the file of a trunk, when it is there.
    pub fn remove(&self, id: &str) {
        let _ = fs::remove_file(self.file(id));
    }

    fn file(&self, id: &str) -> PathBuf {
        self.trunks.join(format!("{id}.toml"))
    }

    /// Asks trunkd to read its files again.
    ///
    /// # Errors
    /// It is not there.
    pub fn sighup(&self) -> Result<()> {
        kill(self.trunkd, Signal::SIGHUP).context("signalling trunkd")
    }

    /// Puts trunks in force: writes, signals, and waits until Kamailio judges by a newer table.
    ///
    /// # Errors
    /// The change does not get through.
    pub fn apply(&self, trunks: &[Trunk]) -> Result<u64> {
        let before = self.generation()?;
        for trunk in trunks {
            self.write(trunk)?;
        }
        self.sighup()?;
        self.newer_than(before)
    }

    /// Waits until Kamailio judges by a table newer than `generation`, and returns which.
    ///
    /// # Errors
    /// It never does.
    pub fn newer_than(&self, generation: u64) -> Result<u64> {
        wait::until(&format!("a table newer than {generation}"), || {
            Ok(Some(self.generation()?).filter(|now| *now > generation))
        })
    }

    /// The table that Kamailio judges by; 0 when there is none.
    ///
    /// # Errors
    /// Kamailio does not answer.
    pub fn generation(&self) -> Result<u64> {
        self.status_number("generation")
    }

    /// Calls that Kamailio holds slots for.
    ///
    /// # Errors
    /// Kamailio does not answer.
    pub fn calls(&self) -> Result<u64> {
        self.status_number("calls")
    }

    /// A number out of the module's status.
    ///
    /// # Errors
    /// Kamailio does not answer, or there is no such number.
    pub fn status_number(&self, key: &str) -> Result<u64> {
        let status = self.status()?;
        // 64-bit numbers travel as text: Kamailio's JSON has no room for them.
        let number = status[key].as_u64().or_else(|| status[key].as_str()?.parse().ok());
        number.with_context(|| format!("trunk.status has no number {key}: {status}"))
    }

    /// The module's status.
    ///
    /// # Errors
    /// Kamailio does not answer.
    pub fn status(&self) -> Result<Value> {
        rpc::call(&self.rpc, "trunk.status", &[])
    }

    /// Dialogs that Kamailio holds, over all states.
    ///
    /// # Errors
    /// Kamailio does not answer.
    pub fn dialogs(&self) -> Result<u64> {
        let stats = rpc::call(&self.rpc, "dlg.stats_active", &[])?;
        stats["all"].as_u64().with_context(|| format!("dlg.stats_active has no `all`: {stats}"))
    }

    /// The value of a metric, summed over its label sets; 0 when it is not there.
    ///
    /// # Errors
    /// trunkd does not answer.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = http::get(self.api, "/metrics")?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let values =
            text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }
}
