//! Voice applications through the API, called through both proxies.

use anyhow::{Context, Result};
use e2e::api::Api;
use e2e::gateway::Gateway;
use e2e::stock::{Options, Stock};
use serde_json::{Value, json};

use super::proxies::{Call, Caller, Proxies, Verdict};

/// What an application is made with. Callers come from 127.0.0.1, the node stands in US.
#[derive(Clone, Copy, Debug)]
struct Setup {
    password: bool,
    sources: &'static [&'static str],
    regions: &'static [&'static str],
}

impl Setup {
    fn all() -> Vec<Setup> {
        let sources: [&[&str]; 4] = [&[], &["8.8.8.0/24", "127.0.0.0/8"], &["0.0.0.0/0"], &["8.8.8.0/24"]];
        let regions: [&[&str]; 4] = [&["US"], &["DE", "US"], &["DE"], &[]];
        let mut all = Vec::new();
        for password in [true, false] {
            for sources in sources {
                all.extend(regions.map(|regions| Setup { password, sources, regions }));
            }
        }
        // One that nobody has to prove anything to is refused when it is made.
        all.retain(|setup| setup.password || !setup.sources.is_empty());
        all
    }

    /// What the documents promise.
    fn truth(&self, caller: Caller) -> Verdict {
        let listed = self.sources.is_empty() || self.sources.iter().any(|network| *network != "8.8.8.0/24");
        match self.password {
            _ if !self.regions.contains(&"US") || !listed => Verdict::Forbidden,
            true if caller != Caller::Knows => Verdict::Challenged,
            _ => Verdict::Admitted,
        }
    }
}

/// An application that can be called.
struct Made {
    id: String,
    uri: String,
    password: String,
}

fn make(api: &Api, setup: &Setup, gateway: &Gateway) -> Result<Made> {
    let body = json!({
        "inboundSipCallsEnabled": true,
        "passwordAuthEnabled": setup.password,
        "allowedSourceIps": setup.sources,
        "allowedRegions": setup.regions,
        "cpsLimit": 1000,
        "originationUris": [{"uri": gateway.uri()}],
    });
    let made = api.done("POST", "/v1/voice-applications?wait=applied", &body)?;
    let text = |key: &str| made[key].as_str().map(str::to_owned);
    let (id, uri) = (text("applicationId").context("an id")?, text("sipUri").context("a sipUri")?);
    Ok(Made { id, uri, password: text("sipAuthPassword").unwrap_or_default() })
}

/// The user part of a SIP URI.
fn user(uri: &str) -> &str {
    uri.strip_prefix("sip:").and_then(|rest| rest.split('@').next()).unwrap_or_default()
}

#[test]
fn applications_are_judged_alike() {
    super::test(Options::default(), |stack| {
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let api = Api::of(stack)?;
        let setups = Setup::all();
        let made: Vec<Made> =
            setups.iter().map(|setup| make(&api, setup, &gateway)).collect::<Result<_>>()?;
        let off = make(&api, &setups[0], &gateway)?;
        let path = format!("/v1/voice-applications/{}?wait=applied", off.id);
        api.done("PATCH", &path, &json!({"inboundSipCallsEnabled": false}))?;
        let gone = make(&api, &setups[0], &gateway)?;
        api.done("DELETE", &format!("/v1/voice-applications/{}?wait=applied", gone.id), &Value::Null)?;

        let mut stock = Stock::start(&stack.places, &Options::default(), 1)?;
        let mut proxies = Proxies::new(stack.site.sip, stock.sip)?;
        for (setup, made) in setups.iter().zip(&made) {
            for caller in Caller::ALL {
                let call = Call { uri: &made.uri, caller, user: user(&made.uri), password: &made.password };
                proxies.compare(&format!("{setup:?}"), call, setup.truth(caller))?;
            }
        }
        for (name, made) in [("switched off", &off), ("deleted", &gone)] {
            let call = Call {
                uri: &made.uri,
                caller: Caller::Knows,
                user: user(&made.uri),
                password: &made.password,
            };
            proxies.compare(name, call, Verdict::NotFound)?;
        }
        // The user of one application knows nothing of another's password.
        let (one, other) = (&made[0], &made[1]);
        for (name, user, password) in [
            ("another's user and password", user(&other.uri), other.password.as_str()),
            ("another's password", user(&one.uri), other.password.as_str()),
        ] {
            let call = Call { uri: &one.uri, caller: Caller::Knows, user, password };
            proxies.compare(name, call, Verdict::Challenged)?;
        }
        proxies.agree(80)?;
        stock.child.check()
    });
}
