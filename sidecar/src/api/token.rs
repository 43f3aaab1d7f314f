//! Tokens of the API: what they look like, how they are made, and how one is proved.
//!
//! A token is `tlk_`, a prefix that finds it, `_`, and a secret of 256 random bits. Only an argon2id hash of the whole is
//! kept. A token that has been proved is remembered for the life of the process under a keyed hash, so that its next
//! request costs a microsecond; who reads the memory of the process gains nothing that the requests in it do not show.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use sha2::Sha256;
use uuid::Uuid;

use crate::domain::Scope;

const START: &str = "tlk_";
/// Characters of the part that finds a token: 71 bits, so nobody meets one by chance.
const PREFIX_CHARS: usize = 12;
/// Characters of the secret: 43 of 62 are more than 256 bits.
const SECRET_CHARS: usize = 43;
/// Most proved tokens that are remembered; more than that are proved again now and then.
const MAX_PROVED: usize = 10_000;

/// A token that was just made. Shown once.
pub(crate) struct NewToken {
    /// What its holder sends.
    pub(crate) text: String,
    /// What finds it.
    pub(crate) prefix: String,
    /// What proves it, in PHC form.
    pub(crate) hash: String,
}

/// Makes a token. Takes some ten milliseconds and 19 MiB: not for a runtime thread.
///
/// # Errors
/// If there is no memory for the hash.
pub(crate) fn make() -> Result<NewToken, argon2::password_hash::Error> {
    let random =
        |count| rand::rng().sample_iter(Alphanumeric).take(count).map(char::from).collect::<String>();
    let prefix = random(PREFIX_CHARS);
    let text = format!("{START}{prefix}_{}", random(SECRET_CHARS));
    let salt: [u8; 16] = rand::random();
    let hash = Argon2::default().hash_password_with_salt(text.as_bytes(), &salt)?.to_string();
    Ok(NewToken { text, prefix, hash })
}

/// The part that finds a token; `None` for what is no token of ours.
pub(super) fn prefix(text: &str) -> Option<&str> {
    let (prefix, secret) = text.strip_prefix(START)?.split_once('_')?;
    let good = |part: &str, count| part.len() == count && part.bytes().all(|c| c.is_ascii_alphanumeric());
    (good(prefix, PREFIX_CHARS) && good(secret, SECRET_CHARS)).then_some(prefix)
}

/// Whether a hash is of this token. As costly as [`make`].
pub(super) fn proves(hash: &str, text: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(text.as_bytes(), &hash).is_ok())
}

/// Who holds a token.
#[derive(Clone)]
pub(super) struct Holder {
    /// The token's id.
    pub(super) token: Uuid,
    /// What it may do.
    pub(super) scope: Scope,
    /// A key that only a holder of the token can make; see [`super::repeat`].
    pub(super) key: [u8; 32],
}

impl Holder {
    /// The holder of a token that was proved.
    pub(super) fn new(token: Uuid, scope: Scope, text: &str) -> Holder {
        Holder { token, scope, key: keyed(text.as_bytes(), b"trunkline: answers kept for this token") }
    }
}

/// Tokens that were proved.
pub(super) struct Proved {
    key: [u8; 32],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By keyed hash of the token.
    holders: HashMap<[u8; 32], Holder>,
    /// Moves whenever something is forgotten.
    forgotten: u64,
}

/// The state of [`Proved`] before a proof began; nothing is remembered that was forgotten since.
#[derive(Clone, Copy)]
pub(super) struct Moment(u64);

impl Proved {
    /// Nothing is proved yet.
    pub(super) fn new() -> Proved {
        Proved { key: rand::random(), state: Mutex::default() }
    }

    /// The holder of a token that was proved before.
    pub(super) fn find(&self, text: &str) -> Option<Holder> {
        self.lock().holders.get(&keyed(&self.key, text.as_bytes())).cloned()
    }

    /// To be asked before the token is looked up.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.lock().forgotten)
    }

    /// Remembers a holder, unless any token was forgotten while this one was proved: it may have been this one.
    pub(super) fn remember(&self, text: &str, holder: Holder, begun: Moment) {
        let hash = keyed(&self.key, text.as_bytes());
        let mut state = self.lock();
        if state.forgotten != begun.0 {
            return;
        }
        if state.holders.len() >= MAX_PROVED {
            state.holders.clear();
        }
        state.holders.insert(hash, holder);
    }

    /// Forgets whoever `gone` names: their tokens were deleted or may do something else now.
    pub(super) fn forget(&self, gone: impl Fn(&Holder) -> bool) {
        let mut state = self.lock();
        state.forgotten += 1;
        state.holders.retain(|_, holder| !gone(holder));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one call on a map: it is sound whoever died while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// HMAC-SHA-256.
pub(super) fn keyed(key: &[u8], text: &[u8]) -> [u8; 32] {
    // An HMAC takes a key of any length.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().into())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_proves_itself_and_no_other() {
        let (one, two) = (make().unwrap(), make().unwrap());
        assert_eq!(prefix(&one.text), Some(one.prefix.as_str()));
        assert!(one.hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.hash);
        assert!(proves(&one.hash, &one.text) && !proves(&one.hash, &two.text));
        assert!(!proves("", &one.text) && !proves("$argon2id$", &one.text));
    }

    #[test]
    fn what_is_no_token_has_no_prefix() {
        let good = make().unwrap().text;
        for bad in [
            "",
            "tlk_",
            "Bearer",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
            &good.replace("tlk_", "tlk-"),
        ] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_was_forgotten_during_a_proof_is_not_remembered_after_it() {
        let (proved, id) = (Proved::new(), Uuid::from_bytes([1; 16]));
        let holder = || Holder::new(id, Scope::Admin, "t");
        proved.remember("t", holder(), proved.moment());
        assert!(proved.find("t").is_some() && proved.find("u").is_none());
        let begun = proved.moment();
        proved.forget(|holder| holder.token == id);
        assert!(proved.find("t").is_none());
        proved.remember("t", holder(), begun);
        assert!(proved.find("t").is_none());
    }
}
