//! A publisher with a reader, and everything that the reader can say.

use std::fmt::Debug;
use std::net::IpAddr;

use tempfile::TempDir;
use trunk_admission::instance::Instance;
use trunk_admission::publish::{Folding, Node as Settings, PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Identity, Now, Proof, Reason, Verdict};

use crate::support::options;
use crate::world::{ADDRESSES, LIVES, NAMES, USERS};

/// Nothing is folded unless a test says so.
pub(crate) const NEVER_AT_ONCE: Folding = Folding { small_trunks: 0, at_once_trunks: 0, changed: usize::MAX };
/// No overlay is ever made.
pub(crate) const ALWAYS_A_BASE: Folding =
    Folding { small_trunks: usize::MAX, at_once_trunks: usize::MAX, changed: 0 };
const HOUR_NS: u64 = 3_600_000_000_000;

pub(crate) struct Side {
    pub(crate) dir: TempDir,
    pub(crate) publisher: Publisher,
    pub(crate) instance: Instance,
    calls: u64,
}

impl Side {
    pub(crate) fn new(folding: Folding) -> Side {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).unwrap();
        publisher.set_folding(folding);
        let instance = Instance::create(&options(&dir)).unwrap();
        Side { dir, publisher, instance, calls: 0 }
    }

    /// Whose call it would be, or why nobody's.
    pub(crate) fn identify(&self, host: &str, source: IpAddr) -> Result<Identity, Reason> {
        let call = self.instance.call_key(b"any", b"tag", 1);
        let attempt = Attempt { host: &Host::new(host.as_bytes()), user: b"", source, secure: false, call };
        self.instance.identify(&attempt).map_err(|barred| barred.reason)
    }

    /// Everything that the module could ask, as text.
    pub(crate) fn observe(&mut self, settings: &Settings) -> Vec<String> {
        self.instance.refresh();
        let mut seen =
            vec![format!("{:?}", (self.instance.status().trunks, self.instance.status().revision))];
        let mut note = |what: &dyn Debug| seen.push(format!("{what:?}"));
        for source in ADDRESSES {
            for n in 0..10 {
                let host = format!("T{n}.{}", settings.base_domain);
                note(&(&host, source, self.ask(&host, "", source)));
            }
            note(&(source, self.ask(&settings.base_domain, "", source)));
        }
        for user in USERS {
            note(&(user, self.ask(&settings.inbound_host, user, ADDRESSES[0])));
        }
        for live in 0..LIVES {
            let identity = self.instance.identity_of(live);
            note(&(live, identity.map(|identity| self.instance.names(&identity))));
        }
        seen
    }

    /// One call: who it is, what is known of that trunk, and what came of it.
    pub(crate) fn ask(&mut self, host: &str, user: &str, source: &str) -> String {
        let instance = &mut self.instance;
        self.calls += 1;
        let call = instance.call_key(&self.calls.to_be_bytes(), b"tag", 1);
        let (host, user, source) = (host.as_bytes(), user.as_bytes(), source.parse().unwrap());
        let attempt =
            Attempt { host: &Host::new(host), user, source, secure: self.calls.is_multiple_of(3), call };
        let identity = match instance.identify(&attempt) {
            Ok(identity) => identity,
            Err(barred) => {
                let names = |identity| (instance.names(&identity), instance.realm(&identity));
                let names = barred.identity.map(names);
                return format!("{:?} {names:?}", barred.reason);
            }
        };
        let trunk = &identity.trunk;
        let switches = (trunk.kind(), trunk.auth(), trunk.secure(), identity.needs_password);
        let limits = (trunk.rate(), trunk.concurrent(), trunk.account());
        let credentials = NAMES.map(|name| {
            instance.credential(&identity, name.as_bytes()).map(|ha1| (ha1.md5[0], ha1.sha256[31]))
        });
        let gateways: Vec<String> =
            (0..4).map(|live| instance.gateway_uri(&identity, live).as_str().to_owned()).collect();
        let failover: Vec<u16> =
            (500..508).filter(|&code| instance.failover_codes(&identity).contains(code)).collect();
        let names = (instance.names(&identity), instance.realm(&identity));
        let now = Now { mono_ns: self.calls * HOUR_NS, wall_ms: 1 };
        let verdict = match instance.admit(&identity, &attempt, Proof::Verified, now) {
            Verdict::Admitted(call) => {
                let first = instance.route(&identity, call.slot).map(|target| target.uri().len());
                instance.end(call.slot, |_| {});
                format!("admitted {}", first.is_some())
            }
            Verdict::Refused(refusal) => format!("{:?} {}", refusal.reason, refusal.limit),
            other => format!("{other:?}"),
        };
        format!("{switches:?} {limits:?} {credentials:?} {gateways:?} {failover:?} {names:?} {verdict}")
    }
}
