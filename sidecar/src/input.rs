//! What comes in from outside, in whatever notation: an untyped tree, a reader that goes on after each mistake, and the
//! rules of single values.
//!
//! The TOML files and the HTTP API share all of it, so a name or an address that one takes the other takes too. Pure:
//! must never touch a file, a socket or the store, and must never repeat a secret in what it reports.

pub(crate) mod json;
pub(crate) mod problem;
pub(crate) mod rules;
pub(crate) mod section;
pub(crate) mod tree;
