//! Kamailio's own tables and Kamailio itself, seen from trunkd: what stock modules read, and when they are told to read it.
//!
//! The rows are made of the same values as the image in shared memory, so both say the same. SQL is in `store`; nothing here
//! knows a SIP message. Must never be in the way of a call or of a write: Kamailio may be slow, silent or absent.

pub mod commands;
pub mod health;
pub mod keeper;
pub mod mark;
pub mod preflight;
pub mod readback;
pub mod rows;
pub mod rpc;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use commands::Table;
use rpc::{Client, Place};

/// What `[kamailio]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Socket of jsonrpcs; without one, Kamailio is never asked anything.
    pub rpc_socket: Option<PathBuf>,
    /// The tables that Kamailio has loaded: those that it must be able to hold, and is told to reload.
    pub tables: Vec<Table>,
    /// permissions' `max_subnets`.
    pub max_subnets: u32,
    /// Kamailio's option `-M`.
    pub pkg_mb: u32,
    /// Kamailio's option `-m`.
    pub shm_mb: u32,
    /// `reload_delta` of the modules.
    pub reload_delta: Duration,
}

impl Settings {
    /// What Kamailio can hold.
    pub fn limits(&self) -> preflight::Limits {
        preflight::Limits {
            address: self.tables.contains(&Table::Address),
            dispatcher: self.tables.contains(&Table::Dispatcher),
            max_subnets: self.max_subnets,
            pkg_mb: self.pkg_mb,
            shm_mb: self.shm_mb,
        }
    }

    /// Whoever asks Kamailio; `None` if it is never asked. `shm` is the directory in shared memory, and `group` Kamailio's.
    pub fn client(&self, shm: &Path, group: Option<u32>) -> Option<Arc<Client>> {
        let socket = self.rpc_socket.clone()?;
        // Kamailio must be able to write to our end, so that lies where it finds the image too.
        Some(Arc::new(Client::new(Place { socket, replies: shm.join("rpc-answers"), group })))
    }

    /// Least time between two reloads.
    pub fn spacing(&self) -> Duration {
        self.reload_delta + Duration::from_secs(1)
    }
}
