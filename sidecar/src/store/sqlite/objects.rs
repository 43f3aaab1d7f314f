//! Rows of the configuration's tables → the objects they make up. A text that cannot be read back means that the file was
//! damaged or edited by hand: an error, never a default.

use rusqlite::Row;

use super::text::{self, damaged, get, get_uuid};
use crate::domain::{
    Account, Credential, GatewayAddress, IpAcl, Millis, OldSecret, OriginationUri, Stamp, Trunk, Wanted,
    Webhook,
};
use crate::secret::{SigningKey, WebhookSecret};
use crate::store::{Placed, PlacedAddress, PlacedTrunk, StoreError};

pub(super) fn account_of(row: &Row<'_>) -> Result<Placed<Account>, StoreError> {
    let item = Account {
        id: get(row, "account_id")?,
        name: get(row, "name")?,
        enabled: get(row, "enabled")?,
        limits: text::read_limits(row)?,
        managed_by: read(row, "managed_by", text::read_managed_by)?,
        stamp: stamp(row)?,
    };
    Ok(Placed { live: place(row, &item.id)?, item })
}

pub(super) fn trunk_of(row: &Row<'_>) -> Result<PlacedTrunk, StoreError> {
    let failover_codes: Option<String> = get(row, "failover_codes")?;
    let inbound_user: Option<String> = get(row, "inbound_user")?;
    let inbound_user = inbound_user.map(|user| text::read_uuid("inbound_user", &user)).transpose()?;
    let item = Trunk {
        id: get(row, "trunk_id")?,
        account: get(row, "account_id")?,
        kind: read(row, "kind", text::read_kind)?,
        name: get(row, "name")?,
        description: get(row, "description")?,
        enabled: get(row, "enabled")?,
        auth_mode: read(row, "auth_mode", text::read_auth_mode)?,
        limits: text::read_limits(row)?,
        allowed_regions: text::read_regions(get(row, "allowed_regions")?)?,
        transport: read(row, "transport", text::read_transport)?,
        secure: get(row, "secure")?,
        failover_codes: failover_codes.map(|codes| text::read_list("failover_codes", &codes)).transpose()?,
        inbound_user,
        password_auth: get(row, "password_auth")?,
        ip_acls: Vec::new(),
        credentials: Vec::new(),
        origination_uris: Vec::new(),
        webhook: None,
        managed_by: read(row, "managed_by", text::read_managed_by)?,
        stamp: stamp(row)?,
    };
    let live = place(row, &item.id)?;
    Ok(PlacedTrunk {
        item,
        live,
        gateways: Vec::new(),
        addresses: Vec::new(),
        account: get(row, "owner_live")?,
    })
}

/// Puts a row into the trunk it belongs to.
pub(super) type Take = fn(&mut PlacedTrunk, &Row<'_>) -> Result<(), StoreError>;

pub(super) fn take_acl(trunk: &mut PlacedTrunk, row: &Row<'_>) -> Result<(), StoreError> {
    let network: String = get(row, "network")?;
    trunk.item.ip_acls.push(IpAcl {
        id: get_uuid(row, "ip_acl_id")?,
        network: network.parse().map_err(|_| damaged("network", &network))?,
        enabled: get(row, "enabled")?,
        description: get(row, "description")?,
        stamp: stamp(row)?,
    });
    Ok(())
}

pub(super) fn take_credential(trunk: &mut PlacedTrunk, row: &Row<'_>) -> Result<(), StoreError> {
    trunk.item.credentials.push(Credential {
        id: get_uuid(row, "credential_id")?,
        username: get(row, "username")?,
        ha1_md5: get(row, "ha1_md5")?,
        ha1_sha256: get(row, "ha1_sha256")?,
        enabled: get(row, "enabled")?,
        description: get(row, "description")?,
        stamp: stamp(row)?,
    });
    Ok(())
}

pub(super) fn take_gateway(trunk: &mut PlacedTrunk, row: &Row<'_>) -> Result<(), StoreError> {
    let uri: String = get(row, "uri")?;
    trunk.gateways.push(place(row, &uri)?);
    trunk.item.origination_uris.push(OriginationUri {
        id: get_uuid(row, "origination_uri_id")?,
        uri,
        priority: get(row, "priority")?,
        weight: get(row, "weight")?,
        enabled: get(row, "enabled")?,
        description: get(row, "description")?,
        stamp: stamp(row)?,
    });
    Ok(())
}

pub(super) fn take_address(trunk: &mut PlacedTrunk, row: &Row<'_>) -> Result<(), StoreError> {
    let item = address_of(row)?;
    trunk.addresses.push(PlacedAddress { gateway: get(row, "uri")?, live: place(row, &item.uri)?, item });
    Ok(())
}

pub(super) fn address_of(row: &Row<'_>) -> Result<GatewayAddress, StoreError> {
    Ok(GatewayAddress { tier: get(row, "tier")?, uri: get(row, "address")?, weight: get(row, "weight")? })
}

pub(super) fn take_webhook(trunk: &mut PlacedTrunk, row: &Row<'_>) -> Result<(), StoreError> {
    trunk.item.webhook = Some(webhook_of(row)?);
    Ok(())
}

/// Errors name the column and never what stands there: these are keys.
pub(super) fn webhook_of(row: &Row<'_>) -> Result<Webhook, StoreError> {
    let broken = |column: &str| StoreError::Damaged(format!("column {column}"));
    let secret = |column: &str, text: &str| WebhookSecret::parse(text).map_err(|_| broken(column));
    let old: Option<String> = get(row, "old_secret")?;
    let until_ms: Option<Millis> = get(row, "old_secret_until_ms")?;
    let old = old.map(|text| secret("old_secret", &text)).transpose()?;
    let key: Option<String> = get(row, "signing_key")?;
    let events: String = get(row, "events")?;
    Ok(Webhook {
        url: get(row, "url")?,
        fallback_url: get(row, "fallback_url")?,
        method: read(row, "method", text::read_method)?,
        events: Wanted::from_names(events.split(' ')).ok_or_else(|| damaged("events", &events))?,
        secret: secret("secret", &get::<String>(row, "secret")?)?,
        old_secret: old.zip(until_ms).map(|(secret, until_ms)| OldSecret { secret, until_ms }),
        signing_key: key.map(|key| SigningKey::parse(&key).map_err(|_| broken("signing_key"))).transpose()?,
    })
}

pub(super) fn stamp(row: &Row<'_>) -> Result<Stamp, StoreError> {
    Ok(Stamp {
        created_ms: get(row, "created_ms")?,
        updated_ms: get(row, "updated_ms")?,
        revision: get(row, "revision")?,
    })
}

fn read<T>(row: &Row<'_>, column: &str, parse: fn(&str) -> Result<T, StoreError>) -> Result<T, StoreError> {
    parse(&get::<String>(row, column)?)
}

/// The index that stands beside a thing.
fn place(row: &Row<'_>, id: &str) -> Result<u32, StoreError> {
    let live: Option<u32> = get(row, "live")?;
    live.ok_or_else(|| StoreError::Damaged(format!("{id:?} has no live index")))
}
