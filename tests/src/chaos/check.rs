//! What must hold after each round, as a list of what does not.
//!
//! It must never look at how the round went beyond what is handed in, and never stop at the first thing that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// One event that the customer's receiver accepted; each once, in the order they first came.
#[derive(Clone, Debug)]
pub struct Told {
    /// Of the product, one for each call it judged.
    pub call: String,
    /// Of the caller.
    pub sip_call: String,
    /// `call.initiated` and so on.
    pub kind: String,
    /// Position in the call, from 1.
    pub sequence: u64,
    /// Whether the call was let in.
    pub allowed: bool,
    /// How long it was, once it has ended and somebody knows how.
    pub length_ms: Option<i64>,
}

/// What one caller's call looked like from outside.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Call-ID.
    pub sip_call: String,
    /// What the caller saw, as `sip::story` tells it.
    pub story: String,
    /// Whether its INVITE reached a gateway, so that it must have been let in.
    pub at_gateway: bool,
    /// How long it was up at least, if it was answered and hung up as planned.
    pub talked_ms: Option<i64>,
    /// What the caller had to see.
    pub expected: Expected,
}

/// What a caller has to see, when nothing is in the way of its call.
#[derive(Clone, Copy, Debug)]
pub enum Expected {
    /// Exactly this.
    Story(&'static str),
    /// One of these as the last answer to its INVITE.
    Final(&'static [&'static str]),
    /// Several things may happen.
    Anything,
}

impl Expected {
    fn allows(self, story: &str) -> bool {
        match self {
            Expected::Story(wanted) => story == wanted,
            Expected::Final(codes) => {
                let invite = story.split(", ").next().unwrap_or_default();
                codes.contains(&invite.rsplit(' ').next().unwrap_or_default())
            }
            Expected::Anything => true,
        }
    }
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// Of `docs/ARCHITECTURE.md`, in a word.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.promise, self.what)
    }
}

/// Collects what is broken.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Broken>);

impl Findings {
    /// Notes something unless `holds`.
    pub fn insist(&mut self, holds: bool, promise: &'static str, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Broken { promise, what: what() });
        }
    }
}

/// No event lost, none twice, none after the end; each call that was let in ends once. `lost` events were being written in the
/// instant in which Kamailio was killed: such a call went nowhere, and its ending is told without a beginning.
pub fn events(told: &[Told], seen: &[Seen], lost: usize, findings: &mut Findings) {
    let mut cut_short = 0;
    let mut calls: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for event in told {
        calls.entry(&event.call).or_default().push(event);
    }
    for (call, events) in &calls {
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.trim_start_matches("call.")).collect();
        let whole = match events.first() {
            Some(first) if first.allowed => {
                matches!(kinds.as_slice(), ["initiated", "hangup"] | ["initiated", "answered", "hangup"])
            }
            _ => kinds == ["initiated"],
        };
        let sip_call = events.first().map_or("", |event| &event.sip_call);
        if sip_call.is_empty() && kinds == ["hangup"] {
            cut_short += 1;
            continue;
        }
        findings
            .insist(whole, "each call ends once", || format!("{call} ({sip_call}): {}", kinds.join(", ")));
        let in_order = events.is_sorted_by_key(|event| event.sequence);
        findings.insist(in_order, "events in order", || format!("{call} ({sip_call}): {}", kinds.join(", ")));
    }
    findings.insist(cut_short <= lost, "no event is lost", || {
        format!("{cut_short} calls without a beginning, and {lost} events that a kill cut short")
    });
    let let_in: BTreeSet<&str> =
        told.iter().filter(|event| event.allowed).map(|event| event.sip_call.as_str()).collect();
    for call in seen.iter().filter(|call| call.at_gateway) {
        let known = let_in.contains(call.sip_call.as_str());
        findings.insist(known, "no event is lost", || {
            format!("{} reached a gateway and was never told", call.sip_call)
        });
    }
}

/// Each call went as its scenario says, and who was answered or refused was told so; only for rounds in which nothing was in the
/// way of calls.
pub fn outcomes(told: &[Told], seen: &[Seen], findings: &mut Findings) {
    let of_kind = |kind: &str| -> BTreeSet<&str> {
        told.iter().filter(|event| event.kind == kind).map(|event| event.sip_call.as_str()).collect()
    };
    let (initiated, answered) = (of_kind("call.initiated"), of_kind("call.answered"));
    for call in seen {
        let id = call.sip_call.as_str();
        let was_answered = call.story.contains("180 200");
        findings.insist(!was_answered || answered.contains(id), "no event is lost", || {
            format!("{id} was answered, untold")
        });
        let was_refused = call.story == "403";
        findings.insist(!was_refused || initiated.contains(id), "no event is lost", || {
            format!("{id} was refused, untold")
        });
        findings.insist(call.expected.allows(&call.story), "calls go on", || {
            format!("{}: {} instead of {:?}", call.sip_call, call.story, call.expected)
        });
    }
}

/// No call is said to have been longer than the round, whatever the clock was set to: customers pay by it. And none that was answered
/// and talked for `talked_ms` is said to have been shorter than that.
pub fn lengths(told: &[Told], seen: &[Seen], longest: Duration, findings: &mut Findings) {
    let talked: BTreeMap<&str, i64> =
        seen.iter().filter_map(|call| Some((call.sip_call.as_str(), call.talked_ms?))).collect();
    for event in told {
        let Some(length_ms) = event.length_ms else { continue };
        let least = talked.get(event.sip_call.as_str()).copied().unwrap_or(0);
        let most = i64::try_from(longest.as_millis()).unwrap_or(i64::MAX);
        findings.insist((least..=most).contains(&length_ms), "a call is as long as it was", || {
            format!("{} ({}): {length_ms} ms, not {least} to {most}", event.call, event.sip_call)
        });
    }
}

/// Secrets are nowhere.
pub fn secrets(texts: &[(&str, &str)], secrets: &[&str], findings: &mut Findings) {
    for (place, text) in texts {
        for secret in secrets {
            findings.insist(!text.contains(secret), "a secret is shown once", || {
                format!("a secret is in {place}")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(call: &str, kind: &str, sequence: u64, allowed: bool) -> Told {
        Told {
            call: call.into(),
            sip_call: format!("sip-{call}"),
            kind: format!("call.{kind}"),
            sequence,
            allowed,
            length_ms: None,
        }
    }

    fn found(told: &[Told], seen: &[Seen]) -> Vec<&'static str> {
        let mut findings = Findings::default();
        events(told, seen, 0, &mut findings);
        findings.0.iter().map(|broken| broken.promise).collect()
    }

    fn complete(call: &str) -> Vec<Told> {
        vec![told(call, "initiated", 1, true), told(call, "answered", 2, true), told(call, "hangup", 3, true)]
    }

    fn at_gateway(call: &str) -> Seen {
        let (story, talked_ms, expected) = (String::new(), None, Expected::Anything);
        Seen { sip_call: format!("sip-{call}"), story, at_gateway: true, talked_ms, expected }
    }

    #[test]
    fn what_is_whole_is_not_accused() {
        let mut all = complete("a");
        all.extend([
            told("b", "initiated", 1, false),
            told("c", "initiated", 1, true),
            told("c", "hangup", 3, true),
        ]);
        assert!(found(&all, &[at_gateway("a"), at_gateway("c")]).is_empty());
    }

    #[test]
    fn each_way_to_lose_or_double_an_event_is_seen() {
        for missing in [0, 2] {
            let mut events = complete("a");
            events.remove(missing);
            assert_eq!(found(&events, &[at_gateway("a")]), ["each call ends once"], "without {missing}");
        }
        let mut twice = complete("a");
        twice.push(told("a", "hangup", 3, true));
        assert_eq!(found(&twice, &[]), ["each call ends once"]);
        let mut swapped = complete("a");
        swapped.swap(1, 2);
        assert_eq!(found(&swapped, &[]), ["each call ends once", "events in order"]);
        assert_eq!(found(&[], &[at_gateway("a")]), ["no event is lost"]);
        let refused_and_ended = [told("a", "initiated", 1, false), told("a", "hangup", 3, false)];
        assert_eq!(found(&refused_and_ended, &[]), ["each call ends once"]);
        // A call that is said to have been refused cannot have reached a gateway.
        assert_eq!(found(&[told("a", "initiated", 1, false)], &[at_gateway("a")]), ["no event is lost"]);
    }

    #[test]
    fn an_answer_and_a_refusal_must_be_told() {
        let mut without_answer = complete("a");
        without_answer.remove(1);
        for (told, story) in [(without_answer, "180 200, BYE 200"), (Vec::new(), "403")] {
            let mut findings = Findings::default();
            outcomes(
                &told,
                &[Seen { story: story.into(), at_gateway: false, ..at_gateway("a") }],
                &mut findings,
            );
            assert_eq!(findings.0.len(), 1, "{story}");
            assert_eq!(findings.0[0].promise, "no event is lost");
        }
    }

    #[test]
    fn an_event_may_be_cut_short_once_for_each_that_the_ring_lost() {
        let ending = Told { sip_call: String::new(), ..told("a", "hangup", 3, true) };
        for (lost, broken) in [(0, 1), (1, 0)] {
            let mut findings = Findings::default();
            events(std::slice::from_ref(&ending), &[], lost, &mut findings);
            assert_eq!(findings.0.len(), broken, "{lost} lost");
        }
    }

    #[test]
    fn a_length_that_no_call_can_have_had_is_seen() {
        let call = Seen { talked_ms: Some(1_000), ..at_gateway("a") };
        for (length_ms, broken) in [(999, 1), (1_000, 0), (60_000, 0), (60_001, 1), (-1, 1)] {
            let ended = Told { length_ms: Some(length_ms), ..told("a", "hangup", 3, true) };
            let mut findings = Findings::default();
            lengths(&[ended], std::slice::from_ref(&call), Duration::from_secs(60), &mut findings);
            assert_eq!(findings.0.len(), broken, "{length_ms}");
        }
    }

    #[test]
    fn a_wrong_outcome_and_a_secret_are_seen() {
        let mut findings = Findings::default();
        let call = |story: &str| Seen {
            story: story.into(),
            expected: Expected::Story("180 200, BYE 200"),
            ..at_gateway("a")
        };
        outcomes(&complete("a"), &[call("180 200, BYE 200"), call("486")], &mut findings);
        secrets(&[("a log", "password is hunter2")], &["hunter2", "other"], &mut findings);
        let promises: Vec<_> = findings.0.iter().map(|broken| broken.promise).collect();
        assert_eq!(promises, ["calls go on", "a secret is shown once"]);
    }

    #[test]
    fn of_a_call_that_may_end_early_the_last_answer_to_its_invite_counts() {
        let expected = Expected::Final(&["200", "503"]);
        for story in ["180 200, BYE 200", "180 200, BYE 404", "180 503", "503", "407 180 200"] {
            assert!(expected.allows(story), "{story}");
        }
        for story in ["", "403", "180", "180 487, CANCEL 200", "180 404, BYE 200"] {
            assert!(!expected.allows(story), "{story}");
        }
    }
}
