//! The crate as its users see it: publisher, module handle and event consumer over one directory.
//!
//! One binary, so that a suite run links once. Nothing here may reach into the layout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod events;
mod explain;
mod folding;
mod gateways;
mod identity;
mod images;
mod in_hand;
mod limits;
mod overlay;
mod prefixes;
mod recount;
mod side;
mod support;
mod world;
