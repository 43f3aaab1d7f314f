//! The rows in which Kamailio keeps the calls that are up: there when a call is, gone when it is over, whoever else has the file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::wait;

/// Waits until so many rows of calls, and of what is kept of them, are there.
fn stored(stack: &Stack, calls: u32) -> Result<()> {
    let sql = "SELECT (SELECT count(*) FROM dialog) || ' ' || (SELECT count(*) FROM dialog_vars)";
    let wanted = format!("{calls} {calls}");
    wait::until("the rows to be right", || {
        Ok((kamailio::ask_dialogs(&stack.places, sql)? == wanted).then_some(()))
    })
}

fn held(stack: &Stack, name: &str, calls: u32) -> Result<Sipp> {
    let plan = Plan { calls, rate: 50, ..Plan::new("hold", &stack.site.domain("acme")) };
    let mut held = Sipp::start(stack.dir(), name, stack.site.sip, &plan)?;
    (1..=calls).try_for_each(|call| held.await_talking(call))?;
    Ok(held)
}

/// All of them hang up.
fn end(held: Sipp, calls: u32) -> Result<()> {
    (1..=calls).try_for_each(|call| held.nudge(call))?;
    ensure!(held.finish()?.clean, "a call could not hang up");
    Ok(())
}

/// Another process that has the file to write in, until this is dropped.
struct Locked(std::process::Child);

impl Locked {
    fn by_another(stack: &Stack) -> Result<Locked> {
        let mut other = Command::new("sqlite3")
            .arg(kamailio::dialog_database(&stack.places))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = other.stdin.as_mut().context("its input")?;
        stdin.write_all(b".timeout 5000\nBEGIN IMMEDIATE;\nSELECT 'locked';\n")?;
        let mut said = String::new();
        BufReader::new(other.stdout.take().context("its output")?).read_line(&mut said)?;
        let other = Locked(other);
        ensure!(said.trim() == "locked", "sqlite3 said {said:?}");
        Ok(other)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_row_goes_with_its_call_and_comes_with_it_also_while_another_process_has_the_file() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let before = held(stack, "before", 40)?;
        stored(stack, 40)?;

        let lock = Locked::by_another(stack)?;
        end(before, 40).context("while the file is locked")?;
        let after = held(stack, "after", 7)?;
        wait::until("the timer process to have met the lock", || {
            Ok(stack.logs()?.contains("are still in the database of dialogs").then_some(()))
        })?;
        drop(lock);
        stored(stack, 7)?;

        end(after, 7)?;
        stored(stack, 0)
    });
}
