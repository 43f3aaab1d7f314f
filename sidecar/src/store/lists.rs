//! Asking a store for some of many: filters, pages, and how many there are in all.
//!
//! What is not on the page is not read: a page of 20 costs the same among 100 trunks and among 100,000.

use trunk_admission::model::Kind;

use crate::call::Call;

use crate::domain::ManagedBy;

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many.
    pub limit: u32,
    /// After so many.
    pub offset: u64,
}

impl Page {
    /// Everything, for tests and small lists.
    pub const ALL: Page = Page { limit: u32::MAX, offset: 0 };
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    /// How many the filter lets through, on every page together.
    pub total: u64,
    /// Those of this page.
    pub objects: Vec<T>,
}

/// Which trunks; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrunkFilter {
    /// Trunks or applications.
    pub kind: Option<Kind>,
    /// Whose.
    pub account: Option<String>,
    /// Managed by whom.
    pub managed_by: Option<ManagedBy>,
}

/// Which entries of the audit log; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Whose objects.
    pub account: Option<String>,
    /// Of which object: its kind and id.
    pub object: Option<(String, String)>,
    /// Of which revision.
    pub revision: Option<i64>,
}

/// What happened just now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// Attempts that were admitted.
    pub admitted: i64,
    /// Attempts that were refused.
    pub refused: i64,
    /// The last refused ones of any time, newest first.
    pub refusals: Vec<Call>,
}
