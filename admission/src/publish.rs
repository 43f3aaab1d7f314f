//! Publishing: a table becomes image files, is read back, and is named by one store into the control file.
//!
//! A whole table makes a base image; what changes after that makes an overlay on it, at a cost that grows with what changed
//! since the base and not with the table. When an overlay has grown too large, base and overlay are folded into a new
//! base: at once where the table is small, else by whoever calls [`Publisher::begin_fold`], on any thread.
//!
//! Killed between any two steps, the publisher leaves what was in force in force; its next start removes what has no
//! name. Never writes to an image that was ever named, and never waits for a reader.

mod catalog;
mod change;
mod debts;
mod files;
mod fold;
mod images;
mod put;
mod rows;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::control::{Control, Pair};
use crate::crash;
use crate::error::OpenError;
use crate::image::{BuildError, Check};
use crate::live::Live;
use crate::map::make_directory;
use crate::tables::Tables;
use catalog::{Base, Delta};
use debts::Debts;
use files::{Files, Kept};

pub use change::{Change, Folding, Node};
pub use fold::{Fold, Folded};

/// Why a table was not published. What was in force still is.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The directory or the control file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The table itself.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Writing the image.
    #[error("writing {}: {source}", .path.display())]
    Write {
        /// The image file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The image read back is not the one that was written.
    #[error("the image read back is not the one written: {0}")]
    ReadBack(OpenError),
    /// Changes came before any whole table.
    #[error("this publisher has published no whole table yet that could be changed")]
    NoTable,
    /// Another base was published while this one was made.
    #[error("another base was published while this one was folded")]
    Superseded,
}

/// How files are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions {
    /// Numeric id of the group that reads: Kamailio's. `None` leaves the process's own.
    pub group: Option<u32>,
}

/// What was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The generation that decisions made with it report.
    pub generation: u32,
    /// Number of the base that it rests on; the same when it is one.
    pub base: u32,
    /// Size of the newest image, the overlay if there is one.
    pub image_bytes: usize,
    /// Trunks of the whole table.
    pub trunks: usize,
    /// Trunks and accounts that the overlay holds; 0 when there is none.
    pub changed: usize,
    /// The overlay has grown so large that it should be folded into a new base.
    pub fold_due: bool,
}

/// The one writer of the control file and the images.
#[derive(Debug)]
pub struct Publisher {
    files: Files,
    control: Control,
    folding: Folding,
    kept: Kept,
    /// The highest number that an image was ever given here.
    last: u32,
    /// What is in force, as readers see it.
    tables: Option<Tables>,
    /// What is in force, as it was given to us; `None` until a whole table was published by this process.
    catalog: Option<Catalog>,
    /// Debts that a publisher before us left too large have been capped.
    capped: bool,
}

#[derive(Debug)]
struct Catalog {
    base: Arc<Base>,
    delta: Delta,
    revision: u64,
}

/// The greatest number that counting can have come to; a greater one is damage.
const LAST_COUNTED: u32 = u32::MAX / 2;

impl Publisher {
    /// Opens `dir`, making it and the control file when there are none, and takes the right to publish.
    /// Removes images that are not in force.
    pub fn open(dir: &Path, options: PublishOptions) -> Result<Publisher, PublishError> {
        let io = |error| PublishError::Open(OpenError::io(dir, error));
        make_directory(dir, options.group).map_err(io)?;
        let control = match Control::open_writable(dir) {
            Err(OpenError::Missing { .. }) => {
                Control::create(dir)?;
                Control::open_writable(dir)?
            }
            other => other?,
        };
        control.lock(dir)?;
        crash::point("publish.locked");
        let files = Files { dir: dir.to_owned(), group: options.group };
        files.share(&dir.join(crate::control::FILE)).map_err(io)?;
        let (mut kept, pair) = (Kept::default(), control.pair());
        kept.named(pair, None);
        files.sweep(|number| kept.wants(number)).map_err(io)?;
        crash::point("publish.swept");
        // For the debts of the first publish. What cannot be opened has none that could be known.
        let tables = Tables::open(dir, pair, Check::BetweenCalls, None).ok();
        // Numbers go on, even if what the pair names cannot be read (it is gone, or of another build): a worker that has it mapped would
        // not notice another table of the same number.
        let last = Some(pair.generation()).filter(|&last| last <= LAST_COUNTED).unwrap_or(0);
        let folding = Folding::default();
        Ok(Publisher { files, control, folding, kept, last, tables, catalog: None, capped: false })
    }

    /// Sets when a base is made anew.
    pub fn set_folding(&mut self, folding: Folding) {
        self.folding = folding;
    }

    /// The generation in force; 0 when nothing was ever published here.
    pub fn generation(&self) -> u32 {
        self.control.pair().generation()
    }

    /// Tells readers that the publisher is alive. Milliseconds since 1970.
    pub fn heartbeat(&self, wall_ms: u64) {
        self.control.heartbeat(wall_ms);
    }

    /// What is mapped may be read only while its files are whole: one that was cut off below us would be a SIGBUS. The
    /// first time that there are limiter words, their debts are set right.
    fn look_at_files(&mut self, live: Option<&Live>) {
        if self.tables.as_ref().is_some_and(|tables| !tables.are_whole(&self.files.dir)) {
            self.tables = None;
        }
        if let (Some(live), Some(tables), false) = (live, &self.tables, self.capped) {
            debts::cap(live, tables);
            self.capped = true;
        }
    }

    /// Reads the images of `pair` back, and names them.
    fn name(
        &mut self,
        pair: Pair,
        revision: u64,
        debts: Option<Debts<'_>>,
        live: Option<&Live>,
    ) -> Result<(), PublishError> {
        match Tables::open(&self.files.dir, pair, Check::Everything, self.tables.take()) {
            Ok(mut tables) => {
                tables.release_all();
                crash::point("publish.verified");
                self.name_checked(tables, revision, debts, live);
                Ok(())
            }
            Err(refused) => {
                let (error, previous) = *refused;
                self.tables = previous;
                Err(PublishError::ReadBack(error))
            }
        }
    }

    /// Names images that were read back.
    fn name_checked(&mut self, tables: Tables, revision: u64, debts: Option<Debts<'_>>, live: Option<&Live>) {
        let pair = tables.pair;
        if let Some(debts) = &debts {
            debts.carry_slower();
        }
        crash::point("publish.slower");
        self.control.name(pair, revision);
        if let Some(debts) = &debts {
            debts.carry_faster();
        }
        crash::point("publish.faster");
        self.last = self.last.max(pair.generation());
        self.tables = Some(tables);
        self.kept.named(pair, live);
        if let Err(error) = self.files.sweep(|number| self.kept.wants(number)) {
            // Old images cost memory, not correctness; the next publish tries again.
            let _ = error;
        }
        crash::point("publish.removed");
    }

    /// The limits that change between two states of one base.
    fn debts<'a>(&self, live: Option<&'a Live>, old: &Delta, new: &Delta, base: &Base) -> Option<Debts<'a>> {
        let (tables, live) = self.tables.as_ref().zip(live)?;
        let trunks = base.trunks.since(&old.trunks, &new.trunks);
        let accounts = base.accounts.since(&old.accounts, &new.accounts);
        Some(Debts::new(live, tables, new.node.limits.rate, trunks, accounts))
    }

    /// Takes note of what is now in force.
    fn adopt(&mut self, base: Arc<Base>, delta: Delta, revision: u64) -> Published {
        let changed = delta.len();
        let published = Published {
            generation: self.generation(),
            base: base.generation,
            image_bytes: self.tables.as_ref().map_or(0, |tables| tables.newest().bytes()),
            trunks: base.trunks.count(&delta.trunks),
            changed,
            fold_due: self.folding.due(base.trunks.len(), changed),
        };
        self.catalog = Some(Catalog { base, delta, revision });
        published
    }
}

fn random_keys() -> Result<[u64; 2], PublishError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| OpenError::io(path, error))?;
    let [a, b] = [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|index| bytes[at + index])));
    Ok([a, b])
}
