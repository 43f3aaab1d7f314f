//! What was decided about the message in hand: written by `trunk_screen()`, `trunk_admit()` and their sisters, read by `$trunk(...)`.
//!
//! It belongs to one message in one process. It must never be shown for another message, so every reader names its own.

use trunk_admission::{Reason, SlotRef};

use crate::msg::MsgKey;
use crate::ready::FailedAttempt;
use crate::text::Text;

/// Room for an id: a DNS label.
pub(crate) const ID_BYTES: usize = 63;
/// Room for a domain name or a gateway URI.
pub(crate) const NAME_BYTES: usize = 255;

/// That a message brings the right password: for the trunk with this `live` index, by the table of this generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    /// The table's generation.
    pub(crate) generation: u32,
    /// The trunk's `live` index.
    pub(crate) trunk: u32,
}

/// The decision about one message.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    /// The message that this is about.
    pub(crate) key: MsgKey,
    /// The call's slot, when it has one.
    pub(crate) slot: Option<SlotRef>,
    /// A dialog looks after the slot: its callbacks will end the call.
    pub(crate) bound: bool,
    /// Another copy of this INVITE owns the slot.
    pub(crate) again: bool,
    /// In a failure route: how the last attempt failed.
    pub(crate) failed: Option<FailedAttempt>,
    /// Why the call was refused; `None` when it was not.
    pub(crate) reason: Option<Reason>,
    /// Its passwords were wrong too often: it is not asked for another one.
    pub(crate) braked: bool,
    /// It answered a challenge that is too old, or one that was answered before.
    pub(crate) stale: bool,
    /// What `trunk_screen()` has found proved, for `trunk_admit()`: a nonce count is good once.
    pub(crate) proven: Option<Proven>,
    /// The limit that refused it.
    pub(crate) limit: u32,
    /// What was counted against that limit.
    pub(crate) count: u32,
    /// How long until a call would pass, in milliseconds; 0 when unknown.
    pub(crate) wait_ms: u64,
    /// Generation of the table that decided; 0 when there was none.
    pub(crate) generation: u64,
    /// The call's own id, as a UUID.
    pub(crate) uid: Text<36>,
    /// Id of the trunk.
    pub(crate) trunk: Text<ID_BYTES>,
    /// Id of its account.
    pub(crate) account: Text<ID_BYTES>,
    /// Digest realm: the name that the trunk's hashes were made for, however the request spelled it.
    pub(crate) realm: Text<NAME_BYTES>,
    /// The gateway that the request points at.
    pub(crate) gateway: Text<NAME_BYTES>,
    /// Index of its health word, once this route has pointed the request at it.
    pub(crate) pointed: Option<u32>,
    /// Gateways tried, that one included.
    pub(crate) attempts: u8,
}

impl Judgement {
    /// About no message at all.
    pub(crate) const NONE: Judgement = Judgement {
        key: MsgKey::NONE,
        slot: None,
        bound: false,
        again: false,
        failed: None,
        reason: None,
        braked: false,
        stale: false,
        proven: None,
        limit: 0,
        count: 0,
        wait_ms: 0,
        generation: 0,
        uid: Text::EMPTY,
        trunk: Text::EMPTY,
        account: Text::EMPTY,
        realm: Text::EMPTY,
        gateway: Text::EMPTY,
        pointed: None,
        attempts: 0,
    };

    /// The worst that can be said about a message, until something better is known.
    pub(crate) fn unjudged(key: MsgKey) -> Judgement {
        Judgement { key, reason: Some(Reason::NoData), ..Judgement::NONE }
    }

    /// The SIP answer of a refusal: code and text.
    pub(crate) fn answer(&self) -> Option<(u16, &'static str)> {
        let reason = self.reason?;
        // 403 for whoever has guessed too often, the same for every name.
        let told = if self.braked { Reason::SourceDenied } else { reason };
        Some((told.sip_code(), told.sip_text()))
    }

    /// `Retry-After` in whole seconds, for refusals that waiting helps against: not for a rate of 0.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.reason.filter(|reason| is_limit(*reason) && self.wait_ms != u64::MAX)?;
        Some(u32::try_from(self.wait_ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1))
    }

    /// The limit and the count, for refusals by a limit.
    pub(crate) fn limit_and_count(&self) -> Option<(u32, u32)> {
        self.reason.filter(|reason| is_limit(*reason))?;
        Some((self.limit, self.count))
    }
}

fn is_limit(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CpsExceeded
            | Reason::ConcurrencyExceeded
            | Reason::AccountCpsExceeded
            | Reason::AccountConcurrencyExceeded
            | Reason::NodeOverloaded
            | Reason::SlotsExhausted
    )
}

/// A UUID in its usual form: 8-4-4-4-12 lower-case hexadecimal digits.
pub(crate) fn uuid(uid: [u8; 16]) -> Text<36> {
    let mut text = Text::EMPTY;
    for (index, byte) in uid.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            let _ = text.push(b"-");
        }
        let _ = text.push(&crate::hex::byte(byte));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_rounds_up_to_whole_seconds_and_is_never_zero() {
        let after = |reason, wait_ms| Judgement { reason, wait_ms, ..Judgement::NONE }.retry_after();
        assert_eq!(after(Some(Reason::CpsExceeded), 1), Some(1));
        assert_eq!(after(Some(Reason::CpsExceeded), 1001), Some(2));
        assert_eq!(after(Some(Reason::ConcurrencyExceeded), 0), Some(1));
        assert_eq!(after(Some(Reason::CpsExceeded), u64::MAX), None, "never");
        assert_eq!(after(Some(Reason::SourceDenied), 5000), None);
        assert_eq!(after(None, 5000), None);
    }

    #[test]
    fn whoever_has_guessed_too_often_is_forbidden() {
        let wrong = Judgement { reason: Some(Reason::BadCredentials), ..Judgement::NONE };
        assert_eq!(wrong.answer(), Some((407, "Proxy Authentication Required")));
        assert_eq!(Judgement { braked: true, ..wrong }.answer(), Some((403, "Forbidden")));
        assert_eq!(Judgement::NONE.answer(), None);
    }

    #[test]
    fn a_uuid_is_written_in_groups() {
        let uid = [1, 2, 3, 4, 5, 6, 0x7f, 8, 0x89, 10, 11, 12, 13, 14, 15, 0xff];
        assert_eq!(uuid(uid).bytes(), b"01020304-0506-7f08-890a-0b0c0d0e0fff");
    }
}
