//! Digest (RFC 7616, as a proxy: 407) through Kamailio's auth module, with HA1 from the table image.
//!
//! auth looks for the credentials, checks the nonce and computes the response; we bring HA1. It must never say which
//! of user, password or trunk was wrong, and does the same work for an unknown user as for a wrong password.

use core::{mem, ptr};

use trunk_admission::Identity;
use trunk_admission::image::Ha1;
use trunk_admission::instance::Instance;

use crate::brake::{Guess, Rates};
use crate::credentials;
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

/// What a call's credentials are checked with.
pub(crate) struct Asked<'a> {
    /// The auth module's functions.
    pub(crate) auth: &'a sys::auth_api_s,
    /// The digest it computes.
    pub(crate) algorithm: Algorithm,
    /// How often anybody may be wrong.
    pub(crate) rates: &'a Rates,
    /// The realm of the trunk.
    pub(crate) realm: &'a [u8],
}

/// What the caller has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proved {
    /// It brought no credentials, or some that answer no challenge of ours.
    Nothing,
    /// Its nonce is too old, was used before, or was sent elsewhere: another one will do, without asking anybody for a password.
    Stale,
    /// The password.
    Right,
    /// That it does not know it.
    Wrong,
    /// It has been wrong too often; what it brought was not looked at.
    NotLookedAt,
}

/// Checks the credentials for the realm. Each takes its nonce count whatever comes of it, so that none is ever good twice.
pub(crate) fn prove(asked: &Asked<'_>, instance: &Instance, identity: &Identity, msg: SipMsg<'_>) -> Proved {
    let (Some(pre_auth), Some(check), Some(post_auth)) =
        (asked.auth.pre_auth, asked.auth.check_response, asked.auth.post_auth)
    else {
        return Proved::Nothing;
    };
    if !credentials::are_whole(msg, asked.realm) {
        return Proved::Nothing;
    }
    let (source, _) = msg.source();
    let mut header = ptr::null_mut();
    let mut text = KStr::from_bytes(asked.realm).as_sys();
    // SAFETY: reads the message; may move the ends of `text`, not its bytes; stores a header of the message.
    let found = unsafe { pre_auth(msg.as_ptr(), &raw mut text, sys::HDR_PROXYAUTH_T, &raw mut header, None) };
    if found == sys::STALE_NONCE {
        return Proved::Stale;
    }
    if found != sys::DO_AUTHENTICATION || header.is_null() {
        return Proved::Nothing;
    }
    // SAFETY: DO_AUTHENTICATION means that the header was parsed into an auth_body (modules/auth/api.c).
    let raw = unsafe { (*header).parsed.cast::<sys::auth_body>() };
    // SAFETY: as above; the struct lives as long as the message.
    let Some(mut body) = (unsafe { raw.as_mut() }) else { return Proved::Nothing };
    // SAFETY: a part of the message.
    let username = unsafe { KStr::new(&body.digest.username.whole) };
    let trunk = identity.trunk.live();
    let guess = asked.rates.guess(instance, source, trunk, username.bytes());
    match guess {
        Guess::Refuse => return Proved::NotLookedAt,
        Guess::LookIfAskedHere => {
            // Without its count, check_nonce (modules/auth/nonce.c) compares what the nonce was made for, as
            // `auth_checks_no_dlg` says: the address. The count was taken above.
            let count = mem::replace(&mut body.digest.nc.len, 0);
            // SAFETY: as above; the header is parsed and stays.
            let here =
                unsafe { pre_auth(msg.as_ptr(), &raw mut text, sys::HDR_PROXYAUTH_T, &raw mut header, None) };
            if here != sys::DO_AUTHENTICATION {
                return Proved::Stale;
            }
            // SAFETY: the same structure, which nobody else has now.
            let Some(again) = (unsafe { raw.as_mut() }) else { return Proved::Nothing };
            body = again;
            body.digest.nc.len = count;
        }
        Guess::Look => {}
    }

    let ha1 = instance.credential(identity, username.bytes());
    let known = ha1.is_some();
    let ha1 = ha1.unwrap_or(Ha1 { md5: [0; 16], sha256: [0; 32] });
    let mut digits = [0u8; HA1_CHARS];
    let written = match asked.algorithm {
        Algorithm::Md5 => hex::c_string(&ha1.md5, &mut digits),
        Algorithm::Sha256 => hex::c_string(&ha1.sha256, &mut digits),
    };
    let mut method = KStr::from_bytes(b"INVITE").as_sys();
    let digits = digits.as_mut_ptr().cast();
    // SAFETY: reads the credentials, the method and the NUL-terminated digits.
    let right = unsafe { check(&raw mut body.digest, &raw mut method, digits) } == sys::AUTHENTICATED;
    if !(right && known && written.is_some() && counted_once(&body.digest)) {
        asked.rates.wrong(instance, source, trunk, username.bytes());
        if guess == Guess::LookIfAskedHere {
            asked.rates.wrong_as_proved(instance, source, trunk, username.bytes());
        }
        return Proved::Wrong;
    }
    // SAFETY: as above, after a good response.
    if unsafe { post_auth(msg.as_ptr(), header, digits) } != sys::AUTHENTICATED {
        return Proved::Nothing;
    }
    instance.live().trust(source, trunk, username.bytes());
    // The first use of a nonce, which has only one: its challenge was counted as a stranger's.
    // SAFETY: a part of the message.
    if unsafe { KStr::new(&body.digest.nc) }.bytes() == b"00000001" {
        asked.rates.no_stranger(instance);
    }
    Proved::Right
}

/// Whether the response can never be used again: it is bound to a nonce count, which `check_nonce` (modules/auth/nonce.c) has
/// just taken. That function only looks at a count when there is one, whatever `qop` says, and `calc_response` hashes it
/// only when there is a `qop`: so both must be there, or the same response would be right a second time. `auth-int`
/// would be checked against a body hash that auth does not compute.
fn counted_once(digest: &sys::dig_cred) -> bool {
    // SAFETY: a part of the message.
    let nonce = unsafe { KStr::new(&digest.nonce) };
    // SAFETY: as above.
    let count = unsafe { KStr::new(&digest.nc) };
    // SAFETY: as above.
    let own = unsafe { KStr::new(&digest.cnonce) };
    digest.qop.qop_parsed == sys::QOP_AUTH
        && credentials::is_count(count.bytes())
        && !own.bytes().is_empty()
        && nonce.bytes().iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}
