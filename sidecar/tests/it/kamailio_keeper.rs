//! When Kamailio is told to reload its tables, and what is made of what it holds then.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trunkd::clock::SystemClock;
use trunkd::kamailio::commands::Table;
use trunkd::kamailio::keeper::{Deps, Keeper};
use trunkd::kamailio::rows::{Address, Destination, Place};
use trunkd::kamailio::rpc::{Client, Place as RpcPlace};
use trunkd::metrics::Metrics;
use trunkd::status::{Status, TableStatus};

use crate::kamailio_fake::{Fake, State};
use crate::support::until;

const SPACING: Duration = Duration::from_millis(120);

/// A keeper at work beside a Kamailio.
struct Rig {
    fake: Fake,
    status: Arc<Status>,
    metrics: Metrics,
    changed: watch::Sender<i64>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    dir: TempDir,
}

fn place(dir: &Path) -> RpcPlace {
    RpcPlace { socket: dir.join("kamailio.sock"), replies: dir.join("replies"), group: None }
}

impl Rig {
    fn start() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(dir.path());
        let (changed, watching) = watch::channel(0);
        let (status, metrics, stop) =
            (Arc::new(Status::default()), Metrics::new().unwrap(), CancellationToken::new());
        let keeper = Keeper::new(Deps {
            client: Arc::new(Client::new(place(dir.path()))),
            tables: Table::ALL.to_vec(),
            spacing: SPACING,
            look_every: Duration::from_millis(50),
            source: Arc::new(fake.database()),
            changed: watching,
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
            status: Arc::clone(&status),
        });
        let task = Some(tokio::spawn(keeper.run(stop.clone())));
        Rig { fake, status, metrics, changed, stop, task, dir }
    }

    fn write(&self, change: impl FnOnce(&mut State)) -> i64 {
        let revision = self.fake.write(change);
        self.changed.send_replace(revision);
        revision
    }

    fn table(&self, table: Table) -> Option<TableStatus> {
        self.status.get().kamailio.into_iter().find(|known| known.table == table.name())
    }

    /// Waits until both tables are known to be held as of this revision.
    async fn loaded(&self, revision: i64) {
        let good = |known: TableStatus| known.state == "loaded" && known.loaded_revision == Some(revision);
        until("both tables to be loaded", async || {
            Table::ALL.into_iter().all(|table| self.table(table).is_some_and(good)).then_some(())
        })
        .await;
    }

    fn differs(&self, table: Table) -> i64 {
        self.metrics.kamailio_differs.with_label_values(&[table.name()]).get()
    }

    async fn finish(mut self) -> Fake {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap();
        assert!(!self.dir.path().join("replies").exists(), "our socket is still there");
        self.fake
    }
}

fn network(number: usize) -> Address {
    let network = format!("10.{}.{}.0/24", number >> 8, number & 255);
    Address { group: 1, place: Place::Subnet(network.parse().unwrap()), tag: None }
}

fn host(number: usize) -> Address {
    let address = format!("198.51.{}.{}", number >> 8, number & 255);
    Address { group: 1 + number as i32, place: Place::Host(address.parse().unwrap()), tag: None }
}

fn gateway(number: usize) -> Destination {
    let uri = format!("sip:192.0.{}.{}", number >> 8, number & 255);
    Destination {
        set: 64 * (1 + number as i32),
        uri,
        flags: 0,
        attrs: "duid=g1;weight=100;rweight=100".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reload_for_a_change_and_none_without() {
    let rig = Rig::start();
    rig.loaded(0).await;
    let revision = rig.write(|state| state.addresses.extend([network(1), host(1)]));
    rig.loaded(revision).await;
    assert_eq!(rig.fake.state().reloads.iter().map(|(_, table)| *table).collect::<Vec<_>>(), ["address"]);
    let revision = rig.write(|_| {});
    rig.loaded(revision).await;
    assert_eq!(rig.fake.state().reloads.len(), 1, "the rows are the same");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_are_few_reloads_and_never_too_soon() {
    let rig = Rig::start();
    rig.loaded(0).await;
    let begin = std::time::Instant::now();
    let (mut revision, mut number) = (0, 0);
    while begin.elapsed() < SPACING * 10 {
        revision = rig.write(|state| {
            state.addresses.extend([network(number % 400), host(number)]);
            state.destinations.push(gateway(number));
        });
        number += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    rig.loaded(revision).await;
    let fake = rig.finish().await;
    let state = fake.state();
    for table in ["address", "dispatcher"] {
        let times: Vec<_> = state.reloads.iter().filter(|(_, of)| *of == table).map(|(at, _)| *at).collect();
        assert!((2..=7).contains(&times.len()), "{table}: {} reloads for {number} changes", times.len());
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= SPACING), "{table}: {times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_rows_are_an_alarm_until_they_are_there() {
    let rig = Rig::start();
    rig.loaded(0).await;
    rig.fake.state().max_subnets = 10;
    let revision = rig.write(|state| state.addresses.extend((0..20).map(network)));
    until("the alarm", async || (rig.differs(Table::Address) == 1).then_some(())).await;
    let known = rig.table(Table::Address).unwrap();
    assert_eq!((known.state, known.loaded_revision), ("differs", Some(0)));
    assert_eq!(known.problem.as_deref(), Some("holds 9 networks, the table has 20"));
    rig.fake.state().max_subnets = 512;
    rig.loaded(revision).await;
    assert_eq!(rig.differs(Table::Address), 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_memory_is_found_and_put_right() {
    let rig = Rig::start();
    let revision = rig.write(|state| state.addresses.push(network(1)));
    rig.loaded(revision).await;
    let before = {
        let mut state = rig.fake.state();
        state.networks[1].group = 2;
        state.reloads.len()
    };
    until("a reload", async || (rig.fake.state().reloads.len() > before).then_some(())).await;
    until("the right rows", async || (rig.fake.state().networks[1].group == 1).then_some(())).await;
    rig.loaded(revision).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_while_it_is_read_is_no_alarm() {
    let rig = Rig::start();
    rig.loaded(0).await;
    rig.fake.state().meanwhile = Some(network(2));
    rig.write(|state| state.addresses.push(network(1)));
    rig.loaded(2).await;
    let counts = |result| rig.metrics.kamailio_reloads.with_label_values(&["address", result]).get();
    assert_eq!((counts("waiting"), counts("loaded"), counts("differs")), (1, 1, 0));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_gateways_stay_dead_over_a_reload() {
    let rig = Rig::start();
    let revision = rig.write(|state| state.destinations.extend([gateway(1), gateway(2)]));
    rig.loaded(revision).await;
    let dead = (gateway(1).set, gateway(1).uri);
    rig.fake.state().states.insert(dead.clone(), "IP".into());
    // Its priority changes, and with it its set.
    let moved = Destination { set: dead.0 + 1, ..gateway(1) };
    let revision = rig.write(|state| state.destinations = vec![gateway(2), moved.clone(), gateway(3)]);
    rig.loaded(revision).await;
    let states = rig.fake.state().states.clone();
    assert_eq!(states[&(moved.set, moved.uri)], "IP");
    assert_eq!(states[&(gateway(2).set, gateway(2).uri)], "AX");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_kamailio_is_compared_and_not_reloaded() {
    let mut rig = Rig::start();
    let revision = rig.write(|state| state.addresses.push(host(1)));
    rig.loaded(revision).await;
    let reloads = rig.fake.state().reloads.len();
    rig.fake.stop();
    until("its absence to be noticed", async || {
        (rig.table(Table::Address).unwrap().state == "unknown").then_some(())
    })
    .await;
    let revision = rig.write(|state| state.addresses.push(host(2)));
    rig.fake.restart();
    rig.loaded(revision).await;
    assert_eq!(rig.fake.state().reloads.len(), reloads);
    assert_eq!(rig.differs(Table::Address), 0);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_no_answer_has_room_for_are_known_by_their_marks() {
    let rig = Rig::start();
    rig.loaded(0).await;
    let revision = rig.write(|state| {
        state.addresses.extend((0..12_000).map(host));
        state.destinations.extend((0..12_000).map(gateway));
    });
    rig.loaded(revision).await;
    assert_eq!(rig.fake.state().reloads.len(), 2);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_left_is_no_hindrance() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(dir.path());
    let left = place(dir.path()).replies;
    fs::create_dir(&left).unwrap();
    fs::write(left.join("answers.sock"), "").unwrap();
    let client = Client::new(place(dir.path()));
    assert_eq!(client.started().await.unwrap(), "start 1");
    drop(client);
    assert!(!left.exists());
    drop(fake);
    let nobody = Client::new(place(dir.path())).started().await.unwrap_err().to_string();
    assert!(nobody.contains("nobody answers at") && nobody.contains("kamailio.sock"), "{nobody}");
}
