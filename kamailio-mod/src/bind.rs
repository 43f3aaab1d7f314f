//! What we use of other modules: tm and dialog, which must be there, and auth, which may be.
//!
//! Their functions are found by name through the core, so their `.so` files must be loaded, and in the configuration
//! before ours: a module's `mod_init` runs in load order, and auth fills in its own table there.

use core::ffi::{CStr, c_int, c_void};
use core::mem::{MaybeUninit, transmute};
use core::ptr::NonNull;

use crate::kstr::KStr;
use crate::sys;

/// The functions of the modules we lean on.
pub(crate) struct Binds {
    /// Transactions.
    pub(crate) tm: sys::tm_binds,
    /// Dialogs.
    pub(crate) dialog: sys::dlg_binds,
    /// Finding a dialog by its numbers; `None` when this dialog module has no such function.
    pub(crate) find_dialog: Option<FindDialog>,
    /// Digest; `None` when the auth module is not loaded.
    pub(crate) auth: Option<sys::auth_api_s>,
}

/// `dlg_get_by_iuid` (modules/dialog/dlg_hash.h): the dialog with one reference more, or null.
pub(crate) type FindDialog = unsafe extern "C" fn(*mut sys::dlg_iuid) -> *mut sys::dlg_cell;

impl Binds {
    /// Finds them all; the error is the line to print, naming every module that is missing.
    pub(crate) fn find() -> Result<Binds, String> {
        let tm = load::<sys::tm_binds>(c"load_tm", sys::NO_SCRIPT);
        let dialog = load::<sys::dlg_binds>(c"load_dlg", 0);
        let auth = load::<sys::auth_api_s>(c"bind_auth_s", 0);
        match (tm, dialog) {
            (Some(tm), Some(dialog)) => Ok(Binds { tm, dialog, find_dialog: find_dialog(), auth }),
            (tm, dialog) => {
                let missing = [(tm.is_none(), "tm.so"), (dialog.is_none(), "dialog.so")];
                let names: Vec<_> = missing.iter().filter(|(gone, _)| *gone).map(|(_, name)| *name).collect();
                Err(format!("load {} before trunk.so: this module needs it", names.join(" and ")))
            }
        }
    }
}

/// Not in the table that dialog hands out, so it is asked of the library itself.
fn find_dialog() -> Option<FindDialog> {
    let module = dialog_module()?;
    // SAFETY: the loader's record of a module that stays loaded for as long as the process lives.
    let handle = unsafe { module.as_ref() }.handle;
    // SAFETY: looks the name up in that library and does not keep it.
    let symbol = NonNull::new(unsafe { libc::dlsym(handle, c"dlg_get_by_iuid".as_ptr()) })?;
    // SAFETY: the function of this name in every dialog module whose headers this was built from.
    Some(unsafe { transmute::<*mut c_void, FindDialog>(symbol.as_ptr()) })
}

/// A number among the dialog module's parameters; `None` when there is none of this name.
pub(crate) fn dialog_parameter(name: &CStr) -> Option<c_int> {
    let module = dialog_module()?;
    let (mut kind, wanted) = (0, sys::PARAM_INT);
    // SAFETY: looks the name up in the module's own list.
    let cell =
        unsafe { sys::find_param_export(module.as_ptr(), name.as_ptr().cast_mut(), wanted, &raw mut kind) };
    // SAFETY: null, or the module's own variable of the kind that was asked for.
    unsafe { cell.cast::<c_int>().as_ref() }.copied()
}

/// A text among the dialog module's parameters; `None` when there is none of this name, or it is empty.
pub(crate) fn dialog_text(name: &CStr) -> Option<&'static [u8]> {
    let module = dialog_module()?;
    let (mut kind, wanted) = (0, sys::PARAM_STR);
    // SAFETY: looks the name up in the module's own list.
    let cell =
        unsafe { sys::find_param_export(module.as_ptr(), name.as_ptr().cast_mut(), wanted, &raw mut kind) };
    // SAFETY: null, or the module's own variable of the kind that was asked for, set before any `mod_init` and kept for good.
    let text = unsafe { cell.cast::<sys::str_>().as_ref() }?;
    // SAFETY: as above.
    Some(unsafe { KStr::new(text) }.bytes()).filter(|text| !text.is_empty())
}

fn dialog_module() -> Option<NonNull<sys::sr_module>> {
    // SAFETY: looks the name up in the list of loaded modules and does not keep it.
    NonNull::new(unsafe { sys::find_module_by_name(c"dialog".as_ptr().cast_mut()) })
}

/// Tables of function pointers that a module fills in; all-zero bytes are a valid (empty) one.
///
/// # Safety
/// Only for bindgen structs made of `Option<fn>` and raw pointers.
unsafe trait Table {}
// SAFETY: function pointers and two reserved pointers (modules/tm/tm_load.h).
unsafe impl Table for sys::tm_binds {}
// SAFETY: function pointers (modules/dialog/dlg_load.h).
unsafe impl Table for sys::dlg_binds {}
// SAFETY: function pointers and one data pointer (modules/auth/api.h).
unsafe impl Table for sys::auth_api_s {}

/// What Kamailio's `load_*_api` inline functions do: find the loader by name, let it fill in its table.
fn load<T: Table>(name: &CStr, param_no: c_int) -> Option<T> {
    // SAFETY: looks the name up in the list of loaded modules and does not keep it.
    let found = unsafe { sys::find_export(name.as_ptr().cast_mut(), param_no, 0) }?;
    // SAFETY: exported as a script function, but by contract of that name a loader that takes its table: the same cast
    // that the module's own header makes.
    let loader: unsafe extern "C" fn(*mut T) -> c_int = unsafe { transmute(found) };
    let mut table = MaybeUninit::<T>::zeroed();
    // SAFETY: the loader writes one table of this type; tests/layout.rs holds its size.
    if unsafe { loader(table.as_mut_ptr()) } < 0 {
        return None;
    }
    // SAFETY: zeroed bytes are a valid `Table`, and the loader only stored valid pointers.
    Some(unsafe { table.assume_init() })
}
