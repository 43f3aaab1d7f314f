//! A Kamailio of the test's own: started in a temporary folder, asked over its RPC socket, killed on drop.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test may set.
pub(crate) struct Settings {
    pub(crate) fail_mode: &'static str,
    /// More lines for the parameter part of the script.
    pub(crate) modparams: String,
    /// Other routes than those that use every function.
    pub(crate) routes: Option<String>,
    /// Loaded modules may be left out to see what the module says.
    pub(crate) without: &'static [&'static str],
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { fail_mode: "closed", modparams: String::new(), routes: None, without: &[] }
    }
}

pub(crate) struct Host {
    dir: PathBuf,
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Waits until `done` has an answer.
pub(crate) fn until<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, done)
}

/// The same with another patience.
pub(crate) fn until_within<T>(patience: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = done() {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn free_port() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address")
}

/// The library that cargo has built for this test.
fn module() -> PathBuf {
    let exe = std::env::current_exe().expect("own path");
    exe.parent().expect("a folder").join("libtrunk.so")
}

/// Kamailio's own modules: beside the binary's libraries, as Debian installs them.
fn modules_dir() -> PathBuf {
    let found = [
        "/usr/lib/x86_64-linux-gnu/kamailio/modules",
        "/usr/lib64/kamailio/modules",
        "/usr/lib/kamailio/modules",
    ];
    let found = found.into_iter().map(PathBuf::from).find(|dir| dir.join("tm.so").exists());
    found.unwrap_or_else(|| panic!("Kamailio's modules are not installed: run `make deps`"))
}

fn script(dir: &Path, address: SocketAddr, settings: &Settings) -> String {
    let load = [
        "jsonrpcs",
        "kex",
        "tm",
        "tmx",
        "sl",
        "rr",
        "pv",
        "textops",
        "siputils",
        "xlog",
        "db_sqlite",
        "auth",
        "dialog",
    ];
    let load: String = load
        .into_iter()
        .filter(|name| !settings.without.contains(name))
        .map(|name| format!("loadmodule \"{name}.so\"\n"))
        .collect();
    let dir = dir.display();
    format!(
        "debug=2\nlog_stderror=yes\nchildren=2\nlisten=udp:{address}\ndns=no\nrev_dns=no\nauto_aliases=no\n\
         disable_tcp=yes\nmpath=\"{modules}\"\n{load}loadmodule \"{module}\"\n\
         modparam(\"jsonrpcs\", \"transport\", 4)\nmodparam(\"jsonrpcs\", \"dgram_socket\", \"{dir}/rpc.sock\")\n\
         modparam(\"trunk\", \"shm_dir\", \"{dir}/shm\")\nmodparam(\"trunk\", \"fail_mode\", \"{fail_mode}\")\n\
         modparam(\"trunk\", \"slots\", 256)\nmodparam(\"trunk\", \"trunks\", 64)\n\
         modparam(\"trunk\", \"accounts\", 64)\nmodparam(\"trunk\", \"gateways\", 64)\n\
         modparam(\"trunk\", \"ring_cells\", 1024)\n{params}\n{routes}",
        modules = modules_dir().display(),
        module = module().display(),
        fail_mode = settings.fail_mode,
        params = settings.modparams,
        routes = match &settings.routes {
            Some(routes) => routes,
            None if settings.without.is_empty() => ROUTES,
            None => "request_route { exit; }\n",
        },
    )
}

/// Every function once. `Route: forget` leaves without `dlg_manage()`, as a wrong script would.
const ROUTES: &str = r#"
modparam("tm", "fr_timer", 500)
modparam("tm", "fr_inv_timer", 3000)
modparam("tm", "failure_exec_mode", 1)
modparam("dialog", "dlg_match_mode", 1)
request_route {
	if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
	if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
	if (has_totag()) {
		if (loose_route()) { t_relay(); exit; }
		if (is_method("ACK") && t_check_trans()) t_relay();
		exit;
	}
	if (!is_method("INVITE")) exit;
	t_check_trans();
	trunk_admit();
	switch ($rc) {
		case 1: break;
		case 2: sl_send_reply("482", "Merged Request"); exit;
		case 3: sl_send_reply("299", "Passed"); exit;
		case -2: proxy_challenge("$trunk(realm)", "1"); exit;
		case -4: exit;
		default: route(REFUSE);
	}
	if ($rU == "forget") { sl_send_reply("500", "Forgotten"); exit; }
	record_route();
	dlg_manage();
	remove_hf("Proxy-Authorization");
	if (!trunk_route()) route(REFUSE);
	append_hf("X-Gateway: $trunk(gateway) $trunk(attempts) $trunk(uid) $trunk(id) $trunk(account)\r\n");
	if ($rU == "patient") t_set_fr(600000, 600000);
	t_on_failure("FAILED");
	if (!t_relay()) sl_reply_error();
}
failure_route[FAILED] {
	if (trunk_next()) {
		t_on_failure("FAILED");
		t_relay();
	}
}
route[REFUSE] {
	append_to_reply("X-Why: $trunk(reason) $trunk(id) $trunk(limit) $trunk(count) $trunk(retry_after)\r\n");
	if ($trunk(code) == $null) { sl_send_reply("599", "Nothing Said"); exit; }
	sl_send_reply("$trunk(code)", "$trunk(text)");
	exit;
}
"#;

impl Host {
    /// Starts Kamailio and waits until it answers OPTIONS.
    pub(crate) fn start(dir: &Path, settings: &Settings) -> Host {
        Host::start_on(dir, settings, None)
    }

    /// The same, on an address of before.
    pub(crate) fn start_on(dir: &Path, settings: &Settings, address: Option<SocketAddr>) -> Host {
        let mut host = Host::spawn(dir, settings, address);
        let probe = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        probe.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let port = probe.local_addr().expect("an address");
        let options = format!(
            "OPTIONS sip:probe SIP/2.0\r\nVia: SIP/2.0/UDP {port};branch=z9hG4bKprobe\r\nFrom: <sip:p@p>;tag=p\r\n\
             To: <sip:p@p>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 9\r\nContent-Length: 0\r\n\r\n"
        );
        until("Kamailio answers OPTIONS", || {
            if let Ok(Some(status)) = host.child.try_wait() {
                panic!("Kamailio ended with {status}:\n{}", host.log());
            }
            let _ = probe.send_to(options.as_bytes(), host.address);
            probe.recv(&mut [0; 2048]).ok()
        });
        until("all processes run", || host.has_all_processes().then_some(()));
        host
    }

    /// Whether every process has been forked and initialised. Before that Kamailio can lose a SIGTERM: a child that gets
    /// it between `fork` and its first instruction takes itself for the main process, which then waits for it.
    fn has_all_processes(&self) -> bool {
        let log = self.log();
        let (_, wanted) = log.split_once("processes (at least): ").expect("the core says so before it forks");
        let wanted: usize =
            wanted.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
        let answer = self.rpc("core.psa", "").replace(['\t', ' '], "");
        answer.matches("\"status\":1").count() >= wanted
    }

    /// Starts Kamailio with a configuration that it must refuse; its log.
    pub(crate) fn refused(dir: &Path, settings: &Settings) -> String {
        let mut host = Host::spawn(dir, settings, None);
        let status = until("Kamailio refuses to start", || host.child.try_wait().expect("its status"));
        assert!(!status.success(), "{}", host.log());
        host.log()
    }

    fn spawn(dir: &Path, settings: &Settings, address: Option<SocketAddr>) -> Host {
        let address = address.unwrap_or_else(free_port);
        fs::create_dir_all(dir.join("run")).expect("a folder");
        fs::write(dir.join("kamailio.cfg"), script(dir, address, settings)).expect("the script");
        let log = fs::File::create(dir.join("log")).expect("a log");
        let bin = std::env::var("KAMAILIO_BIN").unwrap_or_else(|_| "kamailio".into());
        let child = Command::new(bin)
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-x", "fm", "-f"])
            .arg(dir.join("kamailio.cfg"))
            .arg("-Y")
            .arg(dir.join("run"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("kamailio starts");
        Host { dir: dir.to_owned(), child, address }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Waits for a line in the log.
    pub(crate) fn wait_log(&self, text: &str) {
        until(text, || self.log().contains(text).then_some(()));
    }

    /// Asks over JSON-RPC; the answer as text.
    pub(crate) fn rpc(&self, method: &str, params: &str) -> String {
        let own = self.dir.join("rpc.client");
        let _ = fs::remove_file(&own);
        let socket = UnixDatagram::bind(&own).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let question =
            format!("{{\"jsonrpc\": \"2.0\", \"method\": \"{method}\", \"params\": [{params}], \"id\": 1}}");
        // The socket is there as soon as its process is.
        until("the RPC process listens", || {
            socket.send_to(question.as_bytes(), self.dir.join("rpc.sock")).ok()
        });
        let mut answer = [0; 65_535];
        let length = socket.recv(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// One number of `trunk.status`.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let answer = self.rpc("trunk.status", "");
        let at = answer.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {answer}"));
        let digits: String = answer[at..]
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().unwrap_or_else(|_| panic!("no number in {answer}"))
    }

    /// Waits until `trunk.status` says so.
    pub(crate) fn wait_status(&self, name: &str, wanted: u64) {
        until(&format!("{name} = {wanted}"), || (self.status(name) == wanted).then_some(()));
    }

    /// Ends Kamailio as an operator does, and waits for it.
    pub(crate) fn stop(mut self) {
        // SAFETY: our own child, which has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let status = until("Kamailio stops", || self.child.try_wait().expect("its status"));
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// Ends it without a goodbye: the whole process group's main process first, its children follow.
    pub(crate) fn kill(mut self) {
        let children = children_of(self.child.id());
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
        for child in children {
            // SAFETY: a child of the process that we have just killed; its number cannot be in use by another yet.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
    }

    /// True while it and all its processes run.
    #[cfg(feature = "panic-points")]
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn children_of(parent: u32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // SAFETY: our own child, which has not been waited for.
            unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
            let deadline = Instant::now() + Duration::from_secs(5);
            while matches!(self.child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    children_of(self.child.id()).into_iter().for_each(|child| {
                        // SAFETY: as in `kill`.
                        unsafe { libc::kill(child, libc::SIGKILL) };
                    });
                    let _ = self.child.kill();
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        if std::thread::panicking() {
            eprintln!("---- Kamailio's log ----\n{}", self.log());
        }
    }
}
