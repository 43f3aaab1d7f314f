//! The task that looks names up: each when it is first seen, and again when its answer is old.
//!
//! What is stored says which names there are and where they lead; what differs from the last answer is written, many trunks
//! in one go. A start, a crash and a write that failed need no care of their own. Must never be waited for by anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use trunk_admission::model::MAX_GATEWAYS;

use super::partial::with_known;
use super::{Board, Found, LookupError, REQUEST_ID, Settings, Standing, Target, look_up};
use crate::change::{Change, Write, Writer};
use crate::dns::NameServers;
use crate::domain::{Actor, GatewayAddress};
use crate::metrics::Metrics;
use crate::store::{NamedGateway, Store, StoreError};

/// An answer is believed no shorter, whatever its time to live: a bound on how often anybody is asked.
const SHORTEST: Duration = Duration::from_secs(5);
/// And no longer.
const LONGEST: Duration = Duration::from_secs(3600);
/// The first wait after a look-up that told nothing; it doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Look-ups at the same time.
const AT_ONCE: usize = 64;
/// Gateways whose addresses are written in one go.
const WRITTEN_AT_ONCE: usize = 500;
/// How soon a write that failed is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// And one that was refused, such as for lack of room: it keeps failing until somebody does something.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// What the task needs.
pub struct Deps {
    /// Whom to ask, and for what.
    pub settings: Settings,
    /// Tells which names there are.
    pub store: Arc<dyn Store>,
    /// Writes where they lead.
    pub writer: Writer,
    /// Shows how they stand.
    pub board: Arc<Board>,
    /// Counts.
    pub metrics: Metrics,
}

/// The task.
pub struct Refresher {
    deps: Deps,
    servers: Arc<NameServers>,
    stored: watch::Receiver<i64>,
    names: HashMap<Target, Name>,
    asking: JoinSet<(Target, Result<Found, LookupError>)>,
    write_at: Option<Instant>,
    /// Gateways, by trunk and URI, whose addresses were refused: not before then again.
    refused: HashMap<(String, String), Instant>,
}

struct Name {
    /// When it is looked up next; `None` while it is.
    due: Option<Instant>,
    /// What was found last, since the start.
    found: Option<Vec<GatewayAddress>>,
    /// Look-ups in a row that told nothing.
    failed: u32,
    /// What was stored of it before that.
    stored: Vec<GatewayAddress>,
}

impl Name {
    /// Where it leads, as far as known; empty if it never led anywhere.
    fn known(&self) -> &[GatewayAddress] {
        self.found.as_ref().unwrap_or(&self.stored)
    }
}

impl Refresher {
    /// Nothing is asked before it runs.
    pub fn new(deps: Deps) -> Refresher {
        let stored = deps.writer.stored();
        let servers = Arc::new(NameServers::new(&deps.settings.dns_servers, 0));
        let (names, asking, refused) = (HashMap::new(), JoinSet::new(), HashMap::new());
        Refresher { deps, servers, stored, names, asking, write_at: Some(Instant::now()), refused }
    }

    /// Looks up and writes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.ask();
            let due = self.names.values().filter_map(|name| name.due).min();
            let due = due.filter(|_| self.asking.len() < AT_ONCE);
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.stored.changed() => self.write().await,
                Some(done) = self.asking.join_next(), if !self.asking.is_empty() => {
                    let mut news = self.learn(done);
                    while let Some(done) = self.asking.try_join_next() {
                        news |= self.learn(done);
                    }
                    self.tell();
                    if news {
                        self.write().await;
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                () = sleep_until(self.write_at.unwrap_or_else(Instant::now)), if self.write_at.is_some() => {
                    self.write().await;
                }
            }
        }
    }

    /// Begins the look-ups that are due, as many as may be under way.
    fn ask(&mut self) {
        let room = AT_ONCE.saturating_sub(self.asking.len());
        for (target, name) in longest_overdue(&mut self.names, Instant::now(), room) {
            name.due = None;
            let (servers, target, ipv6) =
                (Arc::clone(&self.servers), target.clone(), self.deps.settings.ipv6);
            self.asking.spawn(async move {
                let found = match servers.resolver() {
                    Ok(resolver) => look_up(&resolver, &target, ipv6).await,
                    Err(error) => Err(LookupError::Failed(error.to_string())),
                };
                (target, found)
            });
        }
    }

    /// Takes an answer in. Whether it says something new.
    fn learn(&mut self, done: Result<(Target, Result<Found, LookupError>), tokio::task::JoinError>) -> bool {
        let (target, found) = match done {
            Ok(done) => done,
            // A defect. Every name that nobody asks for is asked for again.
            Err(error) => {
                tracing::error!(%error, "looking up a gateway's name");
                let again = Instant::now() + LAST_RETRY;
                self.names.values_mut().for_each(|name| name.due = name.due.or(Some(again)));
                return false;
            }
        };
        let Some(name) = self.names.get_mut(&target) else { return false };
        let problem = match &found {
            Ok(Found { incomplete: None, .. }) => None,
            Ok(Found { incomplete: Some(problem), .. }) => Some(problem.clone()),
            Err(error) => Some(error.to_string()),
        };
        let result = match &found {
            Ok(_) if problem.is_none() => "good",
            Err(LookupError::Nothing) => "nothing",
            _ => "failed",
        };
        self.deps.metrics.gateway_lookups.with_label_values(&[result]).inc();
        let standing = problem.clone().map_or(Standing::Current, Standing::Failing);
        let before = self.deps.board.note(&target, standing);
        let was_failing = matches!(before, Some(Standing::Failing(_)));
        match &problem {
            Some(problem) if !was_failing => {
                let rest = match (name.known(), &found) {
                    (_, Ok(_)) => "what else was answered is used, beside its last addresses",
                    ([], _) => "no call is sent to it",
                    _ => "its last addresses stay in use",
                };
                tracing::warn!("gateway {target}: {problem}; {rest}");
            }
            None if was_failing => tracing::info!("gateway {target}: its name can be looked up again"),
            _ => {}
        }
        let wait = match (&problem, &found) {
            (None, Ok(found)) => {
                name.failed = 0;
                found.ttl.clamp(SHORTEST, LONGEST)
            }
            _ => {
                name.failed += 1;
                (FIRST_RETRY * (1 << (name.failed - 1).min(10))).min(LAST_RETRY)
            }
        };
        name.due = Some(Instant::now() + wait);
        let addresses = match found {
            Ok(found) if found.incomplete.is_some() => with_known(&found, name.known()),
            Ok(found) => found.addresses,
            Err(_) => return false,
        };
        name.found.replace(addresses) != name.found
    }

    /// Shows how many names stand how.
    fn tell(&self) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let unknown = self.names.values().filter(|name| name.known().is_empty()).count();
        let states = &self.deps.metrics.gateway_names;
        states.with_label_values(&["known"]).set(count(self.names.len() - unknown));
        states.with_label_values(&["unknown"]).set(count(unknown));
        states.with_label_values(&["failing"]).set(count(self.deps.board.failing()));
    }

    /// Looks which names there are, and writes where they lead if that is not what is stored.
    async fn write(&mut self) {
        self.write_at = match self.try_write().await {
            Ok(()) => self.refused.values().min().copied(),
            Err(error) => {
                tracing::error!(
                    "storing where gateways lead: {error}; trying again in {} s",
                    WRITE_AGAIN.as_secs()
                );
                Some(Instant::now() + WRITE_AGAIN)
            }
        };
        self.tell();
    }

    async fn try_write(&mut self) -> Result<(), StoreError> {
        // Seen before it is read: what is stored meanwhile is another change.
        self.stored.borrow_and_update();
        let named = self.deps.store.named_gateways().await?;
        self.take_over(&named);
        let now = Instant::now();
        self.refused.retain(|_, again| *again > now);
        let wrong = named.into_iter().filter_map(|gateway| {
            let found = self.names.get(&gateway.target)?.found.as_ref()?;
            let NamedGateway { trunk, uri, target, addresses, names } = gateway;
            // A trunk's names share what its calls can use, before an address takes up a place.
            let found = &found[..found.len().min((MAX_GATEWAYS / names.max(1)).max(1))];
            if addresses == found || self.refused.contains_key(&(trunk.clone(), uri.clone())) {
                return None;
            }
            tracing::info!(
                "gateway {target} of trunk {trunk} leads to {}",
                found.iter().map(|address| address.uri.as_str()).collect::<Vec<_>>().join(", ")
            );
            Some(Change::PutAddresses { trunk, uri, target, addresses: found.to_vec() })
        });
        let wrong: Vec<_> = wrong.collect();
        for changes in wrong.chunks(WRITTEN_AT_ONCE) {
            match self.commit(changes.to_vec()).await {
                // One that does not fit must not keep the others away.
                Err(error) if !error.is_trouble() => self.one_by_one(changes).await?,
                written => written?,
            }
        }
        Ok(())
    }

    async fn one_by_one(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            match self.commit(vec![change.clone()]).await {
                Err(error) if !error.is_trouble() => {
                    let Change::PutAddresses { trunk, uri, .. } = change else { continue };
                    let again = REFUSED_AGAIN.as_secs();
                    tracing::error!("gateway {uri} of trunk {trunk}: {error}; trying again in {again} s");
                    self.refused.insert((trunk.clone(), uri.clone()), Instant::now() + REFUSED_AGAIN);
                }
                written => written?,
            }
        }
        Ok(())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let session = self.deps.writer.begin().await?;
        let request_id = REQUEST_ID.into();
        let write = Write { actor: Actor::Daemon, request_id, changes, idempotency: None };
        session.commit(write).await.map(drop)
    }

    /// New names are looked up at once, those that nobody uses any more never again.
    fn take_over(&mut self, named: &[NamedGateway]) {
        let mut known: HashMap<&Target, &[GatewayAddress]> = HashMap::with_capacity(named.len());
        for gateway in named {
            let known = known.entry(&gateway.target).or_default();
            if known.is_empty() {
                *known = &gateway.addresses;
            }
        }
        self.names.retain(|target, _| known.contains_key(target));
        self.deps.board.keep(|target| known.contains_key(target));
        for (target, known) in known {
            let fresh = || Name { due: Some(Instant::now()), found: None, failed: 0, stored: Vec::new() };
            let name = self.names.entry(target.clone()).or_insert_with(fresh);
            if name.stored.is_empty() {
                name.stored = known.to_vec();
            }
        }
    }
}

/// Those that are due, at most `room`, the longest overdue: names that nobody answers for keep no others waiting.
fn longest_overdue(
    names: &mut HashMap<Target, Name>,
    now: Instant,
    room: usize,
) -> Vec<(&Target, &mut Name)> {
    if room == 0 {
        return Vec::new();
    }
    let mut due: Vec<_> =
        names.iter_mut().filter(|(_, name)| name.due.is_some_and(|due| due <= now)).collect();
    if due.len() > room {
        due.select_nth_unstable_by_key(room, |(_, name)| name.due);
        due.truncate(room);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_overdue_are_looked_up_first() {
        let now = Instant::now() + LONGEST;
        let name = |number: u64| {
            let target = Target { host: format!("{number}.test"), port: None, transport: None };
            let due = Some(now - Duration::from_secs(number));
            (target, Name { due, found: None, failed: 0, stored: Vec::new() })
        };
        let mut names: HashMap<_, _> = (0..100).map(name).collect();
        names.extend([(name(1000).0, Name { due: None, ..name(1000).1 })]);
        let mut begun = |now, room| {
            let mut begun: Vec<_> = longest_overdue(&mut names, now, room)
                .into_iter()
                .map(|(target, _)| target.host.trim_end_matches(".test").parse::<u64>().unwrap())
                .collect();
            begun.sort_unstable();
            begun
        };
        assert_eq!(begun(now, 3), [97, 98, 99]);
        assert_eq!(begun(now - Duration::from_secs(98), 3), [98, 99], "the others are not due");
        assert!(begun(now, 0).is_empty());
    }
}
