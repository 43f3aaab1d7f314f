//! One process that we started, its log, and its end.
//!
//! It must never outlive its owner: dropping it ends it, and should the test process itself be killed, the kernel does.
//! Processes are ended by the id we got when we started them, never by name.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::{group, wait};

/// A running process in a session of its own.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

/// Lets no file of a process grow beyond so many bytes, or `unlimited`: a disk that is full, for one process.
///
/// # Errors
/// prlimit refuses.
pub fn limit_files(process: Pid, bytes: &str) -> Result<()> {
    let done =
        Command::new("prlimit").arg(format!("--pid={process}")).arg(format!("--fsize={bytes}:")).status()?;
    if !done.success() {
        bail!("prlimit refuses {bytes} for {process}");
    }
    Ok(())
}

impl Child {
    /// Starts `program` with `arguments`; what it prints goes to the end of `log`.
    ///
    /// # Errors
    /// The program or the log cannot be opened.
    pub fn spawn<S: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        log: &Path,
    ) -> Result<Child> {
        let out = File::options().create(true).append(true).open(log);
        let out = out.with_context(|| format!("opening {}", log.display()))?;
        // setsid: a group of its own, so that all its children can be killed with it. setpriv: told to end when
        // we are gone (told, so that Kamailio takes its children along).
        let process = Command::new("setsid")
            .args(["setpriv", "--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Child { name: name.to_owned(), process, log: log.to_owned(), ended: None })
    }

    /// Its process id, which is its process group's id too.
    ///
    /// # Panics
    /// Never on Linux, whose process ids fit.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(i32::MAX))
    }

    /// Everything it has printed so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn output(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("reading {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    /// The process cannot be asked.
    pub fn alive(&mut self) -> Result<bool> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait()?;
        }
        Ok(self.ended.is_none())
    }

    /// Fails, with the end of the log, when the process is gone.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<()> {
        if self.alive()? {
            return Ok(());
        }
        bail!("{} has ended ({:?}); its last lines:\n{}", self.name, self.ended, tail(&self.output()?, 25))
    }

    /// Waits until it has printed a line that contains `text`, and returns that line.
    ///
    /// # Errors
    /// It ended first, or never printed it.
    pub fn line_with(&mut self, text: &str) -> Result<String> {
        self.line_with_within(wait::PATIENCE, text)
    }

    /// As [`Child::line_with`], with a limit for what has much to read.
    ///
    /// # Errors
    /// It ended first, or did not print it within `limit`.
    pub fn line_with_within(&mut self, limit: Duration, text: &str) -> Result<String> {
        wait::until_within(limit, &format!("`{text}` from {}", self.name), || {
            let found = self.output()?.lines().find(|line| line.contains(text)).map(str::to_owned);
            if found.is_none() {
                self.check()?;
            }
            Ok(found)
        })
    }

    /// Sends a signal to the process itself.
    ///
    /// # Errors
    /// It is gone already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Kills it and all its children at one blow, as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if self.alive()? {
            killpg(self.pid(), Signal::SIGKILL).with_context(|| format!("killing {}", self.name))?;
            self.ended = Some(self.process.wait()?);
        }
        // The children are not ours to wait for; their ports are free when none of them runs.
        wait::until("the process group to end", || Ok(group::running(self.pid())?.is_empty().then_some(())))
    }

    /// Asks it to end and waits for its exit status.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if self.alive()? {
            self.signal(Signal::SIGTERM)?;
        }
        self.exit()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It does not end.
    pub fn exit(&mut self) -> Result<ExitStatus> {
        wait::until_within(4 * wait::PATIENCE, &format!("the end of {}", self.name), || {
            self.alive()?;
            Ok(self.ended)
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // What it said is what a reader of the failure wants first.
        if thread::panicking() {
            eprintln!(
                "--- {} ({}) ---\n{}",
                self.name,
                self.log.display(),
                tail(&self.output().unwrap_or_default(), 40)
            );
        }
        if self.alive().unwrap_or(false) && (self.signal(Signal::SIGTERM).is_err() || self.exit().is_err()) {
            let _ = self.kill();
        }
        let _ = killpg(self.pid(), Signal::SIGKILL);
    }
}

/// Whether a status means "ended by this signal".
#[must_use]
pub fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    status.signal() == Some(signal as i32)
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
