//! The caller's half of digest authentication (RFC 7616, algorithm MD5, qop auth), for agents that speak SIP by hand.
//!
//! It must never use the product's own code for it: both would be wrong alike.

use anyhow::{Context, Result};
use md5::{Digest as _, Md5};

/// MD5 of a text in hexadecimal digits; of `user:realm:password` it is HA1.
#[must_use]
pub fn hash(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A quoted or plain parameter of a challenge.
#[must_use]
pub fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let rest = challenge.strip_prefix("Digest")?;
    rest.split(',')
        .find_map(|part| Some(part.trim().strip_prefix(name)?.strip_prefix('=')?.trim_matches('"')))
}

/// The header that answers a challenge, first use of its nonce. HA1 is over `user`, the realm and `password`.
///
/// # Errors
/// The challenge has no realm or nonce.
pub fn answer(challenge: &str, user: &str, password: &str, method: &str, uri: &str) -> Result<String> {
    let realm = parameter(challenge, "realm").with_context(|| format!("no realm in {challenge}"))?;
    let nonce = parameter(challenge, "nonce").with_context(|| format!("no nonce in {challenge}"))?;
    let (ha1, ha2) = (hash(&format!("{user}:{realm}:{password}")), hash(&format!("{method}:{uri}")));
    let cnonce = "0a4f113b";
    let response = hash(&format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}"));
    Ok(format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", qop=auth, nc=00000001, \
         cnonce=\"{cnonce}\", response=\"{response}\", algorithm=MD5"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617() {
        let challenge = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let header = answer(challenge, "Mufasa", "Circle Of Life", "GET", "/dir/index.html").unwrap();
        assert!(header.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{header}");
    }
}
