//! The layout that bindgen computed, the layout that the C compiler computes with the same headers and defines, and the
//! list that this Kamailio version is known by: all three must say the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use trunk::sys;

/// Compiles and runs `probe/probe.c`; its output.
fn probe() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().expect("a folder for the probe");
    let binary = out.path().join("probe");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut compile = Command::new(&compiler);
    compile.arg("-I").arg(env!("TRUNK_PROBE_INCLUDE")).arg("-o").arg(&binary).arg(here.join("probe/probe.c"));
    compile.args(env!("TRUNK_PROBE_DEFINES").split('\x1f').map(|define| format!("-D{define}")));
    let output = compile.output().unwrap_or_else(|e| panic!("cannot run {compiler}: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(&binary).output().expect("the probe runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("the probe prints text")
}

#[test]
fn c_and_rust_lay_out_every_structure_alike() {
    let printed = probe();
    let from_c: Vec<_> = printed.lines().filter(|line| !line.starts_with('"')).map(str::to_owned).collect();
    let from_rust: Vec<_> = sys::BINDGEN.iter().map(|(key, number)| format!("{key} {number}")).collect();
    assert_eq!(from_c, from_rust);
    let list = fs::read_to_string(env!("TRUNK_PROBE_LIST")).expect("the list of this version");
    assert_eq!(from_c, list.lines().collect::<Vec<_>>());
}

#[test]
fn the_headers_compile_to_the_strings_that_the_loader_compares() {
    let printed = probe();
    let strings: Vec<_> = printed.lines().filter(|line| line.starts_with('"')).collect();
    let expected =
        [sys::FULL_VERSION, sys::FLAGS].map(|text| format!("\"{}\"", text.to_str().expect("ASCII")));
    assert_eq!(strings, expected);
}
