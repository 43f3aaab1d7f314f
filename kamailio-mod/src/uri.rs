//! A SIP URI taken apart by Kamailio's own parser, and the Request-URI that sends a call to a gateway.
//! It must never write past the room Kamailio allows for a URI: what does not fit is no route.

use core::mem::MaybeUninit;
use core::ops::Range;

use crate::kstr::KStr;
use crate::sys;
use crate::text::Text;

/// Room for one URI, in bytes: Kamailio refuses longer ones itself.
pub(crate) const URI_BYTES: usize = sys::MAX_URI_SIZE as usize;

/// The parts of a `sip:` or `sips:` URI that we use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uri<'a> {
    /// User part with its own parameters, without password.
    pub(crate) user: &'a [u8],
    /// Host, in brackets when it is IPv6.
    pub(crate) host: &'a [u8],
    /// `user=phone` and its like, as written; empty when absent.
    pub(crate) user_param: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Takes a URI apart; `None` for one that is not SIP, has no host, or does not parse.
    ///
    /// With its default `phone2tel`, Kamailio's parser calls a SIP URI with `user=phone` a tel URI and cuts the
    /// parameters off its user part; both are undone here.
    pub(crate) fn parse(text: KStr<'a>) -> Option<Uri<'a>> {
        let bytes = text.bytes();
        let text = text.as_sys();
        if text.len == 0 {
            return None;
        }
        let mut parsed = MaybeUninit::<sys::sip_uri>::zeroed();
        // SAFETY: reads `len` bytes and fills the struct with pointers into them; it does not write to the text.
        if unsafe { sys::parse_uri(text.s, text.len, parsed.as_mut_ptr()) } < 0 {
            return None;
        }
        // SAFETY: zeroed, which is a valid value of every field, and filled by the parser.
        let parsed = unsafe { parsed.assume_init() };
        let phone = parsed.type_ == sys::TEL_URI_T && parsed.flags & sys::URI_SIP_USER_PHONE != 0;
        if !(phone || matches!(parsed.type_, sys::SIP_URI_T | sys::SIPS_URI_T)) {
            return None;
        }
        let host = part(bytes, &parsed.host)?;
        let user = part(bytes, &parsed.user).map_or(0..0, |user| {
            let password = part(bytes, &parsed.passwd).map(|password| password.start);
            user.start..password.unwrap_or(host.start).saturating_sub(1).max(user.end)
        });
        let user_param = part(bytes, &parsed.user_param).unwrap_or(0..0);
        let uri = Uri { user: bytes.get(user)?, host: bytes.get(host)?, user_param: bytes.get(user_param)? };
        (!uri.host.is_empty()).then_some(uri)
    }

    /// The URI of the same user at `gateway` (`sip:host[:port][;params]`), or `None` when it would be too long or the
    /// gateway is no `sip:` URI.
    pub(crate) fn at_gateway(&self, gateway: &[u8]) -> Option<Text<URI_BYTES>> {
        let place = gateway.strip_prefix(b"sip:")?;
        let mut uri = Text::new(b"sip:")?;
        let whole = (self.user.is_empty() || (uri.push(self.user) && uri.push(b"@")))
            && uri.push(place)
            && (self.user_param.is_empty() || (uri.push(b";") && uri.push(self.user_param)));
        whole.then_some(uri)
    }
}

/// Where in `text` a part stands that the parser pointed out; `None` for an absent one.
fn part(text: &[u8], part: &sys::str_) -> Option<Range<usize>> {
    let length = usize::try_from(part.len).ok().filter(|length| *length > 0)?;
    let start = part.s.addr().checked_sub(text.as_ptr().addr())?;
    let end = start.checked_add(length)?;
    (end <= text.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_and_its_parameter_go_along() {
        let uri =
            Uri { user: b"+15550100;phone-context=x", host: b"t.sip.example.net", user_param: b"user=phone" };
        let text = uri.at_gateway(b"sip:192.0.2.1:5070;transport=tcp").expect("fits");
        assert_eq!(text.bytes(), b"sip:+15550100;phone-context=x@192.0.2.1:5070;transport=tcp;user=phone");
    }

    #[test]
    fn without_a_user_there_is_no_at_sign() {
        let uri = Uri { user: b"", host: b"h", user_param: b"" };
        assert_eq!(uri.at_gateway(b"sip:[2001:db8::1]").expect("fits").bytes(), b"sip:[2001:db8::1]");
    }

    #[test]
    fn too_long_or_not_sip_is_no_route() {
        let long = [b'a'; URI_BYTES];
        assert_eq!(Uri { user: &long, host: b"h", user_param: b"" }.at_gateway(b"sip:h"), None);
        assert_eq!(Uri { user: b"a", host: b"h", user_param: b"" }.at_gateway(b"tel:+1"), None);
    }
}
