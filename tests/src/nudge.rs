//! The signal that lets a waiting sipp call go on: one INFO with its Call-ID, sent straight to sipp.
//!
//! It must never go through the proxy: it is the test's hand, not part of the call.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result};

/// Sends the signal to the call `call_id` of the sipp at `address`.
///
/// # Errors
/// The datagram cannot be sent.
pub fn send(address: SocketAddr, call_id: &str) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let from = socket.local_addr()?;
    let message = format!(
        "INFO sip:go@{address} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKnudge{port}\r\n\
         From: <sip:test@{from}>;tag=n\r\nTo: <sip:go@{address}>\r\nCall-ID: {call_id}\r\nCSeq: 1 INFO\r\n\
         Max-Forwards: 1\r\nContent-Length: 0\r\n\r\n",
        port = from.port()
    );
    socket.send_to(message.as_bytes(), address).with_context(|| format!("nudging {call_id} at {address}"))?;
    Ok(())
}
