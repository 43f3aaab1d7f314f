//! Standard Webhooks 1.0 signatures over `id.timestamp.payload`: HMAC-SHA256 tagged `v1`, Ed25519 tagged `v1a`.
//!
//! Signs the exact bytes that are sent; must never see a payload before it is final.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::{Millis, Webhook};
use crate::secret::WebhookSecret;

/// The value of `webhook-signature`: of the secret, of the one before it while both are good, of the signing key if there
/// is one. The timestamp is that of the attempt: receivers refuse what is older than five minutes, so it must be fresh each
/// time.
pub fn signatures(webhook: &Webhook, id: &str, now_ms: Millis, payload: &[u8]) -> String {
    let mut signed = format!("{id}.{}.", now_ms.div_euclid(1000)).into_bytes();
    signed.extend_from_slice(payload);
    let mut signatures = vec![v1(&webhook.secret, &signed)];
    if let Some(old) = webhook.old_secret.as_ref().filter(|old| now_ms < old.until_ms) {
        signatures.push(v1(&old.secret, &signed));
    }
    if let Some(key) = &webhook.signing_key {
        signatures.push(format!("v1a,{}", STANDARD.encode(key.sign(&signed))));
    }
    signatures.join(" ")
}

fn v1(secret: &WebhookSecret, signed: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 section 2)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.key()).expect("HMAC takes keys of any length");
    mac.update(signed);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OldSecret;
    use crate::secret::SigningKey;

    const PUBLISHED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn webhook() -> Webhook {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        Webhook::new("https://hooks.example.com/".into(), secret)
    }

    fn sign(webhook: &Webhook) -> String {
        let (id, payload) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        signatures(webhook, id, 1_614_265_330_999, payload)
    }

    #[test]
    fn agrees_with_the_vector_of_the_specification() {
        // standard-webhooks/spec, "signature scheme": the published example.
        assert_eq!(sign(&webhook()), PUBLISHED);
    }

    #[test]
    fn a_secret_that_was_replaced_signs_beside_the_new_one_until_its_time_is_up() {
        let replaced = |until_ms| Webhook {
            secret: WebhookSecret::random(),
            old_secret: Some(OldSecret { secret: webhook().secret, until_ms }),
            ..webhook()
        };
        let both = sign(&replaced(1_614_265_331_000));
        assert!(both.ends_with(PUBLISHED) && both.len() == 2 * PUBLISHED.len() + 1, "{both}");
        assert!(!sign(&replaced(1_614_265_330_999)).contains(PUBLISHED));
    }

    #[test]
    fn a_signing_key_adds_a_signature_of_its_own() {
        let key = SigningKey::random();
        let public = STANDARD.decode(key.public().strip_prefix("whpk_").unwrap()).unwrap();
        let text = sign(&Webhook { signing_key: Some(key), ..webhook() });
        let v1a = text.strip_prefix(&format!("{PUBLISHED} v1a,")).unwrap();
        let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public);
        public.verify(signed, &STANDARD.decode(v1a).unwrap()).unwrap();
    }
}
