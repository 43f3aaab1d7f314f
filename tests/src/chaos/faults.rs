//! What goes wrong in a round: deaths, standstills, refusals, nonsense; and changes meanwhile.
//!
//! Each fault is over when its function returns. It must never hide that something did not come back: that is an error.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;

use super::check::Findings;
use super::dice::Dice;
use super::ground::Ground;
use super::plan::Fault;
use super::sabotage;
use crate::api::Api;
use crate::gateway::Gateway;
use crate::raw::{Agent, Request};
use crate::{child, clock, wait};

/// Does it, and undoes it.
///
/// # Errors
/// Something does not come back.
pub fn inflict(
    ground: &mut Ground,
    failing: &mut Gateway,
    dice: &mut Dice,
    fault: Fault,
    findings: &mut Findings,
) -> Result<()> {
    match fault {
        Fault::KillTrunkd(away) => {
            ground.stack.kill_trunkd()?;
            thread::sleep(away);
            ground.stack.start_trunkd()
        }
        Fault::StopTrunkd(standstill) => {
            let trunkd = ground.stack.trunkd.as_ref().context("trunkd is not up")?.child.pid();
            stand_still(trunkd, standstill)
        }
        Fault::KillKamailio => {
            ground.stack.kill_kamailio()?;
            ground.clock_right_since = None;
            ground.stack.start_kamailio()
        }
        Fault::StopKamailio(standstill) => {
            let kamailio = ground.stack.kamailio.as_ref().context("Kamailio is not up")?.pid();
            stand_still(kamailio, standstill)
        }
        Fault::ReceiverFails(for_so_long) => {
            ground.receiver.answer_with(500);
            thread::sleep(for_so_long);
            ground.receiver.answer_with(204);
            Ok(())
        }
        Fault::DiskFull(for_so_long) => {
            let trunkd = ground.stack.trunkd.as_ref().context("trunkd is not up")?.child.pid();
            child::limit_files(trunkd, "0")?;
            thread::sleep(for_so_long);
            child::limit_files(trunkd, "unlimited")
        }
        Fault::SetClock(ahead_s, for_so_long) => {
            clock::set(&ground.stack.places, ahead_s)?;
            thread::sleep(for_so_long);
            clock::set(&ground.stack.places, 0)?;
            ground.clock_right_since = Some(Instant::now());
            Ok(())
        }
        Fault::KillGateway => failing.kill(),
        Fault::Writes(count) => writes(ground, dice, count, findings),
        Fault::BadFile => bad_file(ground),
        Fault::Garbage(datagrams) => garbage(ground, dice, datagrams),
        Fault::DropEvent => {
            ground.receiver.swallow_next();
            Ok(())
        }
        Fault::TearTable => sabotage::tear_table(ground),
    }
}

/// Stops all processes of a group and lets them go on. How long it lasts is the fault itself: nothing else could be waited for.
fn stand_still(group: Pid, standstill: Duration) -> Result<()> {
    killpg(group, Signal::SIGSTOP)?;
    thread::sleep(standstill);
    Ok(killpg(group, Signal::SIGCONT)?)
}

/// Each change is in force for the very next call, which is refused either way: for its rate, or because the trunk has no gateway.
fn writes(ground: &mut Ground, dice: &mut Dice, count: u32, findings: &mut Findings) -> Result<()> {
    let api = Api::of(&ground.stack)?;
    let caller = Agent::new(ground.stack.site.sip)?;
    let path = format!("/v1/trunks/{}?wait=applied", ground.written);
    let uri = format!("sip:1@{}", ground.stack.site.domain(&ground.written));
    for _ in 0..count {
        let (limit, reason) = match dice.once_in(2) {
            true => (0.0, "cps_exceeded"),
            false => (f64::from(dice.of(500..1000)), "no_route"),
        };
        api.done("PATCH", &path, &json!({"cpsLimit": limit}))?;
        ground.limit = limit;
        let call = Request::new("INVITE", &uri, &format!("written-{:x}", dice.seed()));
        let answer = caller.ask(&call)?;
        let told = answer.header("reason").unwrap_or_default();
        findings.insist(told.contains(reason), "what was answered is in force", || {
            format!("{limit} a second was answered, the next call got {} {told}", answer.first)
        });
    }
    let (status, answer) = api.send("PATCH", &path, Some(&json!({"cpsLimit": -1, "name": "changed"})))?;
    findings.insist((400..500).contains(&status), "a bad change is refused", || format!("{status} {answer}"));
    Ok(())
}

fn bad_file(ground: &Ground) -> Result<()> {
    let site = &ground.stack.site;
    let good = |wanted: f64| {
        site.sighup()?;
        wait::until("the reload to be told", || {
            Ok((site.metric("trunkline_last_reload_good")? == wanted).then_some(()))
        })
    };
    site.write_text("mistake", "[[trunk]]\ntrunkId = \"mistake\"\ncpsLimit = \"many\"\n")?;
    good(0.0)?;
    site.remove("mistake");
    good(1.0)
}

/// Some random bytes, some that begin as SIP does.
fn garbage(ground: &Ground, dice: &mut Dice, datagrams: u32) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let begins = [
        "",
        "INVITE sip:",
        "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP ",
        "SIP/2.0 200 ",
        "BYE sip:x SIP/2.0\r\nCSeq: ",
    ];
    for _ in 0..datagrams {
        let mut bytes = dice.pick(&begins).as_bytes().to_vec();
        bytes.extend((0..dice.of(1..1200)).map(|_| dice.of(0..256) as u8));
        socket.send_to(&bytes, ground.stack.site.sip)?;
    }
    Ok(())
}
