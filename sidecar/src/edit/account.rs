//! An account's own fields.

use super::limits;
use crate::domain::{Account, Limits};
use crate::input::rules;
use crate::input::section::Section;

/// What a table says about an account. A limit that it does not name is none.
pub(crate) fn account(section: &Section<'_>, account: &mut Account) {
    if let Some(name) = section.parsed("name", rules::text) {
        account.name = name;
    }
    if let Some(enabled) = section.boolean("enabled") {
        account.enabled = enabled;
    }
    limits::limits(section, limits::KEYS, &mut account.limits, Limits::default());
}
