//! The `live` file: limiter words, counts, call slots, gateway health, per-process counters.
//!
//! Made by the module when Kamailio starts and kept over its restarts; the daemon attaches to it. Rate words survive a
//! restart, so it grants no fresh burst; counts start at zero and grow again with each restored dialog that is adopted.
//! Nothing here waits, and nothing here knows SIP.

pub(crate) mod audit;
mod backlog;
mod brakes;
mod calls;
mod count;
pub(crate) mod health;
mod layout;
mod lines;
pub(crate) mod process;
mod recount;
pub(crate) mod slots;
mod sweep;
mod tag;
mod trust;
mod window;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use audit::Count;
pub use brakes::Brake;
pub use calls::{CallView, Ending, Origin};
pub(crate) use count::CountWord;
pub(crate) use layout::Capacity;
pub(crate) use lines::Line;
pub use lines::LineView;
pub use process::Totals;
pub use recount::Recount;
pub use slots::{CallKey, SlotRef, SlotState};
pub use sweep::{Reclaimed, SlotView};
pub(crate) use sweep::{uid_from_words as uid_bytes, uid_to_words as uid_words};

use crate::crash;
use crate::error::OpenError;
use crate::hash::Keys;
use crate::map::{BOTH_WRITE_MODE, Map, Part, wall_ms};
use crate::sync::{AtomicU64, Ordering};
use layout::*;
use slots::Slots;

const FILE: &str = "live";

/// Whose limits: which line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All calls of the node.
    Node,
    /// The account with this `live` index.
    Account(u32),
    /// The trunk with this `live` index.
    Trunk(u32),
}

/// The mapped file.
#[derive(Debug)]
pub struct Live {
    map: Arc<Map>,
    tags: Part,
    bodies: Part,
    /// Its inode.
    file: u64,
    capacity: Capacity,
    offsets: Offsets,
}

impl Live {
    /// For Kamailio's first process, before it forks: makes the file, or takes the one that is there and begins a new
    /// epoch in it. A file with other parameters, or of a build with another layout, is made anew. Refuses one that another
    /// running Kamailio holds.
    pub(crate) fn create_or_reopen(dir: &Path, capacity: Capacity) -> Result<Live, OpenError> {
        let path = dir.join(FILE);
        let live = match Live::attach(dir) {
            Err(OpenError::Missing { .. }) => {
                Live::create(dir, &path, capacity)?;
                Live::attach(dir)?
            }
            Err(OpenError::OtherLayout { .. }) => {
                let map = Map::open_shared(&path).map_err(|error| OpenError::io(&path, error))?;
                take_away(&path, &map)?;
                return Live::create_or_reopen(dir, capacity);
            }
            other => other?,
        };
        if live.capacity != capacity {
            take_away(&path, &live.map)?;
            return Live::create_or_reopen(dir, capacity);
        }
        own(&path, &live.map)?;
        live.map.use_huge_pages();
        live.begin_epoch();
        Ok(live)
    }

    fn create(dir: &Path, path: &Path, capacity: Capacity) -> Result<(), OpenError> {
        let aside = dir.join("live.new");
        let io = |error| OpenError::io(&aside, error);
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let map = Map::create(&aside, capacity.words(), BOTH_WRITE_MODE).map_err(io)?;
        crash::point("live.made");
        let mut seed = [0; 16];
        fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed)).map_err(io)?;
        let words = map.shared_words();
        let header = [
            (L_TRUNKS, u64::from(capacity.trunks)),
            (L_ACCOUNTS, u64::from(capacity.accounts)),
            (L_GATEWAYS, u64::from(capacity.gateways)),
            (L_SLOTS, u64::from(capacity.slots)),
            (L_PROCESSES, u64::from(capacity.processes)),
            (L_KEY_0, u64::from_ne_bytes(std::array::from_fn(|index| seed[index]))),
            (L_KEY_1, u64::from_ne_bytes(std::array::from_fn(|index| seed[8 + index]))),
            (L_LAYOUT, LAYOUT),
        ];
        for (index, value) in header {
            words[index].store(value, Ordering::Relaxed);
            crash::point("live.header");
        }
        words[L_MAGIC].store(MAGIC, Ordering::Release);
        crash::point("live.magic");
        fs::rename(&aside, path).map_err(|error| OpenError::io(path, error))?;
        crash::point("live.renamed");
        Ok(())
    }

    /// For the daemon: the file as it is. [`OpenError::Missing`] until Kamailio has started once.
    pub fn attach(dir: &Path) -> Result<Live, OpenError> {
        let path = dir.join(FILE);
        let map = Arc::new(Map::open_shared(&path).map_err(|error| OpenError::io(&path, error))?);
        if map.acquire(L_MAGIC) != MAGIC {
            return Err(OpenError::Foreign { path, what: "live" });
        }
        let words = map.words();
        if words.at(L_LAYOUT) != LAYOUT {
            return Err(OpenError::OtherLayout { path, found: words.at(L_LAYOUT), wanted: LAYOUT });
        }
        let number = |index| u32::try_from(words.at(index)).unwrap_or(u32::MAX);
        let capacity = Capacity {
            trunks: number(L_TRUNKS),
            accounts: number(L_ACCOUNTS),
            gateways: number(L_GATEWAYS),
            slots: number(L_SLOTS),
            processes: number(L_PROCESSES),
        };
        if capacity.words() != words.len() {
            return Err(OpenError::Damaged { path, fault: "its length is not the one its header asks for" });
        }
        let (file, offsets) = (map.inode().unwrap_or(0), capacity.offsets());
        let part = |from, end: usize| Part::of(&map, from, end - from);
        match (part(offsets.tags, offsets.bodies), part(offsets.bodies, offsets.end)) {
            (Some(tags), Some(bodies)) => Ok(Live { map, tags, bodies, file, capacity, offsets }),
            _ => Err(OpenError::Damaged { path, fault: "its slots lie outside of it" }),
        }
    }

    /// Whether the name still stands for this file, or Kamailio has made another.
    pub fn is_current(&self, dir: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(dir.join(FILE)).is_ok_and(|meta| meta.ino() == self.file)
    }

    /// A number that tells this file from every other one of the same file system, as long as it lives; 0 for none.
    pub fn file(&self) -> u64 {
        self.file
    }

    /// Alone on the file: zeroes the counts and forgets what was only half taken. Calls of earlier epochs keep their
    /// slots until their dialog is restored or the daemon ends them.
    fn begin_epoch(&self) {
        for line in self.all_lines() {
            line.calls().reset();
            crash::point("epoch.reset");
        }
        let slots = self.slots();
        for (slot, state) in slots.in_use() {
            if matches!(state, SlotState::Taking | SlotState::Lost) {
                slots.advance(slot, &[state], SlotState::Free);
                crash::point("epoch.abandoned");
            }
        }
        self.word(L_MAIN_PID).store(u64::from(std::process::id()), Ordering::Relaxed);
        crash::point("epoch.pid");
        self.word(L_EPOCH_START_MS).store(wall_ms(), Ordering::Relaxed);
        crash::point("epoch.time");
        self.word(L_EPOCH).fetch_add(1, Ordering::Release);
        crash::point("epoch.begun");
    }

    fn all_lines(&self) -> impl Iterator<Item = Line<'_>> {
        let accounts = (0..self.capacity.accounts).map(Scope::Account);
        let trunks = (0..self.capacity.trunks).map(Scope::Trunk);
        std::iter::once(Scope::Node).chain(accounts).chain(trunks).filter_map(|scope| self.line(scope))
    }

    #[inline]
    fn word(&self, index: usize) -> &AtomicU64 {
        &self.map.shared_words()[index]
    }

    #[inline]
    pub(crate) fn slots(&self) -> Slots<'_> {
        Slots::new(self.tags.shared(), self.bodies.shared())
    }

    pub(crate) fn capacity(&self) -> Capacity {
        self.capacity
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys(self.map.words().at(L_KEY_0), self.map.words().at(L_KEY_1))
    }

    /// The number of this start of Kamailio, counted since the file was made.
    pub fn epoch(&self) -> u64 {
        self.map.acquire(L_EPOCH)
    }

    /// Process id of Kamailio's first process in this epoch.
    pub fn main_pid(&self) -> u32 {
        self.map.words().at(L_MAIN_PID) as u32
    }

    /// When this epoch began, in milliseconds since 1970.
    pub fn epoch_start_ms(&self) -> u64 {
        self.map.words().at(L_EPOCH_START_MS)
    }

    /// Says that every dialog that Kamailio restored in this epoch has been adopted.
    pub(crate) fn mark_restored(&self) {
        self.word(L_RESTORED_EPOCH).store(self.epoch(), Ordering::Release);
        crash::point("epoch.restored");
    }

    /// Whether that has been said: from then on a slot of an earlier epoch is an orphan.
    pub fn restored(&self) -> bool {
        self.map.acquire(L_RESTORED_EPOCH) == self.epoch()
    }
}

/// Makes room for a new file under this name, if nobody runs on the one that is there. What stood in it are limits of a
/// moment and orphans, and the daemon finds by itself that the calls of the old one are gone.
fn take_away(path: &Path, map: &Map) -> Result<(), OpenError> {
    own(path, map)?;
    fs::remove_file(path).map_err(|error| OpenError::io(path, error))
}

/// How long a start waits for the processes of one that was killed: they have the file until they are gone.
const DYING: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Makes this instance the only one that runs on the file. Waits for a moment: this is a start, nobody calls yet. It looks
/// again and again because flock(2) waits for ever or not at all.
fn own(path: &Path, map: &Map) -> Result<(), OpenError> {
    own_once_free(path, map, patience())
}

/// Sleeps at each call, and has had enough once [`DYING`] is over; even then there is one more look, however long it slept.
fn patience() -> impl FnMut() -> bool {
    let begun = Instant::now();
    move || {
        let waits = begun.elapsed() < DYING;
        if waits {
            thread::sleep(LOOK_EVERY);
        }
        waits
    }
}

/// Makes this instance the only one that runs on the file, if nobody has it before `again` has had enough.
fn own_once_free(path: &Path, map: &Map, mut again: impl FnMut() -> bool) -> Result<(), OpenError> {
    while !map.try_lock().map_err(|error| OpenError::io(path, error))? {
        if !again() {
            return Err(OpenError::InUse { path: path.to_owned() });
        }
    }
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity { trunks: 1, accounts: 1, gateways: 1, slots: 16, processes: 1 };

    #[test]
    fn a_start_waits_for_one_that_is_dying() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut dying = Some(Live::create_or_reopen(dir.path(), CAPACITY).expect("a file"));
        let next = Live::attach(dir.path()).expect("the file");
        let path = dir.path().join(FILE);
        assert!(
            matches!(own_once_free(&path, &next.map, || false), Err(OpenError::InUse { .. })),
            "it is running"
        );
        let mut looks = 0;
        let owned = own_once_free(&path, &next.map, || {
            looks += 1;
            if looks == 2 {
                dying = None;
            }
            true
        });
        assert!(owned.is_ok(), "{owned:?}");
        assert_eq!(looks, 2);
        let (begun, mut again) = (Instant::now(), patience());
        while again() {}
        assert!(begun.elapsed() >= DYING, "this is how long a start waits");
    }

    #[test]
    fn a_file_of_another_layout_is_made_anew_once_nobody_runs_on_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let running = Live::create_or_reopen(dir.path(), CAPACITY).expect("a file");
        running.word(L_LAYOUT).store(LAYOUT - (1 << 32), Ordering::Relaxed);
        let refused = Live::create_or_reopen(dir.path(), CAPACITY);
        assert!(matches!(refused, Err(OpenError::InUse { .. })), "{refused:?}");
        assert!(matches!(Live::attach(dir.path()), Err(OpenError::OtherLayout { .. })), "the daemon waits");
        drop(running);
        let remade = Live::create_or_reopen(dir.path(), CAPACITY).expect("a new file");
        assert_eq!((remade.epoch(), remade.is_current(dir.path())), (1, true));
        assert!(Live::attach(dir.path()).is_ok());
    }
}
