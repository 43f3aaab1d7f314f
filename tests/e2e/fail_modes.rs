//! Nothing to judge by, and a module that was built for another Kamailio.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::Stack;
use e2e::{artifacts, wait};

fn call(stack: &Stack, name: &str) -> Result<u16> {
    let plan = Plan::new("call", &stack.site.domain("acme"));
    Ok(Sipp::start(stack.dir(), name, stack.site.sip, &plan)?.finish()?.code(1))
}

#[test]
fn without_a_table_closed_refuses_and_open_passes() -> Result<()> {
    for (mode, expected) in [("closed", 503), ("open", 200)] {
        let mut stack = Stack::prepare(Options::new()?)?;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.options.fail_mode = mode;
        stack.options.defines.push("WITH_FALLBACK_GATEWAY".into());
        stack.options.defines.push(format!("FALLBACK_GATEWAY=\"{}\"", gateway.uri()));
        stack.start_kamailio()?;
        let code = call(&stack, "early")?;
        ensure!(code == expected, "{mode}: {code}\n{}", stack.logs()?);
        // Judged as soon as there is a table: it knows no such trunk.
        stack.start_trunkd()?;
        // A worker that has none looks for the first table ten times a second, not more often.
        let mut round = 0;
        wait::until("calls to be judged", || {
            round += 1;
            Ok((call(&stack, &format!("judged-{round}"))? == 404).then_some(()))
        })?;
        stack.check()?;
    }
    Ok(())
}

#[test]
fn a_module_for_another_kamailio_is_refused_in_one_clear_line() -> Result<()> {
    let mut stack = Stack::prepare(Options::new()?)?;
    let mut bytes = fs::read(artifacts::module()?)?;
    let needle = b"kamailio 5.6.3 (";
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .context("the version in the module")?;
    bytes[at + needle.len() - 3] = b'9';
    stack.options.module = stack.dir().join("other.so");
    fs::write(&stack.options.module, bytes)?;
    let log = stack.dir().join("kamailio-other.log");
    let mut kamailio = kamailio::spawn(&stack.places, stack.site.sip, &stack.options, &log)?;
    let status = kamailio.exit()?;
    let said = kamailio.output()?;
    let clear: Vec<&str> = said.lines().filter(|line| line.contains("module version mismatch")).collect();
    ensure!(!status.success() && clear.len() == 1, "{status}: {said}");
    let line = clear[0];
    ensure!(line.contains("other.so") && line.contains("5.6.3") && line.contains("5.6.9"), "{line}");
    Ok(())
}

#[test]
fn a_wrong_parameter_stops_the_start_and_every_one_is_named() -> Result<()> {
    let mut stack = Stack::prepare(Options::new()?)?;
    stack.options.fail_mode = "perhaps";
    let log = stack.dir().join("kamailio-wrong.log");
    let mut kamailio = kamailio::spawn(&stack.places, stack.site.sip, &stack.options, &log)?;
    let status = kamailio.exit()?;
    let said = kamailio.output()?;
    ensure!(!status.success() && said.contains("\"fail_mode\""), "{status}: {said}");
    Ok(())
}

#[test]
fn a_second_trunkd_on_the_same_memory_is_refused() -> Result<()> {
    let mut stack = Stack::start(Options::new()?)?;
    let first = stack.trunkd.take().context("trunkd is up")?;
    let refused = stack.start_trunkd();
    ensure!(refused.is_err(), "two publishers at once");
    stack.trunkd = Some(first);
    stack.check()?;
    wait::until("the first to be unharmed", || {
        Ok(e2e::http::get(stack.site.api, "/healthz").ok().filter(|a| a.0 == 200))
    })?;
    Ok(())
}
