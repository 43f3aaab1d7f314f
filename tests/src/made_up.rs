//! Credentials that prove nothing, one of each kind that a stranger may bring as Proxy-Authorization.
//!
//! It must never hold any that prove something.

/// A nonce of the form that auth sends, whose time was over long ago.
const STALE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How many kinds there are.
pub const KINDS: usize = 7;

/// One of each kind: what it is, and the header if there is one. `used` is a header that was sent before.
#[must_use]
pub fn one_of_each(realm: &str, uri: &str, used: &str) -> [(&'static str, Option<String>); KINDS] {
    let digest = |realm: &str, nonce: &str| {
        Some(format!(
            "Digest username=\"pbx\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"0123456789abcdef0123456789abcdef\", qop=auth, nc=00000001, cnonce=\"c\""
        ))
    };
    [
        ("nothing", None),
        ("another realm", digest("elsewhere.example", STALE)),
        ("another scheme", Some("Basic cGJ4OnBieA==".to_owned())),
        ("no Digest", Some(format!("Digest username=\"pbx, realm={realm}, nonce={STALE}"))),
        ("made-up nonce", digest(realm, "made-up")),
        ("stale nonce", digest(realm, STALE)),
        ("used", Some(used.to_owned())),
    ]
}
