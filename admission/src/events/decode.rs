//! Events out of words, read with suspicion.
//!
//! What comes from SIP is bytes; it becomes text only here, on the reading side, where anything that is not printable
//! UTF-8 turns into `\xNN` and a backslash into `\\`, so that nothing is lost and everything fits JSON.

use std::net::{IpAddr, Ipv6Addr};

use super::event::*;
use crate::model::Kind;
use crate::reason::Reason;

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

    use super::super::codec::{MAX_LINE, MAX_PART, Sink};
    use super::super::ring::PAYLOAD_WORDS;
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
