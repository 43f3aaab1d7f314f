//! JSON-RPC over the unix datagram socket of Kamailio's jsonrpcs module: one question at a time, each with its deadline.
//!
//! Kamailio answers in one datagram of at most [`MAX_ANSWER_BYTES`], and says nothing at all when its answer is longer (it logs
//! "Message too long"). Reloads that overlap have crashed 5.6, so whoever asks waits its turn here; nobody else may call
//! them. Must never wait without an end: Kamailio may be stopped, restarted or absent at any time.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixDatagram;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Longest answer that Kamailio can send: its SO_SNDBUF of twice 64 KiB, less what the kernel keeps of it.
pub const MAX_ANSWER_BYTES: usize = 131_040;
/// Room for any answer.
const BUFFER_BYTES: usize = 160 << 10;

/// Where Kamailio is asked, and where it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Socket of jsonrpcs.
    pub socket: PathBuf,
    /// A directory of ours, made when needed and removed afterwards, in one that Kamailio can reach.
    pub replies: PathBuf,
    /// The group that Kamailio runs as; it needs to write to our socket. `None` is our own.
    pub group: Option<u32>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Our own socket could not be made.
    #[error("{path}: {error}")]
    Socket {
        /// Of what.
        path: String,
        /// The operating system's word.
        error: io::Error,
    },
    /// Nobody is there.
    #[error("nobody answers at {socket}: {error}")]
    Absent {
        /// Whom we asked.
        socket: String,
        /// The operating system's word.
        error: io::Error,
    },
    /// It did not answer in time, or its answer was too long to be sent.
    #[error("Kamailio did not answer {method} within {seconds} s")]
    Silent {
        /// What it was asked.
        method: String,
        /// How long we waited.
        seconds: u64,
    },
    /// It said no.
    #[error("Kamailio refuses {method}: {code} {message}")]
    Refused {
        /// What it was asked.
        method: String,
        /// Its code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// It answered something that we do not understand.
    #[error("Kamailio's answer to {method} is not understood: {detail}")]
    Garbled {
        /// What it was asked.
        method: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// Asks one Kamailio.
#[derive(Debug)]
pub struct Client {
    place: Place,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mailbox: Option<Mailbox>,
    asked: u64,
}

#[derive(Deserialize)]
struct Answer {
    id: Option<String>,
    result: Option<Value>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: i64,
    message: String,
}

impl Client {
    /// Makes nothing yet: the first question does.
    pub fn new(place: Place) -> Client {
        Client { place, state: Mutex::default() }
    }

    /// Asks, and waits at most `patience` for the answer, its turn not counted.
    pub async fn call(&self, method: &str, params: &[Value], patience: Duration) -> Result<Value, RpcError> {
        let mut state = self.state.lock().await;
        state.asked += 1;
        // Late answers to earlier questions are told apart by this.
        let id = format!("trunkd-{}-{}", std::process::id(), state.asked);
        let question = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
        let mailbox = match state.mailbox.take() {
            Some(mailbox) => mailbox,
            None => Mailbox::open(&self.place)?,
        };
        let asked = timeout(patience, self.ask(&mailbox.socket, &id, method, &question)).await;
        let silent = || RpcError::Silent { method: method.to_owned(), seconds: patience.as_secs() };
        let answer = asked.unwrap_or_else(|_| Err(silent()));
        // After trouble with the sockets the next question starts afresh.
        if !matches!(answer, Err(RpcError::Absent { .. } | RpcError::Socket { .. })) {
            state.mailbox = Some(mailbox);
        }
        answer
    }

    async fn ask(
        &self,
        ours: &UnixDatagram,
        id: &str,
        method: &str,
        question: &str,
    ) -> Result<Value, RpcError> {
        let absent = |error| RpcError::Absent { socket: self.place.socket.display().to_string(), error };
        // Anew each time: after a restart of Kamailio it is another socket under the same name. A connected socket
        // hears nobody else.
        ours.connect(&self.place.socket).map_err(absent)?;
        ours.send(question.as_bytes()).await.map_err(absent)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let length = ours.recv(&mut buffer).await.map_err(absent)?;
            let garbled = |detail: String| RpcError::Garbled { method: method.to_owned(), detail };
            let answer: Answer =
                serde_json::from_slice(&buffer[..length]).map_err(|error| garbled(error.to_string()))?;
            if answer.id.as_deref() != Some(id) {
                continue;
            }
            return match (answer.result, answer.error) {
                (_, Some(Fault { code, message })) => {
                    Err(RpcError::Refused { method: method.to_owned(), code, message })
                }
                (Some(result), None) => Ok(result),
                (None, None) => Err(garbled("neither result nor error".to_owned())),
            };
        }
    }
}

/// Our end: a socket in a directory of its own, both gone when it is dropped.
#[derive(Debug)]
struct Mailbox {
    socket: UnixDatagram,
    dir: PathBuf,
}

impl Mailbox {
    const NAME: &str = "answers.sock";

    /// What a process of ours that was killed has left here is removed first.
    fn open(place: &Place) -> Result<Mailbox, RpcError> {
        let dir = &place.replies;
        let file = dir.join(Mailbox::NAME);
        let made = || -> io::Result<UnixDatagram> {
            remove(dir);
            DirBuilder::new().mode(0o700).create(dir)?;
            let socket = UnixDatagram::bind(&file)?;
            fs::set_permissions(&file, Permissions::from_mode(0o660))?;
            if place.group.is_some() {
                chown(&file, None, place.group)?;
                chown(dir, None, place.group)?;
            }
            // Last: nobody else comes near the socket before its rights are as they must be.
            fs::set_permissions(dir, Permissions::from_mode(0o750))?;
            Ok(socket)
        };
        match made() {
            Ok(socket) => Ok(Mailbox { socket, dir: dir.clone() }),
            Err(error) => {
                remove(dir);
                Err(RpcError::Socket { path: file.display().to_string(), error })
            }
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

/// Nothing but what we make here is removed.
fn remove(dir: &Path) {
    let _ = fs::remove_file(dir.join(Mailbox::NAME));
    let _ = fs::remove_dir(dir);
}
