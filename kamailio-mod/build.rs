//! Reads the headers of the Kamailio that is installed on this machine and writes what `src/sys.rs` includes:
//! `bindings.rs` (bindgen), `version.rs` (the strings the loader compares) and `layout.rs` (sizes for `tests/layout.rs`).
//!
//! It must never guess: a Kamailio it cannot ask, has no headers of, or does not know the layout of stops the build
//! with one line. Environment: `KAMAILIO_BIN` (default `kamailio`), `KAMAILIO_SRC` (default
//! `.deps/kamailio-<version>` of the workspace), `LIBCLANG_PATH` (as bindgen uses it).

#[path = "build/installed.rs"]
mod installed;
#[path = "build/layout.rs"]
mod layout;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

use installed::Installed;

/// Kamailio versions whose structure layout has been proven, with the list that `tests/layout.rs` compares against.
/// A new version enters with a new list, made by `probe/probe.c`, and a review of what moved.
const KNOWN: &[(&str, &str)] = &[("5.6.3", "probe/5.6.3.list")];

/// The structures, functions and values of Kamailio that the module may use. What is not here does not exist for us.
const TYPES: &[&str] = &[
    "_pv_export",
    "_pv_param",
    "_pv_spec",
    "_pv_value",
    "_str",
    "auth_api_s",
    "auth_body",
    "bind_auth_s_t",
    "cell",
    "cmd_export",
    "cseq_body",
    "db1_con_t",
    "db1_res_t",
    "db_func",
    "dig_cred",
    "dlg_binds",
    "dlg_cb_params",
    "dlg_cell",
    "dlg_iuid",
    "hdr_field",
    "ip_addr",
    "ksr_logdata",
    "load_dlg_f",
    "load_tm_f",
    "log_level_info",
    "module_exports",
    "msg_start",
    "param_export",
    "receive_info",
    "request_method",
    "rpc",
    "rpc_export",
    "script_cb_flag",
    "sip_msg",
    "sip_uri",
    "sr_kemi",
    "sr_module",
    "sip_protos",
    "tm_binds",
    "tmcb_params",
    "to_body",
    "ua_client",
    "ua_server",
    "uac_req",
    "_hdr_types_t",
    "_uri_type",
];
const FUNCTIONS: &[&str] = &[
    "check_dig_cred",
    "destroy_modules_phase",
    "find_export",
    "find_mod_export",
    "find_module_by_name",
    "find_param_export",
    "get_debug_facility",
    "get_debug_level",
    "get_max_procs",
    "my_pid",
    "parse_credentials",
    "parse_from_header",
    "parse_headers",
    "parse_to_header",
    "parse_uri",
    "pv_get_null",
    "pv_get_sintval",
    "pv_get_strval",
    "register_script_cb",
    "register_timer",
    "reset_dst_uri",
    "rewrite_uri",
    "set_dst_uri",
    "sr_kemi_modules_add",
];
const VARS: &[&str] = &[
    "AVP_NAME_STR",
    "DEFAULT_DLFLAGS",
    "DLGCB_.*",
    "DLG_DIR_.*",
    "DLG_FLAG_CHANGED_VARS",
    "DLG_FLAG_EXPIRED",
    "DLG_FLAG_NEW",
    "DLG_STATE_.*",
    "FAILURE_ROUTE",
    "HDR_.*_F",
    "L_.*",
    "MAX_URI_SIZE",
    "MODULE_INTERFACE_VER",
    "NO_SCRIPT",
    "PARAM_.*",
    "POST_SCRIPT_CB",
    "PROC_.*",
    "PV_.*",
    "QOP_.*",
    "REQUEST_ROUTE",
    "SIP_REPLY",
    "SIP_REQUEST",
    "SR_KEMIP_.*",
    "TMCB_.*",
    "T_CANCELED",
    "_km_log_func",
    "_ksr_slog_func",
    "log_level_info",
    "log_stderr",
    "gid",
    "process_no",
    "route_type",
    "uid",
];

fn main() {
    println!("cargo::rerun-if-env-changed=KAMAILIO_BIN");
    println!("cargo::rerun-if-env-changed=KAMAILIO_SRC");
    for file in ["build.rs", "build/installed.rs", "build/layout.rs", "wrapper.h", "probe/fields.def"] {
        println!("cargo::rerun-if-changed={file}");
    }
    if let Err(problem) = build() {
        println!("cargo::error={problem}");
        exit(1);
    }
}

fn build() -> Result<(), String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let bin = env::var("KAMAILIO_BIN").unwrap_or_else(|_| "kamailio".into());
    // An upgrade of the package replaces this file.
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(found) = env::split_paths(&path).map(|dir| dir.join(&bin)).find(|file| file.is_file()) {
        println!("cargo::rerun-if-changed={}", found.display());
    }
    let kamailio = Installed::ask(&bin)?;

    let list =
        KNOWN.iter().find(|(version, _)| *version == kamailio.version).map(|(_, list)| here.join(list));
    let list = list.ok_or_else(|| {
        let known: Vec<_> = KNOWN.iter().map(|(version, _)| *version).collect();
        format!("Kamailio {} is installed; this module knows {} only", kamailio.version, known.join(", "))
    })?;
    println!("cargo::rerun-if-changed={}", list.display());

    let headers = find_headers(&here, &kamailio)?;
    let defines = kamailio.defines()?;
    write(&out.join("version.rs"), &kamailio.version_rs())?;
    write(&out.join("layout.rs"), &layout::generate(&here.join("probe/fields.def"), &list)?)?;
    generate_bindings(&here, &headers, &defines, &out.join("bindings.rs"))?;

    // For tests/layout.rs only, which compiles the probe with exactly what bindgen saw.
    println!("cargo::rustc-env=TRUNK_PROBE_INCLUDE={}", headers.display());
    println!("cargo::rustc-env=TRUNK_PROBE_DEFINES={}", defines.join("\x1f"));
    println!("cargo::rustc-env=TRUNK_PROBE_LIST={}", list.display());
    Ok(())
}

/// The `src` folder of the Kamailio source tree, checked to be the installed version's.
fn find_headers(here: &Path, kamailio: &Installed) -> Result<PathBuf, String> {
    let given = env::var_os("KAMAILIO_SRC").filter(|path| !path.is_empty()).map(PathBuf::from);
    let root = given.unwrap_or_else(|| here.join("../.deps").join(format!("kamailio-{}", kamailio.version)));
    let src = root.join("src");
    let found = installed::source_version(&src.join("Makefile.defs")).ok_or_else(|| {
        format!(
            "no Kamailio {} source in {}: run `make deps`, or set KAMAILIO_SRC",
            kamailio.version,
            root.display()
        )
    })?;
    if found != kamailio.version {
        return Err(format!(
            "{} holds Kamailio {found}, but {} is installed: run `make deps`",
            root.display(),
            kamailio.version
        ));
    }
    println!("cargo::rerun-if-changed={}", src.join("Makefile.defs").display());
    fs::canonicalize(&src).map_err(|e| format!("{}: {e}", src.display()))
}

fn generate_bindings(here: &Path, headers: &Path, defines: &[String], to: &Path) -> Result<(), String> {
    // bindgen panics when it finds no libclang; ask first, so that the message names the cure.
    if let Err(e) = load_libclang() {
        return Err(format!("libclang is missing ({e}): run `make deps`"));
    }
    let mut builder = bindgen::Builder::default()
        .header(here.join("wrapper.h").display().to_string())
        .clang_arg(format!("-I{}", headers.display()))
        .clang_args(defines.iter().map(|d| format!("-D{d}")))
        .prepend_enum_name(false)
        .generate_comments(false)
        .derive_debug(false)
        .wrap_unsafe_ops(true)
        .rust_edition(bindgen::RustEdition::Edition2024)
        .layout_tests(false)
        .generate_cstr(true);
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in VARS {
        builder = builder.allowlist_var(name);
    }
    let bindings = builder.generate().map_err(|e| format!("bindgen on {}: {e}", headers.display()))?;
    bindings.write_to_file(to).map_err(|e| format!("{}: {e}", to.display()))
}

/// Whether libclang can be loaded; the error is the first line of bindgen's complaint.
fn load_libclang() -> Result<(), String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let loaded = std::panic::catch_unwind(bindgen::clang_version);
    std::panic::set_hook(hook);
    loaded
        .map(drop)
        .map_err(|p| p.downcast_ref::<String>().cloned().unwrap_or_else(|| "cannot be loaded".into()))
        .map_err(|text| text.lines().next().unwrap_or_default().to_owned())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
