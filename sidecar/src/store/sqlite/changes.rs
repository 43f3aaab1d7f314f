//! Writes a plan as one configuration revision: all of it or nothing.

use rusqlite::{Transaction, params};

use super::{configuration, live_index, text};
use crate::difference::{Change, Plan};
use crate::domain::{Account, Millis, Node, Trunk};
use crate::publish::Capacity;
use crate::store::StoreError;

/// Longest description kept of a revision, in bytes.
const MAX_SUMMARY_BYTES: usize = 64 << 10;

pub(super) fn apply(
    db: &Transaction<'_>,
    base: i64,
    plan: &Plan,
    capacity: Capacity,
    now_ms: Millis,
) -> Result<i64, StoreError> {
    let found = configuration::revision(db)?;
    if found != base {
        return Err(StoreError::Conflict { expected: base, found });
    }
    for change in &plan.changes {
        match change {
            Change::PutNode(node) => put_node(db, node)?,
            Change::PutAccount(account) => put_account(db, account, capacity, now_ms)?,
            Change::PutTrunk(trunk) => put_trunk(db, trunk, capacity, now_ms)?,
            Change::RemoveTrunk(id) => remove_trunk(db, id, now_ms)?,
            Change::RemoveAccount(id) => {
                db.execute("DELETE FROM accounts WHERE account_id = ?1", [id])?;
                live_index::free(db, live_index::ACCOUNT, id, now_ms)?;
            }
        }
    }
    let mut summary = plan.lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    summary.truncate(summary.floor_char_boundary(MAX_SUMMARY_BYTES));
    let sql = "INSERT INTO config_revisions (created_ms, source, summary) VALUES (?1, 'file', ?2)";
    db.execute(sql, params![now_ms, summary])?;
    Ok(db.last_insert_rowid())
}

fn put_node(db: &Transaction<'_>, node: &Node) -> Result<(), StoreError> {
    let limits = node.limits;
    db.execute(
        "INSERT OR REPLACE INTO node VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            node.name,
            node.region.to_string(),
            node.base_domain,
            node.inbound_host,
            limits.cps,
            limits.cps_burst,
            limits.concurrent_calls
        ],
    )?;
    Ok(())
}

fn put_account(
    db: &Transaction<'_>,
    account: &Account,
    room: Capacity,
    now_ms: Millis,
) -> Result<(), StoreError> {
    let limits = account.limits;
    db.prepare_cached(
        "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (account_id) DO UPDATE SET name = ?2, enabled = ?3, cps = ?4, cps_burst = ?5,
            concurrent_calls = ?6, managed_by = ?7, updated_ms = ?8",
    )?
    .execute(params![
        account.id,
        account.name,
        account.enabled,
        limits.cps,
        limits.cps_burst,
        limits.concurrent_calls,
        text::managed_by(account.managed_by),
        now_ms
    ])?;
    live_index::place(db, live_index::ACCOUNT, &account.id, room.accounts)?;
    Ok(())
}

fn put_trunk(db: &Transaction<'_>, trunk: &Trunk, room: Capacity, now_ms: Millis) -> Result<(), StoreError> {
    let limits = trunk.limits;
    db.prepare_cached(
        "INSERT INTO trunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)
         ON CONFLICT (trunk_id) DO UPDATE SET account_id = ?2, kind = ?3, name = ?4, description = ?5, enabled = ?6,
            auth_mode = ?7, cps = ?8, cps_burst = ?9, concurrent_calls = ?10, allowed_regions = ?11, secure = ?12,
            failover_codes = ?13, managed_by = ?14, updated_ms = ?15",
    )?
    .execute(params![
        trunk.id,
        trunk.account,
        text::kind(trunk.kind),
        trunk.name,
        trunk.description,
        trunk.enabled,
        text::auth_mode(trunk.auth_mode),
        limits.cps,
        limits.cps_burst,
        limits.concurrent_calls,
        trunk.allowed_regions.as_deref().map(text::list),
        trunk.secure,
        trunk.failover_codes.as_deref().map(text::list),
        text::managed_by(trunk.managed_by),
        now_ms
    ])?;
    live_index::place(db, live_index::TRUNK, &trunk.id, room.trunks)?;
    put_parts(db, trunk)?;
    place_gateways(db, trunk, room, now_ms)?;
    put_endpoint(db, trunk, now_ms)
}

/// The lists below a trunk are written anew: they have no history of their own.
fn put_parts(db: &Transaction<'_>, trunk: &Trunk) -> Result<(), StoreError> {
    for table in ["ip_acls", "credentials", "origination_uris"] {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE trunk_id = ?1"))?.execute([&trunk.id])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO ip_acls VALUES (?1, ?2, ?3, ?4)")?;
    for acl in &trunk.ip_acls {
        insert.execute(params![trunk.id, acl.network.to_string(), acl.enabled, acl.description])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO credentials VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for user in &trunk.credentials {
        insert.execute(params![trunk.id, user.username, user.ha1_md5, user.ha1_sha256, user.enabled])?;
    }
    let mut insert = db.prepare_cached("INSERT INTO origination_uris VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for gateway in &trunk.origination_uris {
        let entry = params![
            trunk.id,
            gateway.uri,
            gateway.priority,
            gateway.weight,
            gateway.enabled,
            gateway.description
        ];
        insert.execute(entry)?;
    }
    Ok(())
}

/// Frees the indexes of gateways that are gone, then places those that are there.
fn place_gateways(
    db: &Transaction<'_>,
    trunk: &Trunk,
    room: Capacity,
    now_ms: Millis,
) -> Result<(), StoreError> {
    free_gateways(db, &trunk.id, now_ms)?;
    for gateway in &trunk.origination_uris {
        let id = live_index::gateway_id(&trunk.id, &gateway.uri);
        live_index::place(db, live_index::GATEWAY, &id, room.gateways)?;
    }
    Ok(())
}

/// Ids of a trunk's gateways lie between `id/` and `id0`: `0` follows `/` in the order of bytes.
fn free_gateways(db: &Transaction<'_>, trunk: &str, now_ms: Millis) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE live_indexes SET freed_ms = ?4 WHERE kind = ?1 AND id >= ?2 AND id < ?3 AND freed_ms IS NULL",
    )?
    .execute(params![live_index::GATEWAY, format!("{trunk}/"), format!("{trunk}0"), now_ms])?;
    Ok(())
}

/// An endpoint that the receiver had ended with 410 comes back when its URL or secret changes.
fn put_endpoint(db: &Transaction<'_>, trunk: &Trunk, now_ms: Millis) -> Result<(), StoreError> {
    let Some(webhook) = &trunk.webhook else {
        db.execute(
            "UPDATE deliveries SET state = 'parked', ended_ms = ?2 WHERE state = 'pending' AND endpoint_id =
                (SELECT endpoint_id FROM endpoints WHERE trunk_id = ?1 AND state != 'removed')",
            params![trunk.id, now_ms],
        )?;
        db.execute(
            "UPDATE endpoints SET state = 'removed', note = 'webhook removed', changed_ms = ?2
             WHERE trunk_id = ?1 AND state != 'removed'",
            params![trunk.id, now_ms],
        )?;
        return Ok(());
    };
    db.prepare_cached(
        "INSERT INTO endpoints (trunk_id, url, secret, state, note, changed_ms) VALUES (?1, ?2, ?3, 'enabled', '', ?4)
         ON CONFLICT (trunk_id) DO UPDATE SET url = ?2, secret = ?3, state = 'enabled', note = '', changed_ms = ?4
         WHERE url != ?2 OR secret != ?3 OR state = 'removed'",
    )?
    .execute(params![trunk.id, webhook.url, webhook.secret.reveal(), now_ms])?;
    Ok(())
}

/// The endpoint stays: what is still owed for the trunk's last calls gets sent.
fn remove_trunk(db: &Transaction<'_>, id: &str, now_ms: Millis) -> Result<(), StoreError> {
    db.execute("DELETE FROM trunks WHERE trunk_id = ?1", [id])?;
    live_index::free(db, live_index::TRUNK, id, now_ms)?;
    free_gateways(db, id, now_ms)
}
