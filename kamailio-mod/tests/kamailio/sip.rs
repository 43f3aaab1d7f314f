//! Two phones over UDP: enough SIP to place, answer, cancel and end a call, and no more.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::host::PATIENCE;

static COUNTER: AtomicU32 = AtomicU32::new(1);

/// A fresh token for tags, branches and Call-IDs.
fn token(prefix: &str) -> String {
    format!("{prefix}{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A received message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) start: String,
    headers: Vec<(String, String)>,
    from: SocketAddr,
}

impl Message {
    fn parse(bytes: &[u8], from: SocketAddr) -> Message {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
        Message { start, headers, from }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn one(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or("")
    }

    /// Status code of an answer.
    pub(crate) fn code(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    fn is(&self, what: &str) -> bool {
        match self.code() {
            Some(code) => what == code.to_string(),
            None => self.start.split(' ').next() == Some(what),
        }
    }
}

/// One end.
pub(crate) struct Phone {
    socket: UdpSocket,
    pub(crate) address: SocketAddr,
    proxy: SocketAddr,
}

/// A call as the calling phone sees it.
pub(crate) struct Call {
    call_id: String,
    from_tag: String,
    uri: String,
    branch: String,
    cseq: u32,
    /// The 2xx, once it came.
    answer: Option<Message>,
}

impl Phone {
    pub(crate) fn new(proxy: SocketAddr) -> Phone {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let address = socket.local_addr().expect("an address");
        Phone { socket, address, proxy }
    }

    /// A phone that knows no proxy yet: a gateway that waits.
    pub(crate) fn idle() -> Phone {
        Phone::new(SocketAddr::from(([127, 0, 0, 1], 9)))
    }

    /// The same phone, with its proxy.
    pub(crate) fn towards(self, proxy: SocketAddr) -> Phone {
        Phone { proxy, ..self }
    }

    fn send(&self, text: &str, to: SocketAddr) {
        self.socket.send_to(text.as_bytes(), to).expect("it goes out");
    }

    /// Waits for a request of this method, or an answer with this code; other messages are passed over.
    pub(crate) fn expect(&self, what: &str) -> Message {
        let mut bytes = [0; 65_535];
        let mut passed = Vec::new();
        loop {
            let Ok((length, from)) = self.socket.recv_from(&mut bytes) else {
                panic!("no {what}, only {passed:?}")
            };
            let message = Message::parse(&bytes[..length], from);
            if message.is(what) {
                return message;
            }
            passed.push(message.start);
        }
    }

    /// Waits for a final answer to the INVITE, and acknowledges one above 299.
    pub(crate) fn expect_final(&self, call: &mut Call) -> Message {
        self.try_final(call, PATIENCE).expect("a final answer")
    }

    /// The same, when there may be none.
    pub(crate) fn try_final(&self, call: &mut Call, patience: Duration) -> Option<Message> {
        let mut bytes = [0; 65_535];
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let received = self.socket.recv_from(&mut bytes);
            self.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let (length, from) = received.ok()?;
            let message = Message::parse(&bytes[..length], from);
            let (Some(code), true) = (message.code(), message.one("CSeq").ends_with("INVITE")) else {
                continue;
            };
            if code >= 300 {
                let ack =
                    request("ACK", &call.uri, self, call, message.one("To"), &[], &call.branch, call.cseq);
                self.send(&ack, self.proxy);
            }
            if code >= 200 {
                call.answer = Some(message.clone());
                return Some(message);
            }
        }
    }

    /// Sends an INVITE.
    pub(crate) fn invite(&self, uri: &str) -> Call {
        let call = Call {
            call_id: token("call"),
            from_tag: token("from"),
            uri: uri.to_owned(),
            branch: token("z9hG4bK"),
            cseq: 1,
            answer: None,
        };
        self.send_invite(&call, &[]);
        call
    }

    /// The same INVITE again, word for word.
    pub(crate) fn repeat(&self, call: &Call) {
        self.send_invite(call, &[]);
    }

    /// The same call by another path: another Via, same Call-ID, From tag and CSeq.
    pub(crate) fn merge(&self, call: &mut Call) {
        call.branch = token("z9hG4bK");
        self.send_invite(call, &[]);
    }

    /// The next try of a call, with credentials.
    pub(crate) fn invite_again(&self, call: &mut Call, header: &str) {
        call.cseq += 1;
        call.branch = token("z9hG4bK");
        self.send_invite(call, &[header]);
    }

    fn send_invite(&self, call: &Call, more: &[&str]) {
        let contact = format!("Contact: <sip:phone@{}>", self.address);
        let mut headers = vec![contact.as_str()];
        headers.extend(more);
        let to = format!("<{}>", call.uri);
        self.send(
            &request("INVITE", &call.uri, self, call, &to, &headers, &call.branch, call.cseq),
            self.proxy,
        );
    }

    pub(crate) fn cancel(&self, call: &Call) {
        let to = format!("<{}>", call.uri);
        self.send(&request("CANCEL", &call.uri, self, call, &to, &[], &call.branch, call.cseq), self.proxy);
    }

    /// Acknowledges the 2xx.
    pub(crate) fn ack(&self, call: &Call) {
        self.within(call, "ACK", call.cseq, &[]);
    }

    /// Hangs up.
    pub(crate) fn bye(&self, call: &Call, headers: &[&str]) {
        self.within(call, "BYE", call.cseq + 1, headers);
    }

    fn within(&self, call: &Call, method: &str, cseq: u32, more: &[&str]) {
        let answer = call.answer.as_ref().expect("an answered call");
        let target = answer.one("Contact").trim_matches(['<', '>']).to_owned();
        let routes: Vec<_> =
            answer.all("Record-Route").iter().rev().map(|route| format!("Route: {route}")).collect();
        let mut headers: Vec<_> = routes.iter().map(String::as_str).collect();
        headers.extend(more);
        self.send(
            &request(method, &target, self, call, answer.one("To"), &headers, &token("z9hG4bK"), cseq),
            self.proxy,
        );
    }

    /// Answers a request.
    pub(crate) fn answer(&self, to: &Message, status: &str, headers: &[&str]) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route", "From", "Call-ID", "CSeq"] {
            to.all(name).iter().for_each(|value| text += &format!("{name}: {value}\r\n"));
        }
        let tag = if to.one("To").contains(";tag=") { "" } else { ";tag=callee" };
        text += &format!("To: {}{tag}\r\nContact: <sip:gateway@{}>\r\n", to.one("To"), self.address);
        headers.iter().for_each(|header| text += &format!("{header}\r\n"));
        self.send(&(text + "Content-Length: 0\r\n\r\n"), to.from);
    }

    /// The called side hangs up the call that `invite` opened.
    pub(crate) fn bye_back(&self, invite: &Message, headers: &[&str]) {
        let target = invite.one("Contact").trim_matches(['<', '>']);
        let mut text = format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={}\r\n",
            self.address,
            token("z9hG4bK")
        );
        invite.all("Record-Route").iter().for_each(|route| text += &format!("Route: {route}\r\n"));
        text += &format!("From: {};tag=callee\r\nTo: {}\r\n", invite.one("To"), invite.one("From"));
        text += &format!("Call-ID: {}\r\nCSeq: 7 BYE\r\nMax-Forwards: 70\r\n", invite.one("Call-ID"));
        headers.iter().for_each(|header| text += &format!("{header}\r\n"));
        self.send(&(text + "Content-Length: 0\r\n\r\n"), self.proxy);
    }
}

#[expect(clippy::too_many_arguments, reason = "one line of SIP each")]
fn request(
    method: &str,
    uri: &str,
    phone: &Phone,
    call: &Call,
    to: &str,
    headers: &[&str],
    branch: &str,
    cseq: u32,
) -> String {
    let mut text = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@phone.invalid>;tag={}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n",
        phone.address, call.from_tag, call.call_id
    );
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    text + "Content-Length: 0\r\n\r\n"
}
