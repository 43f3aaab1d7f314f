//! Stored configuration → the values that an image, and Kamailio's own tables, are made of. Pure.
//!
//! What is disabled below a trunk is left out here, so the module never has to know of it.

use trunk_admission::model::{self, FailoverCodes, Table};
use trunk_admission::publish;
use trunk_admission::{Rate, RateError};

use crate::domain::{Account, Limits, Node};
use crate::gateways::spread;
use crate::publish::Capacity;
use crate::store::{Placed, PlacedTrunk};

/// Why a stored thing makes no part of a table: always a defect or a damaged store, since input was checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("{id}: {error}")]
    Rate { id: String, error: RateError },
    #[error("{id}: a failover code is not one of 400 to 699")]
    Failover { id: String },
    #[error("{id}: live index {live} is beyond the room of {room}")]
    Room { id: String, live: u32, room: u32 },
    #[error("{id}: its account {account} does not exist")]
    Account { id: String, account: String },
}

/// The table of a whole configuration.
pub(crate) fn whole(
    revision: i64,
    node: publish::Node,
    accounts: Vec<model::Account>,
    trunks: Vec<model::Trunk>,
) -> Table {
    Table {
        revision: revision.cast_unsigned(),
        region: node.region,
        base_domain: node.base_domain,
        inbound_host: node.inbound_host,
        node: node.limits,
        accounts,
        trunks,
    }
}

/// The node's settings.
pub(crate) fn node(node: Node) -> Result<publish::Node, TableError> {
    Ok(publish::Node {
        region: node.region,
        limits: limits("node", node.limits)?,
        base_domain: node.base_domain,
        inbound_host: node.inbound_host,
    })
}

/// An account.
pub(crate) fn account(placed: Placed<Account>, room: Capacity) -> Result<model::Account, TableError> {
    let Placed { item: account, live } = placed;
    Ok(model::Account {
        live: fits(&account.id, live, room.accounts)?,
        enabled: account.enabled,
        limits: limits(&account.id, account.limits)?,
        id: account.id,
    })
}

/// A trunk or application, as the image and Kamailio's tables have it.
pub(crate) fn trunk(placed: PlacedTrunk, room: Capacity) -> Result<model::Trunk, TableError> {
    let gateways = spread::gateways(&placed, room.gateways).map_err(|(id, live)| TableError::Room {
        id,
        live,
        room: room.gateways,
    })?;
    let PlacedTrunk { item: trunk, live, account, .. } = placed;
    if let (Some(owner), None) = (&trunk.account, account) {
        return Err(TableError::Account { id: trunk.id, account: owner.clone() });
    }
    let failover = match &trunk.failover_codes {
        None => FailoverCodes::default(),
        Some(codes) => {
            FailoverCodes::from_codes(codes).map_err(|_| TableError::Failover { id: trunk.id.clone() })?
        }
    };
    let credentials = trunk.credentials.into_iter().filter(|user| user.enabled);
    let credentials = credentials.map(|user| model::Credential {
        username: user.username,
        ha1_md5: user.ha1_md5,
        ha1_sha256: user.ha1_sha256,
    });
    Ok(model::Trunk {
        live: fits(&trunk.id, live, room.trunks)?,
        account,
        kind: trunk.kind,
        inbound_user: trunk.inbound_user.map(|user| user.hyphenated().to_string()),
        enabled: trunk.enabled,
        auth: trunk.auth_mode,
        limits: limits(&trunk.id, trunk.limits)?,
        regions: trunk.allowed_regions,
        sources: trunk.ip_acls.iter().filter(|acl| acl.enabled).map(|acl| acl.network).collect(),
        credentials: credentials.collect(),
        gateways,
        failover,
        secure: trunk.secure,
        id: trunk.id,
    })
}

fn limits(id: &str, limits: Limits) -> Result<model::Limits, TableError> {
    let rate = limits.cps.map(|cps| Rate::per_second(cps, limits.cps_burst)).transpose();
    let rate = rate.map_err(|error| TableError::Rate { id: id.to_owned(), error })?;
    Ok(model::Limits { rate, concurrent: limits.concurrent_calls })
}

fn fits(id: &str, live: u32, room: u32) -> Result<u32, TableError> {
    if live < room { Ok(live) } else { Err(TableError::Room { id: id.to_owned(), live, room }) }
}
