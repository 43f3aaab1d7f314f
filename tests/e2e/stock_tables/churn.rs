//! Writes in a stream, calls beside them: Kamailio is reloaded seldom, lives, loses no call, and holds what is stored at the end.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::Stack;
use e2e::stock::{Options, Stock, database};
use e2e::{http, kamailio};
use serde_json::{Value, json};

use super::reloads::loaded;

/// Writes each second: 10,000 in a minute.
const RATE: f64 = 10_000.0 / 60.0;
/// Calls each second beside them.
const CALLS: u32 = 50;
/// Reloads of both tables that a minute of writes may cause.
const MOST_RELOADS: f64 = 10.0;
/// Trunks that are written to.
const TRUNKS: u32 = 20;

/// How many writes: as the variable says, or few enough for every run of the suite.
fn writes() -> u32 {
    std::env::var("TRUNKLINE_CHURN_WRITES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

/// One trunk's parts that are changed again and again.
struct Part {
    address: String,
    gateway: String,
}

fn parts(api: &Api, gateway: &Gateway) -> Result<Vec<Part>> {
    let id = |object: &Value, name: &str| object[name].as_str().map(str::to_owned).context("an id");
    (0..TRUNKS)
        .map(|number| {
            let made = api.done("POST", "/v1/trunks", &json!({"name": format!("churned {number}")}))?;
            let path = format!("/v1/trunks/{}", id(&made, "trunkId")?);
            let entry = json!({"ipAddress": format!("10.9.{number}.1")});
            let entry = api.done("POST", &format!("{path}/ip-acls"), &entry)?;
            let target =
                api.done("POST", &format!("{path}/origination-uris"), &json!({"uri": gateway.uri()}))?;
            Ok(Part {
                address: format!("{path}/ip-acls/{}", id(&entry, "ipAclId")?),
                gateway: format!("{path}/origination-uris/{}", id(&target, "originationUriId")?),
            })
        })
        .collect()
}

/// Writes at an even rate; each changes a row that Kamailio has loaded.
fn churn(api: &Api, parts: &[Part], count: u32) -> Result<()> {
    let begun = Instant::now();
    for write in 0..count {
        let due = begun + Duration::from_secs_f64(f64::from(write) / RATE);
        // The rate is what is tested: the clock itself is the condition.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let trunk = write % TRUNKS;
        let part = parts.get(trunk as usize).context("a part")?;
        let round = write / TRUNKS;
        if round.is_multiple_of(2) {
            let address = format!("10.{}.{trunk}.{}", round / 250 % 250 + 10, round % 250 + 1);
            api.done("PATCH", &part.address, &json!({"ipAddress": address}))?;
        } else {
            api.done("PATCH", &part.gateway, &json!({"enabled": round % 4 == 3}))?;
        }
    }
    Ok(())
}

fn addresses(stack: &Stack, sql: &str) -> Result<BTreeSet<String>> {
    let rows = kamailio::ask_database(&database(&stack.places), sql)?;
    Ok(rows.lines().map(str::to_owned).collect())
}

#[test]
fn writes_in_a_stream_cause_few_reloads_and_cost_no_call() {
    let options = Options { reload_delta: 5, ..Options::default() };
    super::test(options, |stack| {
        let api = Api::of(stack)?;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let steady = json!({
            "cpsLimit": 1000,
            "concurrentCallsLimit": 1000,
            "ipAcls": [{"ipAddress": "127.0.0.1"}],
            "originationUris": [{"uri": gateway.uri()}],
        });
        let steady = api.done("POST", "/v1/trunks?wait=applied", &steady)?;
        let parts = parts(&api, &gateway)?;
        let mut stock = Stock::start(&stack.places, &options, 1)?;
        loaded(stack)?;
        let reloads = |table: &str| reloads_of(stack, table);
        let before = (reloads("address")?, reloads("dispatcher")?);

        let count = writes();
        let seconds = (f64::from(count) / RATE).ceil();
        let calls = CALLS * seconds as u32;
        let domain = stack.site.domain(steady["trunkId"].as_str().context("trunkId")?);
        let plan = Plan::new("call", &domain).calls(calls, CALLS);
        let caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?;
        let begun = Instant::now();
        churn(&api, &parts, count)?;
        let took = begun.elapsed().as_secs_f64();
        let made = (reloads("address")? - before.0, reloads("dispatcher")? - before.1);
        let finished = caller.finish()?;
        let failed = (1..=calls as usize).filter(|&number| finished.code(number) != 200).count();
        // Past the runner, which keeps what a passing test prints to itself.
        writeln!(
            std::io::stderr(),
            "{count} writes in {took:.0} s beside {calls} calls: {} reloads of address, {} of dispatcher, {failed} calls failed",
            made.0,
            made.1
        )?;
        ensure!(failed == 0, "{failed} of {calls} calls failed");
        let most = MOST_RELOADS * (took / 60.0).max(1.0);
        ensure!(made.0 >= 1.0 && made.1 >= 1.0 && made.0 + made.1 <= most, "{made:?} reloads");

        loaded(stack)?;
        stock.child.check()?;
        let wanted = addresses(stack, "SELECT replace(network, '/32', '') FROM ip_acls WHERE enabled")?;
        let written = addresses(stack, "SELECT ip_addr FROM address WHERE mask = 32")?;
        ensure!(
            wanted.len() > TRUNKS as usize && written.is_superset(&wanted),
            "{wanted:?} is not {written:?}"
        );
        Ok(())
    });
}

/// Reloads of one table, whatever was found after each.
fn reloads_of(stack: &Stack, table: &str) -> Result<f64> {
    let (_, text) = http::get(stack.site.api, "/metrics")?;
    let label = format!("table=\"{table}\"");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("trunkline_kamailio_reloads_total{") && line.contains(&label));
    let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum())
}
