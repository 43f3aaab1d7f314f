//! The description of the API (OpenAPI 3.1): made from the handlers, served without a token.
//!
//! A handler says what is its own: body, answer, filters. What holds for all of a kind is added here, by the shape of
//! the path and the method: page, conditions, idempotency, and the problems that anybody may be told.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, Info, OpenApi, Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::ask::{DEFAULT_LIMIT, LIMIT, OFFSET};
use super::problem::{Document, Fault};
use super::{Api, repeat};

const TOKEN: &str = "token";
const PROBLEM: &str = "Problem";
/// What holds for every path, for people. Every code of a refusal stands in it; a test looks.
const GUIDE: &str = include_str!("guide.md");

/// The document before any handler is in it.
pub(super) fn base() -> OpenApi {
    let mut document = OpenApi::new(Info::new("Trunkline", env!("CARGO_PKG_VERSION")), Paths::new());
    document.info.description = Some(GUIDE.to_owned());
    document.info.license = Some(utoipa::openapi::License::new("GPL-2.0-or-later"));
    let mut components = Components::new();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let mut below = Vec::new();
    Document::schemas(&mut below);
    components.schemas.extend(below);
    components.schemas.insert(Fault::name().into_owned(), Fault::schema());
    components.schemas.insert(PROBLEM.to_owned(), Document::schema());
    document.components = Some(components);
    document.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0])]);
    document
}

/// The path that serves the document.
pub(super) fn route(document: OpenApi) -> Router<Api> {
    let text = complete(document).to_json().unwrap_or_default();
    let json = HeaderValue::from_static("application/json");
    Router::new().route("/openapi.json", get(async || ([(header::CONTENT_TYPE, json)], text).into_response()))
}

/// The document with what holds for many operations.
fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let one = path.ends_with('}');
        let lists = (item.post.is_some() && !path.contains(':')) || path.ends_with("/rates");
        for (method, operation) in operations(item) {
            let name = operation.operation_id.take().unwrap_or_default();
            operation.operation_id = Some(format!("{}_{name}", operation_tag(operation).replace('-', "_")));
            parameters(operation, path, method, one, lists);
            problems(operation, path, method, one);
        }
    }
    document
}

/// Whether an operation that is no `GET` changes the configuration through the writer.
fn writes(operation: &Operation) -> bool {
    !["explain", "reload", "webhooks", "webhook-deliveries"].contains(&operation_tag(operation))
}

/// Whether a write of this path is held against the version of an object.
fn versioned(path: &str, one: bool) -> bool {
    one || path.ends_with("/rotate-secret") || path.ends_with("/rates:import")
}

fn operation_tag(operation: &Operation) -> &str {
    operation.tags.iter().flatten().next().map_or("", String::as_str)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, post, patch, delete, .. } = item;
    let all = [("get", get), ("post", post), ("patch", patch), ("delete", delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn parameters(operation: &mut Operation, path: &str, method: &str, one: bool, lists: bool) {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut added: Vec<Parameter> =
        names.map(|name| parameter(name, ParameterIn::Path, "Its id", text())).collect();
    let number = |least: u64, most: u64| {
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least as f64)).maximum(Some(most as f64))
    };
    match method {
        "get" if lists => {
            let (least, most) = (u64::from(*LIMIT.start()), u64::from(*LIMIT.end()));
            let limit = number(least, most).default(Some(DEFAULT_LIMIT.into()));
            added.push(parameter("limit", ParameterIn::Query, "Objects on a page", limit));
            let offset = number(*OFFSET.start(), *OFFSET.end()).default(Some(0.into()));
            added.push(parameter("offset", ParameterIn::Query, "Objects before the page", offset));
        }
        "get" if one => {
            let about = "Answers 304 if the object has this version still";
            added.push(parameter("If-None-Match", ParameterIn::Header, about, text()));
        }
        "get" => {}
        _ if !writes(operation) => {}
        _ => {
            let applied = text().enum_values(Some(["applied"]));
            let about = "Answers when every call is judged by the change; 202 if that takes too long";
            added.push(parameter("wait", ParameterIn::Query, about, applied));
            let key = text().min_length(Some(1)).max_length(Some(repeat::MAX_KEY_BYTES));
            let about =
                "The same request under the same key is done once, and gets the same answer for a day";
            added.push(parameter("Idempotency-Key", ParameterIn::Header, about, key));
            if versioned(path, one) {
                let about = "Refuses the change if the object has another version";
                added.push(parameter("If-Match", ParameterIn::Header, about, text()));
            }
        }
    }
    let known = operation.parameters.get_or_insert_default();
    known.splice(0..0, added.into_iter().map(RefOr::T));
}

fn parameter(name: &str, place: ParameterIn, about: &str, schema: ObjectBuilder) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(Some(about)).schema(Some(Schema::Object(schema.build()))).build()
}

fn problems(operation: &mut Operation, path: &str, method: &str, one: bool) {
    let mut told = vec![
        ("400", "The request cannot be understood"),
        ("401", "There is no good token"),
        ("403", "The token has another scope"),
        ("429", "There are too many requests"),
        ("503", "The store cannot be used now"),
    ];
    if path.contains('{') {
        told.push(("404", "There is no such object, or it is somebody else's"));
    }
    if method != "get" {
        told.push(("409", "What is there stands against it"));
        told.push(("422", "Fields break their rules, or the key was used for another request"));
    }
    if method != "get" && writes(operation) {
        told.push(("202", "The change is stored, and not yet in force"));
    }
    if operation.request_body.is_some() {
        told.push(("413", "The body is too large"));
        told.push(("415", "The body has another type"));
    }
    if method != "get" && writes(operation) && versioned(path, one) {
        told.push(("412", "The object has another version"));
    }
    if one && method == "get" {
        told.push(("304", "The object has this version still"));
    }
    let responses = &mut operation.responses.responses;
    let good = responses.values().next().cloned();
    for (status, about) in told {
        let response = match (status, &good) {
            ("202", Some(RefOr::T(good))) => {
                let mut late = good.clone();
                about.clone_into(&mut late.description);
                late
            }
            ("304", _) => ResponseBuilder::new().description(about).build(),
            _ => {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
                ResponseBuilder::new().description(about).content("application/problem+json", content).build()
            }
        };
        responses.insert(status.to_owned(), response.into());
    }
}
