//! Kamailio's own tables and Kamailio itself, seen from trunkd: what stock modules read, and when they are told to read it.
//!
//! The rows are made of the same values as the image in shared memory, so both say the same. SQL is in `store`; nothing here
//! knows a SIP message. Must never be in the way of a call or of a write: Kamailio may be slow, silent or absent.

pub mod mark;
pub mod preflight;
pub mod rows;
mod weights;
