//! Every entry of kamailio.cfg's menu, alone, in pairs, and all at once: the script parses and its parameters are taken.

use std::fs;
use std::net::Ipv6Addr;

use anyhow::{Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::{self, Options};
use e2e::sipp::{Plan, Sipp};
use e2e::stack::Stack;
use e2e::toml::Trunk;
use e2e::{artifacts, ports, tls};

/// The names in the menu, from the script itself: an entry that is added is an entry that is tested.
fn menu() -> Result<Vec<String>> {
    let script = fs::read_to_string(artifacts::kamailio_cfg()?)?;
    let entries = script.lines().filter_map(|line| line.strip_prefix("#   WITH"));
    Ok(entries.filter_map(|rest| Some(format!("WITH{}", rest.split_whitespace().next()?))).collect())
}

#[test]
fn every_choice_from_the_menu_is_a_good_configuration() -> Result<()> {
    let menu = menu()?;
    ensure!(menu.len() >= 8, "found only {menu:?}");
    let mut choices: Vec<Vec<&String>> = vec![Vec::new(), menu.iter().collect()];
    for (index, one) in menu.iter().enumerate() {
        choices.push(vec![one]);
        choices.extend(menu[index + 1..].iter().map(|other| vec![one, other]));
    }
    let stack = Stack::prepare(Options::new()?)?;
    let tls = stack.dir().join("tls.cfg");
    fs::write(&tls, "[server:default]\nmethod = TLSv1.2+\n")?;
    for choice in choices {
        let mut options = Options::new()?.define(&format!("TLS_CONFIG=\"{}\"", tls.display()));
        options.defines.extend(choice.iter().map(|&name| name.clone()));
        let (good, said) = kamailio::check(&stack.places, stack.site.sip, &options)?;
        ensure!(good && !said.contains("ERROR"), "{choice:?}:\n{said}");
    }
    Ok(())
}

#[test]
fn a_call_goes_through_with_every_choice_from_the_menu() -> Result<()> {
    for entry in menu()? {
        let mut stack = Stack::prepare(Options::new()?)?;
        let tls = tls::configure(stack.dir(), "sip.example.net")?;
        let six = ports::free_on(Ipv6Addr::LOCALHOST.into())?;
        stack.options.defines.extend([
            entry.clone(),
            format!("TLS_CONFIG=\"{}\"", tls.display()),
            format!("LISTEN_TLS=tls:{}", ports::free()?),
            format!("LISTEN_UDP6=udp:{six}"),
            format!("LISTEN_TCP6=tcp:{six}"),
        ]);
        stack.start_trunkd()?;
        stack.start_kamailio()?;
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let plan = Plan::new("call", &stack.site.domain("acme"));
        let caller = Sipp::start(stack.dir(), "caller", stack.site.sip, &plan)?.finish()?;
        ensure!(caller.story(1) == "180 200, BYE 200", "{entry}: {}\n{}", caller.story(1), stack.logs()?);
        stack.check()?;
    }
    Ok(())
}

#[test]
fn every_ifdef_is_in_the_menu() -> Result<()> {
    let menu = menu()?;
    let script = fs::read_to_string(artifacts::kamailio_cfg()?)?;
    for line in script.lines().filter(|line| line.starts_with("#!if")) {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        let value = script.contains(&format!("#!define {name} "));
        ensure!(value || menu.iter().any(|entry| entry == name), "{name} is neither a value nor in the menu");
    }
    Ok(())
}
