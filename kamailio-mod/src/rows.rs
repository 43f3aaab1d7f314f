//! The rows of dialogs that are over: handed to Kamailio's timer process, which alone then writes the database of dialogs.
//!
//! By itself dialog writes new calls there from its timer process, and deletes a row in the very worker that handled the BYE. SQLite
//! takes one writer at a time and Kamailio's driver waits for none: deletes get lost, and the calls come back at the next start.
//! Here a dialog that goes is marked as never written, so that dialog deletes nothing (`remove_dialog_from_db`, dlg_db_handler.c), and its
//! number is left in shared memory. Once a second the timer process deletes those rows and ends the transaction in which dialog has
//! written since: the file is locked from that process's first row of a second to its last, and no worker ever waits for it.
//!
//! It must never run a statement anywhere else, and never lose a number while Kamailio lives: without room, dialog deletes the row as it
//! always did, if it finds the file unlocked in that moment. What is left when Kamailio dies, `Instance::has_ended` knows at the next start.

use core::fmt::Write as _;
use core::sync::atomic::AtomicU64;

use trunk_admission::handover::Handover;

use crate::dialog_db::{DialogDb, Place, Table};
use crate::log::{self, Kind, Level};
use crate::process::{self, Process};
use crate::{shared, sys};

/// Numbers that may wait for the next second.
const WAITING: usize = 32_768;
/// Rows that are deleted by one statement.
const AT_ONCE: usize = 256;

static UNWRITTEN: Kind = Kind::new();

/// Of one process; the words are shared by all.
pub(crate) struct Rows {
    place: Place,
    words: &'static [AtomicU64],
    /// In the timer process alone, from its first second on.
    connection: Option<Connection>,
}

struct Connection {
    db: DialogDb,
    /// Whether a transaction is open.
    begun: bool,
    /// What still has to be deleted.
    over: Vec<u64>,
    /// What has been, in a transaction that may yet fail.
    deleted: Vec<u64>,
}

impl Rows {
    /// Memory for the numbers; `None` when dialog keeps its calls in no file of this kind. Before the fork.
    pub(crate) fn find() -> Result<Option<Rows>, String> {
        let Some(place) = Place::find() else { return Ok(None) };
        let words = shared::words(WAITING + 1, "the dialogs that are over")?;
        Ok(Some(Rows { place, words, connection: None }))
    }

    fn handover(&self) -> Option<Handover<'static>> {
        let (hint, words) = self.words.split_first()?;
        Some(Handover::new(words, hint))
    }

    /// What the timer process does each second.
    fn write(&mut self) {
        let Some(handover) = self.handover() else { return };
        if self.connection.is_none() {
            match DialogDb::open(&self.place) {
                Ok(db) => {
                    let (over, deleted) = (Vec::new(), Vec::new());
                    self.connection = Some(Connection { db, begun: false, over, deleted });
                }
                Err(problem) => {
                    let text = format_args!("the database of dialogs: {problem}; tried again each second");
                    log::line(Level::Error, &UNWRITTEN, text);
                }
            }
        }
        let Some(connection) = &mut self.connection else { return };
        // What could not be deleted so far goes first; meanwhile the words fill up, and then dialog deletes rows again.
        if connection.over.len() < WAITING {
            handover.take(|number| connection.over.push(number));
        }
        connection.delete(&self.place);
        connection.commit();
    }
}

impl Connection {
    fn delete(&mut self, place: &Place) {
        while !self.over.is_empty() {
            let rest = self.over.len().saturating_sub(AT_ONCE);
            let some = &self.over[rest..];
            if !place.tables.iter().all(|table| self.db.run(&deleting(table, some))) {
                let waiting = self.over.len();
                let text =
                    format_args!("{waiting} dialogs that are over are still in the database of dialogs");
                log::line(Level::Error, &UNWRITTEN, text);
                return;
            }
            let some = self.over.split_off(rest);
            if self.begun {
                self.deleted.extend(some);
            }
        }
    }

    /// Ends the transaction and begins the next, which takes no lock until something is written.
    fn commit(&mut self) {
        let ended = !self.begun || self.db.run("COMMIT");
        if ended {
            self.deleted.clear();
        }
        self.begun = self.db.run("BEGIN");
        if ended {
            return;
        }
        if !self.begun {
            // It was not the transaction that failed, only its end: it goes on.
            self.begun = true;
            return;
        }
        self.over.append(&mut self.deleted);
        let text =
            "what was written of the dialogs in the last second is lost: a restart will not know those calls";
        log::line(Level::Error, &UNWRITTEN, format_args!("{text}"));
    }
}

/// Deletes the rows of these dialogs.
fn deleting(table: &Table, dialogs: &[u64]) -> String {
    let Table { name, entry, id } = table;
    let mut text = format!("DELETE FROM {name} WHERE ({entry}, {id}) IN (VALUES ");
    for (place, dialog) in dialogs.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        // Never fails: it writes to memory.
        let _ = write!(text, "{comma}({}, {})", dialog >> 32, dialog & u64::from(u32::MAX));
    }
    text.push(')');
    text
}

/// `DESTROY`: leaves the dialog's row to the timer process.
pub(crate) fn leave(process: &Process, dialog: *mut sys::dlg_cell) {
    let Some(handover) = process.rows.as_ref().and_then(Rows::handover) else { return };
    // SAFETY: dialog hands over a cell that it is about to free, under its lock: nobody else has it.
    let Some(cell) = (unsafe { dialog.as_mut() }) else { return };
    let unwritten = sys::DLG_FLAG_NEW;
    if cell.dflags & unwritten == 0 && handover.put(number(cell)) {
        cell.dflags |= unwritten;
    }
}

/// Leaves the row of a dialog that was loaded, and that nobody needs to load again, to the timer process. The dialog stays; it is not written anew,
/// for it is neither new nor does a change of it find a row.
pub(crate) fn forget(process: &Process, cell: &sys::dlg_cell) {
    if let Some(handover) = process.rows.as_ref().and_then(Rows::handover) {
        // Without room the row goes with its dialog.
        let _ = handover.put(number(cell));
    }
}

fn number(cell: &sys::dlg_cell) -> u64 {
    u64::from(cell.h_entry) << 32 | u64::from(cell.h_id)
}

/// Once a second, in Kamailio's timer process, where dialog writes too.
pub(crate) fn every_second() {
    process::with(|process| process.rows.as_mut().map(Rows::write));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_names_every_dialog() {
        let table = Table { name: "dialog", entry: "hash_entry", id: "hash_id" };
        let dialogs = [1 << 32 | 2, u64::from(u32::MAX) << 32 | 7];
        assert_eq!(
            deleting(&table, &dialogs),
            "DELETE FROM dialog WHERE (hash_entry, hash_id) IN (VALUES (1, 2), (4294967295, 7))"
        );
    }
}
