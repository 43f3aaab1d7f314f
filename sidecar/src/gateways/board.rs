//! What is known of each name that was looked up, for whoever shows gateways.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Target;

/// How a name stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The last look-up said where it leads.
    Current,
    /// The last look-up said nothing; what was known before, if anything, stays in use. Why.
    Failing(String),
}

/// The names that were looked up since the start.
#[derive(Debug, Default)]
pub struct Board(Mutex<HashMap<Target, Standing>>);

impl Board {
    /// How a name stands; `None` before its first look-up has ended.
    pub fn standing(&self, target: &Target) -> Option<Standing> {
        self.lock().get(target).cloned()
    }

    /// Notes how it stands, and answers how it stood.
    pub(super) fn note(&self, target: &Target, standing: Standing) -> Option<Standing> {
        self.lock().insert(target.clone(), standing)
    }

    /// Forgets all others.
    pub(super) fn keep(&self, mut used: impl FnMut(&Target) -> bool) {
        self.lock().retain(|target, _| used(target));
    }

    /// How many are failing.
    pub(super) fn failing(&self) -> usize {
        self.lock().values().filter(|standing| matches!(standing, Standing::Failing(_))).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Target, Standing>> {
        // Every change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
