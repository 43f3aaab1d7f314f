//! One call as the module judges it: everything between an INVITE and its relay.

use std::hint::black_box;
use std::net::IpAddr;

use trunk_admission::events::{BodyOut, Consumer, EventOut, InitiatedOut};
use trunk_admission::instance::Instance;
use trunk_admission::live::SlotRef;
use trunk_admission::{Attempt, Host, Now, Proof, Verdict};

/// Looks the trunk up, checks its addresses, takes from three limits, takes a slot, picks a gateway, tells the event.
pub(crate) fn decide(instance: &mut Instance, host: &str, source: IpAddr, call_id: &[u8]) -> SlotRef {
    instance.refresh();
    let mut named = Host::empty();
    named.set(host.as_bytes());
    let call = instance.call_key_to(&named, call_id, b"fromtag", 1);
    // Time runs a hundred times as fast for the limits: each is checked on every call, and none ever refuses one.
    let now = Now::read();
    let now = Now { mono_ns: now.mono_ns * 100, ..now };
    let attempt = Attempt { host: &named, user: b"15550001111", source, secure: false, call };
    // As the module takes them: a message that could show either would keep both in memory.
    let Ok(identity) = instance.identify(&attempt) else { panic!("no trunk of {host}") };
    let Verdict::Admitted(admission) = instance.admit(&identity, &attempt, Proof::None, now) else {
        panic!("{host} is not admitted")
    };
    let target = instance.route(&identity, admission.slot);
    black_box(&target).as_ref().expect("gateway");
    let names = instance.names(&identity);
    let initiated = InitiatedOut {
        account: names.account.as_bytes(),
        kind: identity.trunk.kind(),
        reason: None,
        limit: 0,
        count: 0,
        wait_ms: 0,
        generation: u64::from(instance.generation()),
        source,
        source_port: 5060,
        sip_call_id: call_id,
        from_user: b"15550002222",
        from_host: b"pbx.example.com",
        to_user: attempt.user,
        request_uri: host.as_bytes(),
    };
    let body = BodyOut::Initiated(initiated);
    instance.push(&EventOut {
        call: admission.uid,
        wall_ms: now.wall_ms,
        trunk: names.trunk.as_bytes(),
        body,
    });
    admission.slot
}

/// Reads and acknowledges everything.
pub(crate) fn drain(consumer: &mut Consumer) {
    let records = consumer.poll(usize::MAX);
    consumer.acknowledge(&records);
}
