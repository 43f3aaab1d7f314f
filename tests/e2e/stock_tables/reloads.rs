//! A real Kamailio that loads our tables: told of each change, read back, and always able to start again.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::raw::{Agent, Request};
use e2e::stack::Stack;
use e2e::stock::{Options, Stock, database};
use e2e::toml::Trunk;
use e2e::{http, rpc, wait};
use serde_json::{Value, json};

/// The value of one line of `/metrics`.
fn metric(stack: &Stack, line: &str) -> Result<f64> {
    let (_, text) = http::get(stack.site.api, "/metrics")?;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    Ok(value.unwrap_or(0.0))
}

fn of_table(stack: &Stack, name: &str, table: &str) -> Result<f64> {
    metric(stack, &format!("trunkline_kamailio_{name}{{table=\"{table}\"}}"))
}

/// Waits until trunkd knows that Kamailio holds both tables as they are.
pub(super) fn loaded(stack: &Stack) -> Result<()> {
    wait::until("both tables to be loaded", || {
        let good =
            of_table(stack, "table_current", "address")? + of_table(stack, "table_current", "dispatcher")?;
        Ok((good == 2.0).then_some(()))
    })
}

fn reloads(stack: &Stack) -> Result<f64> {
    stack.site.metric("trunkline_kamailio_reloads_total")
}

fn ask(stock: &Stock, stack: &Stack, trunk: &str, call_id: &str) -> Result<u16> {
    let agent = Agent::new(stock.sip)?;
    let uri = format!("sip:15550100@{}", stack.site.domain(trunk));
    agent.ask(&Request::new("INVITE", &uri, call_id))?.code().context("no code")
}

/// The state of a gateway in dispatcher's memory.
fn state(stock: &Stock, uri: &str) -> Result<String> {
    let list = rpc::call(&stock.rpc, "dispatcher.list", &[])?;
    let records = list["RECORDS"].as_array().cloned().unwrap_or_default();
    let targets =
        records.iter().flat_map(|record| record["SET"]["TARGETS"].as_array().cloned().unwrap_or_default());
    let found =
        targets.into_iter().map(|target| target["DEST"].clone()).find(|dest| dest["URI"] == json!(uri));
    Ok(found.with_context(|| format!("no {uri} in {list}"))?["FLAGS"].as_str().unwrap_or_default().to_owned())
}

fn sqlite(stack: &Stack, sql: &str) -> Result<String> {
    let out = Command::new("sqlite3").arg("-readonly").arg(database(&stack.places)).arg(sql).output()?;
    ensure!(out.status.success(), "sqlite3: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[test]
fn a_change_reaches_a_stock_kamailio_and_revives_no_dead_gateway() {
    super::test(Options::default(), |stack| {
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let acme =
            Trunk::new("acme").source("127.0.0.1").gateway("sip:127.0.0.1:9", 1).gateway(&gateway.uri(), 2);
        stack.site.apply(&[acme])?;
        let mut stock = Stock::start(&stack.places, &Options::default(), 1)?;
        loaded(stack)?;
        ensure!(reloads(stack)? == 0.0, "it had read everything at its start");
        rpc::call(&stock.rpc, "dispatcher.set_state", &[json!("ip"), json!(64), json!("sip:127.0.0.1:9")])?;
        ensure!(ask(&stock, stack, "acme", "second-tier")? == 486, "the second tier is alive");

        ensure!(ask(&stock, stack, "later", "too-early")? == 404);
        stack.site.apply(&[Trunk::new("later").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        wait::until("a reload of each table", || Ok((reloads(stack)? == 2.0).then_some(())))?;
        loaded(stack)?;
        ensure!(ask(&stock, stack, "later", "known")? == 486);
        ensure!(state(&stock, "sip:127.0.0.1:9")? == "IP", "the reload has revived a dead gateway");
        ensure!(ask(&stock, stack, "acme", "still-second")? == 486);

        // A change that is in no row of theirs.
        stack
            .site
            .apply(&[Trunk::new("later").limits(3, "5").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        loaded(stack)?;
        ensure!(reloads(stack)? == 2.0, "nothing that Kamailio loads has changed");
        stock.child.check()
    });
}

#[test]
fn dropped_rows_raise_the_alarm() {
    let limits = Options { max_subnets: 100, ..Options::default() };
    super::test(limits, |stack| {
        // This Kamailio has room for less than trunkd was told.
        let stock = Stock::start(&stack.places, &Options { max_subnets: 20, ..limits }, 1)?;
        loaded(stack)?;
        let networks = |count: usize| {
            (0..count).fold(Trunk::new("wide"), |trunk, number| trunk.source(&format!("10.0.{number}.0/24")))
        };
        stack.site.apply(&[networks(30)])?;
        wait::until("the alarm", || Ok((of_table(stack, "table_differs", "address")? == 1.0).then_some(())))?;
        let told = rpc::call(&stock.rpc, "permissions.subnetDump", &[])?;
        ensure!(told.as_array().map(Vec::len) == Some(20), "{told}");
        // As many as it has room for, the mark included.
        stack.site.apply(&[networks(19)])?;
        loaded(stack)?;
        ensure!(of_table(stack, "table_differs", "address")? == 0.0);
        // More than trunkd was told is refused before it is written.
        let before = stack.site.generation()?;
        stack.site.write(&networks(100))?;
        stack.site.sighup()?;
        let log = || stack.trunkd.as_ref().context("trunkd is up")?.child.output();
        wait::until("the refusal", || Ok(log()?.contains("max_subnets is 100").then_some(())))?;
        ensure!(
            stack.site.generation()? == before
                && sqlite(stack, "SELECT count(*) FROM address WHERE mask = 24")? == "19"
        );
        Ok(())
    });
}

#[test]
fn a_restarted_kamailio_is_not_told_to_reload() {
    super::test(Options::default(), |stack| {
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway("sip:127.0.0.1:9", 1)])?;
        let mut stock = Stock::start(&stack.places, &Options::default(), 1)?;
        loaded(stack)?;
        stock.child.kill()?;
        wait::until("its absence to be noticed", || {
            Ok((of_table(stack, "table_current", "address")? == 0.0).then_some(()))
        })?;
        // Calls through the module do not care.
        let before = stack.site.generation()?;
        stack.site.apply(&[Trunk::new("late").source("127.0.0.1").gateway("sip:127.0.0.1:9", 1)])?;
        ensure!(stack.site.generation()? > before);
        let _stock = Stock::start(&stack.places, &Options::default(), 2)?;
        loaded(stack)?;
        ensure!(reloads(stack)? == 0.0);
        Ok(())
    });
}

/// A generator of its own, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A configuration that is as large as `[kamailio]` allows, more or less.
fn large(random: &mut Random, seed: u64) -> Vec<Trunk> {
    let mut trunks = Vec::new();
    for number in 0..1 + random.below(12) {
        let mut trunk = Trunk::new(&format!("t{seed}-{number}"));
        for network in 0..random.below(40) {
            trunk = trunk.source(&format!("10.{number}.{network}.0/24"));
        }
        for host in 0..random.below(900) {
            trunk = trunk.source(&format!("198.{number}.{}.{}", host >> 8, host & 255));
        }
        for gateway in 0..random.below(20) {
            let priority = u16::try_from(random.below(4)).unwrap_or(0);
            trunk =
                trunk.gateway(&format!("sip:gw-{gateway}.invalid:{}", 1 + random.below(65_535)), priority);
        }
        trunks.push(trunk);
    }
    trunks
}

/// How many configurations: as the variable says, or few enough for every run of the suite.
fn rounds() -> u64 {
    std::env::var("TRUNKLINE_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Of the random configurations trunkd may refuse some.
#[test]
fn kamailio_starts_over_whatever_was_accepted() {
    // Less than it takes for all of them: some are refused, and what is accepted comes near the limit.
    let limits = Options { pkg_mb: 4, ..Options::default() };
    super::test(limits, |stack| {
        let mut accepted = 0;
        for round in 0..rounds() {
            let trunks = large(&mut Random(round), round);
            trunks.iter().try_for_each(|trunk| stack.site.write(trunk))?;
            let before = stack.site.metric("trunkline_reloads_total")?;
            stack.site.sighup()?;
            wait::until("the reload to end", || {
                Ok((stack.site.metric("trunkline_reloads_total")? > before).then_some(()))
            })?;
            let number = u32::try_from(round)?;
            let mut stock = Stock::start(&stack.places, &limits, number)?;
            let dump = rpc::call(&stock.rpc, "permissions.subnetDump", &[])?;
            let held = dump.as_array().map_or(0, Vec::len).to_string();
            let wanted = sqlite(stack, "SELECT count(*) FROM address WHERE mask NOT IN (32, 128)")?;
            ensure!(held == wanted, "round {round}: it holds {held} networks of {wanted}");
            let found: Value = rpc::call(&stock.rpc, "core.uptime", &[])?;
            ensure!(found.is_object());
            stock.child.check()?;
            accepted += i32::from(metric(stack, "trunkline_last_reload_good")? == 1.0);
            stock.child.stop()?;
            trunks.iter().for_each(|trunk| stack.site.remove(&trunk.id));
        }
        ensure!(accepted > 0, "trunkd has refused everything");
        Ok(())
    });
}
