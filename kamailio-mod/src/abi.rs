//! The boundary: everything Kamailio finds in `trunk.so` by name, and every function it can call. Each of those is one
//! line through [`guarded`]; no decision is taken here.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::ptr;

use crate::guard::guarded;
use crate::params;
use crate::sys;
use crate::verdict::Plain;
use crate::{
    admit, backlog, dialog, explain, hangup, lifecycle, probe, pv, ready, route, rows, rpc, screen, suspects,
};

/// A table that Kamailio only reads. Raw pointers inside point to statics of ours.
#[repr(transparent)]
pub struct Shared<T>(T);
// SAFETY: the loader copies what it needs and writes to none of them (core/sr_module.c, register_module); the cells
// behind modparams are atomics.
unsafe impl<T> Sync for Shared<T> {}

/// The loader compares this with the running Kamailio's version, and refuses any other.
#[unsafe(no_mangle)]
pub static module_version: Shared<*const c_char> = Shared(sys::FULL_VERSION.as_ptr());
/// The loader compares this with the flags that the running Kamailio was compiled with.
#[unsafe(no_mangle)]
pub static module_flags: Shared<*const c_char> = Shared(sys::FLAGS.as_ptr());
/// The loader's own interface number.
#[unsafe(no_mangle)]
pub static module_interface_ver: c_uint = sys::MODULE_INTERFACE_VER;

/// What the loader registers.
#[unsafe(no_mangle)]
pub static exports: Shared<sys::module_exports> = Shared(sys::module_exports {
    name: c"trunk".as_ptr().cast_mut(),
    dlflags: sys::DEFAULT_DLFLAGS,
    cmds: (&raw const COMMANDS).cast_mut().cast(),
    params: (&raw const PARAMETERS).cast_mut().cast(),
    rpc_methods: (&raw const RPCS).cast_mut().cast(),
    pv_items: (&raw const VARIABLES).cast_mut().cast(),
    response_f: None,
    init_mod_f: Some(mod_init),
    init_child_f: Some(child_init),
    destroy_mod_f: Some(mod_destroy),
});

static COMMANDS: Shared<[sys::cmd_export; 5]> = Shared([
    command(c"trunk_screen", trunk_screen, sys::REQUEST_ROUTE),
    command(c"trunk_admit", trunk_admit, sys::REQUEST_ROUTE),
    command(c"trunk_route", trunk_route, sys::REQUEST_ROUTE),
    command(c"trunk_next", trunk_next, sys::FAILURE_ROUTE),
    sys::cmd_export {
        name: ptr::null_mut(),
        function: None,
        param_no: 0,
        fixup: None,
        free_fixup: None,
        flags: 0,
    },
]);

const fn command(
    name: &'static CStr,
    function: unsafe extern "C" fn(*mut sys::sip_msg, *mut c_char, *mut c_char) -> c_int,
    flags: c_uint,
) -> sys::cmd_export {
    let name = name.as_ptr().cast_mut();
    sys::cmd_export { name, function: Some(function), param_no: 0, fixup: None, free_fixup: None, flags }
}

const PARAMETER_COUNT: usize = if cfg!(feature = "panic-points") { 15 } else { 14 };
static PARAMETERS: Shared<[sys::param_export; PARAMETER_COUNT]> = Shared([
    parameter(c"shm_dir", sys::PARAM_STRING, params::SHM_DIR.cell()),
    parameter(c"fail_mode", sys::PARAM_STRING, params::FAIL_MODE.cell()),
    parameter(c"slots", sys::PARAM_INT, params::SLOTS.cell()),
    parameter(c"trunks", sys::PARAM_INT, params::TRUNKS.cell()),
    parameter(c"accounts", sys::PARAM_INT, params::ACCOUNTS.cell()),
    parameter(c"gateways", sys::PARAM_INT, params::GATEWAYS.cell()),
    parameter(c"ring_cells", sys::PARAM_INT, params::RING_CELLS.cell()),
    parameter(c"spill_cells", sys::PARAM_INT, params::SPILL_CELLS.cell()),
    parameter(c"failures", sys::PARAM_INT, params::FAILURES.cell()),
    parameter(c"strangers", sys::PARAM_INT, params::STRANGERS.cell()),
    parameter(c"flood", sys::PARAM_INT, params::FLOOD.cell()),
    parameter(c"customers", sys::PARAM_INT, params::CUSTOMERS.cell()),
    parameter(c"probe_s", sys::PARAM_INT, params::PROBE_S.cell()),
    #[cfg(feature = "panic-points")]
    parameter(c"panic_at", sys::PARAM_STRING, params::PANIC_AT.cell()),
    sys::param_export { name: ptr::null_mut(), type_: 0, param_pointer: ptr::null_mut() },
]);

const fn parameter(name: &'static CStr, kind: c_uint, cell: *mut c_void) -> sys::param_export {
    sys::param_export { name: name.as_ptr().cast_mut(), type_: kind, param_pointer: cell }
}

static VARIABLES: Shared<[sys::_pv_export; 2]> = Shared([
    sys::_pv_export {
        name: sys::str_ { s: c"trunk".as_ptr().cast_mut(), len: 5 },
        type_: sys::PVT_OTHER,
        getf: Some(pv_get_trunk),
        setf: None,
        parse_name: Some(pv_parse_trunk_name),
        parse_index: None,
        init_param: None,
        iparam: 0,
    },
    sys::_pv_export {
        name: sys::str_ { s: ptr::null_mut(), len: 0 },
        type_: 0,
        getf: None,
        setf: None,
        parse_name: None,
        parse_index: None,
        init_param: None,
        iparam: 0,
    },
]);

static RPCS: Shared<[sys::rpc_export; 5]> = Shared([
    question(c"trunk.calls", rpc_calls, &RPC_CALLS_DOC),
    question(c"trunk.explain", rpc_explain, &RPC_EXPLAIN_DOC),
    question(c"trunk.status", rpc_status, &RPC_STATUS_DOC),
    question(c"trunk.suspects", rpc_suspects, &RPC_SUSPECTS_DOC),
    sys::rpc_export { name: ptr::null(), function: None, doc_str: ptr::null_mut(), flags: 0 },
]);

const fn question(
    name: &'static CStr,
    function: unsafe extern "C" fn(*mut sys::rpc_t, *mut c_void),
    doc: &'static Shared<[*const c_char; 2]>,
) -> sys::rpc_export {
    let doc_str = (&raw const *doc).cast_mut().cast();
    sys::rpc_export { name: name.as_ptr(), function: Some(function), doc_str, flags: 0 }
}

static RPC_CALLS_DOC: Shared<[*const c_char; 2]> = Shared([
    c"Calls that are up, from a place among the slots on: id, trunk, state, seconds.".as_ptr(),
    ptr::null(),
]);

static RPC_EXPLAIN_DOC: Shared<[*const c_char; 2]> = Shared([
    c"What a call would be told now: host, user, source address, and the user whose password it brings."
        .as_ptr(),
    ptr::null(),
]);

static RPC_STATUS_DOC: Shared<[*const c_char; 2]> =
    Shared([c"Generation, calls, slots, ring and counters of the shared memory.".as_ptr(), ptr::null()]);

static RPC_SUSPECTS_DOC: Shared<[*const c_char; 2]> =
    Shared([c"Calls that nobody may end any more, from a place among the slots on.".as_ptr(), ptr::null()]);

static KEMI: Shared<[sys::sr_kemi; 5]> = Shared([
    kemi(c"screen", kemi_screen),
    kemi(c"admit", kemi_admit),
    kemi(c"route", kemi_route),
    kemi(c"next", kemi_next),
    sys::sr_kemi { mname: EMPTY, fname: EMPTY, rtype: 0, func: ptr::null_mut(), ptypes: [0; 6] },
]);
const EMPTY: sys::str_ = sys::str_ { s: ptr::null_mut(), len: 0 };

const fn kemi(
    name: &'static CStr,
    function: unsafe extern "C" fn(*mut sys::sip_msg) -> c_int,
) -> sys::sr_kemi {
    sys::sr_kemi {
        mname: sys::str_ { s: c"trunk".as_ptr().cast_mut(), len: 5 },
        fname: sys::str_ { s: name.as_ptr().cast_mut(), len: name.count_bytes() as c_int },
        rtype: sys::SR_KEMIP_INT as c_int,
        func: function as *mut c_void,
        ptypes: [0; 6],
    }
}

/// Called by the loader once the library is open: registers the functions for scripts in other languages (KEMI).
#[unsafe(no_mangle)]
pub extern "C" fn mod_register(_: *mut c_char, _: *mut c_int, _: *mut c_void, _: *mut c_void) -> c_int {
    // SAFETY: Kamailio keeps the pointer to a table that lives as long as the process, and only reads it.
    guarded("mod_register", || unsafe {
        Plain(sys::sr_kemi_modules_add((&raw const KEMI).cast_mut().cast()))
    })
}

extern "C" fn mod_init() -> c_int {
    guarded("mod_init", lifecycle::mod_init)
}

extern "C" fn child_init(rank: c_int) -> c_int {
    guarded("child_init", || lifecycle::child_init(rank))
}

extern "C" fn mod_destroy() {
    guarded("mod_destroy", lifecycle::mod_destroy);
}

unsafe extern "C" fn trunk_screen(msg: *mut sys::sip_msg, _: *mut c_char, _: *mut c_char) -> c_int {
    guarded("trunk_screen", || screen::trunk_screen(msg))
}

unsafe extern "C" fn trunk_admit(msg: *mut sys::sip_msg, _: *mut c_char, _: *mut c_char) -> c_int {
    guarded("trunk_admit", || admit::trunk_admit(msg))
}

unsafe extern "C" fn trunk_route(msg: *mut sys::sip_msg, _: *mut c_char, _: *mut c_char) -> c_int {
    guarded("trunk_route", || route::trunk_route(msg))
}

unsafe extern "C" fn trunk_next(msg: *mut sys::sip_msg, _: *mut c_char, _: *mut c_char) -> c_int {
    guarded("trunk_next", || route::trunk_next(msg))
}

unsafe extern "C" fn kemi_screen(msg: *mut sys::sip_msg) -> c_int {
    guarded("trunk_screen", || screen::trunk_screen(msg))
}

unsafe extern "C" fn kemi_admit(msg: *mut sys::sip_msg) -> c_int {
    guarded("trunk_admit", || admit::trunk_admit(msg))
}

unsafe extern "C" fn kemi_route(msg: *mut sys::sip_msg) -> c_int {
    guarded("trunk_route", || route::trunk_route(msg))
}

unsafe extern "C" fn kemi_next(msg: *mut sys::sip_msg) -> c_int {
    guarded("trunk_next", || route::trunk_next(msg))
}

unsafe extern "C" fn pv_get_trunk(
    msg: *mut sys::sip_msg,
    param: *mut sys::pv_param_t,
    value: *mut sys::pv_value_t,
) -> c_int {
    guarded("pv_get_trunk", || pv::get(msg, param, value))
}

unsafe extern "C" fn pv_parse_trunk_name(spec: *mut sys::_pv_spec, name: *mut sys::str_) -> c_int {
    guarded("pv_parse_trunk_name", || pv::parse_name(spec, name))
}

unsafe extern "C" fn rpc_calls(rpc: *mut sys::rpc_t, context: *mut c_void) {
    guarded("rpc_calls", || explain::calls(rpc, context));
}

unsafe extern "C" fn rpc_explain(rpc: *mut sys::rpc_t, context: *mut c_void) {
    guarded("rpc_explain", || explain::explain(rpc, context));
}

unsafe extern "C" fn rpc_status(rpc: *mut sys::rpc_t, context: *mut c_void) {
    guarded("rpc_status", || rpc::status(rpc, context));
}

unsafe extern "C" fn rpc_suspects(rpc: *mut sys::rpc_t, context: *mut c_void) {
    guarded("rpc_suspects", || suspects::suspects(rpc, context));
}

/// Registered in `mod_init` for every request route's end.
pub(crate) unsafe extern "C" fn script_done(msg: *mut sys::sip_msg, _: c_uint, _: *mut c_void) -> c_int {
    guarded("script_done", || admit::script_done(msg))
}

/// Registered in `mod_init` with the core's timer.
pub(crate) unsafe extern "C" fn every_second(_: c_uint, _: *mut c_void) {
    guarded("every_second", || {
        backlog::look();
        rows::every_second();
    });
    guarded("probe", probe::look);
}

/// Registered in `mod_init` for every new dialog.
pub(crate) unsafe extern "C" fn dialog_created(
    dialog: *mut sys::dlg_cell,
    _: c_int,
    params: *mut sys::dlg_cb_params,
) {
    guarded("dialog_created", || dialog::created(dialog, params));
}

/// Registered in `mod_init` for every dialog that Kamailio loads from its database.
pub(crate) unsafe extern "C" fn dialog_loaded(
    dialog: *mut sys::dlg_cell,
    _: c_int,
    _: *mut sys::dlg_cb_params,
) {
    guarded("dialog_loaded", || dialog::loaded(dialog));
}

/// Registered for each dialog of ours; the parameter is the call's slot.
pub(crate) unsafe extern "C" fn dialog_event(
    dialog: *mut sys::dlg_cell,
    event: c_int,
    params: *mut sys::dlg_cb_params,
) {
    guarded("dialog_event", || dialog::event(dialog, event, params));
}

/// Registered for each probe of a gateway; the parameter is the gateway's number and 1.
pub(crate) unsafe extern "C" fn probe_done(_: *mut sys::cell, _: c_int, params: *mut sys::tmcb_params) {
    guarded("probe_done", || probe::done(params));
}

/// Registered in `mod_init` for every request of Kamailio's own.
pub(crate) unsafe extern "C" fn local_request(t: *mut sys::cell, _: c_int, _: *mut sys::tmcb_params) {
    guarded("local_request", || hangup::request(t));
}

/// Registered for the first of two BYEs; the parameter tells what its answer waits for.
pub(crate) unsafe extern "C" fn bye_answered(_: *mut sys::cell, _: c_int, params: *mut sys::tmcb_params) {
    guarded("bye_answered", || hangup::answer(params));
}

/// Registered for each admitted INVITE; the parameter is the call's slot.
pub(crate) unsafe extern "C" fn tm_event(t: *mut sys::cell, event: c_int, params: *mut sys::tmcb_params) {
    guarded("tm_event", || ready::tm_event(t, event, params));
}
