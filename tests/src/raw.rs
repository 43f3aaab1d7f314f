//! SIP by hand: one request out, the answers in. For what a well-behaved agent would never send.
//!
//! It must never retry or repair: what is sent is what the test says, to the byte.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::digest;
use crate::sip::Message;
use crate::wait::PATIENCE;

/// A UDP agent on a port of its own.
#[derive(Debug)]
pub struct Agent {
    socket: UdpSocket,
    proxy: SocketAddr,
    /// Where it is.
    pub address: SocketAddr,
}

/// A request in the making; every header that a proxy insists on is there.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Request-URI.
    pub uri: String,
    /// Call-ID, also part of tag and branch.
    pub call_id: String,
    /// Follows the To address, e.g. `;tag=x`.
    pub to_tag: String,
    /// CSeq number.
    pub cseq: u32,
    /// Max-Forwards.
    pub max_forwards: u32,
    /// More header lines, each with its line end.
    pub headers: String,
}

impl Request {
    /// A request that begins something.
    #[must_use]
    pub fn new(method: &str, uri: &str, call_id: &str) -> Request {
        let (method, uri, call_id) = (method.to_owned(), uri.to_owned(), call_id.to_owned());
        Request {
            method,
            uri,
            call_id,
            to_tag: String::new(),
            cseq: 1,
            max_forwards: 70,
            headers: String::new(),
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Its text, as sent by `from` over `transport` (`UDP`, `TLS`).
    #[must_use]
    pub fn render(&self, from: SocketAddr, transport: &str) -> String {
        let Request { method, uri, call_id, to_tag, cseq, max_forwards, headers } = self;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bK{call_id}{cseq}{method};rport\r\n\
             From: <sip:raw@{from}>;tag={call_id}\r\nTo: <{uri}>{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:raw@{from}>\r\nMax-Forwards: {max_forwards}\r\n{headers}Content-Length: 0\r\n\r\n"
        )
    }
}

impl Agent {
    /// An agent that talks to `proxy`.
    ///
    /// # Errors
    /// No port.
    pub fn new(proxy: SocketAddr) -> Result<Agent> {
        Agent::at(Ipv4Addr::LOCALHOST, proxy)
    }

    /// An agent at an address of its own.
    ///
    /// # Errors
    /// No port, or this machine has no such address.
    pub fn at(address: Ipv4Addr, proxy: SocketAddr) -> Result<Agent> {
        let socket = UdpSocket::bind((address, 0))?;
        let address = socket.local_addr()?;
        Ok(Agent { socket, proxy, address })
    }

    /// Sends the request once.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(&self, request: &Request) -> Result<()> {
        self.socket.send_to(request.render(self.address, "UDP").as_bytes(), self.proxy)?;
        Ok(())
    }

    /// Sends any text once.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send_text(&self, text: &str) -> Result<()> {
        self.socket.send_to(text.as_bytes(), self.proxy)?;
        Ok(())
    }

    /// The next message that arrives.
    ///
    /// # Errors
    /// None does.
    pub fn receive(&self) -> Result<Message> {
        self.receive_within(PATIENCE)?.context("no SIP message came")
    }

    /// The next message that arrives within `patience`, if one does.
    ///
    /// # Errors
    /// It is no SIP message.
    pub fn receive_within(&self, patience: Duration) -> Result<Option<Message>> {
        self.socket.set_read_timeout(Some(patience))?;
        let mut buffer = vec![0; 65_535];
        let Ok(length) = self.socket.recv(&mut buffer) else { return Ok(None) };
        let message = Message::parse(false, &String::from_utf8_lossy(&buffer[..length]));
        Ok(Some(message.context("an empty SIP message")?))
    }

    /// Whether nothing arrives within `quiet`. The one place where time itself is the condition: silence has no event.
    ///
    /// # Errors
    /// The socket fails.
    pub fn hears_nothing(&self, quiet: Duration) -> Result<bool> {
        self.socket.set_read_timeout(Some(quiet))?;
        Ok(self.socket.recv(&mut [0; 65_535]).is_err())
    }

    /// Sends the request and returns the final answer, acknowledging it when that is due.
    ///
    /// # Errors
    /// None comes.
    pub fn ask(&self, request: &Request) -> Result<Message> {
        self.send(request)?;
        loop {
            let message = self.receive()?;
            let ours = message.call_id() == request.call_id && message.method() == request.method;
            if ours && message.code().is_some_and(|code| code >= 200) {
                if request.method == "INVITE" && message.code().is_some_and(|code| code >= 300) {
                    self.acknowledge(request, &message)?;
                }
                return Ok(message);
            }
        }
    }

    /// As [`Agent::ask`]; a challenge is answered once, as `user` with `password`, in a request of the next CSeq.
    ///
    /// # Errors
    /// No answer comes, or a challenge that cannot be answered.
    pub fn ask_as(&self, request: &Request, user: &str, password: &str) -> Result<Message> {
        let first = self.ask(request)?;
        let Some(challenge) = first.header("proxy-authenticate").filter(|_| first.code() == Some(407)) else {
            return Ok(first);
        };
        let proof = digest::answer(challenge, user, password, &request.method, &request.uri)?;
        let again = Request { cseq: request.cseq + 1, ..request.clone() };
        self.ask(&again.header("Proxy-Authorization", &proof))
    }

    /// Acknowledges a refusal.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn acknowledge(&self, request: &Request, answer: &Message) -> Result<()> {
        let tag = answer.header("to").and_then(|to| to.split_once(";tag=")).map_or("", |(_, tag)| tag);
        let ack = Request {
            method: "ACK".into(),
            to_tag: format!(";tag={tag}"),
            headers: String::new(),
            ..request.clone()
        };
        // The branch of the INVITE, as RFC 3261 wants it for anything but a 2xx.
        let text = ack
            .render(self.address, "UDP")
            .replace(&format!("{}ACK;rport", request.cseq), &format!("{}INVITE;rport", request.cseq));
        self.socket.send_to(text.as_bytes(), self.proxy)?;
        Ok(())
    }
}
