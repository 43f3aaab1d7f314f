//! Everything that leads to an address which must not be sent to: ways to write it, names that mean it, name servers that
//! change their minds. Nobody on such an address may ever see a connection.
//!
//! 127.0.0.2 stands for the public internet: it is the one address that the rules allow here, and a receiver is there. On
//! 127.0.0.1 and ::1, under the same port, nobody may be called.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use trunkd::webhook::client::{Clients, Request, Transport as _};
use trunkd::webhook::{Settings, UrlRules};

use crate::name_server::{NameServer, Record, Zone, at};
use crate::support::Site;

/// Hosts as they may stand in a URL, all of which are or mean an address that is not public.
const LITERALS: &[&str] = &[
    // Loopback, however it is written.
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "0x7f.1",
    "127.0x1",
    "127.00000.00000.00001",
    "127.255.255.254",
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "loc%61lhost",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    // Any.
    "0",
    "0.0.0.0",
    "0x0",
    "00000000000",
    "[::]",
    // Private, shared, link-local, metadata.
    "10.0.0.1",
    "10.255.255.255",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "2886729729",
    "192.168.0.1",
    "192.168.1.1.",
    "3232235777",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fec0::1]",
    "[fc00::1]",
    "[fdff:ffff::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a00:1::1]",
    "[2002:c0a8:101::1]",
    // Nobody's: multicast, reserved, broadcast, benchmarks, documentation.
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "[2001:10::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fe80::1%25lo]",
    // Not what it seems.
    "user@127.0.0.1",
    "allowed.test@127.0.0.1",
    "127.0.0.2@127.0.0.1",
    "127.0.0.1%23@127.0.0.2",
    "127.0.0.2%2f@127.0.0.1",
];

/// Names, and what the name server says of them. None leads to 127.0.0.2.
fn names() -> Zone {
    let mut zone = Zone::new();
    let mut lead = |name, records: Vec<Record>| drop(zone.insert(name, vec![records]));
    lead("loopback.test", vec![at("127.0.0.1")]);
    lead("any.test", vec![at("0.0.0.0")]);
    lead("private.test", vec![at("10.0.0.1")]);
    lead("metadata.test", vec![at("169.254.169.254")]);
    lead("shared.test", vec![at("100.64.0.1")]);
    lead("six.test", vec![at("::1")]);
    lead("mapped.test", vec![at("::ffff:127.0.0.1")]);
    lead("nat64.test", vec![at("64:ff9b::7f00:1")]);
    lead("sixtofour.test", vec![at("2002:7f00:1::")]);
    lead("unique.test", vec![at("fd00:ec2::254")]);
    lead("link.test", vec![at("fe80::1")]);
    lead("both.test", vec![at("127.0.0.1"), at("::1")]);
    lead("many.test", vec![at("127.0.0.1"), at("10.0.0.1"), at("192.168.0.1"), at("::1")]);
    lead("alias.test", vec![Record::Alias("loopback.test")]);
    lead("chain.test", vec![Record::Alias("alias.test")]);
    lead("xn--bcher-kva.test", vec![at("127.0.0.1")]);
    lead("metadata.google.internal", vec![at("169.254.169.254")]);
    lead("127.0.0.1.nip.test", vec![at("127.0.0.1")]);
    zone
}

/// One port with a receiver each on the address that is allowed and on two that are not: the port, and who counts at which.
async fn receivers() -> (u16, Arc<AtomicUsize>, [Arc<AtomicUsize>; 2]) {
    loop {
        let allowed = TcpListener::bind(("127.0.0.2", 0)).await.unwrap();
        let port = allowed.local_addr().unwrap().port();
        // Somebody else may have it on the others.
        let (Ok(four), Ok(six)) =
            (TcpListener::bind(("127.0.0.1", port)).await, TcpListener::bind(("::1", port)).await)
        else {
            continue;
        };
        return (port, receiver(allowed), [receiver(four), receiver(six)]);
    }
}

/// Counts who comes, and answers 204.
fn receiver(listener: TcpListener) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n").await;
        }
    });
    count
}

struct World {
    clients: Clients,
    names: NameServer,
    port: u16,
    allowed: Arc<AtomicUsize>,
    denied: [Arc<AtomicUsize>; 2],
    _settings: watch::Sender<Settings>,
}

impl World {
    async fn new(zone: Zone) -> World {
        let (port, allowed, denied) = receivers().await;
        let names = NameServer::start(zone).unwrap();
        let url = UrlRules {
            allow_http: true,
            allow_private: false,
            allowed: vec!["127.0.0.2/32".parse().unwrap()],
        };
        let settings = Settings {
            url,
            dns_servers: vec![names.address],
            attempt_timeout: Duration::from_secs(10),
            ..Site::new().load().webhooks
        };
        let (sender, watched) = watch::channel(settings);
        World { clients: Clients::new(watched), names, port, allowed, denied, _settings: sender }
    }

    /// Sends to a host, and says how that ended in one word, or with the status.
    async fn send(&self, host: &str) -> String {
        let request = Request {
            url: format!("http://{host}:{}/latest/meta-data", self.port),
            event_id: "evt_1".into(),
            timestamp_s: 1,
            signature: "v1,x".into(),
            body: Some("{}".into()),
        };
        match self.clients.send(request).await {
            Ok(answer) => answer.status.to_string(),
            Err(error) if error.word() == "denied" => "denied".to_owned(),
            Err(error) => format!("{}: {error}", error.word()),
        }
    }

    fn nobody_was_called(&self, by: &str) {
        assert_eq!(self.denied.each_ref().map(|count| count.load(Ordering::Relaxed)), [0, 0], "{by}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_to_write_an_address_leads_to_it() {
    let world = World::new(Zone::new()).await;
    assert!(LITERALS.len() >= 80, "{}", LITERALS.len());
    for host in LITERALS {
        assert_eq!(world.send(host).await, "denied", "{host}");
        world.nobody_was_called(host);
    }
    assert_eq!(world.send("127.0.0.2").await, "204", "what is allowed is reached");
    assert_eq!(world.allowed.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_to_an_address_that_is_denied() {
    let zone = names();
    let hosts: Vec<_> = zone.keys().copied().collect();
    let world = World::new(zone).await;
    for host in hosts.into_iter().chain(["bücher.test", "LOOPBACK.test", "loopback.test."]) {
        assert_eq!(world.send(host).await, "denied", "{host}");
        world.nobody_was_called(host);
    }
    let nowhere = world.send("nobody.test").await;
    assert!(nowhere.starts_with("connect: "), "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_good_and_bad_addresses_the_good_ones_are_called() {
    let mut zone = Zone::new();
    let mixed = vec![at("127.0.0.1"), at("10.0.0.1"), at("127.0.0.2"), at("::1"), at("::ffff:127.0.0.1")];
    zone.insert("mixed.test", vec![mixed]);
    zone.insert("aliased.test", vec![vec![Record::Alias("mixed.test")]]);
    let world = World::new(zone).await;
    for count in 1..=10 {
        assert_eq!(world.send(if count % 2 == 0 { "mixed.test" } else { "aliased.test" }).await, "204");
        assert_eq!(world.allowed.load(Ordering::Relaxed), count);
    }
    world.nobody_was_called("mixed.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_its_mind_is_checked_at_each_connection() {
    let mut zone = Zone::new();
    zone.insert("rebound.test", vec![vec![at("127.0.0.2")], vec![at("127.0.0.1")]]);
    zone.insert("back.test", vec![vec![at("127.0.0.1")], vec![at("127.0.0.2")]]);
    let world = World::new(zone).await;
    // One look-up for one connection: a second one between check and connect would find the denied address.
    assert_eq!(world.send("rebound.test").await, "204");
    assert_eq!(world.names.asked("rebound.test"), 1);
    assert_eq!(world.send("rebound.test").await, "denied");
    assert_eq!(world.send("back.test").await, "denied");
    assert_eq!(world.send("back.test").await, "204");
    world.nobody_was_called("rebound.test");
}

/// Set in the process that has proxies in its environment.
const BEHIND_PROXIES: &str = "TRUNKLINE_BEHIND_PROXIES";

#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_are_ignored() {
    if std::env::var_os(BEHIND_PROXIES).is_some() {
        let mut zone = Zone::new();
        zone.insert("good.test", vec![vec![at("127.0.0.2")]]);
        let world = World::new(zone).await;
        assert_eq!(world.send("good.test").await, "204");
        assert_eq!(world.send("127.0.0.1").await, "denied");
        return;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let asked = receiver(listener);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "address_tricks::proxies_of_the_environment_are_ignored"])
        .env(BEHIND_PROXIES, "1");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, format!("http://{proxy}"));
    }
    let done = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the proxy was asked");
}
