//! Where a trunk's events are sent, which ones, how, and what signs them.
//!
//! Every trunk and application has one endpoint or none. Must never print a key.

use crate::domain::Millis;
use crate::secret::{SigningKey, WebhookSecret};

/// How long a secret that was replaced goes on signing beside the new one.
const OVERLAP_MS: Millis = 24 * 3_600_000;

/// Where a trunk's events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Checked when it was set; the address is checked again at each connect.
    pub url: String,
    /// Where an event goes that the URL did not take; checked likewise.
    pub fallback_url: Option<String>,
    /// How.
    pub method: WebhookMethod,
    /// Which.
    pub events: Wanted,
    /// Signs every event.
    pub secret: WebhookSecret,
    /// Signs beside it for a while, so that a receiver can change over in peace.
    pub old_secret: Option<OldSecret>,
    /// Signs every event once more (`v1a`).
    pub signing_key: Option<SigningKey>,
}

impl Webhook {
    /// One that is sent every event as a POST.
    pub fn new(url: String, secret: WebhookSecret) -> Webhook {
        let (method, events) = (WebhookMethod::default(), Wanted::default());
        Webhook { url, fallback_url: None, method, events, secret, old_secret: None, signing_key: None }
    }

    /// What signs beside this one's secret when it takes the place of `before` at `now_ms`: the secret of `before` for a
    /// day, or, if the secret is the same, what signed beside it.
    pub fn overlap(&self, before: &Webhook, now_ms: Millis) -> Option<OldSecret> {
        if before.secret == self.secret {
            before.old_secret.clone()
        } else {
            Some(OldSecret::of(before.secret.clone(), now_ms))
        }
    }
}

/// A secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldSecret {
    /// The secret.
    pub secret: WebhookSecret,
    /// Until when it signs too.
    pub until_ms: Millis,
}

impl OldSecret {
    /// One that is replaced at `now_ms` and signs for a day more.
    pub fn of(secret: WebhookSecret, now_ms: Millis) -> OldSecret {
        OldSecret { secret, until_ms: now_ms + OVERLAP_MS }
    }
}

/// The HTTP method of a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookMethod {
    /// The event is the body.
    #[default]
    Post,
    /// The event's fields are the query.
    Get,
}

impl WebhookMethod {
    /// Every one.
    pub const ALL: [WebhookMethod; 2] = [WebhookMethod::Post, WebhookMethod::Get];

    /// As it stands in the request line, in the API and in files.
    pub fn name(self) -> &'static str {
        match self {
            WebhookMethod::Post => "POST",
            WebhookMethod::Get => "GET",
        }
    }
}

/// Which events of a call are wanted: never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted([bool; 3]);

impl Default for Wanted {
    /// All of them.
    fn default() -> Wanted {
        Wanted([true; 3])
    }
}

impl Wanted {
    /// Every event's `type`, in the order in which a call has them.
    pub const NAMES: [&str; 3] = ["call.initiated", "call.answered", "call.hangup"];

    /// Those with these names; `None` if there are none, or one that is no event's.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Wanted> {
        let mut wanted = [false; 3];
        for name in names {
            wanted[Self::NAMES.iter().position(|known| *known == name)?] = true;
        }
        wanted.contains(&true).then_some(Wanted(wanted))
    }

    /// The names of those that are wanted.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.into_iter().zip(self.0).filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
    }

    /// Whether the event at this place in a call is wanted.
    pub fn has(self, sequence: u8) -> bool {
        self.0.get(usize::from(sequence)).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::payload::EventKind;

    #[test]
    fn events_are_wanted_by_their_names() {
        let wanted = Wanted::from_names(["call.hangup", "call.initiated"]).unwrap();
        assert_eq!(wanted.names(), ["call.initiated", "call.hangup"]);
        for kind in [EventKind::Initiated, EventKind::Answered, EventKind::Hangup] {
            assert_eq!(Wanted::NAMES[usize::from(kind.sequence())], kind.name());
            assert_eq!(wanted.has(kind.sequence()), kind != EventKind::Answered);
            assert!(Wanted::default().has(kind.sequence()));
        }
        assert_eq!(Wanted::from_names([]), None);
        assert_eq!(Wanted::from_names(["call.ringing"]), None);
    }
}
