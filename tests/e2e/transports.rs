//! The main flow over TLS and IPv6, and what a trunk may ask of the way a call comes.

use std::net::{Ipv6Addr, SocketAddr};

use anyhow::{Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::sipp::{Plan, Sipp};
use e2e::stack;
use e2e::tls::{self, TlsAgent};
use e2e::toml::Trunk;
use e2e::{ports, rpc};

/// Prepares a stack that listens for TLS, and plays on it.
fn with_tls(body: impl FnOnce(&stack::Stack, SocketAddr) -> Result<()>) -> Result<()> {
    let mut stack = stack::Stack::prepare(Options::new()?)?;
    let (config, address) = (tls::configure(stack.dir(), "first.example.net")?, ports::free()?);
    stack.options.defines.extend([
        "WITH_TLS".to_owned(),
        format!("TLS_CONFIG=\"{}\"", config.display()),
        format!("LISTEN_TLS=tls:{address}"),
    ]);
    stack.start_trunkd()?;
    stack.start_kamailio()?;
    let done = body(&stack, address).and_then(|()| stack.check());
    if done.is_err() {
        eprintln!("{}", stack.logs()?);
    }
    done
}

#[test]
fn a_secure_trunk_takes_calls_over_tls_alone() -> Result<()> {
    with_tls(|stack, tls| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let trunk = Trunk::new("acme").key("secure", "true").source("127.0.0.1");
        stack.site.apply(&[trunk.gateway(&gateway.uri(), 1)])?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        let clear = Agent::new(stack.site.sip)?.ask(&Request::new("INVITE", &uri, "in-the-clear"))?;
        ensure!(clear.code() == Some(403), "{clear:?}");
        let mut caller = TlsAgent::connect(tls)?;
        let answer = caller.ask(&Request::new("INVITE", &uri, "over-tls"))?;
        ensure!(answer.code() == Some(200), "{answer:?}");
        ensure!(gateway.invites(&["over-tls".to_owned(), "in-the-clear".to_owned()])?.len() == 1);
        Ok(())
    })
}

#[test]
fn a_new_certificate_is_shown_without_a_restart_and_no_call_is_lost() -> Result<()> {
    with_tls(|stack, address| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        let mut before = TlsAgent::connect(address)?;
        ensure!(before.ask(&Request::new("INVITE", &uri, "before"))?.code() == Some(200));
        ensure!(tls::shown_by(address)? == "first.example.net");
        tls::configure(stack.dir(), "second.example.net")?;
        rpc::call(&stack.site.rpc, "tls.reload", &[])?;
        ensure!(tls::shown_by(address)? == "second.example.net");
        // The connection of before goes on under its old certificate.
        ensure!(before.ask(&Request::new("OPTIONS", "sip:x@y", "still-there"))?.code() == Some(200));
        ensure!(stack.site.calls()? == 1);
        Ok(())
    })
}

#[test]
fn a_caller_on_ipv6_reaches_a_gateway_on_ipv4() -> Result<()> {
    let six = ports::free_on(Ipv6Addr::LOCALHOST.into())?;
    let listen = |options: Options| {
        let options = options.define("WITH_IPV6").define(&format!("LISTEN_UDP6=udp:{six}"));
        options.define(&format!("LISTEN_TCP6=tcp:{six}"))
    };
    stack::test(Options::new().map(listen), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let listed = Trunk::new("six").source("::1/128").gateway(&gateway.uri(), 1);
        let other = Trunk::new("four").source("127.0.0.1").gateway(&gateway.uri(), 1);
        stack.site.apply(&[listed, other])?;
        for (name, trunk, tcp, story) in [
            ("over-udp", "six", false, "180 200, BYE 200"),
            ("over-tcp", "six", true, "180 200, BYE 200"),
            ("unlisted", "four", false, "403"),
        ] {
            let mut plan = Plan::new("call", &stack.site.domain(trunk));
            plan.home = Ipv6Addr::LOCALHOST.into();
            let plan = if tcp { plan.tcp() } else { plan };
            let caller = Sipp::start(stack.dir(), name, six, &plan)?.finish()?;
            ensure!(caller.story(1) == story, "{name}: {}", caller.story(1));
        }
        Ok(())
    });
    Ok(())
}
