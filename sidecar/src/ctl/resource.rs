//! The resources of the API as the command line offers them: names, paths, fields, columns.
//!
//! A field here is a flag there. What the API describes and what stands here are compared by a test.

use clap::{Arg, ArgMatches};

/// What a flag's value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text, or `none` for null.
    TextOrNone,
    /// A secret text: `-` reads it from standard input, so that it need not stand in the list of processes.
    Secret,
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// A number, or `none` for null.
    NumberOrNone,
    /// Texts with commas in between; an empty one is an empty list.
    Texts,
    /// Texts, or `none` for null.
    TextsOrNone,
    /// Numbers with commas in between, or `none` for null.
    NumbersOrNone,
    /// Objects as JSON, one for each time the flag is given.
    Objects,
}

/// A field of a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// As the API calls it.
    pub(super) json: &'static str,
    /// As the command line calls it.
    pub(super) flag: &'static str,
    pub(super) kind: Kind,
    /// Only when the object is made.
    pub(super) create_only: bool,
    pub(super) help: &'static str,
}

const fn field(json: &'static str, flag: &'static str, kind: Kind, help: &'static str) -> Field {
    Field { json, flag, kind, create_only: false, help }
}

const fn at_creation(json: &'static str, flag: &'static str, kind: Kind, help: &'static str) -> Field {
    Field { json, flag, kind, create_only: true, help }
}

/// A filter of a list: as the command line calls it, as the API does, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter {
    pub(super) flag: &'static str,
    pub(super) field: &'static str,
    pub(super) help: &'static str,
}

/// A filter.
pub(super) const fn filter(flag: &'static str, field: &'static str, help: &'static str) -> Filter {
    Filter { flag, field, help }
}

impl Filter {
    /// As it is typed.
    pub(super) fn arg(&self) -> Arg {
        Arg::new(self.flag).long(self.flag).value_name("TEXT").help(self.help)
    }

    /// What was typed, under the name that the API has for it.
    pub(super) fn typed(&self, typed: &ArgMatches) -> Option<(&'static str, String)> {
        let text = typed.try_get_one::<String>(self.flag).ok().flatten();
        text.map(|text| (self.field, text.clone()))
    }
}

/// A resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    /// The command.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Of the collection; `{trunk}` stands for a trunk's id.
    pub(super) path: &'static str,
    /// The field that names an object.
    pub(super) id: &'static str,
    pub(super) fields: &'static [Field],
    /// Fields of a list: as the API calls them, and as the table does.
    pub(super) columns: &'static [(&'static str, &'static str)],
    /// The list's filters.
    pub(super) filters: &'static [Filter],
    /// Whether calls may be up on an object, so that only force deletes it.
    pub(super) carries_calls: bool,
}

impl Resource {
    /// Whether it is a part of a trunk.
    pub(super) fn is_part(&self) -> bool {
        self.path.contains("{trunk}")
    }

    /// The resource of a command.
    pub(super) fn named(name: &str) -> Option<&'static Resource> {
        RESOURCES.iter().find(|resource| resource.name == name)
    }
}

const NAME: Field = field("name", "name", Kind::Text, "A name for people");
const DESCRIPTION: Field = field("description", "description", Kind::Text, "A note for people");
const ENABLED: Field = field("enabled", "enabled", Kind::Flag, "true, or false: counts as absent");
const ACCOUNT: Field = field("accountId", "account", Kind::TextOrNone, "Id of its owner");
const CPS: Field = field("cpsLimit", "cps", Kind::NumberOrNone, "Calls per second; 0 admits none");
const BURST: Field = field("cpsBurst", "burst", Kind::NumberOrNone, "Calls at once after silence");
const CALLS: Field =
    field("concurrentCallsLimit", "calls", Kind::NumberOrNone, "Calls at the same time; 0 admits none");
const WEBHOOK: Field = field("webhookUrl", "webhook", Kind::TextOrNone, "Where its events are sent");
const METHOD: Field = field("webhookMethod", "webhook-method", Kind::Text, "POST or GET");
const FALLBACK: Field =
    field("webhookFallbackUrl", "webhook-fallback", Kind::TextOrNone, "Where events go that it did not take");
const EVENTS: Field =
    field("webhookEvents", "webhook-events", Kind::TextsOrNone, "Which events are sent, such as call.hangup");
const ED25519: Field =
    field("webhookEd25519", "webhook-ed25519", Kind::Flag, "true makes an Ed25519 key that signs events too");
const GATEWAYS: &str = "A gateway as JSON, such as '{\"uri\":\"sip:192.0.2.10\"}'; repeat it for more";

/// All of them.
pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        name: "account",
        about: "Customers, and the limits over all their trunks",
        path: "/v1/accounts",
        id: "accountId",
        fields: &[NAME, ENABLED, CPS, BURST, CALLS],
        columns: &[
            ("accountId", "ACCOUNT"),
            ("name", "NAME"),
            ("enabled", "ENABLED"),
            ("cpsLimit", "CPS"),
            ("concurrentCallsLimit", "CALLS"),
            ("managedBy", "MANAGED BY"),
        ],
        filters: &[],
        carries_calls: false,
    },
    Resource {
        name: "token",
        about: "Tokens for the API; one is shown once, when it is made",
        path: "/v1/tokens",
        id: "tokenId",
        fields: &[
            DESCRIPTION,
            at_creation("scope", "scope", Kind::Text, "admin or account"),
            at_creation("accountId", "account", Kind::Text, "Of scope account: which one"),
        ],
        columns: &[
            ("tokenId", "TOKEN"),
            ("scope", "SCOPE"),
            ("accountId", "ACCOUNT"),
            ("description", "DESCRIPTION"),
            ("lastUsedAt", "LAST USED"),
        ],
        filters: &[],
        carries_calls: false,
    },
    Resource {
        name: "trunk",
        about: "SIP trunks",
        path: "/v1/trunks",
        id: "trunkId",
        fields: &[
            ACCOUNT,
            NAME,
            DESCRIPTION,
            ENABLED,
            field("authMode", "auth-mode", Kind::Text, "What a caller must prove: any, all, password or ip"),
            CPS,
            BURST,
            CALLS,
            field("allowedRegions", "regions", Kind::TextsOrNone, "Where it may be used, such as US,DE"),
            field("transport", "transport", Kind::Text, "Of gateways that name none: udp, tcp or tls"),
            field("secure", "secure", Kind::Flag, "Takes calls over TLS only"),
            field("failoverCodes", "failover", Kind::NumbersOrNone, "Answers that try the next gateway"),
            WEBHOOK,
            FALLBACK,
            METHOD,
            EVENTS,
            ED25519,
            at_creation(
                "ipAcls",
                "ip-acl",
                Kind::Objects,
                "An address as JSON: '{\"ipAddress\":\"203.0.113.7/32\"}'",
            ),
            at_creation(
                "credentials",
                "credential",
                Kind::Objects,
                "A digest user as JSON: '{\"username\":\"pbx\"}'",
            ),
            at_creation("originationUris", "origination-uri", Kind::Objects, GATEWAYS),
        ],
        columns: &[
            ("trunkId", "TRUNK"),
            ("name", "NAME"),
            ("accountId", "ACCOUNT"),
            ("enabled", "ENABLED"),
            ("authMode", "AUTH"),
            ("cpsLimit", "CPS"),
            ("concurrentCallsLimit", "CALLS"),
            ("managedBy", "MANAGED BY"),
        ],
        filters: &[filter("account", "accountId", "Only those of this account")],
        carries_calls: true,
    },
    Resource {
        name: "credential",
        about: "Digest users of a trunk; a password that is made is shown once",
        path: "/v1/trunks/{trunk}/credentials",
        id: "credentialId",
        fields: &[
            at_creation("username", "username", Kind::Text, "Unique within the trunk"),
            field("password", "password", Kind::Secret, "At least 12 characters; - reads standard input"),
            ENABLED,
            DESCRIPTION,
        ],
        columns: &[
            ("credentialId", "CREDENTIAL"),
            ("username", "USER"),
            ("enabled", "ENABLED"),
            ("description", "DESCRIPTION"),
        ],
        filters: &[],
        carries_calls: false,
    },
    Resource {
        name: "ip-acl",
        about: "Addresses that a trunk's calls come from",
        path: "/v1/trunks/{trunk}/ip-acls",
        id: "ipAclId",
        fields: &[
            field("ipAddress", "address", Kind::Text, "An address or network, such as 203.0.113.0/24"),
            ENABLED,
            DESCRIPTION,
        ],
        columns: &[
            ("ipAclId", "ENTRY"),
            ("ipAddress", "ADDRESS"),
            ("enabled", "ENABLED"),
            ("description", "DESCRIPTION"),
        ],
        filters: &[],
        carries_calls: false,
    },
    Resource {
        name: "origination-uri",
        about: "Gateways that a trunk's calls go to",
        path: "/v1/trunks/{trunk}/origination-uris",
        id: "originationUriId",
        fields: &[
            field("uri", "uri", Kind::Text, "sip:host[:port][;transport=udp|tcp|tls]"),
            field("priority", "priority", Kind::Number, "Lower is tried first"),
            field("weight", "weight", Kind::Number, "Share among those of one priority"),
            ENABLED,
            DESCRIPTION,
        ],
        columns: &[
            ("originationUriId", "GATEWAY"),
            ("uri", "URI"),
            ("priority", "PRIORITY"),
            ("weight", "WEIGHT"),
            ("enabled", "ENABLED"),
            ("health", "HEALTH"),
        ],
        filters: &[],
        carries_calls: false,
    },
    Resource {
        name: "application",
        about: "Voice applications, which are called at a SIP URI of their own",
        path: "/v1/voice-applications",
        id: "applicationId",
        fields: &[
            ACCOUNT,
            field("applicationName", "name", Kind::Text, "A name for people"),
            field(
                "inboundSipCallsEnabled",
                "inbound",
                Kind::Flag,
                "true makes the URI, false clears everything",
            ),
            field("passwordAuthEnabled", "password-auth", Kind::Flag, "true makes a password each time"),
            field("allowedSourceIps", "sources", Kind::Texts, "IPv4 networks that may call"),
            field("allowedRegions", "regions", Kind::Texts, "Where it may be called"),
            CPS,
            BURST,
            CALLS,
            field("originationUris", "origination-uri", Kind::Objects, GATEWAYS),
            WEBHOOK,
            FALLBACK,
            METHOD,
            EVENTS,
            ED25519,
        ],
        columns: &[
            ("applicationId", "APPLICATION"),
            ("applicationName", "NAME"),
            ("accountId", "ACCOUNT"),
            ("inboundSipCallsEnabled", "INBOUND"),
            ("sipUri", "SIP URI"),
            ("cpsLimit", "CPS"),
            ("concurrentCallsLimit", "CALLS"),
        ],
        filters: &[filter("account", "accountId", "Only those of this account")],
        carries_calls: true,
    },
    Resource {
        name: "rate-plan",
        about: "What calls cost; a call is held to the rate that was there when it was written down",
        path: "/v1/rate-plans",
        id: "ratePlanId",
        fields: &[
            NAME,
            DESCRIPTION,
            field("currency", "currency", Kind::Text, "Three letters as in ISO 4217, such as EUR"),
        ],
        columns: &[
            ("ratePlanId", "RATE PLAN"),
            ("name", "NAME"),
            ("currency", "CURRENCY"),
            ("updatedAt", "CHANGED"),
        ],
        filters: &[],
        carries_calls: false,
    },
];
