//! A change and its way into force: SIGHUP, trunk files, and the next call.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{artifacts, trunkd, wait};

fn call(stack: &Stack, name: &str) -> Result<u16> {
    let plan = Plan::new("call", &stack.site.domain("acme"));
    Ok(Sipp::start(stack.dir(), name, stack.site.sip, &plan)?.finish()?.code(1))
}

#[test]
fn the_next_call_obeys_a_changed_limit() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1);
        stack.site.apply(&[trunk.clone().limits(0, "1000")])?;
        ensure!(call(stack, "none")? == 503);
        for (round, limit, expected) in [(1, 10, 200), (2, 0, 503), (3, 10, 200)] {
            let before = stack.site.generation()?;
            stack.site.write(&trunk.clone().limits(limit, "1000"))?;
            let begin = Instant::now();
            stack.site.sighup()?;
            stack.site.newer_than(before)?;
            let in_force = begin.elapsed();
            let code = call(stack, &format!("round-{round}"))?;
            // Past the runner, which keeps what a passing test prints to itself.
            writeln!(
                std::io::stderr(),
                "limit {limit}: in force {} ms after SIGHUP, obeyed by a call that ended {} ms after it",
                in_force.as_millis(),
                begin.elapsed().as_millis()
            )?;
            ensure!(code == expected, "limit {limit}: {code}");
        }
        Ok(())
    });
}

/// Each a different way to be wrong, with what the message must name.
const BROKEN: &[(&str, &str)] = &[
    ("this is not TOML [", "acme.toml"),
    ("[[trunk]]\ntrunkId = \"acme\"\nconcurrentCallsLimit = \"many\"\n", "concurrentCallsLimit"),
    ("[[trunk]]\ntrunkId = \"acme\"\nconcurentCallsLimit = 3\n", "concurentCallsLimit"),
    ("[[trunk]]\ntrunkId = \"acme\"\n[[trunk.ipAcls]]\nipAddress = \"127.0.0.300\"\n", "ipAddress"),
    (
        "[[trunk]]\ntrunkId = \"acme\"\n[[trunk.originationUris]]\nuri = \"http://gateway\"\npriority = 1\nweight = 1\n",
        "uri",
    ),
    ("[[trunk]]\ntrunkId = \"acme\"\n[[trunk]]\ntrunkId = \"acme\"\n", "trunkId"),
];

#[test]
fn a_broken_file_changes_nothing() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        ensure!(call(stack, "before")? == 200);
        let generation = stack.site.generation()?;
        for (round, (text, names)) in BROKEN.iter().enumerate() {
            stack.site.write_text("acme", text)?;
            let seen = refusals(stack)?;
            stack.site.sighup()?;
            wait::until("the reload to be refused", || Ok((refusals(stack)? > seen).then_some(())))?;
            ensure!(stack.site.generation()? == generation, "a broken file made a new table");
            ensure!(call(stack, &format!("during-{round}"))? == 200, "after {text:?}");
            let (status, said) = check_config(stack)?;
            ensure!(status == Some(64), "check-config ended with {status:?}: {said}");
            ensure!(said.contains(names) && said.contains("acme.toml"), "no {names} in: {said}");
        }
        // And it recovers by itself once the file is good.
        stack
            .site
            .apply(&[Trunk::new("acme").limits(0, "1").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        ensure!(call(stack, "after")? == 503);
        Ok(())
    });
}

#[test]
fn check_config_names_every_problem_at_once() -> Result<()> {
    let stack = Stack::prepare(Options::new()?)?;
    for (round, (text, _)) in BROKEN.iter().enumerate() {
        stack.site.write_text(&format!("broken-{round}"), &text.replace("acme", &format!("acme-{round}")))?;
    }
    let (status, said) = check_config(&stack)?;
    ensure!(status == Some(64), "{status:?}");
    for (round, (_, names)) in BROKEN.iter().enumerate().skip(1) {
        let file = format!("broken-{round}.toml");
        ensure!(
            said.lines().any(|line| line.contains(&file) && line.contains(names)),
            "no {names} of {file} in:\n{said}"
        );
    }
    ensure!(said.contains("broken-0.toml"), "{said}");
    Ok(())
}

/// Reloads that trunkd has refused, as its log tells them.
fn refusals(stack: &Stack) -> Result<usize> {
    let log = stack.trunkd.as_ref().context("trunkd is up")?.child.output()?;
    Ok(log.matches("reload refused").count())
}

fn check_config(stack: &Stack) -> Result<(Option<i32>, String)> {
    let config = trunkd::config(&stack.places);
    let out = Command::new(artifacts::trunkd()?).arg("check-config").arg("--config").arg(config).output()?;
    Ok((out.status.code(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()))
}
