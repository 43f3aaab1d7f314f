//! Stands in for the Kamailio binary when the unit tests are linked: the log works, everything else is absent.
//! It must never be part of the module, and never pretend to be Kamailio: a test that needs more runs the real one.

use core::ffi::{c_char, c_int};
use core::ptr;

use crate::sys;

/// A symbol that the tests link against and never call.
macro_rules! absent {
    ($($name:ident)*) => { $(
        #[unsafe(no_mangle)]
        extern "C" fn $name() {
            eprintln!("unit tests must not call {}", stringify!($name));
            std::process::abort();
        }
    )* };
}

absent! {
    check_dig_cred destroy_modules_phase find_export find_mod_export find_module_by_name find_param_export parse_credentials parse_from_header parse_headers
    parse_uri pv_get_null pv_get_sintval pv_get_strval register_script_cb register_timer rewrite_uri set_dst_uri sr_kemi_modules_add
}

#[repr(transparent)]
struct Shared<T>(T);
// SAFETY: nothing writes to them.
unsafe impl<T> Sync for Shared<T> {}

#[unsafe(no_mangle)]
static _ksr_slog_func: sys::ksr_slog_f = None;
#[unsafe(no_mangle)]
static _km_log_func: sys::km_log_f = None;
#[unsafe(no_mangle)]
static log_stderr: c_int = 1;
#[unsafe(no_mangle)]
static process_no: c_int = 0;
#[unsafe(no_mangle)]
static uid: c_int = 0;
#[unsafe(no_mangle)]
static gid: c_int = 0;
#[unsafe(no_mangle)]
static log_level_info: Shared<[sys::log_level_info; 9]> =
    Shared([sys::log_level_info { name: c"TEST".as_ptr().cast_mut(), syslog_level: 0 }; 9]);

#[unsafe(no_mangle)]
extern "C" fn get_debug_level(_: *mut c_char, _: c_int) -> c_int {
    2
}

#[unsafe(no_mangle)]
extern "C" fn get_debug_facility(_: *mut c_char, _: c_int) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn my_pid() -> c_int {
    c_int::try_from(std::process::id()).unwrap_or(0)
}

#[test]
fn a_line_can_be_written_without_kamailio() {
    let kind = crate::log::Kind::new();
    crate::log::line(crate::log::Level::Error, &kind, format_args!("hello from {:p}", ptr::null::<u8>()));
}
