//! What kamailio.cfg owes to SIP, and what it must not let anybody get away with.

use std::time::Duration;

use anyhow::{Context, ensure};
use e2e::gateway::{Gateway, Silent};
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::receiver::Receiver;
use e2e::sip::Message;
use e2e::stack;
use e2e::toml::Trunk;

/// Long enough for a proxy on the same machine to have said what it has to say.
const QUIET: Duration = Duration::from_millis(1500);

fn code(message: &Message) -> u16 {
    message.code().unwrap_or(0)
}

#[test]
fn requests_that_begin_nothing_get_their_proper_answers() {
    stack::test(Options::new(), |stack| {
        let agent = Agent::new(stack.site.sip)?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        let host = format!("sip:{}", stack.site.domain("acme"));
        ensure!(code(&agent.ask(&Request::new("OPTIONS", &uri, "rules-options"))?) == 200);
        let refused = agent.ask(&Request::new("REGISTER", &host, "rules-register"))?;
        ensure!(code(&refused) == 405 && refused.header("allow").is_some(), "{refused:?}");
        ensure!(code(&agent.ask(&Request::new("INVITE", &host, "rules-nouser"))?) == 484);
        let tired = Request { max_forwards: 0, ..Request::new("INVITE", &uri, "rules-tired") };
        ensure!(code(&agent.ask(&tired)?) == 483);
        // Nobody's CANCEL: there is nothing to cancel, and nothing to say.
        agent.send(&Request::new("CANCEL", &uri, "rules-cancel"))?;
        ensure!(agent.hears_nothing(QUIET)?);
        Ok(())
    });
}

#[test]
fn a_repeated_invite_gets_the_answer_of_the_first_and_is_judged_once() {
    stack::test(Options::new(), |stack| {
        let receiver = Receiver::start("repeated")?;
        let trunk = Trunk::new("acme").limits(10, "0.1").key("cpsBurst", "1").source("127.0.0.1");
        let trunk = trunk.gateway("sip:127.0.0.1:9", 1).webhook(&receiver.url(), receiver.secret());
        stack.site.apply(&[trunk])?;
        let agent = Agent::new(stack.site.sip)?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        // The first takes the only token; that nobody answers at its gateway is no matter.
        agent.send(&Request::new("INVITE", &uri, "repeated-first"))?;
        ensure!(code(&agent.receive()?) == 100);
        let second = Request::new("INVITE", &uri, "repeated-second");
        let mut answers = Vec::new();
        for _ in 0..3 {
            agent.send(&second)?;
            let answer = loop {
                let message = agent.receive()?;
                if message.call_id() == second.call_id {
                    break message;
                }
            };
            answers.push((code(&answer), answer.header("retry-after").map(str::to_owned)));
        }
        ensure!(answers.iter().all(|answer| answer.0 == 503 && *answer == answers[0]), "{answers:?}");
        let told = receiver.story("repeated-second", 1)?;
        ensure!(told == "initiated refused cps_exceeded", "{told}");
        Ok(())
    });
}

#[test]
fn a_made_up_dialog_does_not_walk_past_the_admission() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack
            .site
            .apply(&[Trunk::new("acme").limits(0, "0").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        let route = format!("<sip:{};lr>", stack.site.sip);
        let to_gateway = format!("sip:15550100@{}", gateway.address);
        for (method, call_id) in
            [("INVITE", "forged-invite"), ("REFER", "forged-refer"), ("UPDATE", "forged-update")]
        {
            let forged =
                Request { to_tag: ";tag=forged".into(), ..Request::new(method, &to_gateway, call_id) };
            let answer = agent.ask(&forged.clone().header("Route", &route))?;
            ensure!(code(&answer) == 481, "{method}: {answer:?}");
            let answer = agent.ask(&Request { call_id: format!("{call_id}-2"), ..forged })?;
            ensure!(code(&answer) == 404, "{method} without a Route: {answer:?}");
        }
        ensure!(gateway.messages()?.is_empty(), "something got through: {:?}", gateway.messages()?);
        Ok(())
    });
}

#[test]
fn a_caller_cannot_bring_a_route_of_its_own() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let elsewhere = Silent::open()?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        let ours = format!("<sip:{};lr>, <{};lr>", stack.site.sip, elsewhere.uri());
        let invite = Request::new("INVITE", &uri, "routed").header("Route", &ours);
        let invite = invite.header("X-Trunkline-Account", "somebody-else");
        ensure!(code(&agent.ask(&invite)?) == 200);
        let got = gateway.invites(&["routed".to_owned()])?;
        let first = got.first().context("no INVITE at the gateway")?;
        ensure!(
            first.header("route").is_none() && first.header("x-trunkline-account").is_none(),
            "{first:?}"
        );
        ensure!(!elsewhere.was_tried(&["routed".to_owned()])?);
        Ok(())
    });
}

#[test]
fn a_second_invite_of_a_call_that_is_up_gets_no_way_around_the_limit() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let trunk = Trunk::new("acme").limits(2, "100").source("127.0.0.1");
        stack.site.apply(&[trunk.gateway(&gateway.uri(), 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        let first = Request::new("INVITE", &uri, "again");
        ensure!(code(&agent.ask(&first)?) == 200);
        // The same Call-ID and From tag, a new CSeq, no To tag: dialog takes it for a spiral and would not watch it.
        for cseq in 2..6 {
            let invite = Request { cseq, ..first.clone() };
            agent.send(&invite)?;
            // The 200 of the first comes again and again: nobody has acknowledged it.
            let answer = loop {
                let message = agent.receive()?;
                if message.header("cseq") == Some(&format!("{cseq} INVITE")) && code(&message) >= 200 {
                    break message;
                }
            };
            agent.acknowledge(&invite, &answer)?;
            ensure!(code(&answer) == 482, "CSeq {cseq}: {answer:?}");
        }
        ensure!(gateway.invites(&["again".to_owned()])?.len() == 1, "{:?}", gateway.messages()?);
        ensure!(stack.site.calls()? == 1);
        Ok(())
    });
}

#[test]
fn nobody_makes_a_worker_look_up_a_name() {
    stack::test(Options::new(), |stack| {
        let agent = Agent::new(stack.site.sip)?;
        let route = format!("<sip:{};lr>", stack.site.sip);
        for (target, call_id) in
            [("sip:x@name.invalid", "bye-name"), ("sip:x@127.0.0.1:9;transport=tcp", "bye-tcp")]
        {
            let bye = Request { to_tag: ";tag=made-up".into(), ..Request::new("BYE", target, call_id) };
            let answer = agent.ask(&bye.header("Route", &route))?;
            ensure!(code(&answer) == 481, "{target}: {answer:?}");
        }
        Ok(())
    });
}

#[test]
fn a_wrong_password_is_challenged_again_and_takes_nothing() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let trunk = Trunk::new("acme").source("192.0.2.1").credential("pbx", "correct horse battery");
        stack.site.apply(&[trunk.gateway(&gateway.uri(), 1)])?;
        let plan = e2e::sipp::Plan::new("password", &stack.site.domain("acme"))
            .credential("pbx", "wrong horse battery");
        let caller = e2e::sipp::Sipp::start(stack.dir(), "wrong", stack.site.sip, &plan)?.finish()?;
        let challenges = caller.messages.iter().filter(|m| !m.sent && m.code() == Some(407)).count();
        ensure!(challenges == 2 && caller.code(1) == 407, "{}", caller.story(1));
        ensure!(gateway.messages()?.is_empty());
        ensure!(stack.site.calls()? == 0);
        Ok(())
    });
}

#[test]
fn calls_over_tcp_are_judged_alike() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let plan = e2e::sipp::Plan::new("call", &stack.site.domain("acme")).tcp();
        let caller = e2e::sipp::Sipp::start(stack.dir(), "tcp", stack.site.sip, &plan)?.finish()?;
        ensure!(caller.clean && caller.story(1) == "180 200, BYE 200", "{}", caller.story(1));
        Ok(())
    });
}
