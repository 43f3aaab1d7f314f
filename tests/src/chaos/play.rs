//! Plays a round and says what does not hold.
//!
//! It must never leave a fault in force: whatever was killed is up again, whatever stood still goes on, before anything is judged.

use std::collections::{BTreeSet, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::check::{self, Expected, Findings, Seen, Told};
use super::dice::Dice;
use super::faults;
use super::ground::{CREDENTIAL, Ground, NARROW, PACED};
use super::plan::{Batch, Fault, Round, Sort};
use crate::api::Api;
use crate::bench::agent::{self, Attempt};
use crate::bench::windows::{self, Passed};
use crate::sip::{self, Message};
use crate::sipp::{Plan, Sipp};
use crate::wait;

/// So long after the clock was put right Kamailio's timers follow it, and what they bring is under way: five seconds each.
const TIMERS_FOLLOW: Duration = Duration::from_secs(10);
/// A caller whose proxy died under it may wait for long; after this it dies too.
const CALLERS_WAIT: Duration = Duration::from_secs(75);
/// How long the paced trunk is offered twice its limit.
const PACED_FOR: Duration = Duration::from_secs(6);

/// What a round came to.
#[derive(Debug)]
pub struct Played {
    /// What did not hold.
    pub findings: Findings,
    /// Calls that were placed, those of the paced trunk apart.
    pub calls: usize,
    /// Events that the receiver accepted, each once.
    pub events: usize,
    /// Deliveries that the receiver got, repetitions included.
    pub deliveries: usize,
    /// Calls that heard anything, if only 100, and of whose end the receiver was not told; those that were refused are among them.
    pub unended: Vec<Seen>,
    /// Whether Kamailio's timers went with a clock that was set, now or just before, so that calls may have ended early.
    pub timers_astray: bool,
}

/// Plays one round.
///
/// # Errors
/// The round could not be played to its end, which is itself something that does not hold.
pub fn round(ground: &mut Ground, number: u32, round: &Round) -> Result<Played> {
    let mut findings = Findings::default();
    let mut gateways = ground.gateways(number)?;
    let (before, lost_before) = (ground.counters()?, ground.lost()?);
    let begun = Instant::now();
    let noticed = |right_since: Instant| begun.duration_since(right_since) >= TIMERS_FOLLOW;
    let timers_astray = round.sets_clock() || ground.clock_right_since.is_some_and(|since| !noticed(since));
    let mut callers = Vec::new();
    for (at, batch) in round.batches.iter().enumerate() {
        callers.push((*batch, start(ground, &format!("r{number}b{at}"), batch)?));
    }
    let (sip, uri) = (ground.stack.site.sip, format!("sip:15550100@{}", ground.stack.site.domain("paced")));
    let name = format!("r{number}paced");
    let paced = thread::scope(|scope| -> Result<Vec<Attempt>> {
        let offering = scope.spawn(|| agent::offer(sip, &uri, &name, &twice_the_limit(), &gateways.paced));
        let mut dice = Dice::new(round.seed ^ 1);
        for (at, fault) in &round.faults {
            // When a fault comes is part of the round: here the clock itself is the condition.
            thread::sleep((begun + *at).saturating_duration_since(Instant::now()));
            faults::inflict(ground, &mut gateways.failing, &mut dice, *fault, &mut findings)
                .with_context(|| format!("{fault:?}"))?;
        }
        offering.join().ok().context("the thread that offers calls")?
    })?;
    let mut stories = Vec::new();
    for (batch, caller) in callers {
        let messages = finish(&batch, caller)?;
        stories.push((batch, messages));
    }
    ground.quiet()?;
    ground.stack.check()?;

    let touched = round.touches_calls();
    let seen = seen(timers_astray, &stories, &gateways.invited()?);
    let lost = ground.lost()? - lost_before;
    let (told, deliveries) = told(ground, &seen, lost)?;
    check::events(&told, &seen, lost, &mut findings);
    check::lengths(&told, &seen, begun.elapsed(), &mut findings);
    if !touched {
        check::outcomes(&told, &seen, &mut findings);
        for (_, (_, messages)) in stories.iter().filter(|(batch, _)| batch.sort == Sort::Narrow) {
            let most = most_at_once(messages);
            findings.insist(most <= NARROW, "never a call above a limit", || {
                format!("{most} calls of {NARROW} at once")
            });
        }
    }
    let crowded = round.faults.iter().any(|(_, fault)| matches!(fault, Fault::Garbage(_)));
    limits(&paced, touched || crowded, &mut findings);
    counters(ground, &before, touched, &mut findings)?;
    configuration(ground, &mut findings)?;
    let logs = ground.stack.logs()?;
    let (_, metrics) = crate::http::get(ground.stack.site.api, "/metrics")?;
    let secrets = [CREDENTIAL.1, ground.receiver.secret()];
    check::secrets(&[("a log", &logs), ("the metrics", &metrics)], &secrets, &mut findings);
    let ended: BTreeSet<&str> = told
        .iter()
        .filter(|event| event.kind == "call.hangup")
        .map(|event| event.sip_call.as_str())
        .collect();
    let heard: BTreeSet<&str> = stories
        .iter()
        .flat_map(|(_, (_, messages))| messages)
        .filter(|message| !message.sent && message.code().is_some())
        .map(Message::call_id)
        .collect();
    let unended = seen
        .iter()
        .filter(|call| heard.contains(call.sip_call.as_str()) && !ended.contains(call.sip_call.as_str()))
        .cloned()
        .collect();
    Ok(Played { findings, calls: seen.len(), events: told.len(), deliveries, unended, timers_astray })
}

fn twice_the_limit() -> Vec<Duration> {
    let count = (2.0 * PACED.0 * PACED_FOR.as_secs_f64()) as u32;
    (0..count).map(|call| Duration::from_secs_f64(f64::from(call) / (2.0 * PACED.0))).collect()
}

fn start(ground: &Ground, name: &str, batch: &Batch) -> Result<Sipp> {
    let scenario = match batch.sort {
        Sort::Password | Sort::WrongPassword => "password",
        Sort::Cancel => "cancel",
        Sort::Reinvite => "reinvite",
        Sort::LateAck => "late-ack",
        _ => "call",
    };
    let mut plan =
        Plan::new(scenario, &ground.domain(batch.sort)).calls(batch.calls, batch.rate).talk_ms(batch.talk_ms);
    match batch.sort {
        Sort::Password => plan = plan.credential(CREDENTIAL.0, CREDENTIAL.1),
        Sort::WrongPassword => plan = plan.credential(CREDENTIAL.0, "a guess"),
        // Whoever dies dies in the middle of its calls.
        Sort::Vanishing => plan = plan.talk_ms(60_000),
        _ => {}
    }
    Sipp::start(ground.stack.dir(), name, ground.stack.site.sip, &plan)
}

/// The Call-IDs of a caller, and all that crossed its wire.
type Story = (Vec<String>, Vec<Message>);

/// What a caller saw; one that dies does so when half of its calls have begun.
fn finish(batch: &Batch, caller: Sipp) -> Result<Story> {
    let ids: Vec<String> = caller.call_ids().collect();
    if batch.sort != Sort::Vanishing {
        return Ok((ids, caller.finish_within(CALLERS_WAIT)?));
    }
    wait::until_within(4 * wait::PATIENCE, "half of the calls that vanish", || {
        let begun = caller
            .messages()?
            .iter()
            .filter(|m| m.sent && m.code().is_none() && m.method() == "INVITE")
            .count();
        Ok((begun * 2 >= ids.len()).then_some(()))
    })?;
    let messages = caller.messages()?;
    drop(caller);
    Ok((ids, messages))
}

/// What the receiver was told, once that is whole; after a minute it is judged as it is. And in how many deliveries.
fn told(ground: &Ground, seen: &[Seen], lost: usize) -> Result<(Vec<Told>, usize)> {
    let mut told = Vec::new();
    let _ = wait::until_within(Duration::from_secs(60), "the events to be whole", || {
        told = ground.told();
        let mut findings = Findings::default();
        check::events(&told, seen, lost, &mut findings);
        Ok(findings.0.is_empty().then_some(()))
    });
    ground.quiet()?;
    // What came after it was whole would be an event too many.
    told = ground.told();
    Ok((told, ground.receiver.forget()))
}

/// What came of each call, for the checker.
fn seen(timers_astray: bool, stories: &[(Batch, Story)], invited: &BTreeSet<String>) -> Vec<Seen> {
    let of_batch = |(batch, (ids, messages)): &(Batch, Story)| -> Vec<Seen> {
        let expected = match batch.sort {
            // See `Round::sets_clock`.
            Sort::Answered | Sort::Failover | Sort::Reinvite | Sort::LateAck if timers_astray => {
                Expected::Final(&["200", "408", "503"])
            }
            Sort::Password if timers_astray => Expected::Final(&["200", "407", "408", "503"]),
            Sort::Cancel if timers_astray => Expected::Final(&["487", "408", "503"]),
            Sort::Answered | Sort::Failover | Sort::Reinvite | Sort::LateAck => {
                Expected::Story("180 200, BYE 200")
            }
            Sort::Password => Expected::Story("407 180 200, BYE 200"),
            Sort::WrongPassword => Expected::Story("407"),
            Sort::Refused => Expected::Story("403"),
            Sort::Unknown => Expected::Story("404"),
            Sort::Busy => Expected::Story("486"),
            Sort::Cancel => Expected::Story("180 487, CANCEL 200"),
            Sort::Narrow | Sort::Vanishing => Expected::Anything,
        };
        let mut of_call: HashMap<&str, Vec<Message>> = HashMap::new();
        for message in messages {
            of_call.entry(message.call_id()).or_default().push(message.clone());
        }
        let one = |id: &String| {
            let story =
                of_call.get(id.as_str()).map_or_else(String::new, |messages| sip::story(messages, id));
            // The other scenarios last as long as what happens in them.
            let talks = matches!(batch.sort, Sort::Answered | Sort::Password | Sort::Failover | Sort::Narrow);
            let talked = talks && story.ends_with("180 200, BYE 200");
            Seen {
                sip_call: id.clone(),
                talked_ms: talked.then_some(batch.talk_ms.into()),
                story,
                at_gateway: invited.contains(id),
                expected,
            }
        };
        ids.iter().map(one).collect()
    };
    stories.iter().flat_map(of_batch).collect()
}

/// The most calls of one caller that were let in and had not been hung up, by the caller's own order of things.
fn most_at_once(messages: &[Message]) -> usize {
    let (mut up, mut most) = (BTreeSet::new(), 0);
    for message in messages {
        match (message.sent, message.code(), message.method()) {
            (false, Some(180), "INVITE") => {
                up.insert(message.call_id());
            }
            (false, Some(300..), "INVITE") | (true, None, "BYE") => {
                up.remove(message.call_id());
            }
            _ => {}
        }
        most = most.max(up.len());
    }
    most
}

/// In no stretch of time did the paced trunk get more than it may, whoever was killed meanwhile. Its caller repeats nothing: what UDP has
/// lost is excused when something was in the way.
fn limits(attempts: &[Attempt], excused: bool, findings: &mut Findings) {
    let Some(begun) = attempts.first().map(|first| first.sent) else { return };
    let passed = attempts
        .iter()
        .filter_map(|attempt| Some(Passed { sent: attempt.sent - begun, arrived: attempt.arrived? - begun }));
    let passed: Vec<Passed> = passed.collect();
    let excess = windows::excess(&passed, PACED.0, f64::from(PACED.1)).unwrap_or(0.0);
    findings.insist(excess < 1e-3, "never a call above a rate", || format!("{excess:.1} calls too many"));
    let lost = attempts.iter().filter(|attempt| attempt.code.is_none()).count();
    findings.insist(excused || lost == 0, "calls go on", || {
        format!("{lost} calls of the paced trunk had no answer")
    });
}

type Counters = [Vec<(&'static str, f64)>; 2];

fn counters(ground: &Ground, before: &Counters, touched: bool, findings: &mut Findings) -> Result<()> {
    let [forbidden, excused] = ground.counters()?;
    for (name, value) in forbidden {
        findings.insist(value == 0.0, "nothing breaks inside", || format!("{name} is {value}"));
    }
    let (malformed, lost) = (ground.stack.site.metric("trunkline_events_malformed_total")?, ground.lost()?);
    findings.insist(malformed <= lost as f64, "nothing breaks inside", || {
        format!("{malformed} malformed events, {lost} of them cut short by a kill")
    });
    for ((name, value), (_, old)) in excused.iter().zip(&before[1]) {
        // trunkd counts from its own start.
        findings.insist(touched || value <= old, "counts are right", || {
            format!("{name} went from {old} to {value}")
        });
    }
    Ok(())
}

/// What was answered "applied" is there, and what was refused is not.
fn configuration(ground: &Ground, findings: &mut Findings) -> Result<()> {
    let path = format!("/v1/trunks/{}", ground.written);
    let (status, now) = Api::of(&ground.stack)?.send("GET", &path, None)?;
    let same = status == 200 && now["cpsLimit"].as_f64() == Some(ground.limit);
    findings.insist(same, "what was answered is in force", || {
        format!("{} was answered, now {now}", ground.limit)
    });
    let good = ground.stack.site.metric("trunkline_last_reload_good")?;
    findings
        .insist(good == 1.0, "what was answered is in force", || "the last reload was not good".to_owned());
    Ok(())
}
