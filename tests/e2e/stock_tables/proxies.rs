//! Two proxies asked the same, and what both answered beside what is right.
//!
//! It must never decide what is right: who asks says so.

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use e2e::raw::{Agent, Request};

/// What a caller does when it is challenged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    GivesUp,
    Knows,
    Guesses,
}

impl Caller {
    /// Every kind.
    pub(super) const ALL: [Caller; 3] = [Caller::GivesUp, Caller::Knows, Caller::Guesses];
}

/// What a caller hears. The gateway is busy: a call that got there is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Challenged,
    Forbidden,
    NotFound,
}

/// One call, to one proxy.
fn call(agent: &Agent, call: &Call<'_>, call_id: &str) -> Result<Verdict> {
    let Call { uri, caller, user, password } = *call;
    let request = Request::new("INVITE", uri, call_id);
    let answer = match caller {
        Caller::GivesUp => agent.ask(&request),
        Caller::Knows => agent.ask_as(&request, user, password),
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

/// The proxy with our module, the one with stock modules, and what they said.
pub(super) struct Proxies {
    module: Agent,
    tables: Agent,
    cases: Vec<Case>,
}

/// One call as its caller places it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) uri: &'a str,
    pub(super) caller: Caller,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

impl Proxies {
    /// Agents that call both.
    pub(super) fn new(module: SocketAddr, tables: SocketAddr) -> Result<Proxies> {
        Ok(Proxies { module: Agent::new(module)?, tables: Agent::new(tables)?, cases: Vec::new() })
    }

    /// Places a call with each, and notes what they said.
    pub(super) fn compare(&mut self, name: &str, placed: Call<'_>, right: Verdict) -> Result<()> {
        let number = self.cases.len();
        let name = format!("{name}, caller {:?}", placed.caller);
        let module = call(&self.module, &placed, &format!("module-{number}")).context(name.clone())?;
        let tables = call(&self.tables, &placed, &format!("tables-{number}")).context(name.clone())?;
        self.cases.push(Case { name, module, tables, right });
        Ok(())
    }

    /// Both were right in every case, of which there were at least so many.
    pub(super) fn agree(&self, at_least: usize) -> Result<()> {
        let cases = &self.cases;
        let wrong = cases.iter().filter(|case| case.module != case.right || case.tables != case.right);
        let wrong: Vec<String> = wrong.map(ToString::to_string).collect();
        ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        ensure!(cases.len() >= at_least, "only {} cases", cases.len());
        Ok(())
    }
}
