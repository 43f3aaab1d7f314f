//! `kill -9` of either process while calls are up: what must survive, and what must be told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::receiver::Receiver;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::wait;

const COMPLETE: &str = "initiated allowed, answered, hangup NORMAL_CLEARING by caller";

/// The promise is 60 s; a busy machine gets some more to show it.
const RECONCILED_WITHIN: Duration = Duration::from_secs(90);

fn trunk(gateway: &Gateway, receiver: &Receiver) -> Trunk {
    let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1);
    trunk.webhook(&receiver.url(), receiver.secret())
}

fn start(stack: &Stack, name: &str, scenario: &'static str, calls: u32) -> Result<Sipp> {
    let plan = Plan::new(scenario, &stack.site.domain("acme")).calls(calls, 50);
    Sipp::start(stack.dir(), name, stack.site.sip, &plan)
}

#[test]
fn a_killed_trunkd_loses_no_event_and_no_call() {
    stack::test(Options::new(), |stack| {
        const CALLS: u32 = 240;
        const KILLS: usize = 3;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("killed-trunkd")?;
        stack.site.apply(&[trunk(&gateway, &receiver)])?;
        let plan = Plan::new("call", &stack.site.domain("acme")).calls(CALLS, 30).talk_ms(300);
        let caller = Sipp::start(stack.dir(), "traffic", stack.site.sip, &plan)?;
        let ids: Vec<String> = caller.call_ids().collect();
        let begun = |at_least: usize| {
            wait::until("traffic", || Ok((gateway.invites(&ids)?.len() >= at_least).then_some(())))
        };
        for round in 1..=KILLS {
            // Down for 15 calls, up for 45: events pile up in shared memory, some in the middle of a call.
            begun(round * 60 - 30)?;
            stack.kill_trunkd()?;
            begun(round * 60 - 15)?;
            stack.start_trunkd()?;
        }
        let done = caller.finish()?;
        ensure!(done.clean, "not every call went through");
        for (number, id) in done.call_ids.iter().enumerate() {
            let story = done.story(number + 1);
            ensure!(story == "180 200, BYE 200", "{id}: {story}");
        }
        for id in &done.call_ids {
            let told = receiver.story(id, 3)?;
            ensure!(told == COMPLETE, "{id}: {told}");
        }
        ensure!(receiver.deliveries().iter().all(|delivery| delivery.id.is_ok()));
        let extra = receiver.deliveries().len() - 3 * done.call_ids.len();
        println!(
            "{CALLS} calls over {KILLS} kills of trunkd: every event came, {extra} of them more than once"
        );
        wait::until("all slots to be free", || Ok((stack.site.calls()? == 0).then_some(())))
    });
}

#[test]
fn a_restarted_kamailio_counts_the_calls_that_it_restored() {
    stack::test(Options::new(), |stack| {
        const HELD: u32 = 5;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let ringing = Gateway::playing(stack.dir(), "ringing", "cancel")?;
        let receiver = Receiver::start("killed-kamailio")?;
        let other = Receiver::start("killed-kamailio-other")?;
        let second = Trunk::new("second").source("127.0.0.1").gateway(&ringing.uri(), 1);
        let limited = trunk(&gateway, &receiver).limits(HELD, "1000");
        stack.site.apply(&[limited, second.webhook(&other.url(), other.secret())])?;

        let mut held = start(stack, "held", "hold", HELD)?;
        for number in 1..=HELD {
            held.await_talking(number)?;
        }
        let plan = Plan::new("call", &stack.site.domain("second")).calls(2, 50);
        let mut waiting = Sipp::start(stack.dir(), "waiting", stack.site.sip, &plan)?;
        waiting.await_code(1, 180)?;
        waiting.await_code(2, 180)?;
        ensure!(stack.site.calls()? == u64::from(HELD) + 2);
        wait::until("the calls to be stored", || {
            let stored = kamailio::ask_dialogs(&stack.places, "SELECT count(*) FROM dialog WHERE state = 4")?;
            Ok((stored == HELD.to_string()).then_some(()))
        })?;

        stack.kill_kamailio()?;
        stack.start_kamailio()?;
        let (calls, dialogs) = (stack.site.calls()?, stack.site.dialogs()?);
        ensure!(calls == u64::from(HELD) && dialogs == u64::from(HELD), "{calls} slots, {dialogs} dialogs");
        // The limit counts them: there is no room for one more.
        let one_more = start(stack, "one-more", "call", 1)?.finish()?;
        ensure!(one_more.code(1) == 503, "{}", one_more.story(1));

        // What was lost while it rang ends once, and says so.
        for number in 1..=2 {
            let id = waiting.call_id(number);
            wait::until_within(RECONCILED_WITHIN, "the lost calls to be told", || {
                Ok((other.events(&id).len() >= 2).then_some(()))
            })?;
            let told = other.story(&id, 2)?;
            ensure!(told == "initiated allowed, hangup UNKNOWN reconciled", "{told}");
        }
        drop(waiting);
        // What was restored goes on and ends as if nothing had been.
        for number in 1..=HELD {
            held.nudge(number)?;
        }
        let held = held.finish()?;
        ensure!(held.clean, "a restored call could not be hung up: {}", held.story(1));
        for id in &held.call_ids {
            let told = receiver.story(id, 3)?;
            ensure!(told == COMPLETE, "{id}: {told}");
        }
        wait::until("all slots to be free", || Ok((stack.site.calls()? == 0).then_some(())))
    });
}

#[test]
fn calls_that_a_restart_lost_end_once_and_can_be_hung_up() {
    // Never written down in time.
    stack::test(Options::new().map(|options| options.define("DIALOG_FLUSH_S=3600")), |stack| {
        const HELD: u32 = 3;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("lost")?;
        stack.site.apply(&[trunk(&gateway, &receiver)])?;
        let mut held = start(stack, "held", "hold", HELD)?;
        for number in 1..=HELD {
            held.await_talking(number)?;
        }
        stack.kill_kamailio()?;
        stack.start_kamailio()?;
        ensure!(stack.site.dialogs()? == 0);
        for number in 1..=HELD {
            let id = held.call_id(number);
            wait::until_within(RECONCILED_WITHIN, "the lost calls to be told", || {
                Ok((receiver.events(&id).len() >= 3).then_some(()))
            })?;
            let told = receiver.story(&id, 3)?;
            ensure!(told == "initiated allowed, answered, hangup UNKNOWN reconciled", "{told}");
        }
        ensure!(stack.site.calls()? == 0);
        for number in 1..=HELD {
            held.nudge(number)?;
        }
        let held = held.finish()?;
        ensure!(held.clean, "the two ends could not hang up: {}", held.story(1));
        let ends =
            receiver.deliveries().iter().filter(|d| d.kind() == "call.hangup" && d.status < 300).count();
        ensure!(ends == HELD as usize, "{ends} endings for {HELD} calls");
        Ok(())
    });
}

#[test]
fn a_restart_of_both_keeps_the_last_table() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let receiver = Receiver::start("both")?;
        stack.site.apply(&[trunk(&gateway, &receiver)])?;
        stack.kill_trunkd()?;
        stack.kill_kamailio()?;
        // Alone, from what trunkd published before it died.
        stack.start_kamailio()?;
        let alone = start(stack, "alone", "call", 1)?.finish()?;
        ensure!(alone.code(1) == 200, "{}", alone.story(1));
        stack.start_trunkd()?;
        let told = receiver.story(alone.call_ids.first().context("a call")?, 3)?;
        ensure!(told == COMPLETE, "{told}");
        Ok(())
    });
}
