//! What a caller must prove, as far as that does not depend on the caller. Pure.
//!
//! Must agree with `decide::identify` in the crate `trunk-admission`; the end-to-end matrix holds both against each other.

use trunk_admission::model::{AuthMode, Trunk};

use super::Context;

/// What a caller must prove, as the tag of the trunk's name says it: the decision with everything in it that does not
/// depend on the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Refused: the trunk or its account is disabled, or this node is in no region of its.
    Off,
    /// Refused: nothing is configured that could be proved.
    Nothing,
    Ip,
    Password,
    Any,
    All,
}

impl Proof {
    pub(super) fn of(trunk: &Trunk, context: &Context<'_>) -> Proof {
        let here = trunk.regions.as_ref().is_none_or(|regions| regions.contains(&context.region));
        if !trunk.enabled || !context.account_enabled || !here {
            return Proof::Off;
        }
        match (trunk.auth, !trunk.sources.is_empty(), !trunk.credentials.is_empty()) {
            (AuthMode::Any, true, true) => Proof::Any,
            (AuthMode::All, true, true) => Proof::All,
            (AuthMode::Any | AuthMode::Ip, true, _) => Proof::Ip,
            (AuthMode::Any | AuthMode::Password, _, true) => Proof::Password,
            (AuthMode::Any | AuthMode::All | AuthMode::Ip | AuthMode::Password, _, _) => Proof::Nothing,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Proof::Off => "off",
            Proof::Nothing => "none",
            Proof::Ip => "ip",
            Proof::Password => "password",
            Proof::Any => "any",
            Proof::All => "all",
        }
    }
}
