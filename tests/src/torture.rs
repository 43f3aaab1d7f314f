//! The torture messages of RFC 4475, each section's in words of our own, from and to whom a test likes: valid ones that look wrong, and
//! wrong ones that look valid. `messages` has the table; here each line of it becomes what goes over the wire.
//!
//! It must never judge: what should come of each is in the table, and whoever sends it compares.

use std::fmt::Write as _;

pub mod messages;

/// What should come of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A call: it is judged, and reaches the gateway if it may.
    Call,
    /// It is answered so.
    Answer(u16),
    /// It is not worth an answer, or could not be given one.
    Nothing,
}

/// One line of the table. A line of `rest` that is a word in capitals stands for the header that is right there; `SDP` for a body with its
/// length.
#[derive(Clone, Copy, Debug)]
pub struct Torture {
    /// Section of RFC 4475, and what is odd.
    pub section: &'static str,
    /// What should come of it over UDP.
    pub fate: Fate,
    first: &'static str,
    rest: &'static str,
}

/// Who sends it, and to whom.
#[derive(Clone, Debug)]
pub struct Ends<'a> {
    /// The host of the Request-URI.
    pub domain: &'a str,
    /// The sender's address.
    pub own: &'a str,
    /// `UDP` or `TCP`.
    pub transport: &'a str,
    /// More header lines, each with its line end.
    pub more: &'a str,
}

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 49217 RTP/AVP 0\r\n";

impl Torture {
    /// Its bytes. `id` makes it a message of its own, and is its Call-ID where it has one.
    #[must_use]
    pub fn bytes(&self, ends: &Ends<'_>, id: &str) -> Vec<u8> {
        let method = self.first.split(' ').next().unwrap_or_default();
        let mut text = format!("{}\r\n", self.first);
        let mut body = "";
        for line in self.rest.split('\n') {
            let _ = match line {
                "VIA" => write!(text, "Via: SIP/2.0/{{transport}} {{own}};branch=z9hG4bK{{id}};rport\r\n"),
                "TO" => write!(text, "To: <sip:15550100@{{domain}}>\r\n"),
                "FROM" => write!(text, "From: <sip:t@{{own}}>;tag={{id}}\r\n"),
                "ID" => write!(text, "Call-ID: {{id}}\r\n"),
                "CSEQ" => write!(text, "CSeq: 8 {method}\r\n"),
                "HOPS" => write!(text, "Max-Forwards: 70\r\n"),
                "CONTACT" => write!(text, "Contact: <sip:t@{{own}}>\r\n"),
                "EMPTY" => write!(text, "Content-Length: 0\r\n"),
                "SDP" => {
                    body = SDP;
                    write!(text, "Content-Type: application/sdp\r\nContent-Length: {}\r\n", SDP.len())
                }
                line => write!(text, "{line}\r\n"),
            };
        }
        let text = format!("{text}{}\r\n{body}", ends.more);
        let text = text.replace("{long}", &"long".repeat(60)).replace("{transport}", ends.transport);
        let text = text.replace("{domain}", ends.domain).replace("{own}", ends.own).replace("{id}", id);
        // What no Rust text can hold: bytes that are no UTF-8.
        let mut bytes = text.into_bytes();
        bytes.iter_mut().filter(|byte| **byte == NO_UTF8).for_each(|byte| *byte = 0xff);
        bytes
    }
}

/// Stands for a byte that is in no UTF-8.
const NO_UTF8: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_section_has_its_message() {
        let sections = |count: [u32; 5]| -> BTreeSet<String> {
            let all = ["3.1.1.", "3.1.2.", "3.2.", "3.3.", "3.4."].into_iter().zip(count);
            all.flat_map(|(of, count)| (1..=count).map(move |number| format!("{of}{number}"))).collect()
        };
        let names = messages::ALL.iter().filter_map(|message| message.section.split(' ').next());
        assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), sections([13, 19, 1, 15, 1]));
    }

    #[test]
    fn nothing_stands_for_something_in_the_end() {
        let ends = Ends { domain: "a.example", own: "192.0.2.1:5", transport: "UDP", more: "" };
        for message in messages::ALL {
            let bytes = message.bytes(&ends, "mark");
            let text = String::from_utf8_lossy(&bytes);
            let left = ["{own}", "{id}", "{domain}", "{long}", "{transport}"];
            assert!(left.iter().all(|left| !text.contains(left)), "{text}");
            assert!(text.contains("mark"), "{text}");
        }
    }
}
