//! The words for values that are one of a few: the same in the API, in files, in the store and in the audit log.

use trunk_admission::model::{AuthMode, Kind};

use super::ManagedBy;

impl ManagedBy {
    /// Every one.
    pub const ALL: [ManagedBy; 2] = [ManagedBy::Api, ManagedBy::File];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            ManagedBy::Api => "api",
            ManagedBy::File => "file",
        }
    }

    /// As it stands in a sentence.
    pub fn owner(self) -> &'static str {
        match self {
            ManagedBy::Api => "the API",
            ManagedBy::File => "the trunk files",
        }
    }
}

/// The word for a trunk or an application.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Trunk => "trunk",
        Kind::Application => "application",
    }
}

/// The inverse of [`kind_name`].
pub fn kind_from_name(name: &str) -> Option<Kind> {
    [Kind::Trunk, Kind::Application].into_iter().find(|kind| kind_name(*kind) == name)
}

/// The word for what a caller must prove.
pub fn auth_mode_name(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::Any => "any",
        AuthMode::All => "all",
        AuthMode::Password => "password",
        AuthMode::Ip => "ip",
    }
}

/// The inverse of [`auth_mode_name`].
pub fn auth_mode_from_name(name: &str) -> Option<AuthMode> {
    let all = [AuthMode::Any, AuthMode::All, AuthMode::Password, AuthMode::Ip];
    all.into_iter().find(|mode| auth_mode_name(*mode) == name)
}
