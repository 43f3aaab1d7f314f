//! What a command asks of the API: method, path, query, body.
//!
//! Pure but for a secret that is read from standard input. What is wrong with a value is said with its flag.

use clap::ArgMatches;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Failure;
use super::resource::{Field, Filter, Kind, Resource, filter};
use super::webhooks;

/// What is shown of the answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A page of these objects.
    List(&'static Resource),
    /// One of these objects.
    Object,
    /// Nothing: it is gone.
    Gone,
    /// Calls.
    Calls,
    /// A file.
    Csv,
    /// Rates of a plan.
    Rates,
    /// Deliveries.
    Deliveries,
    /// What is live.
    Live,
    /// What a reload changes.
    Reload,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) if_match: Option<String>,
    /// Every page of a list is wanted.
    pub(super) all_pages: bool,
    pub(super) shape: Shape,
}

impl Request {
    pub(super) fn get(path: impl Into<String>, shape: Shape) -> Request {
        Request {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            if_match: None,
            all_pages: false,
            shape,
        }
    }

    pub(super) fn post(path: impl Into<String>, body: Option<Value>, shape: Shape) -> Request {
        Request { method: Method::POST, body, ..Request::get(path, shape) }
    }

    /// From what was typed.
    pub(super) fn read(name: &str, chosen: &ArgMatches) -> Result<Request, Failure> {
        if let Some(resource) = Resource::named(name) {
            let (verb, typed) = chosen.subcommand().unwrap_or(("", chosen));
            return of_resource(resource, verb, typed);
        }
        if let Some(request) = webhooks::read(name, chosen) {
            return request;
        }
        let text = |id: &str| chosen.get_one::<String>(id).cloned();
        Ok(match name {
            "live" => {
                let path = text("id")
                    .map_or("/v1/live".to_owned(), |id| format!("/v1/trunks/{}/live", segment(&id)));
                Request::get(path, Shape::Live)
            }
            "status" => Request::get("/v1/status", Shape::Object),
            "reload" => {
                let mut request = Request::post("/v1/reload", None, Shape::Reload);
                if chosen.get_flag("dry-run") {
                    request.query.push(("dryRun", "true".to_owned()));
                }
                request
            }
            "explain" => explain(chosen)?,
            "calls" => match text("id") {
                Some(id) => Request::get(format!("/v1/calls/{}", segment(&id)), Shape::Object),
                None => calls(chosen),
            },
            other => return Err(Failure::Usage(format!("there is no command {other}"))),
        })
    }
}

/// A part of a path: whatever it holds, it stays one part.
pub(super) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn of_resource(resource: &'static Resource, verb: &str, typed: &ArgMatches) -> Result<Request, Failure> {
    let text = |id: &str| typed.get_one::<String>(id).cloned().unwrap_or_default();
    let collection = match resource.is_part() {
        true => resource.path.replace("{trunk}", &segment(&text("trunk"))),
        false => resource.path.to_owned(),
    };
    let one = || format!("{collection}/{}", segment(&text("id")));
    if resource.name == "rate-plan"
        && let Some(request) = of_rates(verb, &one, typed)
    {
        return Ok(request);
    }
    let mut request = match verb {
        "list" => {
            let mut request = Request::get(collection, Shape::List(resource));
            request.all_pages = typed.get_one::<u64>("limit").is_none();
            paging(typed, &mut request);
            request.query.extend(resource.filters.iter().filter_map(|filter| filter.typed(typed)));
            return Ok(request);
        }
        "show" => return Ok(Request::get(one(), Shape::Object)),
        "create" => Request::post(collection, Some(body(resource, typed)?), Shape::Object),
        "update" => {
            let body = body(resource, typed)?;
            if body.as_object().is_none_or(Map::is_empty) {
                return Err(Failure::Usage(
                    "name at least one field to change; --help lists them".to_owned(),
                ));
            }
            let if_match = typed.get_one::<String>("if-match").cloned();
            Request { method: Method::PATCH, if_match, ..Request::post(one(), Some(body), Shape::Object) }
        }
        "delete" => {
            let mut request = Request { method: Method::DELETE, ..Request::get(one(), Shape::Gone) };
            if resource.carries_calls && typed.get_flag("force") {
                request.query.push(("force", "true".to_owned()));
            }
            request
        }
        other => return Err(Failure::Usage(format!("{} has no command {other}", resource.name))),
    };
    if !typed.get_flag("no-wait") {
        request.query.push(("wait", "applied".to_owned()));
    }
    Ok(request)
}

/// What is asked of a rate plan beside the verbs of all.
fn of_rates(verb: &str, one: &impl Fn() -> String, typed: &ArgMatches) -> Option<Request> {
    let text = |id: &str| typed.get_one::<String>(id).cloned();
    match verb {
        "rates" => {
            let shape = if typed.get_flag("csv") { Shape::Csv } else { Shape::Rates };
            let mut request = Request::get(format!("{}/rates", one()), shape);
            request.all_pages = typed.get_one::<u64>("limit").is_none();
            paging(typed, &mut request);
            Some(request)
        }
        "choose" => {
            const PAYERS: [(&str, &str); 3] =
                [("account", "accounts"), ("trunk", "trunks"), ("application", "voice-applications")];
            let (id, path) = PAYERS.into_iter().find_map(|(flag, path)| Some((text(flag)?, path)))?;
            let plan = text("id").filter(|plan| plan != "none");
            let path = format!("/v1/{path}/{}/rate-plan", segment(&id));
            let body = json!({ "ratePlanId": plan });
            Some(Request { method: Method::PATCH, ..Request::post(path, Some(body), Shape::Object) })
        }
        _ => None,
    }
}

pub(super) fn paging(typed: &ArgMatches, request: &mut Request) {
    for name in ["limit", "offset"] {
        request.query.extend(typed.get_one::<u64>(name).map(|value| (name, value.to_string())));
    }
}

fn body(resource: &Resource, typed: &ArgMatches) -> Result<Value, Failure> {
    let mut body = Map::new();
    for field in resource.fields {
        let Ok(Some(values)) = typed.try_get_many::<String>(field.json) else { continue };
        let values: Vec<&str> = values.map(String::as_str).collect();
        let value =
            value(field, &values).map_err(|rule| Failure::Usage(format!("--{}: {rule}", field.flag)))?;
        body.insert(field.json.to_owned(), value);
    }
    Ok(Value::Object(body))
}

fn value(field: &Field, typed: &[&str]) -> Result<Value, String> {
    let one = typed.last().copied().unwrap_or_default();
    let nullable =
        matches!(field.kind, Kind::TextOrNone | Kind::NumberOrNone | Kind::TextsOrNone | Kind::NumbersOrNone);
    if nullable && one == "none" {
        return Ok(Value::Null);
    }
    let parts = || one.split(',').map(str::trim).filter(|part| !part.is_empty());
    match field.kind {
        Kind::Text | Kind::TextOrNone => Ok(one.into()),
        Kind::Secret if one == "-" => secret(),
        Kind::Secret => Ok(one.into()),
        Kind::Flag => Ok((one == "true").into()),
        Kind::Number | Kind::NumberOrNone => number(one),
        Kind::Texts | Kind::TextsOrNone => Ok(parts().collect()),
        Kind::NumbersOrNone => parts().map(number).collect(),
        Kind::Objects => typed.iter().map(|text| object(text)).collect(),
    }
}

/// A JSON number; whether it is in bounds is the API's to say.
fn number(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Ok(Value::Number(number)),
        _ => Err(format!("{text:?} is no number")),
    }
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err("must be a JSON object".to_owned()),
        Err(error) => Err(format!("is no JSON: {error}")),
    }
}

fn secret() -> Result<Value, String> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| format!("reading standard input: {error}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}

fn explain(typed: &ArgMatches) -> Result<Request, Failure> {
    let text = |id: &str| typed.get_one::<String>(id).cloned();
    let mut body =
        json!({ "requestUri": text("uri"), "sourceIp": text("source"), "tls": typed.get_flag("tls") });
    if let (Some(username), Some(fields)) = (text("username"), body.as_object_mut()) {
        fields.insert("username".to_owned(), username.into());
    }
    Ok(Request::post("/v1/explain", Some(body), Shape::Object))
}

/// Filters of the call log.
pub(super) const CALL_FILTERS: [Filter; 11] = [
    filter("trunk", "trunkId", "Only those over this trunk"),
    filter("application", "applicationId", "Only those to this voice application"),
    filter("account", "accountId", "Only those of this account"),
    filter("status", "status", "Only those that ended so, such as USER_BUSY"),
    filter("direction", "direction", "Only inbound or outbound ones"),
    filter("allowed", "allowed", "Only admitted (true) or refused ones (false)"),
    filter("from", "from", "Only those from this user"),
    filter("to", "to", "Only those to this user"),
    filter("sip-call-id", "sipCallId", "Only the one with this Call-ID"),
    filter("since", "since", "Only those that began then or later, such as 2026-01-31T00:00:00Z"),
    filter("until", "until", "Only those that began before"),
];

fn calls(typed: &ArgMatches) -> Request {
    let mut request = match (typed.get_flag("csv"), typed.get_flag("summary")) {
        (true, _) => Request::get("/v1/calls", Shape::Csv),
        (_, true) => Request::get("/v1/calls/summary", Shape::Object),
        _ => Request::get("/v1/calls", Shape::Calls),
    };
    let given = |flag| typed.get_one::<String>(flag).cloned();
    request.query.extend(CALL_FILTERS.iter().filter_map(|filter| filter.typed(typed)));
    request.query.extend(given("cursor").map(|value| ("cursor", value)));
    paging(typed, &mut request);
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::commands::cli;

    fn typed(line: &str) -> Result<Request, Failure> {
        let matches = cli().try_get_matches_from(line.split_whitespace()).expect("understood");
        let (name, chosen) = matches.subcommand().expect("a command");
        Request::read(name, chosen)
    }

    #[test]
    fn what_is_typed_is_what_is_asked() {
        let request =
            typed("trunkctl trunk update a/b --cps 2.5 --calls none --regions US,DE --secure true").unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::PATCH, "/v1/trunks/a%2Fb"));
        assert_eq!(request.query, [("wait", "applied".to_owned())]);
        let wanted = json!({"cpsLimit": 2.5, "concurrentCallsLimit": null, "allowedRegions": ["US", "DE"], "secure": true});
        assert_eq!(request.body, Some(wanted));

        let request = typed("trunkctl ip-acl create acme --address 203.0.113.7 --no-wait").unwrap();
        assert_eq!(request.path, "/v1/trunks/acme/ip-acls");
        assert_eq!((request.body, request.query), (Some(json!({"ipAddress": "203.0.113.7"})), vec![]));

        let request = typed("trunkctl trunk delete acme --force").unwrap();
        assert_eq!(request.query, [("force", "true".to_owned()), ("wait", "applied".to_owned())]);
        let request =
            typed("trunkctl calls --trunk acme --status USER_BUSY --since 2026-01-01T00:00:00Z --limit 5")
                .unwrap();
        let query: Vec<_> = request.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let wanted =
            [("trunkId", "acme"), ("status", "USER_BUSY"), ("since", "2026-01-01T00:00:00Z"), ("limit", "5")];
        assert_eq!((request.path.as_str(), query), ("/v1/calls", wanted.to_vec()));
        assert_eq!(typed("trunkctl calls --summary --account a").unwrap().path, "/v1/calls/summary");
        assert!(matches!(typed("trunkctl calls --csv").unwrap().shape, Shape::Csv));

        assert!(typed("trunkctl trunk list").unwrap().all_pages);
        assert!(!typed("trunkctl trunk list --limit 5").unwrap().all_pages);
    }

    #[test]
    fn a_value_that_is_none_is_said_with_its_flag() {
        for (line, said) in [
            ("trunkctl trunk create --cps fast", "--cps: \"fast\" is no number"),
            ("trunkctl trunk create --ip-acl 203.0.113.7", "--ip-acl: is no JSON"),
            ("trunkctl trunk create --ip-acl 7", "--ip-acl: must be a JSON object"),
            ("trunkctl trunk update acme", "name at least one field"),
        ] {
            let failure = typed(line).expect_err(line).to_string();
            assert!(failure.contains(said), "{line}: {failure}");
        }
    }
}
