//! The cases: one folder each under `tests/cases`, with a README, a `case.toml` that says what is tried and what should come
//! of it, and sipp files of its own where those of `tests/scenarios` do not serve.
//!
//! A case must never depend on another one: all of them are played beside each other on one Trunkline.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::artifacts;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name, and the id of its trunk.
    pub name: String,
    /// What is tried and what should come of it.
    pub plan: Plan,
    folder: PathBuf,
}

/// A `case.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The trunk: lines of a trunk file below `[[trunk]]`. Without it, one that lets this machine in.
    pub trunk: Option<String>,
    /// More lines for its account.
    #[serde(default)]
    pub account: String,
    /// A voice application instead of a trunk: lines of a trunk file below `[[voiceApplication]]`.
    pub application: Option<String>,
    /// What the caller does.
    #[serde(default)]
    pub call: Call,
    /// What should come of it.
    pub expect: Expect,
}

/// What the caller and the gateway do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Call {
    /// The caller's folder: of this case when it has a `uac.xml`, else of `tests/scenarios`.
    pub uac: String,
    /// The gateway's. When empty, the trunk has no gateway.
    pub uas: String,
    /// What stands for `@STATUS@` in sipp files, and its first word for `@CODE@`.
    pub status: String,
    /// A header line that stands for `@HEADER@`.
    pub header: String,
    /// Digest user and password.
    pub credential: Option<(String, String)>,
    /// `udp`, `tcp` or `udp6`.
    pub transport: String,
    /// How often the call is placed, one after the other; the last one is looked at.
    pub times: u32,
    /// How many milliseconds an answered call lasts.
    pub talk_ms: u32,
    /// The host of the Request-URI, when it is not the trunk's.
    pub domain: Option<String>,
    /// The user of the Request-URI.
    pub number: String,
}

impl Default for Call {
    fn default() -> Call {
        Call {
            uac: "call".to_owned(),
            uas: "call".to_owned(),
            status: String::new(),
            header: "X-Nothing: at all".to_owned(),
            credential: None,
            transport: "udp".to_owned(),
            times: 1,
            talk_ms: 0,
            domain: None,
            number: "15550100".to_owned(),
        }
    }
}

/// What should come of the last call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expect {
    /// What the caller saw, see `sip::story`.
    pub caller: String,
    /// The text of the final answer's `Reason` header.
    pub reason: Option<String>,
    /// Whether the final answer has a `Retry-After`, and its value is a number of seconds above 0.
    #[serde(default)]
    pub retry_after: bool,
    /// The events of the call, see `Delivery::story`; empty for none.
    pub webhooks: String,
    /// How many INVITEs reached the gateway for it.
    pub invites: Option<usize>,
}

impl Case {
    fn read(folder: &Path) -> Result<Case> {
        let name = folder.file_name().and_then(|name| name.to_str()).context("a folder's name")?.to_owned();
        let text = fs::read_to_string(folder.join("case.toml"))?;
        let plan = ::toml::from_str(&text).with_context(|| format!("{name}/case.toml"))?;
        ensure!(folder.join("README.md").is_file(), "{name} has no README.md");
        Ok(Case { name, plan, folder: folder.to_owned() })
    }

    /// The sipp file for one side, with this case's values in it, as a file of its own in `dir`.
    ///
    /// # Errors
    /// There is none.
    pub fn sipp_file(&self, dir: &Path, role: &str, scenario: &str) -> Result<PathBuf> {
        let own = self.folder.join(format!("{role}.xml"));
        let file = if own.is_file() { own } else { artifacts::scenario_file(scenario, role)? };
        let Call { status, header, .. } = &self.plan.call;
        let code = status.split(' ').next().unwrap_or_default();
        let text = fs::read_to_string(file)?;
        let text = text.replace("@STATUS@", status).replace("@CODE@", code).replace("@HEADER@", header);
        let to = dir.join(format!("{}-{role}.xml", self.name));
        fs::write(&to, text)?;
        Ok(to)
    }

    /// Its trunk file. `gateway` is the gateway's URI, `hook` the webhook's URL and secret.
    #[must_use]
    pub fn trunk_file(&self, gateway: Option<&str>, hook: (&str, &str)) -> String {
        let Case { name, plan, .. } = self;
        let mut text = format!("[[account]]\naccountId = \"{name}\"\nname = \"{name}\"\n{}\n", plan.account);
        let (url, secret) = hook;
        let hook = format!("webhookUrl = \"{url}\"\nwebhookSecret = \"{secret}\"\n");
        let (table, id, own) = match (&plan.application, &plan.trunk) {
            (Some(own), _) => ("voiceApplication", "applicationId", own.as_str()),
            (None, Some(own)) => ("trunk", "trunkId", own.as_str()),
            (None, None) => ("trunk", "trunkId", LETS_IN),
        };
        let label = if table == "trunk" { "name" } else { "applicationName" };
        text +=
            &format!("[[{table}]]\n{id} = \"{name}\"\naccountId = \"{name}\"\n{label} = \"{name}\"\n{hook}");
        for (key, value) in [("concurrentCallsLimit", "1000"), ("cpsLimit", "1000")] {
            if !own.contains(key) {
                text += &format!("{key} = {value}\n");
            }
        }
        text += own;
        if let Some(uri) = gateway {
            text += &format!("\n[[{table}.originationUris]]\nuri = \"{uri}\"\n");
        }
        text
    }
}

/// A trunk for whoever calls from this machine.
const LETS_IN: &str = "[[trunk.ipAcls]]\nipAddress = \"127.0.0.1\"\n";

/// All of them, by name.
///
/// # Errors
/// One is not whole.
pub fn all() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(artifacts::root().join("tests/cases"))? {
        let path = entry?.path();
        if path.is_dir() {
            cases.push(Case::read(&path).with_context(|| path.display().to_string())?);
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}
