//! The proxy: the shipped kamailio.cfg with a test's addresses and timers.
//!
//! It must never change the script: what a test needs goes through the script's own values, as an operator's would.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::unistd;

use crate::child::Child;
use crate::trunkd::{Places, ROOM};
use crate::{artifacts, clock, wait};

/// What a test may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// The module to load.
    pub module: PathBuf,
    /// `closed` or `open`.
    pub fail_mode: &'static str,
    /// More `-A` definitions: menu entries and values.
    pub defines: Vec<String>,
    /// Kamailio's shared memory in mebibytes.
    pub memory_mb: u32,
    /// A parameter of the module that only a test build has.
    pub panic_at: Option<String>,
}

impl Options {
    /// The released module, failing closed.
    ///
    /// # Errors
    /// The module has not been built.
    pub fn new() -> Result<Options> {
        Ok(Options {
            module: artifacts::module()?,
            fail_mode: "closed",
            defines: Vec::new(),
            memory_mb: 64,
            panic_at: None,
        })
    }

    /// Adds a `-A` definition.
    #[must_use]
    pub fn define(mut self, define: &str) -> Options {
        self.defines.push(define.to_owned());
        self
    }
}

/// The socket that answers RPC.
#[must_use]
pub fn rpc_socket(places: &Places) -> PathBuf {
    places.shm.join("run/kamailio_rpc.sock")
}

/// The database of the dialogs.
#[must_use]
pub fn dialog_database(places: &Places) -> PathBuf {
    places.shm.join("run/dialogs.sqlite")
}

/// Makes the directory for sockets and the database of the dialogs.
///
/// # Errors
/// They cannot be made.
pub fn prepare(places: &Places) -> Result<()> {
    fs::create_dir_all(places.shm.join("run"))?;
    let schema = fs::File::open(artifacts::dialog_schema()?)?;
    let status = Command::new("sqlite3")
        .arg(dialog_database(places))
        .stdin(schema)
        .stdout(Stdio::null())
        .status()
        .context("sqlite3")?;
    if !status.success() {
        bail!("sqlite3 could not make {}", dialog_database(places).display());
    }
    Ok(())
}

/// Answers of the dialog database, as sqlite3 prints them.
///
/// # Errors
/// sqlite3 refuses the question.
pub fn ask_dialogs(places: &Places, sql: &str) -> Result<String> {
    ask_database(&dialog_database(places), sql)
}

/// Answers of any database, as sqlite3 prints them.
///
/// # Errors
/// sqlite3 refuses the question.
pub fn ask_database(database: &Path, sql: &str) -> Result<String> {
    let out = Command::new("sqlite3")
        .args(["-readonly", "-cmd", ".timeout 5000"])
        .arg(database)
        .arg(sql)
        .output()?;
    if !out.status.success() {
        bail!("sqlite3: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// The rows of the dialog tables, as SQL that puts them back.
///
/// # Errors
/// sqlite3 cannot read them.
pub fn dump_dialogs(places: &Places) -> Result<String> {
    let rows = ask_dialogs(places, ".dump --data-only dialog dialog_vars")?;
    Ok(format!("{rows}\n"))
}

/// Puts rows back; Kamailio must be down.
///
/// # Errors
/// sqlite3 refuses them.
pub fn load_dialogs(places: &Places, rows: &str) -> Result<()> {
    let out = Command::new("sqlite3").arg("-bail").arg(dialog_database(places)).arg(rows).output()?;
    if !out.status.success() {
        bail!("sqlite3: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

/// The command line: `kamailio` with the script and a test's values.
///
/// # Errors
/// The script is not there.
pub fn arguments(places: &Places, sip: SocketAddr, options: &Options) -> Result<Vec<String>> {
    let run = places.shm.join("run");
    let mut script = artifacts::kamailio_cfg()?;
    if let Some(entry) = &options.panic_at {
        script = with_panic_at(places, &script, entry)?;
    }
    let mut arguments: Vec<String> = ["-DD", "-E", "-x", "fm", "-M", "8"].map(str::to_owned).into();
    arguments.extend(["-m".to_owned(), options.memory_mb.to_string()]);
    arguments.extend([
        "-f".to_owned(),
        script.display().to_string(),
        "-w".to_owned(),
        run.display().to_string(),
    ]);
    let mut defines = vec![
        format!("LISTEN_UDP=udp:{sip}"),
        format!("LISTEN_TCP=tcp:{sip}"),
        "WORKERS=2".to_owned(),
        "LOG_LEVEL=1".to_owned(),
        format!("TRUNK_MODULE=\"{}\"", options.module.display()),
        format!("SHM_DIR=\"{}\"", places.shm.display()),
        format!("RUN_DIR=\"{}\"", run.display()),
        format!("DIALOG_DB=\"sqlite:///{}\"", dialog_database(places).display()),
        "GATEWAY_SILENT_MS=5000".to_owned(),
        format!("FAIL_MODE=\"{}\"", options.fail_mode),
    ];
    defines.extend(ROOM.iter().map(|(name, value)| format!("SHM_{}={value}", name.to_ascii_uppercase())));
    // A name may be defined once: what the test says takes the place of what is said here.
    let name = |define: &str| define.split('=').next().unwrap_or_default().to_owned();
    defines.retain(|define| options.defines.iter().all(|other| name(other) != name(define)));
    defines.extend(options.defines.iter().cloned());
    arguments.extend(defines.into_iter().flat_map(|define| ["-A".to_owned(), define]));
    Ok(arguments)
}

/// The script with one more line: `panic_at` exists in a test build only and so has no place in the shipped one.
fn with_panic_at(places: &Places, script: &Path, entry: &str) -> Result<PathBuf> {
    let text = fs::read_to_string(script)?;
    let line = "modparam(\"trunk\", \"shm_dir\", SHM_DIR)";
    let with = format!("{line}\nmodparam(\"trunk\", \"panic_at\", \"{entry}\")");
    if !text.contains(line) {
        bail!("{} sets no shm_dir", script.display());
    }
    let copy = places.dir.join("kamailio-panic.cfg");
    fs::write(&copy, text.replacen(line, &with, 1))?;
    Ok(copy)
}

/// What `kamailio` prints and how it ends when it is only asked whether it would start.
///
/// # Errors
/// kamailio cannot be run.
pub fn check(places: &Places, sip: SocketAddr, options: &Options) -> Result<(bool, String)> {
    let mut arguments = arguments(places, sip, options)?;
    arguments.retain(|argument| argument != "-DD");
    let out = Command::new("kamailio").arg("-c").args(arguments).output().context("kamailio -c")?;
    let text = [out.stdout, out.stderr].concat();
    Ok((out.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Starts Kamailio and waits until it answers an OPTIONS.
///
/// # Errors
/// It does not come up.
pub fn start(places: &Places, sip: SocketAddr, options: &Options, round: u32) -> Result<Child> {
    let log = places.dir.join(format!("kamailio-{round}.log"));
    let mut child = spawn(places, sip, options, &log)?;
    wait_for_options(&mut child, sip)?;
    Ok(child)
}

/// Waits until a proxy answers an OPTIONS.
///
/// # Errors
/// It ends, or never does.
pub fn wait_for_options(child: &mut Child, sip: SocketAddr) -> Result<()> {
    wait_for_options_within(wait::PATIENCE, child, sip)
}

/// As [`wait_for_options`], with a limit for a proxy that has much to load.
///
/// # Errors
/// It ends, or does not answer within `limit`.
pub fn wait_for_options_within(limit: Duration, child: &mut Child, sip: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    wait::until_within(limit, "Kamailio to answer OPTIONS", || {
        child.check()?;
        Ok(answers_options(&socket, sip)?.then_some(()))
    })
}

/// Starts Kamailio and waits for nothing.
///
/// # Errors
/// It cannot be run at all.
pub fn spawn(places: &Places, sip: SocketAddr, options: &Options, log: &Path) -> Result<Child> {
    let (program, arguments) = clock::under(places, Path::new("kamailio"), arguments(places, sip, options)?);
    Child::spawn("kamailio", &program, arguments, log)
}

fn answers_options(socket: &UdpSocket, sip: SocketAddr) -> Result<bool> {
    let from = socket.local_addr()?;
    let id = unistd::gettid();
    let request = format!(
        "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKready{id};rport\r\n\
         From: <sip:ready@{from}>;tag={id}\r\nTo: <sip:{sip}>\r\nCall-ID: ready-{id}-{from}\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), sip)?;
    let mut buffer = [0; 2048];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(buffer[..length].starts_with(b"SIP/2.0 200")),
        // Not up yet: silence, or a closed port.
        Err(_) => Ok(false),
    }
}
