//! Image files: written aside and renamed, removed when no reader can need their name any more.
//!
//! Never writes to an image that was ever named, and never waits for a reader.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::PublishError;
use crate::control::{Pair, image_file};
use crate::crash;
use crate::image::ImageWords;
use crate::live::Live;
use crate::map::{FILE_MODE, Map};

/// Pairs that keep their files after newer ones were named: a worker that loaded one just before can still open it.
const KEPT_PAIRS: usize = 4;
/// Bases that keep their name until every worker has let go of them.
const HELD_BASES: usize = 4;

/// Where images are and who may read them.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) group: Option<u32>,
}

impl Files {
    pub(super) fn image(&self, generation: u32) -> PathBuf {
        self.dir.join(image_file(generation))
    }

    /// Writes an image aside and renames it. No fsync: the directory is memory and ends with the machine.
    pub(super) fn write(&self, generation: u32, words: &ImageWords) -> Result<(), PublishError> {
        let path = self.image(generation);
        self.try_write(&path, words).map_err(|source| PublishError::Write { path, source })
    }

    fn try_write(&self, path: &Path, words: &ImageWords) -> io::Result<()> {
        let aside = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&aside)?;
        // The mode is what was asked for, whatever the process's umask.
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        crash::point("publish.created");
        words.write_to(&mut file)?;
        crash::point("publish.written");
        // An overlay is made anew with each change and holds few trunks.
        if words.is_base()
            && let Ok(map) = Map::open_read_only(&aside)
        {
            map.use_huge_pages();
        }
        self.share(&aside)?;
        crash::point("publish.shared");
        fs::rename(&aside, path)?;
        crash::point("publish.renamed");
        Ok(())
    }

    pub(super) fn share(&self, path: &Path) -> io::Result<()> {
        self.group.map_or(Ok(()), |group| chown(path, None, Some(group)))
    }

    /// Removes every image whose number is not wanted, finished or not.
    pub(super) fn sweep(&self, wanted: impl Fn(u32) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("table-")) else { continue };
            let number = rest.strip_suffix(".new").unwrap_or(rest).parse();
            if !number.is_ok_and(&wanted) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Which names must stay.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The pairs named last, the one in force at the end.
    pairs: VecDeque<Pair>,
    /// Bases that went out of force, with the generation that took their place. While the name exists, a worker that
    /// unmaps such a base gives back its own pages only, and does not pay for freeing the file.
    held: VecDeque<(u32, u32)>,
    /// The base that a fold is making.
    pub(super) folding: Option<u32>,
}

impl Kept {
    /// `pair` has been named.
    pub(super) fn named(&mut self, pair: Pair, live: Option<&Live>) {
        if let Some(last) = self.pairs.back().filter(|last| last.base() != 0 && last.base() != pair.base()) {
            self.held.push_back((last.base(), pair.generation()));
        }
        self.pairs.push_back(pair);
        while self.pairs.len() > KEPT_PAIRS + 1 {
            self.pairs.pop_front();
        }
        while self.held.len() > HELD_BASES {
            self.held.pop_front();
        }
        let oldest = live.map_or(u32::MAX, oldest_generation);
        self.held.retain(|&(_, since)| since > oldest);
    }

    pub(super) fn wants(&self, generation: u32) -> bool {
        self.folding == Some(generation)
            || self.held.iter().any(|&(base, _)| base == generation)
            || self.pairs.iter().any(|pair| pair.base() == generation || pair.overlay() == generation)
    }
}

/// The oldest generation that a running worker has mapped.
fn oldest_generation(live: &Live) -> u32 {
    let proc = Path::new("/proc");
    let running = live.processes().into_iter().filter(|process| proc.join(process.pid.to_string()).exists());
    running.map(|process| process.generation).min().unwrap_or(u32::MAX)
}
