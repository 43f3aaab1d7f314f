//! Voice applications over the API and the telephone: the row of the authentication matrix that is no application at all. The other four are
//! cases of `tests/cases`.

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::stack;
use serde_json::{Value, json};

/// Neither password nor addresses: the write is refused, whichever way it comes, and what was there goes on.
#[test]
fn an_application_that_nobody_would_have_to_prove_anything_to_is_refused() {
    stack::test(Options::new(), |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let account = api.done("POST", "/v1/accounts", &json!({"name": "customer"}))?;
        let body = |own: Value| -> Value {
            let mut body = json!({
                "accountId": account["accountId"],
                "applicationName": "ivr",
                "inboundSipCallsEnabled": true,
                "allowedRegions": ["US"],
                "originationUris": [{"uri": gateway.uri()}],
            });
            body.as_object_mut()
                .into_iter()
                .for_each(|all| all.extend(own.as_object().cloned().unwrap_or_default()));
            body
        };
        let refused = |method: &str, path: &str, body: &Value| -> Result<()> {
            let (status, answer) = api.send(method, path, Some(body))?;
            ensure!(status == 422, "{status} {answer}");
            ensure!(answer["errors"][0]["code"] == "auth_required", "{answer}");
            Ok(())
        };
        let path = "/v1/voice-applications";
        refused("POST", path, &body(json!({"passwordAuthEnabled": false, "allowedSourceIps": []})))?;
        refused("POST", path, &body(json!({})))?;
        ensure!(api.done("GET", path, &Value::Null)?["meta"]["total"] == 0, "one was made");

        let made =
            api.done("POST", &format!("{path}?wait=applied"), &body(json!({"passwordAuthEnabled": true})))?;
        let text = |key: &str| made[key].as_str().with_context(|| format!("no {key} in {made}"));
        let (uri, password) = (text("sipUri")?, text("sipAuthPassword")?);
        let one = format!("{path}/{}", text("applicationId")?);
        refused("PATCH", &one, &json!({"passwordAuthEnabled": false}))?;
        let user = uri.trim_start_matches("sip:").split('@').next().context("a user")?;
        let answer = Agent::new(stack.site.sip)?.ask_as(
            &Request::new("INVITE", uri, "still-there"),
            user,
            password,
        )?;
        ensure!(answer.code() == Some(200), "{answer:?}");
        let stranger = Agent::new(stack.site.sip)?.ask(&Request::new("INVITE", uri, "stranger"))?;
        ensure!(stranger.code() == Some(407), "{stranger:?}");
        Ok(())
    });
}
