//! Words that all processes of Kamailio share, made before it forks, in no file: they go with it.
//! It must never hand out memory that anything but atomic words touches.

use core::ptr;
use core::sync::atomic::AtomicU64;

/// So many words of 0, for as long as the process lives. The error is the line to print; `what` names what they are for.
pub(crate) fn words(count: usize, what: &str) -> Result<&'static [AtomicU64], String> {
    let bytes = count * size_of::<AtomicU64>();
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: new memory, of nobody else's.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(format!("no {bytes} bytes for {what}: {}", std::io::Error::last_os_error()));
    }
    // SAFETY: so many zeroed words, aligned to a page, mapped for as long as the process lives, and touched as atomic words only.
    Ok(unsafe { core::slice::from_raw_parts(start.cast::<AtomicU64>(), count) })
}
