//! What an event says: borrowed on its way out of the module, owned where the daemon reads it.

use std::net::IpAddr;

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
