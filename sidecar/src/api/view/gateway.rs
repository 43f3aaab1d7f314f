//! Gateways, how they do, and where those lead that are names.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::answer::time;
use crate::domain;

/// A gateway of a trunk.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OriginationUri)]
pub(in crate::api) struct Gateway {
    origination_uri_id: String,
    uri: String,
    /// Lower is tried first.
    priority: u16,
    /// Share among those of one priority.
    weight: u16,
    enabled: bool,
    description: String,
    pub(in crate::api) health: Health,
    /// Where its name leads, in the order of use; null for a gateway that is an address itself.
    addresses: Option<Vec<Address>>,
    /// Why its name could not be looked up last; the addresses are those of before.
    lookup_problem: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// An address that a gateway's name leads to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = GatewayAddress)]
pub(in crate::api) struct Address {
    /// Where calls are sent.
    pub(in crate::api) uri: String,
    /// Lower is tried first, within the gateway's own priority.
    pub(in crate::api) tier: u16,
    /// Share of the gateway's weight among those of one tier.
    pub(in crate::api) weight: u16,
    pub(in crate::api) health: Health,
}

/// How a gateway does, as calls and probes have found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Health {
    /// Calls are sent to it; of a name, to one of its addresses at least.
    Up,
    /// It is tried last.
    Down,
    /// It was down, and a call is about to try it.
    Trial,
    /// It is a name that is not known to lead anywhere: no call is sent to it.
    Unresolved,
    /// Kamailio has not run yet, or the gateway is disabled.
    Unknown,
}

impl Health {
    /// One letter, for the version of what shows it.
    fn letter(self) -> char {
        match self {
            Health::Up => 'u',
            Health::Down => 'd',
            Health::Trial => 't',
            Health::Unresolved => 'n',
            Health::Unknown => 'x',
        }
    }

    /// How a name does whose addresses do so.
    pub(in crate::api) fn of_name(addresses: &[Address]) -> Health {
        let order = [Health::Up, Health::Trial, Health::Down, Health::Unknown];
        let any = |health: &Health| addresses.iter().any(|address| address.health == *health);
        order.into_iter().find(any).unwrap_or(Health::Unresolved)
    }
}

impl Gateway {
    /// Shows a gateway that is an address, or was just made.
    pub(in crate::api) fn new(gateway: &domain::OriginationUri, health: Health) -> Gateway {
        Gateway {
            origination_uri_id: gateway.id.to_string(),
            uri: gateway.uri.clone(),
            priority: gateway.priority,
            weight: gateway.weight,
            enabled: gateway.enabled,
            description: gateway.description.clone(),
            health,
            addresses: None,
            lookup_problem: None,
            created_at: time(gateway.stamp.created_ms),
            updated_at: time(gateway.stamp.updated_ms),
        }
    }

    /// Shows a gateway that is a name.
    pub(in crate::api) fn of_name(
        gateway: &domain::OriginationUri,
        addresses: Vec<Address>,
        lookup_problem: Option<String>,
    ) -> Gateway {
        let health = if gateway.enabled { Health::of_name(&addresses) } else { Health::Unknown };
        Gateway { addresses: Some(addresses), lookup_problem, ..Gateway::new(gateway, health) }
    }

    /// What of it moves by itself, as a part of its version.
    pub(in crate::api) fn moving(&self) -> String {
        let mut moving = self.health.letter().to_string();
        if let Some(addresses) = &self.addresses {
            let mut hasher = DefaultHasher::new();
            for Address { uri, tier, weight, health } in addresses {
                (uri, tier, weight, health.letter()).hash(&mut hasher);
            }
            self.lookup_problem.hash(&mut hasher);
            moving += &format!("{:016x}", hasher.finish());
        }
        moving
    }
}
