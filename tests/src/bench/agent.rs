//! A caller that places calls by the clock, and a gateway that says busy at once and notes when each call came.
//!
//! It must never hold a call or repeat one: what is measured is which calls were let through, and when.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::sip::Message;

/// One call as it was seen on both wires.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// When its INVITE left the caller.
    pub sent: Instant,
    /// When it reached the gateway; `None` when it was refused. The admission lies between the two.
    pub arrived: Option<Instant>,
    /// The final answer; `None` when a datagram was lost on the way.
    pub code: Option<u16>,
}

type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

/// A gateway that answers every INVITE with 486.
#[derive(Debug)]
pub struct Busy {
    /// Where it listens.
    pub address: SocketAddr,
    arrivals: Arrivals,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Busy {
    /// Opens the socket.
    ///
    /// # Errors
    /// No port.
    pub fn start() -> Result<Busy> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let address = socket.local_addr()?;
        let (arrivals, stop) = (Arrivals::default(), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (Arc::clone(&arrivals), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65_535];
            while !stopped.load(Ordering::Acquire) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let now = Instant::now();
                let text = String::from_utf8_lossy(&buffer[..length]);
                if !text.starts_with("INVITE ") {
                    continue;
                }
                let Some(call) = Message::parse(false, &text).map(|m| m.call_id().to_owned()) else {
                    continue;
                };
                noted.lock().unwrap_or_else(PoisonError::into_inner).entry(call).or_insert(now);
                let _ = socket.send_to(busy(&text).as_bytes(), from);
            }
        });
        Ok(Busy { address, arrivals, stop, thread: Some(thread) })
    }

    fn arrival(&self, call: &str) -> Option<Instant> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).get(call).copied()
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

/// No answer for so long after the last one: the rest is lost.
const SILENCE: Duration = Duration::from_secs(3);

/// Places a call at each moment of `due`, counted from now, and waits for the answers.
///
/// # Errors
/// The socket fails.
pub fn offer(
    proxy: SocketAddr,
    uri: &str,
    name: &str,
    due: &[Duration],
    gateway: &Busy,
) -> Result<Vec<Attempt>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let from = socket.local_addr()?;
    let listening = socket.try_clone()?;
    let count = due.len();
    let placed = Arc::new(AtomicBool::new(false));
    let all_placed = Arc::clone(&placed);
    let answers = thread::spawn(move || collect(&listening, proxy, count, &all_placed));
    let begun = Instant::now();
    let mut sent = Vec::with_capacity(count);
    for (number, at) in due.iter().enumerate() {
        // The pace is what is offered: here the clock itself is the condition.
        thread::sleep((begun + *at).saturating_duration_since(Instant::now()));
        let call = format!("{name}-{number}");
        sent.push(Instant::now());
        socket.send_to(invite(uri, from, &call).as_bytes(), proxy)?;
    }
    placed.store(true, Ordering::Release);
    let answers = answers.join().ok().context("the thread that collects answers")??;
    let attempts = sent.into_iter().enumerate().map(|(number, sent)| {
        let call = format!("{name}-{number}");
        Attempt { sent, arrived: gateway.arrival(&call), code: answers.get(&call).copied() }
    });
    Ok(attempts.collect())
}

/// Takes final answers, and acknowledges each, until every call has one or none comes any more.
fn collect(
    socket: &UdpSocket,
    proxy: SocketAddr,
    count: usize,
    placed: &AtomicBool,
) -> Result<HashMap<String, u16>> {
    socket.set_read_timeout(Some(SILENCE))?;
    let mut buffer = vec![0; 65_535];
    let mut codes = HashMap::new();
    while codes.len() < count {
        let Ok(length) = socket.recv(&mut buffer) else {
            if placed.load(Ordering::Acquire) {
                break;
            }
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        let Some(answer) = Message::parse(false, &text) else { continue };
        let Some(code) = answer.code().filter(|code| *code >= 200) else { continue };
        // Another refusal than a limit's would be counted as one.
        let reason = answer.header("reason").unwrap_or_default();
        ensure!(!reason.contains("node_overloaded"), "the proxy had too much to read");
        socket.send_to(ack(&answer).as_bytes(), proxy)?;
        codes.insert(answer.call_id().to_owned(), code);
    }
    Ok(codes)
}

fn invite(uri: &str, from: SocketAddr, call: &str) -> String {
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{call}\r\nFrom: <sip:pace@{from}>;tag={call}\r\n\
         To: <{uri}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContact: <sip:pace@{from}>\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// To a refusal, with the branch of its INVITE.
fn ack(answer: &Message) -> String {
    let header = |name: &str| answer.header(name).unwrap_or_default();
    format!(
        "ACK sip:nobody@invalid SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        header("via"),
        header("from"),
        header("to"),
        header("call-id")
    )
}

fn busy(invite: &str) -> String {
    let mut answer = "SIP/2.0 486 Busy Here\r\n".to_owned();
    for line in invite.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "via" | "from" | "call-id" | "cseq" | "record-route" => answer += &format!("{line}\r\n"),
            "to" => answer += &format!("{line};tag=busy\r\n"),
            _ => {}
        }
    }
    answer + "Content-Length: 0\r\n\r\n"
}
