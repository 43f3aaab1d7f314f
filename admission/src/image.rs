//! Table images: the whole configuration as one immutable file of 64-bit words, made by the daemon, read by everybody.
//!
//! A **base** image holds everything. An **overlay** holds only what changed since its base was made: whole records of
//! changed trunks and accounts, and deletions as entries of their own. A look-up asks the overlay first; whatever it
//! answers, "deleted" included, is final. Readers never write, never wait, and never trust an offset: what is out of
//! range reads as 0 and matches nothing.

mod build;
mod find;
#[cfg(all(test, not(loom), target_endian = "little"))]
mod golden;
mod host;
mod index;
mod keys;
mod layout;
mod placed;
mod prefix;
mod read;
mod records;
mod text;

pub use build::{BuildError, ImageWords, build_base};
pub use host::Host;
pub use read::{Check, Image};
pub use records::{GatewayView, Ha1, SourceMatch, TrunkRef};
pub use text::{Label, Text};

pub(crate) use build::{BaseWords, Changes, Owners, Settings, build_overlay, build_whole, distinct_prefixes};
pub(crate) use find::Found;
pub(crate) use layout::{BLOCK_LINES, VALUE_AMBIGUOUS, VALUE_LIVE};
pub(crate) use prefix::{Address, Prefix};
pub(crate) use records::AccountView;
