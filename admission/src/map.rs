//! Files mapped into memory, seen as 64-bit atomic words; and what the processor is asked for by name. With `part` and `processor` below it,
//! the only place of this crate that may hold `unsafe`.
//!
//! Words are atomic because other processes write them at any time; read that way, a torn, truncated or hostile file is
//! wrong data at worst, never undefined behaviour. A mapping is never resized and its file never truncated by us: pages
//! that vanished would be a SIGBUS in a worker, and one dead worker is a dead proxy.

mod part;
mod processor;
#[cfg(all(test, not(loom)))]
mod tests;
mod words;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::sync::AtomicU64;
pub(crate) use part::Part;
#[cfg(all(target_arch = "x86_64", not(loom)))]
pub(crate) use processor::marks;
pub(crate) use processor::{both_clocks, monotonic_ns, prefetch, prefetch_to_write, wall_ms};
pub(crate) use words::Words;

/// Mode of the files that one side writes: its owner writes, the group reads.
pub(crate) const FILE_MODE: u32 = 0o640;
/// Mode of the files that both sides write, Kamailio and trunkd, each under a user of its own but in one group.
pub(crate) const BOTH_WRITE_MODE: u32 = 0o660;
/// Mode of the directory: both sides make files in it, and every file belongs to its group.
const DIRECTORY_MODE: u32 = 0o2770;

/// Makes the directory of the shared files, for a group if one is named; one that exists is left as it is.
pub(crate) fn make_directory(dir: &Path, group: Option<u32>) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    if let Some(group) = group {
        std::os::unix::fs::chown(dir, None, Some(group))?;
    }
    // After the owner: changing that clears the bit that hands the group on. Whatever the process's umask.
    std::fs::set_permissions(dir, Permissions::from_mode(DIRECTORY_MODE))
}

/// Bytes in a word.
pub(crate) const WORD: usize = size_of::<u64>();

/// Words in a page, or in several where pages are larger: what [`Map::release`] begins at.
pub(crate) const PAGE_WORDS: usize = 65_536 / WORD;

/// Bytes of a huge page. A mapping of so many or more begins at a multiple, so that the processor can find its memory huge page by huge
/// page: a call reads ten places anywhere in these files, and otherwise waits for the way to them as long as for what stands there.
const HUGE_PAGE: usize = 2 << 20;

/// A mapping that lives until it is dropped. The file may be renamed or unlinked meanwhile; the pages stay.
#[derive(Debug)]
pub(crate) struct Map {
    first: NonNull<AtomicU64>,
    words: usize,
    writable: bool,
    /// Kept for the lock on it, which ends when the last process that inherited it has ended.
    file: File,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is reached only as `&[AtomicU64]`.
unsafe impl Send for Map {}
// SAFETY: as above; atomics may be shared between threads.
unsafe impl Sync for Map {}

impl Map {
    /// Makes a file of exactly `words` zero words and maps it for writing. Fails if it exists. Its memory is reserved
    /// now, so that a full file system is an error here and not a SIGBUS later.
    pub(crate) fn create(path: &Path, words: usize, mode: u32) -> io::Result<Map> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
        // The mode is what was asked for, whatever the process's umask.
        file.set_permissions(Permissions::from_mode(mode))?;
        let bytes = words.checked_mul(WORD).and_then(|n| i64::try_from(n).ok());
        let bytes = bytes.ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a plain system call on a descriptor that we own.
        let refused = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) };
        if refused != 0 {
            return Err(io::Error::from_raw_os_error(refused));
        }
        Map::of(file, true)
    }

    /// Maps an existing file for reading and writing.
    pub(crate) fn open_shared(path: &Path) -> io::Result<Map> {
        Map::of(OpenOptions::new().read(true).write(true).open(path)?, true)
    }

    /// Maps an existing file for reading.
    pub(crate) fn open_read_only(path: &Path) -> io::Result<Map> {
        Map::of(File::open(path)?, false)
    }

    fn of(file: File, writable: bool) -> io::Result<Map> {
        let bytes = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let words = bytes / WORD;
        if words == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        // Whole words, so that what is mapped is what `drop` gives back.
        let bytes = words * WORD;
        let huge = (bytes >= HUGE_PAGE).then(|| map_at_huge_page(&file, bytes, protection)).flatten();
        // SAFETY: a fresh shared mapping of a file that we hold open; no existing memory is touched.
        let anywhere = || unsafe {
            libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        let address = huge.unwrap_or_else(anywhere);
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let first = NonNull::new(address.cast::<AtomicU64>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Map { first, words, writable, file })
    }

    /// Puts the file's memory into huge pages, for every process that maps it, as far as the system has any and knows how (Linux 6.1,
    /// whatever the mount's own setting but `deny`); answers whether it did. Takes milliseconds for each 10 MiB that is not in huge
    /// pages yet, so it is for whoever lets nobody wait. Nothing depends on it: what is refused stays in small pages.
    pub(crate) fn use_huge_pages(&self) -> bool {
        let bytes = self.words * WORD;
        // SAFETY: exactly the range that `of` mapped. Whoever reads or writes it meanwhile, in whatever process, finds the same words.
        bytes >= HUGE_PAGE
            && unsafe { libc::madvise(self.first.as_ptr().cast(), bytes, libc::MADV_COLLAPSE) } == 0
    }

    /// All words. Storing to one of a read-only mapping would fault, so those are handed out only as [`Words`].
    pub(crate) fn shared_words(&self) -> &[AtomicU64] {
        assert!(self.writable, "a mapping opened for reading is read through `words`");
        self.raw_words()
    }

    /// One word of which it is known that it exists, for loading only.
    #[inline]
    pub(crate) fn atomic(&self, index: usize) -> &AtomicU64 {
        &self.raw_words()[index]
    }

    /// One word with acquire ordering: what its writer stored before it is seen by whatever is loaded after it.
    #[inline]
    pub(crate) fn acquire(&self, index: usize) -> u64 {
        self.raw_words().get(index).map_or(0, |word| word.load(crate::sync::Ordering::Acquire))
    }

    /// The words, for loading only.
    pub(crate) fn words(&self) -> Words<'_> {
        Words::new(self.raw_words())
    }

    #[cfg(not(loom))]
    fn raw_words(&self) -> &[AtomicU64] {
        // SAFETY: `first` is page-aligned and starts `words * 8` mapped bytes that stay until drop; any bits are a u64.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }

    /// Loom's atomics are not words; its models run on slices of their own and never come here.
    #[cfg(loom)]
    fn raw_words(&self) -> &[AtomicU64] {
        unreachable!("no mapping exists under loom")
    }

    /// Lets go of the pages that hold `count` words from `from` on: they are mapped again if they are read again. Giving a
    /// large mapping back piece by piece this way keeps each pause short.
    pub(crate) fn release(&self, from: usize, count: usize) {
        let end = from.saturating_add(count).min(self.words);
        if self.writable || from >= end || !from.is_multiple_of(PAGE_WORDS) {
            return;
        }
        // SAFETY: `from` lies within the mapping.
        let address = unsafe { self.first.as_ptr().add(from) };
        // SAFETY: whole pages within a mapping of ours that is shared and read-only, so nothing in them can be lost.
        unsafe { libc::madvise(address.cast(), (end - from) * WORD, libc::MADV_DONTNEED) };
    }

    /// Takes the file's exclusive lock for this process and its children, without waiting.
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        // SAFETY: a plain system call on a descriptor that we own.
        let refused = unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
        if refused == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
    }

    /// The inode, to notice that the name now stands for another file.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        Ok(self.file.metadata()?.ino())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `of` mapped; no borrow of it can outlive `self`.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.words * WORD) };
    }
}

/// Maps a file shared, from a multiple of [`HUGE_PAGE`] on; `None` if there is no room for that. Room is reserved first, and what the
/// mapping does not take of it is given back.
fn map_at_huge_page(file: &File, bytes: usize, protection: libc::c_int) -> Option<*mut libc::c_void> {
    // SAFETY: asks for a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs() as usize;
    let (length, nothing) = (bytes.next_multiple_of(page), libc::PROT_NONE);
    let (room, reserve) = (length + HUGE_PAGE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a fresh mapping of nothing; no existing memory is touched.
    let begin = unsafe { libc::mmap(ptr::null_mut(), room, nothing, reserve, -1, 0) };
    if begin == libc::MAP_FAILED {
        return None;
    }
    let before = begin.addr().next_multiple_of(HUGE_PAGE) - begin.addr();
    let give_back = |from: usize, count: usize| {
        if count > 0 {
            // SAFETY: whole pages of the room that was reserved above, which nobody else knows of.
            unsafe { libc::munmap(begin.wrapping_byte_add(from), count) };
        }
    };
    let (fixed, descriptor) = (libc::MAP_SHARED | libc::MAP_FIXED, file.as_raw_fd());
    // SAFETY: takes the place of reserved room alone, for a file that the caller holds open.
    let address =
        unsafe { libc::mmap(begin.wrapping_byte_add(before), bytes, protection, fixed, descriptor, 0) };
    if address == libc::MAP_FAILED {
        give_back(0, room);
        return None;
    }
    give_back(0, before);
    give_back(before + length, room - before - length);
    Some(address)
}
