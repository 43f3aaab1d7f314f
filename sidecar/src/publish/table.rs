//! Stored configuration → the table that an image is built from. Pure.
//!
//! What is disabled below a trunk is left out here, so the module never has to know of it.

use std::collections::HashMap;

use trunk_admission::model::{self, FailoverCodes, Table};
use trunk_admission::{Rate, RateError};

use super::Capacity;
use crate::domain::Limits;
use crate::store::{PlacedTrunk, Snapshot};

/// Why a snapshot makes no table: always a defect or a damaged store, since input was checked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TableError {
    #[error("nothing was configured yet")]
    Empty,
    #[error("{id}: {error}")]
    Rate { id: String, error: RateError },
    #[error("{id}: a failover code is not one of 400 to 699")]
    Failover { id: String },
    #[error("{id}: live index {live} is beyond the room of {room}")]
    Room { id: String, live: u32, room: u32 },
    #[error("{id}: its account {account} does not exist")]
    Account { id: String, account: String },
}

/// Builds the table of a snapshot.
pub(super) fn build(snapshot: &Snapshot, room: Capacity) -> Result<Table, TableError> {
    let node = snapshot.node.as_ref().ok_or(TableError::Empty)?;
    let owners: HashMap<&str, u32> =
        snapshot.accounts.iter().map(|placed| (placed.item.id.as_str(), placed.live)).collect();
    let accounts = snapshot.accounts.iter().map(|placed| {
        let account = &placed.item;
        Ok(model::Account {
            id: account.id.clone(),
            live: fits(&account.id, placed.live, room.accounts)?,
            enabled: account.enabled,
            limits: limits(&account.id, account.limits)?,
        })
    });
    Ok(Table {
        revision: snapshot.revision.cast_unsigned(),
        region: node.region,
        base_domain: node.base_domain.clone(),
        inbound_host: node.inbound_host.clone(),
        node: limits("node", node.limits)?,
        accounts: accounts.collect::<Result<_, _>>()?,
        trunks: snapshot
            .trunks
            .iter()
            .map(|placed| trunk(placed, &owners, room))
            .collect::<Result<_, _>>()?,
    })
}

fn trunk(
    placed: &PlacedTrunk,
    owners: &HashMap<&str, u32>,
    room: Capacity,
) -> Result<model::Trunk, TableError> {
    let trunk = &placed.item;
    let owner = |account: &String| {
        let unknown = || TableError::Account { id: trunk.id.clone(), account: account.clone() };
        owners.get(account.as_str()).copied().ok_or_else(unknown)
    };
    let failover = match &trunk.failover_codes {
        None => FailoverCodes::default(),
        Some(codes) => {
            FailoverCodes::from_codes(codes).map_err(|_| TableError::Failover { id: trunk.id.clone() })?
        }
    };
    let credentials = trunk.credentials.iter().filter(|user| user.enabled).map(|user| model::Credential {
        username: user.username.clone(),
        ha1_md5: user.ha1_md5,
        ha1_sha256: user.ha1_sha256,
    });
    let gateways = trunk.origination_uris.iter().zip(&placed.gateways).filter(|(gateway, _)| gateway.enabled);
    let gateways = gateways.map(|(gateway, &live)| {
        Ok(model::Gateway {
            uri: gateway.uri.clone(),
            live: fits(&gateway.uri, live, room.gateways)?,
            priority: gateway.priority,
            weight: gateway.weight,
        })
    });
    Ok(model::Trunk {
        id: trunk.id.clone(),
        live: fits(&trunk.id, placed.live, room.trunks)?,
        account: trunk.account.as_ref().map(owner).transpose()?,
        kind: trunk.kind,
        inbound_user: None,
        enabled: trunk.enabled,
        auth: trunk.auth_mode,
        limits: limits(&trunk.id, trunk.limits)?,
        regions: trunk.allowed_regions.clone(),
        sources: trunk.ip_acls.iter().filter(|acl| acl.enabled).map(|acl| acl.network).collect(),
        credentials: credentials.collect(),
        gateways: gateways.collect::<Result<_, _>>()?,
        failover,
        secure: trunk.secure,
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
