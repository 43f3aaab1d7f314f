//! What RFC 4475 calls torture: valid INVITEs that look wrong get through, and wrong ones that look valid do not.

use anyhow::{Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::raw::{Agent, Request};
use e2e::stack;
use e2e::toml::Trunk;

/// Section of RFC 4475, the message, and whether it is a call. `{uri}`, `{via}` and `{from}` stand for the test's own.
const MESSAGES: &[(&str, &str, bool)] = &[
    (
        "3.1.1.1 a short tortuous INVITE, its CSeq on one line",
        "INVITE {uri} SIP/2.0\r\nTO :\r\n <{uri}>\r\nfrom   : \"J Rosenberg \\\\\\\"\"       <{from}>\r\n  ;\r\n  tag = 98asjd8\r\n\
         MaX-fOrWaRdS: 0068\r\nCall-ID: {id}\r\nContent-Length   : 0\r\ncseq: 0009 INVITE\r\nVia  : SIP  /   2.0\r\n \
         /UDP\r\n    {via};branch=z9hG4bK{id};rport\r\ns :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
         UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nm:\"Quoted string \\\"\\\"\" <{from}> ; newparam =\r\n      newvalue\r\n\r\n",
        true,
    ),
    (
        "3.1.1.1 a CSeq on two lines: valid, and yet Kamailio's parser (core/parser/parse_cseq.c) does not read it",
        "INVITE {uri} SIP/2.0\r\nTo: <{uri}>\r\nFrom: <{from}>;tag=folded\r\nMax-Forwards: 68\r\nCall-ID: {id}\r\n\
         CSeq: 0009\r\n  INVITE\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContact: <{from}>\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "3.1.1.3 escapes in the user part",
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nTo: <{uri}>\r\n\
         From: <sip:I%20have%20spaces@example.net>;tag=938\r\nMax-Forwards: 87\r\nCall-ID: {id}\r\nCSeq: 234234 INVITE\r\n\
         Contact: <sip:cal%6Cer@{via};%6C%72;n%61me=v%61lue%25%34%31>\r\nContent-Length: 0\r\n\r\n",
        true,
    ),
    (
        "3.1.2.1 extraneous separators",
        "INVITE {uri} SIP/2.0\r\nTo: <{uri}>\r\nFrom: <{from}>;tag=134161461246\r\nMax-Forwards: 7\r\nCall-ID: {id}\r\n\
         CSeq: 8 INVITE\r\nVia: SIP/2.0/UDP {via};;,;,,\r\nContact: \"Joe\" <{from}>;;;;\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "3.1.2.2 Content-Length larger than the message",
        "INVITE {uri} SIP/2.0\r\nMax-Forwards: 80\r\nTo: <{uri}>\r\nFrom: <{from}>;tag=93942939o2\r\nContact: <{from}>\r\n\
         Call-ID: {id}\r\nCSeq: 8 INVITE\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContent-Type: application/sdp\r\n\
         Content-Length: 9999\r\n\r\nv=0\r\n",
        false,
    ),
    (
        "3.1.2.3 negative Content-Length",
        "INVITE {uri} SIP/2.0\r\nMax-Forwards: 254\r\nTo: <{uri}>\r\nFrom: <{from}>;tag=32394234\r\nCall-ID: {id}\r\n\
         CSeq: 8 INVITE\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContact: <{from}>\r\nContent-Length: -999\r\n\r\n",
        false,
    ),
    (
        "3.1.2.6 unterminated quoted string",
        "INVITE {uri} SIP/2.0\r\nTo: \"Mr. J. User <{uri}>\r\nFrom: <{from}>;tag=93334\r\nMax-Forwards: 10\r\nCall-ID: {id}\r\n\
         Contact: \"Joe <{from}>\r\nCSeq: 8 INVITE\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "3.1.2.7 <> around the Request-URI",
        "INVITE <{uri}> SIP/2.0\r\nTo: <{uri}>\r\nFrom: <{from}>;tag=39291\r\nMax-Forwards: 23\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\
         Via: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContact: <{from}>\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "3.1.2.16 methods that do not match",
        "INVITE {uri} SIP/2.0\r\nTo: <{uri}>\r\nFrom: <{from}>;tag=34525\r\nMax-Forwards: 6\r\nCall-ID: {id}\r\nCSeq: 8 OPTIONS\r\n\
         Via: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContact: <{from}>\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "3.3.1 missing required header fields",
        "INVITE {uri} SIP/2.0\r\nCSeq: 193942 INVITE\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK{id};rport\r\nContent-Length: 0\r\n\r\n",
        false,
    ),
    (
        "3.4.1 an INVITE of RFC 2543",
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <{from}>;tag=old{id}\r\nTo: <{uri}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 INVITE\r\nContact: <{from}>\r\nContent-Length: 0\r\n\r\n",
        true,
    ),
];

#[test]
fn tortuous_calls_get_through_and_wrong_ones_do_not() {
    stack::test(Options::new(), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        stack.site.apply(&[Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1)])?;
        let agent = Agent::new(stack.site.sip)?;
        let uri = format!("sip:15550100@{}", stack.site.domain("acme"));
        let mut wrong = Vec::new();
        for (number, (section, message, good)) in MESSAGES.iter().enumerate() {
            let id = format!("torture-{number}");
            let text = message.replace("{uri}", &uri).replace("{via}", &agent.address.to_string());
            let text = text.replace("{from}", &format!("sip:caller@{}", agent.address)).replace("{id}", &id);
            agent.send_text(&text)?;
            // Whatever becomes of it, it has become so when the next request is answered and what was let in has arrived.
            let alive = agent.ask(&Request::new("OPTIONS", "sip:alive@x", &format!("alive-{number}")))?;
            ensure!(alive.code() == Some(200), "{section}: {alive:?}");
            let passed = || -> Result<bool> { Ok(!gateway.invites(std::slice::from_ref(&id))?.is_empty()) };
            if *good {
                gateway.await_request(&id, "INVITE")?;
            } else if passed()? {
                wrong.push(*section);
            }
        }
        let admitted = stack.site.status_number("admitted")?;
        let calls = MESSAGES.iter().filter(|(.., good)| *good).count();
        ensure!(
            wrong.is_empty() && admitted == u64::try_from(calls)?,
            "{wrong:?} got through, {admitted} in all"
        );
        Ok(())
    });
}
