//! A name server on loopback that answers what a test tells it to, differently each time if need be, and never lets anybody
//! keep an answer (TTL 0).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// One record of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Address(IpAddr),
    Alias(&'static str),
}

/// Shorthand for an address.
pub(crate) fn at(address: &str) -> Record {
    Record::Address(address.parse().unwrap())
}

/// What is answered for a name: the first entry the first time, and so on; the last one for ever.
pub(crate) type Zone = HashMap<&'static str, Vec<Vec<Record>>>;

pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<HashMap<(String, u16), usize>>>,
}

impl NameServer {
    pub(crate) async fn start(zone: Zone) -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut packet = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut packet).await.unwrap();
                if let Some(answer) = answer(&zone, &counted, &packet[..length]) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        NameServer { address, asked }
    }

    /// How often the addresses (A) of a name were asked for.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(&(name.to_owned(), A)).copied().unwrap_or(0)
    }
}

/// RFC 1035 section 4: the question again, then every record of the name and of what it is an alias for.
fn answer(zone: &Zone, asked: &Mutex<HashMap<(String, u16), usize>>, query: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = read_name(query, 12)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
    let time = {
        let mut asked = asked.lock().unwrap();
        let count = asked.entry((name.clone(), kind)).or_insert(0);
        *count += 1;
        *count - 1
    };
    let mut records = Vec::new();
    let mut owner = name;
    while let Some(entries) = zone.get(owner.as_str()) {
        let mut alias = None;
        for record in &entries[time.min(entries.len() - 1)] {
            match record {
                Record::Address(IpAddr::V4(v4)) if kind == A => {
                    records.push(record_bytes(&owner, A, &v4.octets()));
                }
                Record::Address(IpAddr::V6(v6)) if kind == AAAA => {
                    records.push(record_bytes(&owner, AAAA, &v6.octets()));
                }
                Record::Address(_) => {}
                Record::Alias(other) => {
                    records.push(record_bytes(&owner, CNAME, &name_bytes(other)));
                    alias = Some((*other).to_owned());
                }
            }
        }
        match alias {
            Some(other) => owner = other,
            None => break,
        }
    }
    let mut packet = query[..2].to_vec();
    packet.extend([0x85, 0x80, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    packet.extend(&query[12..end + 4]);
    records.iter().for_each(|record| packet.extend(record));
    Some(packet)
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
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record_bytes(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = name_bytes(owner);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 0]);
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}
