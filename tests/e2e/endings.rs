//! Calls that do not end as they should: their ends die, a BYE is lost, a row that was deleted comes back. Each is told
//! once, and no slot stays taken.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::artifacts;
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::receiver::Receiver;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::wait;

/// The promise; two looks, ten seconds apart, do it in less.
const FREED_WITHIN: Duration = Duration::from_secs(60);
/// Two keepalives 30 s apart, 32 s without an answer, 10 s of grace, and room for a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(180);

fn options() -> Result<Options> {
    Ok(Options::new()?.define("KEEPALIVE_S=30"))
}

fn hold(stack: &Stack, gateway: &Gateway, receiver: &Receiver) -> Result<Sipp> {
    let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1);
    stack.site.apply(&[trunk.webhook(&receiver.url(), receiver.secret())])?;
    let plan = Plan::new("hold", &stack.site.domain("acme"));
    let mut held = Sipp::start(stack.dir(), "held", stack.site.sip, &plan)?;
    held.await_talking(1)?;
    Ok(held)
}

fn stored(stack: &Stack, calls: &str) -> Result<()> {
    wait::until("the dialog table to be right", || {
        Ok((kamailio::ask_dialogs(&stack.places, "SELECT count(*) FROM dialog")? == calls).then_some(()))
    })
}

#[test]
fn a_call_whose_ends_have_died_is_ended_by_the_keepalive() {
    stack::test(options(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("died")?;
        let held = hold(stack, &gateway, &receiver)?;
        let id = held.call_id(1);
        ensure!(stack.site.calls()? == 1);
        drop(held);
        drop(gateway);
        wait::until_within(NOTICED_WITHIN, "the dialog of a dead call to be gone", || {
            Ok((stack.site.calls()? == 0).then_some(()))
        })?;
        let told = receiver.story(&id, 3)?;
        ensure!(told.starts_with("initiated allowed, answered, hangup "), "{told}");
        ensure!(receiver.events(&id).len() == 3, "{told}");
        Ok(())
    });
}

/// A row may still be there when Kamailio is killed (see DIALOG_DB in kamailio.cfg). After a restart that call is up again, for Kamailio.
#[test]
fn a_call_that_comes_back_from_the_dead_is_told_once_and_ends() {
    stack::test(options(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("undead")?;
        let held = hold(stack, &gateway, &receiver)?;
        let id = held.call_id(1);
        stored(stack, "1")?;
        let rows = kamailio::dump_dialogs(&stack.places)?;
        held.nudge(1)?;
        ensure!(held.finish()?.clean);
        let told = receiver.story(&id, 3)?;
        ensure!(told == "initiated allowed, answered, hangup NORMAL_CLEARING by caller", "{told}");
        stored(stack, "0")?;
        drop(gateway);

        stack.kill_kamailio()?;
        kamailio::load_dialogs(&stack.places, &rows)?;
        stack.start_kamailio()?;
        stored(stack, "1").context("the row that was put back")?;
        ensure!(stack.site.calls()? == 0, "its own memory knows that it has ended");
        wait::until_within(NOTICED_WITHIN, "the slot of a dead call to be free", || {
            Ok((stack.site.calls()? == 0 && stack.site.dialogs()? == 0).then_some(()))
        })?;
        ensure!(receiver.events(&id).len() == 3, "{}", receiver.story(&id, 3)?);
        Ok(())
    });
}

/// The module panics whenever dialog tells it of a call, so it hears of no ending; nothing of Kamailio dies.
#[test]
fn a_call_whose_ending_nobody_heard_of_is_found_and_a_healthy_one_beside_it_is_left_alone() {
    let deaf = || {
        let module = artifacts::panicking_module()?;
        Ok(Options { module, panic_at: Some("dialog_event".to_owned()), ..Options::new()? })
    };
    stack::test(deaf(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("deaf")?;
        let healthy = hold(stack, &gateway, &receiver)?;
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let done = Sipp::start(stack.dir(), "done", stack.site.sip, &plan)?.finish()?;
        ensure!(done.clean, "{}", done.story(1));
        let id = done.call_ids.first().context("a call")?;
        ensure!(stack.site.calls()? == 2, "its slot is still taken");
        wait::until_within(FREED_WITHIN, "the slot to be free", || {
            Ok((stack.site.calls()? == 1).then_some(()))
        })?;
        let told = receiver.story(id, 2)?;
        ensure!(told == "initiated allowed, hangup UNKNOWN reconciled", "{told}");
        // Two more looks at Kamailio's dialogs, and the healthy one is still up.
        let looks = || stack.site.metric("trunkline_dialog_looks_total");
        let before = looks()?;
        wait::until_within(FREED_WITHIN, "two more looks", || Ok((looks()? >= before + 2.0).then_some(())))?;
        ensure!(stack.site.calls()? == 1 && stack.site.metric("trunkline_orphans_total")? == 1.0);
        ensure!(stack.site.dialogs()? == 1 && stack.site.metric("trunkline_count_drift_total")? == 0.0);
        ensure!(receiver.events(&healthy.call_id(1)).len() == 1);
        ensure!(receiver.events(id).len() == 2);
        Ok(())
    });
}

#[test]
fn a_sigterm_to_both_leaves_nothing_behind() {
    stack::test(options(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("stopped")?;
        let held = hold(stack, &gateway, &receiver)?;
        stored(stack, "1")?;
        let mut kamailio = stack.kamailio.take().context("Kamailio is up")?;
        let status = kamailio.stop()?;
        ensure!(status.success(), "Kamailio: {status}");
        let mut trunkd = stack.trunkd.take().context("trunkd is up")?;
        let status = trunkd.child.stop()?;
        ensure!(status.success(), "trunkd: {status}");
        // A restart is no reason to forget a call.
        stack.start_trunkd()?;
        stack.start_kamailio()?;
        ensure!(stack.site.calls()? == 1, "{}", stack.site.status()?);
        held.nudge(1)?;
        let held = held.finish()?;
        ensure!(held.clean, "{}", held.story(1));
        let told = receiver.story(held.call_ids.first().context("a call")?, 3)?;
        ensure!(told == "initiated allowed, answered, hangup NORMAL_CLEARING by caller", "{told}");
        ensure!(fs::metadata(stack.places.shm.join("control")).is_ok());
        Ok(())
    });
}
