//! Every case of `tests/cases`, beside each other on one Trunkline, and what must hold when all of them are over.

use std::env;

use anyhow::{Result, ensure};
use e2e::kamailio::Options;
use e2e::report::Report;
use e2e::{cases, casting, stack, wait};

/// As short as SIP lets the timers be on a machine that is busy with all of this; under valgrind (`proof_valgrind` in scripts/proof.sh),
/// ten times that, with a single worker.
fn options() -> Result<Options> {
    let (silent, ring, workers) = match env::var_os("VALGRIND_LOGS") {
        None => ("GATEWAY_SILENT_MS=2000", "GATEWAY_RING_MS=4000", "WORKERS=4"),
        Some(_) => ("GATEWAY_SILENT_MS=20000", "GATEWAY_RING_MS=40000", "WORKERS=1"),
    };
    let options = Options::new()?.define(silent).define(ring).define(workers);
    Ok(options.define("STRANGERS_PER_S=1000").define("WRONG_PASSWORDS_PER_MINUTE=100"))
}

/// Folders of `tests/cases`: one that is not read would not be missed otherwise.
const CASES: usize = 115;

/// Every status a call may end with each by a case.
const STATUSES: [&str; 17] = [
    "NORMAL_CLEARING",
    "USER_BUSY",
    "NO_ANSWER",
    "ORIGINATOR_CANCEL",
    "CALL_REJECTED",
    "REJECTED",
    "INVALID_NUMBER",
    "UNALLOCATED_NUMBER",
    "SERVICE_UNAVAILABLE",
    "SERVER_ERROR",
    "MEDIA_TIMEOUT",
    "PROTOCOL_ERROR",
    "NETWORK_OUT_OF_ORDER",
    "DESTINATION_OUT_OF_ORDER",
    "NORMAL_TEMPORARY_FAILURE",
    "SWITCH_CONGESTION",
    "UNKNOWN",
];

#[test]
fn every_status_is_the_end_of_a_case() -> Result<()> {
    let cases = cases::all()?;
    for status in STATUSES {
        let ends = |case: &cases::Case| case.plan.expect.webhooks.contains(&format!("hangup {status} by "));
        ensure!(cases.iter().any(ends), "no case ends as {status}");
    }
    Ok(())
}

#[test]
fn every_case_goes_as_its_folder_says() {
    stack::test(options(), |stack| {
        let cases = cases::all()?;
        ensure!(cases.len() >= CASES, "only {} cases", cases.len());
        let reports = casting::play(stack, &cases)?;
        let wrong: Vec<&(String, Report)> = reports.iter().filter(|(_, report)| !report.matches()).collect();
        let told: String = wrong.iter().map(|(name, report)| format!("{name}:\n{report}\n")).collect();
        ensure!(
            reports.len() == cases.len() && wrong.is_empty(),
            "{} of {}:\n{told}",
            wrong.len(),
            cases.len()
        );
        wait::until("every slot to be free", || Ok((stack.site.calls()? == 0).then_some(())))?;
        for number in ["underflows", "panics", "events_dropped"] {
            ensure!(stack.site.status_number(number)? == 0, "{number}: {}", stack.site.status()?);
        }
        Ok(())
    });
}
