//! Bodies of requests as OpenAPI describes them: every field with its type, its limits and what it is for.
//!
//! The limits are those of `input::rules` and `edit`, which hold bodies against them; a test compares the names of the
//! fields with what the readers ask for.

use utoipa::openapi::schema::{Array, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::batch::MAX_BATCH;
use crate::edit::application::MAX_SOURCES;
use crate::edit::limits::{BURST, CONCURRENT, CPS};
use crate::edit::parts::{MAX_CREDENTIALS, MAX_IP_ACLS, MAX_ORIGINATION_URIS, PRIORITY, WEIGHT};
use crate::edit::trunk::FAILOVER_CODES;
use crate::input::rules::{MAX_TEXT_CHARS, MAX_URI_BYTES, PASSWORD_CHARS};
use crate::webhook::MAX_URL_BYTES;

/// A field of a body.
pub(super) struct Field {
    pub(super) name: &'static str,
    required: bool,
    schema: RefOr<Schema>,
}

fn field(name: &'static str, about: &str, schema: ObjectBuilder) -> Field {
    Field { name, required: false, schema: schema.description(Some(about)).build().into() }
}

fn list(name: &'static str, about: &str, most: usize, null: bool, item: impl Into<RefOr<Schema>>) -> Field {
    let mut array = Array::new(item);
    array.max_items = Some(most);
    array.description = Some(about.to_owned());
    if null {
        array.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
    }
    Field { name, required: false, schema: Schema::Array(array).into() }
}

impl Field {
    fn required(self) -> Field {
        Field { required: true, ..self }
    }
}

fn of(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

fn or_null(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

fn flag(name: &'static str, about: &str) -> Field {
    field(name, about, of(Type::Boolean))
}

/// A text for people: no control characters, quotes or backslashes.
fn text(name: &'static str, about: &str) -> Field {
    let pattern = r#"^[^\x00-\x1f\x7f-\x9f"'`\\\u2028\u2029]*$"#;
    field(name, about, of(Type::String).max_length(Some(MAX_TEXT_CHARS)).pattern(Some(pattern)))
}

fn words(name: &'static str, about: &str, words: &[&str]) -> Field {
    field(name, about, of(Type::String).enum_values(Some(words.iter().copied())))
}

fn number(kind: ObjectBuilder, least: u64, most: u64) -> ObjectBuilder {
    kind.minimum(Some(least as f64)).maximum(Some(most as f64))
}

fn label() -> ObjectBuilder {
    let pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
    or_null(Type::String).min_length(Some(1)).max_length(Some(63)).pattern(Some(pattern))
}

fn region() -> Object {
    of(Type::String).pattern(Some("^[A-Z]{2}$")).examples(["US"]).build()
}

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
    vec![
        field(
            "webhookUrl",
            "Where events are sent; null is nowhere. The first one brings a signing key.",
            or_null(Type::String)
                .max_length(Some(MAX_URL_BYTES))
                .examples(["https://hooks.example.com/calls"]),
        ),
        words("webhookMethod", "How events are sent", &["POST", "GET"]),
    ]
}

fn account_id() -> Field {
    field("accountId", "Its owner; an account's token may name its own only", label())
}

/// An account.
pub(super) fn account() -> Vec<Field> {
    let mut fields =
        vec![text("name", "For people"), flag("enabled", "A disabled account refuses every call")];
    fields.extend(limits());
    fields
}

/// A new token.
pub(super) fn token_new() -> Vec<Field> {
    vec![
        words("scope", "What it may do", &["admin", "account"]).required(),
        field("accountId", "Of scope account: which one", label().schema_type(Type::String)),
        text("description", "For people"),
    ]
}

/// A token.
pub(super) fn token() -> Vec<Field> {
    vec![text("description", "For people")]
}

/// A trunk.
pub(super) fn trunk() -> Vec<Field> {
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
pub(super) fn trunk_new() -> Vec<Field> {
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
pub(super) fn credential() -> Vec<Field> {
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
pub(super) fn credential_new() -> Vec<Field> {
    let name = of(Type::String).min_length(Some(1)).max_length(Some(64)).pattern(Some("^[A-Za-z0-9._~+-]+$"));
    let mut fields = credential();
    fields.push(field("username", "Unique within the trunk", name).required());
    fields
}

/// An address.
pub(super) fn ip_acl() -> Vec<Field> {
    let address = of(Type::String).max_length(Some(43)).examples(["203.0.113.0/24"]);
    vec![
        field("ipAddress", "An IPv4 or IPv6 address or network in canonical form", address),
        flag("enabled", "A disabled entry counts as absent"),
        text("description", "For people"),
    ]
}

/// A new address.
pub(super) fn ip_acl_new() -> Vec<Field> {
    needing(ip_acl(), "ipAddress")
}

/// A gateway.
pub(super) fn origination_uri() -> Vec<Field> {
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
pub(super) fn origination_uri_new() -> Vec<Field> {
    needing(origination_uri(), "uri")
}

/// A voice application.
pub(super) fn application() -> Vec<Field> {
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

/// A call that somebody asks about.
pub(super) fn question() -> Vec<Field> {
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

fn object(about: &str, fields: Vec<Field>) -> RefOr<Schema> {
    let closed = utoipa::openapi::schema::AdditionalProperties::FreeForm(false);
    let mut object = of(Type::Object).additional_properties(Some(closed));
    if !about.is_empty() {
        object = object.description(Some(about));
    }
    for field in fields {
        object = object.property(field.name, field.schema);
        if field.required {
            object = object.required(field.name);
        }
    }
    object.build().into()
}

macro_rules! bodies {
    ($($name:ident, $fields:ident, $about:literal;)*) => {$(
        #[doc = $about]
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                object($about, $fields())
            }
        }

        impl ToSchema for $name {}
    )*};
}

bodies! {
    AccountBody, account, "What may be said about an account. What is left out stays as it is.";
    TokenCreate, token_new, "A new token.";
    TokenPatch, token, "What may be said about a token. What is left out stays as it is.";
    TrunkCreate, trunk_new, "A new trunk.";
    TrunkPatch, trunk, "What may be said about a trunk. What is left out stays as it is.";
    CredentialCreate, credential_new, "A new digest user.";
    CredentialPatch, credential, "What may be said about a digest user. What is left out stays as it is.";
    IpAclCreate, ip_acl_new, "A new address.";
    IpAclPatch, ip_acl, "What may be said about an address. What is left out stays as it is.";
    OriginationUriCreate, origination_uri_new, "A new gateway.";
    OriginationUriPatch, origination_uri, "What may be said about a gateway. What is left out stays as it is.";
    ExplainBody, question, "A call that somebody asks about.";
    VoiceApplicationBody, application, "What may be said about a voice application. What is left out stays as it is.";
}

/// Trunks to be made, all or none.
pub(super) struct TrunkBatch;

impl PartialSchema for TrunkBatch {
    fn schema() -> RefOr<Schema> {
        let mut array = Array::new(utoipa::openapi::Ref::from_schema_name("TrunkCreate"));
        (array.min_items, array.max_items) = (Some(1), Some(MAX_BATCH));
        Schema::Array(array).into()
    }
}

impl ToSchema for TrunkBatch {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("TrunkCreate".into(), TrunkCreate::schema()));
    }
}

#[cfg(test)]
mod tests {
    use trunk_admission::model::Kind;

    use super::*;
    use crate::api::{
        accounts, applications, credentials, explain, ip_acls, origination_uris, tokens, trunks,
    };
    use crate::domain::{Account, Limits, ManagedBy, Scope, Stamp, Token};
    use crate::edit::application::Rules;
    use crate::edit::trunk::new;
    use crate::input::problem::Problems;
    use crate::input::section::{Section, Source};
    use crate::input::tree::Notation;
    use crate::webhook::UrlRules;

    /// The keys that a reader asks for.
    fn asked(read: impl FnOnce(&Section<'_>)) -> Vec<&'static str> {
        let problems = Problems::default();
        let source = Source { file: "", notation: Notation::Pointer, problems: &problems };
        let section = Section::new(source, String::new(), None, None);
        read(&section);
        section.asked()
    }

    fn described(fields: Vec<Field>) -> Vec<&'static str> {
        let mut names: Vec<_> = fields.into_iter().map(|field| field.name).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_described_is_what_is_read() {
        let trunk = |kind| new("t".into(), kind, ManagedBy::Api);
        let urls = UrlRules::default();
        let mut account_of = Account {
            id: "a".into(),
            name: String::new(),
            enabled: true,
            limits: Limits::default(),
            managed_by: ManagedBy::Api,
            stamp: Stamp::default(),
        };
        let mut token_of = Token {
            id: uuid::Uuid::nil(),
            prefix: String::new(),
            hash: String::new(),
            scope: Scope::Admin,
            description: String::new(),
            last_used_ms: None,
            stamp: Stamp::default(),
        };
        let acl = crate::domain::IpAcl {
            id: uuid::Uuid::nil(),
            network: "192.0.2.1/32".parse().unwrap(),
            enabled: true,
            description: String::new(),
            stamp: Stamp::default(),
        };
        let rules = Rules { inbound_host: "in.example.net", allow_private: false };
        for (fields, read) in [
            (account(), asked(|s| accounts::edit(s, &mut account_of))),
            (token_new(), asked(|s| drop(tokens::edit_new(s)))),
            (token(), asked(|s| tokens::edit(s, &mut token_of))),
            (trunk_new(), asked(|s| drop(trunks::edit_new(s, &mut trunk(Kind::Trunk), "r", urls)))),
            (self::trunk(), asked(|s| drop(trunks::edit(s, &mut trunk(Kind::Trunk), urls)))),
            (credential_new(), asked(|s| drop(credentials::edit(s, None, "r")))),
            (question(), asked(|s| drop(explain::read(s)))),
            (ip_acl_new(), asked(|s| drop(ip_acls::edit(s, None)))),
            (ip_acl(), asked(|s| drop(ip_acls::edit(s, Some(acl))))),
            (origination_uri_new(), asked(|s| drop(origination_uris::edit(s, None)))),
            (
                application(),
                asked(|s| drop(applications::edit(s, &mut trunk(Kind::Application), rules, urls))),
            ),
        ] {
            assert_eq!(described(fields), read);
        }
    }
}
