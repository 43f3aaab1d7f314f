//! Which gateway a call goes to, and when it goes to the next.

use std::time::Instant;

use anyhow::ensure;
use e2e::gateway::{Gateway, Silent};
use e2e::kamailio::Options;
use e2e::receiver::Receiver;
use e2e::sipp::{Plan, Sipp};
use e2e::stack;
use e2e::toml::Trunk;

#[test]
fn a_gateway_that_says_503_is_passed_over_at_once() {
    stack::test(Options::new(), |stack| {
        let full = Gateway::playing(stack.dir(), "full", "unavailable")?;
        let second = Gateway::answering(stack.dir(), "second")?;
        let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&full.uri(), 1).gateway(&second.uri(), 2);
        stack.site.apply(&[trunk])?;
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?;
        ensure!(caller.story(1) == "180 200, BYE 200", "{}", caller.story(1));
        ensure!(full.invites(&caller.call_ids)?.len() == 1 && second.invites(&caller.call_ids)?.len() == 1);
        Ok(())
    });
}

#[test]
fn a_gateway_whose_name_cannot_be_found_is_passed_over() {
    stack::test(Options::new(), |stack| {
        let second = Gateway::answering(stack.dir(), "second")?;
        let nowhere = "sip:gateway.does-not-exist.invalid:5060";
        let trunk = Trunk::new("acme").source("127.0.0.1").gateway(nowhere, 1).gateway(&second.uri(), 2);
        stack.site.apply(&[trunk])?;
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let begin = Instant::now();
        let caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?;
        println!("a name that cannot be found cost {} ms", begin.elapsed().as_millis());
        ensure!(caller.story(1) == "180 200, BYE 200", "{}", caller.story(1));
        Ok(())
    });
}

#[test]
fn when_every_gateway_is_dead_the_caller_hears_so_and_nothing_stays_taken() {
    stack::test(Options::new(), |stack| {
        let dead = [Silent::open()?, Silent::open()?];
        let receiver = Receiver::start("dead")?;
        let trunk = Trunk::new("acme").source("127.0.0.1").webhook(&receiver.url(), receiver.secret());
        stack.site.apply(&[trunk.gateway(&dead[0].uri(), 1).gateway(&dead[1].uri(), 2)])?;
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?;
        ensure!(caller.code(1) == 408, "{}", caller.story(1));
        for gateway in &dead {
            ensure!(gateway.was_tried(&caller.call_ids)?);
        }
        let told = receiver.story(&caller.call_ids[0], 2)?;
        ensure!(told.starts_with("initiated allowed, hangup DESTINATION_OUT_OF_ORDER by "), "{told}");
        ensure!(stack.site.calls()? == 0);
        Ok(())
    });
}
