//! The proxies under measurement, each pinned to the proxies' core, with the same memory, workers and allocator.
//!
//! It must never give one of them what another has not, beside what its configuration is about.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::process::PROXY_CORE;
use super::world::PASSWORD;
use crate::child::Child;
use crate::kamailio::{self, Options};
use crate::stack::Stack;
use crate::{artifacts, ports};

/// SIP workers of each.
const WORKERS: u32 = 4;
/// Private memory of each process, and memory that they share, in MiB: enough for stock modules with 100,000 trunks.
const PKG_MIB: u32 = 256;
const SHM_MIB: u32 = 2048;
/// Seconds between two keep-alives of a call: beyond any run, so that calls that are held cost the others nothing.
pub const KEEPALIVE_S: u32 = 3600;

/// A proxy that is up.
#[derive(Debug)]
pub struct Proxy {
    /// Its process.
    pub child: Child,
    /// Where it takes calls.
    pub sip: SocketAddr,
    /// Where it answers RPC.
    pub rpc: PathBuf,
    /// From the start of its process to its first answer.
    pub started: Duration,
}

/// A directory in memory of a proxy's own, with an empty database of dialogs.
fn run_dir(stack: &Stack, name: &str) -> Result<PathBuf> {
    let run = stack.places.shm.join(name);
    if run.exists() {
        fs::remove_dir_all(&run)?;
    }
    fs::create_dir_all(&run)?;
    let schema = fs::File::open(artifacts::dialog_schema()?)?;
    let made = Command::new("sqlite3")
        .arg(run.join("dialogs.sqlite"))
        .stdin(schema)
        .stdout(Stdio::null())
        .status()?;
    if !made.success() {
        bail!("sqlite3 could not make the dialogs of {name}");
    }
    Ok(run)
}

/// Starts the bare relay with entries of its menu.
///
/// # Errors
/// It does not come up.
pub fn bare(stack: &Stack, name: &str, gateway: SocketAddr, menu: &[&str]) -> Result<Proxy> {
    let mut defines = vec![format!("GATEWAY=\"sip:{gateway}\""), format!("PASSWORD=\"{PASSWORD}\"")];
    defines.extend(menu.iter().map(|entry| (*entry).to_owned()));
    with_script(stack, name, "bare.cfg", defines)
}

/// Starts the stock modules over `database`.
///
/// # Errors
/// It does not come up.
pub fn stock(stack: &Stack, database: &Path, trunks: u32) -> Result<Proxy> {
    let url = format!("sqlite:///{}", database.display());
    // About one trunk in each slot.
    let size = trunks.max(256).next_power_of_two().ilog2().min(17);
    let defines = vec![
        format!("DB_URL=\"{url}\""),
        format!("DB_NAMED_URL=\"stock=>{url}\""),
        format!("HTABLE=\"trunk=>size={size};dbtable=htable;\""),
    ];
    with_script(stack, "stock", "kamailio.cfg", defines)
}

fn with_script(stack: &Stack, name: &str, script: &str, mut defines: Vec<String>) -> Result<Proxy> {
    let run = run_dir(stack, name)?;
    let sip = ports::free()?;
    defines.extend([
        format!("LISTEN_UDP=udp:{sip}"),
        format!("RUN_DIR=\"{}\"", run.display()),
        format!("WORKERS={WORKERS}"),
        format!("DIALOG_DB=\"sqlite:///{}\"", run.join("dialogs.sqlite").display()),
        format!("KEEPALIVE_S={KEEPALIVE_S}"),
    ]);
    let mut arguments: Vec<String> = ["-DD", "-E", "-x", "fm", "-f"].map(str::to_owned).into();
    arguments.extend([
        artifacts::stock(script)?.display().to_string(),
        "-w".to_owned(),
        run.display().to_string(),
    ]);
    arguments.extend(defines.into_iter().flat_map(|define| ["-A".to_owned(), define]));
    pinned(stack, name, sip, run.join("kamailio_rpc.sock"), arguments)
}

/// Starts Trunkline's own; with no seconds between two keep-alives told, those of its configuration.
///
/// # Errors
/// It does not come up.
pub fn trunkline(stack: &Stack, room: &[(&str, u32)], keepalive_s: Option<u32>) -> Result<Proxy> {
    let mut options = Options::new()?.define(&format!("WORKERS={WORKERS}")).define("LOG_LEVEL=0");
    options = options.define("STRANGERS_PER_S=0");
    // All callers have one address, and each challenge is a call that has proved nothing: the brake would answer for the price of less.
    if let Some(seconds) = keepalive_s {
        options = options.define(&format!("KEEPALIVE_S={seconds}"));
    }
    for (name, size) in room {
        options = options.define(&format!("SHM_{}={size}", name.to_ascii_uppercase()));
    }
    let mut arguments = kamailio::arguments(&stack.places, stack.site.sip, &options)?;
    // The tests' own sizes of memory go.
    for flag in ["-m", "-M"] {
        if let Some(at) = arguments.iter().position(|argument| argument == flag) {
            arguments.drain(at..at + 2);
        }
    }
    pinned(stack, "trunkline", stack.site.sip, stack.site.rpc.clone(), arguments)
}

fn pinned(stack: &Stack, name: &str, sip: SocketAddr, rpc: PathBuf, arguments: Vec<String>) -> Result<Proxy> {
    let mut all: Vec<String> = vec!["-c".into(), PROXY_CORE.to_string(), "kamailio".into()];
    all.extend(["-m".into(), SHM_MIB.to_string(), "-M".into(), PKG_MIB.to_string()]);
    all.extend(arguments);
    let log = stack.dir().join(format!("proxy-{name}.log"));
    let begun = Instant::now();
    let mut child = Child::spawn(name, Path::new("taskset"), all, &log)?;
    kamailio::wait_for_options_within(super::world::LONG, &mut child, sip)?;
    Ok(Proxy { child, sip, rpc, started: begun.elapsed() })
}
