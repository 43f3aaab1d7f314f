//! A name server on loopback that answers what a test tells it to, differently each time if need be, and falls silent when it
//! is told to. Nobody may keep an answer for longer than the test says (0 seconds at first).
//!
//! trunkd's own tests have it too. It must never know what the names are for.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const A: u16 = 1;
const CNAME: u16 = 5;
/// The kind of record that has an IPv6 address.
pub const AAAA: u16 = 28;
/// The kind of record that has a server of a service.
pub const SRV: u16 = 33;
/// The kind of record that points at services.
pub const NAPTR: u16 = 35;
/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// One record of an answer.
#[derive(Clone, Debug)]
pub enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME.
    Alias(&'static str),
    /// SRV: priority, weight, port, server.
    Service(u16, u16, u16, &'static str),
    /// NAPTR with flag `s`: order, preference, service, name of SRV records.
    Pointer(u16, u16, &'static str, &'static str),
}

/// Shorthand for an address.
///
/// # Panics
/// It is none.
#[must_use]
#[expect(clippy::panic, reason = "a test's own mistake")]
pub fn at(address: &str) -> Record {
    Record::Address(address.parse().unwrap_or_else(|_| panic!("{address} is no address")))
}

/// What is answered for a name: the first entry the first time, and so on; the last one for ever.
pub type Zone = HashMap<&'static str, Vec<Vec<Record>>>;

/// A name server.
#[derive(Debug)]
pub struct NameServer {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    zone: Zone,
    ttl_s: u32,
    silent: bool,
    refused: HashSet<(String, u16)>,
    asked: HashMap<(String, u16), usize>,
}

impl NameServer {
    /// Begins to answer.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(zone: Zone) -> std::io::Result<NameServer> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(LOOK))?;
        let address = socket.local_addr()?;
        let state = Arc::new(Mutex::new(State { zone, ..State::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut packet = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut packet) else { continue };
                if let Some(answer) = lock(&shared).answer(&packet[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(NameServer { address, state, stop, thread: Some(thread) })
    }

    /// What is answered for a name from now on; nothing is that there is no such name.
    pub fn set(&self, name: &'static str, records: Vec<Record>) {
        lock(&self.state).zone.insert(name, vec![records]);
    }

    /// For how long answers may be kept from now on.
    pub fn keep_for(&self, ttl_s: u32) {
        lock(&self.state).ttl_s = ttl_s;
    }

    /// Whether questions are counted and not answered from now on.
    pub fn set_silent(&self, silent: bool) {
        lock(&self.state).silent = silent;
    }

    /// Records of this kind of a name are answered with SERVFAIL from now on.
    pub fn refuse(&self, name: &str, kind: u16) {
        lock(&self.state).refused.insert((name.to_owned(), kind));
    }

    /// How often the addresses (A) of a name were asked for.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        lock(&self.state).asked.get(&(name.to_owned(), A)).copied().unwrap_or(0)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// RFC 1035 section 4: the question again, then every record of the name and of what it is an alias for.
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = read_name(query, 12)?;
        let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
        let count = self.asked.entry((name.clone(), kind)).or_insert(0);
        *count += 1;
        let time = *count - 1;
        if self.silent {
            return None;
        }
        let refused = self.refused.contains(&(name.clone(), kind));
        let mut records = Vec::new();
        let mut owner = name;
        while let Some(entries) = self.zone.get(owner.as_str()) {
            let mut alias = None;
            for record in &entries[time.min(entries.len() - 1)] {
                let (of_kind, data) = record.data();
                if let Record::Alias(other) = record {
                    alias = Some((*other).to_owned());
                } else if of_kind != kind {
                    continue;
                }
                records.push(self.record(&owner, of_kind, &data));
            }
            match alias {
                Some(other) => owner = other,
                None => break,
            }
        }
        let mut packet = query[..2].to_vec();
        if refused {
            records.clear();
        }
        packet.extend([0x85, if refused { 0x82 } else { 0x80 }, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
        packet.extend(&query[12..end + 4]);
        records.iter().for_each(|record| packet.extend(record));
        Some(packet)
    }

    fn record(&self, owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = name_bytes(owner);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(self.ttl_s.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
        bytes
    }
}

impl Record {
    /// Type and RDATA.
    fn data(&self) -> (u16, Vec<u8>) {
        let numbers = |numbers: &[u16]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_be_bytes()).collect() };
        match self {
            Record::Address(IpAddr::V4(v4)) => (A, v4.octets().to_vec()),
            Record::Address(IpAddr::V6(v6)) => (AAAA, v6.octets().to_vec()),
            Record::Alias(other) => (CNAME, name_bytes(other)),
            Record::Service(priority, weight, port, server) => {
                (SRV, [numbers(&[*priority, *weight, *port]), name_bytes(server)].concat())
            }
            Record::Pointer(order, preference, service, name) => {
                let text = |text: &str| [vec![text.len() as u8], text.as_bytes().to_vec()].concat();
                let head = numbers(&[*order, *preference]);
                (NAPTR, [head, text("s"), text(service), text(""), name_bytes(name)].concat())
            }
        }
    }
}

fn read_name(packet: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8(packet.get(at..at + length)?.to_ascii_lowercase()).ok()?);
        at += length;
    }
}

fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
