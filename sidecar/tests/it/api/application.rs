//! The voice application's matrix, each rule with its own code, and what enabling, rotating and disabling do.

use serde_json::{Value, json};
use trunkd::store::Store as _;
use trunkd::store::sqlite::SqliteStore;

use super::{Caller, daemon, text};

const PATH: &str = "/v1/voice-applications";

async fn make(admin: &Caller, body: Value) -> (String, super::Answer) {
    admin.make(PATH, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_holds() {
    let (site, daemon, admin) = daemon().await;
    let office = json!(["203.0.113.0/24"]);
    let mut made = Vec::new();
    for (password, sources, mode, warned) in [
        (true, json!([]), "Password", vec![]),
        (true, office.clone(), "All", vec![]),
        (true, json!(["0.0.0.0/0"]), "All", vec!["open_to_all_sources"]),
        (false, office.clone(), "Ip", vec![]),
        (false, json!(["0.0.0.0/0"]), "Ip", vec!["open_to_all_sources"]),
    ] {
        let body = json!({"inboundSipCallsEnabled": true, "passwordAuthEnabled": password,
            "allowedSourceIps": sources, "allowedRegions": ["US"]});
        let (path, answer) = make(&admin, body).await;
        let body = &answer.body;
        let user =
            text(&body["sipUri"]).strip_prefix("sip:").unwrap().strip_suffix("@in.sip.example.net").unwrap();
        assert_eq!(uuid::Uuid::parse_str(user).unwrap().get_version_num(), 4, "{user}");
        assert_ne!(user, text(&body["applicationId"]));
        assert_eq!((&body["passwordAuthEnabled"], &body["allowedSourceIps"]), (&json!(password), &sources));
        assert_eq!(body.get("sipAuthPassword").is_some(), password, "{}", answer.text);
        let codes: Vec<_> = body["warnings"].as_array().unwrap().iter().map(|w| text(&w["code"])).collect();
        assert_eq!(codes, warned);
        let read = admin.get(&path).await.expect(200);
        assert!(read.body.get("sipAuthPassword").is_none(), "{}", read.text);
        assert_eq!(read.body["sipUri"], body["sipUri"]);
        made.push((text(&body["applicationId"]).to_owned(), mode, password, user.to_owned()));
    }
    let neither =
        json!({"inboundSipCallsEnabled": true, "passwordAuthEnabled": false, "allowedSourceIps": []});
    let refused = admin.post(PATH, neither).await.refused(422, "validation_failed");
    assert_eq!(refused.faults(), ["/passwordAuthEnabled auth_required"]);
    let refused =
        admin.post(PATH, json!({"inboundSipCallsEnabled": true})).await.refused(422, "validation_failed");
    assert_eq!(refused.faults(), ["/inboundSipCallsEnabled auth_required"]);
    daemon.stop().await.unwrap();

    // What the module judges by.
    let store = SqliteStore::open(&site.database()).unwrap();
    for (id, mode, password, user) in made {
        let stored = store.trunk(id).await.unwrap().unwrap().item;
        assert_eq!((format!("{:?}", stored.auth_mode), stored.password_auth), (mode.to_owned(), password));
        let names: Vec<_> = stored.credentials.iter().map(|known| known.username.clone()).collect();
        assert_eq!(names, if password { vec![user] } else { vec![] });
    }
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_has_its_own_code() {
    let (_site, daemon, admin) = daemon().await;
    let many: Vec<_> = (0..26).map(|index| format!("203.0.113.{index}/32")).collect();
    for (field, value, fault) in [
        ("allowedSourceIps", json!(["203.0.113.9"]), "/allowedSourceIps/0 not_cidr"),
        (
            "allowedSourceIps",
            json!(["203.0.113.0/24", "203.0.113.9/24"]),
            "/allowedSourceIps/1 not_canonical",
        ),
        ("allowedSourceIps", json!(["2001:db8::/32"]), "/allowedSourceIps/0 not_ipv4"),
        ("allowedSourceIps", json!(["pbx.example.net"]), "/allowedSourceIps/0 not_ipv4"),
        ("allowedSourceIps", json!(["10.0.0.0/8"]), "/allowedSourceIps/0 not_public"),
        ("allowedSourceIps", json!(["169.254.169.254/32"]), "/allowedSourceIps/0 not_public"),
        ("allowedSourceIps", json!(["8.8.8.8/32", "8.8.8.8/32"]), "/allowedSourceIps/1 duplicate"),
        ("allowedSourceIps", json!(many), "/allowedSourceIps too_many"),
        ("allowedSourceIps", json!([7]), "/allowedSourceIps/0 wrong_type"),
        ("allowedSourceIps", json!("8.8.8.8/32"), "/allowedSourceIps wrong_type"),
        ("allowedRegions", json!(["USA"]), "/allowedRegions/0 invalid_region"),
        ("allowedRegions", json!(["us"]), "/allowedRegions/0 invalid_region"),
        ("allowedRegions", json!(["US", "US"]), "/allowedRegions/1 duplicate"),
        ("allowedRegions", json!(null), "/allowedRegions wrong_type"),
        ("inboundSipCallsEnabled", json!("yes"), "/inboundSipCallsEnabled wrong_type"),
        ("sipUri", json!("sip:me@in.sip.example.net"), "/sipUri read_only"),
        ("sipAuthPassword", json!("correct horse battery"), "/sipAuthPassword read_only"),
        ("applicationId", json!("x"), "/applicationId read_only"),
        ("applicationName", json!("a\r\nb"), "/applicationName forbidden_characters"),
        ("originationUris", json!([{"uri": "sip:a\"b"}]), "/originationUris/0/uri invalid_gateway_uri"),
        ("webhookUrl", json!("ftp://hooks.example.com"), "/webhookUrl invalid_webhook_url"),
        ("webhookMethod", json!("GET"), "/webhookUrl required"),
        ("cpsLimit", json!(-1), "/cpsLimit invalid_rate"),
    ] {
        let mut body = json!({"inboundSipCallsEnabled": true, "passwordAuthEnabled": true});
        body[field] = value.clone();
        let refused = admin.post(PATH, body).await.refused(422, "validation_failed");
        assert_eq!(refused.faults(), [fault], "{field}: {value}");
    }
    // Together with the switch off there is nothing to protect.
    let off = json!({"passwordAuthEnabled": true, "allowedSourceIps": ["8.8.8.8/32"]});
    let refused = admin.post(PATH, off).await.refused(422, "validation_failed");
    assert_eq!(
        refused.faults(),
        ["/passwordAuthEnabled inbound_disabled", "/allowedSourceIps inbound_disabled"]
    );
    assert_eq!(admin.get(PATH).await.body["meta"]["total"], 0);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn enabling_rotating_and_disabling() {
    let (_site, daemon, admin) = daemon().await;
    let (path, made) = make(&admin, json!({"applicationName": "desk"})).await;
    assert_eq!((&made.body["sipUri"], &made.body["inboundSipCallsEnabled"]), (&Value::Null, &json!(false)));
    assert_eq!(made.body["warnings"], json!([]));

    let enable = json!({"inboundSipCallsEnabled": true, "passwordAuthEnabled": true});
    let enabled = admin.patch(&path, enable).await.expect(200);
    let (uri, first) = (enabled.body["sipUri"].clone(), text(&enabled.body["sipAuthPassword"]).to_owned());
    assert_eq!(text(&enabled.body["warnings"][0]["code"]), "no_region_allowed");

    // Anything else leaves URI and password alone, and shows no password.
    let named = admin
        .patch(&path, json!({"allowedRegions": ["US"], "inboundSipCallsEnabled": true}))
        .await
        .expect(200);
    assert_eq!((&named.body["sipUri"], named.body.get("sipAuthPassword")), (&uri, None));
    assert_eq!(named.body["warnings"], json!([]));

    let rotated = admin.patch(&path, json!({"passwordAuthEnabled": true})).await.expect(200);
    let second = text(&rotated.body["sipAuthPassword"]).to_owned();
    assert_ne!(first, second);
    assert_ne!(rotated.etag(), named.etag());
    assert_eq!(rotated.body["sipUri"], uri);

    let refused =
        admin.patch(&path, json!({"passwordAuthEnabled": false})).await.refused(422, "validation_failed");
    assert_eq!(refused.faults(), ["/passwordAuthEnabled auth_required"]);
    let both =
        admin.patch(&path, json!({"passwordAuthEnabled": false, "allowedSourceIps": ["8.8.8.8/32"]})).await;
    assert_eq!(both.expect(200).body["passwordAuthEnabled"], false);
    let refused = admin.patch(&path, json!({"allowedSourceIps": []})).await.refused(422, "validation_failed");
    assert_eq!(refused.faults(), ["/allowedSourceIps auth_required"]);

    let off = admin.patch(&path, json!({"inboundSipCallsEnabled": false})).await.expect(200);
    for (field, value) in [
        ("sipUri", Value::Null),
        ("passwordAuthEnabled", json!(false)),
        ("allowedSourceIps", json!([])),
        ("allowedRegions", json!(["US"])),
    ] {
        assert_eq!(off.body[field], value, "{field}");
    }
    let again = json!({"inboundSipCallsEnabled": true, "allowedSourceIps": ["0.0.0.0/0"]});
    let again = admin.patch(&path, again).await.expect(200);
    assert_ne!(again.body["sipUri"], uri, "a cleared URI never comes back");
    admin.delete(&path).await.expect(200);
    admin.get(&path).await.refused(404, "not_found");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn private_sources_are_for_development_only() {
    let site = crate::support::Site::new();
    let text = std::fs::read_to_string(site.main()).unwrap();
    let open = text.replace("[node]\n", "[node]\ndangerous_allow_private_sources = true\n");
    std::fs::write(site.main(), open).unwrap();
    let daemon = crate::daemon::start(&site).await;
    let admin = Caller::new(&daemon, &super::admin_token(&site));
    let body = json!({"inboundSipCallsEnabled": true, "allowedSourceIps": ["127.0.0.1/32"]});
    admin.post(PATH, body).await.expect(201);
    daemon.stop().await.unwrap();
}
