//! One table of cases, two proxies: whoever may call through the module may call through the tables, and nobody else.
//!
//! The verdict that is right is told by `truth`, which is written from the rules for customers.

use anyhow::Result;
use e2e::gateway::Gateway;
use e2e::stock::{Options, Stock};
use e2e::toml::Trunk;

use super::proxies::{Call, Caller, Proxies, Verdict};

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

const MODES: [&str; 4] = ["any", "all", "password", "ip"];
const SOURCES: [Sources; 6] = {
    use Sources::*;
    [None, Listed, Network, Everybody, Others, SwitchedOff]
};
const USERS: [Users; 3] = [Users::None, Users::One, Users::SwitchedOff];
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

#[test]
fn stock_modules_reach_the_verdicts_of_the_module() {
    super::test(Options::default(), |stack| {
        let gateway = Gateway::playing(stack.dir(), "gateway", "busy")?;
        let setups = Setup::all();
        let trunks: Vec<Trunk> = setups.iter().map(|setup| setup.trunk(&gateway)).collect();
        stack.site.apply(&trunks)?;
        let mut stock = Stock::start(&stack.places, &Options::default(), 1)?;
        let mut proxies = Proxies::new(stack.site.sip, stock.sip)?;
        for setup in &setups {
            let uri = format!("sip:15550100@{}", stack.site.domain(&setup.id()));
            for caller in Caller::ALL {
                let call = Call { uri: &uri, caller, user: "pbx", password: PASSWORD };
                proxies.compare(&format!("{setup:?}"), call, setup.truth(caller))?;
            }
        }
        others(&mut proxies, stack.site.base_domain.as_str())?;
        proxies.agree(260)?;
        stock.child.check()
    });
}

/// What is no setup of a trunk: other names, and users of elsewhere.
fn others(proxies: &mut Proxies, base: &str) -> Result<()> {
    let uri = |host: &str| format!("sip:15550100@{host}");
    let of = |trunk: &str| uri(&format!("{trunk}.{base}"));
    let password = "password-none-one-on";
    let mut compare = |name: &str, uri: &str, user: &str, right| {
        let caller = if user.is_empty() { Caller::GivesUp } else { Caller::Knows };
        proxies.compare(name, Call { uri, caller, user, password: PASSWORD }, right)
    };
    use Verdict::{Admitted, Challenged, NotFound};
    compare("nobody's domain", &of("nobody"), "", NotFound)?;
    compare("a domain of elsewhere", &uri("example.com"), "", NotFound)?;
    compare("an inbound URI of nobody", &uri(&format!("in.{base}")), "", NotFound)?;
    compare("a domain in capitals", &of("ANY-Listed-NONE-on"), "", Admitted)?;
    compare("a password, the domain in capitals", &of(&password.to_uppercase()), "pbx", Admitted)?;
    compare("an unknown user", &of(password), "nobody", Challenged)?;
    for other in [password, "all-listed-one-on", "ip-none-none-on"] {
        // A user name that says where it is to be looked up.
        compare("a user of a named domain", &of(password), &format!("pbx@{other}.{base}"), Challenged)?;
    }
    Ok(())
}
