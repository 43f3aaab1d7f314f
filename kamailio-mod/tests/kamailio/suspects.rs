//! Slots that Kamailio itself says are suspect: each kind made on purpose, with healthy calls beside them.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use trunk_admission::instance::{Instance, Options};
use trunk_admission::live::{Live, SlotRef};
use trunk_admission::{Attempt, Now, Proof, Verdict};

use crate::host::{Host, Settings, until};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, Up, talk, trunk};

/// The answer of one question, and where it says to go on.
fn ask(host: &Host, from: u32) -> (BTreeSet<String>, String) {
    let answer = host.rpc("trunk.suspects", &from.to_string());
    let after = |key: &str, open: char, close: char| {
        let rest = answer.split_once(&format!("\"{key}\"")).map_or("", |(_, rest)| rest);
        let rest = rest.split_once(open).map_or("", |(_, rest)| rest);
        rest.split(close).next().unwrap_or("").to_owned()
    };
    assert_eq!((after("epoch", '"', '"'), after("restored", '"', '"')), ("1".into(), "1".into()), "{answer}");
    let list = after("suspects", '[', ']');
    let suspects = list.split(',').map(|text| text.trim().trim_matches('"').to_owned());
    (suspects.filter(|text| !text.is_empty()).collect(), after("next", '"', '"'))
}

fn slot_of(site: &Site, uid: [u8; 16]) -> SlotRef {
    let live = Live::attach(&site.shm()).expect("the module has made it");
    live.slots_in_use().iter().find(|view| view.uid == uid).expect("its slot").slot
}

/// Another process of the module's, as far as the shared memory can tell.
fn worker(site: &Site) -> Instance {
    let dir = site.shm();
    let options = Options {
        dir,
        slots: 0,
        trunks: 0,
        accounts: 0,
        gateways: 0,
        processes: 0,
        ring_cells: 0,
        spill_cells: 0,
    };
    let mut worker = Instance::join(&options).expect("the module's files");
    worker.enter_process(9, std::process::id(), 9);
    worker
}

fn admit(worker: &mut Instance, call: &[u8]) -> SlotRef {
    let attempt = Attempt {
        host: &trunk_admission::Host::new(DOMAIN.as_bytes()),
        user: b"100",
        source: "127.0.0.1".parse().expect("an address"),
        secure: false,
        call: worker.call_key(call, b"tag", 1),
    };
    let identity = worker.identify(&attempt).expect("a trunk");
    match worker.admit(&identity, &attempt, Proof::None, Now::read()) {
        Verdict::Admitted(admission) => admission.slot,
        other => panic!("{other:?}"),
    }
}

/// Sets the state of the only dialog that this is asked of, behind the module's back.
fn force_end(host: &Host, up: &Up) {
    let call_id = up.invite.one("Call-ID");
    let list = host.rpc("dlg.list", "");
    let (_, ours) = list.split_once(&format!("\"{call_id}\"")).expect("its dialog");
    let tags: Vec<&str> =
        ours.split("\"tag\":").skip(1).take(2).filter_map(|rest| rest.split('"').nth(1)).collect();
    let answer = host.rpc("dlg.set_state", &format!("\"{call_id}\", \"{}\", \"{}\", 5", tags[0], tags[1]));
    assert!(answer.contains("Done"), "{answer}");
}

#[test]
fn only_calls_that_nobody_may_end_are_suspect() {
    let gateway = Phone::idle();
    // So short that a call which rings a moment is suspect; the clean-up that would end it comes every 90 s.
    let modparams = "modparam(\"dialog\", \"early_timeout\", 1)".to_owned();
    let settings = Settings { modparams, ..Settings::default() };
    let (mut site, host) = Site::start(trunk(&[gateway.address]), &settings);
    let (caller, gateway) = (Phone::new(host.address), gateway.towards(host.address));
    assert_eq!(ask(&host, 0), (BTreeSet::new(), "-1".to_owned()), "no call, no suspect");

    let healthy = talk(&mut site, &caller, &gateway, true);
    let gone = talk(&mut site, &caller, &gateway, true);
    let over = talk(&mut site, &caller, &gateway, true);
    assert_eq!(ask(&host, 0).0, BTreeSet::new(), "calls that are up are no suspects");

    caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = gateway.expect("INVITE");
    gateway.answer(&invite, "180 Ringing", &[]);
    caller.expect("180");
    let ringing = site.initiated();

    let mut worker = worker(&site);
    worker.bind_dialog(slot_of(&site, gone.uid), 1, 1);
    force_end(&host, &over);
    let untied = admit(&mut worker, b"untied");
    let ending = admit(&mut worker, b"ending");
    let broke_off = catch_unwind(AssertUnwindSafe(|| worker.end(ending, |_| panic!("on purpose"))));
    assert!(broke_off.is_err());

    let wanted: BTreeSet<String> = [
        ("gone", slot_of(&site, gone.uid)),
        ("over", slot_of(&site, over.uid)),
        ("ringing", slot_of(&site, ringing)),
        ("untied", untied),
        ("ending", ending),
    ]
    .map(|(why, slot)| format!("{why} {}", slot.to_raw()))
    .into();
    until("the call to have rung for a second", || (ask(&host, 0).0 == wanted).then_some(()));
    // From behind the last slot on there is nothing.
    let last = wanted.iter().filter_map(|text| text.split(' ').nth(1)?.parse().ok());
    let last = last.filter_map(SlotRef::from_raw).map(SlotRef::index).max().expect("a slot");
    assert!(!wanted.is_subset(&ask(&host, last + 1).0));

    // Looking has changed nothing: the healthy call ends as ever.
    caller.bye(&healthy.call, &[]);
    let bye = gateway.expect("BYE");
    gateway.answer(&bye, "200 OK", &[]);
    until("the call's end", || {
        let live = Live::attach(&site.shm()).ok()?;
        live.slots_in_use().iter().all(|view| view.uid != healthy.uid).then_some(())
    });
    assert_eq!((host.status("panics"), host.status("underflows")), (0, 0));
}
