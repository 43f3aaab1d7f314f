//! Objects into rows: accounts, trunks with their parts and endpoint, the node.
//!
//! Of a trunk's parts only those rows are touched that differ.

use std::collections::{HashMap, HashSet};

use rusqlite::{Statement, Transaction, params};
use uuid::Uuid;

use super::{endpoints, text};
use crate::domain::{
    Account, Credential, IpAcl, Millis, Node, OriginationUri, Part, Stamp, Trunk, auth_mode_name, kind_name,
};
use crate::secret::SigningKey;
use crate::store::StoreError;

pub(super) fn node(db: &Transaction<'_>, node: &Node) -> Result<(), StoreError> {
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

pub(super) fn account(db: &Transaction<'_>, account: &Account) -> Result<(), StoreError> {
    let (limits, stamp) = (account.limits, account.stamp);
    db.prepare_cached(
        "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (account_id) DO UPDATE SET name = ?2, enabled = ?3, cps = ?4, cps_burst = ?5,
            concurrent_calls = ?6, managed_by = ?7, updated_ms = ?9, revision = ?10",
    )?
    .execute(params![
        account.id,
        account.name,
        account.enabled,
        limits.cps,
        limits.cps_burst,
        limits.concurrent_calls,
        account.managed_by.name(),
        stamp.created_ms,
        stamp.updated_ms,
        stamp.revision
    ])?;
    Ok(())
}

/// `before` is what stands there now.
pub(super) fn trunk(
    db: &Transaction<'_>,
    trunk: &Trunk,
    before: Option<&Trunk>,
    now_ms: Millis,
) -> Result<(), StoreError> {
    trunk_row(db, trunk)?;
    parts(db, &trunk.id, &trunk.ip_acls, before.map_or(&[], |before| &before.ip_acls))?;
    parts(db, &trunk.id, &trunk.credentials, before.map_or(&[], |before| &before.credentials))?;
    parts(db, &trunk.id, &trunk.origination_uris, before.map_or(&[], |before| &before.origination_uris))?;
    endpoint(db, trunk, now_ms)
}

fn trunk_row(db: &Transaction<'_>, trunk: &Trunk) -> Result<(), StoreError> {
    let (limits, stamp) = (trunk.limits, trunk.stamp);
    db.prepare_cached(
        "INSERT INTO trunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
         ON CONFLICT (trunk_id) DO UPDATE SET account_id = ?2, kind = ?3, name = ?4, description = ?5, enabled = ?6,
            auth_mode = ?7, cps = ?8, cps_burst = ?9, concurrent_calls = ?10, allowed_regions = ?11, transport = ?12,
            secure = ?13, failover_codes = ?14, inbound_user = ?15, password_auth = ?16, managed_by = ?17,
            updated_ms = ?19, revision = ?20",
    )?
    .execute(params![
        trunk.id,
        trunk.account,
        kind_name(trunk.kind),
        trunk.name,
        trunk.description,
        trunk.enabled,
        auth_mode_name(trunk.auth_mode),
        limits.cps,
        limits.cps_burst,
        limits.concurrent_calls,
        trunk.allowed_regions.as_deref().map(text::list),
        trunk.transport.name(),
        trunk.secure,
        trunk.failover_codes.as_deref().map(text::list),
        trunk.inbound_user.map(text::uuid),
        trunk.password_auth,
        trunk.managed_by.name(),
        stamp.created_ms,
        stamp.updated_ms,
        stamp.revision
    ])?;
    Ok(())
}

/// A part with a table of its own.
trait Row: Part {
    const DELETE: &str;
    const INSERT: &str;
    fn insert(&self, insert: &mut Statement<'_>, trunk: &str, id: &str) -> rusqlite::Result<usize>;
}

/// What is gone or changed is deleted before anything is inserted: two parts may have swapped their keys.
fn parts<T: Row>(db: &Transaction<'_>, trunk: &str, now: &[T], before: &[T]) -> Result<(), StoreError> {
    let kept: HashMap<Uuid, &T> =
        if before.is_empty() { HashMap::new() } else { now.iter().map(|part| (part.id(), part)).collect() };
    let mut same = HashSet::new();
    for part in before {
        if kept.get(&part.id()).is_some_and(|now| *now == part) {
            same.insert(part.id());
        } else {
            db.prepare_cached(T::DELETE)?.execute([trunk, &text::uuid(part.id())])?;
        }
    }
    let mut insert = db.prepare_cached(T::INSERT)?;
    for part in now.iter().filter(|part| !same.contains(&part.id())) {
        part.insert(&mut insert, trunk, &text::uuid(part.id()))?;
    }
    Ok(())
}

impl Row for IpAcl {
    const DELETE: &str = "DELETE FROM ip_acls WHERE trunk_id = ?1 AND ip_acl_id = ?2";
    const INSERT: &str = "INSERT INTO ip_acls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

    fn insert(&self, insert: &mut Statement<'_>, trunk: &str, id: &str) -> rusqlite::Result<usize> {
        let Stamp { created_ms, updated_ms, revision } = self.stamp;
        insert.execute(params![
            trunk,
            id,
            self.network.to_string(),
            self.enabled,
            self.description,
            created_ms,
            updated_ms,
            revision
        ])
    }
}

impl Row for Credential {
    const DELETE: &str = "DELETE FROM credentials WHERE trunk_id = ?1 AND credential_id = ?2";
    const INSERT: &str = "INSERT INTO credentials VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

    fn insert(&self, insert: &mut Statement<'_>, trunk: &str, id: &str) -> rusqlite::Result<usize> {
        let Stamp { created_ms, updated_ms, revision } = self.stamp;
        insert.execute(params![
            trunk,
            id,
            self.username,
            self.ha1_md5,
            self.ha1_sha256,
            self.enabled,
            self.description,
            created_ms,
            updated_ms,
            revision
        ])
    }
}

impl Row for OriginationUri {
    const DELETE: &str = "DELETE FROM origination_uris WHERE trunk_id = ?1 AND origination_uri_id = ?2";
    const INSERT: &str = "INSERT INTO origination_uris VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

    fn insert(&self, insert: &mut Statement<'_>, trunk: &str, id: &str) -> rusqlite::Result<usize> {
        let Stamp { created_ms, updated_ms, revision } = self.stamp;
        insert.execute(params![
            trunk,
            id,
            self.uri,
            self.priority,
            self.weight,
            self.enabled,
            self.description,
            created_ms,
            updated_ms,
            revision
        ])
    }
}

/// An endpoint that the receiver had ended with 410 comes back when its URL or secret changes. One whose trunk has no
/// webhook any more is ended.
fn endpoint(db: &Transaction<'_>, trunk: &Trunk, now_ms: Millis) -> Result<(), StoreError> {
    let Some(webhook) = &trunk.webhook else {
        return endpoints::end(db, &trunk.id, "webhook removed", now_ms);
    };
    let sql = "UPDATE endpoints SET state = 'enabled', note = '', changed_ms = ?5
         WHERE trunk_id = ?1 AND (state = 'removed' OR url != ?2 OR method != ?3 OR secret != ?4)";
    let (method, secret) = (webhook.method.name(), webhook.secret.reveal());
    db.prepare_cached(sql)?.execute(params![trunk.id, webhook.url, method, secret, now_ms])?;
    let old = webhook.old_secret.as_ref();
    db.prepare_cached(
        "INSERT INTO endpoints (trunk_id, url, method, secret, state, note, changed_ms, fallback_url, events, old_secret,
            old_secret_until_ms, signing_key)
         VALUES (?1, ?2, ?3, ?4, 'enabled', '', ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (trunk_id) DO UPDATE SET url = ?2, method = ?3, secret = ?4, fallback_url = ?6, events = ?7,
            old_secret = ?8, old_secret_until_ms = ?9, signing_key = ?10
         WHERE url != ?2 OR method != ?3 OR secret != ?4 OR fallback_url IS NOT ?6 OR events != ?7
            OR old_secret IS NOT ?8 OR old_secret_until_ms IS NOT ?9 OR signing_key IS NOT ?10",
    )?
    .execute(params![
        trunk.id,
        webhook.url,
        method,
        secret,
        now_ms,
        webhook.fallback_url,
        webhook.events.names().join(" "),
        old.map(|old| old.secret.reveal()),
        old.map(|old| old.until_ms),
        webhook.signing_key.as_ref().map(SigningKey::reveal),
    ])?;
    Ok(())
}
