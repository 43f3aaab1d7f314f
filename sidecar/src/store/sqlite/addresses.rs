//! Where the names of gateways lead: the last good answers, kept beside the trunks that they are for.
//!
//! Must never touch what somebody wishes: a trunk's own rows and stamps stay as they are.

use std::collections::HashMap;

use rusqlite::{Transaction, params};

use super::commit::Work;
use super::objects::address_of;
use super::text::{get, read_transport};
use super::{configuration, live_index};
use crate::domain::{Actor, GatewayAddress, Trunk};
use crate::gateways::{REQUEST_ID, Target};
use crate::store::{Effect, NamedGateway, PlaceKind, PlacedAddress, PlacedTrunk, StoreError};
use crate::table;

/// As the index `origination_uris_named` has it.
const NAMED: &str = "substr(uri, 5, 1) != '[' AND substr(uri, 5, instr(uri || ';', ';') - 5) GLOB '*[a-z-]*'";

/// Every enabled gateway that is given as a name.
pub(super) fn named(db: &Transaction<'_>) -> Result<Vec<NamedGateway>, StoreError> {
    let mut known: HashMap<(String, String), Vec<GatewayAddress>> = HashMap::new();
    let stored =
        configuration::rows(db, "SELECT * FROM gateway_addresses ORDER BY tier, address", [], |row| {
            Ok(((get(row, "trunk_id")?, get(row, "uri")?), address_of(row)?))
        })?;
    for (gateway, address) in stored {
        known.entry(gateway).or_default().push(address);
    }
    let sql = format!(
        "SELECT * FROM (
            SELECT trunk_id, uri, transport, gateway.enabled AS used, count(*) OVER (PARTITION BY trunk_id) AS names
            FROM origination_uris gateway JOIN trunks USING (trunk_id) WHERE {NAMED})
         WHERE used"
    );
    let gateways = configuration::rows(db, &sql, [], |row| {
        let (trunk, uri): (String, String) = (get(row, "trunk_id")?, get(row, "uri")?);
        let names: u32 = get(row, "names")?;
        Ok((trunk, uri, read_transport(&get::<String>(row, "transport")?)?, names as usize))
    })?;
    let gateways = gateways.into_iter().filter_map(|(trunk, uri, transport, names)| {
        let target = Target::of(&uri, transport)?;
        let addresses = known.remove(&(trunk.clone(), uri.clone())).unwrap_or_default();
        Some(NamedGateway { trunk, uri, target, addresses, names })
    });
    Ok(gateways.collect())
}

/// Takes the place of the revision before, if that too told of addresses alone: names that lead elsewhere every minute must
/// not fill the log of what people did. Who writes may call a request anything: only the daemon's own go.
pub(super) fn replace_revision(db: &Transaction<'_>, before: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM config_revisions WHERE revision = ?1 AND request_id = ?2 AND actor = ?3";
    db.prepare_cached(sql)?.execute(params![before, REQUEST_ID, Actor::Daemon.to_string()])?;
    Ok(())
}

impl Work<'_> {
    pub(super) fn put_addresses(
        &mut self,
        trunk: &str,
        uri: &str,
        target: &Target,
        addresses: &[GatewayAddress],
    ) -> Result<(), StoreError> {
        let Some(mut placed) = configuration::trunk(self.db, trunk)? else { return Ok(()) };
        let gateways = placed.item.origination_uris.iter();
        let means = |uri: &str| Target::of(uri, placed.item.transport);
        if !gateways.clone().any(|gateway| gateway.uri == uri && means(uri).as_ref() == Some(target)) {
            return Ok(());
        }
        let (of_others, mut before): (Vec<_>, Vec<_>) =
            placed.addresses.into_iter().partition(|address| address.gateway != uri);
        before.retain(|address| !addresses.iter().any(|now| now.uri == address.item.uri));
        self.forget_addresses(trunk, before.iter())?;
        placed.addresses = of_others;
        let sql = "INSERT OR REPLACE INTO gateway_addresses VALUES (?1, ?2, ?3, ?4, ?5)";
        for item in addresses {
            let row = params![trunk, uri, item.uri, item.tier, item.weight];
            self.db.prepare_cached(sql)?.execute(row)?;
            let live = self.place(
                PlaceKind::Gateway,
                &live_index::gateway_id(trunk, &with_address(uri, &item.uri)),
                self.terms.capacity.gateways,
            )?;
            placed.addresses.push(PlacedAddress { gateway: uri.to_owned(), item: item.clone(), live });
        }
        // As they are read back.
        placed.addresses.sort_by(|a, b| (&a.gateway, &a.item).cmp(&(&b.gateway, &b.item)));
        let account = placed.item.account.clone();
        let trunk = table::trunk(placed, self.terms.capacity)?;
        self.tables.trunk(&trunk, account.as_deref(), false)?;
        self.done.effects.push(Effect::PutTrunk(Box::new(trunk)));
        Ok(())
    }

    /// Of what was known, what still holds: a gateway that is gone, or means another name by its trunk's transport, leads
    /// nowhere until it is looked up.
    pub(super) fn keep_addresses(
        &self,
        now: &Trunk,
        before: &PlacedTrunk,
    ) -> Result<Vec<PlacedAddress>, StoreError> {
        let same = |address: &&PlacedAddress| {
            let uri = &address.gateway;
            now.origination_uris.iter().any(|gateway| gateway.uri == *uri)
                && Target::of(uri, now.transport) == Target::of(uri, before.item.transport)
        };
        let (kept, gone): (Vec<_>, Vec<_>) = before.addresses.iter().partition(same);
        self.forget_addresses(&now.id, gone.into_iter())?;
        Ok(kept.into_iter().cloned().collect())
    }

    pub(super) fn forget_addresses<'b>(
        &self,
        trunk: &str,
        gone: impl Iterator<Item = &'b PlacedAddress>,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM gateway_addresses WHERE trunk_id = ?1 AND uri = ?2 AND address = ?3";
        for PlacedAddress { gateway, item, .. } in gone {
            self.db.prepare_cached(sql)?.execute([trunk, gateway, &item.uri])?;
            self.free_gateway(trunk, &with_address(gateway, &item.uri))?;
        }
        Ok(())
    }
}

/// The name of an address among a trunk's gateways. No URI of a gateway has a space.
fn with_address(uri: &str, address: &str) -> String {
    trunk_admission::model::Gateway::named(uri, address)
}
