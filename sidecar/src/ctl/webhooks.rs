//! What may be typed about webhooks: deliveries, endpoints, and every event in order.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value};

use super::client::Failure;
use super::commands::{number, switch};
use super::request::{Request, Shape, segment};
use super::resource::{Filter, filter};

/// Columns of deliveries.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("deliveryId", "DELIVERY"),
    ("createdAt", "EVENT OF"),
    ("eventType", "EVENT"),
    ("trunkId", "TRUNK"),
    ("state", "STATE"),
    ("attempts", "ATTEMPTS"),
    ("nextAttemptAt", "NEXT"),
    ("callId", "CALL"),
];

/// Filters of deliveries.
const FILTERS: [Filter; 7] = [
    filter("account", "accountId", "Those of this account's events"),
    filter("trunk", "trunkId", "Those of this trunk's endpoint"),
    filter("application", "applicationId", "Those of this voice application's endpoint"),
    filter("state", "state", "pending, delivered or parked"),
    filter("call", "callId", "Those of this call"),
    filter("from", "createdFrom", "Of events from this time on, such as 2026-01-31T12:00:00Z"),
    filter("before", "createdBefore", "Of events before this time"),
];

/// The commands.
pub(super) fn commands() -> [Command; 3] {
    let filters = || FILTERS.iter().map(Filter::arg);
    let deliveries = Command::new("delivery")
        .about("What was sent to webhooks, and what will be")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list")
                .about("Newest first")
                .args(filters())
                .arg(number("limit", "At most so many (20)"))
                .arg(Arg::new("cursor").long("cursor").value_name("TEXT").help("Go on where a page ended")),
        )
        .subcommand(
            Command::new("show")
                .about("One, with every attempt")
                .arg(Arg::new("id").required(true).value_name("DELIVERY").help("Its deliveryId")),
        )
        .subcommand(
            Command::new("replay")
                .about("Send one again; or, without an id, all parked ones that the filters let through")
                .arg(
                    Arg::new("id")
                        .value_name("DELIVERY")
                        .help("Its deliveryId")
                        .conflicts_with_all(FILTERS.map(|filter| filter.flag))
                        .conflicts_with("after"),
                )
                .args(filters())
                .arg(
                    Arg::new("after")
                        .long("after")
                        .value_name("DELIVERY")
                        .help("Those behind this one: lastDeliveryId of the answer before"),
                ),
        );
    let verbs = PossibleValuesParser::new(["show", "test", "enable", "disable", "rotate-secret"]);
    let webhook = Command::new("webhook")
        .about("The webhook of a trunk: how it does, a probe, on and off, a new secret")
        .arg(Arg::new("verb").required(true).value_name("VERB").value_parser(verbs).help("What to do"))
        .arg(Arg::new("id").required(true).value_name("TRUNK").help("Id of the trunk"))
        .arg(switch("application", "The id is that of a voice application"));
    let events = Command::new("events")
        .about("Every event in order, as JSON")
        .arg(number("after", "nextAfter of the last answer"))
        .arg(number("limit", "At most so many (100)"))
        .arg(number("wait", "Seconds to wait for the first one"));
    [deliveries, webhook, events]
}

/// What one of them asks; `None` if it is another's command.
pub(super) fn read(name: &str, typed: &ArgMatches) -> Option<Result<Request, Failure>> {
    Some(match name {
        "delivery" => {
            let (verb, typed) = typed.subcommand().unwrap_or(("", typed));
            Ok(delivery(verb, typed))
        }
        "webhook" => webhook(typed),
        "events" => {
            let mut request = Request::get("/v1/events", Shape::Object);
            for (flag, field) in [("after", "after"), ("limit", "limit"), ("wait", "waitSeconds")] {
                request.query.extend(typed.get_one::<u64>(flag).map(|value| (field, value.to_string())));
            }
            Ok(request)
        }
        _ => return None,
    })
}

fn delivery(verb: &str, typed: &ArgMatches) -> Request {
    let text = |id: &str| typed.try_get_one::<String>(id).ok().flatten().cloned();
    let filters = FILTERS.iter().filter_map(|filter| filter.typed(typed));
    let one = |id: &str| format!("/v1/webhook-deliveries/{}", segment(id));
    match (verb, text("id")) {
        ("replay", Some(id)) => Request::post(format!("{}/replay", one(&id)), None, Shape::Object),
        ("replay", None) => {
            let after = text("after").map(|id| ("afterDeliveryId", id));
            let given = filters.chain(after);
            let body: Map<String, Value> =
                given.map(|(field, value)| (field.to_owned(), value.into())).collect();
            Request::post("/v1/webhook-deliveries:replay", Some(Value::Object(body)), Shape::Object)
        }
        (_, Some(id)) => Request::get(one(&id), Shape::Object),
        (_, None) => {
            let mut request = Request::get("/v1/webhook-deliveries", Shape::Deliveries);
            request.query.extend(filters);
            let limit = typed.get_one::<u64>("limit").map(|limit| ("limit", limit.to_string()));
            request.query.extend(limit);
            request.query.extend(text("cursor").map(|cursor| ("cursor", cursor)));
            request
        }
    }
}

fn webhook(typed: &ArgMatches) -> Result<Request, Failure> {
    let text = |id: &str| typed.get_one::<String>(id).cloned().unwrap_or_default();
    let of = if typed.get_flag("application") { "voice-applications" } else { "trunks" };
    let path = format!("/v1/{of}/{}/webhook", segment(&text("id")));
    Ok(match text("verb").as_str() {
        "show" => Request::get(path, Shape::Object),
        verb => Request::post(format!("{path}/{verb}"), None, Shape::Object),
    })
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use serde_json::json;

    use super::*;
    use crate::ctl::commands::cli;

    fn typed(line: &str) -> Request {
        let matches = cli().try_get_matches_from(line.split_whitespace()).expect("understood");
        let (name, chosen) = matches.subcommand().expect("a command");
        Request::read(name, chosen).expect("good")
    }

    #[test]
    fn what_is_typed_is_what_is_asked() {
        let request = typed("trunkctl delivery list --trunk acme --state parked --limit 5 --cursor 7");
        assert_eq!((request.method, request.path.as_str()), (Method::GET, "/v1/webhook-deliveries"));
        let wanted = [("trunkId", "acme"), ("state", "parked"), ("limit", "5"), ("cursor", "7")];
        let wanted = wanted.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(request.query, wanted);
        assert_eq!(typed("trunkctl delivery show 7").path, "/v1/webhook-deliveries/7");

        let request = typed("trunkctl delivery replay 7");
        assert_eq!((request.path.as_str(), request.body), ("/v1/webhook-deliveries/7/replay", None));
        let request = typed("trunkctl delivery replay --application voice --state delivered --after 9");
        assert_eq!(request.path, "/v1/webhook-deliveries:replay");
        assert_eq!(
            request.body,
            Some(json!({"applicationId": "voice", "state": "delivered", "afterDeliveryId": "9"}))
        );

        let request = typed("trunkctl webhook rotate-secret voice --application");
        assert_eq!(request.path, "/v1/voice-applications/voice/webhook/rotate-secret");
        let request = typed("trunkctl webhook show a/b");
        assert_eq!((request.method, request.path.as_str()), (Method::GET, "/v1/trunks/a%2Fb/webhook"));

        let request = typed("trunkctl events --after 9 --wait 20");
        assert_eq!(request.query, [("after", "9".into()), ("waitSeconds", "20".into())]);
    }
}
