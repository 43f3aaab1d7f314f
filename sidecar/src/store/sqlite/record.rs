//! What a write leaves of itself: a line for people and a row of the audit log for each object that it changed.
//!
//! Must never write down a secret: what is said of an object is `domain::audit`'s business.

use rusqlite::params;

use super::commit::Work;
use crate::difference::{Line, Verb};
use crate::domain::audit::Fields;
use crate::store::StoreError;

/// An object's row of the audit log.
pub(super) struct Entry<'a> {
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    pub(super) account: Option<&'a str>,
}

impl Work<'_> {
    pub(super) fn added(
        &mut self,
        entry: Entry<'_>,
        after: Fields,
        live: Option<u32>,
    ) -> Result<(), StoreError> {
        self.audit("create", &entry, None, Some(after))?;
        self.line(Verb::Added, &entry, Vec::new(), live);
        Ok(())
    }

    /// What changed nothing leaves no trace but its revision.
    pub(super) fn changed(
        &mut self,
        entry: Entry<'_>,
        fields: Vec<&'static str>,
        (before, after): (Fields, Fields),
        live: Option<u32>,
    ) -> Result<(), StoreError> {
        if fields.is_empty() {
            return Ok(());
        }
        self.audit("update", &entry, Some(before), Some(after))?;
        self.line(Verb::Changed, &entry, fields, live);
        Ok(())
    }

    pub(super) fn removed(
        &mut self,
        entry: Entry<'_>,
        before: Fields,
        live: Option<u32>,
    ) -> Result<(), StoreError> {
        self.audit("delete", &entry, Some(before), None)?;
        self.line(Verb::Removed, &entry, Vec::new(), live);
        Ok(())
    }

    fn line(&mut self, verb: Verb, entry: &Entry<'_>, fields: Vec<&'static str>, live: Option<u32>) {
        self.done.lines.push(Line { verb, kind: entry.kind, id: entry.id.to_owned(), fields, live });
    }

    fn audit(
        &self,
        action: &str,
        entry: &Entry<'_>,
        before: Option<Fields>,
        after: Option<Fields>,
    ) -> Result<(), StoreError> {
        let text =
            |fields: Option<Fields>| fields.map(|fields| serde_json::Value::Object(fields).to_string());
        let Entry { kind, id, account } = entry;
        self.db
            .prepare_cached(
                "INSERT INTO audit_log (revision, action, kind, object_id, account_id, before, after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.terms.stamp.revision,
                action,
                kind,
                id,
                account,
                text(before),
                text(after)
            ])?;
        Ok(())
    }
}
