//! An answer to an RPC: one structure with numbers, texts and lists of texts.
//!
//! Numbers are printed as decimals, because Kamailio's RPC integers have 32 bits. It must never allocate, and never be used
//! after the RPC has returned.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Write as _};
use core::ptr;

use crate::sys;
use crate::text::Text;

/// Room for one entry of a list.
const ENTRY_BYTES: usize = 512;

/// The structure under construction.
pub(crate) struct Reply<'a> {
    rpc: &'a sys::rpc_t,
    handle: *mut c_void,
}

/// A list in it.
pub(crate) struct List<'a> {
    rpc: &'a sys::rpc_t,
    handle: *mut c_void,
}

impl<'a> Reply<'a> {
    /// Begins the answer; `None` when Kamailio has no memory for it.
    pub(crate) fn begin(rpc: &'a sys::rpc_t, context: *mut c_void) -> Option<Reply<'a>> {
        let mut handle: *mut c_void = ptr::null_mut();
        // SAFETY: "{" takes one pointer, where it stores the new structure.
        let added = unsafe { rpc.add?(context, c"{".as_ptr().cast_mut(), &raw mut handle) };
        (added >= 0).then_some(Reply { rpc, handle })
    }

    /// Adds a number.
    pub(crate) fn number(&self, name: &CStr, value: u64) -> Option<()> {
        let printf = self.rpc.struct_printf?;
        let (name, format) = (name.as_ptr().cast_mut(), c"%llu".as_ptr().cast_mut());
        // SAFETY: printf-like, with one argument of the type that the format names.
        (unsafe { printf(self.handle, name, format, value) } >= 0).then_some(())
    }

    /// Adds a number that may be below 0.
    pub(crate) fn signed(&self, name: &CStr, value: i64) -> Option<()> {
        let printf = self.rpc.struct_printf?;
        let (name, format) = (name.as_ptr().cast_mut(), c"%lld".as_ptr().cast_mut());
        // SAFETY: as above.
        (unsafe { printf(self.handle, name, format, value) } >= 0).then_some(())
    }

    /// Adds a text; a NUL in it ends it.
    pub(crate) fn text(&self, name: &CStr, value: &str) -> Option<()> {
        let value = terminated(format_args!("{value}"))?;
        let add: unsafe extern "C" fn(*mut c_void, *mut c_char, ...) -> c_int = self.rpc.struct_add?;
        let format = c"s".as_ptr().cast_mut();
        // SAFETY: "s" takes a name and a NUL-terminated text, and copies both.
        (unsafe { add(self.handle, format, name.as_ptr(), value.bytes().as_ptr()) } >= 0).then_some(())
    }

    /// Adds a list.
    pub(crate) fn list(&self, name: &CStr) -> Option<List<'a>> {
        let mut handle: *mut c_void = ptr::null_mut();
        let format = c"[".as_ptr().cast_mut();
        // SAFETY: "[" takes a name and one pointer, where it stores the new list.
        let added = unsafe { self.rpc.struct_add?(self.handle, format, name.as_ptr(), &raw mut handle) };
        (added >= 0).then_some(List { rpc: self.rpc, handle })
    }
}

impl List<'_> {
    /// Adds an entry.
    pub(crate) fn entry(&self, text: fmt::Arguments<'_>) -> Option<()> {
        let text = terminated(text)?;
        let format = c"s".as_ptr().cast_mut();
        // SAFETY: "s" takes a NUL-terminated text, and copies it.
        (unsafe { self.rpc.array_add?(self.handle, format, text.bytes().as_ptr()) } >= 0).then_some(())
    }
}

fn terminated(text: fmt::Arguments<'_>) -> Option<Text<ENTRY_BYTES>> {
    let mut room = Text::EMPTY;
    write!(room, "{text}\0").ok()?;
    Some(room)
}

/// Answers with an error.
pub(crate) fn fail(rpc: &sys::rpc_t, context: *mut c_void, code: c_int, text: &CStr) {
    if let Some(fault) = rpc.fault {
        // SAFETY: printf-like; the texts have no directives.
        unsafe { fault(context, code, text.as_ptr().cast_mut()) };
    }
}
