//! The crate as its users see it: publisher, module handle and event consumer over one directory.
//!
//! One binary, so that a suite run links once. Nothing here may reach into the layout.

mod calls;
mod identity;
mod images;
mod limits;
mod support;
