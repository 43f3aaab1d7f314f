//! Plays cases: all their trunks in one Trunkline, their callers and gateways beside each other.
//!
//! It must never play a case twice, and never let one wait for another but for a free pair of hands.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::cases::Case;
use crate::gateway::Gateway;
use crate::receiver::Receiver;
use crate::report::Report;
use crate::sip;
use crate::sipp::{Finished, Plan, Sipp};
use crate::stack::Stack;
use crate::{ports, wait};

/// Calls that are played at the same time.
const HANDS: usize = 6;

/// A case and where its gateway will be.
struct Role<'a> {
    case: &'a Case,
    gateway: Option<SocketAddr>,
}

/// Plays all of them; each with its report, in the order of the list.
///
/// # Errors
/// The trunks do not come in force. What goes wrong in a case is in its report.
pub fn play(stack: &Stack, cases: &[Case]) -> Result<Vec<(String, Report)>> {
    let receiver = Receiver::start("cases")?;
    let mut roles = VecDeque::new();
    let before = stack.site.generation()?;
    for case in cases {
        let gateway = (!case.plan.call.uas.is_empty()).then(ports::free).transpose()?;
        let uri = gateway.map(|address| format!("sip:{address}"));
        let text = case.trunk_file(uri.as_deref(), (&receiver.url(), receiver.secret()));
        stack.site.write_text(&case.name, &text)?;
        roles.push_back(Role { case, gateway });
    }
    stack.site.sighup()?;
    stack.site.newer_than(before)?;
    let queue = Mutex::new(roles);
    let played_all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(role) = next else { return };
                    let played = act(stack, &receiver, &role).unwrap_or_else(|error| {
                        let mut report = Report::default();
                        report.line("the case", "can be played", format!("{error:#}"));
                        (report, String::new())
                    });
                    played_all.lock().unwrap_or_else(PoisonError::into_inner).push((role.case, played));
                }
            });
        }
    });
    // Nothing more can come now: what came too much shows.
    wait::until_within(4 * wait::PATIENCE, "every call to end and every event to be told", || {
        let left =
            stack.site.metric("trunkline_ring_waiting")? + stack.site.metric("trunkline_outbox_pending")?;
        Ok((stack.site.calls()? == 0 && left == 0.0).then_some(()))
    })?;
    let mut reports = Vec::new();
    for (case, (mut report, call_id)) in played_all.into_inner().unwrap_or_else(PoisonError::into_inner) {
        report.line("webhooks, in the end", &case.plan.expect.webhooks, receiver.story(&call_id, 0)?);
        reports.push((case.name.clone(), report));
    }
    reports.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(reports)
}

/// What came of it, and the Call-ID that was looked at.
fn act(stack: &Stack, receiver: &Receiver, role: &Role<'_>) -> Result<(Report, String)> {
    let Role { case, .. } = role;
    let call = &case.plan.call;
    let gateway = match role.gateway {
        Some(address) => {
            let file = case.sipp_file(stack.dir(), "uas", &call.uas)?;
            Some(Gateway::reading(stack.dir(), &format!("{}-gateway", case.name), &file, address)?)
        }
        None => None,
    };
    let mut caller = place(stack, case, 1)?;
    for number in 2..=call.times {
        caller = place(stack, case, number)?;
    }
    let mut report = compare(receiver, case, gateway.as_ref(), &caller)?;
    let call_id = caller.call_ids.first().cloned().unwrap_or_default();
    report.details = format!("caller:\n{}{}\n", sip::wire(&caller.messages, &call_id), caller.errors);
    if let Some(gateway) = gateway {
        report.details += &format!("gateway:\n{}", sip::wire(&gateway.messages()?, &call_id));
    }
    Ok((report, call_id))
}

fn place(stack: &Stack, case: &Case, number: u32) -> Result<Finished> {
    let call = &case.plan.call;
    let domain = call.domain.clone().unwrap_or_else(|| stack.site.domain(&case.name));
    let mut plan = Plan::new("call", &domain).talk_ms(call.talk_ms);
    plan.file = Some(case.sipp_file(stack.dir(), "uac", &call.uac)?);
    plan.number.clone_from(&call.number);
    plan.credential.clone_from(&call.credential);
    if call.transport == "tcp" {
        plan = plan.tcp();
    }
    Sipp::start(stack.dir(), &format!("{}-caller{number}", case.name), stack.site.sip, &plan)?.finish()
}

fn compare(receiver: &Receiver, case: &Case, gateway: Option<&Gateway>, caller: &Finished) -> Result<Report> {
    let expect = &case.plan.expect;
    let call_id = caller.call_ids.first().context("no call")?;
    let mut report = Report::default();
    report.line("caller saw", &expect.caller, caller.story(1));
    report.line("caller's part", "as planned", if caller.clean { "as planned" } else { "not as planned" });
    if let Some(reason) = &expect.reason {
        report.line("Reason", reason, sip::reason_text(caller.answer(1)));
    }
    let retry = caller.answer(1).and_then(|answer| answer.header("retry-after"));
    let retry =
        retry.map(|text| text.parse::<u32>().map_or("no number", |s| if s > 0 { "given" } else { "0" }));
    report.line("Retry-After", if expect.retry_after { "given" } else { "none" }, retry.unwrap_or("none"));
    let count = expect.webhooks.split(", ").filter(|part| !part.is_empty()).count();
    report.line("webhooks", &expect.webhooks, receiver.story(call_id, count)?);
    if let (Some(invites), Some(gateway)) = (expect.invites, gateway) {
        let got = gateway.invites(&caller.call_ids)?.len();
        report.line("gateway got", &format!("{invites} INVITE"), format!("{got} INVITE"));
    }
    Ok(report)
}
