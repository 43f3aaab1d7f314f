//! A directory of good files, one of them replaced by another, and every use that is made of it.
//!
//! Also the body of the fuzz targets: it must not know what damages a file.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use trunk_admission::events::Consumer;
use trunk_admission::instance::{Freshness, Instance, Options};
use trunk_admission::live::Live;
use trunk_admission::model::{
    Account, AuthMode, Credential, FailoverCodes, Gateway, Limits, MAX_GATEWAYS, Table, Trunk,
};
use trunk_admission::publish::{Folding, PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Identity, Now, Outcome, Proof, Rate, Verdict};

/// A file of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A base image.
    Base,
    /// An overlay on it.
    Overlay,
    /// The control file.
    Control,
    /// Limiter words and slots.
    Live,
    /// The ring.
    Events,
    /// Its spill file.
    Spill,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Kind; 6] =
        [Kind::Base, Kind::Overlay, Kind::Control, Kind::Live, Kind::Events, Kind::Spill];

    /// The fuzz target that reads it.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Kind::Base | Kind::Overlay => "image",
            Kind::Control => "control",
            Kind::Live => "live",
            Kind::Events | Kind::Spill => "events",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Base => "table-1",
            Kind::Overlay => "table-2",
            Kind::Control => "control",
            Kind::Live => "live",
            Kind::Events => "events",
            Kind::Spill => "events-spill",
        }
    }
}

/// The directory and its good files.
pub(crate) struct Files {
    dir: tempfile::TempDir,
    good: Vec<Vec<u8>>,
}

impl Files {
    /// Makes them: a base, an overlay that changes some of it, calls that are up, events that wait.
    pub(crate) fn new() -> Files {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a directory");
        let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).expect("a publisher");
        publisher.set_folding(Folding { small_trunks: 0, ..Folding::default() });
        let mut table = table();
        publisher.publish(&table, None).expect("a base");
        table.trunks.remove(1);
        table.trunks[0].limits.concurrent = Some(3);
        table.accounts[0].enabled = false;
        table.revision = 2;
        let published = publisher.publish(&table, None).expect("an overlay");
        assert!(published.changed > 0, "the second image is an overlay");
        let mut instance = Instance::create(&options(dir.path())).expect("live and events");
        instance.refresh();
        for round in 0..3 {
            use_instance(&mut instance, round, false);
        }
        drop((publisher, instance));
        let good = Kind::ALL.iter().map(|kind| std::fs::read(dir.path().join(kind.name())).expect("a file"));
        let good = good.collect();
        Files { dir, good }
    }

    /// The good file of a kind.
    pub(crate) fn good(&self, kind: Kind) -> &[u8] {
        &self.good[kind as usize]
    }

    fn path(&self, kind: Kind) -> PathBuf {
        self.dir.path().join(kind.name())
    }

    /// Replaces one file by `bytes`, and uses the directory as Kamailio and the daemon do. Answers whether the file was
    /// accepted.
    pub(crate) fn try_out(&mut self, kind: Kind, bytes: &[u8]) -> bool {
        let write = |kind: Kind, bytes: &[u8]| std::fs::write(self.path(kind), bytes).expect("a file");
        write(kind, bytes);
        let accepted = match kind {
            Kind::Base | Kind::Overlay => use_table(self.dir.path()),
            Kind::Control => use_control(self.dir.path()),
            Kind::Live => use_live(self.dir.path()),
            Kind::Events | Kind::Spill => use_events(self.dir.path()),
        };
        // Whatever that changed is good again for the next.
        let changed: &[Kind] = match kind {
            Kind::Base | Kind::Overlay => &[kind, Kind::Live, Kind::Events],
            _ => &Kind::ALL,
        };
        changed.iter().for_each(|&kind| write(kind, self.good(kind)));
        accepted
    }
}

fn use_table(dir: &Path) -> bool {
    let mut instance = Instance::join(&options(dir)).expect("the other files are good");
    instance.enter_process(1, std::process::id(), 7);
    let accepted = instance.generation() != 0;
    use_instance(&mut instance, 9, true);
    accepted
}

fn use_control(dir: &Path) -> bool {
    let mut instance = Instance::join(&options(dir)).expect("the other files are good");
    let accepted = instance.generation() != 0;
    use_instance(&mut instance, 9, true);
    if let Ok(mut publisher) = Publisher::open(dir, PublishOptions::default()) {
        publisher.heartbeat(1);
        let published = publisher.publish(&table(), Some(instance.live()));
        // Whoever may write the file can put a table in force again.
        published.expect("a control file that is accepted can be published to");
        let mut reader = Instance::join(&options(dir)).expect("the other files are good");
        assert!(matches!(reader.refresh(), Freshness::Same), "what was published is in force");
        use_instance(&mut reader, 10, true);
    }
    accepted
}

fn use_live(dir: &Path) -> bool {
    let Ok(live) = Live::attach(dir) else { return false };
    let views = live.slots_in_use();
    for view in views.iter().chain(&live.orphans()) {
        let _ = live.call(view.slot);
        if let Some(reclaimed) = live.begin_reclaim(view.slot) {
            live.finish_reclaim(reclaimed);
        }
    }
    let _ = (live.counters(), live.processes(), live.room(), live.restored(), live.main_pid());
    for start in [false, true] {
        let instance = if start { Instance::create(&options(dir)) } else { Instance::join(&options(dir)) };
        let Ok(mut instance) = instance else { continue };
        instance.enter_process(1, std::process::id(), 7);
        instance.refresh();
        if let Some(call) = views.first().and_then(|view| instance.call(view.slot)) {
            let key = instance.call_key(b"restored", b"", 1);
            let _ = instance.adopt(&call, key);
        }
        instance.mark_restored();
        use_instance(&mut instance, 9, false);
    }
    true
}

fn use_events(dir: &Path) -> bool {
    let Ok(mut consumer) = Consumer::attach(dir) else { return false };
    let _ = (consumer.fill(), consumer.dropped(), consumer.lost(), consumer.ring_id());
    let mut instance = Instance::join(&options(dir)).expect("it was just accepted");
    instance.refresh();
    for max in [1, usize::MAX] {
        use_instance(&mut instance, 9, false);
        let records = consumer.poll(max);
        consumer.acknowledge(&records);
        let again = consumer.poll(max);
        consumer.acknowledge(&again);
    }
    drop(instance);
    if let Ok(mut instance) = Instance::create(&options(dir)) {
        instance.refresh();
        use_instance(&mut instance, 9, false);
        let records = consumer.poll(usize::MAX);
        consumer.acknowledge(&records);
    }
    true
}

/// Every question and every deed of a worker.
fn use_instance(instance: &mut Instance, round: u32, end: bool) {
    instance.refresh();
    let _ = instance.status();
    let long = [b'x'; 300];
    let hosts: [&[u8]; 8] = [
        b"t0.sip.example",
        b"T1.sip.example",
        b"t2.SIP.example",
        b"in.sip.example",
        b"sip.example",
        b"",
        b".",
        &long,
    ];
    let sources = ["203.0.113.7", "10.1.2.3", "2001:db8::7", "::ffff:192.0.2.1", "::"]
        .map(|text| text.parse::<IpAddr>().expect("an address"));
    let mut number = 0;
    for host in hosts {
        for user in [&b"app-0"[..], b"", &long] {
            for source in sources {
                number += 1;
                let host = &Host::new(host);
                let call = instance.call_key_to(host, &[round as u8], user, number);
                let attempt = Attempt { host, user, source, secure: number % 2 == 0, call };
                if let Ok(identity) = instance.identify(&attempt) {
                    use_call(instance, &identity, &attempt, end);
                }
            }
        }
    }
    for live in [0, 1, 2, 3, u32::MAX] {
        if let Some(identity) = instance.identity_of(live) {
            look(instance, &identity);
        }
    }
}

fn look(instance: &Instance, identity: &Identity) {
    for user in [&b"user"[..], b"", &[b'x'; 300]] {
        let _ = instance.credential(identity, user);
    }
    let names = instance.names(identity);
    let _ = (names.trunk.as_str().len(), names.account.as_str().len());
    let _ = instance.failover_codes(identity).contains(503);
    for gateway in [0, 1, u32::MAX] {
        let _ = instance.gateway_uri(identity, gateway).as_str().len();
    }
}

fn use_call(instance: &mut Instance, identity: &Identity, attempt: &Attempt<'_>, end: bool) {
    look(instance, identity);
    let now = Now::read();
    let verdict = instance.admit(identity, attempt, Proof::Verified, now);
    let (Verdict::Admitted(admission) | Verdict::Again(admission)) = verdict else { return };
    let mut tried = 0;
    while let Some(target) = instance.route(identity, admission.slot) {
        instance.gateway_result(target.live, if tried % 2 == 0 { Outcome::Bad } else { Outcome::Good }, now);
        let _ = target.uri().len() + target.next_hop().len();
        tried += 1;
        assert!(tried <= MAX_GATEWAYS, "a call is offered more gateways than there can be");
    }
    instance.ringing(admission.slot, 1);
    instance.bind_dialog(admission.slot, 2, 3);
    instance.answered(admission.slot, 4);
    push(instance, admission.uid);
    if end {
        instance.end(admission.slot, |_| {});
    }
}

fn push(instance: &Instance, call: [u8; 16]) {
    use trunk_admission::events::{Answered, BodyOut, EventOut};
    let body = BodyOut::Answered(Answered { gateway: b"sip:a.example", attempts: 1, ring_wall_ms: 1 });
    instance.push(&EventOut { call, wall_ms: 2, trunk: b"t0", body });
}

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        slots: 8,
        trunks: 4,
        accounts: 2,
        gateways: 4,
        processes: 2,
        ring_cells: 3,
        spill_cells: 8,
    }
}

/// A little of everything that a table can hold.
fn table() -> Table {
    let limits = Limits { rate: Some(Rate::per_second(5.0, Some(50)).expect("a rate")), concurrent: Some(6) };
    let trunks = (0..3).map(|live| Trunk {
        id: format!("t{live}"),
        live,
        account: (live < 2).then_some(live),
        kind: if live == 0 {
            trunk_admission::model::Kind::Application
        } else {
            trunk_admission::model::Kind::Trunk
        },
        inbound_user: Some(format!("app-{live}")),
        enabled: true,
        auth: if live == 2 { AuthMode::All } else { AuthMode::Any },
        limits,
        regions: None,
        sources: ["203.0.113.0/24", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0", "2001:db8::7/128"]
            .iter()
            .skip(live as usize)
            .map(|net| net.to_string())
            // More than stand behind the record, in the base and in the overlay.
            .chain((0..if live == 1 { 0 } else { 17 }).map(|net| format!("10.9.{net}.0/24")))
            .map(|net| net.parse().expect("a network"))
            .collect(),
        credentials: ["user", "other"].map(credential).to_vec(),
        gateways: (0..3).map(|gateway| self::gateway(gateway, live)).collect(),
        failover: FailoverCodes::default(),
        secure: live == 1,
    });
    Table {
        revision: 1,
        region: "US".parse().expect("a region"),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node: limits,
        accounts: (0..2)
            .map(|live| Account { id: format!("a{live}"), live, enabled: true, limits })
            .collect(),
        trunks: trunks.collect(),
    }
}

fn credential(username: &str) -> Credential {
    Credential { username: username.into(), ha1_md5: [1; 16], ha1_sha256: [2; 32] }
}

fn gateway(live: u32, trunk: u32) -> Gateway {
    let uri = format!("sip:g{live}.t{trunk}.example:5060;transport=tcp");
    Gateway { uri, live, priority: (live / 2) as u16, weight: 1 + live as u16 }
}
