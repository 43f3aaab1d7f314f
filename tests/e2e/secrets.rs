//! Secrets are shown once, and are in no log, metric, answer, audit row or file that others can read.

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::raw::{Agent, Request};
use e2e::stack::{self, Stack};
use e2e::{digest, http};
use serde_json::{Value, json};

const GIVEN: &str = "given-password-7Qx";
const CHANGED: &str = "changed-password-8Wz";

/// Everything that is known to be secret, with a name for each.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn keep(&mut self, name: &'static str, object: &Value, field: &str) -> Result<String> {
        let text = object[field].as_str().with_context(|| format!("{name}: no {field} in {object}"))?;
        self.0.push((name, text.to_owned()));
        Ok(text.to_owned())
    }

    fn hash(&mut self, name: &'static str, user: &str, realm: &str, password: &str) {
        self.0.push((name, digest::hash(&format!("{user}:{realm}:{password}"))));
    }

    fn none_in(&self, place: &str, text: &str) -> Result<()> {
        for (name, secret) in &self.0 {
            ensure!(
                !text.to_ascii_lowercase().contains(&secret.to_ascii_lowercase()),
                "{name} is in {place}"
            );
        }
        Ok(())
    }
}

/// Uses every kind of secret there is: makes it, changes it, calls with it.
fn use_them(stack: &Stack, api: &Api) -> Result<(Secrets, String)> {
    let mut secrets = Secrets(vec![("the admin token", api.token.clone())]);
    let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
    let account = api.done("POST", "/v1/accounts", &json!({"name": "customer"}))?;
    let account = account["accountId"].as_str().context("accountId")?.to_owned();
    let token = api.done("POST", "/v1/tokens", &json!({"scope": "account", "accountId": account}))?;
    secrets.keep("an account's token", &token, "token")?;

    let body = json!({
        "accountId": account,
        "cpsLimit": 100,
        "webhookUrl": "http://127.0.0.1:9/hook",
        "originationUris": [{"uri": gateway.uri()}],
    });
    let trunk = api.done("POST", "/v1/trunks", &body)?;
    secrets.keep("a webhook's key", &trunk, "webhookSecret")?;
    let trunk = trunk["trunkId"].as_str().context("trunkId")?.to_owned();
    let realm = stack.site.domain(&trunk);
    let credentials = format!("/v1/trunks/{trunk}/credentials");
    let made = api.done("POST", &credentials, &json!({"username": "made"}))?;
    let password = secrets.keep("a made password", &made, "password")?;
    secrets.hash("HA1 of a made password", "made", &realm, &password);
    let given = api.done("POST", &credentials, &json!({"username": "given", "password": GIVEN}))?;
    let given = given["credentialId"].as_str().context("credentialId")?;
    api.done("PATCH", &format!("{credentials}/{given}?wait=applied"), &json!({"password": CHANGED}))?;
    for password in [GIVEN, CHANGED] {
        secrets.0.push(("a given password", password.to_owned()));
        secrets.hash("HA1 of a given password", "given", &realm, password);
    }
    let application = json!({"inboundSipCallsEnabled": true, "passwordAuthEnabled": true});
    let application = api.done("POST", "/v1/voice-applications?wait=applied", &application)?;
    secrets.keep("an application's password", &application, "sipAuthPassword")?;

    let agent = Agent::new(stack.site.sip)?;
    let request = |call: &str| Request::new("INVITE", &format!("sip:15550001@{realm}"), call);
    ensure!(agent.ask_as(&request("made"), "made", &password)?.code() == Some(486));
    ensure!(agent.ask_as(&request("given"), "given", CHANGED)?.code() == Some(486));
    ensure!(agent.ask_as(&request("old"), "given", GIVEN)?.code() != Some(486));
    // Refused requests tell what was wrong with them, but not what they said.
    let short = json!({"username": "short", "password": "Sh0rt-one"});
    let (status, problem) = api.send("POST", &credentials, Some(&short))?;
    ensure!(status == 422 && !problem.to_string().contains("Sh0rt-one"), "{problem}");
    secrets.0.push(("a refused password", "Sh0rt-one".to_owned()));
    Ok((secrets, trunk))
}

#[test]
fn a_secret_is_nowhere_but_in_its_one_answer() {
    stack::test(Options::new(), |stack| {
        let api = Api::of(stack)?;
        let (secrets, trunk) = use_them(stack, &api)?;
        secrets.none_in("a log", &stack.logs()?)?;
        secrets.none_in("/metrics", &http::get(stack.site.api, "/metrics")?.1)?;
        secrets.none_in("/readyz", &http::get(stack.site.api, "/readyz")?.1)?;
        let credentials = format!("/v1/trunks/{trunk}/credentials");
        let trunk = format!("/v1/trunks/{trunk}");
        for path in [
            "/v1/accounts",
            "/v1/tokens",
            "/v1/trunks",
            "/v1/voice-applications",
            "/v1/status",
            "/v1/live",
            &trunk,
            &credentials,
        ] {
            secrets.none_in(path, &api.done("GET", path, &Value::Null)?.to_string())?;
        }
        let database = stack.places.dir.join("data/trunkline.sqlite");
        let rows =
            kamailio::ask_database(&database, "SELECT * FROM audit_log; SELECT * FROM config_revisions")?;
        ensure!(rows.lines().count() > 8, "the audit log is there: {rows}");
        secrets.none_in("the audit log", &rows)?;
        let kept = kamailio::ask_database(&database, "SELECT * FROM kept_answers; SELECT * FROM tokens")?;
        secrets.none_in("a kept answer or token row", &kept)?;
        for file in ["data/admin-token", "data/trunkline.sqlite"] {
            let mode = std::fs::metadata(stack.places.dir.join(file))?.permissions().mode();
            ensure!(mode & 0o007 == 0, "{file} has mode {mode:o}");
        }
        Ok(())
    });
}
