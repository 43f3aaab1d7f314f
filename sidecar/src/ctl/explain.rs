//! An explanation for people: the steps of the decision in order, the verdict, and the gateways that would be tried.

use serde_json::Value;

use super::show::{rows, text};

/// Columns of gateways.
const GATEWAYS: &[(&str, &str)] = &[
    ("uri", "GATEWAY"),
    ("address", "ADDRESS"),
    ("priority", "PRIORITY"),
    ("weight", "WEIGHT"),
    ("share", "SHARE"),
    ("health", "HEALTH"),
];

/// Prints it.
pub(super) fn show(answer: &Value) {
    let said = |name: &str| text(&answer[name]);
    println!(
        "table {} (revision {}), trunk {}, account {}",
        said("generation"),
        said("revision"),
        said("trunkId"),
        said("accountId")
    );
    for step in answer["steps"].as_array().into_iter().flatten() {
        let mark = if step["passed"] == Value::Bool(true) { "ok " } else { "NO " };
        println!("  {mark} {:<12} {}", text(&step["step"]), text(&step["detail"]));
    }
    match answer["verdict"].as_str() {
        Some("admit") => println!("would be admitted"),
        Some("challenge") => println!("would be asked for a password (407), realm {}", said("realm")),
        _ => println!("would be refused: {} ({})", said("reason"), said("sipCode")),
    }
    let gateways = answer["gateways"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !gateways.is_empty() {
        println!("\n{}", rows(gateways, GATEWAYS).trim_fmt());
    }
}
