//! How much waits to be read: once a second one process looks at the receive buffers of its UDP sockets and leaves in shared
//! memory how full the fullest is. A worker that falls behind cannot tell; the kernel can.
//!
//! Runs in Kamailio's timer process, which inherits the workers' sockets. It looks at every UDP socket of that process, a listener
//! or not: one that a resolver or another module keeps open is read at once, or is as good a sign of falling behind. It must never be called on the way of
//! a call, and never read from a socket.

use core::ffi::{c_int, c_void};
use core::mem;

use crate::{abi, process, sys};

/// Sockets that are looked at; a listener more is not.
const MOST: c_int = 1_024;
/// Words of the kernel's answer: what is allocated for reading comes first, then the most that may be (linux/sock_diag.h).
const MEMINFO_WORDS: usize = 9;
/// Looks after which the sockets are looked for anew: listeners are there from the start.
const STALE: u32 = 60;

/// The sockets of this process that are looked at.
#[derive(Default)]
pub(crate) struct Sockets {
    files: Vec<c_int>,
    looks: u32,
}

impl Sockets {
    fn fullest(&mut self) -> u32 {
        if self.looks.is_multiple_of(STALE) {
            self.files = (0..MOST).filter(|file| fill_percent(*file).is_some()).collect();
        }
        self.looks = self.looks.wrapping_add(1);
        self.files.iter().filter_map(|file| fill_percent(*file)).max().unwrap_or(0)
    }
}

/// Asks Kamailio to call us every second. `false` when it has no memory left.
pub(crate) fn register() -> bool {
    // SAFETY: the core keeps a callback that lives as long as the process.
    unsafe { sys::register_timer(Some(abi::every_second), core::ptr::null_mut(), 1) >= 0 }
}

/// One look.
pub(crate) fn look() {
    process::with(|process| {
        let fullest = process.sockets.fullest();
        process.instance.live().note_backlog(fullest);
    });
}

/// How full the receive buffer of an IPv4 or IPv6 datagram socket is, bound or not; `None` for every other file.
fn fill_percent(file: c_int) -> Option<u32> {
    let is = |option: c_int, wanted: c_int| number(file, option) == Some(wanted);
    if !is(libc::SO_TYPE, libc::SOCK_DGRAM)
        || !(is(libc::SO_DOMAIN, libc::AF_INET) || is(libc::SO_DOMAIN, libc::AF_INET6))
    {
        return None;
    }
    let mut memory = [0_u32; MEMINFO_WORDS];
    let mut length = mem::size_of_val(&memory) as libc::socklen_t;
    let to: *mut c_void = memory.as_mut_ptr().cast();
    // SAFETY: fills at most `length` bytes of an array that we own.
    let got = unsafe { libc::getsockopt(file, libc::SOL_SOCKET, libc::SO_MEMINFO, to, &raw mut length) };
    let [waiting, most, ..] = memory;
    if got != 0 || most == 0 {
        return None;
    }
    u32::try_from(u64::from(waiting) * 100 / u64::from(most)).ok()
}

/// A number that the kernel knows about a socket; `None` for what is no socket.
fn number(file: c_int, option: c_int) -> Option<c_int> {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    let to: *mut c_void = (&raw mut value).cast();
    // SAFETY: fills one number that we own; a file that is none is an error, not a fault.
    let got = unsafe { libc::getsockopt(file, libc::SOL_SOCKET, option, to, &raw mut length) };
    (got == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_buffer_fills_and_other_files_have_none() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        assert_eq!(fill_percent(socket.as_raw_fd()), Some(0));
        for _ in 0..2_000 {
            let _ = socket.send_to(&[0; 1_000], address);
        }
        assert!(fill_percent(socket.as_raw_fd()).is_some_and(|percent| percent > 80));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        assert_eq!(fill_percent(listener.as_raw_fd()), None);
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert_eq!((fill_percent(file.as_raw_fd()), fill_percent(-1)), (None, None));
    }
}
