//! How a call ended, in the seventeen words that customers see: one table for refusals, one for endings.
//!
//! Pure; the tests below repeat the table line by line.

use trunk_admission::Reason;
use trunk_admission::events::EndCause;

use super::Ended;

/// The status of an ended call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Status {
    NormalClearing,
    UserBusy,
    NoAnswer,
    OriginatorCancel,
    CallRejected,
    Rejected,
    InvalidNumber,
    UnallocatedNumber,
    ServiceUnavailable,
    ServerError,
    MediaTimeout,
    ProtocolError,
    NetworkOutOfOrder,
    DestinationOutOfOrder,
    NormalTemporaryFailure,
    SwitchCongestion,
    Unknown,
}

impl Status {
    /// Every status with its name.
    pub const NAMES: [(Status, &str); 17] = [
        (Status::NormalClearing, "NORMAL_CLEARING"),
        (Status::UserBusy, "USER_BUSY"),
        (Status::NoAnswer, "NO_ANSWER"),
        (Status::OriginatorCancel, "ORIGINATOR_CANCEL"),
        (Status::CallRejected, "CALL_REJECTED"),
        (Status::Rejected, "REJECTED"),
        (Status::InvalidNumber, "INVALID_NUMBER"),
        (Status::UnallocatedNumber, "UNALLOCATED_NUMBER"),
        (Status::ServiceUnavailable, "SERVICE_UNAVAILABLE"),
        (Status::ServerError, "SERVER_ERROR"),
        (Status::MediaTimeout, "MEDIA_TIMEOUT"),
        (Status::ProtocolError, "PROTOCOL_ERROR"),
        (Status::NetworkOutOfOrder, "NETWORK_OUT_OF_ORDER"),
        (Status::DestinationOutOfOrder, "DESTINATION_OUT_OF_ORDER"),
        (Status::NormalTemporaryFailure, "NORMAL_TEMPORARY_FAILURE"),
        (Status::SwitchCongestion, "SWITCH_CONGESTION"),
        (Status::Unknown, "UNKNOWN"),
    ];

    /// The name in events, API and store.
    pub fn name(self) -> &'static str {
        Status::NAMES.iter().find(|(status, _)| *status == self).map_or("UNKNOWN", |(_, name)| name)
    }

    /// The inverse of [`Status::name`].
    pub fn from_name(name: &str) -> Option<Status> {
        Status::NAMES.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }

    /// The status of an attempt that we refused.
    pub fn of_refusal(reason: Reason) -> Status {
        match reason {
            Reason::UnknownDestination => Status::UnallocatedNumber,
            Reason::Disabled
            | Reason::RegionDenied
            | Reason::SourceDenied
            | Reason::NoAuthConfigured
            | Reason::Challenge
            | Reason::BadCredentials => Status::Rejected,
            Reason::CpsExceeded
            | Reason::ConcurrencyExceeded
            | Reason::AccountCpsExceeded
            | Reason::AccountConcurrencyExceeded
            | Reason::NodeOverloaded
            | Reason::SlotsExhausted => Status::SwitchCongestion,
            Reason::NoRoute => Status::NetworkOutOfOrder,
            Reason::NoData => Status::ServerError,
        }
    }

    /// The status of a call that was admitted and is over. A known Q.850 cause wins over the SIP status, and media that stopped wins over
    /// both: Q.850 has no cause for it, so whoever says both means it.
    pub fn of_ending(ended: &Ended, rang: bool) -> Status {
        if ended.no_media {
            return Status::MediaTimeout;
        }
        let by_cause = ended.q850.and_then(Status::of_q850);
        by_cause.unwrap_or_else(|| match (ended.cause, ended.sip_code) {
            (EndCause::Bye, _) => Status::NormalClearing,
            (EndCause::Cancel, _) => Status::OriginatorCancel,
            (EndCause::TimedOut, _) if rang => Status::NoAnswer,
            (EndCause::TimedOut, _) => Status::DestinationOutOfOrder,
            (EndCause::NoRoute, _) if ended.attempts == 0 => Status::NetworkOutOfOrder,
            // We hung up an answered call, with a BYE to both sides.
            (EndCause::Terminated, 200..=299) => Status::NormalClearing,
            // A gateway's 408 after ringing means what our own timer would have.
            (_, 408) if rang => Status::NoAnswer,
            (_, code) => Status::of_sip(code),
        })
    }

    fn of_q850(cause: u16) -> Option<Status> {
        Some(match cause {
            1 => Status::UnallocatedNumber,
            16 => Status::NormalClearing,
            17 => Status::UserBusy,
            18 | 19 => Status::NoAnswer,
            21 => Status::CallRejected,
            27 => Status::DestinationOutOfOrder,
            28 => Status::InvalidNumber,
            34 | 42 => Status::SwitchCongestion,
            38 => Status::NetworkOutOfOrder,
            41 => Status::NormalTemporaryFailure,
            111 => Status::ProtocolError,
            _ => return None,
        })
    }

    fn of_sip(code: u16) -> Status {
        match code {
            486 | 600 => Status::UserBusy,
            480 => Status::NoAnswer,
            487 => Status::OriginatorCancel,
            603 | 607 | 608 => Status::CallRejected,
            401 | 402 | 403 | 405 | 406 | 407 | 488 => Status::Rejected,
            414 | 416 | 484 => Status::InvalidNumber,
            404 | 410 | 604 => Status::UnallocatedNumber,
            503 => Status::ServiceUnavailable,
            500 | 501 | 580 => Status::ServerError,
            400 | 420 | 421 | 481 | 482 | 483 | 493 | 494 | 505 | 513 => Status::ProtocolError,
            502 => Status::NetworkOutOfOrder,
            // 477 is what Kamailio's tm answers when it could not send at all.
            408 | 477 => Status::DestinationOutOfOrder,
            504 => Status::NormalTemporaryFailure,
            _ => Status::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunk_admission::events::Party;

    fn ended(cause: EndCause, sip_code: u16, q850: Option<u16>) -> Ended {
        Ended {
            sip_code,
            q850,
            no_media: false,
            by: Party::Callee,
            cause,
            start_ms: None,
            ring_ms: None,
            answer_ms: None,
            end_ms: 0,
            gateway: None,
            attempts: 1,
        }
    }

    #[test]
    fn codes_and_causes_have_the_statuses_of_the_table() {
        let table: &[(&str, &[u16], &[u16])] = &[
            ("USER_BUSY", &[486, 600], &[17]),
            ("NO_ANSWER", &[480], &[18, 19]),
            ("ORIGINATOR_CANCEL", &[487], &[]),
            ("CALL_REJECTED", &[603, 607, 608], &[21]),
            ("REJECTED", &[401, 402, 403, 405, 406, 407, 488], &[]),
            ("INVALID_NUMBER", &[484, 414, 416], &[28]),
            ("UNALLOCATED_NUMBER", &[404, 410, 604], &[1]),
            ("SERVICE_UNAVAILABLE", &[503], &[]),
            ("SERVER_ERROR", &[500, 501, 580], &[]),
            ("PROTOCOL_ERROR", &[400, 420, 421, 481, 482, 483, 493, 494, 505, 513], &[111]),
            ("NETWORK_OUT_OF_ORDER", &[502], &[38]),
            ("DESTINATION_OUT_OF_ORDER", &[408, 477], &[27]),
            ("NORMAL_TEMPORARY_FAILURE", &[504], &[41]),
            ("SWITCH_CONGESTION", &[], &[34, 42]),
            ("UNKNOWN", &[0, 415, 499, 606, 699], &[]),
        ];
        for (name, codes, causes) in table {
            for &code in *codes {
                assert_eq!(
                    Status::of_ending(&ended(EndCause::Rejected, code, None), false).name(),
                    *name,
                    "{code}"
                );
            }
            for &cause in *causes {
                // The cause wins over a status that says something else.
                assert_eq!(
                    Status::of_ending(&ended(EndCause::Rejected, 503, Some(cause)), false).name(),
                    *name,
                    "{cause}"
                );
            }
        }
    }

    #[test]
    fn endings_that_need_more_than_a_code() {
        for (cause, code, q850, rang, name) in [
            (EndCause::Bye, 200, None, true, "NORMAL_CLEARING"),
            (EndCause::Bye, 200, Some(16), true, "NORMAL_CLEARING"),
            (EndCause::Bye, 200, Some(41), true, "NORMAL_TEMPORARY_FAILURE"),
            (EndCause::Cancel, 487, None, true, "ORIGINATOR_CANCEL"),
            (EndCause::TimedOut, 408, None, true, "NO_ANSWER"),
            (EndCause::TimedOut, 408, None, false, "DESTINATION_OUT_OF_ORDER"),
            (EndCause::Rejected, 408, None, true, "NO_ANSWER"),
            (EndCause::NoRoute, 503, None, false, "SERVICE_UNAVAILABLE"),
            (EndCause::Terminated, 200, None, true, "NORMAL_CLEARING"),
            (EndCause::Terminated, 503, None, true, "SERVICE_UNAVAILABLE"),
            (EndCause::Expired, 200, None, true, "UNKNOWN"),
            (EndCause::Rejected, 486, Some(127), true, "USER_BUSY"),
        ] {
            assert_eq!(
                Status::of_ending(&ended(cause, code, q850), rang).name(),
                name,
                "{cause:?} {code} {q850:?}"
            );
        }
        let unheard = Ended { no_media: true, ..ended(EndCause::Bye, 200, Some(16)) };
        assert_eq!(Status::of_ending(&unheard, true), Status::MediaTimeout);
        let never_sent = Ended { attempts: 0, ..ended(EndCause::NoRoute, 503, None) };
        assert_eq!(Status::of_ending(&never_sent, false), Status::NetworkOutOfOrder);
    }

    #[test]
    fn our_own_limits_are_congestion_and_every_refusal_has_a_status() {
        for reason in Reason::ALL {
            let name = Status::of_refusal(reason).name();
            assert_eq!(
                name == "SWITCH_CONGESTION",
                reason.name().contains("exceeded")
                    || reason.name().contains("over")
                    || reason == Reason::SlotsExhausted
            );
        }
    }

    #[test]
    fn names_and_statuses_are_one_to_one() {
        for (status, name) in Status::NAMES {
            assert_eq!(Status::from_name(name), Some(status));
            assert_eq!(status.name(), name);
        }
    }
}
