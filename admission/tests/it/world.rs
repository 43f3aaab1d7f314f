//! Random configurations and random changes to them, from a few names that meet often.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use trunk_admission::Rate;
use trunk_admission::model::*;
use trunk_admission::publish::{Change, Node as Settings};

use crate::support::{gateway, rate, table};

pub(crate) const LIVES: u32 = 12;
pub(crate) const USERS: [&str; 3] = ["6f1e", "7a2b", "8c3d"];
pub(crate) const NAMES: [&str; 3] = ["alice", "bob", "carol"];
pub(crate) const PREFIXES: [&str; 10] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "192.0.2.0/24",
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "::ffff:10.1.0.0/112",
];
pub(crate) const ADDRESSES: [&str; 9] = [
    "198.51.100.19",
    "10.1.2.3",
    "10.1.2.4",
    "10.1.9.9",
    "10.9.9.9",
    "192.0.2.1",
    "203.0.113.1",
    "2001:db8:1::1",
    "2001:db8:2::1",
];

/// A trunk in small numbers, each taken modulo what there is.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    id: u8,
    live: u8,
    user: Option<u8>,
    prefixes: Vec<u8>,
    names: u8,
    gateways: u8,
    limits: u8,
    bits: u8,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put(Seed),
    Remove(u8),
    PutAccount {
        id: u8,
        live: u8,
        limits: u8,
        enabled: bool,
    },
    RemoveAccount(u8),
    Node {
        limits: u8,
        inbound: bool,
        region: bool,
        domain: bool,
    },
    /// The same trunk leaves and comes back as it was.
    Return(u8),
}

#[derive(Clone, Debug)]
pub(crate) enum Way {
    Apply,
    Whole,
    /// Fold what is in force, and publish the steps while the fold is being made.
    WhileFolding,
}

fn seed() -> impl Strategy<Value = Seed> {
    let numbers = (0..10u8, 0..LIVES as u8, prop::option::weighted(0.5, 0..3u8));
    let rest = (prop::collection::vec(0..10u8, 0..5), any::<u8>(), 0..8u8, any::<u8>(), any::<u8>());
    (numbers, rest).prop_map(|((id, live, user), (prefixes, names, gateways, limits, bits))| Seed {
        id,
        live,
        user,
        prefixes,
        names,
        gateways,
        limits,
        bits,
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => seed().prop_map(Step::Put),
        4 => (0..10u8).prop_map(Step::Remove),
        2 => (0..10u8).prop_map(Step::Return),
        2 => (0..4u8, 0..5u8, any::<u8>(), any::<bool>())
            .prop_map(|(id, live, limits, enabled)| Step::PutAccount { id, live, limits, enabled }),
        1 => (0..4u8).prop_map(Step::RemoveAccount),
        2 => (any::<u8>(), any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
            .prop_map(|(limits, inbound, region, domain)| Step::Node { limits, inbound, region, domain }),
    ]
}

pub(crate) fn way() -> impl Strategy<Value = Way> {
    prop_oneof![4 => Just(Way::Apply), 2 => Just(Way::Whole), 1 => Just(Way::WhileFolding)]
}

/// The configuration as plain maps: what both publishers are told.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    trunks: BTreeMap<String, Trunk>,
    accounts: BTreeMap<String, Account>,
}

fn limits(bits: u8) -> Limits {
    let rate = match bits & 3 {
        0 | 1 => None,
        2 => Some(Rate::NONE),
        _ => rate(100_000.0, 1_000_000),
    };
    Limits { rate, concurrent: [None, None, Some(0), Some(50)][usize::from(bits >> 2 & 3)] }
}

impl World {
    pub(crate) fn new() -> World {
        let settings = Settings::of(&table(vec![]));
        World { settings, trunks: BTreeMap::new(), accounts: BTreeMap::new() }
    }

    pub(crate) fn table(&self, revision: u64) -> Table {
        Table {
            revision,
            region: self.settings.region,
            base_domain: self.settings.base_domain.clone(),
            inbound_host: self.settings.inbound_host.clone(),
            node: self.settings.limits,
            accounts: self.accounts.values().cloned().collect(),
            trunks: self.trunks.values().rev().cloned().collect(),
        }
    }

    /// The trunk of a seed, with a free `live` index and a free user.
    fn trunk(&self, seed: &Seed) -> Trunk {
        let id = format!("t{}", seed.id);
        let others = || self.trunks.values().filter(|trunk| trunk.id != id);
        let lives: BTreeSet<u32> = others().map(|trunk| trunk.live).collect();
        let mut candidates = (0..LIVES).map(|n| (n + u32::from(seed.live)) % LIVES);
        let live = candidates.find(|live| !lives.contains(live)).unwrap();
        let user = seed.user.map(|user| USERS[usize::from(user)].to_owned());
        let inbound_user =
            user.filter(|user| others().all(|trunk| trunk.inbound_user.as_ref() != Some(user)));
        let bit = |n: u8| seed.bits >> n & 1 == 1;
        let names = NAMES.iter().zip(0..).filter(|&(_, n)| seed.names >> n & 1 == 1);
        // More than stand in its block, of both.
        let far = (0..20).filter(|_| seed.names >> 6 == 0).map(|n| format!("198.51.100.{n}/32"));
        let sources = seed.prefixes.iter().map(|&n| PREFIXES[usize::from(n)].to_owned()).chain(far);
        let gateways = [0, 1, 2, 3, 1, 2, 9, 12][usize::from(seed.gateways % 8)];
        let hash = |n: u8| seed.names.wrapping_mul(31).wrapping_add(n);
        Trunk {
            live,
            account: bit(0).then_some(u32::from(seed.bits % 5)),
            kind: if inbound_user.is_some() { Kind::Application } else { Kind::Trunk },
            inbound_user,
            enabled: !bit(1) || bit(2),
            auth: [AuthMode::Any, AuthMode::All, AuthMode::Password, AuthMode::Ip]
                [usize::from(seed.bits >> 3 & 3)],
            limits: limits(seed.limits),
            regions: bit(5).then(|| vec!["US".parse().unwrap()]),
            sources: sources.map(|prefix| prefix.parse().unwrap()).collect(),
            credentials: names
                .map(|(name, n)| Credential {
                    username: (*name).into(),
                    ha1_md5: [hash(n); 16],
                    ha1_sha256: [hash(n) ^ 0xff; 32],
                })
                .collect(),
            gateways: (0..gateways)
                .map(|n| gateway(&format!("sip:192.0.2.{n}:5060"), u32::from(n), n / 2, n + 1))
                .collect(),
            failover: FailoverCodes::from_codes(&[500 + u16::from(seed.gateways)]).unwrap(),
            secure: bit(6) && bit(7),
            id,
        }
    }

    /// Takes the step, and answers what a publisher must be told of it.
    pub(crate) fn take(&mut self, step: &Step) -> Vec<Change> {
        match step {
            Step::Put(seed) => {
                let trunk = self.trunk(seed);
                self.trunks.insert(trunk.id.clone(), trunk.clone());
                vec![Change::PutTrunk(Box::new(trunk))]
            }
            Step::Remove(id) => {
                self.trunks.remove(&format!("t{id}"));
                vec![Change::RemoveTrunk(format!("t{id}"))]
            }
            Step::Return(id) => match self.trunks.get(&format!("t{id}")) {
                None => vec![],
                Some(trunk) => {
                    let back = Change::PutTrunk(Box::new(trunk.clone()));
                    vec![Change::RemoveTrunk(trunk.id.clone()), back]
                }
            },
            Step::PutAccount { id, live, limits: bits, enabled } => {
                let id = format!("a{id}");
                let others: BTreeSet<u32> =
                    self.accounts.values().filter(|other| other.id != id).map(|other| other.live).collect();
                let live = (0..5).map(|n| (n + u32::from(*live)) % 5).find(|live| !others.contains(live));
                let account = Account { id, live: live.unwrap(), enabled: *enabled, limits: limits(*bits) };
                self.accounts.insert(account.id.clone(), account.clone());
                vec![Change::PutAccount(account)]
            }
            Step::RemoveAccount(id) => {
                self.accounts.remove(&format!("a{id}"));
                vec![Change::RemoveAccount(format!("a{id}"))]
            }
            Step::Node { limits: bits, inbound, region, domain } => {
                let choose = |second, a: &str, b: &str| if second { b.to_owned() } else { a.to_owned() };
                self.settings = Settings {
                    region: choose(*region, "US", "DE").parse().unwrap(),
                    base_domain: choose(*domain, "sip.example", "voice.example"),
                    inbound_host: choose(*inbound, "in.sip.example", "in.example"),
                    limits: limits(*bits),
                };
                vec![Change::PutNode(self.settings.clone())]
            }
        }
    }
}
