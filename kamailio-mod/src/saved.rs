//! What a dialog variable keeps of a call, so that a restart of Kamailio finds its slot again.
//!
//! `2:slot:uid:trunk:account:start:ring:answer:gateway:attempts:cseq:file:epoch`, numbers in lower-case hexadecimal, the account
//! empty when there is none; a 1 in front is the same without the last two. Only characters that the dialog module's tables keep as they are. Read back with suspicion.

use core::fmt::Write as _;

use trunk_admission::live::{CallView, Origin};
use trunk_admission::{CallClock, SlotRef};

use crate::text::Text;

/// The variable's name in the dialog module.
pub(crate) const VARIABLE: &[u8] = b"trunk_call";
/// Room for one saved call.
pub(crate) type SavedText = Text<256>;

/// A call as it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The call.
    pub(crate) call: CallView,
    /// CSeq of its first INVITE: part of the call's key, and later requests of the dialog count on.
    pub(crate) cseq: u32,
    /// Where and when it was saved.
    pub(crate) origin: Origin,
}

impl Saved {
    /// As text; `None` never happens with the room above.
    pub(crate) fn write(&self) -> Option<SavedText> {
        let call = &self.call;
        let mut text = SavedText::EMPTY;
        write!(
            text,
            "2:{:x}:{:032x}:{:x}:",
            call.slot.to_raw(),
            u128::from_be_bytes(call.uid),
            call.trunk_live
        )
        .ok()?;
        if let Some(account) = call.account_live {
            write!(text, "{account:x}").ok()?;
        }
        let times = [call.start_wall_ms, call.ring_wall_ms, call.answer_wall_ms];
        for number in times
            .into_iter()
            .chain([call.gateway_live.into(), call.attempts.into(), self.cseq.into()])
            .chain([self.origin.file, self.origin.epoch])
        {
            write!(text, ":{number:x}").ok()?;
        }
        Some(text)
    }

    /// The inverse of [`Saved::write`]; `None` for anything else.
    pub(crate) fn read(text: &[u8]) -> Option<Saved> {
        let mut parts = core::str::from_utf8(text).ok()?.split(':');
        let mut part = || parts.next();
        let number = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
        let has_origin = match part()? {
            "1" => false,
            "2" => true,
            _ => return None,
        };
        let slot = SlotRef::from_raw(number(part())?)?;
        let uid = u128::from_str_radix(part()?, 16).ok()?.to_be_bytes();
        let trunk_live = u32::try_from(number(part())?).ok()?;
        let account_live = match part()? {
            "" => None,
            text => Some(u32::from_str_radix(text, 16).ok()?),
        };
        let (start_wall_ms, ring_wall_ms, answer_wall_ms) =
            (number(part())?, number(part())?, number(part())?);
        let gateway_live = u32::try_from(number(part())?).ok()?;
        let attempts = u8::try_from(number(part())?).ok()?;
        let cseq = u32::try_from(number(part())?).ok()?;
        let origin = match has_origin {
            true => Origin { file: number(part())?, epoch: number(part())? },
            false => Origin::default(),
        };
        let call = CallView {
            slot,
            uid,
            trunk_live,
            account_live,
            start_wall_ms,
            ring_wall_ms,
            answer_wall_ms,
            clock: CallClock::default(),
            gateway_live,
            attempts,
        };
        part().is_none().then_some(Saved { call, cseq, origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let call = CallView {
            slot: SlotRef::from_raw(0x0012_3456_0000_0001).expect("not 0"),
            uid: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff],
            trunk_live: 7,
            account_live: None,
            start_wall_ms: 1_760_000_000_000,
            ring_wall_ms: 0,
            answer_wall_ms: u64::MAX,
            clock: CallClock::default(),
            gateway_live: u32::MAX,
            attempts: 255,
        };
        Saved { call, cseq: u32::MAX, origin: Origin { file: u64::MAX, epoch: 9 } }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut call = saved();
        assert_eq!(Saved::read(call.write().expect("fits").bytes()), Some(call));
        call.call.account_live = Some(u32::MAX);
        assert_eq!(Saved::read(call.write().expect("fits").bytes()), Some(call));
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read_and_says_nothing_of_its_origin() {
        let text = saved().write().expect("fits");
        let text = core::str::from_utf8(text.bytes()).expect("characters");
        let old = text.replacen('2', "1", 1).replace(":ffffffffffffffff:9", "");
        let read = Saved { origin: Origin::default(), ..saved() };
        assert_eq!(
            Saved::read(old.as_bytes()).map(|saved| (saved.call.uid, saved.origin)),
            Some((read.call.uid, read.origin))
        );
    }

    #[test]
    fn anything_else_is_nothing() {
        let text = saved().write().expect("fits");
        let text = text.bytes();
        for cut in 0..text.len() {
            assert_ne!(Saved::read(&text[..cut]), Some(saved()), "cut at {cut}");
        }
        for bad in [
            &b""[..],
            b"1",
            b"3:1:1:1::0:0:0:0:0:0",
            b"2:1:1:1::0:0:0:0:0:0",
            b"1:0:1:1::0:0:0:0:0:0",
            b"1:1:1:1::0:0:0:0:100:0",
            b"\xff",
        ] {
            assert_eq!(Saved::read(bad), None, "{}", bad.escape_ascii());
        }
    }
}
