//! trunkd killed at every step of a write, and started again: the write is wholly there or wholly not, and store, image,
//! Kamailio's tables and Kamailio itself say the same.
//!
//! Built with the feature `crash-points` only.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use rusqlite::Connection;
use trunk_admission::explain::{Explainer, Explanation, Question};
use trunk_admission::instance::Instance;
use trunk_admission::{Now, crash};
use trunkd::difference::Plan;
use trunkd::kamailio::rows::{Address, Destination, MARK_GROUP, MARK_SET, Place};
use trunkd::store::sqlite::SqliteStore;
use trunkd::store::{Page, Snapshot, Store};

use crate::api::{Caller, admin_token, with_json};
use crate::command::{Running, api_of};
use crate::daemon::get_at;
use crate::event_crashes::of_events;
use crate::kamailio_fake::Fake;
use crate::ring::module;
use crate::support::{Site, until};

/// Before: one trunk that will change, one that will go.
const OLD: &str = "[[account]]\naccountId = \"acme\"\n\
    [[trunk]]\ntrunkId = \"stays\"\naccountId = \"acme\"\nconcurrentCallsLimit = 1\n\
    [[trunk.ipAcls]]\nipAddress = \"192.0.2.1\"\n\
    [[trunk.originationUris]]\nuri = \"sip:198.51.100.1\"\n\
    [[trunk]]\ntrunkId = \"goes\"\n[[trunk.ipAcls]]\nipAddress = \"192.0.2.0/28\"\n";
/// After: the other limit, address and gateway, and a trunk that is new.
const NEW: &str = "[[account]]\naccountId = \"acme\"\nname = \"Acme Inc\"\n\
    [[trunk]]\ntrunkId = \"stays\"\naccountId = \"acme\"\nconcurrentCallsLimit = 2\n\
    [[trunk.ipAcls]]\nipAddress = \"192.0.2.2\"\n\
    [[trunk.credentials]]\nusername = \"pbx\"\npassword = \"correct horse battery\"\n\
    [[trunk.originationUris]]\nuri = \"sip:198.51.100.2\"\n\
    [[trunk]]\ntrunkId = \"comes\"\n[[trunk.ipAcls]]\nipAddress = \"192.0.2.16/28\"\n\
    [[trunk.originationUris]]\nuri = \"sip:198.51.100.3\"\n";

/// The steps of publishing that an image goes through each time; a start has been through them once.
fn publishing() -> impl Iterator<Item = &'static str> {
    let each_time = |name: &&str| name.starts_with("publish.") || name.starts_with("control.");
    let at_open = [
        "publish.locked",
        "publish.swept",
        "control.made",
        "control.layout",
        "control.magic",
        "control.renamed",
    ];
    crash::POINTS.iter().copied().filter(each_time).filter(move |name| !at_open.contains(name))
}

/// Revision of `OLD`, after that of the first token.
const OLD_REVISION: i64 = 2;

/// A state directory as a first start with `OLD` leaves it.
struct Template(Site);

impl Template {
    fn new() -> Template {
        let site = Site::new();
        site.write("a.toml", OLD);
        let (mut running, ready) = Running::start(&site);
        running.signal(Signal::SIGTERM);
        assert!(ready.starts_with("trunkd ready") && !running.died(), "{}", running.last_words());
        Template(site)
    }
}

/// A site where `OLD` is in force in the store, and a Kamailio that holds its tables.
struct Scene {
    site: Site,
    fake: Fake,
}

impl Scene {
    fn new(template: &Template) -> Scene {
        let site = Site::new();
        let fake = Fake::start(site.main().parent().unwrap());
        let socket = fake.socket.display();
        site.write_main(&format!(
            "[kamailio]\nrpc_socket = \"{socket}\"\nreload = [\"address\", \"dispatcher\"]\nreload_delta_s = 0\n"
        ));
        site.write("a.toml", OLD);
        let state = site.database().parent().unwrap().to_owned();
        fs::create_dir(&state).unwrap();
        for entry in fs::read_dir(template.0.database().parent().unwrap()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), state.join(entry.file_name())).unwrap();
        }
        let mut scene = Scene { site, fake };
        scene.kamailio_reads();
        scene.fake.restart();
        scene
    }

    /// From now on a reload of Kamailio finds what is in the database now.
    fn kamailio_reads(&mut self) {
        let (addresses, destinations) = rows(&self.site.database());
        let mut state = self.fake.state();
        (state.addresses, state.destinations) = (addresses, destinations);
    }

    async fn stored(&self) -> Snapshot {
        let store = SqliteStore::open(&self.site.database()).unwrap();
        let snapshot = store.snapshot().await.unwrap();
        let room = trunkd::config::load_main(&self.site.main()).unwrap().config.publish.capacity;
        assert!(!store.check_kamailio(room).await.unwrap(), "the tables are those of the store");
        let audit = store.list_audit(Default::default(), Page::ALL).await.unwrap();
        assert!(audit.objects.iter().all(|entry| entry.revision <= snapshot.revision));
        let wanted = if snapshot.revision == OLD_REVISION { 5 } else { 9 };
        assert_eq!(audit.total, wanted, "its audit rows and no more");
        store.close().await.unwrap();
        snapshot
    }
}

/// What is in the tables that Kamailio loads, but for the marks.
fn rows(database: &Path) -> (Vec<Address>, Vec<Destination>) {
    let db = Connection::open(database).unwrap();
    let mut select = db.prepare("SELECT grp, ip_addr, mask, tag FROM address").unwrap();
    let address = |row: &rusqlite::Row<'_>| {
        let (text, mask): (String, u8) = (row.get(1)?, row.get(2)?);
        let place = match text.parse() {
            Ok(ip) if mask == 32 || mask == 128 => Place::Host(ip),
            Ok(ip) => Place::Subnet(ipnet::IpNet::new(ip, mask).unwrap()),
            Err(_) => Place::Name(text),
        };
        Ok(Address { group: row.get(0)?, place, tag: row.get(3)? })
    };
    let addresses = select.query_map([], address).unwrap().map(Result::unwrap);
    let addresses = addresses.filter(|row| row.group != MARK_GROUP).collect();
    let mut select = db.prepare("SELECT setid, destination, flags, attrs FROM dispatcher").unwrap();
    let destination = |row: &rusqlite::Row<'_>| {
        Ok(Destination { set: row.get(0)?, uri: row.get(1)?, flags: row.get(2)?, attrs: row.get(3)? })
    };
    let destinations = select.query_map([], destination).unwrap().map(Result::unwrap);
    (addresses, destinations.filter(|row| row.set != MARK_SET).collect())
}

/// What `/readyz` says of the daemon that has said `ready`.
async fn readyz(ready: &str) -> serde_json::Value {
    serde_json::from_str(&get_at(api_of(ready), "/readyz").await.1).unwrap()
}

fn explain(shm: &Path, trunk: &str, source: &str) -> Explanation {
    let host = format!("{trunk}.sip.example.net");
    let question = Question {
        host: host.as_bytes(),
        user: b"",
        source: source.parse().unwrap(),
        tls: false,
        username: None,
    };
    let now = Now { mono_ns: 1_000_000_000, wall_ms: 1_000 };
    Explainer::open(shm).unwrap().explain(&question, now).unwrap()
}

/// What the image in force says is what the store says.
fn compare(shm: &Path, stored: &Snapshot, about: &str) {
    let new = stored.revision > OLD_REVISION;
    let [old_source, new_source, comes, goes] = [
        explain(shm, "stays", "192.0.2.1"),
        explain(shm, "stays", "192.0.2.2"),
        explain(shm, "comes", "192.0.2.17"),
        explain(shm, "goes", "192.0.2.3"),
    ];
    for explanation in [&old_source, &new_source, &comes, &goes] {
        assert_eq!(explanation.revision, stored.revision.cast_unsigned(), "{about}");
    }
    assert_eq!(old_source.refusal.is_none(), !new, "{about}");
    assert_eq!(new_source.refusal.is_none(), new, "{about}");
    assert_eq!((comes.trunk.is_some(), goes.trunk.is_some()), (new, !new), "{about}");
    let stays = if new { &new_source } else { &old_source };
    let gateway = if new { "sip:198.51.100.2" } else { "sip:198.51.100.1" };
    assert_eq!(
        stays.gateways.iter().map(|choice| choice.uri.as_str()).collect::<Vec<_>>(),
        [gateway],
        "{about}"
    );
}

/// One death and what comes after it.
async fn die_at(template: &Template, point: &'static str, hit: u32, is_new: bool) {
    let about = format!("{point}:{hit}");
    let mut scene = Scene::new(template);
    let shm = scene.site.shm();
    let kamailio: Instance = module(&shm, 64);
    let (mut running, ready) = Running::start_with(&scene.site, crash::VARIABLE, &about);
    assert!(ready.starts_with("trunkd ready"), "{about}: {ready:?} {}", running.last_words());
    scene.site.write("a.toml", NEW);
    if point.starts_with("kamailio.") {
        let meant = Scene::new(template).site;
        meant.write("a.toml", NEW);
        let store = meant.store().await;
        store.close().await.unwrap();
        let (addresses, destinations) = rows(&meant.database());
        let mut state = scene.fake.state();
        (state.addresses, state.destinations) = (addresses, destinations);
    }
    running.signal(Signal::SIGHUP);
    assert!(running.died(), "{about}: it came to its end otherwise: {}", running.last_words());

    let stored = scene.stored().await;
    assert_eq!(stored.revision, OLD_REVISION + i64::from(is_new), "{about}");
    let ids: Vec<_> = stored.trunks.iter().map(|placed| placed.item.id.as_str()).collect();
    assert_eq!(ids, if is_new { ["comes", "stays"] } else { ["goes", "stays"] }, "{about}");
    let wanted = trunkd::config::load(&scene.site.main()).unwrap().provisioned;
    assert_eq!(Plan::between(&stored, &wanted, 0).is_empty(), is_new, "{about}: whole");

    // What the files say must not count now, but what is stored.
    scene.site.write("a.toml", "x = 1");
    scene.kamailio_reads();
    let (_running, ready) = Running::start(&scene.site);
    assert!(ready.starts_with("trunkd ready"), "{about}: {ready:?}");
    compare(&shm, &stored, &about);
    let loaded = until("Kamailio's tables", async || {
        let state = readyz(&ready).await;
        let tables = state["kamailio"].as_array()?.clone();
        let good = tables
            .iter()
            .all(|table| table["state"] == "loaded" && table["loadedRevision"] == stored.revision);
        (tables.len() == 2 && good).then_some(state)
    })
    .await;
    assert_eq!(
        (&loaded["publishedRevision"], &loaded["storedRevision"]),
        (&stored.revision.into(), &stored.revision.into()),
        "{about}"
    );
    drop(kamailio);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_wholly_there_or_not_at_all_wherever_trunkd_dies() {
    let template = Template::new();
    let points: Vec<&str> = trunkd::crash::POINTS.iter().copied().filter(|name| !of_events(name)).collect();
    let committed = points.iter().position(|name| *name == "write.committed").unwrap();
    for (index, point) in points.into_iter().enumerate() {
        // A start takes its turn twice: for a first token, and for what files say. There is nothing to be written.
        let hit = if point == "write.begun" { 3 } else { 1 };
        die_at(&template, point, hit, index >= committed).await;
    }
    // In the middle of its objects, and after the last.
    for hit in [2, 4] {
        die_at(&template, "write.object", hit, false).await;
    }
    for point in publishing() {
        die_at(&template, point, 2, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_death_the_same_walk_ends_in_the_new_state() {
    let mut scene = Scene::new(&Template::new());
    let _kamailio = module(&scene.site.shm(), 64);
    let (mut running, ready) = Running::start(&scene.site);
    scene.site.write("a.toml", NEW);
    running.signal(Signal::SIGHUP);
    until("the change", async || {
        let state = readyz(&ready).await;
        (state["publishedRevision"] == OLD_REVISION + 1).then_some(())
    })
    .await;
    running.signal(Signal::SIGTERM);
    assert!(!running.died(), "{}", running.last_words());
    let stored = scene.stored().await;
    compare(&scene.site.shm(), &stored, "no death");
    scene.kamailio_reads();
}

/// Whoever was cut off asks again under the same key, and what he asked for is there once.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_after_a_death_is_done_once() {
    let template = Template::new();
    let points = trunkd::crash::POINTS.iter().copied().filter(|name| name.starts_with("write."));
    for point in points {
        let scene = Scene::new(&template);
        let hit = if point == "write.begun" { 3 } else { 1 };
        let about = format!("{point}:{hit}");
        let (mut running, ready) = Running::start_with(&scene.site, crash::VARIABLE, &about);
        let post = |ready: &str| {
            let caller = Caller::at(api_of(ready), &admin_token(&scene.site));
            let body = serde_json::json!({"name": "once", "credentials": [{"username": "u"}]});
            let request = caller.request(reqwest::Method::POST, "/v1/trunks?wait=applied");
            (with_json(request.header("idempotency-key", "k"), &body), caller)
        };
        let cut_off = post(&ready).0.send().await;
        assert!(cut_off.is_err() && running.died(), "{about}: {}", running.last_words());

        let (_running, ready) = Running::start(&scene.site);
        let (request, caller) = post(&ready);
        let again = caller.send(request).await.expect(201);
        let all = caller.get("/v1/trunks").await.expect(200);
        assert_eq!(all.body["meta"]["total"], 3, "{about}: {}", all.text);
        let names = all.body["objects"].as_array().unwrap().iter();
        let made: Vec<_> = names.filter(|trunk| trunk["name"] == "once").collect();
        assert_eq!(made.len(), 1, "{about}: {}", all.text);
        assert_eq!(made[0]["trunkId"], again.body["trunkId"], "{about}");
        assert_eq!(again.body["applied"], true, "{about}");
    }
}
