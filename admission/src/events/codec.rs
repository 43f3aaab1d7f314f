//! Events as words: fixed numbers first, then strings with their lengths. Written without heap; read by [`super::decode`].
//! What comes from SIP stays bytes here. Must never fail: what does not fit is cut.

use std::net::IpAddr;

use super::event::*;
use super::ring::{Filling, PAYLOAD_WORDS};
use crate::model::Kind;

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
pub(super) const MAX_PART: usize = 80;
const _: () = assert!(
    cfg!(loom)
        || (12 + 7) * 8 + 2 * 64 + 3 * (MAX_PART + 8) + 2 * (MAX_EVENT_TEXT - 96 + 8) <= PAYLOAD_WORDS * 8
);
pub(super) const MAX_LINE: usize = MAX_EVENT_TEXT - 96;

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
