//! Gateways are asked with OPTIONS whether they are there: one that falls silent loses no call, and is back when it answers.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::sipp::{Plan, Sipp};
use e2e::toml::Trunk;
use e2e::{ports, stack, wait};

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A gateway that says 486 to every call and 200 to OPTIONS, unless it is told to say nothing to those.
struct Asked {
    address: SocketAddr,
    deaf: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    invited: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Asked {
    fn start() -> Result<Asked> {
        let address = ports::free()?;
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(LOOK))?;
        let (deaf, stop): (Arc<AtomicBool>, Arc<AtomicBool>) = Default::default();
        let (asked, invited): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let shared = (Arc::clone(&deaf), Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&invited));
        let thread = thread::spawn(move || {
            let (deaf, stop, asked, invited) = shared;
            let (mut buffer, mut calls) = (vec![0; 65_535], HashSet::new());
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let text = String::from_utf8_lossy(&buffer[..length]);
                let answer = if text.starts_with("OPTIONS ") {
                    // What is sent again is no other probe.
                    if calls.insert(header(&text, "call-id")) {
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                    (!deaf.load(Ordering::Relaxed)).then_some("200 OK")
                } else if text.starts_with("INVITE ") {
                    invited.fetch_add(1, Ordering::Relaxed);
                    Some("486 Busy Here")
                } else {
                    None
                };
                if let Some(answer) = answer {
                    let _ = socket.send_to(reply(&text, answer).as_bytes(), from);
                }
            }
        });
        Ok(Asked { address, deaf, asked, invited, stop, thread: Some(thread) })
    }

    fn uri(&self) -> String {
        format!("sip:{}", self.address)
    }

    fn invited(&self) -> usize {
        self.invited.load(Ordering::Relaxed)
    }

    /// Waits until it was asked again.
    fn await_probe(&self) -> Result<()> {
        let before = self.asked.load(Ordering::Relaxed);
        wait::until("a probe", || Ok((self.asked.load(Ordering::Relaxed) > before).then_some(())))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The value of a header.
fn header(request: &str, wanted: &str) -> Option<String> {
    let headers = request.lines().filter_map(|line| line.split_once(':'));
    let mut values = headers.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    values.next().map(|value| value.trim().to_owned())
}

/// The headers that an answer repeats, and a tag for To.
fn reply(request: &str, status: &str) -> String {
    let mut answer = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "via" | "from" | "call-id" | "cseq" => answer += &format!("{line}\r\n"),
            "to" => answer += &format!("{line};tag=asked\r\n"),
            _ => {}
        }
    }
    answer + "Content-Length: 0\r\n\r\n"
}

#[test]
fn a_gateway_that_answers_no_probe_loses_no_call_and_is_back_when_it_does() {
    let options = Options::new().map(|options| options.define("WITH_PROBES").define("PROBE_S=2"));
    stack::test(options, |stack| {
        let asked = Asked::start()?;
        let second = Gateway::answering(stack.dir(), "second")?;
        let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&asked.uri(), 1).gateway(&second.uri(), 2);
        stack.site.apply(std::slice::from_ref(&trunk))?;
        let mut number = 0;
        let mut call = |expected: &str| -> Result<()> {
            number += 1;
            let plan = Plan::new("call", &stack.site.domain("acme"));
            let caller = Sipp::start(stack.dir(), &format!("caller-{number}"), stack.site.sip, &plan)?;
            let story = caller.finish()?.story(1);
            ensure!(story == expected, "call {number}: {story}");
            Ok(())
        };
        let down = |expected: u64| {
            wait::until(&format!("{expected} gateways down"), || {
                Ok((stack.site.status_number("gateways_down")? == expected).then_some(()))
            })
        };
        // Once it has answered a probe: two have come, so the first was answered.
        asked.await_probe()?;
        asked.await_probe()?;
        call("486")?;
        ensure!(asked.invited() == 1);

        asked.deaf.store(true, Ordering::Relaxed);
        down(1)?;
        call("180 200, BYE 200")?;
        // Another description of the same trunk: a newer table, the same gateways. Then more probes, in vain.
        stack.site.apply(&[trunk.clone().key("description", "\"again\"")])?;
        asked.await_probe()?;
        asked.await_probe()?;
        ensure!(stack.site.status_number("gateways_down")? == 1, "a publish has revived it");
        call("180 200, BYE 200")?;
        ensure!(asked.invited() == 1, "a call was sent to a gateway that is known to be dead");

        asked.deaf.store(false, Ordering::Relaxed);
        down(0)?;
        call("486")?;
        ensure!(asked.invited() == 2);
        Ok(())
    });
}

#[test]
fn a_gateway_that_never_answers_probes_is_left_to_the_calls() {
    let options = Options::new().map(|options| options.define("WITH_PROBES").define("PROBE_S=2"));
    stack::test(options, |stack| {
        let asked = Asked::start()?;
        asked.deaf.store(true, Ordering::Relaxed);
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&asked.uri(), 1)])?;
        for _ in 0..6 {
            asked.await_probe()?;
        }
        ensure!(stack.site.status_number("gateways_down")? == 0);
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let story = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?.story(1);
        ensure!(story == "486", "{story}");
        Ok(())
    });
}
