//! What is compared: eight ways to let a call through, over five proxies.
//!
//! It must never know a process: names, and who is held against whom.

/// One way to let a call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// tm, rr, dialog, nothing else.
    Bare,
    /// The same with the dialog database and the keep-alive of Trunkline's kamailio.cfg.
    Kept,
    /// `Bare` with a challenge answered from a fixed password.
    BareDigest,
    /// `Kept` with a challenge answered from a fixed password.
    KeptDigest,
    /// Stock modules, a listed address.
    StockAddress,
    /// Stock modules, a password.
    StockDigest,
    /// Trunkline, a listed address.
    TrunkAddress,
    /// Trunkline, a password.
    TrunkDigest,
}

/// All of them, in the order of the tables.
pub const ALL: [Kind; 8] = [
    Kind::Bare,
    Kind::Kept,
    Kind::StockAddress,
    Kind::TrunkAddress,
    Kind::BareDigest,
    Kind::KeptDigest,
    Kind::StockDigest,
    Kind::TrunkDigest,
];

impl Kind {
    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Kind::Bare => "bare relay",
            Kind::Kept => "bare relay, calls kept",
            Kind::BareDigest => "bare relay, one 407",
            Kind::KeptDigest => "bare relay, calls kept, one 407",
            Kind::StockAddress => "stock modules, by address",
            Kind::StockDigest => "stock modules, by password",
            Kind::TrunkAddress => "Trunkline, by address",
            Kind::TrunkDigest => "Trunkline, by password",
        }
    }

    /// For files.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Kind::Bare => "bare",
            Kind::Kept => "kept",
            Kind::BareDigest => "bare-digest",
            Kind::KeptDigest => "kept-digest",
            Kind::StockAddress => "stock-address",
            Kind::StockDigest => "stock-digest",
            Kind::TrunkAddress => "trunkline-address",
            Kind::TrunkDigest => "trunkline-digest",
        }
    }

    /// Whether the caller is challenged.
    #[must_use]
    pub fn is_digest(self) -> bool {
        matches!(self, Kind::BareDigest | Kind::KeptDigest | Kind::StockDigest | Kind::TrunkDigest)
    }

    /// Whether it runs over Trunkline, whose daemon works beside it.
    #[must_use]
    pub fn is_trunkline(self) -> bool {
        matches!(self, Kind::TrunkAddress | Kind::TrunkDigest)
    }
}

/// Two kinds whose ratio is told, and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// The one above the line.
    pub ours: Kind,
    /// The one below.
    pub theirs: Kind,
    /// Wanted, at most; `None` where nothing was promised.
    pub wanted: Option<f64>,
}

/// The ratios that are told.
pub const PAIRS: [Pair; 6] = [
    Pair { ours: Kind::TrunkAddress, theirs: Kind::Bare, wanted: Some(1.05) },
    Pair { ours: Kind::TrunkAddress, theirs: Kind::Kept, wanted: None },
    Pair { ours: Kind::TrunkAddress, theirs: Kind::StockAddress, wanted: None },
    Pair { ours: Kind::TrunkDigest, theirs: Kind::BareDigest, wanted: Some(1.05) },
    Pair { ours: Kind::TrunkDigest, theirs: Kind::KeptDigest, wanted: None },
    Pair { ours: Kind::TrunkDigest, theirs: Kind::StockDigest, wanted: Some(0.5) },
];
