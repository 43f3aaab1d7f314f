//! The table: a message for each section of RFC 4475, and what becomes of it over UDP.
//!
//! A line must never be made milder because it fails. Where Kamailio 5.6's parser is stricter than the RFC, the line says so.

use super::Fate::{Answer, Call, Nothing};
use super::{Fate, Torture};

const fn line(section: &'static str, fate: Fate, first: &'static str, rest: &'static str) -> Torture {
    Torture { section, fate, first, rest }
}

const INVITE: &str = "INVITE sip:15550100@{domain} SIP/2.0";
const OPTIONS: &str = "OPTIONS sip:t@{domain} SIP/2.0";
const REGISTER: &str = "REGISTER sip:{domain} SIP/2.0";

/// All of them, in the order of the RFC.
pub const ALL: &[Torture] = &[
    line(
        "3.1.1.1 a short tortuous INVITE, its CSeq on one line",
        Call,
        INVITE,
        "TO :\n <sip:15550100@{domain}>\nfrom   : \"J Rosenberg \\\\\\\"\"       <sip:t@{own}>\n  ;\n  tag = {id}\nMaX-fOrWaRdS: 0068\nID\nContent-Length   : 0\ncseq: 0009 INVITE\nVia  : SIP  /   2.0\n /{transport}\n    {own};branch=z9hG4bK{id};rport\ns :\nNewFangledHeader:   newfangled value\n continued newfangled value\nUnknownHeaderWithUnusualValue: ;;,,;;,;\nRoute:\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\nm:\"Quoted string \\\"\\\"\" <sip:t@{own}> ; newparam =\n      newvalue ;\n  secondparam ; q = 0.33",
    ),
    line(
        "3.1.1.1 a CSeq on two lines: valid, and yet Kamailio's parser (core/parser/parse_cseq.c) does not read it",
        Nothing,
        INVITE,
        "VIA\nTO\nFROM\nID\nCSeq: 0009\n  INVITE\nHOPS\nCONTACT\nEMPTY",
    ),
    line(
        "3.1.1.2 every character that a method, a URI and a header may have: valid, and yet Kamailio's parser does not read that header's name",
        Nothing,
        "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@{domain} SIP/2.0",
        "VIA\nTo: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@{domain}>\nFrom: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\nCall-ID: {id}.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\nCSEQ\nMax-Forwards: 255\nextensionHeader-!.%*+_`'~:\u{feff}大停電\nEMPTY",
    ),
    line(
        "3.1.1.3 escapes in the user part",
        Call,
        "INVITE sip:sips%3Auser%40example.com@{domain} SIP/2.0",
        "VIA\nTo: sip:%75se%72@{domain}\nFrom: <sip:I%20have%20spaces@example.net>;tag={id}\nMax-Forwards: 87\ni: {id}\nCSeq: 234234 INVITE\nContact:\n  <sip:cal%6Cer@{own};%6C%72;n%61me=v%61lue%25%34%31>\nSDP",
    ),
    line(
        "3.1.1.4 escaped nulls",
        Answer(405),
        REGISTER,
        "VIA\nTo: sip:null-%00-null@example.com\nFrom: sip:null-%00-null@example.com;tag={id}\nHOPS\nID\nCSEQ\nContact: <sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>\nL:0",
    ),
    line(
        "3.1.1.5 percent signs that are no escapes: valid, and yet Kamailio's parser does not read that header's name",
        Nothing,
        "RE%47IST%45R sip:{domain} SIP/2.0",
        "VIA\nTo: \"%Z%45\" <sip:resource@example.com>\nFrom: \"%Z%45\" <sip:resource@example.com>;tag={id}\nID\nCSEQ\nHOPS\nContact: <sip:alias1@host1.example.com>\nC%6Fntact: <sip:alias2@host2.example.com>\nContact: <sip:alias3@host3.example.com>\nl: 0",
    ),
    line(
        "3.1.1.6 no space between a display name and <",
        Answer(200),
        OPTIONS,
        "VIA\nTo: sip:user@example.com\nFrom: caller<sip:caller@example.com>;tag={id}\nHOPS\nID\nCSEQ\nl: 0",
    ),
    line(
        "3.1.1.7 long values, and very many",
        Call,
        INVITE,
        "VIA\nTo: \"I have a user name of {long} proportion\"<sip:15550100@{domain}:6000;unknownparam1=very{long}value;longparam{long}name=shortvalue;very{long}ParameterNameWithNoValue>\nF: sip:amazingly{long}callername@example.net;tag={id};unknownheaderparam{long}name=unknown{long}value;unknownValueless{long}paramname\nID\nCSeq: 3882340 INVITE\nUnknown-{long}-Name: unknown-{long}-value; unknown-{long}-parameter-name = unknown-{long}-parameter-value\nv: SIP/2.0/TCP sip32.example.com\nV: SIP/2.0/TCP sip31.example.com\nViA: SIP/2.0/TCP sip29.example.com\nVIa: SIP/2.0/TCP sip28.example.com\nvIA: SIP/2.0/TCP sip23.example.com\nV :  SIP/2.0/TCP sip22.example.com\nv  : SIP/2.0/TCP sip19.example.com\nVia  : SIP/2.0/TCP sip17.example.com\nVia: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{long}branchvalue\nHOPS\nContact: <sip:amazingly{long}callername@host5.example.net>\nSDP",
    ),
    line(
        "3.1.1.8 another request after the end of this one, in the same datagram: RFC 3261 section 18.3 would have it thrown away, Kamailio's sanity is stricter",
        Answer(400),
        REGISTER,
        "VIA\nTo: sip:j.user@example.com\nFrom: sip:j.user@example.com;tag={id}\nMax-Forwards: 8\nI: {id}\nContact: sip:j.user@host.example.com\nCSEQ\nContent-Length: 0\n\n\nINVITE sip:15550100@{domain} SIP/2.0\nt: sip:15550100@{domain}\nFrom: sip:caller@example.net;tag=141334\nMax-Forwards: 8\nCall-ID: dblreq-{id}\nCSeq: 8 INVITE\nVia: SIP/2.0/{transport} {own};branch=z9hG4bKdbl{id}\nContent-Length: 0",
    ),
    line(
        "3.1.1.9 a semicolon and an escaped @ in the user part",
        Answer(200),
        "OPTIONS sip:user;par=u%40example.net@{domain} SIP/2.0",
        "VIA\nTo: sip:j_user@example.com\nFrom: sip:caller@example.org;tag={id}\nMax-Forwards: 3\nID\nCSEQ\nAccept: application/sdp, application/pkcs7-mime,\n        multipart/mixed, multipart/signed,\n        message/sip, message/sipfrag\nl: 0",
    ),
    line(
        "3.1.1.10 every transport there is, and one that is not",
        Answer(200),
        OPTIONS,
        "VIA\nVia: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf\nVia: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj\nVia: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en\nVia: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee\nTO\nFROM\nHOPS\nID\nCSEQ\nl: 0",
    ),
    line(
        "3.1.1.11 a body of several parts, one of them binary",
        Answer(405),
        "MESSAGE sip:t@{domain} SIP/2.0",
        "VIA\nHOPS\nTO\nFROM\nID\nCSEQ\nContent-Type: multipart/mixed;boundary=7a9cbec02ceef655\nContent-Transfer-Encoding: binary\nContent-Length: 108\n\n--7a9cbec02ceef655\nContent-Type: text/plain\n\nHello\n--7a9cbec02ceef655\n\n\u{1}\0\u{1}\u{1}\0\n--7a9cbec02ceef655--",
    ),
    line(
        "3.1.1.12 a reason phrase of any characters",
        Nothing,
        "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое",
        "VIA\nTO\nFROM\nID\nCSeq: 35 INVITE\nCONTACT\nSDP",
    ),
    line(
        "3.1.1.13 no reason phrase",
        Nothing,
        "SIP/2.0 100 ",
        "VIA\nTO\nFROM\nID\nCSeq: 35 INVITE\nCONTACT\nEMPTY",
    ),
    line(
        "3.1.2.1 separators without anything between them",
        Nothing,
        INVITE,
        "Via: SIP/2.0/{transport} {own};;,;,,\nTO\nFROM\nMax-Forwards: 7\nID\nCSEQ\nContact: \"Joe\" <sip:joe@example.org>;;;;\nSDP",
    ),
    line(
        "3.1.2.2 a Content-Length beyond the end",
        Answer(400),
        INVITE,
        "VIA\nMax-Forwards: 80\nTO\nFROM\nCONTACT\nID\nCSEQ\nContent-Type: application/sdp\nContent-Length: 9999\n\nv=0",
    ),
    line(
        "3.1.2.3 a negative Content-Length",
        Nothing,
        INVITE,
        "VIA\nMax-Forwards: 254\nTO\nFROM\nID\nCSeq: 0 INVITE\nCONTACT\nContent-Type: application/sdp\nContent-Length: -999\n\nv=0",
    ),
    line(
        "3.1.2.4 numbers that do not fit, in a request",
        Answer(400),
        REGISTER,
        "VIA\nTO\nFROM\nCSeq: 36893488147419103232 REGISTER\nID\nMax-Forwards: 300\nExpires: 10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\nContact: <sip:user@host129.example.com>\n  ;expires=280297596632815\nEMPTY",
    ),
    line(
        "3.1.2.5 numbers that do not fit, in an answer",
        Nothing,
        "SIP/2.0 503 Service Unavailable",
        "VIA\nTO\nFROM\nCSeq: 9292394834772304023312 OPTIONS\nID\nRetry-After: 949302838503028349304023988\nWarning: 1812 overture \"In Progress\"\nEMPTY",
    ),
    line(
        "3.1.2.6 quotes that do not end",
        Nothing,
        INVITE,
        "VIA\nTo: \"Mr. J. User <sip:15550100@{domain}>\nFROM\nMax-Forwards: 10\nID\nContact: <sip:t@{own}>\nCSEQ\nSDP",
    ),
    line(
        "3.1.2.7 <> around the Request-URI",
        Answer(400),
        "INVITE <sip:15550100@{domain}> SIP/2.0",
        "VIA\nTO\nFROM\nMax-Forwards: 23\nID\nCSEQ\nCONTACT\nSDP",
    ),
    line(
        "3.1.2.8 white space inside the Request-URI",
        Nothing,
        "INVITE sip:15550100@{domain}; lr SIP/2.0",
        "VIA\nTo: <sip:15550100@{domain}>;tag=3xfe-9921883-z9f\nFROM\nMax-Forwards: 5\nID\nCSeq: 2130706432 INVITE\nCONTACT\nSDP",
    ),
    line(
        "3.1.2.9 two spaces in the request line",
        Nothing,
        "INVITE  sip:15550100@{domain}  SIP/2.0",
        "VIA\nMax-Forwards: 8\nTO\nFROM\nID\nCSEQ\nCONTACT\nSDP",
    ),
    line(
        "3.1.2.10 spaces after the request line",
        Answer(200),
        "OPTIONS sip:t@{domain} SIP/2.0  ",
        "VIA\nTO\nFROM\nID\nAccept: application/sdp\nCSEQ\nHOPS\nEMPTY",
    ),
    line(
        "3.1.2.11 headers in the Request-URI, which no gateway sees",
        Call,
        "INVITE sip:15550100@{domain}?Route=%3Csip:example.com%3E SIP/2.0",
        "VIA\nTO\nFROM\nMax-Forwards: 7\nCONTACT\nID\nCSEQ\nSDP",
    ),
    line(
        "3.1.2.12 a Date in another zone than GMT",
        Call,
        INVITE,
        "VIA\nTO\nFROM\nHOPS\nID\nCSEQ\nDate: Fri, 01 Jan 2010 16:00:00 EST\nCONTACT\nSDP",
    ),
    line(
        "3.1.2.13 a Contact that should have been in <>",
        Answer(405),
        REGISTER,
        "VIA\nTO\nFROM\nHOPS\nID\nCSeq: 1 REGISTER\nContact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\nl: 0",
    ),
    line(
        "3.1.2.14 spaces inside <>",
        Answer(200),
        OPTIONS,
        "VIA\nHOPS\nFrom: \"Bell, Alexander\" <sip:a.g.bell@example.com>;tag={id}\nTo: \"Watson, Thomas\" < sip:t.watson@example.org >\nID\nAccept: application/sdp\nCSEQ\nl: 0",
    ),
    line(
        "3.1.2.15 a comma in a name without quotes",
        Answer(200),
        OPTIONS,
        "VIA\nMax-Forwards:      70\nFrom:    Bell, Alexander <sip:a.g.bell@example.com>;tag={id}\nTo:      Watson, Thomas <sip:t.watson@example.org>\nID\nAccept: application/sdp\nCSEQ\nl: 0",
    ),
    line(
        "3.1.2.16 another version of SIP",
        Nothing,
        "OPTIONS sip:t@{domain} SIP/7.0",
        "Via:     SIP/7.0/{transport} {own};branch=z9hG4bK{id}\nHOPS\nTO\nFROM\nID\nCSEQ\nl: 0",
    ),
    line(
        "3.1.2.17 two methods that do not agree",
        Answer(400),
        OPTIONS,
        "VIA\nTO\nFROM\nMax-Forwards: 6\nID\nCSeq: 8 INVITE\nl: 0",
    ),
    line(
        "3.1.2.18 two methods that do not agree, one of them unknown",
        Answer(400),
        "NEWMETHOD sip:15550100@{domain} SIP/2.0",
        "VIA\nTO\nFROM\nMax-Forwards: 6\nID\nCSeq: 8 INVITE\nCONTACT\nSDP",
    ),
    line(
        "3.1.2.18 two methods that do not agree, an INVITE",
        Answer(400),
        INVITE,
        "VIA\nTO\nFROM\nMax-Forwards: 6\nID\nCSeq: 8 OPTIONS\nCONTACT\nEMPTY",
    ),
    line(
        "3.1.2.19 a status code that does not fit",
        Nothing,
        "SIP/2.0 4294967301 better not break the receiver",
        "VIA\nTO\nFROM\nID\nCSeq: 353494 INVITE\nCONTACT\nEMPTY",
    ),
    line(
        "3.2.1 a branch that is nothing but the cookie",
        Answer(200),
        OPTIONS,
        "Via: SIP/2.0/{transport} {own};branch=z9hG4bK;rport\nTO\nFROM\nMax-Forwards: 3\nAccept: application/sdp\nID\nCSEQ\nl: 0",
    ),
    line("3.3.1 headers are missing that must be there", Nothing, INVITE, "VIA\nCSeq: 193942 INVITE\nSDP"),
    line(
        "3.3.2 a scheme that nobody knows",
        Answer(400),
        "OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0",
        "VIA\nTO\nFROM\nMax-Forwards: 3\nID\nCSEQ\nEMPTY",
    ),
    line(
        "3.3.3 a scheme that is known, and not for SIP",
        Answer(400),
        "OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0",
        "VIA\nTO\nFROM\nMax-Forwards: 3\nID\nCSEQ\nEMPTY",
    ),
    line(
        "3.3.4 schemes that nobody knows in To, From and Contact",
        Answer(400),
        REGISTER,
        "VIA\nTo: isbn:2983792873\nFrom: <http://www.example.com>;tag={id}\nID\nCSEQ\nHOPS\nContact: <name:John_Smith>\nl: 0",
    ),
    line(
        "3.3.5 extensions that nobody supports",
        Answer(420),
        OPTIONS,
        "VIA\nTO\nFROM\nMax-Forwards: 6\nID\nRequire: nothingSupportsThis, nothingSupportsThisEither\nProxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\nCSEQ\nEMPTY",
    ),
    line(
        "3.3.6 a body of a kind that nobody knows, which is for the far side to say",
        Call,
        INVITE,
        "VIA\nCONTACT\nTO\nFROM\nHOPS\nID\nCSEQ\nContent-Type: application/unknownformat\nContent-Length: 42\n\n<audio>\n <pcmu port=\"443\"/>\n</audio>",
    ),
    line(
        "3.3.7 a scheme of authentication that nobody knows",
        Answer(405),
        REGISTER,
        "VIA\nTO\nFROM\nMax-Forwards: 8\nID\nCSEQ\nAuthorization: NoOneKnowsThisScheme opaque-data=here\nContent-Length:0",
    ),
    line(
        "3.3.8 several of what there may be one of",
        Nothing,
        INVITE,
        "VIA\nCONTACT\nHOPS\nCSeq: 5 INVITE\nID\nCSeq: 59 INVITE\nCall-ID: other-{id}\nFROM\nTO\nTo: sip:other@example.net\nFrom: sip:caller@example.net;tag=2923420123\nSDP\nContact: <sip:caller@host36.example.net>\nMax-Forwards: 5",
    ),
    line(
        "3.3.9 two lengths",
        Nothing,
        OPTIONS,
        "VIA\nTO\nFROM\nID\nCSEQ\nContent-Length: 13\nMax-Forwards: 60\nContent-Length: 5\nContent-Type: text/plain\n\nThere's no way to know how many octets are supposed to be here.",
    ),
    line(
        "3.3.10 an answer that would go to everybody",
        Nothing,
        "SIP/2.0 200 OK",
        "VIA\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\nTO\nFROM\nID\nCSeq: 35 INVITE\nCONTACT\nSDP",
    ),
    line("3.3.11 no hop left", Answer(483), OPTIONS, "VIA\nTO\nFROM\nID\nCSEQ\nMax-Forwards: 0\nEMPTY"),
    line(
        "3.3.12 a parameter of a Contact without <>",
        Answer(405),
        REGISTER,
        "VIA\nTO\nFROM\nID\nCSEQ\nHOPS\nContact: sip:+19725552222@gw1.example.net;unknownparam\nl: 0",
    ),
    line(
        "3.3.13 a parameter of a URI inside <>",
        Answer(405),
        REGISTER,
        "VIA\nTO\nFROM\nID\nCSEQ\nHOPS\nContact: <sip:+19725552222@gw1.example.net;unknownparam>\nl: 0",
    ),
    line(
        "3.3.14 headers in a Contact",
        Answer(405),
        REGISTER,
        "VIA\nTO\nFROM\nID\nCSEQ\nHOPS\nM: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\nL:0",
    ),
    line(
        "3.3.15 an Accept that no answer can satisfy, which is for the far side to say",
        Call,
        INVITE,
        "VIA\nTO\nFROM\nMax-Forwards: 5\nID\nAccept: text/nobodyKnowsThis\nCSEQ\nCONTACT\nSDP",
    ),
    line(
        "3.4.1 an INVITE of RFC 2543: no branch, no tag, no Contact, no length",
        Answer(400),
        INVITE,
        "Via: SIP/2.0/{transport} {own}\nFrom: <sip:+13035551111@ift.client.example.net;user=phone>\nRecord-Route: <sip:UserB@example.com;maddr=ss1.example.com>\nTo: <sip:15550100@{domain};user=phone>\nID\nCSeq: 56 INVITE",
    ),
    line(
        "3.4.1 the same with a tag",
        Answer(400),
        INVITE,
        "Via: SIP/2.0/{transport} {own}\nFrom: <sip:+13035551111@ift.client.example.net>;tag={id}\nTo: <sip:15550100@{domain}>\nID\nCSeq: 56 INVITE",
    ),
    line(
        "3.4.1 the same with a tag and a Contact, without which there is no dialog",
        Call,
        INVITE,
        "Via: SIP/2.0/{transport} {own}\nFrom: <sip:+13035551111@ift.client.example.net;user=phone>;tag={id}\nTo: <sip:15550100@{domain};user=phone>\nID\nCONTACT\nCSeq: 56 INVITE",
    ),
];
