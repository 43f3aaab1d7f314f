//! Reads the whole configuration back, with the index of each thing.

use std::collections::HashMap;

use rusqlite::{Row, Transaction};

use super::live_index::{self, gateway_id};
use super::text::{self, damaged, get};
use crate::domain::{Account, Credential, IpAcl, Node, OriginationUri, Trunk, Webhook};
use crate::secret::WebhookSecret;
use crate::store::{Placed, PlacedTrunk, Snapshot, StoreError};

/// The newest revision; 0 before the first.
pub(super) fn revision(db: &Transaction<'_>) -> Result<i64, StoreError> {
    Ok(db.query_row("SELECT coalesce(max(revision), 0) FROM config_revisions", [], |row| row.get(0))?)
}

pub(super) fn snapshot(db: &Transaction<'_>) -> Result<Snapshot, StoreError> {
    let mut trunks = trunks(db)?;
    let index: HashMap<String, usize> =
        trunks.iter().enumerate().map(|(index, placed)| (placed.item.id.clone(), index)).collect();
    let mut parts = Parts { db, trunks: &mut trunks, index: &index };
    parts.read("SELECT * FROM ip_acls ORDER BY trunk_id, network", |trunk, row| {
        let network: String = get(row, "network")?;
        trunk.item.ip_acls.push(IpAcl {
            network: network.parse().map_err(|_| damaged("network", &network))?,
            enabled: get(row, "enabled")?,
            description: get(row, "description")?,
        });
        Ok(())
    })?;
    parts.read("SELECT * FROM credentials ORDER BY trunk_id, username", |trunk, row| {
        trunk.item.credentials.push(Credential {
            username: get(row, "username")?,
            ha1_md5: get(row, "ha1_md5")?,
            ha1_sha256: get(row, "ha1_sha256")?,
            enabled: get(row, "enabled")?,
        });
        Ok(())
    })?;
    let gateways = live_indexes(db, live_index::GATEWAY)?;
    parts.read("SELECT * FROM origination_uris ORDER BY trunk_id, priority, uri", |trunk, row| {
        let uri: String = get(row, "uri")?;
        let id = gateway_id(&trunk.item.id, &uri);
        trunk.gateways.push(*gateways.get(&id).ok_or_else(|| unplaced(&id))?);
        trunk.item.origination_uris.push(OriginationUri {
            uri,
            priority: get(row, "priority")?,
            weight: get(row, "weight")?,
            enabled: get(row, "enabled")?,
            description: get(row, "description")?,
        });
        Ok(())
    })?;
    parts.read("SELECT * FROM endpoints WHERE state != 'removed'", |trunk, row| {
        let secret: String = get(row, "secret")?;
        let secret =
            WebhookSecret::parse(&secret).map_err(|_| StoreError::Damaged("column secret".into()))?;
        trunk.item.webhook = Some(Webhook { url: get(row, "url")?, secret });
        Ok(())
    })?;
    Ok(Snapshot { revision: revision(db)?, node: node(db)?, accounts: accounts(db)?, trunks })
}

/// Rows that belong to trunks, handed to the trunk they belong to.
struct Parts<'a> {
    db: &'a Transaction<'a>,
    trunks: &'a mut Vec<PlacedTrunk>,
    index: &'a HashMap<String, usize>,
}

impl Parts<'_> {
    fn read(
        &mut self,
        sql: &str,
        take: impl Fn(&mut PlacedTrunk, &Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut select = self.db.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let id: String = get(row, "trunk_id")?;
            // An endpoint outlives its trunk.
            if let Some(trunk) = self.index.get(&id).and_then(|&index| self.trunks.get_mut(index)) {
                take(trunk, row)?;
            }
        }
        Ok(())
    }
}

fn node(db: &Transaction<'_>) -> Result<Option<Node>, StoreError> {
    let mut select = db.prepare("SELECT * FROM node")?;
    let mut rows = select.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let region: String = get(row, "region")?;
    Ok(Some(Node {
        name: get(row, "name")?,
        region: region.parse().map_err(|_| damaged("region", &region))?,
        base_domain: get(row, "base_domain")?,
        inbound_host: get(row, "inbound_host")?,
        limits: text::read_limits(row)?,
    }))
}

fn accounts(db: &Transaction<'_>) -> Result<Vec<Placed<Account>>, StoreError> {
    let live = live_indexes(db, live_index::ACCOUNT)?;
    let mut select = db.prepare("SELECT * FROM accounts ORDER BY account_id")?;
    let mut rows = select.query([])?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = get(row, "account_id")?;
        let live = *live.get(&id).ok_or_else(|| unplaced(&id))?;
        let item = Account {
            id,
            name: get(row, "name")?,
            enabled: get(row, "enabled")?,
            limits: text::read_limits(row)?,
            managed_by: read(row, "managed_by", text::read_managed_by)?,
        };
        accounts.push(Placed { item, live });
    }
    Ok(accounts)
}

fn trunks(db: &Transaction<'_>) -> Result<Vec<PlacedTrunk>, StoreError> {
    let live = live_indexes(db, live_index::TRUNK)?;
    let mut select = db.prepare("SELECT * FROM trunks ORDER BY trunk_id")?;
    let mut rows = select.query([])?;
    let mut trunks = Vec::new();
    while let Some(row) = rows.next()? {
        let item = trunk(row)?;
        let live = *live.get(&item.id).ok_or_else(|| unplaced(&item.id))?;
        trunks.push(PlacedTrunk { item, live, gateways: Vec::new() });
    }
    Ok(trunks)
}

fn trunk(row: &Row<'_>) -> Result<Trunk, StoreError> {
    let failover_codes: Option<String> = get(row, "failover_codes")?;
    Ok(Trunk {
        id: get(row, "trunk_id")?,
        account: get(row, "account_id")?,
        kind: read(row, "kind", text::read_kind)?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        enabled: get(row, "enabled")?,
        auth_mode: read(row, "auth_mode", text::read_auth_mode)?,
        limits: text::read_limits(row)?,
        allowed_regions: text::read_regions(get(row, "allowed_regions")?)?,
        secure: get(row, "secure")?,
        failover_codes: failover_codes.map(|codes| text::read_list("failover_codes", &codes)).transpose()?,
        ip_acls: Vec::new(),
        credentials: Vec::new(),
        origination_uris: Vec::new(),
        webhook: None,
        managed_by: read(row, "managed_by", text::read_managed_by)?,
    })
}

fn read<T>(row: &Row<'_>, column: &str, parse: fn(&str) -> Result<T, StoreError>) -> Result<T, StoreError> {
    parse(&get::<String>(row, column)?)
}

fn live_indexes(db: &Transaction<'_>, kind: &str) -> Result<HashMap<String, u32>, StoreError> {
    let mut select = db.prepare("SELECT id, live FROM live_indexes WHERE kind = ?1 AND freed_ms IS NULL")?;
    let pairs = select.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(pairs.collect::<Result<_, _>>()?)
}

fn unplaced(id: &str) -> StoreError {
    StoreError::Damaged(format!("{id:?} has no live index"))
}
