//! The decision: may this call pass? A function of the table, the live words, the attempt and the time, and nothing else.
//!
//! Two halves around the digest check, which belongs to Kamailio: [`identify`] says whose call it is and what it must
//! prove, [`admit`] spends. Nothing is spent on a call that has not proved what it must. Must never wait, allocate, log
//! or know SIP beyond a host, a user part and an address.

mod identify;
mod spend;
pub(crate) mod trace;

use std::net::IpAddr;

use crate::image::{AccountView, Host, TrunkRef};
use crate::live::{CallKey, SlotRef};
use crate::reason::Reason;
pub(crate) use identify::{find, identify};
pub(crate) use spend::{admit, weigh};

/// What the decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Host of the Request-URI.
    pub host: &'a Host,
    /// User part of the Request-URI.
    pub user: &'a [u8],
    /// Where the request came from.
    pub source: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The call's key.
    pub call: CallKey,
}

/// What the caller has proved by digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It brought no credentials, or outdated ones.
    None,
    /// They were right.
    Verified,
    /// They were wrong.
    Failed,
}

/// Whose call it is: for as long as the table stays that it was found in, so until the next [`crate::instance::Instance::refresh`].
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// The trunk's record.
    pub trunk: TrunkRef,
    pub(crate) in_overlay: bool,
    pub(crate) account: Option<(AccountView, bool)>,
    /// Whether a password must be proved.
    pub needs_password: bool,
}

/// A call that is not let in as far as the limits: why, and its trunk, once it was found.
#[derive(Clone, Copy, Debug)]
pub struct Barred {
    /// Why.
    pub reason: Reason,
    /// Whose call it would have been.
    pub identity: Option<Identity>,
}

/// A refused call: why, and the numbers behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The limit: calls for a count, burst for a rate.
    pub limit: u32,
    /// What was counted against it.
    pub count: u32,
    /// How long until a call would pass, in milliseconds rounded up; 0 when unknown, `u64::MAX` when never.
    pub wait_ms: u64,
}

/// A refusal that no number stands behind.
impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal { reason, limit: 0, count: 0, wait_ms: 0 }
    }
}

/// An admitted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Its slot.
    pub slot: SlotRef,
    /// Its id, a version 7 UUID.
    pub uid: [u8; 16],
}

/// The decision.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// It may pass; its slot is taken.
    Admitted(Admission),
    /// The same INVITE was admitted before: the same slot, nothing taken again.
    Again(Admission),
    /// The same INVITE is being judged by another worker now.
    InFlight,
    /// A password is needed.
    Challenge,
    /// It may not.
    Refused(Refusal),
}
