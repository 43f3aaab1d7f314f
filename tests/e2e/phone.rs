//! A phone that is not of our making calls through Trunkline as its owner would: it registers nothing, proves its password,
//! hears an answer and hangs up.

use anyhow::{Context, Result, ensure};
use e2e::api::Api;
use e2e::kamailio::Options;
use e2e::phone::Phone;
use e2e::receiver::Receiver;
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;

/// What either plays, in hertz.
const CALLER: u16 = 880;
const CALLEE: u16 = 440;
/// Without a space: the phone reads its settings up to one.
const PASSWORD: &str = "correct-horse";

fn a_call_over(stack: &Stack, transport: &str) -> Result<()> {
    let mut callee = Phone::answering(stack.dir(), &format!("{transport}-callee"), "15550100", CALLEE)?;
    let receiver = Receiver::start(transport)?;
    let trunk = Trunk::new(transport).key("authMode", "\"password\"").credential("pbx", PASSWORD);
    let gateway = format!("sip:{}", callee.address);
    stack.site.apply(&[trunk.webhook(&receiver.url(), receiver.secret()).gateway(&gateway, 1)])?;
    let domain = stack.site.domain(transport);
    let (way, who) = ((stack.site.sip, transport), ("pbx", PASSWORD));
    let mut caller = Phone::calling(stack.dir(), &format!("{transport}-caller"), way, &domain, who, CALLER)?;

    caller.dial(&format!("sip:15550100@{domain}"))?;
    let up = caller.event("CALL_ESTABLISHED")?;
    callee.event("CALL_ESTABLISHED")?;
    caller.hears(CALLEE)?;
    callee.hears(CALLER)?;
    caller.hang_up()?;
    callee.event("CALL_CLOSED")?;

    let id = up["id"].as_str().context("a Call-ID")?;
    let call = Api::of(stack)?.ended_call(id)?;
    ensure!(call["allowed"] == true && call["answerAt"].is_string(), "{call}");
    ensure!(call["sipCode"] == 200 && call["status"] == "NORMAL_CLEARING", "{call}");
    ensure!(call["hangupBy"] == "caller" && call["gateway"] == gateway, "{call}");
    ensure!(call["billableSeconds"].as_u64() >= Some(1), "{call}");
    let told = receiver.story(id, 3)?;
    ensure!(told == "initiated allowed, answered, hangup NORMAL_CLEARING by caller", "{told}");
    // Once without the password, which is asked for, and once with it.
    let requests = caller.requests()?;
    let count = |method: &str| requests.iter().filter(|cseq| cseq.ends_with(method)).count();
    ensure!(count("REGISTER") == 0 && count("INVITE") == 2 && count("BYE") == 1, "{requests:?}");
    Ok(())
}

#[test]
fn a_phone_calls_with_a_password_hears_an_answer_and_hangs_up() {
    stack::test(Options::new(), |stack| {
        a_call_over(stack, "udp")?;
        a_call_over(stack, "tcp")
    });
}
