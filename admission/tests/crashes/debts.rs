//! A publisher that dies between carrying debts over and naming the images, again and again: no debt ever grows beyond a
//! full bucket, and none is forgiven.

use std::path::Path;

use trunk_admission::Verdict;
use trunk_admission::instance::Instance;
use trunk_admission::live::Scope;
use trunk_admission::model::Limits;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host, Now, Proof, Rate};

use crate::deaths::live;
use crate::harness;
use crate::tables::{SOURCE, account, host, options, table, trunk};

const BURST: u32 = 10;
const USED: u32 = 4;
/// A call drains in so many seconds: slow enough that a busy machine does not change the figures.
const SLOW_S: f64 = 200.0;
const SLOWER_S: f64 = 4.0 * SLOW_S;
/// Times that a publisher dies before one lives.
const DEATHS: u32 = 5;

/// Dies at each step around the naming, with calls that become slower and with calls that become faster.
pub(crate) fn deaths() -> String {
    let mut died = 0;
    for (from, to) in [(SLOW_S, SLOWER_S), (SLOWER_S, SLOW_S)] {
        for point in ["publish.slower", "control.revision", "control.time", "control.named", "publish.faster"]
        {
            let dir = harness::directory();
            publish(dir.path(), from);
            let mut instance = Instance::create(&options(dir.path(), 64, 1, 1, 2)).unwrap();
            instance.enter_process(1, std::process::id(), 1);
            instance.refresh();
            (0..USED).for_each(|call| call_once(&mut instance, call));
            for _ in 0..DEATHS {
                died += u32::from(live("repricer", &[&dir.path().display(), &to], point, 1).died);
            }
            // One that lives; then one more, whose table changes nothing.
            for _ in 0..2 {
                let life = live("repricer", &[&dir.path().display(), &to], "control.made", 1);
                assert!(!life.died, "there is a control file already");
            }
            let rate = rate(to);
            for scope in [Scope::Trunk(0), Scope::Account(0), Scope::Node] {
                let line = instance.live().line_view(scope, Some(rate), Now::read().mono_ns).unwrap();
                let what = format!("{scope:?} after deaths at {point}, from {from} to {to}");
                assert!(line.bucket <= BURST, "{what}: {} calls in a bucket of {BURST}", line.bucket);
                assert!(line.bucket >= USED, "{what}: {} calls left of {USED}", line.bucket);
            }
        }
    }
    assert_eq!(died, 2 * 5 * DEATHS);
    format!("{died} deaths")
}

fn rate(seconds: f64) -> Rate {
    Rate::per_second(1.0 / seconds, Some(BURST)).unwrap()
}

fn publish(dir: &Path, seconds: f64) {
    let limits = Limits { rate: Some(rate(seconds)), concurrent: None };
    let table = table(1, limits, vec![account(0, limits)], vec![trunk(0, Some(0), limits)]);
    let words = Instance::join(&options(dir, 64, 1, 1, 2)).ok();
    let mut publisher = Publisher::open(dir, PublishOptions::default()).unwrap();
    publisher.publish(&table, words.as_ref().map(Instance::live)).unwrap();
}

fn call_once(instance: &mut Instance, call: u32) {
    let host = host(0);
    let key = instance.call_key(b"call", b"tag", call);
    let attempt =
        Attempt { host: &Host::new(host.as_bytes()), user: b"", source: SOURCE, secure: false, call: key };
    let identity = instance.identify(&attempt).unwrap();
    match instance.admit(&identity, &attempt, Proof::None, Now::read()) {
        Verdict::Admitted(call) => assert!(instance.end(call.slot, |_| {})),
        other => panic!("{other:?}"),
    }
}

/// Publishes another rate: directory, seconds for each call.
pub(crate) fn repricer(arguments: &[String]) {
    let [dir, seconds] = arguments else { panic!("two arguments") };
    publish(Path::new(dir), seconds.parse().unwrap());
}
