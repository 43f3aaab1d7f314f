//! The binary: its exit status, its ready line, its signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Site, trunk_with_webhook};

fn trunkd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command.args(arguments);
    command
}

/// The address in a ready line.
pub(crate) fn api_of(ready: &str) -> &str {
    ready.split_once("api=").unwrap_or_else(|| panic!("{ready:?}")).1.split(' ').next().unwrap()
}

fn check(site: &Site) -> Output {
    trunkd(&["check-config", "--config"]).arg(site.main()).output().unwrap()
}

/// A running daemon, killed if the test fails.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it and reads its ready line.
    pub(crate) fn start(site: &Site) -> (Running, String) {
        Running::spawn(trunkd(&["run", "--config"]).arg(site.main()))
    }

    /// As above, with a variable in its environment.
    #[cfg(feature = "crash-points")]
    pub(crate) fn start_with(site: &Site, name: &str, value: &str) -> (Running, String) {
        Running::spawn(trunkd(&["run", "--config"]).arg(site.main()).env(name, value))
    }

    /// As [`Running::start`], so that a file which may grow no further is an error and not a signal.
    pub(crate) fn start_with_limits(site: &Site) -> (Running, String) {
        let mut command = Command::new("sh");
        let script = "trap '' XFSZ; exec \"$0\" run --config \"$1\"";
        command.args(["-c", script, env!("CARGO_BIN_EXE_trunkd")]);
        Running::spawn(command.arg(site.main()))
    }

    /// Lets no file grow beyond `bytes`; `None` takes the limit away.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let mut command = Command::new("prlimit");
        command.arg(format!("--pid={}", self.0.id())).arg(format!("--fsize={limit}:"));
        assert!(command.status().unwrap().success());
    }

    /// Starts a command that becomes trunkd, and reads its ready line.
    pub(crate) fn spawn(command: &mut Command) -> (Running, String) {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut running = Running(child);
        let mut line = String::new();
        BufReader::new(running.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        (running, line)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    /// Whether it is over.
    #[cfg(feature = "crash-points")]
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for its end. Whether it was no end of its own will.
    #[cfg(feature = "crash-points")]
    pub(crate) fn died(&mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        self.0.wait().unwrap().signal().is_some()
    }

    /// Ends it, and answers what it has logged.
    #[cfg(feature = "crash-points")]
    pub(crate) fn last_words(&mut self) -> String {
        let _ = self.0.kill();
        let mut log = Vec::new();
        self.0.stderr.take().unwrap().read_to_end(&mut log).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }
}

#[test]
fn check_config_prints_every_problem_and_ends_with_64() {
    let site = Site::new();
    let good = check(&site);
    assert_eq!((good.status.code(), good.stdout.as_slice()), (Some(0), &b"configuration is good\n"[..]));

    site.write("a.toml", "[[trunk]]\ntrunkId = \"A\"\nx = 1\n");
    site.write("b.toml", "[[trunk]]\n");
    let bad = check(&site);
    let said = String::from_utf8(bad.stdout).unwrap();
    assert_eq!((bad.status.code(), said.lines().count()), (Some(64), 3), "{said}");
    assert!(said.contains("a.toml: trunk[0].trunkId: must be a DNS label"), "{said}");
}

#[test]
fn bad_usage_ends_with_64_and_the_default_file_is_printed_as_it_is() {
    assert_eq!(trunkd(&["fly"]).output().unwrap().status.code(), Some(64));
    assert_eq!(trunkd(&["run"]).output().unwrap().status.code(), Some(64));
    assert_eq!(trunkd(&["--help"]).output().unwrap().status.code(), Some(0));
    let printed = trunkd(&["default-config"]).output().unwrap().stdout;
    assert_eq!(String::from_utf8(printed).unwrap(), trunkd::config::DEFAULT);
}

#[test]
fn run_refuses_a_bad_configuration_and_a_place_it_cannot_use() {
    let site = Site::new();
    std::fs::write(site.database().parent().unwrap(), "a file where the directory should be").unwrap();
    let unusable = trunkd(&["run", "--config"]).arg(site.main()).output().unwrap();
    assert_eq!(unusable.status.code(), Some(1), "{}", String::from_utf8_lossy(&unusable.stderr));

    site.write("a.toml", "x = 1");
    let bad = trunkd(&["run", "--config"]).arg(site.main()).output().unwrap();
    assert_eq!(bad.status.code(), Some(64));
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(said.contains("a.toml: x: is no key here"), "{said}");
}

#[test]
fn run_starts_with_what_is_stored_when_only_a_trunk_file_is_bad() {
    let site = Site::new();
    site.write("a.toml", "x = 1");
    let first = trunkd(&["run", "--config"]).arg(site.main()).output().unwrap();
    assert_eq!(first.status.code(), Some(64));
    assert!(!site.shm().exists() && !site.database().exists(), "a first start that fails leaves nothing");
    // A database in which nothing was ever stored is no help either.
    std::fs::create_dir(site.database().parent().unwrap()).unwrap();
    std::fs::write(site.database(), "").unwrap();
    let empty = trunkd(&["run", "--config"]).arg(site.main()).output().unwrap();
    assert_eq!(empty.status.code(), Some(64), "{}", String::from_utf8_lossy(&empty.stderr));

    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    drop(Running::start(&site));
    site.write("a.toml", "x = 1");
    let (mut running, ready) = Running::start(&site);
    assert!(ready.ends_with(" generation=2\n"), "{ready:?}");
    running.signal(Signal::SIGTERM);
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0), "{log}");
    assert!(log.contains("a.toml: x: is no key here"), "{log}");
    assert!(log.contains("the stored configuration is in force"), "{log}");

    // A main file with a fault is another matter: it says where the store is.
    site.write_main("[node.x]");
    let bad = trunkd(&["run", "--config"]).arg(site.main()).output().unwrap();
    assert_eq!(bad.status.code(), Some(64));
}

#[test]
fn it_says_when_it_is_ready_and_stops_cleanly_when_told() {
    let site = Site::new();
    site.write("a.toml", &trunk_with_webhook("acme", "https://hooks.example.com/"));
    let (mut running, ready) = Running::start(&site);
    assert!(
        ready.starts_with("trunkd ready api=127.0.0.1:") && ready.ends_with(" generation=1\n"),
        "{ready:?}"
    );
    assert!(!ready.contains(":0 "), "the real port: {ready}");

    site.write("b.toml", "[[trunk]]\ntrunkId = \"second\"\n");
    running.signal(Signal::SIGHUP);
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("generation=2") {
        assert_ne!(log.read_line(&mut lines).unwrap(), 0, "{lines}");
    }
    assert!(lines.contains("added trunk second"), "{lines}");

    running.signal(Signal::SIGTERM);
    log.read_to_string(&mut lines).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0), "{lines}");
    assert!(lines.contains("stopped"), "{lines}");
}
