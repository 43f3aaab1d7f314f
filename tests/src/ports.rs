//! Free ports on loopback.
//!
//! It must never hand out a port twice in one process. The range lies below the one the kernel gives to outgoing
//! connections, so nothing takes a port between our look and its use, unless another test run has the same idea; the
//! start depends on the process for that reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address on 127.0.0.1 that is free for UDP and for TCP.
///
/// # Errors
/// Not one port of the whole range is free.
pub fn free() -> Result<SocketAddr> {
    free_on(Ipv4Addr::LOCALHOST.into())
}

/// The same on another loopback address.
///
/// # Errors
/// Not one port of the whole range is free, or this machine has no such address.
pub fn free_on(host: IpAddr) -> Result<SocketAddr> {
    let start = process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % COUNT;
        let address = SocketAddr::from((host, u16::try_from(port)?));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}
