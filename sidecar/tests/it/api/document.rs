//! The API's description: every path that it names answers, and `docs/api.md` says the same as it does.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

use super::{daemon, text};

const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

fn operations(document: &Value) -> Vec<(String, &'static str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item)| {
        METHODS.into_iter().filter_map(move |method| {
            let item: &Value = item;
            let path: &String = path;
            item.get(method).map(|operation| (path.clone(), method, operation))
        })
    };
    paths.iter().flat_map(of).collect()
}

/// The name of the schema that a value refers to.
fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn kind(schema: &Value) -> String {
    if let Some(name) = referred(schema) {
        return name.to_owned();
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let mut kinds: Vec<_> = choices.iter().map(kind).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", word.to_string().trim_matches('"')))
            .collect::<Vec<_>>()
            .join(", ");
    }
    let one = |name: &Value| match name.as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some(name) => name.to_owned(),
        None => "any".to_owned(),
    };
    match &schema["type"] {
        Value::Array(names) => names.iter().map(one).collect::<Vec<_>>().join(" or "),
        name => one(name),
    }
}

/// One line without what would break a table.
fn line(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The fields of an object, those of the parts it is put together of (`allOf`) included; nothing of what is no object.
fn fields_of<'a>(schemas: &'a Value, schema: &'a Value) -> Vec<(&'a String, &'a Value)> {
    if let Some(name) = referred(schema) {
        return fields_of(schemas, &schemas[name]);
    }
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let own = schema["properties"].as_object().into_iter().flatten();
    parts.flat_map(|part| fields_of(schemas, part)).chain(own).collect()
}

/// What is said of a schema: by itself, or by the part that is its own.
fn description(schema: &Value) -> &Value {
    let parts = schema["allOf"].as_array().into_iter().flatten();
    parts
        .map(|part| &part["description"])
        .chain([&schema["description"]])
        .rfind(|text| text.is_string())
        .unwrap_or(&Value::Null)
}

fn page(document: &Value) -> String {
    let mut page = format!(
        "# The HTTP API\n\nMade from the description that trunkd serves at `/openapi.json`; a test keeps it so.\n\n{}\n\
         ## Paths\n\n| method | path | what | body |\n|---|---|---|---|\n",
        text(&document["info"]["description"])
    );
    for (path, method, operation) in operations(document) {
        let bodies = operation["requestBody"]["content"].as_object();
        let body = bodies.and_then(|content| referred(&content.values().next()?["schema"])).unwrap_or("");
        let what = line(operation.get("summary").unwrap_or(&operation["description"]));
        let _ = writeln!(page, "| {} | `{path}` | {what} | {body} |", method.to_uppercase());
    }
    page.push_str("\n## Bodies and answers\n");
    let schemas = &document["components"]["schemas"];
    for (name, schema) in schemas.as_object().unwrap() {
        let fields = fields_of(schemas, schema);
        if fields.is_empty() {
            let told = ["type", "enum", "oneOf"].iter().any(|word| !schema[word].is_null());
            assert!(told, "{name} is nothing that this page can tell: {schema}");
            continue;
        }
        let _ = writeln!(
            page,
            "\n### {name}\n\n{}\n\n| field | type | what |\n|---|---|---|",
            line(description(schema))
        );
        for (field, schema) in fields {
            let _ = writeln!(page, "| `{field}` | {} | {} |", kind(schema), line(&schema["description"]));
        }
    }
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_there_and_written_down() {
    let (_site, daemon, admin) = daemon().await;
    let document = admin.get("/openapi.json").await.expect(200).body;
    assert!(text(&document["openapi"]).starts_with("3.1"), "{}", document["openapi"]);
    let operations = operations(&document);
    assert!(operations.len() > 30, "{}", operations.len());
    for (path, method, _) in &operations {
        let path = path.replace(['{', '}'], "");
        let request = admin.request(Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), &path);
        let status = admin.with_token("none").send(request.bearer_auth("none")).await.status;
        assert!(![404, 405].contains(&status) && status < 500, "{method} {path}: {status}");
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    let page = page(&document);
    if std::env::var_os("TRUNKLINE_WRITE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/api.md is not what the API describes: run this test with TRUNKLINE_WRITE_DOCS=1"
    );
    daemon.stop().await.unwrap();
}

/// The texts in quotation marks that look like a code, in the arguments of what makes a refusal.
fn codes(source: &str) -> BTreeSet<String> {
    const MAKERS: [&str; 7] = [
        "Broken::new(",
        "Refusal::new(",
        "Refusal::fault(",
        "with_status(",
        "unavailable(",
        "code: ",
        "=> (\"",
    ];
    let mut found = BTreeSet::new();
    for maker in MAKERS {
        for (at, _) in source.match_indices(maker) {
            let after = &source[at + maker.trim_end_matches('"').len()..];
            let end = after.find(';').unwrap_or(after.len()).min(200);
            let arguments = &after[..after.floor_char_boundary(end)];
            let word =
                |text: &&str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
            // Every second piece stands between quotation marks.
            found.extend(arguments.split('"').skip(1).step_by(2).find(word).map(str::to_owned));
        }
    }
    found
}

fn sources(dir: &Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, all),
            false => {
                let text = std::fs::read_to_string(path).unwrap();
                all.push(text.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
            }
        }
    }
}

#[test]
fn every_code_of_a_refusal_is_in_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let guide = std::fs::read_to_string(root.join("api/guide.md")).unwrap();
    let mut all = Vec::new();
    for part in ["api", "edit", "input"] {
        sources(&root.join(part), &mut all);
    }
    let found: BTreeSet<String> = all.iter().flat_map(|source| codes(source)).collect();
    for known in
        ["rate_limited", "not_canonical", "store_full", "malformed_json", "precondition_failed", "no_room"]
    {
        assert!(found.contains(known), "{known} is not found any more: {found:?}");
    }
    let missing: Vec<_> = found.iter().filter(|code| !guide.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
