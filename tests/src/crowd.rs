//! Very many short calls: gateways that are busy for everybody and count, and a caller that keeps some calls under way.
//!
//! It must never pace itself by the clock: the next call begins when one has ended.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::raw::Agent;
use crate::raw::Request;
use crate::wait::PATIENCE;

/// How long a gateway may be deaf to its end.
const LOOK: Duration = Duration::from_millis(50);

/// When an INVITE that nobody has answered is sent again (RFC 3261 section 17.1.1.2, T1).
const AGAIN: Duration = Duration::from_millis(500);

/// A gateway that answers every INVITE with 486, and OPTIONS with 200.
#[derive(Debug)]
pub struct Busy {
    /// Where it is.
    pub address: SocketAddr,
    calls: Arc<Mutex<HashSet<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Busy {
    /// Opens it at an address.
    ///
    /// # Errors
    /// The address is taken.
    pub fn open(address: SocketAddr) -> Result<Busy> {
        let socket = UdpSocket::bind(address).with_context(|| format!("binding {address}"))?;
        socket.set_read_timeout(Some(LOOK))?;
        let (calls, stop) = (Arc::<Mutex<HashSet<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (noted, stopping) = (Arc::clone(&calls), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65_535];
            while !stopping.load(Ordering::Acquire) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let text = String::from_utf8_lossy(&buffer[..length]);
                let Some((call_id, answer)) = refusal(&text) else { continue };
                noted.lock().unwrap_or_else(PoisonError::into_inner).insert(call_id);
                // A lost answer is asked for again.
                let _ = socket.send_to(answer.as_bytes(), from);
            }
        });
        Ok(Busy { address, calls, stop, thread: Some(thread) })
    }

    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}", self.address)
    }

    /// How many different calls came so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The Call-ID of an INVITE and the answer to it.
fn refusal(request: &str) -> Option<(String, String)> {
    if !request.starts_with("INVITE ") {
        return None;
    }
    let mut answer = "SIP/2.0 486 Busy Here\r\n".to_owned();
    let mut call_id = None;
    for line in request.lines().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "via" | "from" | "cseq" => answer += &format!("{line}\r\n"),
            "to" => answer += &format!("{line};tag=busy\r\n"),
            "call-id" => {
                call_id = Some(value.trim().to_owned());
                answer += &format!("{line}\r\n");
            }
            _ => {}
        }
    }
    Some((call_id?, answer + "Content-Length: 0\r\n\r\n"))
}

/// Places calls to `uri`, so many under way at a time; how often each final code came.
/// `between` hears the number of calls that have ended, after each.
///
/// # Errors
/// No final answer comes for a while.
pub fn place(
    proxy: SocketAddr,
    uri: &str,
    name: &str,
    calls: u32,
    under_way: u32,
    mut between: impl FnMut(u32) -> Result<()>,
) -> Result<HashMap<u16, u32>> {
    let agent = Agent::new(proxy)?;
    let request = |number: u32| Request::new("INVITE", uri, &format!("{name}-{number}"));
    let mut open: HashMap<String, Request> = HashMap::new();
    let mut codes: HashMap<u16, u32> = HashMap::new();
    let (mut begun, mut ended, mut quiet) = (0, 0, Duration::ZERO);
    while ended < calls {
        while begun < calls && u32::try_from(open.len())? < under_way {
            let next = request(begun);
            agent.send(&next)?;
            open.insert(next.call_id.clone(), next);
            begun += 1;
        }
        let Some(message) = agent.receive_within(AGAIN)? else {
            quiet += AGAIN;
            ensure!(quiet < PATIENCE, "{ended} of {calls} calls have ended, the others wait in vain");
            // What UDP has lost.
            open.values().try_for_each(|request| agent.send(request))?;
            continue;
        };
        quiet = Duration::ZERO;
        let Some(code) = message.code().filter(|&code| code >= 200) else { continue };
        if let Some(request) = open.remove(message.call_id()) {
            agent.acknowledge(&request, &message)?;
            *codes.entry(code).or_default() += 1;
            ended += 1;
            between(ended)?;
        }
    }
    Ok(codes)
}
