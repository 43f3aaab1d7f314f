//! The `Reason` header (RFC 3326): `Q.850;cause=16;text="Terminated", SIP;cause=200`.
//! It must never be fooled by a quoted comma or semicolon, and never allocate.

/// The cause of the first `Q.850` value, 1 to 127; `None` when there is none.
pub(crate) fn q850(body: &[u8]) -> Option<u16> {
    split_unquoted(body, b',').find_map(|value| {
        let mut parts = split_unquoted(value, b';');
        if !parts.next()?.trim_ascii().eq_ignore_ascii_case(b"Q.850") {
            return None;
        }
        parts.find_map(|parameter| {
            let equals = parameter.iter().position(|byte| *byte == b'=')?;
            let (name, number) = (parameter[..equals].trim_ascii(), parameter[equals + 1..].trim_ascii());
            if !name.eq_ignore_ascii_case(b"cause") {
                return None;
            }
            let number = crate::kstr::KStr::from_bytes(number).number()?;
            u16::try_from(number).ok().filter(|cause| (1..=127).contains(cause))
        })
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
    use super::q850;

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
}
