//! Turns `probe/fields.def` and the proven list of one version into `layout.rs`: what bindgen laid out, and what is
//! expected. It must never compute a layout itself.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The Rust text of `layout.rs`: `BINDGEN`, evaluated by rustc over the generated types, and constant assertions that
/// stop the build when a structure is not laid out as the list of this version says.
pub(crate) fn generate(fields: &Path, list: &Path) -> Result<String, String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let (fields, list) = (read(fields)?, read(list)?);
    let mut table = String::from("pub const BINDGEN: &[(&str, usize)] = &[\n");
    let mut proofs = String::new();
    for line in fields.lines() {
        let Some((key, expression)) = entry(line) else { continue };
        let expected = list.lines().find_map(|l| l.strip_prefix(&format!("{key} ")));
        let expected = expected.ok_or_else(|| format!("the layout list has no line for {key}"))?;
        let _ = writeln!(table, "    ({key:?}, {expression}),");
        let _ = writeln!(proofs, "const _: () = assert!({expression} == {expected}, {key:?});");
    }
    Ok(format!("{table}];\n{proofs}"))
}

/// `FIELD(a, b)` becomes `("a.b", "offset_of!(a, b)")`.
fn entry(line: &str) -> Option<(String, String)> {
    if let Some(tag) = line.strip_prefix("SIZE(").and_then(|rest| rest.strip_suffix(')')) {
        return Some((tag.to_owned(), format!("size_of::<{tag}>()")));
    }
    let (tag, field) = line.strip_prefix("FIELD(")?.strip_suffix(')')?.split_once(", ")?;
    let rust_field = if field == "type" { "type_" } else { field };
    Some((format!("{tag}.{field}"), format!("core::mem::offset_of!({tag}, {rust_field})")))
}
