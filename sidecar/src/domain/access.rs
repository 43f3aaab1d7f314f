//! Who asks and what is remembered of it: tokens, the audit log, answers that may be asked for twice.
//!
//! Must never hold a token itself, only its hash; nothing here prints one.

use std::fmt;

use uuid::Uuid;

use super::{ManagedBy, Millis, Stamp};

/// What a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    Admin,
    /// What belongs to this account.
    Account(String),
}

impl Scope {
    /// The one account it is for, if it is for one only.
    pub fn account(&self) -> Option<&str> {
        match self {
            Scope::Admin => None,
            Scope::Account(id) => Some(id),
        }
    }
}

/// An API token as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Version 7 UUID.
    pub id: Uuid,
    /// The part of the token that finds it; unique, no secret by itself.
    pub prefix: String,
    /// Argon2id over the whole token, in PHC form.
    pub hash: String,
    /// What it may do.
    pub scope: Scope,
    /// For people.
    pub description: String,
    /// When it was used last, as [`crate::store::Store::touch_tokens`] was told; a write does not set it.
    pub last_used_ms: Option<Millis>,
    /// Set by the store.
    pub stamp: Stamp,
}

impl fmt::Debug for Token {
    /// The hash is for the store and the verifier alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// On whose behalf something is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The provisioned files.
    Files,
    /// Who holds this token.
    Token(Uuid),
    /// trunkd itself, such as for its first token.
    Daemon,
}

impl Actor {
    /// What this actor may change.
    pub fn manages(self) -> ManagedBy {
        match self {
            Actor::Files => ManagedBy::File,
            Actor::Token(_) | Actor::Daemon => ManagedBy::Api,
        }
    }
}

impl fmt::Display for Actor {
    /// `files`, `trunkd`, or the token's id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Files => f.write_str("files"),
            Actor::Token(id) => id.fmt(f),
            Actor::Daemon => f.write_str("trunkd"),
        }
    }
}

/// One object's part in one revision: who changed what, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Grows with time.
    pub id: i64,
    /// The revision it belongs to.
    pub revision: i64,
    /// When.
    pub at_ms: Millis,
    /// Who: [`Actor`] as text.
    pub actor: String,
    /// The request's id, or the reload's.
    pub request_id: String,
    /// `create`, `update` or `delete`.
    pub action: String,
    /// `node`, `account`, `trunk`, `application` or `token`.
    pub kind: String,
    /// Which one.
    pub object: String,
    /// The account it belongs or belonged to.
    pub account: Option<String>,
    /// The fields that changed, as they were; all of a deleted object. Secrets are never in it.
    pub before: Option<serde_json::Value>,
    /// The fields that changed, as they are; all of a new object. Secrets are never in it.
    pub after: Option<serde_json::Value>,
}

/// The answer to a write, kept so that the same request gets it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// Who asked: keys of one token mean nothing to another.
    pub owner: Uuid,
    /// What the client called the request.
    pub key: String,
    /// Tells a repeated request from another one under the same key.
    pub fingerprint: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// The answer as whoever wrote it can read it back. Must hold no secret: that was shown once.
    pub answer: String,
    /// After this it is forgotten.
    pub expires_ms: Millis,
}
