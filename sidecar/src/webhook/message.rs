//! An event as the request that carries it: URL, body, signature.
//!
//! With POST the payload is the body, with GET the query as it stands in the request line, the URL's own part included. The
//! payload is what is signed. Pure.

use serde_json::Value;
use url::Url;

use super::client::Request;
use super::sign;
use crate::domain::{Millis, Webhook, WebhookMethod};

/// The request for an event, signed as of now. A URL that cannot be read is left for the client to refuse.
pub fn request(webhook: &Webhook, url: &str, event_id: &str, body: &str, now_ms: Millis) -> Request {
    let (url, body) = match webhook.method {
        WebhookMethod::Post => (url.to_owned(), Some(body.to_owned())),
        WebhookMethod::Get => (with_query(url, body), None),
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let payload = body.as_deref().unwrap_or(query);
    let signature = sign::signatures(webhook, event_id, now_ms, payload.as_bytes());
    let timestamp_s = now_ms.div_euclid(1000);
    Request { url, event_id: event_id.to_owned(), timestamp_s, signature, body }
}

/// A URL with an event's fields after whatever query it has: `type`, `timestamp`, then those of `data`. A field that is not
/// known is left out; what is no plain value is there as JSON.
fn with_query(url: &str, body: &str) -> String {
    let (Ok(mut url), Ok(Value::Object(event))) = (Url::parse(url), serde_json::from_str(body)) else {
        return url.to_owned();
    };
    let data = event.get("data").and_then(Value::as_object);
    let outer = event.iter().filter(|(name, _)| *name != "data");
    let mut pairs = url.query_pairs_mut();
    for (name, value) in outer.chain(data.into_iter().flatten()) {
        match value {
            Value::Null => {}
            Value::String(text) => drop(pairs.append_pair(name, text)),
            other => drop(pairs.append_pair(name, &other.to_string())),
        }
    }
    drop(pairs);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::WebhookSecret;

    const BODY: &str = r#"{"type":"call.hangup","timestamp":"2026-01-01T00:00:00.000Z","data":{"callId":"a b&c","sipCode":200,"reason":null,"allowed":true,"quality":{"mos":4.1}}}"#;

    fn webhook(method: WebhookMethod) -> Webhook {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        Webhook { method, ..Webhook::new("https://hooks.example.com/h".into(), secret) }
    }

    #[test]
    fn a_post_carries_the_bytes_that_are_signed() {
        let webhook = webhook(WebhookMethod::Post);
        let request = request(&webhook, &webhook.url, "evt_1", BODY, 7_999);
        assert_eq!(
            (request.url.as_str(), request.body.as_deref()),
            ("https://hooks.example.com/h", Some(BODY))
        );
        assert_eq!(request.timestamp_s, 7);
        assert_eq!(request.signature, sign::signatures(&webhook, "evt_1", 7_000, BODY.as_bytes()));
    }

    #[test]
    fn a_get_carries_the_fields_as_its_query_and_signs_it() {
        let webhook = webhook(WebhookMethod::Get);
        let request = request(&webhook, "https://hooks.example.com/h?key=1", "evt_1", BODY, 7_000);
        let query = "key=1&type=call.hangup&timestamp=2026-01-01T00%3A00%3A00.000Z&callId=a+b%26c&sipCode=200\
            &allowed=true&quality=%7B%22mos%22%3A4.1%7D";
        let mut wanted: Vec<_> = query.split('&').collect();
        let (url, found) = request.url.split_once('?').unwrap();
        let mut pairs: Vec<_> = found.split('&').collect();
        assert_eq!(pairs[0], "key=1");
        wanted.sort_unstable();
        pairs.sort_unstable();
        assert_eq!((url, pairs), ("https://hooks.example.com/h", wanted));
        assert_eq!(request.body, None);
        assert_eq!(request.signature, sign::signatures(&webhook, "evt_1", 7_000, found.as_bytes()));
    }
}
