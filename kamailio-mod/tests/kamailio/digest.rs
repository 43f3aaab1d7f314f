//! Passwords: asked for, proved, refused, with both digest algorithms. A token or a slot is never spent before.

use md5::{Digest as _, Md5};
use sha2::Sha256;
use trunk_admission::Reason;
use trunk_admission::events::Body;
use trunk_admission::model::{AuthMode, Credential, Trunk};

use crate::host::{Host, Settings};
use crate::sip::{Message, Phone};
use crate::site::{DOMAIN, Site, trunk};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Copy)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
        }
    }

    /// The header that answers a challenge.
    fn prove(self, challenge: &Message, user: &str, password: &str) -> String {
        let line = challenge.one("Proxy-Authenticate");
        let part = |name: &str| {
            let (_, rest) =
                line.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {line}"));
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        let (realm, nonce, uri) = (part("realm"), part("nonce"), format!("sip:100@{DOMAIN}"));
        assert_eq!(realm, DOMAIN);
        let ha1 = self.hash(&format!("{user}:{realm}:{password}"));
        let ha2 = self.hash(&format!("INVITE:{uri}"));
        let response = self.hash(&format!("{ha1}:{nonce}:00000001:c0ffee:auth:{ha2}"));
        let name = match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        };
        format!(
            "Proxy-Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={name}, qop=auth, nc=00000001, cnonce=\"c0ffee\""
        )
    }
}

fn guarded(gateway: &Phone) -> Trunk {
    let text = format!("pbx:{DOMAIN}:correct horse");
    let credential = Credential {
        username: "pbx".into(),
        ha1_md5: Md5::digest(&text).into(),
        ha1_sha256: Sha256::digest(&text).into(),
    };
    Trunk { auth: AuthMode::Password, credentials: vec![credential], ..trunk(&[gateway.address]) }
}

fn scene(algorithm: &str) -> (Site, Host, Phone, Phone) {
    let gateway = Phone::idle();
    let modparams =
        format!("modparam(\"auth\", \"algorithm\", \"{algorithm}\")\nmodparam(\"auth\", \"qop\", \"auth\")");
    let (site, host) = Site::start(guarded(&gateway), &Settings { modparams, ..Settings::default() });
    let caller = Phone::new(host.address);
    (site, host, caller, gateway)
}

#[test]
fn the_right_password_lets_the_call_in() {
    for (name, algorithm) in [("MD5", Algorithm::Md5), ("SHA-256", Algorithm::Sha256)] {
        let (mut site, host, caller, gateway) = scene(name);
        let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
        let challenge = caller.expect_final(&mut call);
        assert_eq!(challenge.code(), Some(407));
        site.assert_quiet();
        assert_eq!(host.status("calls"), 0);
        caller.invite_again(&mut call, &algorithm.prove(&challenge, "pbx", "correct horse"));
        let invite = gateway.expect("INVITE");
        assert_eq!(invite.one("Proxy-Authorization"), "", "the digest was for us");
        site.initiated();
        assert_eq!(host.status("calls"), 1);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let (mut site, host, caller, _gateway) = scene("MD5");
    let mut answers = Vec::new();
    for (user, password) in [("pbx", "wrong"), ("nobody", "correct horse")] {
        let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
        let challenge = caller.expect_final(&mut call);
        caller.invite_again(&mut call, &Algorithm::Md5.prove(&challenge, user, password));
        let answer = caller.expect_final(&mut call);
        answers.push((answer.start.clone(), answer.one("X-Why").to_owned()));
        let event = site.event();
        let Body::Initiated(refused) = event.body else { panic!("{event:?}") };
        assert_eq!(refused.reason, Some(Reason::BadCredentials));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, "SIP/2.0 407 Proxy Authentication Required");
    assert_eq!(host.status("calls"), 0);
}

#[test]
fn a_nonce_that_is_not_ours_is_a_new_challenge() {
    let (mut site, _host, caller, _gateway) = scene("MD5");
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let challenge = caller.expect_final(&mut call);
    let header = Algorithm::Md5.prove(&challenge, "pbx", "correct horse");
    let (before, rest) = header.split_once("nonce=\"").expect("a nonce");
    let forged = format!("{before}nonce=\"X{}", &rest[1..]);
    caller.invite_again(&mut call, &forged);
    let answer = caller.expect_final(&mut call);
    assert_eq!(answer.code(), Some(407));
    assert!(!answer.one("Proxy-Authenticate").is_empty());
    site.assert_quiet();
}
