//! What our functions may answer to Kamailio, one type per kind of caller.
//!
//! Kamailio reads a script function's answer as: above 0 true, below 0 false, **0 stop the script**. So no script answer
//! has a 0, and none can be made from a number. `mod_init` and `child_init` are the other way round: 0 is good.

use core::ffi::c_int;

/// Something that Kamailio can be answered with, and what to say when our own code broke.
pub(crate) trait Answer: Copy {
    /// What goes over the boundary.
    type C;
    /// As Kamailio's integer (or nothing).
    fn to_c(self) -> Self::C;
    /// The answer after a panic: the fail mode, where there is one.
    fn after_panic() -> Self;
}

/// `trunk_screen()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Screen {
    /// Go on, with a transaction.
    Pass = 1,
    /// A stranger among too many, or a customer's call among more than can be read: answer with `$trunk(code)` and `$trunk(text)`, without a transaction.
    Answer = -1,
    /// One of a flood: no answer.
    Silent = -2,
}

/// `trunk_admit()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Admit {
    /// The call is admitted and owns a slot.
    Allow = 1,
    /// The same INVITE was admitted before (a retransmission or a spiral): nothing was taken again.
    Again = 2,
    /// Not judged, and passed because `fail_mode` is `open`.
    Passed = 3,
    /// Refused; `$trunk(code)` and its like say why.
    Deny = -1,
    /// The caller has to authenticate.
    Challenge = -2,
    /// Another worker judges this INVITE right now; drop this copy.
    InFlight = -4,
}

/// `trunk_route()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Route {
    /// The request now points at a gateway.
    Routed = 1,
    /// No gateway; the call is over.
    NoGateway = -1,
    /// The call has no dialog of its own, so nobody would hear of its end; it is over.
    Unbound = -2,
}

/// `trunk_next()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Next {
    /// The request now points at another gateway.
    Routed = 1,
    /// No gateway is left.
    NoneLeft = -1,
    /// This answer is final: it is not on the trunk's list, or the caller has hung up.
    NotFailover = -2,
}

/// `mod_init` and `child_init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Start {
    /// Go on.
    Good = 0,
    /// Kamailio must not start.
    Refuse = -1,
}

/// Functions that fill in or register something: pseudo-variables, script callbacks, module registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plain(pub(crate) c_int);

impl Answer for Screen {
    type C = c_int;
    fn to_c(self) -> c_int {
        self as c_int
    }
    fn after_panic() -> Screen {
        Screen::Pass
    }
}

impl Answer for Admit {
    type C = c_int;
    fn to_c(self) -> c_int {
        self as c_int
    }
    fn after_panic() -> Admit {
        crate::admit::unjudged()
    }
}

impl Answer for Route {
    type C = c_int;
    fn to_c(self) -> c_int {
        self as c_int
    }
    fn after_panic() -> Route {
        Route::NoGateway
    }
}

impl Answer for Next {
    type C = c_int;
    fn to_c(self) -> c_int {
        self as c_int
    }
    fn after_panic() -> Next {
        Next::NoneLeft
    }
}

impl Answer for Start {
    type C = c_int;
    fn to_c(self) -> c_int {
        self as c_int
    }
    fn after_panic() -> Start {
        Start::Refuse
    }
}

impl Answer for Plain {
    type C = c_int;
    fn to_c(self) -> c_int {
        self.0
    }
    fn after_panic() -> Plain {
        Plain(-1)
    }
}

impl Answer for () {
    type C = ();
    fn to_c(self) {}
    fn after_panic() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_answer_stops_the_script() {
        let all = [
            Screen::Pass.to_c(),
            Screen::Answer.to_c(),
            Screen::Silent.to_c(),
            Admit::Allow.to_c(),
            Admit::Again.to_c(),
            Admit::Passed.to_c(),
            Admit::Deny.to_c(),
            Admit::Challenge.to_c(),
            Admit::InFlight.to_c(),
            Route::Routed.to_c(),
            Route::NoGateway.to_c(),
            Next::Routed.to_c(),
            Next::NoneLeft.to_c(),
            Next::NotFailover.to_c(),
        ];
        assert!(all.iter().all(|answer| *answer != 0), "{all:?}");
    }
}
