//! Passwords against somebody who tries: what was captured is worthless, guessing comes to an end, and no answer tells a
//! name that exists from one that does not.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use e2e::digest;
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::sip::Message;
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::{made_up, rpc, wait};

const USER: &str = "pbx";
const PASSWORD: &str = "correct horse battery";

/// Headers that are captured, and how often each is tried in each way.
const CAPTURED: u32 = 50;
const ROUNDS: u32 = 20;
/// Memory that a round of them may take.
const ROOM: u64 = 16 << 20;

/// A trunk that asks everybody for a password, and its gateway.
fn guarded(stack: &Stack) -> Result<(Gateway, String)> {
    let gateway = Gateway::answering(stack.dir(), "gateway")?;
    let trunk = Trunk::new("acme").key("authMode", "\"password\"");
    let trunk = trunk.credential(USER, PASSWORD).credential("retired", PASSWORD).switched_off();
    stack.site.apply(&[trunk.gateway(&gateway.uri(), 1)])?;
    Ok((gateway, format!("sip:15550100@{}", stack.site.domain("acme"))))
}

/// Places a call as somebody; the answer, and the header that brought it.
fn call_as(agent: &Agent, uri: &str, call_id: &str, user: &str, password: &str) -> Result<(Message, String)> {
    let first = Request::new("INVITE", uri, call_id);
    let challenged = agent.ask(&first)?;
    let challenge = challenged.header("proxy-authenticate").context("no challenge")?;
    let header = digest::answer(challenge, user, password, "INVITE", uri)?;
    let second = Request { cseq: 2, ..first }.header("Proxy-Authorization", &header);
    Ok((agent.ask(&second)?, header))
}

#[test]
fn ten_thousand_replays_of_captured_headers_let_nobody_in() {
    // Without the brakes: each of them is really judged.
    let open = |options: Options| {
        let options = options.define("WRONG_PASSWORDS_PER_MINUTE=0");
        options.define("STRANGERS_PER_S=0").define("NONCE_S=3600")
    };
    stack::test(Options::new().map(open), |stack| {
        let (_gateway, uri) = guarded(stack)?;
        let agent = Agent::new(stack.site.sip)?;
        let mut captured = Vec::new();
        for number in 0..CAPTURED {
            let (answer, header) = call_as(&agent, &uri, &format!("honest-{number}"), USER, PASSWORD)?;
            ensure!(answer.code() == Some(200), "{answer:?}");
            captured.push(header);
        }
        let admitted = stack.site.status_number("admitted")?;
        ensure!(admitted == u64::from(CAPTURED), "{admitted}");
        let elsewhere = Agent::at(Ipv4Addr::new(127, 0, 0, 2), stack.site.sip)?;
        let other = format!("sip:15550199@{}", stack.site.domain("acme"));
        let mut replays = 0_u32;
        for round in 0..ROUNDS {
            for header in &captured {
                // tm keeps each for five seconds, and without the brakes this is faster than its memory allows.
                wait::until("memory", || Ok((free_memory(stack)? > ROOM).then_some(())))?;
                for (from, to, proof) in variants(header, round) {
                    let agent = if from { &agent } else { &elsewhere };
                    let to = if to { &uri } else { &other };
                    let replay = Request::new("INVITE", to, &format!("replay-{replays}"));
                    let answer = agent.ask(&replay.header("Proxy-Authorization", &proof))?;
                    ensure!(answer.code() == Some(407), "{proof}: {answer:?}");
                    replays += 1;
                }
            }
        }
        ensure!(replays >= 10_000, "{replays}");
        ensure!(stack.site.status_number("admitted")? == admitted);
        Ok(())
    });
}

/// Bytes of Kamailio's shared memory that nobody uses.
fn free_memory(stack: &Stack) -> Result<u64> {
    let memory = rpc::call(&stack.site.rpc, "core.shmmem", &[])?;
    memory["free"].as_u64().with_context(|| format!("no `free` in {memory}"))
}

/// What somebody might make of a captured header: from the same or another address, to the same or another number.
fn variants(header: &str, round: u32) -> Vec<(bool, bool, String)> {
    let higher = header.replace("nc=00000001", &format!("nc={:08x}", round + 2));
    let without_qop = header.replace("qop=auth, ", "");
    let bare = without_qop.replace("nc=00000001, ", "").replace("cnonce=\"0a4f113b\", ", "");
    vec![
        (true, true, header.to_owned()),
        (false, true, header.to_owned()),
        (true, false, header.to_owned()),
        (true, true, header.replace("nc=00000001", "nc=00000000")),
        (true, true, higher.clone()),
        (false, true, higher.replace("qop=auth, ", "")),
        (true, true, without_qop),
        (true, true, bare.clone()),
        (true, true, header.replace("nc=00000001, ", "")),
        (false, true, bare.replace("algorithm=MD5", "qop=auth-int, nc=00000001, algorithm=MD5")),
    ]
}

#[test]
fn an_answer_without_qop_is_wrong_though_its_response_is_right() {
    stack::test(Options::new(), |stack| {
        let (_gateway, uri) = guarded(stack)?;
        let agent = Agent::new(stack.site.sip)?;
        let first = Request::new("INVITE", &uri, "old-form");
        let challenged = agent.ask(&first)?;
        let challenge = challenged.header("proxy-authenticate").context("no challenge")?;
        ensure!(challenge.contains("qop=\"auth\""), "{challenge}");
        let part = |name: &str| digest::parameter(challenge, name).context("incomplete").map(str::to_owned);
        let (realm, nonce) = (part("realm")?, part("nonce")?);
        let ha1 = digest::hash(&format!("{USER}:{realm}:{PASSWORD}"));
        let ha2 = digest::hash(&format!("INVITE:{uri}"));
        let response = digest::hash(&format!("{ha1}:{nonce}:{ha2}"));
        let header = format!(
            "Digest username=\"{USER}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        let second = Request { cseq: 2, ..first }.header("Proxy-Authorization", &header);
        ensure!(agent.ask(&second)?.code() == Some(407));
        ensure!(stack.site.status_number("admitted")? == 0);
        Ok(())
    });
}

#[test]
fn a_used_nonce_is_stale_and_a_wrong_password_is_not() {
    stack::test(Options::new(), |stack| {
        let (_gateway, uri) = guarded(stack)?;
        let agent = Agent::new(stack.site.sip)?;
        let (_, used) = call_as(&agent, &uri, "first", USER, PASSWORD)?;
        let again = Request::new("INVITE", &uri, "again").header("Proxy-Authorization", &used);
        let stale = agent.ask(&again)?;
        ensure!(
            stale.header("proxy-authenticate").is_some_and(|said| said.contains("stale=true")),
            "{stale:?}"
        );
        let (wrong, _) = call_as(&agent, &uri, "wrong", USER, "wrong horse")?;
        ensure!(wrong.code() == Some(407), "{wrong:?}");
        ensure!(wrong.header("proxy-authenticate").is_some_and(|said| !said.contains("stale")), "{wrong:?}");
        Ok(())
    });
}

#[test]
fn guessing_ends_in_the_same_403_for_every_name_and_a_known_caller_is_not_locked_out() {
    stack::test(Options::new().map(|options| options.define("WRONG_PASSWORDS_PER_MINUTE=3")), |stack| {
        let (_gateway, uri) = guarded(stack)?;
        let at = |last: u8| Agent::at(Ipv4Addr::new(127, 0, 0, last), stack.site.sip);
        let home = at(10)?;
        let (answer, _) = call_as(&home, &uri, "home", USER, PASSWORD)?;
        ensure!(answer.code() == Some(200), "{answer:?}");
        // One address each, so that only the address counts; three guesses, and then not even the right password helps.
        let mut told = Vec::new();
        for (last, user) in [(20, USER), (21, "nobody"), (22, "retired")] {
            let agent = at(last)?;
            for guess in 0..3 {
                let (answer, _) = call_as(&agent, &uri, &format!("guess-{last}-{guess}"), user, "guess")?;
                ensure!(answer.code() == Some(407), "{user} {guess}: {answer:?}");
            }
            let (answer, _) = call_as(&agent, &uri, &format!("guess-{last}-x"), user, PASSWORD)?;
            let reason = answer.header("reason").unwrap_or_default().to_owned();
            told.push((answer.first.clone(), reason, answer.header("retry-after").is_some()));
        }
        ensure!(told[0].0 == "SIP/2.0 403 Forbidden", "{told:?}");
        ensure!(told.iter().all(|one| *one == told[0]), "{told:?}");
        // The name has been got wrong three times; three more from elsewhere, and it is closed to strangers.
        let agent = at(23)?;
        for guess in 0..3 {
            call_as(&agent, &uri, &format!("more-{guess}"), USER, "guess")?;
        }
        let (stranger, _) = call_as(&at(24)?, &uri, "stranger", USER, PASSWORD)?;
        ensure!(stranger.code() == Some(403), "{stranger:?}");
        let (known, _) = call_as(&home, &uri, "home-again", USER, PASSWORD)?;
        ensure!(known.code() == Some(200), "{known:?}");
        Ok(())
    });
}

#[test]
fn what_is_sent_in_a_customers_name_does_not_stop_its_right_password() {
    let few = |options: Options| options.define("WRONG_PASSWORDS_PER_MINUTE=3").define("STRANGERS_PER_S=2");
    stack::test(Options::new().map(few), |stack| {
        let (_gateway, uri) = guarded(stack)?;
        let domain = stack.site.domain("acme");
        let (customer, other) = (Agent::new(stack.site.sip)?, Agent::new(stack.site.sip)?);
        // Nobody has called from there yet: what is made up counts for nothing, with care and in a crowd.
        for round in 0..5 {
            for (number, (kind, header)) in made_up::one_of_each(&domain, &uri, "Basic x").iter().enumerate()
            {
                let request = Request::new("INVITE", &uri, &format!("made-up-{round}-{number}"));
                let header = header.as_deref().unwrap_or("Digest");
                let answer = other.ask(&request.header("Proxy-Authorization", header))?;
                ensure!(answer.code() == Some(407), "{kind}: {answer:?}");
            }
        }
        let (first, _) = call_as(&customer, &uri, "first", USER, PASSWORD)?;
        ensure!(first.code() == Some(200), "{first:?}");
        // Now with challenges that were really sent, and answered wrong.
        for guess in 0..10 {
            let (answer, _) = call_as(&other, &uri, &format!("guess-{guess}"), USER, "guess")?;
            ensure!(answer.code() == Some(407), "{guess}: {answer:?}");
        }
        let (second, _) = call_as(&customer, &uri, "second", USER, PASSWORD)?;
        ensure!(second.code() == Some(200), "{second:?}");
        // Not even the right one is looked at in the customer's name when the challenge went elsewhere.
        let elsewhere = Agent::at(Ipv4Addr::new(127, 0, 0, 30), stack.site.sip)?;
        let challenged = elsewhere.ask(&Request::new("INVITE", &uri, "elsewhere"))?;
        let challenge = challenged.header("proxy-authenticate").context("no challenge")?;
        let header = digest::answer(challenge, USER, PASSWORD, "INVITE", &uri)?;
        let spoofed = Request::new("INVITE", &uri, "spoofed").header("Proxy-Authorization", &header);
        let told = other.ask(&spoofed)?;
        ensure!(
            told.header("proxy-authenticate").is_some_and(|said| said.contains("stale=true")),
            "{told:?}"
        );
        let (third, _) = call_as(&customer, &uri, "third", USER, PASSWORD)?;
        ensure!(third.code() == Some(200), "{third:?}");
        // Nothing has been proved for this name: it is held to what the address did.
        let (unknown, _) = call_as(&other, &uri, "unknown", "retired", PASSWORD)?;
        ensure!(unknown.code() == Some(403), "{unknown:?}");
        Ok(())
    });
}

#[test]
fn an_address_that_has_proved_a_user_does_not_guess_for_ever() {
    stack::test(Options::new().map(|options| options.define("WRONG_PASSWORDS_PER_MINUTE=3")), |stack| {
        let (_gateway, uri) = guarded(stack)?;
        let at = |last: u8| Agent::at(Ipv4Addr::new(127, 0, 0, last), stack.site.sip);
        let (home, other) = (at(10)?, at(11)?);
        for (name, agent) in [("home", &home), ("other", &other)] {
            let (answer, _) = call_as(agent, &uri, name, USER, PASSWORD)?;
            ensure!(answer.code() == Some(200), "{name}: {answer:?}");
        }
        // Three as anybody, thirty as one who has proved the user; then none, until some time has passed.
        let mut guesses = 0;
        loop {
            let (answer, _) = call_as(&home, &uri, &format!("guess-{guesses}"), USER, "guess")?;
            match answer.code() {
                Some(407) => guesses += 1,
                Some(403) => break,
                _ => anyhow::bail!("guess {guesses}: {answer:?}"),
            }
            ensure!(guesses < 300, "nobody stops it");
        }
        ensure!(guesses >= 33, "stopped after {guesses}");
        let (answer, _) = call_as(&other, &uri, "other-again", USER, PASSWORD)?;
        ensure!(answer.code() == Some(200), "{answer:?}");
        Ok(())
    });
}
