//! Answers for people: lists as tables, one object as a list of its fields.
//!
//! Whatever an answer holds is shown as it is, but for characters that a terminal would obey.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value};

use super::request::{Request, Shape};
use super::webhooks;

/// Columns of calls.
const CALLS: &[(&str, &str)] = &[
    ("startAt", "START"),
    ("direction", "DIRECTION"),
    ("trunkId", "TRUNK"),
    ("applicationId", "APPLICATION"),
    ("from", "FROM"),
    ("to", "TO"),
    ("status", "STATUS"),
    ("sipCode", "SIP"),
    ("reason", "REASON"),
    ("durationMs", "MS"),
    ("cost", "COST"),
    ("currency", "CURRENCY"),
    ("callId", "CALL"),
];
/// Columns of rates.
const RATES: &[(&str, &str)] = &[
    ("prefix", "PREFIX"),
    ("pricePerMinute", "A MINUTE"),
    ("connectionFee", "FEE"),
    ("firstIncrement", "FIRST"),
    ("nextIncrement", "NEXT"),
    ("minimumCharge", "MINIMUM"),
];
/// Columns of refused calls.
const REFUSALS: &[(&str, &str)] = &[
    ("at", "AT"),
    ("trunkId", "TRUNK"),
    ("reason", "REASON"),
    ("limit", "LIMIT"),
    ("count", "COUNT"),
    ("sourceIp", "SOURCE"),
    ("from", "FROM"),
    ("to", "TO"),
];

/// Prints an answer.
pub(super) fn show(request: &Request, answer: &Value) {
    match request.shape {
        Shape::List(resource) => list(answer, resource.columns),
        Shape::Calls | Shape::Csv => list(answer, CALLS),
        Shape::Rates => list(answer, RATES),
        Shape::Deliveries => list(answer, webhooks::COLUMNS),
        Shape::Object => object(answer),
        Shape::Gone => println!("deleted"),
        Shape::Live => live(answer),
        Shape::Reload => reload(answer),
    }
}

/// A table without lines, which can be cut with a script as well.
pub(super) fn table(header: impl IntoIterator<Item = &'static str>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    table
}

pub(super) fn rows(objects: &[Value], columns: &[(&'static str, &'static str)]) -> Table {
    let mut table = table(columns.iter().map(|(_, name)| *name));
    for object in objects {
        table.add_row(columns.iter().map(|(field, _)| text(&object[*field])));
    }
    table
}

fn list(answer: &Value, columns: &[(&'static str, &'static str)]) {
    let objects = answer["objects"].as_array().map(Vec::as_slice).unwrap_or_default();
    println!("{}", rows(objects, columns).trim_fmt());
    let total = answer["meta"]["total"].as_u64().unwrap_or(0);
    if total > objects.len() as u64 {
        println!("{} of {total}", objects.len());
    }
    if let Some(cursor) = answer["meta"]["nextCursor"].as_str() {
        println!("go on with --cursor {}", text(&cursor.into()));
    }
}

fn object(answer: &Value) {
    let Some(fields) = answer.as_object() else {
        println!("{}", text(answer));
        return;
    };
    println!("{}", pairs(fields).trim_fmt());
}

fn pairs(fields: &Map<String, Value>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for (name, value) in fields {
        match value.as_array() {
            Some(entries) if entries.iter().any(Value::is_object) => {
                for (index, entry) in entries.iter().enumerate() {
                    table.add_row([format!("{name}[{index}]"), text(entry)]);
                }
            }
            _ => {
                table.add_row([name.clone(), text(value)]);
            }
        }
    }
    table
}

fn live(answer: &Value) {
    let mut fields = answer.as_object().cloned().unwrap_or_default();
    let refusals = fields.remove("lastRefusals");
    object(&Value::Object(fields));
    if let Some(refusals) = refusals.as_ref().and_then(Value::as_array).filter(|list| !list.is_empty()) {
        println!("\nlast refusals\n{}", rows(refusals, REFUSALS).trim_fmt());
    }
}

fn reload(answer: &Value) {
    println!("{}", text(&answer["result"]));
    for problem in answer["problems"].as_array().into_iter().flatten() {
        println!("  {}", text(problem));
    }
    let plan = &answer["plan"];
    for line in plan["lines"].as_array().into_iter().flatten() {
        println!("  {}", text(line));
    }
    let count = |name: &str| plan[name].as_u64();
    if let (Some(added), Some(changed), Some(removed)) = (count("added"), count("changed"), count("removed"))
    {
        let calls =
            count("callsTouched").map_or(String::new(), |calls| format!("; {calls} calls are up on them"));
        println!("{added} added, {changed} changed, {removed} removed{calls}");
    }
}

/// A value on one line; `-` for none.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.chars().flat_map(printable).collect(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let parts = fields.iter().map(|(name, value)| format!("{name}={}", text(value)));
            parts.collect::<Vec<_>>().join(" ")
        }
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
    }
}

fn printable(character: char) -> Vec<char> {
    match character.is_control() {
        true => character.escape_default().collect(),
        false => vec![character],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_one_line_and_obeyed_by_no_terminal() {
        assert_eq!(text(&json!(null)), "-");
        assert_eq!(text(&json!(["US", "DE"])), "US, DE");
        assert_eq!(text(&json!({"a": 1, "b": true})), "a=1 b=yes");
        assert_eq!(text(&json!("red\u{1b}[31m\n")), "red\\u{1b}[31m\\n");
    }

    #[test]
    fn a_table_has_a_row_for_each_object() {
        let objects = [json!({"at": "now", "limit": 2}), json!({"at": "then"})];
        let shown = rows(&objects, &[("at", "AT"), ("limit", "LIMIT")]).trim_fmt();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [vec!["AT", "LIMIT"], vec!["now", "2"], vec!["then", "-"]]);
    }
}
