//! The fields of every body, in the order and with the words that OpenAPI shows.

use utoipa::openapi::schema::{OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, SchemaFormat};

use super::{Field, field, flag, label, list, number, object, of, or_null, region, text, words};
use crate::domain::Wanted;
use crate::edit::application::MAX_SOURCES;
use crate::edit::limits::{BURST, CONCURRENT, CPS};
use crate::edit::parts::{MAX_CREDENTIALS, MAX_IP_ACLS, MAX_ORIGINATION_URIS, PRIORITY, WEIGHT};
use crate::edit::trunk::FAILOVER_CODES;
use crate::input::rules::{MAX_URI_BYTES, PASSWORD_CHARS};
use crate::webhook::MAX_URL_BYTES;

fn limits() -> Vec<Field> {
    let cps = OneOfBuilder::new()
        .item(of(Type::Number).minimum(Some(*CPS.start())).maximum(Some(*CPS.end())))
        .item(of(Type::Number).enum_values(Some([0])))
        .item(of(Type::Null))
        .description(Some("Calls per second; 0 admits none, null is the default"))
        .build();
    let concurrent = number(or_null(Type::Integer), *CONCURRENT.start(), *CONCURRENT.end());
    vec![
        Field { name: "cpsLimit", required: false, schema: Schema::OneOf(cps).into() },
        field(
            "cpsBurst",
            "Calls at once after silence; null is the calls of one second",
            number(or_null(Type::Integer), *BURST.start(), *BURST.end()),
        ),
        field(
            "concurrentCallsLimit",
            "Calls at the same time, ringing ones included; 0 admits none, null is the default",
            concurrent,
        ),
    ]
}

fn webhook() -> Vec<Field> {
    let url = || {
        let url = or_null(Type::String).max_length(Some(MAX_URL_BYTES));
        url.examples(["https://hooks.example.com/calls"])
    };
    let event = of(Type::String).enum_values(Some(Wanted::NAMES)).build();
    vec![
        field(
            "webhookUrl",
            "Where events are sent; null is nowhere. The first one brings a signing key.",
            url(),
        ),
        field("webhookFallbackUrl", "Where an event goes that the URL did not take", url()),
        words("webhookMethod", "How events are sent", &["POST", "GET"]),
        list("webhookEvents", "Which events are sent; null is all", Wanted::NAMES.len(), true, event),
        flag("webhookEd25519", "Signs events with an Ed25519 key too; true makes the key, false drops it"),
    ]
}

fn account_id() -> Field {
    field("accountId", "Its owner; an account's token may name its own only", label())
}

/// An account.
pub(in crate::api) fn account() -> Vec<Field> {
    let mut fields =
        vec![text("name", "For people"), flag("enabled", "A disabled account refuses every call")];
    fields.extend(limits());
    fields
}

/// A new token.
pub(in crate::api) fn token_new() -> Vec<Field> {
    vec![
        words("scope", "What it may do", &["admin", "account"]).required(),
        field("accountId", "Of scope account: which one", label().schema_type(Type::String)),
        text("description", "For people"),
    ]
}

/// A token.
pub(in crate::api) fn token() -> Vec<Field> {
    vec![text("description", "For people")]
}

/// A trunk.
pub(in crate::api) fn trunk() -> Vec<Field> {
    let codes = number(of(Type::Integer), *FAILOVER_CODES.start(), *FAILOVER_CODES.end()).build();
    let mut fields = vec![
        account_id(),
        text("name", "For people"),
        text("description", "For people"),
        flag("enabled", "A disabled trunk refuses every call"),
        words("authMode", "What a caller must prove", &["any", "all", "password", "ip"]),
        list("allowedRegions", "Where it may be used; null is everywhere", 676, true, region()),
        words("transport", "How gateways are reached whose URI names no transport", &["udp", "tcp", "tls"]),
        flag("secure", "Takes calls over TLS only"),
        list("failoverCodes", "SIP answers after which the next gateway is tried", 300, true, codes),
    ];
    fields.extend(limits());
    fields.extend(webhook());
    fields
}

/// A new trunk.
pub(in crate::api) fn trunk_new() -> Vec<Field> {
    let mut fields = trunk();
    fields.extend([
        list("ipAcls", "Its addresses", MAX_IP_ACLS, false, object("", ip_acl_new())),
        list("credentials", "Its digest users", MAX_CREDENTIALS, false, object("", credential_new())),
        gateways(),
    ]);
    fields
}

fn gateways() -> Field {
    let item = object("", origination_uri_new());
    list("originationUris", "Where its calls go", MAX_ORIGINATION_URIS, false, item)
}

/// A digest user.
pub(in crate::api) fn credential() -> Vec<Field> {
    let password = of(Type::String)
        .min_length(Some(*PASSWORD_CHARS.start()))
        .max_length(Some(*PASSWORD_CHARS.end()))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
        .write_only(true);
    vec![
        field("password", "At least five different characters; one is made for a new user without", password),
        flag("enabled", "A disabled user counts as absent"),
        text("description", "For people"),
    ]
}

/// A new digest user.
pub(in crate::api) fn credential_new() -> Vec<Field> {
    let name = of(Type::String).min_length(Some(1)).max_length(Some(64)).pattern(Some("^[A-Za-z0-9._~+-]+$"));
    let mut fields = credential();
    fields.push(field("username", "Unique within the trunk", name).required());
    fields
}

/// An address.
pub(in crate::api) fn ip_acl() -> Vec<Field> {
    let address = of(Type::String).max_length(Some(43)).examples(["203.0.113.0/24"]);
    vec![
        field("ipAddress", "An IPv4 or IPv6 address or network in canonical form", address),
        flag("enabled", "A disabled entry counts as absent"),
        text("description", "For people"),
    ]
}

/// A new address.
pub(in crate::api) fn ip_acl_new() -> Vec<Field> {
    needing(ip_acl(), "ipAddress")
}

/// A gateway.
pub(in crate::api) fn origination_uri() -> Vec<Field> {
    let uri =
        of(Type::String).max_length(Some(MAX_URI_BYTES)).examples(["sip:192.0.2.10:5060;transport=udp"]);
    vec![
        field("uri", "sip:host[:port][;transport=udp|tcp|tls], unique within the trunk", uri),
        field(
            "priority",
            "Lower is tried first",
            number(of(Type::Integer), *PRIORITY.start(), *PRIORITY.end()),
        ),
        field(
            "weight",
            "Share among those of one priority",
            number(of(Type::Integer), *WEIGHT.start(), *WEIGHT.end()),
        ),
        flag("enabled", "A disabled gateway counts as absent"),
        text("description", "For people"),
    ]
}

/// A new gateway.
pub(in crate::api) fn origination_uri_new() -> Vec<Field> {
    needing(origination_uri(), "uri")
}

/// A voice application.
pub(in crate::api) fn application() -> Vec<Field> {
    let source = of(Type::String).max_length(Some(18)).examples(["203.0.113.0/24"]).build();
    let mut fields = vec![
        account_id(),
        text("applicationName", "For people"),
        flag(
            "inboundSipCallsEnabled",
            "true makes the inbound URI; false clears URI, password and addresses",
        ),
        flag("passwordAuthEnabled", "true makes a password, each time it is sent; false clears it"),
        list(
            "allowedSourceIps",
            "Public IPv4 networks in canonical form; 0.0.0.0/0 is everyone",
            MAX_SOURCES,
            false,
            source,
        ),
        list("allowedRegions", "Where it may be called; an empty list is nowhere", 676, false, region()),
        gateways(),
    ];
    fields.extend(limits());
    fields.extend(webhook());
    fields
}

/// A rate plan.
pub(in crate::api) fn rate_plan() -> Vec<Field> {
    let currency = of(Type::String).pattern(Some("^[A-Z]{3}$")).examples(["EUR"]);
    vec![
        text("name", "For people"),
        text("description", "For people"),
        field("currency", "ISO 4217; calls that began before keep theirs", currency),
    ]
}

/// A new rate plan.
pub(in crate::api) fn rate_plan_new() -> Vec<Field> {
    needing(rate_plan(), "currency")
}

/// Which rate plan somebody's calls go by.
pub(in crate::api) fn rate_plan_choice() -> Vec<Field> {
    vec![field("ratePlanId", "null is none of its own", label()).required()]
}

/// Deliveries that are sent again.
pub(in crate::api) fn replay() -> Vec<Field> {
    let time = |name, about: &str| {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        field(name, about, of(Type::String).format(Some(format)))
    };
    let uuid = of(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned())));
    let id = || label().schema_type(Type::String);
    vec![
        field("accountId", "Those of this account's events", id()),
        field("trunkId", "Those of this trunk's endpoint", id()),
        field("applicationId", "Those of this voice application's endpoint", id()),
        words("state", "Where they are; parked if nothing is said", &["delivered", "parked"]),
        field("callId", "Those of this call", uuid),
        time("createdFrom", "Of events from this time on"),
        time("createdBefore", "Of events before this time"),
        field(
            "afterDeliveryId",
            "Those behind this one: `lastDeliveryId` of the answer before",
            of(Type::String),
        ),
    ]
}

/// A call that somebody asks about.
pub(in crate::api) fn question() -> Vec<Field> {
    let uri = of(Type::String).max_length(Some(255)).examples(["sip:15550001@acme.sip.example.net"]);
    let name = of(Type::String).min_length(Some(1)).max_length(Some(64)).pattern(Some("^[A-Za-z0-9._~+-]+$"));
    vec![
        field("requestUri", "sip: or sips: URI that the call would ask for", uri).required(),
        field("sourceIp", "Where the request would come from", of(Type::String).examples(["203.0.113.7"]))
            .required(),
        flag("tls", "It would come over TLS"),
        field("username", "The digest user it would name, with the right password", name),
    ]
}

fn needing(fields: Vec<Field>, name: &str) -> Vec<Field> {
    fields.into_iter().map(|field| if field.name == name { field.required() } else { field }).collect()
}
