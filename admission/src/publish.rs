//! Publishing: a table becomes an image file, is read back, and is named by one store into the control file.
//!
//! Killed between any two steps, the publisher leaves what was in force in force; its next start removes what has no
//! name. Never writes to an image that was ever named, and never waits for a reader.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use crate::control::{Control, Pair, image_file};
use crate::error::OpenError;
use crate::image::{BuildError, Check, Image, build_base};
use crate::live::Live;
use crate::map::{FILE_MODE, monotonic_ns};
use crate::model::Table;

/// Mode of the directory (design section 3).
const DIRECTORY_MODE: u32 = 0o750;
/// Images kept after newer ones were named: a worker that loaded the pair just before can still open what it names.
const KEPT_GENERATIONS: u32 = 4;

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
    /// Size of the image.
    pub image_bytes: usize,
    /// Trunks in it.
    pub trunks: usize,
}

/// The one writer of the control file and the images.
#[derive(Debug)]
pub struct Publisher {
    dir: PathBuf,
    options: PublishOptions,
    control: Control,
}

impl Publisher {
    /// Opens `dir`, making it and the control file when there are none, and takes the right to publish.
    /// Removes images that are not in force.
    pub fn open(dir: &Path, options: PublishOptions) -> Result<Publisher, PublishError> {
        let io = |error| PublishError::Open(OpenError::io(dir, error));
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir).map_err(io)?;
        if let Some(group) = options.group {
            chown(dir, None, Some(group)).map_err(io)?;
        }
        let control = match Control::open_writable(dir) {
            Err(OpenError::Missing { .. }) => {
                Control::create(dir)?;
                Control::open_writable(dir)?
            }
            other => other?,
        };
        control.lock(dir)?;
        let publisher = Publisher { dir: dir.to_owned(), options, control };
        publisher.share(&dir.join(crate::control::FILE)).map_err(io)?;
        publisher.remove_unnamed(0).map_err(io)?;
        Ok(publisher)
    }

    /// The generation in force; 0 when nothing was ever published here.
    pub fn generation(&self) -> u32 {
        self.control.pair().generation()
    }

    /// Puts `table` in force for every call judged from now on.
    ///
    /// `live` is where rate limits keep their debts: a trunk whose rate changes keeps its debt in calls.
    pub fn publish(&mut self, table: &Table, live: Option<&Live>) -> Result<Published, PublishError> {
        let old = self.control.pair();
        let generation = old.generation() + 1;
        let words = build_base(table, generation, random_keys()?)?;
        let path = self.dir.join(image_file(generation));
        let bytes = words.to_bytes();
        self.write(&path, &bytes).map_err(|source| PublishError::Write { path: path.clone(), source })?;
        let image = Image::open(&path, Check::Everything).map_err(PublishError::ReadBack)?;
        let debts = live.map(|live| Debts::new(live, self.open_named(old), table));
        if let Some(debts) = &debts {
            debts.carry(|old, new| new > old);
        }
        self.control.name(Pair::new(generation, 0), table.revision);
        if let Some(debts) = &debts {
            debts.carry(|old, new| new < old);
        }
        if let Err(error) = self.remove_unnamed(KEPT_GENERATIONS) {
            // Old images cost memory, not correctness; the next publish tries again.
            let _ = error;
        }
        Ok(Published { generation, image_bytes: image.bytes(), trunks: table.trunks.len() })
    }

    /// Tells readers that the publisher is alive. Milliseconds since 1970.
    pub fn heartbeat(&self, wall_ms: u64) {
        self.control.heartbeat(wall_ms);
    }

    fn open_named(&self, pair: Pair) -> Option<Image> {
        Image::open(&self.dir.join(image_file(pair.base())), Check::BetweenCalls).ok()
    }

    /// Writes the file aside and renames it. No fsync: the directory is memory and ends with the machine.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let aside = path.with_extension("new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&aside)?;
        file.write_all(bytes)?;
        self.share(&aside)?;
        fs::rename(&aside, path)
    }

    fn share(&self, path: &Path) -> io::Result<()> {
        self.options.group.map_or(Ok(()), |group| chown(path, None, Some(group)))
    }

    /// Removes every image but the ones in force and the `keep` generations before them.
    fn remove_unnamed(&self, keep: u32) -> io::Result<()> {
        let pair = self.control.pair();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("table-")) else { continue };
            let named = rest.parse::<u32>().is_ok_and(|generation| {
                generation == pair.base()
                    || generation == pair.overlay()
                    || (generation < pair.generation() && generation + keep >= pair.generation())
            });
            if !named {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The rate limits that change with a publish.
struct Debts<'a> {
    live: &'a Live,
    changed: Vec<Change>,
}

struct Change {
    scope: crate::live::Scope,
    old: crate::Rate,
    new: crate::Rate,
}

impl<'a> Debts<'a> {
    fn new(live: &'a Live, old: Option<Image>, table: &Table) -> Debts<'a> {
        use crate::image::Found;
        use crate::live::Scope;
        let Some(image) = old else { return Debts { live, changed: Vec::new() } };
        let changed = |scope, old: Option<crate::Rate>, new: Option<crate::Rate>| match (old, new) {
            (Some(old), Some(new)) if old != new => Some(Change { scope, old, new }),
            _ => None,
        };
        let node = changed(Scope::Node, image.node_rate(), table.node.rate);
        let trunks = table.trunks.iter().filter_map(|trunk| match image.trunk_by_live(trunk.live) {
            Found::Here(was) => changed(Scope::Trunk(trunk.live), was.rate(), trunk.limits.rate),
            _ => None,
        });
        let accounts = table.accounts.iter().filter_map(|account| match image.account(account.live) {
            Found::Here(was) => changed(Scope::Account(account.live), was.rate, account.limits.rate),
            _ => None,
        });
        Debts { live, changed: node.into_iter().chain(trunks).chain(accounts).collect() }
    }

    /// Carries over those whose intervals compare so: the slower ones before the images are named, the faster after.
    fn carry(&self, which: impl Fn(u64, u64) -> bool) {
        let now = monotonic_ns();
        for change in &self.changed {
            if which(change.old.interval_ns(), change.new.interval_ns()) {
                self.live.carry_over(change.scope, change.old, change.new, now);
            }
        }
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
