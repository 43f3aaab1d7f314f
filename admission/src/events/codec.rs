//! Events as words: fixed numbers first, then strings with their lengths. Written without heap, read with suspicion.
//!
//! What comes from SIP is bytes; it becomes text only here, on the reading side, where anything that is not printable
//! UTF-8 turns into `\xNN` and a backslash into `\\`, so that nothing is lost and everything fits JSON.

use std::net::{IpAddr, Ipv6Addr};

use super::ring::{Filling, PAYLOAD_WORDS};
use crate::model::Kind;
use crate::reason::Reason;

/// Longest string kept of a SIP message, in bytes; the rest is cut.
pub const MAX_EVENT_TEXT: usize = 256;

/// An event on its way out: borrowed, nothing copied.
#[derive(Clone, Copy, Debug)]
pub struct EventOut<'a> {
    /// The call's own id.
    pub call: [u8; 16],
    /// 0 initiated, 1 answered, 2 ended.
    pub wall_ms: u64,
    /// Id of the trunk; empty when none was identified.
    pub trunk: &'a [u8],
    /// What happened.
    pub body: BodyOut<'a>,
}

/// What happened, on its way out.
#[derive(Clone, Copy, Debug)]
pub enum BodyOut<'a> {
    /// The call was judged.
    Initiated(InitiatedOut<'a>),
    /// It was answered.
    Answered(Answered<&'a [u8]>),
    /// It ended.
    Ended(EndedOut<'a>),
}

/// An event as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The call's own id (a version 7 UUID).
    pub call: [u8; 16],
    /// Order within the call: 0 initiated, 1 answered, 2 ended.
    pub call_sequence: u8,
    /// When, in milliseconds since 1970.
    pub wall_ms: u64,
    /// Id of the trunk; empty when none was identified.
    pub trunk: String,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The call was judged: admitted, or refused for a reason.
    Initiated(Initiated<String>),
    /// It was answered.
    Answered(Answered<String>),
    /// It ended.
    Ended(Ended<String>),
}

/// [`Initiated`] on its way out.
pub type InitiatedOut<'a> = Initiated<&'a [u8]>;
/// [`Ended`] on its way out.
pub type EndedOut<'a> = Ended<&'a [u8]>;

/// A judged call. Strings are at most 256 bytes of what the message held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initiated<T> {
    /// Id of the account; empty when there is none.
    pub account: T,
    /// Trunk or application.
    pub kind: Kind,
    /// `None` when it was admitted.
    pub reason: Option<Reason>,
    /// The limit that refused it.
    pub limit: u32,
    /// What was counted against it.
    pub count: u32,
    /// How long until a call would pass; 0 when that is unknown.
    pub wait_ms: u64,
    /// Generation of the table that decided.
    pub generation: u64,
    /// Where the request came from.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// Call-ID header field.
    pub sip_call_id: T,
    /// User part of From.
    pub from_user: T,
    /// Host part of From.
    pub from_host: T,
    /// User part of the Request-URI.
    pub to_user: T,
    /// The Request-URI.
    pub request_uri: T,
}

/// An answered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered<T> {
    /// URI of the gateway that answered.
    pub gateway: T,
    /// Gateways tried, that one included.
    pub attempts: u8,
    /// When it first rang, or 0.
    pub ring_wall_ms: u64,
}

/// A call that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// Final answer to the INVITE; 200 for a call that was up.
    pub sip_code: u16,
    /// Q.850 cause from a Reason header field; 0 when there was none, [`NO_MEDIA`] when the far side said that.
    pub q850: u16,
    /// Who ended it.
    pub by: Party,
    /// How it ended.
    pub cause: EndCause,
    /// When it was admitted, in milliseconds since 1970.
    pub start_wall_ms: u64,
    /// When it first rang, or 0.
    pub ring_wall_ms: u64,
    /// When it was answered, or 0.
    pub answer_wall_ms: u64,
    /// When it ended.
    pub end_wall_ms: u64,
    /// URI of the last gateway tried; empty when none was.
    pub gateway: T,
    /// Gateways tried.
    pub attempts: u8,
}

/// Instead of a Q.850 cause, which end at 127: whoever hung up heard no media any more. Q.850 has no cause for that, and a
/// daemon that does not know this word takes it for an unknown cause.
pub const NO_MEDIA: u16 = 128;

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Party {
    /// Who called.
    Caller = 1,
    /// Who was called, or the gateway to them.
    Callee = 2,
    /// We did.
    Proxy = 3,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EndCause {
    /// BYE after an answer.
    Bye = 1,
    /// CANCEL before one.
    Cancel = 2,
    /// A negative final answer from the far side.
    Rejected = 3,
    /// No final answer in time.
    TimedOut = 4,
    /// No gateway could be chosen, or none took the call.
    NoRoute = 5,
    /// The dialog's time was over, or its keep-alive found it gone.
    Expired = 6,
    /// An operator or the script ended it.
    Terminated = 7,
}

/// A record that is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Its sum does not agree.
    #[error("the record's check sum does not agree")]
    Damaged,
    /// Its producer died, or found no memory, before it was written.
    #[error("the record was lost before it was written")]
    Lost,
    /// A number in it means nothing.
    #[error("the record has an unknown {0}")]
    Unknown(&'static str),
    /// It ends too early.
    #[error("the record is too short")]
    Short,
}

/// Where the words of a record go. What does not fit is left out.
pub(super) trait Sink {
    fn words<const N: usize>(&mut self, words: [u64; N]);

    /// A string: its length in bytes, then its bytes in whole words.
    fn text(&mut self, text: &[u8]);
}

impl Sink for Filling<'_> {
    #[inline]
    fn words<const N: usize>(&mut self, words: [u64; N]) {
        Filling::words(self, words);
    }

    #[inline]
    fn text(&mut self, text: &[u8]) {
        Filling::text(self, text);
    }
}

#[inline]
fn text(out: &mut impl Sink, text: &[u8], most: usize) {
    out.text(&text[..text.len().min(most).min(MAX_EVENT_TEXT)]);
}

/// Longest id (a DNS label) and longest user or host part, in bytes: with Call-ID and Request-URI of 256 each, all
/// fit a cell.
const MAX_ID: usize = 63;
const MAX_PART: usize = 80;
const _: () = assert!(
    cfg!(loom)
        || (12 + 7) * 8 + 2 * 64 + 3 * (MAX_PART + 8) + 2 * (MAX_EVENT_TEXT - 96 + 8) <= PAYLOAD_WORDS * 8
);
const MAX_LINE: usize = MAX_EVENT_TEXT - 96;

impl EventOut<'_> {
    /// Whether it is about a call that was refused: anybody may cause as many of these as packets.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.body, BodyOut::Initiated(initiated) if initiated.reason.is_some())
    }

    /// Whether its call's ending tells the same: such an event is the first to be dropped.
    pub(super) fn can_be_rebuilt(&self) -> bool {
        matches!(self.body, BodyOut::Answered(_))
    }

    /// The event as words; never fails, long strings are cut.
    #[inline]
    pub(super) fn encode(&self, out: &mut impl Sink) {
        let sequence = match self.body {
            BodyOut::Initiated(_) => 0,
            BodyOut::Answered(_) => 1,
            BodyOut::Ended(_) => 2,
        };
        let [high, low] = crate::live::uid_words(self.call);
        out.words([sequence, high, low, self.wall_ms]);
        text(out, self.trunk, MAX_ID);
        match &self.body {
            BodyOut::Initiated(initiated) => encode_initiated(out, initiated),
            BodyOut::Answered(answered) => {
                out.words([u64::from(answered.attempts), answered.ring_wall_ms]);
                text(out, answered.gateway, MAX_EVENT_TEXT);
            }
            BodyOut::Ended(ended) => {
                let codes = u64::from(ended.sip_code) << 32 | u64::from(ended.q850) << 16;
                out.words([
                    codes | (ended.by as u64) << 8 | ended.cause as u64,
                    ended.start_wall_ms,
                    ended.ring_wall_ms,
                    ended.answer_wall_ms,
                    ended.end_wall_ms,
                    u64::from(ended.attempts),
                ]);
                text(out, ended.gateway, MAX_EVENT_TEXT);
            }
        }
    }
}

#[inline]
fn encode_initiated(out: &mut impl Sink, initiated: &InitiatedOut<'_>) {
    let reason = initiated.reason.map_or(0, |reason| reason as u64);
    let kind = u64::from(initiated.kind == Kind::Application);
    let source = match initiated.source {
        // As RFC 4291 section 2.5.5.2 maps it.
        IpAddr::V4(v4) => 0xffff << 32 | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    out.words([
        u64::from(initiated.source_port) << 16 | kind << 8 | reason,
        u64::from(initiated.limit) << 32 | u64::from(initiated.count),
        initiated.wait_ms,
        initiated.generation,
        (source >> 64) as u64,
        source as u64,
    ]);
    text(out, initiated.account, MAX_ID);
    text(out, initiated.sip_call_id, MAX_LINE);
    text(out, initiated.from_user, MAX_PART);
    text(out, initiated.from_host, MAX_PART);
    text(out, initiated.to_user, MAX_PART);
    text(out, initiated.request_uri, MAX_LINE);
}

struct Decoder<'a>(&'a [u64]);

impl Decoder<'_> {
    fn word(&mut self) -> Result<u64, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        let length = usize::try_from(self.word()?).unwrap_or(usize::MAX);
        if length > MAX_EVENT_TEXT {
            return Err(DecodeError::Unknown("string length"));
        }
        let (words, rest) = self.0.split_at_checked(length.div_ceil(8)).ok_or(DecodeError::Short)?;
        self.0 = rest;
        let mut bytes = vec![0; words.len() * 8];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes.truncate(length);
        Ok(printable(bytes))
    }
}

/// Bytes as text that loses nothing: what is not printable UTF-8 as `\xNN`, a backslash as `\\`.
fn printable(bytes: Vec<u8>) -> String {
    // To the end, whatever is found: many bytes at a time are sooner through than one after the other.
    let are_plain = |bytes: &[u8]| {
        bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (*byte != b'\\'))
    };
    let bytes = match String::from_utf8(bytes) {
        // As nearly every string is: it is its own text.
        Ok(text) if are_plain(text.as_bytes()) => return text,
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    let escape = |text: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    };
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                character if character.is_control() => {
                    escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                character => text.push(character),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

impl Event {
    /// Reads an event from words that anything may have written.
    pub(super) fn decode(words: &[u64]) -> Result<Event, DecodeError> {
        let mut from = Decoder(words);
        let sequence = from.word()?;
        let call = crate::live::uid_bytes([from.word()?, from.word()?]);
        let wall_ms = from.word()?;
        let trunk = from.text()?;
        let body = match sequence {
            0 => Body::Initiated(decode_initiated(&mut from)?),
            1 => {
                let attempts = from.word()? as u8;
                Body::Answered(Answered { attempts, ring_wall_ms: from.word()?, gateway: from.text()? })
            }
            2 => Body::Ended(decode_ended(&mut from)?),
            _ => return Err(DecodeError::Unknown("event")),
        };
        Ok(Event { call, call_sequence: sequence as u8, wall_ms, trunk, body })
    }
}

fn decode_initiated(from: &mut Decoder<'_>) -> Result<Initiated<String>, DecodeError> {
    let codes = from.word()?;
    let reason = match codes as u8 {
        0 => None,
        code => Some(Reason::from_code(code).ok_or(DecodeError::Unknown("reason"))?),
    };
    let kind = if codes >> 8 & 1 == 1 { Kind::Application } else { Kind::Trunk };
    let numbers = from.word()?;
    let (wait_ms, generation) = (from.word()?, from.word()?);
    let source = u128::from(from.word()?) << 64 | u128::from(from.word()?);
    Ok(Initiated {
        kind,
        reason,
        limit: (numbers >> 32) as u32,
        count: numbers as u32,
        wait_ms,
        generation,
        source: IpAddr::V6(Ipv6Addr::from_bits(source)).to_canonical(),
        source_port: (codes >> 16) as u16,
        account: from.text()?,
        sip_call_id: from.text()?,
        from_user: from.text()?,
        from_host: from.text()?,
        to_user: from.text()?,
        request_uri: from.text()?,
    })
}

fn decode_ended(from: &mut Decoder<'_>) -> Result<Ended<String>, DecodeError> {
    let codes = from.word()?;
    let by = match (codes >> 8) as u8 {
        1 => Party::Caller,
        2 => Party::Callee,
        3 => Party::Proxy,
        _ => return Err(DecodeError::Unknown("party")),
    };
    let cause = match codes as u8 {
        1 => EndCause::Bye,
        2 => EndCause::Cancel,
        3 => EndCause::Rejected,
        4 => EndCause::TimedOut,
        5 => EndCause::NoRoute,
        6 => EndCause::Expired,
        7 => EndCause::Terminated,
        _ => return Err(DecodeError::Unknown("cause")),
    };
    Ok(Ended {
        sip_code: (codes >> 32) as u16,
        q850: (codes >> 16) as u16,
        by,
        cause,
        start_wall_ms: from.word()?,
        ring_wall_ms: from.word()?,
        answer_wall_ms: from.word()?,
        end_wall_ms: from.word()?,
        attempts: from.word()? as u8,
        gateway: from.text()?,
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Sink for Vec<u64> {
        fn words<const N: usize>(&mut self, words: [u64; N]) {
            self.extend(words);
        }

        fn text(&mut self, text: &[u8]) {
            self.push(text.len() as u64);
            self.extend(text.chunks(8).map(crate::bytes::word_of));
        }
    }

    fn words_of(event: &EventOut<'_>) -> Vec<u64> {
        let mut words = Vec::new();
        event.encode(&mut words);
        assert!(words.len() <= PAYLOAD_WORDS);
        words
    }

    #[test]
    fn nothing_of_a_sip_string_is_lost_and_everything_is_printable() {
        assert_eq!(printable(b"alice".into()), "alice");
        assert_eq!(printable("J\u{fc}rgen".into()), "J\u{fc}rgen");
        assert_eq!(printable(b"a\\b\r\n\0\xff\xc3".into()), "a\\\\b\\x0d\\x0a\\x00\\xff\\xc3");
    }

    #[test]
    fn events_come_out_as_they_went_in() {
        let long = vec![b'x'; 1000];
        let initiated = Initiated {
            account: &b"acct"[..],
            kind: Kind::Application,
            reason: Some(Reason::CpsExceeded),
            limit: 2,
            count: 3,
            wait_ms: 499,
            generation: 7,
            source: "203.0.113.9".parse().unwrap(),
            source_port: 5071,
            sip_call_id: &long,
            from_user: &long,
            from_host: &long,
            to_user: &long,
            request_uri: &long,
        };
        let out = EventOut { call: [9; 16], wall_ms: 5, trunk: b"acme", body: BodyOut::Initiated(initiated) };
        let event = Event::decode(&words_of(&out)).unwrap();
        assert_eq!((event.call, event.call_sequence, event.trunk.as_str()), ([9; 16], 0, "acme"));
        let Body::Initiated(got) = event.body else { panic!("{event:?}") };
        assert_eq!(
            (got.reason, got.limit, got.count, got.wait_ms, got.generation, got.source_port, got.kind),
            (Some(Reason::CpsExceeded), 2, 3, 499, 7, 5071, Kind::Application)
        );
        assert_eq!(got.source, initiated.source);
        assert_eq!((got.request_uri.len(), got.to_user.len()), (MAX_LINE, MAX_PART));

        let ended = Ended {
            sip_code: 486,
            q850: 17,
            by: Party::Callee,
            cause: EndCause::Rejected,
            start_wall_ms: 1,
            ring_wall_ms: 2,
            answer_wall_ms: 0,
            end_wall_ms: 3,
            gateway: &b"sip:192.0.2.1"[..],
            attempts: 2,
        };
        let out = EventOut { call: [1; 16], wall_ms: 3, trunk: b"acme", body: BodyOut::Ended(ended) };
        let Body::Ended(got) = Event::decode(&words_of(&out)).unwrap().body else { panic!() };
        assert_eq!((got.sip_code, got.q850, got.by, got.cause), (486, 17, Party::Callee, EndCause::Rejected));
        assert_eq!((got.gateway.as_str(), got.attempts, got.end_wall_ms), ("sip:192.0.2.1", 2, 3));
    }

    proptest! {
        #[test]
        fn any_words_decode_to_an_event_or_an_error(words in prop::collection::vec(any::<u64>(), 0..126)) {
            let _ = Event::decode(&words);
        }

        #[test]
        fn small_words_decode_to_an_event_or_an_error(words in prop::collection::vec(0u64..10, 0..126)) {
            let _ = Event::decode(&words);
        }
    }
}
