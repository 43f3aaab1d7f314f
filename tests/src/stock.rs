//! A second proxy: stock modules alone over trunkd's database, with `tests/stock-tables/kamailio.cfg`.
//!
//! It must never load our module or meet the first proxy: all that both have in common is the database.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::child::Child;
use crate::trunkd::Places;
use crate::{artifacts, kamailio, ports};

/// What a test may choose.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// permissions' `max_subnets`.
    pub max_subnets: u32,
    /// `reload_delta` of permissions and dispatcher, in seconds.
    pub reload_delta: u32,
    /// Private memory of each process, in MiB.
    pub pkg_mb: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { max_subnets: 512, reload_delta: 1, pkg_mb: 8 }
    }
}

impl Options {
    /// What trunkd must know of it, as a section of its configuration file.
    #[must_use]
    pub fn section(&self, places: &Places) -> String {
        format!(
            "\n[kamailio]\nrpc_socket = \"{}\"\nreload = [\"address\", \"dispatcher\"]\nmax_subnets = {}\npkg_mb = {}\n\
             reload_delta_s = {}\n",
            rpc_socket(places).display(),
            self.max_subnets,
            self.pkg_mb,
            self.reload_delta
        )
    }
}

/// A stock Kamailio that is up.
#[derive(Debug)]
pub struct Stock {
    /// Its process.
    pub child: Child,
    /// Where it takes calls.
    pub sip: SocketAddr,
    /// Where it answers RPC.
    pub rpc: PathBuf,
}

fn run_dir(places: &Places) -> PathBuf {
    places.shm.join("stock")
}

/// The socket that answers RPC.
#[must_use]
pub fn rpc_socket(places: &Places) -> PathBuf {
    run_dir(places).join("kamailio_rpc.sock")
}

/// The database that trunkd writes.
#[must_use]
pub fn database(places: &Places) -> PathBuf {
    places.dir.join("data/trunkline.sqlite")
}

impl Stock {
    /// Starts it and waits until it answers. trunkd must have made the database.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(places: &Places, options: &Options, round: u32) -> Result<Stock> {
        let (run, database, sip) = (run_dir(places), database(places), ports::free()?);
        std::fs::create_dir_all(&run)?;
        let script = artifacts::stock_cfg()?;
        let pkg = options.pkg_mb.to_string();
        let mut arguments: Vec<String> =
            ["-DD", "-E", "-x", "fm", "-m", "64", "-M", &pkg].map(str::to_owned).into();
        arguments.extend(["-f".to_owned(), script.display().to_string()]);
        arguments.extend(["-w".to_owned(), run.display().to_string()]);
        let defines = [
            format!("LISTEN_UDP=udp:{sip}"),
            format!("RUN_DIR=\"{}\"", run.display()),
            format!("DB_FILE=\"{}\"", database.display()),
            format!("DB_URL=\"sqlite:///{}\"", database.display()),
            format!("MAX_SUBNETS={}", options.max_subnets),
            format!("RELOAD_DELTA={}", options.reload_delta),
        ];
        arguments.extend(defines.into_iter().flat_map(|define| ["-A".to_owned(), define]));
        let log = places.dir.join(format!("stock-{round}.log"));
        let mut child = Child::spawn("stock kamailio", Path::new("kamailio"), arguments, &log)?;
        kamailio::wait_for_options(&mut child, sip)?;
        Ok(Stock { child, sip, rpc: rpc_socket(places) })
    }
}
