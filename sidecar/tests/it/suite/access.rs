//! Tokens, kept answers, the audit log.

use trunkd::domain::{Actor, IdempotencyRecord, Scope, Stamp, Token, Trunk};
use trunkd::store::{AuditFilter, Change, Page, Store, Terms, Write};
use uuid::Uuid;

use super::{Place, ROOM, TOKEN, account, acl, application, credential, put, read, trunk, write};
use crate::support::{LIMITS, SECRET};

fn token(number: u128, scope: Scope) -> Token {
    Token {
        id: Uuid::from_u128(number),
        prefix: format!("tl_{number:08}"),
        hash: format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$hash{number}"),
        scope,
        description: "of the suite".into(),
        last_used_ms: None,
        stamp: Stamp::default(),
    }
}

pub(crate) async fn tokens_are_kept_found_and_gone_with_their_account(place: &dyn Place) {
    let store = place.open().await;
    let [admin, own] = [token(1, Scope::Admin), token(2, Scope::Account("acme".into()))];
    let changes = vec![
        Change::PutAccount(account("acme")),
        Change::PutToken(admin.clone()),
        Change::PutToken(own.clone()),
    ];
    write(&*store, 1_000, changes).await.unwrap();
    let stored = Token { stamp: Stamp::new(1_000, 1), ..own.clone() };
    assert_eq!(store.token(own.id).await.unwrap(), Some(stored.clone()));
    assert_eq!(store.token_with_prefix(own.prefix.clone()).await.unwrap(), Some(stored));
    assert_eq!(store.token_with_prefix("tl_".into()).await.unwrap(), None);
    assert_eq!(store.list_tokens(None, Page::ALL).await.unwrap().total, 2);
    let listed = store.list_tokens(Some("acme".into()), Page::ALL).await.unwrap();
    assert_eq!((listed.total, listed.objects[0].id), (1, own.id));

    let done = write(&*store, 2_000, vec![Change::RemoveAccount("acme".into())]).await.unwrap();
    let lines: Vec<_> = done.lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines, [format!("removed token {}", own.id), "removed account acme".into()]);
    assert_eq!(store.token(own.id).await.unwrap(), None);
    write(&*store, 3_000, vec![Change::RemoveToken(admin.id)]).await.unwrap();
    assert_eq!(store.list_tokens(None, Page::ALL).await.unwrap().total, 0);
}

pub(crate) async fn a_used_token_is_noted_without_a_revision(place: &dyn Place) {
    let store = place.open().await;
    write(&*store, 1, vec![Change::PutToken(token(1, Scope::Admin))]).await.unwrap();
    let id = Uuid::from_u128(1);
    store.touch_tokens(vec![(id, 5_000), (Uuid::from_u128(9), 5_000)]).await.unwrap();
    store.touch_tokens(vec![(id, 4_000)]).await.unwrap();
    let found = store.token(id).await.unwrap().unwrap();
    assert_eq!((found.last_used_ms, found.stamp), (Some(5_000), Stamp::new(1, 1)));
    assert_eq!(store.revision().await.unwrap(), 1);
    let renamed = Token { description: "other".into(), last_used_ms: None, ..found };
    write(&*store, 2, vec![Change::PutToken(renamed)]).await.unwrap();
    assert_eq!(store.token(id).await.unwrap().unwrap().last_used_ms, Some(5_000), "a write does not set it");
}

pub(crate) async fn an_answer_is_kept_with_its_write_until_it_expires(place: &dyn Place) {
    let store = place.open().await;
    let owner = Uuid::from_u128(7);
    let record = |key: &str, expires_ms| IdempotencyRecord {
        owner,
        key: key.into(),
        fingerprint: [3; 32],
        status: 201,
        answer: "{\"trunkId\":\"a\"}".into(),
        expires_ms,
    };
    let commit = async |base, now_ms, changes, idempotency: IdempotencyRecord| {
        let terms = Terms { base, stamp: Stamp::new(now_ms, base + 1), capacity: ROOM, kamailio: LIMITS };
        let request_id = "r".to_owned();
        store.commit(Write { actor: TOKEN, request_id, changes, idempotency: Some(idempotency) }, terms).await
    };
    commit(0, 1_000, vec![put(&trunk("a", None))], record("first", 5_000)).await.unwrap();
    let kept = store.kept_answer(owner, "first".into(), 4_999).await.unwrap();
    assert_eq!(kept, Some(record("first", 5_000)));
    assert_eq!(store.kept_answer(owner, "first".into(), 5_000).await.unwrap(), None, "expired");
    assert_eq!(store.kept_answer(owner, "other".into(), 1_000).await.unwrap(), None);
    assert_eq!(store.kept_answer(Uuid::from_u128(8), "first".into(), 1_000).await.unwrap(), None);

    let refused = commit(1, 2_000, vec![put(&trunk("b", Some("nobody")))], record("failed", 9_000)).await;
    assert!(refused.is_err());
    assert_eq!(store.kept_answer(owner, "failed".into(), 2_000).await.unwrap(), None, "a write that was not");
    commit(1, 6_000, Vec::new(), record("second", 9_000)).await.unwrap();
    assert_eq!(store.kept_answer(owner, "first".into(), 0).await.unwrap(), None, "forgotten");
}

async fn audit(store: &dyn Store, filter: AuditFilter) -> Vec<trunkd::domain::AuditEntry> {
    store.list_audit(filter, Page::ALL).await.unwrap().objects
}

pub(crate) async fn the_audit_log_tells_who_changed_what(place: &dyn Place) {
    let store = place.open().await;
    let changes = vec![Change::PutAccount(account("acme")), put(&trunk("a", Some("acme")))];
    write(&*store, 1_000, changes).await.unwrap();
    let mut changed = read(&*store, "a").await.item;
    changed.limits.cps = Some(7.5);
    changed.ip_acls.push(acl("198.51.100.0/24"));
    write(&*store, 2_000, vec![put(&changed)]).await.unwrap();
    write(&*store, 3_000, vec![Change::RemoveTrunk("a".into())]).await.unwrap();

    let all = audit(&*store, AuditFilter::default()).await;
    let told: Vec<_> =
        all.iter().map(|entry| (entry.revision, entry.action.as_str(), entry.kind.as_str())).collect();
    assert_eq!(
        told,
        [(3, "delete", "trunk"), (2, "update", "trunk"), (1, "create", "trunk"), (1, "create", "account")]
    );
    let update = &all[1];
    assert_eq!(
        (update.at_ms, update.actor.clone(), update.request_id.as_str(), update.account.as_deref()),
        (2_000, TOKEN.to_string(), "request-2000", Some("acme"))
    );
    let (before, after) = (update.before.clone().unwrap(), update.after.clone().unwrap());
    assert_eq!((&before["cpsLimit"], &after["cpsLimit"]), (&0.5.into(), &7.5.into()));
    assert_eq!(before["ipAcls"], serde_json::json!([]), "of a list, only what differs");
    assert_eq!(after["ipAcls"][0]["ipAddress"], "198.51.100.0/24");
    assert_eq!(after.as_object().unwrap().len(), 2, "{after}");
    assert_eq!((all[0].after.as_ref(), all[3].before.as_ref()), (None, None));
    assert_eq!(all[0].before.as_ref().unwrap()["credentials"][0]["username"], "bob");

    let of_account = AuditFilter { account: Some("acme".into()), ..AuditFilter::default() };
    assert_eq!(audit(&*store, of_account).await.len(), 4);
    let of_trunk = AuditFilter { object: Some(("trunk".into(), "a".into())), ..AuditFilter::default() };
    assert_eq!(audit(&*store, of_trunk).await.len(), 3);
    let of_revision = AuditFilter { revision: Some(1), ..AuditFilter::default() };
    assert_eq!(audit(&*store, of_revision).await.len(), 2);
    assert_eq!(audit(&*store, AuditFilter { account: Some("x".into()), ..AuditFilter::default() }).await, []);
    let page = store.list_audit(AuditFilter::default(), Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!((page.total, page.objects), (4, vec![update.clone()]));
}

pub(crate) async fn no_secret_is_in_the_audit_log(place: &dyn Place) {
    let store = place.open().await;
    let voice = application("voice");
    let changes = vec![put(&trunk("a", None)), put(&voice), Change::PutToken(token(1, Scope::Admin))];
    write(&*store, 1, changes).await.unwrap();
    let before = read(&*store, "a").await.item;
    let mut changed = Trunk { webhook: trunk("x", None).webhook, ..before.clone() };
    let (id, stamp) = (before.credentials[0].id, before.credentials[0].stamp);
    changed.credentials[0] =
        trunkd::domain::Credential { id, stamp, ..credential("bob", "a better horse battery") };
    let other = format!("whsec_{}", "B".repeat(32));
    let secret = trunkd::secret::WebhookSecret::parse(&other).unwrap();
    changed.webhook.as_mut().unwrap().secret = secret;
    let changes = vec![
        put(&changed),
        Change::PutToken(Token { hash: "$argon2id$another".into(), ..token(1, Scope::Admin) }),
    ];
    let done = write(&*store, 2, changes).await.unwrap();
    assert_eq!(done.lines[0].to_string(), "changed trunk a: credentials, webhook");
    write(&*store, 3, vec![Change::RemoveTrunk("a".into()), Change::RemoveToken(Uuid::from_u128(1))])
        .await
        .unwrap();

    let all = audit(&*store, AuditFilter::default()).await;
    assert_eq!(all.len(), 7);
    let hashes = |user: &trunkd::domain::Credential| {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        [hex(&user.ha1_md5), hex(&user.ha1_sha256)]
    };
    let mut secrets: Vec<String> =
        [SECRET, other.as_str(), "argon2", "correct horse", "better horse", "shown once", "tl_0000"]
            .map(str::to_owned)
            .to_vec();
    for user in [&before.credentials[0], &changed.credentials[0], &voice.credentials[0]] {
        secrets.extend(hashes(user));
    }
    for entry in &all {
        let text = format!("{entry:?}");
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    let update = all.iter().find(|entry| entry.action == "update" && entry.kind == "trunk").unwrap();
    let after = update.after.as_ref().unwrap();
    assert_eq!(
        (&after["webhookSecret"], &after["credentials"][0]["password"]),
        (&"changed".into(), &"changed".into())
    );
    let update = all.iter().find(|entry| entry.action == "update" && entry.kind == "token").unwrap();
    assert_eq!(update.after.as_ref().unwrap()["token"], "changed");
    assert_eq!(Actor::Daemon.to_string(), "trunkd");
}
