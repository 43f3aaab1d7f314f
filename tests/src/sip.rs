//! SIP as sipp logs it: which messages came and went, per call.
//!
//! It must never judge: it tells codes and headers, and the caller compares.

use std::path::Path;

use anyhow::{Context, Result};

/// One logged message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Sent by sipp (otherwise received by it).
    pub sent: bool,
    /// The request or status line.
    pub first: String,
    headers: Vec<(String, String)>,
}

impl Message {
    /// Reads one message; the body is left out.
    #[must_use]
    pub fn parse(sent: bool, text: &str) -> Option<Message> {
        let mut lines =
            text.lines().map(|line| line.trim_end_matches('\r')).skip_while(|line| line.is_empty());
        let first = lines.next()?.to_owned();
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Message { sent, first, headers: headers.collect() })
    }

    /// The first header of that name (lower case), trimmed.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The status code, when this is an answer.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.first.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// The method: of the request, or of the request that this answers.
    #[must_use]
    pub fn method(&self) -> &str {
        match self.code() {
            Some(_) => {
                self.header("cseq").and_then(|cseq| cseq.split_whitespace().nth(1)).unwrap_or_default()
            }
            None => self.first.split(' ').next().unwrap_or_default(),
        }
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.header("call-id").or_else(|| self.header("i")).unwrap_or_default()
    }
}

/// A line for each message of a call: which way it went, its first line and its CSeq.
#[must_use]
pub fn wire(messages: &[Message], call_id: &str) -> String {
    let of_call = messages.iter().filter(|message| message.call_id() == call_id);
    let line = |message: &Message| {
        let way = if message.sent { "->" } else { "<-" };
        format!("{way} {} ({})\n", message.first, message.header("cseq").unwrap_or_default())
    };
    of_call.map(line).collect()
}

/// Every message of a sipp message log, in order.
///
/// # Errors
/// The log cannot be read. One that is not there yet is empty.
pub fn read_log(path: &Path) -> Result<Vec<Message>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut messages = Vec::new();
    for block in text.split("\n-----------------------------------------------") {
        // "... message sent (495 bytes):" or "... message received [295] bytes :", an empty line, the message.
        let Some((head, body)) = block.split_once("bytes") else { continue };
        let Some((_, body)) = body.split_once('\n') else { continue };
        messages.extend(Message::parse(head.contains("sent"), body));
    }
    Ok(messages)
}

/// What one end saw of one call, as a line to compare: each answer to an INVITE but 100, then each other request it
/// sent with the answer, e.g. `180 200, BYE 200`. Repetitions are told once, and so is a provisional answer that was
/// overtaken by the final one: before it.
#[must_use]
pub fn story(messages: &[Message], call_id: &str) -> String {
    let mut invite: Vec<String> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    let answers = messages.iter().filter(|m| !m.sent && m.call_id() == call_id);
    for (code, method) in answers.filter_map(|m| Some((m.code()?, m.method()))) {
        match (method, code) {
            (_, 100) => {}
            ("INVITE", _) => push_new(&mut invite, code.to_string()),
            _ => push_new(&mut others, format!("{method} {code}")),
        }
    }
    let challenged = invite.iter().position(|code| code == "407").map_or(0, |at| at + 1);
    invite[challenged..].sort_by_key(|code| !code.starts_with('1'));
    let mut parts = vec![invite.join(" ")];
    parts.extend(others);
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn push_new(list: &mut Vec<String>, item: String) {
    if list.last() != Some(&item) {
        list.push(item);
    }
}

/// The final answer to the last INVITE of a call.
#[must_use]
pub fn final_answer<'a>(messages: &'a [Message], call_id: &str) -> Option<&'a Message> {
    let mut answers =
        messages.iter().rev().filter(|m| !m.sent && m.call_id() == call_id && m.method() == "INVITE");
    answers.find(|m| m.code().is_some_and(|code| code >= 200))
}

/// The text of an answer's `Reason` header.
#[must_use]
pub fn reason_text(answer: Option<&Message>) -> String {
    let header = answer.and_then(|answer| answer.header("reason")).unwrap_or_default();
    let text = header.split("text=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("no text");
    // The limit's numbers belong to some reasons only; those of a rate are for people.
    match text.split_once(": ") {
        Some((rate @ ("cps_exceeded" | "account_cps_exceeded"), _)) => rate.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_tells_answers_once_and_leaves_out_100() {
        let answer = |text: &str| Message::parse(false, text).unwrap();
        let log = [
            answer("SIP/2.0 100 Trying\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n"),
            answer("SIP/2.0 180 Ringing\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n"),
            answer("SIP/2.0 180 Ringing\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n"),
            answer("SIP/2.0 403 Forbidden\r\nCall-ID: b\r\nCSeq: 1 INVITE\r\n\r\n"),
            answer("SIP/2.0 200 OK\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n"),
            answer("SIP/2.0 200 OK\r\nCall-ID: a\r\nCSeq: 2 BYE\r\n\r\n"),
        ];
        assert_eq!(story(&log, "a"), "180 200, BYE 200");
        assert_eq!(final_answer(&log, "b").unwrap().code(), Some(403));
    }
}
