//! The far side of a trunk: a sipp that answers, one that refuses, and an address where nobody is at home.
//!
//! It must never know the proxy: it takes calls from whoever sends them, and its log says what came.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::child::Child;
use crate::sip::{self, Message};
use crate::{artifacts, nudge, ports, sipp, wait};

/// A gateway that is up.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: PathBuf,
}

impl Gateway {
    /// Rings and answers every call.
    ///
    /// # Errors
    /// sipp does not come up.
    pub fn answering(dir: &Path, name: &str) -> Result<Gateway> {
        Gateway::playing(dir, name, "call")
    }

    /// Plays the `uas.xml` of a scenario folder.
    ///
    /// # Errors
    /// There is no such scenario, or sipp does not come up.
    pub fn playing(dir: &Path, name: &str, scenario: &str) -> Result<Gateway> {
        Gateway::reading(dir, name, &artifacts::scenario_file(scenario, "uas")?, ports::free()?)
    }

    /// Plays any sipp file at a given address.
    ///
    /// # Errors
    /// sipp does not come up.
    pub fn reading(dir: &Path, name: &str, file: &Path, address: SocketAddr) -> Result<Gateway> {
        let log = dir.join(format!("{name}.messages"));
        let arguments = sipp::common_arguments(file, address, &log, &dir.join(format!("{name}.errors")));
        let mut child = Child::spawn(name, Path::new("sipp"), arguments, &dir.join(format!("{name}.out")))?;
        wait::until(&format!("{name} to listen"), || {
            child.check()?;
            Ok(listens(address)?.then_some(()))
        })?;
        Ok(Gateway { child, address, log })
    }

    /// Its URI for a trunk's `originationUris`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}", self.address)
    }

    /// What has crossed its wire so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn messages(&self) -> Result<Vec<Message>> {
        sip::read_log(&self.log)
    }

    /// The INVITEs it got for these calls; one that was sent again, with the branch it had, counts once (RFC 3261 section 17.2.3).
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn invites(&self, call_ids: &[String]) -> Result<Vec<Message>> {
        let ours = |m: &Message| !m.sent && m.method() == "INVITE" && m.code().is_none();
        let mut branches = BTreeSet::new();
        let mut messages = self.messages()?;
        messages.retain(|m| {
            ours(m)
                && call_ids.iter().any(|id| id == m.call_id())
                && branches.insert(m.header("via").unwrap_or_default().to_owned())
        });
        Ok(messages)
    }

    /// Waits until it has got this request for a call.
    ///
    /// # Errors
    /// It never does.
    pub fn await_request(&self, call_id: &str, method: &str) -> Result<()> {
        wait::until(&format!("{method} of {call_id} at the gateway"), || {
            let messages = self.messages()?;
            let mut requests =
                messages.iter().filter(|m| !m.sent && m.code().is_none() && m.call_id() == call_id);
            Ok(requests.any(|m| m.method() == method).then_some(()))
        })
    }

    /// Lets a waiting call go on, in scenarios that wait for it.
    ///
    /// # Errors
    /// The datagram cannot be sent.
    pub fn nudge(&self, call_id: &str) -> Result<()> {
        nudge::send(self.address, call_id)
    }

    /// Ends it; its log stays.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()
    }

    /// Whether it is still up.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&mut self) -> Result<()> {
        self.child.check()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It would wait for its calls.
        let _ = self.child.kill();
    }
}

/// A gateway that takes every datagram and never says a word.
#[derive(Debug)]
pub struct Silent {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Silent {
    /// Opens the socket.
    ///
    /// # Errors
    /// There is no free port.
    pub fn open() -> Result<Silent> {
        let address = ports::free()?;
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Silent { socket, address })
    }

    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}", self.address)
    }

    /// Whether an INVITE for one of these calls has come since the last look.
    ///
    /// # Errors
    /// The socket fails.
    pub fn was_tried(&self, call_ids: &[String]) -> Result<bool> {
        let mut tried = false;
        let mut buffer = vec![0; 65_535];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            tried |= text.starts_with("INVITE") && call_ids.iter().any(|id| text.contains(id.as_str()));
        }
        Ok(tried)
    }
}

/// Whether some process has that UDP port of 127.0.0.1 (or of every address) open.
pub(crate) fn listens(address: SocketAddr) -> Result<bool> {
    let wanted = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/udp")?;
    Ok(table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .any(|local| local.ends_with(&wanted)))
}
