//! Rate plans: what a customer's calls cost, and whose calls go by which plan.

use super::Stamp;

/// A rate plan, without its rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatePlan {
    /// Unique, a UUID of ours.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// ISO 4217, three capital letters.
    pub currency: String,
    /// Set by the store. Moves with the rates too.
    pub stamp: Stamp,
}

/// Whose calls go by a plan. A trunk's own plan comes before its account's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    /// All calls of an account's trunks and applications.
    Account(String),
    /// The calls of one trunk or application.
    Trunk(String),
}

impl Payer {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Payer::Account(_) => "account",
            Payer::Trunk(_) => "trunk",
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Payer::Account(id) | Payer::Trunk(id) => id,
        }
    }
}
