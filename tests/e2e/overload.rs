//! A node that has more to read than it can: it sends customers away when customers are the reason, and never otherwise.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::Request;
use e2e::sip::{self, Message};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::wait;
use nix::sys::signal::{Signal, kill};

/// Messages that are sent in one go.
const BATCH: u32 = 50;

/// Somebody who sends without waiting for an answer.
struct Sender {
    socket: UdpSocket,
    own: SocketAddr,
    proxy: SocketAddr,
    sent: u32,
}

impl Sender {
    fn new(home: Ipv4Addr, proxy: SocketAddr) -> Result<Sender> {
        let socket = UdpSocket::bind((home, 0))?;
        socket.set_nonblocking(true)?;
        let own = socket.local_addr()?;
        Ok(Sender { socket, own, proxy, sent: 0 })
    }

    /// A batch of what `text` makes of each number.
    fn batch(&mut self, text: impl Fn(u32, SocketAddr) -> String) {
        for number in self.sent..self.sent + BATCH {
            // A full buffer loses it; that it is full is the point.
            let _ = self.socket.send_to(text(number, self.own).as_bytes(), self.proxy);
        }
        self.sent += BATCH;
    }

    /// The next answer that has come.
    fn answer(&self) -> Option<Message> {
        let mut buffer = vec![0; 65_535];
        let length = self.socket.recv(&mut buffer).ok()?;
        Message::parse(false, &String::from_utf8_lossy(buffer.get(..length)?))
    }
}

/// Lets somebody fill the receive buffer while nobody reads it, until two looks in a row have seen it: stopped workers are
/// what an overloaded processor is to the kernel.
fn fill(stack: &Stack, mut send: impl FnMut()) -> Result<()> {
    let receivers = stack.processes_for("udp receiver")?;
    receivers.iter().try_for_each(|&pid| kill(pid, Signal::SIGSTOP))?;
    let noticed = wait::until("the backlog to be noticed twice", || {
        send();
        Ok((stack.site.status_number("lasting_backlog_percent")? >= 75).then_some(()))
    });
    receivers.iter().try_for_each(|&pid| kill(pid, Signal::SIGCONT))?;
    noticed
}

/// Kamailio without a log: each message that is none would be a line.
fn quiet() -> Result<Options> {
    Options::new().map(|options| options.define("LOG_LEVEL=-1"))
}

#[test]
fn a_buffer_that_anybody_has_filled_sends_no_customer_away() {
    stack::test(quiet(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let mut garbage = Sender::new(Ipv4Addr::new(127, 0, 0, 66), stack.site.sip)?;
        fill(stack, || garbage.batch(|_, _| "x".repeat(1_000)))?;
        let calls = Plan::new("call", &stack.site.domain("acme")).calls(20, 100);
        let calls = Sipp::start(stack.dir(), "calls", stack.site.sip, &calls)?.finish()?;
        for number in 1..=20 {
            ensure!(calls.story(number) == "180 200, BYE 200", "{number}: {}", calls.story(number));
        }
        Ok(())
    });
}

#[test]
fn customers_who_are_too_many_are_sent_away_and_calls_that_are_up_are_ended() {
    stack::test(quiet(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let acme = Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1);
        // Let pass and judged, each of them, and then without a way on.
        stack.site.apply(&[acme, Trunk::new("many").source("127.0.0.0/8")])?;
        let domain = stack.site.domain("acme");
        let mut up = Sipp::start(stack.dir(), "up", stack.site.sip, &Plan::new("hold", &domain))?;
        up.await_talking(1)?;
        let uri = format!("sip:15550100@{}", stack.site.domain("many"));
        let mut many = Sender::new(Ipv4Addr::new(127, 0, 0, 66), stack.site.sip)?;
        let invite =
            |number: u32, own| Request::new("INVITE", &uri, &format!("many-{number}")).render(own, "UDP");
        fill(stack, || many.batch(invite))?;
        let shed = wait::until("a call that is sent away", || {
            let away = |answer: &Message| sip::reason_text(Some(answer)).starts_with("node_overloaded");
            let shed = std::iter::from_fn(|| many.answer()).find(away);
            if shed.is_none() {
                many.batch(invite);
            }
            Ok(shed)
        })?;
        ensure!(shed.code() == Some(503), "{shed:?}");
        ensure!(sip::reason_text(Some(&shed)).ends_with(" of 75"), "{shed:?}");
        ensure!(shed.header("retry-after") == Some("5"), "{shed:?}");
        up.nudge(1)?;
        ensure!(up.finish()?.story(1) == "180 200, BYE 200");
        wait::until("the backlog to be forgotten", || {
            Ok((stack.site.status_number("backlog_percent")? == 0).then_some(()))
        })?;
        let after =
            Sipp::start(stack.dir(), "after", stack.site.sip, &Plan::new("call", &domain))?.finish()?;
        ensure!(after.story(1) == "180 200, BYE 200", "{}", after.story(1));
        Ok(())
    });
}
