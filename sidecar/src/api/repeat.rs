//! Requests that may be sent twice: `Idempotency-Key`.
//!
//! The answer to a write is kept with the write, in the same transaction, and given again to whoever repeats the request
//! under the same key. It may hold a secret that is shown once, so it is kept sealed (ChaCha20-Poly1305) under a key that
//! is made from the caller's token, which is kept nowhere: who has the database cannot open it, and who has the token was
//! told the secret anyway. Must never keep an answer in clear.

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::problem::Refusal;
use super::token::{Holder, keyed};
use crate::domain::{IdempotencyRecord, Millis};

/// How long an answer is kept.
const KEPT_MS: Millis = 24 * 3_600_000;
/// Longest key, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 128;
/// The header.
pub(super) const HEADER: &str = "idempotency-key";

/// What the client calls its request, and what tells it from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeatable {
    pub(super) key: String,
    fingerprint: [u8; 32],
}

impl Repeatable {
    /// Of a request that carries a key; `parts` are everything that makes the request what it is.
    pub(super) fn read(
        headers: &HeaderMap,
        holder: &Holder,
        parts: &[&[u8]],
    ) -> Result<Option<Repeatable>, Refusal> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
        let (Some(key), None) = (key, values.next()) else {
            let detail = format!("must stand once and have 1 to {MAX_KEY_BYTES} printable ASCII characters");
            return Err(Refusal::fault(HEADER, "malformed_header", detail)
                .with_status(StatusCode::BAD_REQUEST, "malformed_header"));
        };
        // Lengths first, so that no two requests look the same when their parts are joined. Keyed, because a body may
        // hold a password that could be found by trying.
        let lengths = parts.iter().flat_map(|part| part.len().to_be_bytes());
        let text: Vec<u8> = lengths.chain(parts.concat()).collect();
        Ok(Some(Repeatable {
            key: key.to_owned(),
            fingerprint: keyed(&keyed(&holder.key, b"fingerprint"), &text),
        }))
    }

    /// The record of an answer.
    pub(super) fn record(
        &self,
        holder: &Holder,
        status: StatusCode,
        answer: &[u8],
        now_ms: Millis,
    ) -> IdempotencyRecord {
        IdempotencyRecord {
            owner: holder.token,
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            status: status.as_u16(),
            answer: seal(holder, &self.key, answer),
            expires_ms: now_ms + KEPT_MS,
        }
    }

    /// The answer that was kept; a refusal if the key was used for another request.
    pub(super) fn answer(
        &self,
        holder: &Holder,
        record: &IdempotencyRecord,
    ) -> Result<(StatusCode, Vec<u8>), Refusal> {
        if record.fingerprint != self.fingerprint {
            let detail = "this key was used for another request";
            return Err(Refusal::fault(HEADER, "key_reused", detail)
                .with_status(StatusCode::UNPROCESSABLE_ENTITY, "key_reused"));
        }
        let status = StatusCode::from_u16(record.status).ok();
        status.zip(open(holder, &self.key, &record.answer)).ok_or_else(|| {
            let detail = "the request was done, but its answer can no longer be read";
            Refusal::new(StatusCode::CONFLICT, "answer_lost", detail)
        })
    }
}

fn cipher(holder: &Holder) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, &holder.key).ok().map(LessSafeKey::new)
}

/// Nonce and ciphertext in base64; empty, which nothing opens, should the cipher refuse.
fn seal(holder: &Holder, key: &str, answer: &[u8]) -> String {
    // At random: 2^32 answers of one token could be kept before two nonces are likely to meet (NIST SP 800-38D).
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut sealed = answer.to_vec();
    let done = cipher(holder).and_then(|cipher| {
        let nonce = Nonce::assume_unique_for_key(nonce);
        cipher.seal_in_place_append_tag(nonce, Aad::from(key.as_bytes()), &mut sealed).ok()
    });
    done.map(|()| STANDARD.encode([nonce.as_slice(), &sealed].concat())).unwrap_or_default()
}

fn open(holder: &Holder, key: &str, kept: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(kept).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let opened = cipher(holder)?.open_in_place(nonce, Aad::from(key.as_bytes()), &mut sealed).ok()?;
    Some(opened.to_vec())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Scope;

    fn headers(key: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static(key));
        headers
    }

    fn ask(holder: &Holder, parts: &[&[u8]]) -> Repeatable {
        Repeatable::read(&headers("k"), holder, parts).unwrap().unwrap()
    }

    #[test]
    fn the_same_request_gets_the_answer_that_nobody_else_can_read() {
        let holder = Holder::new(Uuid::from_bytes([1; 16]), Scope::Admin, "a token");
        let record =
            ask(&holder, &[b"POST", b"/v1", b"{}"]).record(&holder, StatusCode::CREATED, b"secret", 5);
        assert!(!record.answer.contains("secret") && !record.answer.contains(&STANDARD.encode("secret")));
        assert_eq!(record.expires_ms, KEPT_MS + 5);

        let again = ask(&holder, &[b"POST", b"/v1", b"{}"]);
        assert_eq!(again.answer(&holder, &record).unwrap(), (StatusCode::CREATED, b"secret".to_vec()));
        for other in
            [[b"POST".as_slice(), b"/v1", b"{ }"], [b"POST", b"/v1{", b"}"], [b"PATCH", b"/v1", b"{}"]]
        {
            assert_eq!(ask(&holder, &other).answer(&holder, &record).unwrap_err().code, "key_reused");
        }
        let other = Holder::new(Uuid::from_bytes([1; 16]), Scope::Admin, "another token");
        assert!(open(&other, "k", &record.answer).is_none());
        assert!(open(&holder, "l", &record.answer).is_none());
    }

    #[test]
    fn a_key_is_short_and_printable() {
        let holder = Holder::new(Uuid::nil(), Scope::Admin, "t");
        assert_eq!(Repeatable::read(&HeaderMap::new(), &holder, &[]).unwrap(), None);
        assert!(Repeatable::read(&headers(""), &holder, &[]).is_err());
        let mut twice = headers("a");
        twice.append(HEADER, HeaderValue::from_static("b"));
        assert!(Repeatable::read(&twice, &holder, &[]).is_err());
        let mut long = headers("a");
        long.insert(HEADER, HeaderValue::from_str(&"a".repeat(MAX_KEY_BYTES + 1)).unwrap());
        assert!(Repeatable::read(&long, &holder, &[]).is_err());
    }
}
