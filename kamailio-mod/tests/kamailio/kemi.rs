//! The functions from a script in another language (KEMI): the same calls, the same answers.

use std::fs;

use crate::host::{Host, Settings};
use crate::sip::Phone;
use crate::site::{DOMAIN, Site, trunk};

/// Screens, admits, routes; refuses with what the module says.
const SCRIPT: &str = r#"
function call() {
	if (KSR.trunk.screen() < 0) return;
	if (KSR.trunk.admit() == 1) {
		KSR.rr.record_route();
		KSR.dialog.dlg_manage();
		if (KSR.trunk.route() == 1) {
			KSR.tm.t_on_failure("next");
			KSR.tm.t_relay();
			return;
		}
	}
	KSR.sl.send_reply(KSR.pv.get("$trunk(code)"), KSR.pv.get("$trunk(text)"));
}
function next() {
	if (KSR.trunk.next() == 1) KSR.tm.t_relay();
}
"#;

/// Everything but OPTIONS is left to the script.
const ROUTES: &str = r#"
request_route {
	if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
	if (is_method("INVITE")) jsdt_run("call");
}
failure_route[next] { jsdt_run("next"); }
"#;

#[test]
fn a_script_in_javascript_has_every_function() {
    let (busy, second) = (Phone::idle(), Phone::idle());
    let mut site = Site::empty();
    site.publish(trunk(&[busy.address, second.address]));
    let script = site.dir().join("call.js");
    fs::write(&script, SCRIPT).expect("the script");
    let modparams =
        format!("loadmodule \"app_jsdt.so\"\nmodparam(\"app_jsdt\", \"load\", \"{}\")", script.display());
    let settings = Settings { modparams, routes: Some(ROUTES.to_owned()), ..Settings::default() };
    let host = Host::start(site.dir(), &settings);
    let caller = Phone::new(host.address);
    let mut call = caller.invite(&format!("sip:100@{DOMAIN}"));
    let invite = busy.expect("INVITE");
    busy.answer(&invite, "503 Service Unavailable", &[]);
    let invite = second.expect("INVITE");
    second.answer(&invite, "200 OK", &[]);
    assert_eq!(caller.expect_final(&mut call).code(), Some(200));
    assert_eq!(host.status("calls"), 1);
    let mut unknown = caller.invite("sip:100@nobody.example.net");
    assert_eq!(caller.expect_final(&mut unknown).code(), Some(404));
}
