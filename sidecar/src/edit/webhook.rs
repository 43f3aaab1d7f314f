//! What a table may say about the webhook of a trunk or an application.
//!
//! Must never keep a key that nobody asked for, nor let an endpoint be without one: an unsigned event could be anybody's.

use crate::domain::{Trunk, Wanted, Webhook};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::{Given, Section};
use crate::secret::{SigningKey, WebhookSecret};
use crate::webhook::{MAX_URL_BYTES, UrlRules};

/// Where a webhook's signing keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// They are written beside the URL.
    Written,
    /// They are made: the first by the first URL, the other when it is asked for.
    Made,
}

/// What a table says about the webhook; a new secret, to be shown once.
pub(crate) fn webhook(
    section: &Section<'_>,
    trunk: &mut Trunk,
    rules: &UrlRules,
    key: Key,
) -> Option<WebhookSecret> {
    let a_url = |section: &Section<'_>, key| {
        let checked = |text: &str| rules.check(text, MAX_URL_BYTES);
        section.parsed(key, |text| checked(text).map_err(|rule| Broken::new("invalid_webhook_url", rule)))
    };
    let url = section.given("webhookUrl", a_url);
    let fallback = section.given("webhookFallbackUrl", a_url);
    let method = section.parsed("webhookMethod", rules::webhook_method);
    let events = section.given("webhookEvents", wanted);
    let (mut written, mut signing_key, mut ed25519) = (None, None, None);
    match key {
        Key::Written => {
            written = section.parsed("webhookSecret", rules::webhook_secret);
            signing_key = section.parsed("webhookSigningKey", rules::signing_key);
            for (here, other) in [("webhookUrl", "webhookSecret"), ("webhookSecret", "webhookUrl")] {
                if section.has(here) && !section.has(other) {
                    section.problem(other, Broken::new("required", format!("is required with {here}")));
                }
            }
        }
        Key::Made => ed25519 = section.boolean("webhookEd25519"),
    }

    let mut made = None;
    match url {
        Given::Absent => {}
        Given::Null => trunk.webhook = None,
        Given::Value(url) => match &mut trunk.webhook {
            Some(webhook) => webhook.url = url,
            None => {
                let secret = written.clone().unwrap_or_else(|| made.insert(WebhookSecret::random()).clone());
                trunk.webhook = Some(Webhook::new(url, secret));
            }
        },
    }
    let Some(webhook) = &mut trunk.webhook else {
        for field in OF_A_WEBHOOK.into_iter().filter(|field| section.has(field) && !section.has("webhookUrl"))
        {
            section.problem("webhookUrl", Broken::new("required", format!("is required with {field}")));
        }
        return None;
    };
    webhook.secret = written.unwrap_or_else(|| webhook.secret.clone());
    webhook.method = method.unwrap_or(webhook.method);
    webhook.fallback_url = fallback.over(webhook.fallback_url.take());
    webhook.events = match events {
        Given::Absent => webhook.events,
        Given::Null => Wanted::default(),
        Given::Value(events) => events,
    };
    webhook.signing_key = match (ed25519, webhook.signing_key.take()) {
        (Some(false), _) => None,
        (Some(true), None) => Some(SigningKey::random()),
        (_, known) => signing_key.or(known),
    };
    made
}

/// Fields that say something about a webhook only.
const OF_A_WEBHOOK: [&str; 5] =
    ["webhookMethod", "webhookEvents", "webhookFallbackUrl", "webhookEd25519", "webhookSigningKey"];

/// The events that are wanted; one that is faulty is reported.
fn wanted(section: &Section<'_>, key: &'static str) -> Option<Wanted> {
    let names = section.set_of_texts(key, |name| {
        let known = Wanted::NAMES.into_iter().find(|known| *known == name);
        let rule = || format!("must be one of {}", Wanted::NAMES.join(", "));
        known.ok_or_else(|| Broken::new("invalid_webhook_event", rule()))
    })?;
    if section.is_empty_list(key) {
        let rule = "must name at least one event; to be sent none, set webhookUrl to null";
        section.problem(key, Broken::new("required", rule));
    }
    Wanted::from_names(names)
}
