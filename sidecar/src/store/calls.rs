//! Asking a store for some of millions of calls: filters, pages by position, sums.
//!
//! A list goes from the newest call to the oldest. No page is counted from the beginning, and none may look at more than a
//! bounded number of calls: what one page does not find, the next one goes on looking for.

use std::collections::BTreeMap;

use trunk_admission::model::Kind;

use crate::call::Call;
use crate::call::status::Status;
use crate::cost::{PER_SECOND, billed_seconds};
use crate::domain::Millis;

/// Which calls; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Of which trunk or application.
    pub trunk: Option<String>,
    /// Of whose trunks, when the call began.
    pub account: Option<String>,
    /// Over trunks or applications.
    pub kind: Option<Kind>,
    /// Ended so.
    pub status: Option<Status>,
    /// Admitted or refused.
    pub allowed: Option<bool>,
    /// User of From.
    pub from: Option<String>,
    /// User of the Request-URI.
    pub to: Option<String>,
    /// The caller's Call-ID.
    pub sip_call_id: Option<String>,
    /// Begun then or later.
    pub since_ms: Option<Millis>,
    /// Begun before.
    pub until_ms: Option<Millis>,
}

/// A place in the order of all calls: right behind this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallCursor {
    /// When it began.
    pub start_ms: Millis,
    /// Its number, among those that began in the same millisecond.
    pub number: i64,
}

/// Which part of a list of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallPage {
    /// Behind this place; `None` is from the newest.
    pub after: Option<CallCursor>,
    /// Leave out so many of those that match.
    pub skip: u64,
    /// At most so many.
    pub limit: u32,
    /// Count all that match, too.
    pub count: bool,
}

/// A page of calls, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallsFound {
    /// Those that match; perhaps fewer than there was room for, if many did not match.
    pub calls: Vec<Call>,
    /// All that match; `None` if nobody asked, or if they are too many to be counted.
    pub total: Option<u64>,
    /// Where to go on; `None` if nothing is left.
    pub next: Option<CallCursor>,
}

/// What some calls come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSums {
    /// All of them.
    pub attempts: u64,
    /// Those that were admitted.
    pub admitted: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those that were answered and have ended.
    pub finished: u64,
    /// From answer to end, over those that were answered and have ended.
    pub talk_ms: u64,
    /// Answered seconds, up to whole increments of the rate of each call.
    pub billable_seconds: u64,
    /// What they cost, by currency, in millionths of its unit.
    pub costs: BTreeMap<String, i64>,
}

impl CallSums {
    /// Counts one call; `increments` are those of its rate, if it has one.
    pub fn add(
        &mut self,
        allowed: bool,
        answer_ms: Option<Millis>,
        end_ms: Option<Millis>,
        increments: Option<(u32, u32)>,
    ) {
        self.attempts += 1;
        self.admitted += u64::from(allowed);
        let Some(answer_ms) = answer_ms else { return };
        self.answered += 1;
        if let Some(end_ms) = end_ms {
            let talk_ms = end_ms.saturating_sub(answer_ms).max(0);
            self.finished += 1;
            self.talk_ms += talk_ms.cast_unsigned();
            self.billable_seconds +=
                billed_seconds(talk_ms, increments.unwrap_or(PER_SECOND)).cast_unsigned();
        }
    }

    /// Those and these.
    pub fn merge(&mut self, more: &CallSums) {
        self.attempts += more.attempts;
        self.admitted += more.admitted;
        self.answered += more.answered;
        self.finished += more.finished;
        self.talk_ms += more.talk_ms;
        self.billable_seconds += more.billable_seconds;
        for (currency, micros) in &more.costs {
            self.add_cost(currency, *micros);
        }
    }

    /// Counts the cost of one call.
    pub fn add_cost(&mut self, currency: &str, micros: i64) {
        let sum = match self.costs.get_mut(currency) {
            Some(sum) => sum,
            None => self.costs.entry(currency.to_owned()).or_default(),
        };
        *sum = sum.saturating_add(micros);
    }
}
