//! What trunkd would do around the module: publish a table, read the ring.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trunk_admission::events::{Body, Consumer, Ended, Event};
use trunk_admission::model::{
    Account, AuthMode, Credential, FailoverCodes, Gateway, Kind, Limits, Table, Trunk,
};
use trunk_admission::publish::{PublishOptions, Publisher};

use crate::host::{Host, Settings, until};
use crate::sip::Phone;

/// Domain of the trunk that most tests use.
pub(crate) const DOMAIN: &str = "acme.sip.example.net";

pub(crate) struct Site {
    folder: TempDir,
    publisher: Publisher,
    consumer: Option<Consumer>,
    revision: u64,
}

/// A trunk that anybody on loopback may use.
pub(crate) fn trunk(gateways: &[SocketAddr]) -> Trunk {
    let gateway = |(index, address): (usize, &SocketAddr)| Gateway {
        uri: format!("sip:{address}"),
        live: index as u32,
        priority: index as u16,
        weight: 1,
    };
    Trunk {
        id: "acme".into(),
        live: 3,
        account: Some(2),
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits: Limits::default(),
        regions: None,
        sources: vec!["127.0.0.0/8".parse().expect("a network")],
        credentials: Vec::<Credential>::new(),
        gateways: gateways.iter().enumerate().map(gateway).collect(),
        failover: FailoverCodes::default(),
        secure: false,
    }
}

impl Site {
    /// A folder where nothing is published yet.
    pub(crate) fn empty() -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let publisher =
            Publisher::open(&folder.path().join("shm"), PublishOptions::default()).expect("a publisher");
        Site { folder, publisher, consumer: None, revision: 0 }
    }

    /// A site with this trunk, and a Kamailio that has it in force.
    pub(crate) fn start(trunk: Trunk, settings: &Settings) -> (Site, Host) {
        let mut site = Site::empty();
        site.publish(trunk);
        let host = Host::start(site.dir(), settings);
        (site, host)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn shm(&self) -> PathBuf {
        self.dir().join("shm")
    }

    pub(crate) fn publish(&mut self, trunk: Trunk) {
        self.revision += 1;
        let account = Account { id: "corp".into(), live: 2, enabled: true, limits: Limits::default() };
        let table = Table {
            revision: self.revision,
            region: "US".parse().expect("a region"),
            base_domain: "sip.example.net".into(),
            inbound_host: "in.sip.example.net".into(),
            node: Limits::default(),
            accounts: vec![account],
            trunks: vec![trunk],
        };
        self.publisher.publish(&table, None).expect("a good table");
    }

    /// The next event on the ring.
    pub(crate) fn event(&mut self) -> Event {
        let dir = self.shm();
        let consumer = self.consumer.get_or_insert_with(|| Consumer::attach(&dir).expect("a ring"));
        let record = until("an event", || consumer.poll(1).pop());
        consumer.acknowledge(std::slice::from_ref(&record));
        record.event.expect("a whole event")
    }

    /// No event waits.
    pub(crate) fn assert_quiet(&mut self) {
        let dir = self.shm();
        let consumer = self.consumer.get_or_insert_with(|| Consumer::attach(&dir).expect("a ring"));
        assert_eq!(consumer.poll(8).into_iter().map(|record| record.event).collect::<Vec<_>>(), []);
    }

    /// The next event, which must be the end of the call `uid`.
    pub(crate) fn ended(&mut self, uid: [u8; 16]) -> Ended<String> {
        let event = self.event();
        assert_eq!((event.call, event.call_sequence, event.trunk.as_str()), (uid, 2, "acme"), "{event:?}");
        let Body::Ended(ended) = event.body else { panic!("no ending: {event:?}") };
        ended
    }

    /// The next event, which must be a call that was let in; its id.
    pub(crate) fn initiated(&mut self) -> [u8; 16] {
        let event = self.event();
        let Body::Initiated(initiated) = &event.body else { panic!("no beginning: {event:?}") };
        assert_eq!(initiated.reason, None);
        event.call
    }
}

/// A call that is up: caller's and gateway's view of it.
pub(crate) struct Up {
    pub(crate) uid: [u8; 16],
    pub(crate) call: crate::sip::Call,
    pub(crate) invite: crate::sip::Message,
}

/// Places a call and answers it after ringing.
pub(crate) fn talk(site: &mut Site, caller: &Phone, gateway: &Phone, acknowledge: bool) -> Up {
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    gateway.answer(&invite, "200 OK", &[]);
    caller.expect_final(&mut call);
    if acknowledge {
        caller.ack(&call);
        gateway.expect("ACK");
    }
    let uid = site.initiated();
    let answered = site.event();
    assert_eq!(answered.call, uid);
    let Body::Answered(answer) = answered.body else { panic!("no answer: {answered:?}") };
    assert_eq!((answer.gateway, answer.attempts), (format!("sip:{}", gateway.address), 1));
    assert!(answer.ring_wall_ms > 0 && answer.ring_wall_ms <= answered.wall_ms);
    Up { uid, call, invite }
}
