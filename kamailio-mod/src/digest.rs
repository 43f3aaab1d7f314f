//! Digest (RFC 7616, as a proxy: 407) through Kamailio's auth module, with HA1 from the table image.
//!
//! auth looks for the credentials, checks the nonce and computes the response; we bring HA1. It must never say which
//! of user, password or trunk was wrong, and does the same work for an unknown user as for a wrong password.

use core::ptr;

use trunk_admission::image::Ha1;
use trunk_admission::instance::Instance;
use trunk_admission::{Identity, Proof};

use crate::hex;
use crate::kstr::KStr;
use crate::msg::SipMsg;
use crate::sys;

/// Which digest the auth module computes: its modparam `algorithm`, one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

/// HA1 in hexadecimal with its NUL, for the longer algorithm.
const HA1_CHARS: usize = 65;

impl Algorithm {
    /// Asks the auth module by letting it hash something: 32 digits are MD5, 64 are SHA-256. `None` for anything else,
    /// and while auth has not been initialised (its table is then empty).
    pub(crate) fn of(auth: &sys::auth_api_s) -> Option<Algorithm> {
        let calc = auth.calc_HA1?;
        let mut digits = [0u8; HA1_CHARS];
        let mut text = KStr::from_bytes(b"probe").as_sys();
        let text = &raw mut text;
        // SAFETY: reads the texts and writes at most 64 digits and a NUL (HASHHEX_SHA256 in modules/auth/rfc2617_sha256.h).
        unsafe { calc(sys::HA_MD5, text, text, text, text, text, digits.as_mut_ptr().cast()) };
        match digits.iter().position(|digit| *digit == 0) {
            Some(32) => Some(Algorithm::Md5),
            Some(64) => Some(Algorithm::Sha256),
            _ => None,
        }
    }
}

/// What the caller has proved for `realm`. [`Proof::None`] for no, malformed or outdated credentials: auth has marked
/// the stale ones, so that the script's `proxy_challenge()` says so.
pub(crate) fn prove(
    auth: &sys::auth_api_s,
    algorithm: Algorithm,
    instance: &Instance,
    identity: &Identity,
    msg: SipMsg<'_>,
    realm: &[u8],
) -> Proof {
    let (Some(pre_auth), Some(check), Some(post_auth)) = (auth.pre_auth, auth.check_response, auth.post_auth)
    else {
        return Proof::None;
    };
    let mut header = ptr::null_mut();
    let mut text = KStr::from_bytes(realm).as_sys();
    // SAFETY: reads the message; may move the ends of `text`, not its bytes; stores a header of the message.
    let found = unsafe { pre_auth(msg.as_ptr(), &raw mut text, sys::HDR_PROXYAUTH_T, &raw mut header, None) };
    if found != sys::DO_AUTHENTICATION || header.is_null() {
        return Proof::None;
    }
    // SAFETY: DO_AUTHENTICATION means that the header was parsed into an auth_body (modules/auth/api.c).
    let body = unsafe { (*header).parsed.cast::<sys::auth_body>() };
    // SAFETY: as above; the struct lives as long as the message.
    let Some(body) = (unsafe { body.as_mut() }) else { return Proof::None };
    // SAFETY: a part of the message.
    let username = unsafe { KStr::new(&body.digest.username.whole) };

    let ha1 = instance.credential(identity, username.bytes());
    let known = ha1.is_some();
    let ha1 = ha1.unwrap_or(Ha1 { md5: [0; 16], sha256: [0; 32] });
    let mut digits = [0u8; HA1_CHARS];
    let written = match algorithm {
        Algorithm::Md5 => hex::c_string(&ha1.md5, &mut digits),
        Algorithm::Sha256 => hex::c_string(&ha1.sha256, &mut digits),
    };
    let mut method = KStr::from_bytes(b"INVITE").as_sys();
    let digits = digits.as_mut_ptr().cast();
    // SAFETY: reads the credentials, the method and the NUL-terminated digits.
    let right = unsafe { check(&raw mut body.digest, &raw mut method, digits) } == sys::AUTHENTICATED;
    if !(right && known && written.is_some()) {
        return Proof::Failed;
    }
    // SAFETY: as above, after a good response.
    if unsafe { post_auth(msg.as_ptr(), header, digits) } == sys::AUTHENTICATED {
        Proof::Verified
    } else {
        Proof::None
    }
}
