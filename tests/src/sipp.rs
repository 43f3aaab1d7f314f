//! Callers: sipp with a scenario file, and what its message log says afterwards.
//!
//! It must never trust sipp's own verdict alone: the codes that crossed the wire are read from the log.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::child::Child;
use crate::sip::{self, Message};
use crate::{artifacts, nudge, ports, wait};

/// What a caller should do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder under `tests/scenarios`.
    pub scenario: &'static str,
    /// Another file than that folder's `uac.xml`.
    pub file: Option<PathBuf>,
    /// The host of the Request-URI.
    pub domain: String,
    /// The user of the Request-URI.
    pub number: String,
    /// Calls in all.
    pub calls: u32,
    /// Calls begun per second.
    pub rate: u32,
    /// How long an answered call lasts, in milliseconds (scenarios that hang up by themselves).
    pub talk_ms: u32,
    /// Digest user and password.
    pub credential: Option<(String, String)>,
    /// `u1` (UDP) or `t1` (TCP).
    pub transport: &'static str,
    /// Where the caller is.
    pub home: IpAddr,
}

impl Plan {
    /// One call to `15550100@domain`, hung up at once when it is answered.
    #[must_use]
    pub fn new(scenario: &'static str, domain: &str) -> Plan {
        Plan {
            scenario,
            file: None,
            domain: domain.to_owned(),
            number: "15550100".to_owned(),
            calls: 1,
            rate: 100,
            talk_ms: 0,
            credential: None,
            transport: "u1",
            home: Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Several calls at that rate.
    #[must_use]
    pub fn calls(mut self, calls: u32, rate: u32) -> Plan {
        (self.calls, self.rate) = (calls, rate);
        self
    }

    /// Answered calls last that long, in milliseconds.
    #[must_use]
    pub fn talk_ms(mut self, talk_ms: u32) -> Plan {
        self.talk_ms = talk_ms;
        self
    }

    /// Answers challenges with this user and password.
    #[must_use]
    pub fn credential(mut self, user: &str, password: &str) -> Plan {
        self.credential = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Calls over TCP.
    #[must_use]
    pub fn tcp(mut self) -> Plan {
        self.transport = "t1";
        self
    }
}

/// A running caller.
#[derive(Debug)]
pub struct Sipp {
    child: Child,
    /// Where it sends from.
    pub address: SocketAddr,
    prefix: String,
    calls: u32,
    log: PathBuf,
}

impl Sipp {
    /// Starts calling `proxy`. `name` is unique in `dir` and begins every Call-ID.
    ///
    /// # Errors
    /// The scenario does not exist or sipp cannot be started.
    pub fn start(dir: &Path, name: &str, proxy: SocketAddr, plan: &Plan) -> Result<Sipp> {
        let scenario = match &plan.file {
            Some(file) => file.clone(),
            None => artifacts::scenario_file(plan.scenario, "uac")?,
        };
        let address = ports::free_on(plan.home)?;
        let log = dir.join(format!("{name}.messages"));
        // A fresh prefix for each run: a Call-ID met again would be a repeated call to the proxy.
        let prefix = format!("{name}-{}-{}", std::process::id(), address.port());
        let mut arguments = common_arguments(&scenario, address, &log, &dir.join(format!("{name}.errors")));
        arguments.push(proxy.to_string());
        let numbers =
            [("-m", plan.calls), ("-r", plan.rate), ("-d", plan.talk_ms), ("-l", plan.calls.max(1))];
        arguments.extend(numbers.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.to_string()]));
        let texts = [
            ("-cid_str", format!("{prefix}-%u")),
            ("-s", plan.number.clone()),
            ("-t", plan.transport.into()),
        ];
        arguments.extend(texts.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        arguments.extend(["-key", "domain", &plan.domain].map(str::to_owned));
        if let Some((user, password)) = &plan.credential {
            arguments.extend(["-au", user, "-ap", password].map(str::to_owned));
        }
        let child = Child::spawn(name, Path::new("sipp"), arguments, &dir.join(format!("{name}.out")))?;
        Ok(Sipp { child, address, prefix, calls: plan.calls, log })
    }

    /// The Call-ID of call `number`, counted from 1.
    #[must_use]
    pub fn call_id(&self, number: u32) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// All Call-IDs of this run.
    pub fn call_ids(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.calls).map(|number| self.call_id(number))
    }

    /// What has crossed the wire so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn messages(&self) -> Result<Vec<Message>> {
        sip::read_log(&self.log)
    }

    /// Waits until call `number` got this answer to its INVITE.
    ///
    /// # Errors
    /// The answer never came.
    pub fn await_code(&mut self, number: u32, code: u16) -> Result<()> {
        let call_id = self.call_id(number);
        wait::until(&format!("{code} for {call_id}"), || {
            let messages = self.messages()?;
            let mut answers =
                messages.iter().filter(|m| !m.sent && m.call_id() == call_id && m.method() == "INVITE");
            if answers.any(|m| m.code() == Some(code)) {
                return Ok(Some(()));
            }
            self.child.check()?;
            Ok(None)
        })
    }

    /// Waits until call `number` has been answered and has acknowledged it.
    ///
    /// # Errors
    /// It never was.
    pub fn await_talking(&mut self, number: u32) -> Result<()> {
        let call_id = self.call_id(number);
        wait::until(&format!("{call_id} to be answered"), || {
            if self.messages()?.iter().any(|m| m.sent && m.call_id() == call_id && m.method() == "ACK") {
                return Ok(Some(()));
            }
            self.child.check()?;
            Ok(None)
        })
    }

    /// Tells call `number` to go on, in scenarios that wait for it.
    ///
    /// # Errors
    /// The datagram cannot be sent.
    pub fn nudge(&self, number: u32) -> Result<()> {
        nudge::send(self.address, &self.call_id(number))
    }

    /// Waits until all calls have ended, and for no longer than `limit`: whoever is still calling then dies. What crossed the wire.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn finish_within(mut self, limit: Duration) -> Result<Vec<Message>> {
        // Either way it is over.
        let _ = wait::until_within(limit, "the callers", || Ok((!self.child.alive()?).then_some(())));
        self.child.kill()?;
        self.messages()
    }

    /// Waits until all calls have ended.
    ///
    /// # Errors
    /// sipp does not end, or could not run at all.
    pub fn finish(mut self) -> Result<Finished> {
        let status = self.child.exit()?;
        // 0: every call went as the scenario says; 1: some did not. The rest are failures of sipp itself.
        match status.code() {
            Some(code @ (0 | 1)) => {
                let call_ids = self.call_ids().collect();
                // sipp makes the file when it has something to say.
                let errors = fs::read_to_string(self.log.with_extension("errors")).unwrap_or_default();
                Ok(Finished { clean: code == 0, call_ids, messages: self.messages()?, errors })
            }
            _ => bail!("sipp failed ({status}): {}", self.child.output()?),
        }
    }
}

/// A caller that is done.
#[derive(Debug)]
pub struct Finished {
    /// Every call went as the scenario says.
    pub clean: bool,
    /// The calls that were placed.
    pub call_ids: Vec<String>,
    /// Everything that crossed the wire.
    pub messages: Vec<Message>,
    /// What sipp found wrong.
    pub errors: String,
}

impl Finished {
    /// What call `number` (from 1) saw; see `sip::story`.
    #[must_use]
    pub fn story(&self, number: usize) -> String {
        self.call_ids.get(number - 1).map(|id| sip::story(&self.messages, id)).unwrap_or_default()
    }

    /// The final answer to call `number` (from 1).
    #[must_use]
    pub fn answer(&self, number: usize) -> Option<&Message> {
        self.call_ids.get(number - 1).and_then(|id| sip::final_answer(&self.messages, id))
    }

    /// The final code of call `number` (from 1), 0 when there was none.
    #[must_use]
    pub fn code(&self, number: usize) -> u16 {
        self.answer(number).and_then(Message::code).unwrap_or(0)
    }
}

/// What every sipp of ours is started with.
pub(crate) fn common_arguments(
    scenario: &Path,
    address: SocketAddr,
    log: &Path,
    errors: &Path,
) -> Vec<String> {
    let _ = fs::remove_file(log);
    let mut arguments = vec!["-sf".to_owned(), scenario.display().to_string()];
    arguments.extend([
        "-i".to_owned(),
        address.ip().to_string(),
        "-p".to_owned(),
        address.port().to_string(),
    ]);
    arguments.extend(["-trace_msg".to_owned(), "-message_file".to_owned(), log.display().to_string()]);
    arguments.extend(["-trace_err".to_owned(), "-error_file".to_owned(), errors.display().to_string()]);
    // No keyboard, no reuse of a dead call's id for half a minute of memory.
    arguments.extend(["-nostdin", "-deadcall_wait", "0"].map(str::to_owned));
    arguments
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // It would wait for its calls.
        let _ = self.child.kill();
    }
}
