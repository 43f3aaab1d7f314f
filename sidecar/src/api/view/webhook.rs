//! The webhook of a trunk or an application as its owner sees it: never a key that signs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain;

/// Where events are sent; nothing but null if they are not.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Webhook {
    webhook_url: Option<String>,
    /// Where an event goes that the URL did not take.
    webhook_fallback_url: Option<String>,
    webhook_method: Option<&'static str>,
    /// Which events are sent.
    webhook_events: Option<Vec<&'static str>>,
    /// Whether events carry an Ed25519 signature too.
    webhook_ed25519: bool,
    /// What that signature is checked with: `whpk_` and base64.
    webhook_public_key: Option<String>,
}

impl From<Option<&domain::Webhook>> for Webhook {
    fn from(webhook: Option<&domain::Webhook>) -> Webhook {
        let Some(webhook) = webhook else { return Webhook::default() };
        Webhook {
            webhook_url: Some(webhook.url.clone()),
            webhook_fallback_url: webhook.fallback_url.clone(),
            webhook_method: Some(webhook.method.name()),
            webhook_events: Some(webhook.events.names()),
            webhook_ed25519: webhook.signing_key.is_some(),
            webhook_public_key: webhook.signing_key.as_ref().map(|key| key.public()),
        }
    }
}
