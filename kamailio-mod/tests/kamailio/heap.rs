//! No call uses the heap: not when it is judged, routed, failed over, answered or ended. Only a process that maps a new
//! table may. Only in a build with the feature `panic-points`, which counts.

use crate::host::Settings;
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, trunk};

fn whole_call(caller: &Phone, first: &Phone, second: &Phone) {
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = first.expect("INVITE");
    first.answer(&invite, "503 Service Unavailable", &[]);
    let invite = second.expect("INVITE");
    second.answer(&invite, "180 Ringing", &[]);
    second.answer(&invite, "200 OK", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(200));
    caller.ack(&call);
    second.expect("ACK");
    caller.bye(&call, &["Reason: Q.850;cause=16"]);
    let bye = second.expect("BYE");
    second.answer(&bye, "200 OK", &[]);
    caller.expect("200");
}

#[test]
fn calls_leave_the_heap_alone() {
    let gateways = [Phone::idle(), Phone::idle()];
    let two = trunk(&[gateways[0].address, gateways[1].address]);
    let (_site, host) = Site::start(two, &Settings::default());
    let caller = Phone::new(host.address);
    let [first, second] = gateways.map(|gateway| gateway.towards(host.address));
    // The table was there before the fork, so every process has it mapped.
    let before = host.log();
    assert!(before.contains("mod_init: the heap was used"), "this build counts");
    // Three failures take a gateway down, so the first one is tried in these two calls.
    for _ in 0..2 {
        whole_call(&caller, &first, &second);
    }
    host.wait_status("calls", 0);
    let after = host.log();
    let new: Vec<_> = after[before.len()..]
        .lines()
        .filter(|line| line.contains("the heap was used") && !line.contains("rpc_status"))
        .collect();
    assert_eq!(new, Vec::<&str>::new());
}
