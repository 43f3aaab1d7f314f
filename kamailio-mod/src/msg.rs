//! The few things we read from a SIP message, and the two we write (Request-URI and next hop).
//!
//! It must never keep a pointer into a message beyond the entry point that was given it, and never trust that a header
//! is there: Kamailio parses lazily, and the script may call us on anything.

use core::marker::PhantomData;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ptr::NonNull;

use trunk_admission::events::NO_MEDIA;

use crate::kstr::KStr;
use crate::reason_header;
use crate::sys;
use crate::uri::Uri;

/// What Kamailio passes instead of a reply when it made the answer itself (`FAKED_REPLY` in core/parser/msg_parser.h).
const FAKED_REPLY: usize = usize::MAX;

/// Which message this is: Kamailio's counter is unique within one process only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MsgKey {
    id: u32,
    pid: i32,
}

/// A SIP message, borrowed for one entry point.
#[derive(Clone, Copy)]
pub(crate) struct SipMsg<'a> {
    raw: NonNull<sys::sip_msg>,
    during: PhantomData<&'a sys::sip_msg>,
}

impl MsgKey {
    /// No message: Kamailio's process ids are never 0.
    pub(crate) const NONE: MsgKey = MsgKey { id: 0, pid: 0 };
}

impl<'a> SipMsg<'a> {
    /// Takes the pointer that Kamailio handed over; `None` for null and for the marker of a locally made reply.
    ///
    /// # Safety
    /// Anything else must point to a message that nobody else changes during `'a`. That holds for the message of a
    /// script function, of a dialog callback and of a transaction callback, until it returns.
    pub(crate) unsafe fn new(raw: *mut sys::sip_msg) -> Option<SipMsg<'a>> {
        NonNull::new(raw)
            .filter(|raw| raw.addr().get() != FAKED_REPLY)
            .map(|raw| SipMsg { raw, during: PhantomData })
    }

    fn get(&self) -> &'a sys::sip_msg {
        // SAFETY: `new` was given a message that is good for 'a.
        unsafe { self.raw.as_ref() }
    }

    /// The pointer, for Kamailio's functions.
    pub(crate) fn as_ptr(self) -> *mut sys::sip_msg {
        self.raw.as_ptr()
    }

    /// Which message this is.
    pub(crate) fn key(&self) -> MsgKey {
        MsgKey { id: self.get().id, pid: self.get().pid }
    }

    /// Parses the headers we read. `false` for a message without Call-ID, From, To or CSeq.
    pub(crate) fn parse(&self) -> bool {
        let wanted = [sys::HDR_CALLID_T, sys::HDR_FROM_T, sys::HDR_TO_T, sys::HDR_CSEQ_T];
        let flags = wanted.into_iter().fold(0, |flags, header| flags | 1u64 << header);
        // SAFETY: Kamailio's parser on Kamailio's message; it is what every module calls first.
        let parsed = unsafe { sys::parse_headers(self.as_ptr(), flags, 0) } >= 0;
        // SAFETY: as above; this one also parses the body of From, which parse_headers leaves.
        parsed
            && unsafe { sys::parse_from_header(self.as_ptr()) } >= 0
            && self.from().is_some()
            && self.to().is_some()
    }

    /// An INVITE that opens a dialog: no To tag.
    pub(crate) fn is_initial_invite(&self) -> bool {
        self.method() == Some(sys::METHOD_INVITE) && self.to().is_some_and(|to| to.tag_value.len == 0)
    }

    fn method(&self) -> Option<sys::request_method> {
        let line = &self.get().first_line;
        if line.type_ as u32 != sys::SIP_REQUEST {
            return None;
        }
        // SAFETY: the union holds a request line when the type says so.
        Some(unsafe { line.u.request.method_value } as u32)
    }

    /// The status code of a reply.
    pub(crate) fn status(&self) -> Option<u16> {
        let line = &self.get().first_line;
        if line.type_ as u32 != sys::SIP_REPLY {
            return None;
        }
        // SAFETY: the union holds a status line when the type says so.
        u16::try_from(unsafe { line.u.reply.statuscode }).ok()
    }

    /// The Request-URI as it stands now: what the script set, or what was received.
    pub(crate) fn request_uri(&self) -> KStr<'a> {
        let msg = self.get();
        let set = self.text(&msg.new_uri);
        if !set.bytes().is_empty() || msg.first_line.type_ as u32 != sys::SIP_REQUEST {
            return set;
        }
        // SAFETY: a request, so the union holds a request line.
        self.text(unsafe { &msg.first_line.u.request.uri })
    }

    /// Call-ID; empty before [`SipMsg::parse`].
    pub(crate) fn call_id(&self) -> KStr<'a> {
        self.header(self.get().callid)
            .map_or(KStr::from_bytes(b""), |header| self.text(&header.body).trimmed())
    }

    /// Tag of From.
    pub(crate) fn caller_tag(&self) -> KStr<'a> {
        self.from().map_or(KStr::from_bytes(b""), |from| self.text(&from.tag_value))
    }

    /// The URI in From, taken apart.
    pub(crate) fn caller_uri(&self) -> Option<Uri<'a>> {
        Uri::parse(self.text(&self.from()?.uri))
    }

    /// The number in CSeq.
    pub(crate) fn cseq(&self) -> Option<u32> {
        let header = self.header(self.get().cseq)?;
        let body = NonNull::new(header.parsed)?.cast::<sys::cseq_body>();
        // SAFETY: Kamailio parses CSeq into this type together with its header.
        self.text(&unsafe { body.as_ref() }.number).number()
    }

    /// Where the message came from.
    pub(crate) fn source(&self) -> (IpAddr, u16) {
        let rcv = &self.get().rcv;
        // SAFETY: every view of the union is plain bytes; `af` only says how many of them count.
        let bytes = unsafe { rcv.src_ip.u.addr };
        let address = if rcv.src_ip.af == libc::AF_INET6 as u32 {
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        } else {
            let [a, b, c, d, ..] = bytes;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        };
        (address, rcv.src_port)
    }

    /// Whether it came over TLS (or a web socket on TLS).
    pub(crate) fn is_secure(&self) -> bool {
        let proto = self.get().rcv.proto as u32;
        proto == sys::PROTO_TLS || proto == sys::PROTO_WSS
    }

    /// Its Proxy-Authorization headers, for Kamailio's functions, as far as it can be read.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = NonNull<sys::hdr_field>> {
        // SAFETY: Kamailio's parser on Kamailio's message, to its end or to what is no header.
        unsafe { sys::parse_headers(self.as_ptr(), !0, 0) };
        let mut next = self.get().headers;
        let headers = core::iter::from_fn(move || {
            let header = NonNull::new(next)?;
            // SAFETY: header fields live as long as their message.
            next = unsafe { (*header.as_ptr()).next };
            Some(header)
        });
        // SAFETY: as above.
        headers.filter(|header| unsafe { (*header.as_ptr()).type_ } == sys::HDR_PROXYAUTH_T)
    }

    fn headers(&self) -> impl Iterator<Item = &'a sys::hdr_field> {
        let mut next = self.get().headers;
        core::iter::from_fn(move || {
            // SAFETY: header fields live as long as their message.
            let header = unsafe { next.as_ref() }?;
            next = header.next;
            Some(header)
        })
    }

    /// `cause` of the first `Reason: Q.850` header (RFC 3326), 1 to 127; 0 when there is none, and
    /// [`NO_MEDIA`] when it is a request and any of them says that media had stopped.
    pub(crate) fn q850(&self) -> u16 {
        // SAFETY: Kamailio's parser on Kamailio's message, to its end.
        if unsafe { sys::parse_headers(self.as_ptr(), !0, 0) } < 0 {
            return 0;
        }
        let reasons = || {
            let reasons = self.headers().filter(|header| header.type_ == sys::HDR_REASON_T);
            reasons.map(|header| self.text(&header.body).bytes())
        };
        // Said of a call that was up, so in its BYE.
        let is_request = self.get().first_line.type_ as u32 == sys::SIP_REQUEST;
        if is_request && reasons().any(reason_header::no_media) {
            return NO_MEDIA;
        }
        reasons().find_map(reason_header::q850).unwrap_or(0)
    }

    /// Replaces the Request-URI. `false` when Kamailio has no memory for it.
    pub(crate) fn set_request_uri(self, uri: &[u8]) -> bool {
        let mut text = KStr::from_bytes(uri).as_sys();
        // SAFETY: copies the bytes into memory of the message; `text` is only read.
        unsafe { sys::rewrite_uri(self.as_ptr(), &raw mut text) > 0 }
    }

    /// Sets the next hop. `false` when Kamailio has no memory for it.
    pub(crate) fn set_next_hop(self, uri: &[u8]) -> bool {
        let text = KStr::from_bytes(uri).as_sys();
        // SAFETY: as above.
        unsafe { sys::set_dst_uri(self.as_ptr(), &raw const text) == 0 }
    }

    fn from(&self) -> Option<&'a sys::to_body> {
        self.name_address(self.get().from)
    }

    fn to(&self) -> Option<&'a sys::to_body> {
        self.name_address(self.get().to)
    }

    fn name_address(&self, header: *mut sys::hdr_field) -> Option<&'a sys::to_body> {
        let body = NonNull::new(self.header(header)?.parsed)?.cast::<sys::to_body>();
        // SAFETY: `parsed` of From and To is a to_body once it is set (core/parser/parse_to.h).
        Some(unsafe { body.as_ref() })
    }

    fn header(&self, header: *mut sys::hdr_field) -> Option<&'a sys::hdr_field> {
        // SAFETY: header fields live as long as their message.
        NonNull::new(header).map(|header| unsafe { header.as_ref() })
    }

    fn text(&self, text: &'a sys::str_) -> KStr<'a> {
        // SAFETY: a part of the message, good for 'a.
        unsafe { KStr::new(text) }
    }
}
