//! What a reload would change: against what is stored, with the rules that only the store can judge, and how many calls
//! are up on what changes.
//!
//! Must never change anything.

use serde::Serialize;
use trunk_admission::live::Live;
use utoipa::ToSchema;

use super::Refused;
use crate::change::Session;
use crate::difference::{Line, Plan, Verb};
use crate::domain::{ManagedBy, Provisioned};
use crate::store::{Change, Page, StoreError, TrunkFilter};

/// Lines of a plan that are logged or answered one by one; a bigger one is told in numbers.
const MAX_LINES: usize = 100;

/// A plan for people.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReloadPlan)]
pub struct Outline {
    /// How many things are new.
    pub added: usize,
    /// How many are not as they were.
    pub changed: usize,
    /// How many are gone.
    pub removed: usize,
    /// The first hundred of them, one line each.
    pub lines: Vec<String>,
    /// Calls that are up on trunks that change or go, before the change: they go on under the new limits, or to their
    /// end. null if Kamailio has not started yet.
    pub calls_touched: Option<u64>,
}

impl Outline {
    /// Of a plan, with the calls of this moment.
    pub(super) fn of(plan: &Plan, live: Option<&Live>) -> Outline {
        let (added, changed, removed) = plan.counts();
        let lines = plan.lines.iter().take(MAX_LINES).map(ToString::to_string).collect();
        Outline { added, changed, removed, lines, calls_touched: calls(live, &plan.touched()) }
    }

    /// Writes it into the log.
    pub(super) fn log(&self) {
        for line in &self.lines {
            tracing::info!("{line}");
        }
        let Outline { added, changed, removed, calls_touched, .. } = *self;
        let total = added + changed + removed;
        if total > self.lines.len() {
            tracing::info!("... and {} more changes", total - self.lines.len());
        }
        if total > 0 {
            tracing::info!(added, changed, removed, calls_touched, "reload planned");
        }
    }
}

/// Calls that are up on these indexes.
pub(super) fn calls(live: Option<&Live>, touched: &[u32]) -> Option<u64> {
    live.map(|live| touched.iter().map(|&index| u64::from(live.trunk_calls(index))).sum())
}

/// The plan from what is stored to what the files say, or all that speaks against it.
pub(super) async fn make(session: &Session, wanted: &Provisioned) -> Result<Plan, Refused> {
    let now = session.store().provisioned().await?;
    let plan = Plan::between(&now, wanted, session.now_ms());
    drop(now);
    let mut problems = taken_ids(session, &plan).await?;
    for line in plan.lines.iter().filter(|line| line.verb == Verb::Removed && line.kind == "account") {
        problems.extend(still_owns(session, line).await?);
    }
    if problems.is_empty() { Ok(plan) } else { Err(Refused::Problems(problems)) }
}

/// Things that the files want to add under an id that something has which the API manages.
async fn taken_ids(session: &Session, plan: &Plan) -> Result<Vec<String>, StoreError> {
    let (mut accounts, mut trunks) = (Vec::new(), Vec::new());
    for (change, line) in plan.changes.iter().zip(&plan.lines) {
        match change {
            Change::PutAccount(account) if line.verb == Verb::Added => accounts.push(account.id.clone()),
            Change::PutTrunk(trunk) if line.verb == Verb::Added => trunks.push(trunk.id.clone()),
            _ => {}
        }
    }
    let found = session.store().managers(accounts, trunks).await?;
    let said = found.iter().filter(|found| found.by != ManagedBy::File);
    Ok(said
        .map(|found| format!("all trunk files: {found}; remove it there or name another id here"))
        .collect())
}

/// An account that the files do not name any more may own trunks that the API manages.
async fn still_owns(session: &Session, line: &Line) -> Result<Option<String>, StoreError> {
    let filter = TrunkFilter { account: Some(line.id.clone()), managed_by: Some(ManagedBy::Api), kind: None };
    let owned = session.store().list_trunks(filter, Page { limit: 1, offset: 0 }).await?;
    Ok(owned.objects.first().map(|trunk| {
        let (account, trunk, total) = (&line.id, &trunk.item.id, owned.total);
        format!(
            "all trunk files: account {account:?} cannot go: {total} trunks that the API manages belong to it, such as {trunk:?}"
        )
    }))
}
