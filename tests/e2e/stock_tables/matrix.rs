//! One table of cases, two proxies: whoever may call through the module may call through the tables, and nobody else.
//!
//! The verdict that is right is told by `truth`, which is written from the rules for customers.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use e2e::gateway::Gateway;
use e2e::raw::{Agent, Request};
use e2e::stock::{Options, Stock};
use e2e::toml::Trunk;

/// What a trunk lists. Callers come from 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sources {
    None,
    Listed,
    Network,
    Everybody,
    Others,
    SwitchedOff,
}

/// Which digest user a trunk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    None,
    One,
    SwitchedOff,
}

/// What a caller does when it is challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    GivesUp,
    Knows,
    Guesses,
}

/// What is switched off above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    On,
    TrunkOff,
    AccountOff,
    Elsewhere,
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setup {
    mode: &'static str,
    sources: Sources,
    users: Users,
    switch: Switch,
}

/// What a caller hears. The gateway is busy: a call that got there is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Admitted,
    Challenged,
    Forbidden,
    NotFound,
}

const MODES: [&str; 4] = ["any", "all", "password", "ip"];
const SOURCES: [Sources; 6] = {
    use Sources::*;
    [None, Listed, Network, Everybody, Others, SwitchedOff]
};
const USERS: [Users; 3] = [Users::None, Users::One, Users::SwitchedOff];
const CALLERS: [Caller; 3] = [Caller::GivesUp, Caller::Knows, Caller::Guesses];
const PASSWORD: &str = "correct horse battery";

impl Setup {
    fn all() -> Vec<Setup> {
        let mut all = Vec::new();
        for mode in MODES {
            for sources in SOURCES {
                all.extend(USERS.map(|users| Setup { mode, sources, users, switch: Switch::On }));
            }
            for switch in [Switch::TrunkOff, Switch::AccountOff, Switch::Elsewhere, Switch::Nowhere] {
                all.push(Setup { mode, sources: Sources::Listed, users: Users::One, switch });
            }
        }
        all
    }

    fn id(&self) -> String {
        let Setup { mode, sources, users, switch } = self;
        format!("{mode}-{sources:?}-{users:?}-{switch:?}").to_lowercase()
    }

    fn trunk(&self, gateway: &Gateway) -> Trunk {
        let trunk = Trunk::new(&self.id()).key("authMode", &format!("\"{}\"", self.mode));
        let trunk = match self.switch {
            Switch::On => trunk.key("allowedRegions", "[\"DE\", \"US\"]"),
            Switch::TrunkOff => trunk.key("enabled", "false"),
            Switch::AccountOff => trunk.account("enabled", "false"),
            Switch::Elsewhere => trunk.key("allowedRegions", "[\"DE\"]"),
            Switch::Nowhere => trunk.key("allowedRegions", "[]"),
        };
        let trunk = match self.sources {
            Sources::None => trunk,
            Sources::Listed => trunk.source("192.0.2.1").source("127.0.0.1"),
            Sources::Network => trunk.source("127.0.0.0/8"),
            Sources::Everybody => trunk.source("0.0.0.0/0"),
            Sources::Others => trunk.source("192.0.2.0/24").source("128.0.0.0/1").source("::/0"),
            Sources::SwitchedOff => trunk.source("127.0.0.1").switched_off(),
        };
        let trunk = match self.users {
            Users::None => trunk,
            Users::One => trunk.credential("pbx", PASSWORD),
            Users::SwitchedOff => trunk.credential("pbx", PASSWORD).switched_off(),
        };
        trunk.gateway(&gateway.uri(), 1)
    }

    /// What the documents promise.
    fn truth(&self, caller: Caller) -> Verdict {
        if self.switch != Switch::On {
            return Verdict::Forbidden;
        }
        let some_source = !matches!(self.sources, Sources::None | Sources::SwitchedOff);
        let listed = some_source && self.sources != Sources::Others;
        let some_user = self.users == Users::One;
        let proves = if caller == Caller::Knows { Verdict::Admitted } else { Verdict::Challenged };
        match (self.mode, listed, some_user) {
            ("any" | "ip", true, _) => Verdict::Admitted,
            ("any" | "password", _, true) | ("all", true, true) => proves,
            _ => Verdict::Forbidden,
        }
    }
}

/// One call, to one proxy.
fn call(agent: &Agent, uri: &str, call_id: &str, caller: Caller, user: &str) -> Result<Verdict> {
    let request = Request::new("INVITE", uri, call_id);
    let answer = match caller {
        Caller::GivesUp => agent.ask(&request),
        Caller::Knows => agent.ask_as(&request, user, PASSWORD),
        Caller::Guesses => agent.ask_as(&request, user, "wrong horse battery"),
    }?;
    Ok(match answer.code().context("no code")? {
        486 => Verdict::Admitted,
        407 => Verdict::Challenged,
        403 => Verdict::Forbidden,
        404 => Verdict::NotFound,
        other => bail!("{uri}, {caller:?}: {other} is no verdict: {answer:?}"),
    })
}

/// Both proxies' verdicts beside the one that is right.
struct Case {
    name: String,
    module: Verdict,
    tables: Verdict,
    right: Verdict,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { name, module, tables, right } = self;
        write!(f, "{name}: module {module:?}, stock modules {tables:?}, right is {right:?}")
    }
}

struct Proxies {
    module: Agent,
    tables: Agent,
    cases: Vec<Case>,
}

impl Proxies {
    fn compare(&mut self, name: &str, uri: &str, caller: Caller, user: &str, right: Verdict) -> Result<()> {
        let number = self.cases.len();
        let name = format!("{name}, caller {caller:?}");
        let module =
            call(&self.module, uri, &format!("module-{number}"), caller, user).context(name.clone())?;
        let tables =
            call(&self.tables, uri, &format!("tables-{number}"), caller, user).context(name.clone())?;
        self.cases.push(Case { name, module, tables, right });
        Ok(())
    }
}

#[test]
fn stock_modules_reach_the_verdicts_of_the_module() {
    super::test(Options::default(), |stack| {
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let setups = Setup::all();
        let trunks: Vec<Trunk> = setups.iter().map(|setup| setup.trunk(&gateway)).collect();
        stack.site.apply(&trunks)?;
        let mut stock = Stock::start(&stack.places, &Options::default(), 1)?;
        let (module, tables) = (Agent::new(stack.site.sip)?, Agent::new(stock.sip)?);
        let mut proxies = Proxies { module, tables, cases: Vec::new() };
        for setup in &setups {
            let uri = format!("sip:15550100@{}", stack.site.domain(&setup.id()));
            for caller in CALLERS {
                proxies.compare(&format!("{setup:?}"), &uri, caller, "pbx", setup.truth(caller))?;
            }
        }
        others(&mut proxies, stack.site.base_domain.as_str())?;
        let cases = &proxies.cases;
        let wrong: Vec<String> = cases
            .iter()
            .filter(|case| case.module != case.right || case.tables != case.right)
            .map(ToString::to_string)
            .collect();
        ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        ensure!(cases.len() >= 60, "{} cases", cases.len());
        stock.child.check()
    });
}

/// What is no setup of a trunk: other names, and users of elsewhere.
fn others(proxies: &mut Proxies, base: &str) -> Result<()> {
    let uri = |host: &str| format!("sip:15550100@{host}");
    let of = |trunk: &str| uri(&format!("{trunk}.{base}"));
    let password = "password-none-one-on";
    use Caller::{GivesUp, Knows};
    use Verdict::{Admitted, Challenged, NotFound};
    proxies.compare("nobody's domain", &of("nobody"), GivesUp, "pbx", NotFound)?;
    proxies.compare("a domain of elsewhere", &uri("example.com"), GivesUp, "pbx", NotFound)?;
    proxies.compare("an inbound URI of nobody", &uri(&format!("in.{base}")), GivesUp, "pbx", NotFound)?;
    let loud = "ANY-Listed-NONE-on";
    proxies.compare("a domain in capitals", &of(loud), GivesUp, "pbx", Admitted)?;
    proxies.compare(
        "a password, the domain in capitals",
        &of(&password.to_uppercase()),
        Knows,
        "pbx",
        Admitted,
    )?;
    proxies.compare("an unknown user", &of(password), Knows, "nobody", Challenged)?;
    proxies.compare("an empty user", &of(password), Knows, "", Challenged)?;
    for other in [password, "all-listed-one-on", "ip-none-none-on"] {
        // A user name that says where it is to be looked up.
        let user = format!("pbx@{other}.{base}");
        proxies.compare("a user of a named domain", &of(password), Knows, &user, Challenged)?;
    }
    Ok(())
}
