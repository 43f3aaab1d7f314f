//! One small node: its table, a call judged, its counts, and what must be true when nothing is up.

use std::path::Path;

use trunk_admission::instance::{Instance, Options};
use trunk_admission::live::{Live, Scope};
use trunk_admission::model::Limits;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Admission, Attempt, CallKey, Host, Now, Proof, Verdict};

use crate::tables::{self, SOURCE, account, host, limits, table, trunk};

/// Calls at once that the node allows; a little less than there are slots.
const AT_ONCE: u32 = 12;
const SLOTS: u32 = 16;
/// The trunk whose account allows one call.
pub(crate) const CROWDED: u32 = 1;
/// The trunk whose account has a token now and then.
pub(crate) const RACED: u32 = 2;

/// Room for these tests.
pub(crate) fn options(dir: &Path) -> Options {
    tables::options(dir, SLOTS, 3, 3, 6)
}

/// Three trunks, each with an account of its own.
pub(crate) fn publish(dir: &Path) {
    let ample = limits(1_000.0, 10_000, 100);
    let crowded = Limits { concurrent: Some(1), ..ample };
    let accounts = vec![account(0, ample), account(1, crowded), account(2, limits(50_000.0, 1, 100))];
    let trunks = [0, CROWDED, RACED].map(|live| trunk(live, Some(live), ample)).to_vec();
    let node = limits(100_000.0, 1_000_000, AT_ONCE);
    let mut publisher = Publisher::open(dir, PublishOptions::default()).unwrap();
    publisher.publish(&table(1, node, accounts, trunks), None).unwrap();
}

/// The key of a call.
pub(crate) fn key(instance: &Instance, call: u32) -> CallKey {
    instance.call_key(b"call", b"tag", call)
}

/// Judges a call.
pub(crate) fn judge(instance: &mut Instance, trunk: u32, call: u32) -> Verdict {
    let host = host(trunk);
    let call = key(instance, call);
    let attempt =
        Attempt { host: &Host::new(host.as_bytes()), user: b"", source: SOURCE, secure: false, call };
    let identity = instance.identify(&attempt).unwrap();
    instance.admit(&identity, &attempt, Proof::None, Now::read())
}

/// Judges a call that must be admitted.
pub(crate) fn admitted(instance: &mut Instance, trunk: u32, call: u32) -> Admission {
    match judge(instance, trunk, call) {
        Verdict::Admitted(admission) => admission,
        other => panic!("call {call}: {other:?}"),
    }
}

/// The counts of trunk 0, of its account and of the node.
pub(crate) fn counts(live: &Live) -> [u32; 3] {
    [Scope::Trunk(0), Scope::Account(0), Scope::Node]
        .map(|scope| live.line_view(scope, None, 0).unwrap().calls)
}

/// The daemon's part: ends every orphan, and finds none after that. Answers their ids.
pub(crate) fn sweep(live: &Live) -> Vec<[u8; 16]> {
    let orphans = live.orphans();
    for orphan in &orphans {
        live.finish_reclaim(live.begin_reclaim(orphan.slot).expect("nobody else ends an orphan"));
    }
    assert_eq!(live.orphans(), []);
    orphans.iter().map(|orphan| orphan.uid).collect()
}

/// No call is up: nothing is counted, and as many calls pass as the node allows, which leaves nothing again.
pub(crate) fn all_is_free(instance: &mut Instance) {
    assert_eq!(instance.live().slots_in_use(), []);
    assert_eq!(counts(instance.live()), [0; 3]);
    let calls: Vec<Admission> = (0..AT_ONCE).map(|call| admitted(instance, 0, 1_000 + call)).collect();
    assert!(matches!(judge(instance, 0, 999), Verdict::Refused(_)), "one call too many");
    for call in calls {
        assert!(instance.end(call.slot, |_| {}));
    }
    assert_eq!((instance.live().slots_in_use(), counts(instance.live())), (vec![], [0; 3]));
    assert_eq!(instance.live().counters().underflows, 0);
}

/// A start of Kamailio that restores nothing works, whatever was left.
pub(crate) fn serves(dir: &Path) {
    let mut instance = Instance::create(&options(dir)).unwrap();
    instance.enter_process(1, std::process::id(), 1);
    instance.refresh();
    assert_eq!(counts(instance.live()), [0; 3]);
    instance.mark_restored();
    sweep(instance.live());
    all_is_free(&mut instance);
}
