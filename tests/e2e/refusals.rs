//! What a refused caller is told: code, text, `Reason` and `Retry-After` to the second, one case for each reason there is; and the
//! same words in the call log.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::crowd::Busy;
use e2e::gateway::Silent;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::sip::Message;
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{ports, trunkd, wait};

/// One call every so many seconds: 0.16 calls a second. The quarter tells rounding up from other ways of rounding.
const EVERY_S: f64 = 6.25;

/// A refusal as it should be.
struct Told {
    first: &'static str,
    reason: Option<String>,
    retry_after: Option<&'static str>,
    status: &'static str,
}

fn forbidden(reason: &str) -> Told {
    let reason = Some(format!("Q.850;cause=21;text=\"{reason}\""));
    Told { first: "SIP/2.0 403 Forbidden", reason, retry_after: None, status: "REJECTED" }
}

/// By a limit that says nothing of the time.
fn congested(reason: &str, retry_after: Option<&'static str>) -> Told {
    let reason = Some(format!("Q.850;cause=42;text=\"{reason}\""));
    Told { first: "SIP/2.0 503 Service Unavailable", reason, retry_after, status: "SWITCH_CONGESTION" }
}

impl Told {
    fn check(&self, answer: &Message) -> Result<()> {
        let said = (answer.header("reason"), answer.header("retry-after"));
        ensure!(answer.first == self.first, "{answer:?}");
        ensure!(said == (self.reason.as_deref(), self.retry_after), "{said:?}, not {:?}", self.reason);
        Ok(())
    }
}

fn invite(stack: &Stack, trunk: &str, call: &str) -> Request {
    Request::new("INVITE", &format!("sip:15550100@{}", stack.site.domain(trunk)), call)
}

/// The reason and the status in the call log.
fn logged(stack: &Stack, call: &str) -> Result<(String, String)> {
    let row = Api::of(stack)?.ended_call(call)?;
    let text = |key: &str| row[key].as_str().unwrap_or("none").to_owned();
    Ok((text("reason"), text("status")))
}

#[test]
fn every_reason_has_its_words() {
    stack::test(Options::new(), |stack| {
        let open = |id: &str| Trunk::new(id).source("127.0.0.1").gateway("sip:127.0.0.1:9", 1);
        let cases = [
            (open("disabled").key("enabled", "false"), forbidden("disabled")),
            (open("region-denied").key("allowedRegions", "[\"DE\"]"), forbidden("region_denied")),
            (Trunk::new("source-denied").source("192.0.2.1"), forbidden("source_denied")),
            (Trunk::new("no-auth-configured"), forbidden("no_auth_configured")),
            // For ever: no wait would help.
            (open("cps-exceeded").limits(10, "0"), congested("cps_exceeded: 0 of 0", None)),
            (
                open("concurrency-exceeded").limits(0, "100"),
                congested("concurrency_exceeded: 0 of 0", Some("1")),
            ),
            (
                open("account-cps-exceeded").account("cpsLimit", "0"),
                congested("account_cps_exceeded: 0 of 0", None),
            ),
            (
                open("account-concurrency-exceeded").account("concurrentCallsLimit", "0"),
                congested("account_concurrency_exceeded: 0 of 0", Some("1")),
            ),
        ];
        let trunks: Vec<Trunk> = cases.iter().map(|(trunk, _)| trunk.clone()).collect();
        stack.site.apply(&trunks)?;
        let agent = Agent::new(stack.site.sip)?;
        for (Trunk { id, .. }, told) in &cases {
            let answer = agent.ask(&invite(stack, id, id))?;
            told.check(&answer).with_context(|| id.clone())?;
            let logged = logged(stack, id)?;
            ensure!(logged == (id.replace('-', "_"), told.status.to_owned()), "{logged:?}");
        }
        // Nobody's; and no gateway, which is no limit.
        let nobody = agent.ask(&invite(stack, "nobody", "nobody"))?;
        let reason = Some("Q.850;cause=1;text=\"unknown_destination\"".to_owned());
        let told = Told { first: "SIP/2.0 404 Not Found", reason, retry_after: None, status: "" };
        told.check(&nobody)?;
        stack.site.apply(&[Trunk::new("no-route").source("127.0.0.1")])?;
        let nowhere = agent.ask(&invite(stack, "no-route", "no-route"))?;
        congested("no_route", None).check(&nowhere)?;
        let logged = logged(stack, "no-route")?;
        ensure!(logged.1 == "NETWORK_OUT_OF_ORDER", "{logged:?}");
        Ok(())
    });
}

#[test]
fn a_wrong_password_is_told_nothing_but_the_next_challenge() {
    stack::test(Options::new(), |stack| {
        let trunk = Trunk::new("asked").key("authMode", "\"password\"").credential("pbx", "correct horse");
        stack.site.apply(&[trunk.gateway("sip:127.0.0.1:9", 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        let wrong = agent.ask_as(&invite(stack, "asked", "wrong"), "pbx", "battery staple")?;
        let first = "SIP/2.0 407 Proxy Authentication Required";
        Told { first, reason: None, retry_after: None, status: "" }.check(&wrong)?;
        ensure!(wrong.header("proxy-authenticate").is_some(), "{wrong:?}");
        let logged = logged(stack, "wrong")?;
        ensure!(logged == ("bad_credentials".to_owned(), "REJECTED".to_owned()), "{logged:?}");
        Ok(())
    });
}

/// Places two calls one after the other; the second one is refused by a rate of one call every `EVERY_S` seconds, and is told the whole
/// seconds until that is over, rounded up. Whatever time passes here, it lies between two readings of the clock.
fn second_call_waits(stack: &Stack, trunk: &str, reason: &str) -> Result<()> {
    let agent = Agent::new(stack.site.sip)?;
    let before = Instant::now();
    let first = agent.ask(&invite(stack, trunk, &format!("{trunk}-first")))?;
    let admitted = Instant::now();
    ensure!(first.code() == Some(486), "{first:?}");
    let asked = Instant::now();
    let second = agent.ask(&invite(stack, trunk, &format!("{trunk}-second")))?;
    let least = EVERY_S - before.elapsed().as_secs_f64();
    let most = EVERY_S - asked.duration_since(admitted).as_secs_f64();
    ensure!(second.first == "SIP/2.0 503 Service Unavailable", "{second:?}");
    let text = format!("Q.850;cause=42;text=\"{reason}: 1 of 1\"");
    ensure!(second.header("reason") == Some(&text), "{second:?}");
    let wait: f64 = second.header("retry-after").context("no Retry-After")?.parse()?;
    println!("{reason}: {wait} s of {least:.3} to {most:.3}");
    ensure!(wait >= least.ceil() && wait <= most.ceil(), "{wait}: not from {least} to {most}");
    Ok(())
}

#[test]
fn a_call_above_a_rate_is_told_when_to_come_again() {
    stack::test(Options::new(), |stack| {
        let gateway = Busy::open(ports::free()?)?;
        let trunk = |id: &str, cps: &str| {
            Trunk::new(id).limits(10, cps).source("127.0.0.1").gateway(&gateway.uri(), 1)
        };
        let own = trunk("own", "0.16").key("cpsBurst", "1");
        stack.site.apply(&[own, trunk("account", "100").account("cpsLimit", "0.16")])?;
        second_call_waits(stack, "own", "cps_exceeded")?;
        second_call_waits(stack, "account", "account_cps_exceeded")
    });
}

/// A trunkd whose node has these lines among its settings.
fn with_node(lines: &'static str) -> impl FnOnce(&Stack) -> Result<()> {
    move |stack| trunkd::set_node(&stack.places, lines)
}

#[test]
fn a_call_above_the_rate_of_the_node_is_told_when_to_come_again() {
    stack::test_after(Options::new(), with_node("cps = 0.16\ncps_burst = 1\n"), |stack| {
        let gateway = Busy::open(ports::free()?)?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        second_call_waits(stack, "acme", "node_overloaded")
    });
}

#[test]
fn a_node_that_is_full_says_so() {
    stack::test_after(Options::new(), with_node("concurrent_calls = 1\n"), |stack| {
        let gateway = Silent::open()?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        agent.send(&invite(stack, "acme", "first"))?;
        wait::until("the first call", || Ok((stack.site.calls()? == 1).then_some(())))?;
        let answer = Agent::new(stack.site.sip)?.ask(&invite(stack, "acme", "second"))?;
        congested("node_overloaded: 1 of 1", Some("1")).check(&answer)
    });
}

/// As few as there may be.
const SLOTS: u32 = 16;

#[test]
fn a_call_without_a_slot_is_told_that_there_is_none() {
    let few = |options: Options| options.define(&format!("SHM_SLOTS={SLOTS}"));
    stack::test(Options::new().map(few), |stack| {
        let gateway = Silent::open()?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        for number in 0..SLOTS {
            agent.send(&invite(stack, "acme", &format!("held-{number}")))?;
        }
        wait::until(
            "every slot to be taken",
            || Ok((stack.site.calls()? == u64::from(SLOTS)).then_some(())),
        )?;
        let late = Agent::new(stack.site.sip)?.ask(&invite(stack, "acme", "late"))?;
        congested(&format!("slots_exhausted: {SLOTS} of {SLOTS}"), Some("1")).check(&late)?;
        let logged = logged(stack, "late")?;
        ensure!(logged == ("slots_exhausted".to_owned(), "SWITCH_CONGESTION".to_owned()), "{logged:?}");
        Ok(())
    });
}

#[test]
fn a_call_that_cannot_be_judged_is_told_so() -> Result<()> {
    let mut stack = Stack::prepare(Options::new()?)?;
    stack.start_kamailio()?;
    let answer = Agent::new(stack.site.sip)?.ask(&invite(&stack, "acme", "early"))?;
    congested("no_data", None).check(&answer)?;
    stack.check()
}
