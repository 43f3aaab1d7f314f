//! Calls that the proxy hangs up itself: both ends of each are told, also when the one answers before the other is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::child::Child;
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::{rpc, sip, wait};
use serde_json::{Value, json};

/// Calls that are hung up at once.
const CALLS: u32 = 600;
/// How far it steps back: whoever was just woken runs at once, and on a busy machine it still gets its turn ten times a second.
const NICE: &str = "10";
/// One after the other, by a process that gets what the others leave of the processor.
const HUNG_UP_WITHIN: Duration = Duration::from_secs(240);

/// Lets the process that answers RPC, which sends the BYEs, wait for whoever wants the processor: a caller that answers the first is
/// served before the second is sent.
fn hold_back(stack: &Stack) -> Result<()> {
    for pid in stack.processes_for("JSONRPCS")? {
        let done = Command::new("renice").args(["-n", NICE, "-p", &pid.to_string()]).status()?;
        ensure!(done.success(), "renice: {done}");
    }
    Ok(())
}

/// Somebody of the same rank on each processor, so that it does not run in the others' pauses either.
fn rivals(stack: &Stack) -> Result<Vec<Child>> {
    let count = std::thread::available_parallelism()?.get();
    let busy = ["-n", NICE, "sh", "-c", "while :; do :; done"];
    let log = stack.dir().join("rivals.out");
    (0..count).map(|_| Child::spawn("rival", Path::new("nice"), busy, &log)).collect()
}

#[test]
fn both_ends_hear_of_the_end_also_when_one_answers_before_the_other_is_told() {
    stack::test(Options::new(), |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let body = json!({
            "ipAcls": [{"ipAddress": "127.0.0.0/8"}],
            "originationUris": [{"uri": gateway.uri()}],
            "cpsLimit": 1000,
            "concurrentCallsLimit": CALLS,
        });
        let made = api.done("POST", "/v1/trunks?wait=applied", &body)?;
        let trunk = made["trunkId"].as_str().context("an id")?;
        let plan = Plan::new("hold", &stack.site.domain(trunk)).calls(CALLS, 100);
        let caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?;
        wait::until("all calls to be up", || {
            let up = rpc::call(&stack.site.rpc, "dlg.stats_active", &[])?;
            Ok((up["ongoing"].as_u64() == Some(CALLS.into())).then_some(()))
        })?;
        hold_back(stack)?;
        let rivals = rivals(stack)?;
        api.done("DELETE", &format!("/v1/trunks/{trunk}?force=true"), &Value::Null)?;
        wait::until_within(HUNG_UP_WITHIN, "the calls to be over", || {
            Ok((stack.site.calls()? == 0 && stack.site.dialogs()? == 0).then_some(()))
        })?;
        drop(rivals);
        // Each once: a busy machine may send one again.
        let told = |messages: &[sip::Message]| {
            let byes = messages.iter().filter(|m| !m.sent && m.code().is_none() && m.method() == "BYE");
            byes.map(|m| m.call_id().to_owned()).collect::<BTreeSet<_>>().len()
        };
        let (near, far) = (told(&caller.messages()?), told(&gateway.messages()?));
        ensure!(near == CALLS as usize && far == CALLS as usize, "BYE: {near} callers, {far} at the gateway");
        Ok(())
    });
}
