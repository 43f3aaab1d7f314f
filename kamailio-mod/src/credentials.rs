//! What a request brings as Proxy-Authorization, looked at before auth is asked: whether it is whole.
//!
//! auth writes a line into the log for each header that it cannot read, in the worker and for whoever sends it. It must never
//! say that credentials are right, and never turn away any that auth would take.

use core::ptr::NonNull;

use crate::kstr::KStr;
use crate::msg::SipMsg;
use crate::sys;

/// Whether auth finds credentials for the realm that it can check, by the steps of its own (`find_credentials` in
/// core/parser/digest/digest.c, `auth_check_hdr_md5` in modules/auth/api.c, `check_nonce` in modules/auth/nonce.c).
pub(crate) fn are_whole(msg: SipMsg<'_>, realm: &[u8]) -> bool {
    for header in msg.credentials() {
        // SAFETY: Kamailio's parser on a header of the message that is of this kind; a second time it does nothing.
        if unsafe { sys::parse_credentials(header.as_ptr()) } < 0 {
            return false;
        }
        let Some(digest) = digest_of(header) else { continue };
        // SAFETY: a part of the message.
        let named = unsafe { KStr::new(&digest.realm) };
        if named.bytes().eq_ignore_ascii_case(realm) {
            return is_complete(digest);
        }
    }
    false
}

/// The credentials of a header that has been parsed; `None` for another scheme than Digest.
fn digest_of<'a>(header: NonNull<sys::hdr_field>) -> Option<&'a mut sys::dig_cred> {
    // SAFETY: header fields live as long as their message.
    let parsed = unsafe { (*header.as_ptr()).parsed };
    // SAFETY: `parsed` of such a header is an auth_body once it is set, which is as old as it and nobody else looks at now.
    let body = unsafe { parsed.cast::<sys::auth_body>().as_mut() };
    body.map(|body| &mut body.digest)
}

/// Whether nothing is missing, and a nonce count, where there is one, is a number.
fn is_complete(digest: &mut sys::dig_cred) -> bool {
    // SAFETY: reads what the parser has stored.
    if unsafe { sys::check_dig_cred(digest) } != 0 {
        return false;
    }
    // SAFETY: a part of the message.
    let count = unsafe { KStr::new(&digest.nc) };
    count.bytes().is_empty() || is_count(count.bytes())
}

/// RFC 7616 section 3.4: exactly eight hexadecimal digits.
pub(crate) fn is_count(text: &[u8]) -> bool {
    text.len() == 8 && text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::is_count;

    #[test]
    fn a_nonce_count_has_eight_digits() {
        assert!(is_count(b"00000001") && is_count(b"0000fF10"));
        for bad in [&b""[..], b"1", b"0000001", b"000000001", b"0000000x"] {
            assert!(!is_count(bad), "{}", bad.escape_ascii());
        }
    }
}
