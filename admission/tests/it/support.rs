//! A directory with a publisher and a module handle, and short ways to say what is in the table.

use std::net::IpAddr;

use tempfile::TempDir;
use trunk_admission::instance::{Instance, Options};
use trunk_admission::model::*;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Barred, Host, Identity, Now, Proof, Rate, Refusal, Verdict};

pub(crate) struct Node {
    pub(crate) dir: TempDir,
    pub(crate) publisher: Publisher,
    pub(crate) instance: Instance,
}

pub(crate) fn options(dir: &TempDir) -> Options {
    Options {
        dir: dir.path().to_owned(),
        slots: 64,
        trunks: 64,
        accounts: 16,
        gateways: 64,
        processes: 4,
        ring_cells: 16,
        spill_cells: 0,
    }
}

impl Node {
    pub(crate) fn with(table: &Table) -> Node {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
        publisher.publish(table, None).unwrap();
        let mut instance = Instance::create(&options(&dir)).unwrap();
        instance.enter_process(1, std::process::id(), 42);
        instance.refresh();
        Node { dir, publisher, instance }
    }

    pub(crate) fn publish(&mut self, table: &Table) {
        self.publisher.publish(table, Some(self.instance.live())).unwrap();
        self.instance.refresh();
    }

    /// The next start of Kamailio: the old handle goes, with its lock; a new one takes the files over.
    pub(crate) fn restart(self) -> Node {
        let Node { dir, publisher, instance } = self;
        drop(instance);
        let mut instance = Instance::create(&options(&dir)).unwrap();
        instance.enter_process(1, std::process::id(), 43);
        instance.refresh();
        Node { dir, publisher, instance }
    }

    /// Another worker of the same Kamailio.
    pub(crate) fn worker(&self) -> Instance {
        let mut worker = Instance::join(&options(&self.dir)).unwrap();
        worker.enter_process(2, std::process::id(), 44);
        worker
    }

    pub(crate) fn attempt<'a>(&self, host: &'a Host, source: &str, call: &str) -> Attempt<'a> {
        Attempt {
            host,
            user: b"",
            source: source.parse::<IpAddr>().unwrap(),
            secure: false,
            call: self.instance.call_key_to(host, call.as_bytes(), b"tag", 1),
        }
    }

    pub(crate) fn identify(&self, host: &str, source: &str) -> Result<Identity, Barred> {
        self.instance.identify(&self.attempt(&Host::new(host.as_bytes()), source, "any"))
    }

    /// A whole decision without a password, at this time.
    pub(crate) fn call_at(&mut self, host: &str, source: &str, call: &str, mono_ns: u64) -> Verdict {
        let host = Host::new(host.as_bytes());
        let attempt = self.attempt(&host, source, call);
        match self.instance.identify(&attempt) {
            Err(barred) => Verdict::Refused(barred.reason.into()),
            Ok(identity) => {
                self.instance.admit(&identity, &attempt, Proof::None, Now { mono_ns, wall_ms: 1_000 })
            }
        }
    }
}

pub(crate) fn table(trunks: Vec<Trunk>) -> Table {
    Table {
        revision: 1,
        region: "US".parse().unwrap(),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node: Limits::default(),
        accounts: vec![],
        trunks,
    }
}

/// A trunk that takes calls from one network, without limits.
pub(crate) fn trunk(id: &str, live: u32, source: &str) -> Trunk {
    Trunk {
        id: id.into(),
        live,
        account: None,
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits: Limits::default(),
        regions: None,
        sources: vec![source.parse().unwrap()],
        credentials: vec![],
        gateways: vec![gateway("sip:192.0.2.10:5060", 0, 10, 1)],
        failover: FailoverCodes::default(),
        secure: false,
    }
}

pub(crate) fn gateway(uri: &str, live: u32, priority: u16, weight: u16) -> Gateway {
    Gateway { uri: uri.into(), live, priority, weight }
}

pub(crate) fn credential(username: &str) -> Credential {
    Credential { username: username.into(), ha1_md5: [1; 16], ha1_sha256: [2; 32] }
}

pub(crate) fn rate(cps: f64, burst: u32) -> Option<Rate> {
    Some(Rate::per_second(cps, Some(burst)).unwrap())
}

pub(crate) fn admitted(verdict: Verdict) -> trunk_admission::Admission {
    match verdict {
        Verdict::Admitted(admission) => admission,
        other => panic!("not admitted: {other:?}"),
    }
}

pub(crate) fn refused(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
