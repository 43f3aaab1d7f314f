//! The database in which dialog keeps the calls that are up, for the one process that writes it.
//!
//! It goes through Kamailio's own driver, whose connection it shares with dialog in that process. It must never open the file by itself: two
//! copies of SQLite in one process take each other's locks away.

use core::ffi::{CStr, c_int};
use core::mem::{MaybeUninit, transmute};
use core::ptr::{self, NonNull};

use crate::bind::{dialog_parameter, dialog_text};
use crate::kstr::KStr;
use crate::sys;

/// `DB_MODE_DELAYED` (modules/dialog/dlg_db_handler.h): a timer process writes, once in a while.
const DELAYED: c_int = 2;
/// What an address of a SQLite file begins with; its driver is the one that gives up when another process writes.
const SQLITE: &[u8] = b"sqlite:";

/// A table of dialog's and the two columns that name a dialog in it.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) entry: &'static str,
    pub(crate) id: &'static str,
}

/// Where dialog keeps its calls.
pub(crate) struct Place {
    url: &'static [u8],
    /// Its tables.
    pub(crate) tables: [Table; 2],
}

impl Place {
    /// What dialog was told, if it is a SQLite file that a timer process writes.
    pub(crate) fn find() -> Option<Place> {
        let url = dialog_text(c"db_url").filter(|url| url.starts_with(SQLITE))?;
        (dialog_parameter(c"db_mode") == Some(DELAYED)).then_some(())?;
        let name = |parameter: &CStr| {
            let name = core::str::from_utf8(dialog_text(parameter)?).ok()?;
            let plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_';
            (!name.is_empty() && name.bytes().all(plain)).then_some(name)
        };
        let dialogs =
            Table { name: name(c"table_name")?, entry: name(c"h_entry_column")?, id: name(c"h_id_column")? };
        let variables = Table {
            name: name(c"vars_table_name")?,
            entry: name(c"vars_h_entry_column")?,
            id: name(c"vars_h_id_column")?,
        };
        Some(Place { url, tables: [dialogs, variables] })
    }
}

/// An open connection, for as long as the process lives.
pub(crate) struct DialogDb {
    run: unsafe extern "C" fn(*const sys::db1_con_t, *const sys::str_, *mut *mut sys::db1_res_t) -> c_int,
    free: unsafe extern "C" fn(*mut sys::db1_con_t, *mut sys::db1_res_t) -> c_int,
    connection: NonNull<sys::db1_con_t>,
}

impl DialogDb {
    /// Opens it; the error is the line to print.
    pub(crate) fn open(place: &Place) -> Result<DialogDb, &'static str> {
        // SAFETY: looks the names up in the list of loaded modules and does not keep them.
        let found = unsafe {
            sys::find_mod_export(c"db_sqlite".as_ptr().cast_mut(), c"db_bind_api".as_ptr().cast_mut(), 0, 0)
        };
        let found = found.ok_or("db_sqlite.so hands out no functions")?;
        // SAFETY: exported as a script function, but by contract of that name one that fills in a table of functions: the
        // same cast that lib/srdb1/db.c makes.
        let bind: unsafe extern "C" fn(*mut sys::db_func) -> c_int = unsafe { transmute(found) };
        let mut table = MaybeUninit::<sys::db_func>::zeroed();
        // SAFETY: it writes one table of this type; tests/layout.rs holds its size.
        if unsafe { bind(table.as_mut_ptr()) } < 0 {
            return Err("db_sqlite.so fills in no functions");
        }
        // SAFETY: function pointers and one number (lib/srdb1/db.h): zeroed bytes are valid, and it only stored valid ones.
        let table = unsafe { table.assume_init() };
        let (Some(init), Some(run), Some(free)) = (table.init, table.raw_query, table.free_result) else {
            return Err("db_sqlite.so lacks a function");
        };
        let url = KStr::from_bytes(place.url).as_sys();
        // SAFETY: the driver's own function; copies the text.
        let connection = NonNull::new(unsafe { init(&raw const url) }).ok_or("it cannot be opened")?;
        Ok(DialogDb { run, free, connection })
    }

    /// Runs one statement that answers no rows. `false` when it could not be done; the driver has logged why.
    pub(crate) fn run(&self, statement: &str) -> bool {
        let text = KStr::from_bytes(statement.as_bytes()).as_sys();
        let mut rows = ptr::null_mut();
        // SAFETY: the driver's own function, with a connection that it made in this process and that is never closed.
        let done = unsafe { (self.run)(self.connection.as_ptr(), &raw const text, &raw mut rows) } == 0;
        if done && !rows.is_null() {
            // SAFETY: what that function has just allocated, once.
            unsafe { (self.free)(self.connection.as_ptr(), rows) };
        }
        done
    }
}
