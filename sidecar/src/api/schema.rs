//! Bodies of requests as OpenAPI describes them: every field with its type, its limits and what it is for.
//!
//! The limits are those of `input::rules` and `edit`, which hold bodies against them; a test compares the names of the
//! fields with what the readers ask for.

mod fields;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::batch::MAX_BATCH;
use crate::input::rules::MAX_TEXT_CHARS;

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
                object($about, fields::$fields())
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
    RatePlanCreate, rate_plan_new, "A new rate plan.";
    RatePlanPatch, rate_plan, "What may be said about a rate plan. What is left out stays as it is.";
    RatePlanChoice, rate_plan_choice, "The rate plan that somebody's calls go by.";
    ReplayBody, replay, "Which deliveries are sent again.";
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

    use super::fields::*;
    use super::*;
    use crate::api::{
        accounts, applications, credentials, explain, ip_acls, origination_uris, rate_payers, rate_plans,
        replays, tokens, trunks,
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
        let mut plan = crate::domain::RatePlan {
            id: String::new(),
            name: String::new(),
            description: String::new(),
            currency: String::new(),
            stamp: Stamp::default(),
        };
        let rules = Rules { inbound_host: "in.example.net", allow_private: false };
        for (fields, read) in [
            (account(), asked(|s| accounts::edit(s, &mut account_of))),
            (token_new(), asked(|s| drop(tokens::edit_new(s)))),
            (token(), asked(|s| tokens::edit(s, &mut token_of))),
            (trunk_new(), asked(|s| drop(trunks::edit_new(s, &mut trunk(Kind::Trunk), "r", &urls)))),
            (super::fields::trunk(), asked(|s| drop(trunks::edit(s, &mut trunk(Kind::Trunk), &urls)))),
            (credential_new(), asked(|s| drop(credentials::edit(s, None, "r")))),
            (question(), asked(|s| drop(explain::read(s)))),
            (rate_plan_new(), asked(|s| rate_plans::edit_new(s, &mut plan))),
            (rate_plan(), asked(|s| rate_plans::edit(s, &mut plan))),
            (rate_plan_choice(), asked(|s| drop(rate_payers::choice(s)))),
            (replay(), asked(|s| drop(replays::Asked::read(s)))),
            (ip_acl_new(), asked(|s| drop(ip_acls::edit(s, None)))),
            (ip_acl(), asked(|s| drop(ip_acls::edit(s, Some(acl))))),
            (origination_uri_new(), asked(|s| drop(origination_uris::edit(s, None)))),
            (
                application(),
                asked(|s| drop(applications::edit(s, &mut trunk(Kind::Application), rules, &urls))),
            ),
        ] {
            assert_eq!(described(fields), read);
        }
    }
}
