//! Opening an image: what is checked before it is used, and what its header says.
//!
//! Must never write, and never panic on any content.

use std::path::Path;
use std::sync::Arc;

use super::host::Host;
use super::layout::*;
use super::placed;
use super::records::{concurrent_of, rate_of};
use super::text::{Stored, Text};
use crate::error::OpenError;
use crate::hash::{CheckSum, Keys};
use crate::map::{Map, PAGE_WORDS, Part, Words};
use crate::model::Region;
use crate::rate::Rate;

/// How much of an image to check before using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Header, sizes and the sum of every word: by whoever publishes, and wherever no call waits.
    Everything,
    /// Header and sizes, and every word of images up to a mebibyte: by a worker, between two calls. The publisher has
    /// read the whole file back before it named it.
    BetweenCalls,
}

/// Images up to this many words are always checked whole.
const SMALL_WORDS: usize = 1 << 17;

/// Words let go of at a time, 4 MiB: less than a tenth of a millisecond.
const RELEASED_WORDS: usize = 64 * PAGE_WORDS;

/// An image mapped for reading.
#[derive(Debug)]
pub struct Image {
    map: Arc<Map>,
    pub(crate) keys: Keys,
    sections: [Part; SECTIONS],
    /// Places of blocks that a host leads to.
    places: usize,
    node_rate: Option<Rate>,
    node_concurrent: Option<u32>,
    /// The base domain, copied once.
    base_domain: Host,
    /// What each trunk's domain ends with: a dot and the base domain. Every look-up compares with it.
    pub(super) trunk_suffix: Host,
}

impl Image {
    /// Maps and checks the image at `path`.
    pub fn open(path: &Path, check: Check) -> Result<Image, OpenError> {
        let map = Arc::new(Map::open_read_only(path).map_err(|error| OpenError::io(path, error))?);
        let words = map.words();
        let damaged = |fault| OpenError::Damaged { path: path.to_owned(), fault };
        if words.at(H_MAGIC) != MAGIC {
            return Err(OpenError::Foreign { path: path.to_owned(), what: "table" });
        }
        if words.at(H_LAYOUT) != IMAGE_LAYOUT {
            let found = words.at(H_LAYOUT);
            return Err(OpenError::OtherLayout { path: path.to_owned(), found, wanted: IMAGE_LAYOUT });
        }
        if words.len() < HEADER_WORDS || words.at(H_TOTAL_WORDS) != words.len() as u64 {
            return Err(damaged("its length is not the one in its header"));
        }
        let header = words.range(0, H_HEADER_SUM).iter();
        if CheckSum::of(header) != words.at(H_HEADER_SUM) {
            return Err(damaged("the sum of its header does not agree"));
        }
        let whole = check == Check::Everything || words.len() <= SMALL_WORDS;
        if whole && CheckSum::of(words.range(HEADER_WORDS, words.len()).iter()) != words.at(H_BODY_SUM) {
            return Err(damaged("the sum of its body does not agree"));
        }
        let section = |index| {
            let word = words.at(H_SECTIONS + index);
            Part::of(&map, high(word) as usize, low(word) as usize)
                .filter(|_| high(word) as usize >= HEADER_WORDS)
        };
        let sections = Vec::from_iter((0..SECTIONS).map_while(section));
        let Ok(sections) = <[Part; SECTIONS]>::try_from(sections) else {
            return Err(damaged("a section lies outside of it"));
        };
        let keys = Keys(words.at(H_KEY_0), words.at(H_KEY_1));
        let limits = words.at(H_NODE_LIMITS);
        let node_rate = rate_of(words.at(H_NODE_INTERVAL), limits);
        let node_concurrent = concurrent_of(limits);
        let (base_domain, trunk_suffix) = (Host::new(b""), Host::new(b""));
        let places = low(words.at(H_PLACES)) as usize;
        let mut image =
            Image { map, keys, sections, places, node_rate, node_concurrent, base_domain, trunk_suffix };
        let base_domain: Text = image.text(image.header(H_BASE_DOMAIN));
        image.base_domain = Host::new(base_domain.as_bytes());
        image.trunk_suffix = Host::new(&[b".", base_domain.as_bytes()].concat());
        Ok(image)
    }

    #[inline]
    pub(super) fn header(&self, index: usize) -> u64 {
        self.map.words().at(index)
    }

    #[inline]
    pub(super) fn section(&self, section: Section) -> Words<'_> {
        self.sections[section as usize].words()
    }

    /// The block that a host leads to, whoever's it is.
    #[inline]
    pub(super) fn block_of(&self, host: &Host) -> usize {
        placed::place_of(self.section(Section::Pilots), self.places, host.hash(self.keys))
    }

    pub(super) fn text<const ROOM: usize>(&self, reference: u64) -> Text<ROOM> {
        Text::stored(self.section(Section::Strings), reference)
    }

    /// The image's own number.
    pub fn generation(&self) -> u32 {
        low(self.header(H_GENERATION))
    }

    /// The generation of the base that this overlay changes; its own number for a base.
    pub fn base_generation(&self) -> u32 {
        low(self.header(H_BASE))
    }

    /// Whether it is an overlay.
    pub fn is_overlay(&self) -> bool {
        self.header(H_SORT) == SORT_OVERLAY
    }

    /// The store's revision it was made from.
    pub fn revision(&self) -> u64 {
        self.header(H_REVISION)
    }

    /// The region that `regions` of the trunks were compared with.
    pub fn region(&self) -> Option<Region> {
        Region::from_word(self.header(H_REGION))
    }

    /// Whether `path` still stands for this file, at its full length.
    pub(crate) fn is_named(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let named = std::fs::metadata(path).map(|file| (file.ino(), file.len()));
        matches!((named, self.map.inode()), (Ok(named), Ok(inode)) if named == (inode, self.bytes() as u64))
    }

    /// Lets go of the part of the mapping that begins at `from`; answers where the next part begins, `None` at the end.
    pub(crate) fn release(&self, from: usize) -> Option<usize> {
        self.map.release(from, RELEASED_WORDS);
        Some(from + RELEASED_WORDS).filter(|&next| next < self.map.words().len())
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.map.words().len() * crate::map::WORD
    }

    /// Trunks of the whole table: for an overlay, those of its base that are still there with its own.
    pub fn trunks(&self) -> usize {
        self.header(H_TRUNKS) as usize
    }

    /// The node's rate limit.
    pub fn node_rate(&self) -> Option<Rate> {
        self.node_rate
    }

    /// The node's limit of calls at the same time.
    pub fn node_concurrent(&self) -> Option<u32> {
        self.node_concurrent
    }

    /// Whether this host, in lower case, is the one of all inbound URIs.
    pub(crate) fn is_inbound_host(&self, host: &Host) -> bool {
        Stored::new(self.section(Section::Strings), self.header(H_INBOUND_HOST)).is(host)
    }

    /// Whether this host, in lower case, is the bare base domain.
    pub(crate) fn is_base_domain(&self, host: &Host) -> bool {
        self.base_domain == *host
    }
}
