//! The HTTP API and `trunkctl` as their users have them: a token, requests, answers.
//!
//! It must never retry, and never read what the API has not answered.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stack::Stack;
use crate::{artifacts, http, wait};

/// A token and where it is good.
#[derive(Clone, Debug)]
pub struct Api {
    address: SocketAddr,
    /// The token itself.
    pub token: String,
    token_file: PathBuf,
}

impl Api {
    /// With the token that trunkd left at its first start.
    ///
    /// # Errors
    /// It left none.
    pub fn of(stack: &Stack) -> Result<Api> {
        let token_file = stack.places.dir.join("data/admin-token");
        let token = fs::read_to_string(&token_file).context("the admin token")?.trim().to_owned();
        Ok(Api { address: stack.site.api, token, token_file })
    }

    /// Sends a request; status and answer.
    ///
    /// # Errors
    /// Nobody answers, or not with JSON.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = body.map_or_else(String::new, Value::to_string);
        let count = if body.is_empty() { 1 } else { 2 };
        let (status, text) = http::send(self.address, method, path, &headers[..count], &body)?;
        let answer = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))?,
        };
        Ok((status, answer))
    }

    /// Sends a request that must succeed.
    ///
    /// # Errors
    /// It does not.
    pub fn done(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.send(method, path, (!body.is_null()).then_some(body))?;
        ensure!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    /// The call log's row of a call, as soon as it is over; by its SIP Call-ID.
    ///
    /// # Errors
    /// It never is, or has more rows than one.
    pub fn ended_call(&self, sip_call_id: &str) -> Result<Value> {
        wait::until(&format!("the end of {sip_call_id} in the call log"), || {
            let (status, calls) = self.send("GET", &format!("/v1/calls?sipCallId={sip_call_id}"), None)?;
            ensure!(status == 200 && calls["meta"]["total"].as_u64() <= Some(1), "{status} {calls}");
            Ok(Some(calls["objects"][0].clone()).filter(|call| call["status"].is_string()))
        })
    }

    /// Runs `trunkctl` with this token.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(artifacts::trunkctl()?);
        command.env_remove("TRUNKLINE_TOKEN").env("TRUNKLINE_URL", format!("http://{}", self.address));
        command.arg("--token-file").arg(&self.token_file).args(arguments);
        command.output().context("running trunkctl")
    }

    /// Runs `trunkctl`, which must succeed; what it printed.
    ///
    /// # Errors
    /// It does not.
    pub fn ctl_done(&self, arguments: &[&str]) -> Result<String> {
        let output = self.ctl(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "trunkctl {arguments:?}: {}: {said}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
