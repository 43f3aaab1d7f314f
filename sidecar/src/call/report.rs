//! What the module says happened to a call, in the daemon's words.

use std::net::IpAddr;

use trunk_admission::events::{EndCause, Party};
use trunk_admission::{Kind, Reason};

use super::payload::EventKind;
use crate::domain::Millis;

/// What the module says happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// An attempt was judged.
    Initiated(Box<Initiated>),
    /// It was answered.
    Answered {
        /// Gateway that answered.
        gateway: Option<String>,
        /// Gateways tried.
        attempts: u8,
        /// First ringing.
        ring_ms: Option<Millis>,
    },
    /// It ended.
    Ended(Box<Ended>),
}

impl Report {
    /// The event that it makes.
    pub fn event(&self) -> EventKind {
        match self {
            Report::Initiated(_) => EventKind::Initiated,
            Report::Answered { .. } => EventKind::Answered,
            Report::Ended(_) => EventKind::Hangup,
        }
    }
}

/// An attempt was judged; see [`Call`] for the fields.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Call")]
pub struct Initiated {
    pub account: Option<String>,
    pub kind: Kind,
    pub reason: Option<Reason>,
    pub limit: u32,
    pub count: u32,
    pub wait_ms: Millis,
    pub generation: i64,
    pub source: (IpAddr, u16),
    pub sip_call_id: String,
    pub from: String,
    pub from_host: String,
    pub to: String,
    pub request_uri: String,
}

/// A call ended; see [`Call`] for the fields.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Call")]
pub struct Ended {
    pub sip_code: u16,
    pub q850: Option<u16>,
    pub no_media: bool,
    pub by: Party,
    pub cause: EndCause,
    pub start_ms: Option<Millis>,
    pub ring_ms: Option<Millis>,
    pub answer_ms: Option<Millis>,
    pub end_ms: Millis,
    pub gateway: Option<String>,
    pub attempts: u8,
}
