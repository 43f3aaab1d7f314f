//! What every store must do, whatever it is made of: run against each of them.
//!
//! A case gets a place where stores can be opened, and opens one, or the same again.

pub(crate) mod access;
pub(crate) mod calls;
pub(crate) mod forget;
pub(crate) mod lists;
pub(crate) mod rates;
pub(crate) mod tables;
pub(crate) mod writes;

use std::pin::Pin;
use std::sync::Arc;

use ipnet::IpNet;
use trunk_admission::model::{AuthMode, Kind};
use trunkd::domain::{
    Account, Actor, Credential, IpAcl, Limits, ManagedBy, Node, OldSecret, OriginationUri, Stamp, Transport,
    Trunk, Wanted, Webhook, WebhookMethod,
};
use trunkd::publish::Capacity;
use trunkd::secret::{SigningKey, WebhookSecret, ha1};
use trunkd::store::{Change, Committed, PlacedTrunk, Store, StoreError, Terms, Write};
use uuid::Uuid;

use crate::support::{LIMITS, SECRET};

/// Where a kind of store keeps its data during one case.
pub(crate) trait Place: Send + Sync {
    /// Opens the store that is kept here.
    fn open(&self) -> Pin<Box<dyn Future<Output = Arc<dyn Store>> + Send + '_>>;
}

/// Makes a test of each case, for the kind of store that `$place` makes a place for.
macro_rules! suite {
    ($place:expr) => {
        $crate::suite::cases!($place; access:
            tokens_are_kept_found_and_gone_with_their_account,
            a_used_token_is_noted_without_a_revision,
            an_answer_is_kept_with_its_write_until_it_expires,
            the_audit_log_tells_who_changed_what,
            no_secret_is_in_the_audit_log,
        );
        $crate::suite::cases!($place; calls:
            any_filter_finds_what_a_look_at_every_call_finds,
            a_list_goes_on_where_it_was_whatever_comes_in,
            one_page_looks_at_a_bounded_number_of_calls,
        );
        $crate::suite::cases!($place; forget:
            old_calls_go_in_bounded_steps,
            retention_leaves_what_is_young_up_or_owed,
            nothing_is_forgotten_by_a_clock_that_went_ahead,
        );
        $crate::suite::cases!($place; lists:
            pages_and_totals,
            what_a_filter_lets_through,
            files_see_what_they_manage,
        );
        $crate::suite::cases!($place; rates:
            a_call_is_held_to_the_rate_it_began_under,
            a_call_that_nobody_saw_end_costs_nothing_known,
            plans_are_listed_chosen_and_told_of,
        );
        $crate::suite::cases!($place; tables:
            kamailios_tables_hold_what_the_trunks_say,
            a_disabled_account_takes_its_trunks_rows_away,
            another_node_makes_all_rows_anew,
            what_kamailio_could_not_hold_is_refused,
        );
        $crate::suite::cases!($place; writes:
            what_was_written_is_what_is_read,
            what_did_not_change_keeps_its_stamp,
            an_application_is_one_object,
            parts_keep_their_ids_by_key_and_may_swap_keys,
            a_write_against_another_revision_changes_nothing,
            a_write_that_does_not_fit_is_undone_whole,
            nobody_changes_what_another_manages,
            an_owner_cannot_go_before_what_it_owns,
            a_realm_cannot_change_under_passwords_that_nobody_knows,
            a_thing_keeps_its_place_and_a_freed_one_is_given_away_last,
            what_is_to_be_published_is_what_a_snapshot_says,
            a_closed_store_says_so,
        );
    };
}

macro_rules! cases {
    ($place:expr; $module:ident: $($case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::suite::$module::$case(&$place).await;
            }
        )*
    };
}

pub(crate) use {cases, suite};

/// Room for a few things.
pub(crate) const ROOM: Capacity = Capacity { trunks: 64, accounts: 64, gateways: 64 };
/// Who writes through the API.
const TOKEN: Actor = Actor::Token(Uuid::from_u128(7));

/// Writes changes of the API at a time, onto whatever is the newest revision.
async fn write(store: &dyn Store, now_ms: i64, changes: Vec<Change>) -> Result<Committed, StoreError> {
    write_as(store, TOKEN, now_ms, changes).await
}

async fn write_as(
    store: &dyn Store,
    actor: Actor,
    now_ms: i64,
    changes: Vec<Change>,
) -> Result<Committed, StoreError> {
    let base = store.revision().await.unwrap();
    let terms = Terms { base, stamp: Stamp::new(now_ms, base + 1), capacity: ROOM, kamailio: LIMITS };
    let write = Write { actor, request_id: format!("request-{now_ms}"), changes, idempotency: None };
    store.commit(write, terms).await
}

async fn read(store: &dyn Store, id: &str) -> PlacedTrunk {
    store.trunk(id.into()).await.unwrap().unwrap()
}

pub(crate) fn put(trunk: &Trunk) -> Change {
    Change::PutTrunk(Box::new(trunk.clone()))
}

pub(crate) fn node() -> Node {
    Node {
        name: "edge-1".into(),
        region: "US".parse().unwrap(),
        base_domain: "sip.example.net".into(),
        inbound_host: "in.sip.example.net".into(),
        limits: Limits::default(),
    }
}

pub(crate) fn account(id: &str) -> Account {
    Account {
        id: id.into(),
        name: format!("{id} Inc"),
        enabled: true,
        limits: Limits { cps: Some(2.5), cps_burst: Some(3), concurrent_calls: Some(4) },
        managed_by: ManagedBy::Api,
        stamp: Stamp::default(),
    }
}

/// A trunk with one part of each kind and nothing at its default.
pub(crate) fn trunk(id: &str, owner: Option<&str>) -> Trunk {
    Trunk {
        id: id.into(),
        account: owner.map(str::to_owned),
        kind: Kind::Trunk,
        name: format!("trunk {id}"),
        description: "of the suite".into(),
        enabled: true,
        auth_mode: AuthMode::All,
        limits: Limits { cps: Some(0.5), cps_burst: None, concurrent_calls: Some(0) },
        allowed_regions: Some(vec!["US".parse().unwrap(), "DE".parse().unwrap()]),
        transport: Transport::Tls,
        secure: true,
        failover_codes: Some(vec![503]),
        inbound_user: None,
        password_auth: false,
        ip_acls: vec![acl("192.0.2.0/24")],
        credentials: vec![credential("bob", "correct horse battery")],
        origination_uris: vec![gateway("sip:192.0.2.9:5070")],
        webhook: Some(Webhook {
            fallback_url: Some("https://hooks.example.net/y".into()),
            method: WebhookMethod::Get,
            events: Wanted::from_names(["call.initiated", "call.hangup"]).unwrap(),
            old_secret: Some(OldSecret {
                secret: WebhookSecret::parse("whsec_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC").unwrap(),
                until_ms: 86_400_000,
            }),
            signing_key: SigningKey::parse("whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").ok(),
            ..Webhook::new("https://hooks.example.com/x".into(), WebhookSecret::parse(SECRET).unwrap())
        }),
        managed_by: ManagedBy::Api,
        stamp: Stamp::default(),
    }
}

/// An application that takes calls with a password from one network.
fn application(id: &str) -> Trunk {
    let user = Uuid::new_v4();
    Trunk {
        kind: Kind::Application,
        inbound_user: Some(user),
        password_auth: true,
        credentials: vec![credential(&user.to_string(), "shown once and never more")],
        ..trunk(id, None)
    }
}

pub(crate) fn acl(network: &str) -> IpAcl {
    let network: IpNet = network.parse().unwrap();
    IpAcl { id: Uuid::nil(), network, enabled: true, description: "office".into(), stamp: Stamp::default() }
}

pub(crate) fn credential(username: &str, password: &str) -> Credential {
    let (ha1_md5, ha1_sha256) = ha1(username, "a.sip.example.net", password);
    Credential {
        id: Uuid::nil(),
        username: username.into(),
        ha1_md5,
        ha1_sha256,
        enabled: true,
        description: "desk".into(),
        stamp: Stamp::default(),
    }
}

pub(crate) fn gateway(uri: &str) -> OriginationUri {
    OriginationUri {
        id: Uuid::nil(),
        uri: uri.into(),
        priority: 10,
        weight: 5,
        enabled: true,
        description: "east".into(),
        stamp: Stamp::default(),
    }
}
