//! The control plane and the calls that obey it: HTTP and trunkctl on one side, real SIP on the other.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::{trunkd, wait};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

/// The final answer to one INVITE at the trunk.
fn ask(stack: &Stack, agent: &Agent, trunk: &str, call: &str) -> Result<u16> {
    let uri = format!("sip:15550001@{}", stack.site.domain(trunk));
    agent.ask(&Request::new("INVITE", &uri, call))?.code().context("a final answer")
}

fn id(object: &Value, name: &str) -> Result<String> {
    Ok(object[name].as_str().with_context(|| format!("no {name} in {object}"))?.to_owned())
}

#[test]
fn calls_obey_what_the_api_was_told_last() {
    stack::test(Options::new(), |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let agent = Agent::new(stack.site.sip)?;
        let body = json!({
            "name": "acme",
            "authMode": "any",
            "cpsLimit": 100,
            "originationUris": [{"uri": gateway.uri(), "priority": 1, "weight": 1}],
        });
        let made = api.done("POST", "/v1/trunks?wait=applied", &body)?;
        let trunk = id(&made, "trunkId")?;
        let path = format!("/v1/trunks/{trunk}");
        let change = |body: Value| api.done("PATCH", &format!("{path}?wait=applied"), &body);
        ensure!(ask(stack, &agent, &trunk, "nothing")? == 403, "nothing configured refuses every call");

        let entry = json!({"ipAddress": format!("{}/32", agent.address.ip())});
        let entry = api.done("POST", &format!("{path}/ip-acls?wait=applied"), &entry)?;
        ensure!(ask(stack, &agent, &trunk, "listed")? == 486, "the gateway is busy");
        change(json!({"enabled": false}))?;
        ensure!(ask(stack, &agent, &trunk, "disabled")? == 403);
        change(json!({"enabled": true, "concurrentCallsLimit": 0}))?;
        ensure!(ask(stack, &agent, &trunk, "limit")? == 503);
        change(json!({"concurrentCallsLimit": 10}))?;
        ensure!(ask(stack, &agent, &trunk, "limit-again")? == 486);
        let entry = format!("{path}/ip-acls/{}?wait=applied", id(&entry, "ipAclId")?);
        api.done("DELETE", &entry, &Value::Null)?;
        ensure!(ask(stack, &agent, &trunk, "unlisted")? == 403);

        let user = json!({"username": "pbx", "password": PASSWORD});
        let user = api.done("POST", &format!("{path}/credentials?wait=applied"), &user)?;
        ensure!(!user.to_string().contains(PASSWORD), "a given password is not repeated");
        let uri = format!("sip:15550001@{}", stack.site.domain(&trunk));
        let with_password = |call: &str| agent.ask_as(&Request::new("INVITE", &uri, call), "pbx", PASSWORD);
        ensure!(with_password("password")?.code() == Some(486));
        let user = format!("{path}/credentials/{}?wait=applied", id(&user, "credentialId")?);
        api.done("DELETE", &user, &Value::Null)?;
        ensure!(with_password("no-user")?.code() == Some(403), "its only credential is gone");

        api.done("DELETE", &format!("{path}?wait=applied"), &Value::Null)?;
        ensure!(ask(stack, &agent, &trunk, "gone")? == 404);
        ensure!(api.send("GET", &path, None)?.0 == 404);
        Ok(())
    });
}

#[test]
fn a_trunk_with_calls_is_deleted_by_force_alone_and_its_calls_end() {
    stack::test(Options::new(), |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let body = json!({
            "ipAcls": [{"ipAddress": "127.0.0.0/8"}],
            "originationUris": [{"uri": gateway.uri()}],
        });
        let trunk = id(&api.done("POST", "/v1/trunks?wait=applied", &body)?, "trunkId")?;
        let plan = Plan::new("hold", &stack.site.domain(&trunk));
        let mut caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?;
        caller.await_talking(1)?;
        let path = format!("/v1/trunks/{trunk}");
        let (status, problem) = api.send("DELETE", &path, None)?;
        ensure!(status == 409, "{status} {problem}");
        ensure!(stack.site.calls()? == 1, "a refused deletion ends no call");
        api.done("DELETE", &format!("{path}?force=true&wait=applied"), &Value::Null)?;
        gateway.await_request(&caller.call_id(1), "BYE")?;
        wait::until("the call to be over", || Ok((stack.site.calls()? == 0).then_some(())))?;
        Ok(())
    });
}

/// Trunks of the test of speed, and changes to one of them.
const TRUNKS: u32 = 10_000;
const CHANGES: usize = 200;

#[test]
fn among_ten_thousand_trunks_a_change_is_obeyed_at_once() {
    const ROOM: u32 = 16_384;
    let options = Options::new()
        .map(|options| options.define(&format!("SHM_TRUNKS={ROOM}")).define(&format!("SHM_GATEWAYS={ROOM}")));
    let room = |stack: &Stack| {
        trunkd::set_room(&stack.places, "trunks", ROOM)?;
        trunkd::set_room(&stack.places, "gateways", ROOM)
    };
    stack::test_after(options, room, |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let mut lines = String::new();
        for number in 0..TRUNKS {
            let second = number / 250;
            let source = format!("10.{}.{}.{}", second / 250, second % 250, number % 250 + 1);
            let trunk = json!({
                "name": format!("trunk {number}"),
                "ipAcls": [{"ipAddress": source}, {"ipAddress": "127.0.0.1"}],
                "originationUris": [{"uri": gateway.uri()}],
                "cpsLimit": 1000,
            });
            writeln!(lines, "{trunk}")?;
        }
        let file = stack.dir().join("trunks.ndjson");
        std::fs::write(&file, lines)?;
        let file = file.display().to_string();
        let begun = Instant::now();
        let made = api.ctl_done(&["--json", "trunk", "import", &file])?;
        let imported = begun.elapsed();
        ensure!(made.lines().count() == TRUNKS as usize, "{} trunks were made", made.lines().count());
        let chosen: Value = serde_json::from_str(made.lines().nth(4_321).context("a trunk")?)?;
        let trunk = id(&chosen, "trunkId")?;

        let agent = Agent::new(stack.site.sip)?;
        let path = format!("/v1/trunks/{trunk}?wait=applied");
        let mut times = Vec::with_capacity(CHANGES);
        for round in 0..CHANGES {
            let (limit, code) = if round % 2 == 0 { (0, 503) } else { (10, 486) };
            let begun = Instant::now();
            api.done("PATCH", &path, &json!({"concurrentCallsLimit": limit}))?;
            let obeyed = ask(stack, &agent, &trunk, &format!("round-{round}"))?;
            times.push(begun.elapsed());
            ensure!(obeyed == code, "round {round}: {obeyed} under a limit of {limit}");
        }
        times.sort_unstable();
        let of = |share: usize| times.get(CHANGES * share / 100).copied().unwrap_or(Duration::MAX);
        // Past the runner, which keeps what a passing test prints to itself.
        writeln!(
            std::io::stderr(),
            "{TRUNKS} trunks imported in {:.1} s; {CHANGES} changes, from PATCH to the answer that obeys: p50 {:.1} ms, p99 {:.1} ms",
            imported.as_secs_f64(),
            of(50).as_secs_f64() * 1e3,
            of(99).as_secs_f64() * 1e3,
        )?;
        Ok(())
    });
}

#[test]
fn trunkctl_does_what_the_api_does() {
    stack::test(Options::new(), |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let uri = format!("{{\"uri\":\"{}\"}}", gateway.uri());
        let acl = "{\"ipAddress\":\"127.0.0.1\"}";
        let made = api.ctl_done(&[
            "--json",
            "trunk",
            "create",
            "--name",
            "acme",
            "--cps",
            "5",
            "--calls",
            "none",
            "--ip-acl",
            acl,
            "--origination-uri",
            &uri,
        ])?;
        let trunk = id(&serde_json::from_str(&made)?, "trunkId")?;
        let shown = api.ctl_done(&["trunk", "list"])?;
        ensure!(shown.contains("acme") && shown.contains(&trunk), "{shown}");

        let agent = Agent::new(stack.site.sip)?;
        let call = format!("sip:15550001@{}", stack.site.domain(&trunk));
        let explain = |source: &str| api.ctl_done(&["explain", &call, "--source", source]);
        let told = explain("127.0.0.1")?;
        ensure!(told.contains("would be admitted") && told.contains(&gateway.uri()), "{told}");
        ensure!(ask(stack, &agent, &trunk, "admitted")? == 486);
        let told = explain("192.0.2.1")?;
        ensure!(told.contains("would be refused: source_denied (403)"), "{told}");

        api.ctl_done(&["trunk", "update", &trunk, "--enabled", "false"])?;
        ensure!(explain("127.0.0.1")?.contains("would be refused: disabled (403)"));
        ensure!(ask(stack, &agent, &trunk, "refused")? == 403);
        let live = api.ctl_done(&["live", &trunk])?;
        ensure!(live.contains("attemptsPerSecond"), "{live}");
        ensure!(api.ctl_done(&["status"])?.contains("storedRevision"));

        stack.site.write_text("file", "[[trunk]]\ntrunkId = \"from-file\"\n")?;
        let planned = api.ctl_done(&["reload", "--dry-run"])?;
        ensure!(planned.contains("added trunk from-file") && planned.contains("1 added"), "{planned}");
        ensure!(ask(stack, &agent, "from-file", "not-yet")? == 404, "a plan changes nothing");
        api.ctl_done(&["reload"])?;
        ensure!(ask(stack, &agent, "from-file", "now")? == 403);
        let refused = api.ctl(&["trunk", "update", "from-file", "--cps", "1"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(refused.status.code() == Some(1) && said.contains("managed_by_file"), "{said}");

        let wrong = api.ctl(&["trunk", "update", &trunk, "--cps", "-3", "--auth-mode", "maybe"])?;
        let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
        ensure!(said.contains("/cpsLimit") && said.contains("/authMode"), "every fault is told: {said}");
        Ok(())
    });
}
