//! The parameters of an RPC, one after another, whichever way they came: as JSON, or from kamcmd, which sends what looks like
//! a number as one.
//!
//! It must never keep a pointer into the request: jsonrpcs prints every number into the same buffer.

use core::ffi::{CStr, c_char, c_int, c_void};

use crate::sys;
use crate::text::Text;

/// Longest text that is taken.
pub(crate) type Asked = Text<256>;

/// What is left of them.
pub(crate) struct Parameters<'a> {
    rpc: &'a sys::rpc_t,
    context: *mut c_void,
}

/// A parameter that is no text and no number, or longer than any that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl<'a> Parameters<'a> {
    /// Of the request that Kamailio hands over.
    pub(crate) fn new(rpc: &'a sys::rpc_t, context: *mut c_void) -> Parameters<'a> {
        Parameters { rpc, context }
    }

    /// The next one as a text; `None` when there is none.
    pub(crate) fn text(&mut self) -> Result<Option<Asked>, Unreadable> {
        let scan: unsafe extern "C" fn(*mut c_void, *mut c_char, ...) -> c_int =
            self.rpc.scan.ok_or(Unreadable)?;
        // One that is not there leaves this or a text of ctl's own behind; one of another kind a null.
        let mut text: *mut c_char = c"".as_ptr().cast_mut();
        // SAFETY: ".s" stores a text in the place that it is given, as long as the request or until the next scan; "*" lets it be absent.
        let read = unsafe { scan(self.context, c"*.s".as_ptr().cast_mut(), &raw mut text) };
        if text.is_null() {
            return Err(Unreadable);
        }
        if read != 1 {
            return Ok(None);
        }
        // SAFETY: a NUL-terminated text, copied at once.
        let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
        Text::new(bytes).map(Some).ok_or(Unreadable)
    }

    /// From which place on a list is wanted: the next parameter, or the beginning.
    pub(crate) fn place(&mut self) -> u32 {
        let mut from: c_int = 0;
        if let Some(scan) = self.rpc.scan {
            // SAFETY: "*d" reads one optional integer into the place that it is given.
            unsafe { scan(self.context, c"*d".as_ptr().cast_mut(), &raw mut from) };
        }
        u32::try_from(from).unwrap_or(0)
    }
}
