//! Calls never wait for trunkd: it stands still, or its disk takes nothing more, or receivers never answer; no call fails, and what
//! happened to each is told once that is over.

use std::env;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::receiver::Receiver;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{child, sip, wait};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Calls per second.
const RATE: u32 = 20;

/// How long each trouble lasts, in seconds.
fn seconds() -> Result<u32> {
    env::var("TRUNKLINE_STANDSTILL_S")
        .map_or(Ok(5), |text| text.parse().context("TRUNKLINE_STANDSTILL_S: a whole number is wanted"))
}

struct Scene {
    gateway: Gateway,
    receiver: Receiver,
}

impl Scene {
    fn start(stack: &Stack) -> Result<Scene> {
        let scene = Scene {
            gateway: Gateway::answering(stack.dir(), "gateway")?,
            receiver: Receiver::start("standstill")?,
        };
        stack.site.apply(&[scene.trunk().webhook(&scene.receiver.url(), scene.receiver.secret())])?;
        Ok(scene)
    }

    fn trunk(&self) -> Trunk {
        Trunk::new("acme").limits(1000, "1000").source("127.0.0.1").gateway(&self.gateway.uri(), 1)
    }

    /// Places calls for as long as the trouble is to last; every one of them must go through. Their Call-IDs.
    fn calls(&self, stack: &Stack, name: &str) -> Result<Vec<String>> {
        let seconds = seconds()?;
        let plan = Plan::new("call", &stack.site.domain("acme")).calls(RATE * seconds, RATE).talk_ms(200);
        let caller = Sipp::start(stack.dir(), name, stack.site.sip, &plan)?;
        let ids: Vec<String> = caller.call_ids().collect();
        let messages = caller.finish_within(Duration::from_secs(seconds.into()) + wait::PATIENCE)?;
        for id in &ids {
            let story = sip::story(&messages, id);
            ensure!(story == "180 200, BYE 200", "{id}: {story}");
        }
        Ok(ids)
    }

    /// Each of these calls is told from its beginning to its end, each event once.
    fn all_told(&self, ids: &[String]) -> Result<()> {
        wait::until_within(4 * wait::PATIENCE, "every event", || {
            Ok((self.receiver.count() >= 3 * ids.len()).then_some(()))
        })?;
        let stories = self.receiver.stories();
        for id in ids {
            let told = stories.get(id).map_or("", String::as_str);
            let complete = "initiated allowed, answered, hangup NORMAL_CLEARING by caller";
            ensure!(told == complete, "{id}: {told}");
        }
        Ok(())
    }
}

fn trunkd(stack: &Stack) -> Result<Pid> {
    Ok(stack.trunkd.as_ref().context("trunkd is not up")?.child.pid())
}

#[test]
fn calls_go_on_while_trunkd_stands_still() {
    stack::test(Options::new(), |stack| {
        let scene = Scene::start(stack)?;
        killpg(trunkd(stack)?, Signal::SIGSTOP)?;
        let ids = scene.calls(stack, "stopped");
        killpg(trunkd(stack)?, Signal::SIGCONT)?;
        scene.all_told(&ids?)
    });
}

#[test]
fn calls_go_on_while_nothing_can_be_written() {
    stack::test(Options::new(), |stack| {
        let scene = Scene::start(stack)?;
        child::limit_files(trunkd(stack)?, "0")?;
        let ids = scene.calls(stack, "unwritten")?;
        let failed = stack.site.metric("trunkline_store_errors_total")?;
        ensure!(failed > 0.0, "nothing was in the way");
        ensure!(scene.receiver.count() == 0, "what is not written down is not told");
        child::limit_files(trunkd(stack)?, "unlimited")?;
        scene.all_told(&ids)
    });
}

#[test]
fn calls_go_on_while_receivers_never_answer() {
    stack::test(Options::new(), |stack| {
        let scene = Scene::start(stack)?;
        // Whoever connects is let in by the kernel, and hears nothing.
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let silence = format!("http://{}/", silent.local_addr()?);
        stack.site.apply(&[scene.trunk().webhook(&silence, scene.receiver.secret())])?;
        let ids = scene.calls(stack, "unheard")?;
        let waiting = wait::until("every event to wait", || {
            let waiting = stack.site.metric("trunkline_outbox_pending")?;
            Ok((waiting >= 3.0 * ids.len() as f64).then_some(waiting))
        })?;
        ensure!(waiting == 3.0 * ids.len() as f64, "{waiting} events wait");
        Ok(())
    });
}
