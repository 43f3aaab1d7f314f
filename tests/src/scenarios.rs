//! The calls that show what Trunkline does. `make demo` prints them, the end-to-end tests insist on them.
//!
//! Each one must leave its site as it found it, and must never depend on another.

use anyhow::{Context, Result};

use crate::gateway::{Gateway, Silent};
use crate::report::Report;
use crate::scenario::{Scenario, Scene};
use crate::sip;
use crate::sipp::Finished;

/// All of them, in the order they are told.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "answered",
        shows: "a call is admitted, answered, and hung up by the caller",
        play: answered,
    },
    Scenario { name: "callee-ends", shows: "the far side hangs up", play: callee_ends },
    Scenario {
        name: "password",
        shows: "an unlisted source is challenged and knows the password",
        play: password,
    },
    Scenario { name: "source", shows: "a source that is not listed is refused", play: source },
    Scenario { name: "unknown", shows: "a domain that is nobody's trunk is refused", play: unknown },
    Scenario { name: "cps", shows: "the second call within a second is one too many", play: cps },
    Scenario {
        name: "concurrency",
        shows: "the second call at once is one too many, until the first ends",
        play: concurrency,
    },
    Scenario { name: "failover", shows: "the first gateway is dead, the second one answers", play: failover },
    Scenario {
        name: "busy",
        shows: "busy is an answer, not a failure: no other gateway is tried",
        play: busy,
    },
    Scenario { name: "cancel", shows: "the caller gives up while it rings", play: cancel },
];

const COMPLETE: &str = "initiated allowed, answered, hangup NORMAL_CLEARING by caller";

fn answered(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway("gateway")?;
    scene.site.apply(&[scene.trunk().gateway(&gateway.uri(), 1)])?;
    let caller = scene.call("caller", &scene.plan("call"))?;
    let mut report = Report::default();
    report.line("caller saw", "180 200, BYE 200", caller.story(1));
    report.line("gateway got", "1 INVITE", invites(&gateway, &caller)?);
    report.line("webhooks", COMPLETE, scene.events(&caller, 3)?);
    Ok(report)
}

fn callee_ends(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway_playing("gateway", "callee-ends")?;
    scene.site.apply(&[scene.trunk().gateway(&gateway.uri(), 1)])?;
    let caller = scene.start("caller", &scene.plan("callee-ends"))?;
    gateway.await_request(&caller.call_id(1), "ACK")?;
    gateway.nudge(&caller.call_id(1))?;
    let caller = caller.finish()?;
    let mut report = Report::default();
    report.line("caller saw", "180 200", caller.story(1));
    report.line("caller's part", "as planned", if caller.clean { "as planned" } else { "not as planned" });
    report.line(
        "webhooks",
        "initiated allowed, answered, hangup NORMAL_CLEARING by callee",
        scene.events(&caller, 3)?,
    );
    Ok(report)
}

fn password(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway("gateway")?;
    let trunk = scene.closed_trunk().source("192.0.2.1").credential("pbx", "correct horse battery");
    scene.site.apply(&[trunk.gateway(&gateway.uri(), 1)])?;
    let caller = scene.call("caller", &scene.plan("password").credential("pbx", "correct horse battery"))?;
    let forwarded = gateway.invites(&caller.call_ids)?;
    let leaked = forwarded.iter().any(|invite| invite.header("proxy-authorization").is_some());
    let mut report = Report::default();
    report.line("caller saw", "407 180 200, BYE 200", caller.story(1));
    report.line("digest at the gateway", "none", if leaked { "passed on" } else { "none" });
    report.line("webhooks", COMPLETE, scene.events(&caller, 3)?);
    Ok(report)
}

fn source(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway("gateway")?;
    scene.site.apply(&[scene.closed_trunk().source("192.0.2.0/24").gateway(&gateway.uri(), 1)])?;
    let caller = scene.call("caller", &scene.plan("call"))?;
    let mut report = Report::default();
    report.line("caller saw", "403", caller.story(1));
    report.line("Reason", "source_denied", reason(&caller, 1));
    report.line("gateway got", "0 INVITE", invites(&gateway, &caller)?);
    report.line("webhooks", "initiated refused source_denied", scene.events(&caller, 1)?);
    Ok(report)
}

fn unknown(scene: &Scene) -> Result<Report> {
    let mut plan = scene.plan("call");
    plan.domain = scene.site.domain("nobody-here");
    let caller = scene.call("caller", &plan)?;
    let mut report = Report::default();
    report.line("caller saw", "404", caller.story(1));
    report.line("Reason", "unknown_destination", reason(&caller, 1));
    Ok(report)
}

fn cps(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway("gateway")?;
    // One call per ten seconds and no burst: however slow the machine, the second call comes too early.
    scene.site.apply(&[scene.trunk().limits(10, "0.1").key("cpsBurst", "1").gateway(&gateway.uri(), 1)])?;
    let first = scene.call("first", &scene.plan("call"))?;
    let second = scene.call("second", &scene.plan("call"))?;
    let wait =
        second.answer(1).and_then(|answer| answer.header("retry-after")).and_then(|s| s.parse::<u32>().ok());
    let mut report = Report::default();
    report.line("first caller saw", "180 200, BYE 200", first.story(1));
    report.line("second caller saw", "503", second.story(1));
    report.line(
        "Retry-After",
        "1 to 10 s",
        wait.filter(|s| (1..=10).contains(s)).map_or("absent", |_| "1 to 10 s"),
    );
    report.line("Reason", "cps_exceeded", reason(&second, 1));
    report.line("webhooks, first", COMPLETE, scene.events(&first, 3)?);
    report.line("webhooks, second", "initiated refused cps_exceeded", scene.events(&second, 1)?);
    Ok(report)
}

fn concurrency(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway("gateway")?;
    scene.site.apply(&[scene.trunk().limits(1, "1000").gateway(&gateway.uri(), 1)])?;
    let mut first = scene.start("first", &scene.plan("hold"))?;
    first.await_talking(1)?;
    let second = scene.call("second", &scene.plan("call"))?;
    first.nudge(1)?;
    let first = first.finish()?;
    let third = scene.call("third", &scene.plan("call"))?;
    let mut report = Report::default();
    report.line("first caller saw", "180 200, BYE 200", first.story(1));
    report.line("second, meanwhile", "503", second.story(1));
    let retry = second.answer(1).and_then(|answer| answer.header("retry-after"));
    report.line("Retry-After", "present", if retry.is_some() { "present" } else { "absent" });
    report.line("Reason", "concurrency_exceeded: 1 of 1", reason(&second, 1));
    report.line("third, after the BYE", "180 200, BYE 200", third.story(1));
    report.line("webhooks, first", COMPLETE, scene.events(&first, 3)?);
    report.line("webhooks, second", "initiated refused concurrency_exceeded", scene.events(&second, 1)?);
    report.line("webhooks, third", COMPLETE, scene.events(&third, 3)?);
    Ok(report)
}

fn failover(scene: &Scene) -> Result<Report> {
    let dead = Silent::open()?;
    let gateway = scene.gateway("gateway")?;
    scene.site.apply(&[scene.trunk().gateway(&dead.uri(), 1).gateway(&gateway.uri(), 2)])?;
    let caller = scene.call("caller", &scene.plan("call"))?;
    let mut report = Report::default();
    report.line("caller saw", "180 200, BYE 200", caller.story(1));
    report.line(
        "first gateway",
        "tried",
        if dead.was_tried(&caller.call_ids)? { "tried" } else { "not tried" },
    );
    report.line("second gateway got", "1 INVITE", invites(&gateway, &caller)?);
    report.line("webhooks", COMPLETE, scene.events(&caller, 3)?);
    let events = scene.receiver.events(caller.call_ids.first().context("no call")?);
    let told = events.iter().find(|event| event.kind() == "call.answered");
    let told = told.map(|event| {
        format!("{} attempts, {}", event.body["data"]["attempts"], event.body["data"]["gateway"])
    });
    report.line("answered by", &format!("2 attempts, \"{}\"", gateway.uri()), told.unwrap_or_default());
    Ok(report)
}

fn busy(scene: &Scene) -> Result<Report> {
    let first = scene.gateway_playing("gateway", "busy")?;
    let second = scene.gateway("second")?;
    scene.site.apply(&[scene.trunk().gateway(&first.uri(), 1).gateway(&second.uri(), 2)])?;
    let caller = scene.call("caller", &scene.plan("call"))?;
    let mut report = Report::default();
    report.line("caller saw", "486", caller.story(1));
    report.line("second gateway got", "0 INVITE", invites(&second, &caller)?);
    report.line("webhooks", "initiated allowed, hangup USER_BUSY by callee", scene.events(&caller, 2)?);
    Ok(report)
}

fn cancel(scene: &Scene) -> Result<Report> {
    let gateway = scene.gateway_playing("gateway", "cancel")?;
    scene.site.apply(&[scene.trunk().gateway(&gateway.uri(), 1)])?;
    let caller = scene.call("caller", &scene.plan("cancel"))?;
    let mut report = Report::default();
    report.line("caller saw", "180 487, CANCEL 200", caller.story(1));
    report.line("gateway got", "1 INVITE", invites(&gateway, &caller)?);
    report.line(
        "webhooks",
        "initiated allowed, hangup ORIGINATOR_CANCEL by caller",
        scene.events(&caller, 2)?,
    );
    Ok(report)
}

/// How many different INVITEs of these calls a gateway got.
fn invites(gateway: &Gateway, caller: &Finished) -> Result<String> {
    Ok(format!("{} INVITE", gateway.invites(&caller.call_ids)?.len()))
}

/// The text of the `Reason` header of a final answer.
fn reason(caller: &Finished, number: usize) -> String {
    sip::reason_text(caller.answer(number))
}
