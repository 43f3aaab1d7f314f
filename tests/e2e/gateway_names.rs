//! Gateways that are given as names: calls are sent to where the name leads now, addressed to the name, and nobody waits for a
//! name server.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::name_server::{NameServer, Zone, at};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{artifacts, trunkd, wait};
use serde_json::json;

/// Runs a test on a stack that asks this name server.
fn test(names: Result<NameServer>, body: impl FnOnce(&mut Stack, &NameServer) -> Result<()>) {
    let names = match names {
        Ok(names) => names,
        Err(error) => panic!("{error:?}"),
    };
    let asks = |stack: &Stack| {
        let section = format!("\n[gateways]\ndns_servers = [\"{}\"]\n", names.address);
        trunkd::add_section(&stack.places, &section)
    };
    stack::test_after(Options::new(), asks, |stack| body(stack, &names));
}

fn name_server() -> Result<NameServer> {
    NameServer::start(Zone::new()).context("starting a name server")
}

/// A gateway at this address, under the port of another.
fn beside(stack: &Stack, name: &str, address: SocketAddr) -> Result<Gateway> {
    Gateway::reading(stack.dir(), name, &artifacts::scenario_file("call", "uas")?, address)
}

/// A call that must go through; its Call-ID.
fn call(stack: &Stack, name: &str) -> Result<Vec<String>> {
    let plan = Plan::new("call", &stack.site.domain("acme"));
    let caller = Sipp::start(stack.dir(), name, stack.site.sip, &plan)?.finish()?;
    ensure!(caller.story(1) == "180 200, BYE 200", "{}", caller.story(1));
    Ok(caller.call_ids)
}

/// Waits until calls would be sent to this address.
fn leads_to(stack: &Stack, address: SocketAddr) -> Result<()> {
    let api = Api::of(stack)?;
    let call = format!("sip:1@{}", stack.site.domain("acme"));
    let asked = json!({"requestUri": call, "sourceIp": "127.0.0.1"});
    wait::until(&format!("the name to lead to {address}"), || {
        let told = api.done("POST", "/v1/explain", &asked)?;
        Ok((told["gateways"][0]["address"] == format!("sip:{address}")).then_some(()))
    })
}

#[test]
fn a_call_follows_the_name_and_finds_it_in_the_request_uri() {
    test(name_server(), |stack, names| {
        let first = Gateway::answering(stack.dir(), "first")?;
        let port = first.address.port();
        let second = beside(stack, "second", SocketAddr::from(([127, 0, 0, 2], port)))?;
        names.set("gw.test", vec![at("127.0.0.1")]);
        let name = format!("sip:gw.test:{port}");
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&name, 1)])?;
        leads_to(stack, first.address)?;
        let ids = call(stack, "caller-1")?;
        let invites = first.invites(&ids)?;
        ensure!(invites.len() == 1 && second.invites(&ids)?.is_empty());
        let line = invites[0].first.clone();
        ensure!(line.contains(&format!("@gw.test:{port} ")), "{line}");

        names.set("gw.test", vec![at("127.0.0.2")]);
        leads_to(stack, second.address)?;
        let ids = call(stack, "caller-2")?;
        ensure!(second.invites(&ids)?.len() == 1 && first.invites(&ids)?.is_empty());

        // Nobody answers trunkd any more, nor is trunkd there: what was known serves.
        names.set_silent(true);
        stack.kill_trunkd()?;
        let ids = call(stack, "caller-3")?;
        ensure!(second.invites(&ids)?.len() == 1);
        stack.start_trunkd()?;
        let ids = call(stack, "caller-4")?;
        ensure!(second.invites(&ids)?.len() == 1);
        Ok(())
    });
}

/// Neither trunkd nor routing waits for a name that was never known. That Kamailio resolves no next hop itself is not shown
/// here, where there is none: the module's own check that a next hop is an address has a unit test.
#[test]
fn a_name_server_that_never_answers_holds_up_no_call() {
    test(name_server(), |stack, names| {
        names.set_silent(true);
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let acme = Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1);
        let named = Trunk::new("named").source("127.0.0.1").gateway("sip:gw.test:5060", 1);
        stack.site.apply(&[acme, named])?;
        wait::until("trunkd to ask", || Ok((names.asked("gw.test") > 0).then_some(())))?;
        let plan = |trunk: &str| Plan::new("call", &stack.site.domain(trunk)).calls(100, 20);
        let named = Sipp::start(stack.dir(), "named", stack.site.sip, &plan("named"))?;
        let acme = Sipp::start(stack.dir(), "acme", stack.site.sip, &plan("acme"))?;
        let (named, acme) = (named.finish()?, acme.finish()?);
        for number in 1..=100 {
            ensure!(acme.story(number) == "180 200, BYE 200", "{}", acme.story(number));
            ensure!(named.code(number) == 503, "{}", named.story(number));
        }
        Ok(())
    });
}
