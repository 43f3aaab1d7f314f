//! A panic in each function that Kamailio can call: the proxy lives, the call gets the fail mode's answer, a counter moves.
//!
//! The module under test is built with `panic-points`; nothing else about it differs.

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{artifacts, wait};
use serde_json::{Value, json};

fn options(entry: &str) -> Result<Options> {
    Ok(Options {
        module: artifacts::panicking_module()?,
        panic_at: Some(entry.to_owned()),
        ..Options::new()?
    })
}

/// Places one call to a trunk whose first gateway is `scenario` and whose second one answers.
fn call(stack: &Stack, first: &str) -> Result<u16> {
    let first = Gateway::playing(stack.dir(), "first", first)?;
    let second = Gateway::answering(stack.dir(), "second")?;
    let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&first.uri(), 1).gateway(&second.uri(), 2);
    stack.site.write(&trunk)?;
    stack.site.sighup()?;
    // trunkd's own word for it: in one of these tests the module's status is what panics.
    wait::until("the trunk to be published", || {
        Ok((stack.site.metric("trunkline_trunks")? >= 1.0).then_some(()))
    })?;
    let plan = Plan::new("call", &stack.site.domain("acme"));
    Ok(Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?.code(1))
}

/// The call is answered like this, Kamailio lives, and the panic was counted.
fn answers(entry: &str, first: &str, expected: u16) {
    stack::test(options(entry), |stack| {
        let code = call(stack, first)?;
        ensure!(code == expected, "a panic in {entry}: {code} instead of {expected}");
        ensure!(stack.site.status_number("panics")? > 0, "nothing panicked: {}", stack.site.status()?);
        stack.check()
    });
}

#[test]
fn in_trunk_admit_closed() {
    answers("trunk_admit", "call", 503);
}

#[test]
fn in_trunk_admit_open() {
    stack::test(options("trunk_admit"), |stack| {
        // The proxy again, with the other fail mode and a place to send what was not judged.
        let fallback = Gateway::answering(stack.dir(), "fallback")?;
        stack.kill_kamailio()?;
        stack.options.fail_mode = "open";
        stack.options.defines.push("WITH_FALLBACK_GATEWAY".into());
        stack.options.defines.push(format!("FALLBACK_GATEWAY=\"{}\"", fallback.uri()));
        stack.start_kamailio()?;
        let code = call(stack, "call")?;
        ensure!(code == 200, "{code} instead of 200");
        ensure!(!fallback.messages()?.is_empty(), "the call went elsewhere");
        ensure!(stack.site.status_number("panics")? > 0);
        stack.check()
    });
}

#[test]
fn in_trunk_route() {
    answers("trunk_route", "call", 503);
}

#[test]
fn in_trunk_screen() {
    // Strangers are not screened then; whoever may call, calls.
    answers("trunk_screen", "call", 200);
}

#[test]
fn in_trunk_next() {
    // No second gateway is chosen: the first one's answer stands.
    answers("trunk_next", "unavailable", 503);
}

#[test]
fn in_a_pseudo_variable() {
    // Refused for its source; the script cannot read why, and says 503.
    stack::test(options("pv_get_trunk"), |stack| {
        stack.site.apply(&[Trunk::new("acme").source("192.0.2.1").gateway("sip:127.0.0.1:9", 1)])?;
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let code = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?.code(1);
        ensure!(code == 503, "{code} instead of 503");
        ensure!(stack.site.status_number("panics")? > 0);
        stack.check()
    });
}

#[test]
fn in_the_status_rpc() {
    stack::test(options("rpc_status"), |stack| {
        for _ in 0..3 {
            let _ = stack.site.status();
        }
        let code = call(stack, "call")?;
        ensure!(code == 200, "{code} instead of 200");
        // The status itself cannot say so.
        wait::until("the panics to be counted", || {
            Ok((stack.site.metric("trunkline_module_panics")? >= 3.0).then_some(()))
        })?;
        stack.check()
    });
}

#[test]
fn in_the_end_of_the_script() {
    answers("script_done", "call", 200);
}

#[test]
fn in_the_dialog_callbacks() {
    // Nobody would hear of this call's end, so it is not let through.
    answers("dialog_created", "call", 482);
    answers("dialog_event", "call", 200);
}

#[test]
fn in_the_transaction_callback() {
    answers("tm_event", "call", 200);
}

#[test]
fn in_the_restoring_of_a_dialog() {
    stack::test(options("dialog_loaded"), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let plan = Plan::new("hold", &stack.site.domain("acme"));
        let mut held = Sipp::start(stack.dir(), "held", stack.site.sip, &plan)?;
        held.await_talking(1)?;
        wait::until("the call to be stored", || {
            let stored = kamailio::ask_dialogs(&stack.places, "SELECT count(*) FROM dialog WHERE state = 4")?;
            Ok((stored == "1").then_some(()))
        })?;
        stack.kill_kamailio()?;
        stack.start_kamailio()?;
        ensure!(stack.site.status_number("panics")? > 0);
        held.nudge(1)?;
        ensure!(held.finish()?.clean);
        stack.check()
    });
}

#[test]
fn at_the_start_refuses_to_start() -> Result<()> {
    for entry in ["mod_init", "child_init", "pv_parse_trunk_name"] {
        let stack = Stack::prepare(options(entry)?)?;
        let log = stack.dir().join(format!("kamailio-{entry}.log"));
        let mut kamailio = kamailio::spawn(&stack.places, stack.site.sip, &stack.options, &log)?;
        let status = kamailio.exit()?;
        ensure!(!status.success(), "Kamailio started in spite of a panic in {entry}");
        ensure!(kamailio.output()?.contains("panic_at"), "{entry}: {}", kamailio.output()?);
    }
    Ok(())
}

#[test]
fn at_the_end_does_not_matter() {
    stack::test(options("mod_destroy"), |stack| {
        let mut kamailio = stack.kamailio.take().ok_or_else(|| anyhow::anyhow!("Kamailio is up"))?;
        let status = kamailio.stop()?;
        ensure!(status.success(), "{status}: {}", kamailio.output()?);
        Ok(())
    });
}

#[test]
fn in_a_hang_up() {
    for entry in ["local_request", "bye_answered"] {
        stack::test(options(entry), |stack| {
            let api = Api::of(stack)?;
            let gateway = Gateway::answering(stack.dir(), "gateway")?;
            let body = json!({"ipAcls": [{"ipAddress": "127.0.0.0/8"}], "originationUris": [{"uri": gateway.uri()}]});
            let made = api.done("POST", "/v1/trunks?wait=applied", &body)?;
            let trunk = made["trunkId"].as_str().context("an id")?;
            let plan = Plan::new("hold", &stack.site.domain(trunk));
            let mut held = Sipp::start(stack.dir(), "held", stack.site.sip, &plan)?;
            held.await_talking(1)?;
            api.done("DELETE", &format!("/v1/trunks/{trunk}?force=true"), &Value::Null)?;
            // dialog goes on as it would without the module.
            wait::until("the call to be over", || Ok((stack.site.calls()? == 0).then_some(())))?;
            wait::until("BYE at the caller", || {
                Ok(held.messages()?.iter().any(|m| !m.sent && m.method() == "BYE").then_some(()))
            })?;
            // The caller's answer is on its way by now, no more.
            wait::until("the panic to be counted", || {
                Ok((stack.site.status_number("panics")? > 0).then_some(()))
            })?;
            stack.check()
        });
    }
}
