//! Why a call was refused: the one list that SIP answers, events, logs and metrics share (design section 7).
//!
//! A reason is a fact about our decision, never about what a gateway answered.

/// Why an attempt was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// No trunk, application or source matches the request.
    UnknownDestination = 1,
    /// The trunk or its account is switched off.
    Disabled = 2,
    /// The trunk may not be used in this node's region.
    RegionDenied = 3,
    /// The source address is not listed, or cleartext came to a `secure` trunk.
    SourceDenied = 4,
    /// The trunk has neither an address nor a credential that could pass.
    NoAuthConfigured = 5,
    /// A password is needed and none came: ask for it. No event.
    Challenge = 6,
    /// The password was wrong, or the user unknown: the same answer for both.
    BadCredentials = 7,
    /// The trunk's calls per second.
    CpsExceeded = 8,
    /// The trunk's calls at the same time.
    ConcurrencyExceeded = 9,
    /// The account's calls per second.
    AccountCpsExceeded = 10,
    /// The account's calls at the same time.
    AccountConcurrencyExceeded = 11,
    /// The node's calls per second or calls at the same time.
    NodeOverloaded = 12,
    /// The slot table is full.
    SlotsExhausted = 13,
    /// No gateway could be chosen.
    NoRoute = 14,
    /// There is no readable table.
    NoData = 15,
}

impl Reason {
    /// Every reason, in code order.
    pub const ALL: [Reason; 15] = [
        Reason::UnknownDestination,
        Reason::Disabled,
        Reason::RegionDenied,
        Reason::SourceDenied,
        Reason::NoAuthConfigured,
        Reason::Challenge,
        Reason::BadCredentials,
        Reason::CpsExceeded,
        Reason::ConcurrencyExceeded,
        Reason::AccountCpsExceeded,
        Reason::AccountConcurrencyExceeded,
        Reason::NodeOverloaded,
        Reason::SlotsExhausted,
        Reason::NoRoute,
        Reason::NoData,
    ];

    /// The reason with this code; `None` for a code nobody writes.
    pub fn from_code(code: u8) -> Option<Reason> {
        Reason::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// The name in events, logs, metrics and `$trunk(reason)`.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::UnknownDestination => "unknown_destination",
            Reason::Disabled => "disabled",
            Reason::RegionDenied => "region_denied",
            Reason::SourceDenied => "source_denied",
            Reason::NoAuthConfigured => "no_auth_configured",
            Reason::Challenge => "challenge",
            Reason::BadCredentials => "bad_credentials",
            Reason::CpsExceeded => "cps_exceeded",
            Reason::ConcurrencyExceeded => "concurrency_exceeded",
            Reason::AccountCpsExceeded => "account_cps_exceeded",
            Reason::AccountConcurrencyExceeded => "account_concurrency_exceeded",
            Reason::NodeOverloaded => "node_overloaded",
            Reason::SlotsExhausted => "slots_exhausted",
            Reason::NoRoute => "no_route",
            Reason::NoData => "no_data",
        }
    }

    /// The SIP status that answers it.
    pub const fn sip_code(self) -> u16 {
        match self {
            Reason::UnknownDestination => 404,
            Reason::Disabled | Reason::RegionDenied | Reason::SourceDenied | Reason::NoAuthConfigured => 403,
            Reason::Challenge | Reason::BadCredentials => 407,
            _ => 503,
        }
    }

    /// The reason phrase beside [`Reason::sip_code`].
    pub const fn sip_text(self) -> &'static str {
        match self.sip_code() {
            404 => "Not Found",
            403 => "Forbidden",
            407 => "Proxy Authentication Required",
            _ => "Service Unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_reasons_are_one_to_one() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index + 1);
            assert_eq!(Reason::from_code(reason as u8), Some(reason));
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::from_code(16), None);
    }
}
