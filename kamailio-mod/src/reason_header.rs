//! The `Reason` header (RFC 3326): `Q.850;cause=16;text="Terminated", SIP;cause=200`.
//! It must never be fooled by a quoted comma or semicolon, and never allocate.

use crate::kstr::KStr;

/// The cause of the first `Q.850` value, 1 to 127; `None` when there is none.
pub(crate) fn q850(body: &[u8]) -> Option<u16> {
    values(body).find_map(|(protocol, parameters)| {
        let cause = cause(parameters).filter(|_| protocol.eq_ignore_ascii_case(b"Q.850"))?;
        (1..=127).contains(&cause).then_some(cause)
    })
}

/// Whether a value says that media had stopped: `RELEASE_CAUSE` 2 (RTP/RTCP time-out) or 3 (media bearer loss) of 3GPP TS 24.229
/// section 7.2A.18, or the text `MEDIA_TIMEOUT`, which is FreeSWITCH's, under a protocol name of its own.
pub(crate) fn no_media(body: &[u8]) -> bool {
    values(body).any(|(protocol, parameters)| {
        let release = protocol.eq_ignore_ascii_case(b"RELEASE_CAUSE");
        (release && matches!(cause(parameters), Some(2 | 3)))
            || parameter(parameters, b"text") == Some(b"\"MEDIA_TIMEOUT\"")
    })
}

/// The values: protocol and parameters of each.
fn values(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split_unquoted(body, b',').map(|value| {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        (value[..end].trim_ascii(), &value[end..])
    })
}

fn cause(parameters: &[u8]) -> Option<u16> {
    u16::try_from(KStr::from_bytes(parameter(parameters, b"cause")?).number()?).ok()
}

/// The value of the first parameter of that name.
fn parameter<'a>(parameters: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    split_unquoted(parameters, b';').find_map(|parameter| {
        let equals = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (parameter[..equals].trim_ascii(), parameter[equals + 1..].trim_ascii());
        name.eq_ignore_ascii_case(wanted).then_some(value)
    })
}

/// Splits at `separator` wherever it is not inside double quotes.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.iter().position(|&byte| {
            let cut = byte == separator && !quoted;
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && byte == b'\\' && !escaped;
            cut
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use super::{no_media, q850};

    #[test]
    fn the_cause_is_found_among_others() {
        assert_eq!(q850(b"Q.850;cause=16;text=\"Terminated\""), Some(16));
        assert_eq!(q850(b"SIP;cause=200;text=\"a, Q.850;cause=3\" , q.850 ; Cause = 34"), Some(34));
        assert_eq!(q850(b"Q.850;text=\"x\\\";cause=99\";cause=17"), Some(17));
    }

    #[test]
    fn nonsense_is_no_cause() {
        for bad in
            [&b""[..], b"SIP;cause=486", b"Q.850", b"Q.850;cause=", b"Q.850;cause=0", b"Q.850;cause=128"]
        {
            assert_eq!(q850(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn whoever_misses_media_says_so_in_one_of_two_ways() {
        for good in [
            &b"RELEASE_CAUSE;cause=2;text=\"RTP/RTCP time-out\""[..],
            b"Q.850;cause=16, release_cause ; cause = 3",
            b"mod_sofia;cause=604;text=\"MEDIA_TIMEOUT\"",
        ] {
            assert!(no_media(good), "{}", good.escape_ascii());
        }
        for bad in [
            &b"RELEASE_CAUSE;cause=1;text=\"User ends call\""[..],
            b"SIP;cause=2",
            b"RELEASE_CAUSE",
            b"SIP;cause=200;text=\"RELEASE_CAUSE;cause=2, RELEASE_CAUSE;cause=2\"",
            b"SIP;cause=200;text=\"a;text=MEDIA_TIMEOUT\"",
            b"",
        ] {
            assert!(!no_media(bad), "{}", bad.escape_ascii());
        }
    }
}
