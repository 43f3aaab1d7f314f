//! The steps of a decision, for whoever wants to see them: the module does not, `explain` does.
//!
//! The decision says each step as it takes it, so what is explained is what was decided. Nobody listening costs nothing.

use std::cell::RefCell;

use crate::model::AuthMode;
use crate::rate::Rate;

/// Hears the steps.
pub(crate) trait Trace {
    /// One step; `step` is called only if somebody listens.
    fn step(&self, step: impl FnOnce() -> Step);
}

/// Nobody listens.
impl Trace for () {
    #[inline(always)]
    fn step(&self, _: impl FnOnce() -> Step) {}
}

impl Trace for RefCell<Vec<Step>> {
    fn step(&self, step: impl FnOnce() -> Step) {
        self.borrow_mut().push(step());
    }
}

/// How a trunk was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The Request-URI's host is its domain.
    Domain,
    /// The Request-URI's host is the inbound host, its user part the application's.
    InboundUser,
    /// The Request-URI's host is the bare base domain, and it alone lists the caller's address.
    Source,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelName {
    /// The trunk's own.
    Trunk,
    /// Its account's.
    Account,
    /// The node's.
    Node,
}

/// One step of a decision, in the order in which they are taken. The last one told is the one that decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Whose call it is; `None` for nobody's.
    Identified(Option<By>),
    /// Whether trunk and account are switched on; `account` is true for a trunk without one.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Enabled { trunk: bool, account: bool },
    /// Whether the trunk may be used in the node's region.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Region { allowed: bool },
    /// Whether the trunk asks for TLS, and whether the call came over it.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Transport { tls_required: bool, tls: bool },
    /// What a caller must prove, and whether the trunk has any address and any credential to prove it with.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Configured { mode: AuthMode, addresses: bool, credentials: bool },
    /// Whether the trunk lists the caller's address.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Source { listed: bool },
    /// Whether a password must be proved.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Password { needed: bool },
    /// Whether the trunk has the digest user that was named.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Credential { known: bool },
    /// A rate limit: calls in its bucket now, and how long until one more conforms, if it does not.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Rate { level: LevelName, rate: Rate, count: u32, wait_ns: Option<u64> },
    /// A limit of calls at the same time, if there is one, and how many there are.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Calls { level: LevelName, limit: Option<u32>, count: u32 },
    /// Slots of the node, and how many are in use.
    #[expect(missing_docs, reason = "the names are the meaning")]
    Slots { limit: u32, count: u32 },
}
