//! Secrets in the forms in which they may be kept: digest hashes and webhook signing keys.
//!
//! Nothing here prints a secret, in `Debug` or otherwise; [`WebhookSecret::reveal`] is for the store and the signer alone.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::Sha256;

/// Characters of a SIP password that is made here: 24 of 62 are 142 bits.
const PASSWORD_CHARS: usize = 24;

/// A SIP password that was just made, to be shown once.
pub struct Password(String);

impl Password {
    /// At random, of letters and digits: 142 bits.
    pub fn random() -> Password {
        let characters = rand::rng().sample_iter(Alphanumeric).take(PASSWORD_CHARS);
        Password(characters.map(char::from).collect())
    }

    /// The password, for the one answer that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// HA1 of RFC 7616 section 3.4.2 for both algorithms: hash of `user:realm:password`.
pub fn ha1(username: &str, realm: &str, password: &str) -> ([u8; 16], [u8; 32]) {
    let text = format!("{username}:{realm}:{password}");
    (Md5::digest(&text).into(), Sha256::digest(&text).into())
}

/// The key that signs an endpoint's events: `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks 1.0).
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

/// A text that is no webhook secret. The text itself is never part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"whsec_\" and the base64 of 24 to 64 random bytes")]
pub struct WebhookSecretError;

impl WebhookSecret {
    const PREFIX: &str = "whsec_";

    /// Accepts a secret as it is written in configuration.
    pub fn parse(text: &str) -> Result<WebhookSecret, WebhookSecretError> {
        let secret = WebhookSecret(text.to_owned());
        match secret.decode() {
            Some(key) if (24..=64).contains(&key.len()) => Ok(secret),
            _ => Err(WebhookSecretError),
        }
    }

    /// A new one of 32 bytes.
    pub fn random() -> WebhookSecret {
        let key: [u8; 32] = rand::random();
        WebhookSecret(format!("{}{}", Self::PREFIX, STANDARD.encode(key)))
    }

    /// The bytes of the key.
    pub fn key(&self) -> Vec<u8> {
        self.decode().unwrap_or_default()
    }

    /// The written form, for the store.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn decode(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.0.strip_prefix(Self::PREFIX)?).ok()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// The key of the second signature: `whsk_` and the base64 of an Ed25519 seed (RFC 8032 section 5.1.5), 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; 32]);

/// A text that is no signing key. The text itself is never part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"whsk_\" and the base64 of 32 random bytes")]
pub struct SigningKeyError;

impl SigningKey {
    const PREFIX: &str = "whsk_";
    const PUBLIC_PREFIX: &str = "whpk_";

    /// Accepts a key as it is written in configuration.
    pub fn parse(text: &str) -> Result<SigningKey, SigningKeyError> {
        let base64 = text.strip_prefix(Self::PREFIX).ok_or(SigningKeyError)?;
        let seed = STANDARD.decode(base64).ok().and_then(|seed| seed.try_into().ok());
        seed.map(SigningKey).ok_or(SigningKeyError)
    }

    /// A new one.
    pub fn random() -> SigningKey {
        SigningKey(rand::random())
    }

    /// The written form, for the store.
    pub fn reveal(&self) -> String {
        format!("{}{}", Self::PREFIX, STANDARD.encode(self.0))
    }

    /// What receivers check with: `whpk_` and the base64 of the public key.
    pub fn public(&self) -> String {
        format!("{}{}", Self::PUBLIC_PREFIX, STANDARD.encode(self.pair().public_key().as_ref()))
    }

    /// The signature of a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair().sign(message).as_ref());
        signature
    }

    fn pair(&self) -> Ed25519KeyPair {
        #[expect(clippy::expect_used, reason = "any 32 bytes are a seed (RFC 8032 section 5.1.5)")]
        Ed25519KeyPair::from_seed_unchecked(&self.0).expect("any 32 bytes are a seed")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn ha1_is_the_hash_of_user_realm_password() {
        // RFC 2617 section 3.5: Mufasa, testrealm@host.com, "Circle Of Life".
        let (md5, _) = ha1("Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(hex(&md5), "939e7578ed9e3c518a452acee763bce9");
        // RFC 7616 section 3.9.1 uses Mufasa, http-auth@example.org, "Circle of Life".
        let (md5, sha256) = ha1("Mufasa", "http-auth@example.org", "Circle of Life");
        assert_eq!(hex(&md5), "3d78807defe7de2157e2b0b6573a855f");
        assert_eq!(hex(&sha256), "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232");
    }

    #[test]
    fn what_is_made_keeps_the_rules_and_is_never_the_same() {
        let (one, two) = (WebhookSecret::random(), WebhookSecret::random());
        assert!(one != two && WebhookSecret::parse(one.reveal()).is_ok());
        let (one, two) = (Password::random(), Password::random());
        assert!(one.reveal() != two.reveal() && one.reveal().len() == PASSWORD_CHARS);
    }

    #[test]
    fn a_webhook_secret_has_24_to_64_bytes_and_prints_nothing() {
        for (bytes, good) in [(23, false), (24, true), (64, true), (65, false)] {
            let text = format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
            assert_eq!(WebhookSecret::parse(&text).is_ok(), good, "{bytes}");
        }
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!"] {
            assert_eq!(WebhookSecret::parse(bad), Err(WebhookSecretError), "{bad}");
        }
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(secret.key().len(), 24);
        assert_eq!(format!("{secret:?}"), "WebhookSecret(..)");
    }

    #[test]
    fn a_signing_key_agrees_with_the_vector_of_the_rfc() {
        // RFC 8032 section 7.1, test 2.
        let seed = [
            0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f,
            0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
        ];
        let key = SigningKey::parse(&format!("whsk_{}", STANDARD.encode(seed))).unwrap();
        assert!(
            hex(&key.sign(&[0x72]))
                .starts_with("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
        );
        let public = STANDARD.decode(key.public().strip_prefix("whpk_").unwrap()).unwrap();
        assert_eq!(hex(&public), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(SigningKey::parse(&key.reveal()).unwrap(), key);
        assert_eq!(format!("{key:?}"), "SigningKey(..)");
        for bad in ["", "whsk_", "whsk_AAAA", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert_eq!(SigningKey::parse(bad), Err(SigningKeyError), "{bad}");
        }
        assert_ne!(SigningKey::random(), SigningKey::random());
    }
}
