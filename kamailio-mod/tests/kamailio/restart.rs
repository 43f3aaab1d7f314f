//! Over a restart: calls that were up are counted again, once, and end under their own id.

use std::fs;
use std::path::Path;
use std::process::Command;

use trunk_admission::events::{EndCause, Party};

use crate::host::{Host, Settings};
use crate::sip::Phone;
use crate::site::{Site, Up, talk, trunk};

/// Dialogs in a database, written as they change.
fn settings(site: &Site) -> Settings {
    let database = site.dir().join("dialogs.sqlite");
    for name in ["standard-create.sql", "dialog-create.sql"] {
        let schema = Path::new("/usr/share/kamailio/db_sqlite").join(name);
        let script =
            fs::File::open(&schema).unwrap_or_else(|e| panic!("{}: {e}: run `make deps`", schema.display()));
        let status = Command::new("sqlite3").arg(&database).stdin(script).status().expect("sqlite3 runs");
        assert!(status.success(), "sqlite3 on {}", schema.display());
    }
    let database = database.display();
    let modparams = format!(
        "modparam(\"dialog\", \"db_url\", \"sqlite:///{database}\")\nmodparam(\"dialog\", \"db_mode\", 1)\n"
    );
    Settings { modparams, ..Settings::default() }
}

/// Ends Kamailio with `end` while a call is up, starts it again, and hangs the call up.
fn restart_with(end: fn(Host), epoch: u64) {
    let gateway = Phone::idle();
    let mut site = Site::empty();
    site.publish(trunk(&[gateway.address]));
    let settings = settings(&site);
    let host = Host::start_on(site.dir(), &settings, None);
    let address = host.address;
    let (caller, gateway) = (Phone::new(address), gateway.towards(address));
    let Up { uid, call, .. } = talk(&mut site, &caller, &gateway, true);
    end(host);
    site.assert_quiet();

    let host = Host::start_on(site.dir(), &settings, Some(address));
    assert_eq!(
        (host.status("calls"), host.status("epoch")),
        (1, epoch),
        "counted before the first call is judged"
    );
    caller.bye(&call, &[]);
    gateway.expect("BYE");
    let ended = site.ended(uid);
    assert_eq!((ended.by, ended.cause, ended.attempts), (Party::Caller, EndCause::Bye, 1));
    assert!(ended.ring_wall_ms > 0 && ended.answer_wall_ms >= ended.ring_wall_ms);
    host.wait_status("calls", 0);
    assert_eq!(host.status("underflows"), 0);
    site.assert_quiet();
}

#[test]
fn a_clean_restart_keeps_the_call() {
    restart_with(Host::stop, 2);
}

#[test]
fn a_killed_kamailio_keeps_the_call() {
    restart_with(Host::kill, 2);
}

#[test]
fn a_call_survives_even_the_loss_of_the_shared_memory() {
    let lose = |host: Host| {
        let live = host.dir().join("shm/live");
        host.kill();
        fs::remove_file(live).expect("it was there");
    };
    restart_with(lose, 1);
}
