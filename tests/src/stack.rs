//! A whole Trunkline of a test's own: directories, ports, trunkd, Kamailio.
//!
//! It must never share anything with another one, and leaves nothing behind: processes, files and shared memory go with it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::child::Child;
use crate::kamailio::{self, Options};
use crate::ports;
use crate::rpc;
use crate::site::Site;
use crate::trunkd::{self, Places, Trunkd};
use crate::wait;

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    /// The daemon; `None` while a test has it down.
    pub trunkd: Option<Trunkd>,
    /// The proxy; `None` while a test has it down.
    pub kamailio: Option<Child>,
    /// What it is known by.
    pub site: Site,
    /// Its directories.
    pub places: Places,
    /// How Kamailio is started.
    pub options: Options,
    round: u32,
    // Last: they are removed after the processes have ended.
    _dir: TempDir,
    _shm: TempDir,
}

impl Stack {
    /// Starts trunkd and Kamailio over an empty configuration.
    ///
    /// # Errors
    /// One of them does not come up.
    pub fn start(options: Options) -> Result<Stack> {
        let mut stack = Stack::prepare(options)?;
        stack.start_trunkd()?;
        stack.start_kamailio()?;
        Ok(stack)
    }

    /// Makes directories and configuration and starts nothing.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn prepare(options: Options) -> Result<Stack> {
        let dir = TempDir::with_prefix("trunkline-").context("a directory")?;
        let shm =
            TempDir::with_prefix_in("trunkline-", "/dev/shm").context("a directory in shared memory")?;
        let places = Places { dir: dir.path().to_owned(), shm: shm.path().to_owned() };
        let site = Site {
            sip: ports::free()?,
            api: ([127, 0, 0, 1], 0).into(),
            trunkd: nix::unistd::getpid(),
            trunks: places.dir.join("trunks.d"),
            rpc: kamailio::rpc_socket(&places),
            base_domain: "sip.example.net".to_owned(),
        };
        trunkd::configure(&places, &site.base_domain)?;
        kamailio::prepare(&places)?;
        Ok(Stack { trunkd: None, kamailio: None, site, places, options, round: 0, _dir: dir, _shm: shm })
    }

    /// Starts trunkd (again).
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_trunkd(&mut self) -> Result<()> {
        self.start_trunkd_within(wait::PATIENCE)
    }

    /// As [`Stack::start_trunkd`], with a limit for one that has many trunks to read.
    ///
    /// # Errors
    /// It does not come up within `limit`.
    pub fn start_trunkd_within(&mut self, limit: Duration) -> Result<()> {
        self.round += 1;
        let trunkd = Trunkd::start_within(limit, &self.places, self.round)?;
        (self.site.api, self.site.trunkd) = (trunkd.api, trunkd.child.pid());
        self.trunkd = Some(trunkd);
        Ok(())
    }

    /// Starts Kamailio (again).
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_kamailio(&mut self) -> Result<()> {
        self.round += 1;
        self.kamailio = Some(kamailio::start(&self.places, self.site.sip, &self.options, self.round)?);
        Ok(())
    }

    /// Kills trunkd as a power cut would.
    ///
    /// # Errors
    /// It was not up.
    pub fn kill_trunkd(&mut self) -> Result<()> {
        let mut trunkd = self.trunkd.take().context("trunkd is not up")?;
        trunkd.child.kill()
    }

    /// Kills Kamailio, all its processes at one blow.
    ///
    /// # Errors
    /// It was not up.
    pub fn kill_kamailio(&mut self) -> Result<()> {
        let mut kamailio = self.kamailio.take().context("Kamailio is not up")?;
        kamailio.kill()
    }

    /// Both are up.
    ///
    /// # Errors
    /// One has ended; its last lines are in the error.
    pub fn check(&mut self) -> Result<()> {
        if let Some(trunkd) = &mut self.trunkd {
            trunkd.child.check()?;
        }
        if let Some(kamailio) = &mut self.kamailio {
            kamailio.check()?;
        }
        Ok(())
    }

    /// The ids of Kamailio's processes, all of them: the same ones as long as none has died.
    ///
    /// # Errors
    /// Kamailio does not answer.
    pub fn processes(&self) -> Result<Vec<u64>> {
        let list = rpc::call(&self.site.rpc, "core.ps", &[])?;
        let ids: Vec<u64> = list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        anyhow::ensure!(ids.len() > 4, "{list}");
        Ok(ids)
    }

    /// The ids of those of Kamailio's processes that say that they do this.
    ///
    /// # Errors
    /// Kamailio does not answer, or has no such process.
    pub fn processes_for(&self, what: &str) -> Result<Vec<Pid>> {
        let list = rpc::call(&self.site.rpc, "core.psx", &[])?;
        let does = |process: &&Value| process["DSC"].as_str().is_some_and(|text| text.contains(what));
        let id = |process: &Value| Some(Pid::from_raw(i32::try_from(process["PID"].as_i64()?).ok()?));
        let ids: Vec<Pid> = list.as_array().into_iter().flatten().filter(does).filter_map(id).collect();
        anyhow::ensure!(!ids.is_empty(), "no {what} in {list}");
        Ok(ids)
    }

    /// Everything that Kamailio and trunkd have logged, over all their starts.
    ///
    /// # Errors
    /// A log cannot be read.
    pub fn logs(&self) -> Result<String> {
        let mut text = String::new();
        let mut files: Vec<_> =
            fs::read_dir(&self.places.dir)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|ext| ext == "log")) {
            text += &format!("--- {} ---\n{}\n", file.display(), String::from_utf8_lossy(&fs::read(file)?));
        }
        Ok(text)
    }

    /// The directory for callers' and gateways' files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.places.dir
    }
}

/// Runs a test on a stack of its own. When it fails, what the processes said stands between two tellings of what went wrong.
///
/// # Panics
/// The test failed.
pub fn test(options: Result<Options>, body: impl FnOnce(&mut Stack) -> Result<()>) {
    test_after(options, with_rpc, body);
}

/// Lets trunkd ask Kamailio, and end calls.
///
/// # Errors
/// Its file cannot be written.
pub fn with_rpc(stack: &Stack) -> Result<()> {
    let section = format!("\n[kamailio]\nrpc_socket = \"{}\"\n", stack.site.rpc.display());
    trunkd::add_section(&stack.places, &section)
}

/// As [`test`], with something to be done before anything is started.
///
/// # Panics
/// The test failed.
pub fn test_after(
    options: Result<Options>,
    prepare: impl FnOnce(&Stack) -> Result<()>,
    body: impl FnOnce(&mut Stack) -> Result<()>,
) {
    let run = || -> Result<()> {
        let mut stack = Stack::prepare(options?)?;
        prepare(&stack)?;
        stack.start_trunkd()?;
        stack.start_kamailio()?;
        let result = body(&mut stack).and_then(|()| stack.check());
        if let Err(error) = &result {
            // First and last: whoever cuts a long log leaves one of the two.
            eprintln!("{error:#}\n{}", stack.logs()?);
        }
        result
    };
    if let Err(error) = run() {
        panic!("{error:?}");
    }
}
