//! What a table may say about an account, a trunk or a part of one: names, rules and defaults of every field.
//!
//! Each function changes an object by what the table says and leaves the rest: on a new object that is a creation, on a
//! present one a patch. Files and API read with the same functions, so neither takes what the other refuses. Whoever
//! finds problems reported throws the object away. Must never touch the store.

pub(crate) mod account;
pub(crate) mod application;
pub(crate) mod limits;
pub(crate) mod parts;
pub(crate) mod trunk;
pub(crate) mod webhook;
