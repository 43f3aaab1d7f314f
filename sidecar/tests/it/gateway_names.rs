//! Gateways that are given as names: where they lead by RFC 3263, when that changes, and when nobody says so any more. The
//! name server is a real one; what calls would take is read back with the module's own code.

use serde_json::{Value, json};
use trunk_admission::instance::Instance;
use trunk_admission::{Now, Outcome};

use crate::api::{Caller, admin_token, text};
use crate::daemon::{get, start};
use crate::name_server::{AAAA, NAPTR, NameServer, Record, SRV, Zone, at};
use crate::ring::{admit_at, module};
use crate::support::{Site, until};

/// A site whose daemon asks this name server; IPv6 addresses are of use.
fn site(names: &NameServer) -> Site {
    let site = Site::new();
    site.write_main(&format!("[gateways]\ndns_servers = [\"{}\"]\nipv6 = true", names.address));
    site
}

/// A trunk file of a trunk with these lines and gateways, which takes calls from loopback.
fn trunk(id: &str, lines: &str, gateways: &[&str]) -> String {
    let gateways: String =
        gateways.iter().map(|gateway| format!("[[trunk.originationUris]]\n{gateway}\n")).collect();
    format!(
        "[[trunk]]\ntrunkId = \"{id}\"\ncpsLimit = 1000\nconcurrentCallsLimit = 1000\n{lines}\n\
         [[trunk.ipAcls]]\nipAddress = \"127.0.0.1\"\n{gateways}"
    )
}

fn uri(uri: &str) -> String {
    format!("uri = \"{uri}\"")
}

/// Where a call to a trunk would be sent, all its gateways failing in turn: tiers in order, each tier sorted.
async fn ways(admin: &Caller, id: &str) -> Vec<Vec<String>> {
    let asked = json!({"requestUri": format!("sip:1@{id}.sip.example.net"), "sourceIp": "127.0.0.1"});
    let told = admin.post("/v1/explain", asked).await.expect(200).body;
    let mut tiers: Vec<(u64, Vec<String>)> = Vec::new();
    for gateway in told["gateways"].as_array().unwrap() {
        let priority = gateway["priority"].as_u64().unwrap();
        let to = gateway["address"].as_str().unwrap_or(text(&gateway["uri"]));
        let share = (gateway["share"].as_f64().unwrap() * 100.0).round();
        let way = format!("{to} {share}%");
        match tiers.last_mut() {
            Some((last, ways)) if *last == priority => ways.push(way),
            _ => tiers.push((priority, vec![way])),
        }
    }
    let mut ways: Vec<_> = tiers.into_iter().map(|(_, ways)| ways).collect();
    ways.iter_mut().for_each(|tier| tier.sort());
    ways
}

async fn until_ways(admin: &Caller, id: &str, expected: &[&[&str]]) {
    let mut last = Vec::new();
    let what = format!("{id} to lead to {expected:?}");
    let found = until(&what, async || {
        last = ways(admin, id).await;
        (last == expected).then_some(())
    });
    found.await;
}

/// The first gateway of a trunk, as the API shows it.
async fn shown(admin: &Caller, id: &str) -> Value {
    admin.get(&format!("/v1/trunks/{id}/origination-uris")).await.expect(200).body["objects"][0].clone()
}

/// The trunk of a call with the gateways that it is given one after the other, none of which takes it.
fn hunt(module: &mut Instance, domain: &str, call: &str) -> Vec<String> {
    let admission = admit_at(module, domain, call);
    let identity = module.identity_of(module.call(admission.slot).unwrap().trunk_live).unwrap();
    let mut tried = Vec::new();
    while let Some(target) = module.route(&identity, admission.slot) {
        let parts = [target.uri(), target.next_hop()].map(|part| String::from_utf8(part.to_vec()).unwrap());
        tried.push(parts.join(" "));
    }
    tried
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_leads_where_rfc_3263_says() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.keep_for(3600);
    names.set("one.test", vec![at("192.0.2.1")]);
    names.set("two.test", vec![at("192.0.2.1"), at("192.0.2.2"), at("2001:db8::1")]);
    names.set("alias.test", vec![Record::Alias("one.test")]);
    names.set("void.test", vec![at("0.0.0.0"), at("224.0.0.1"), at("255.255.255.255"), at("192.0.2.9")]);
    // SRV: two priorities, weights, one of port 0, one that leads to two addresses.
    let server = |priority, weight, port, host| Record::Service(priority, weight, port, host);
    names.set(
        "_sip._udp.srv.test",
        vec![
            server(20, 0, 5090, "one.test"),
            server(5, 0, 0, "one.test"),
            server(10, 3, 5070, "one.test"),
            server(10, 1, 5080, "void.test"),
        ],
    );
    names.set("srv.test", vec![at("192.0.2.99")]);
    names.set("_sip._tcp.srv.test", vec![server(1, 1, 5065, "one.test")]);
    names.set("_sips._tcp.srv.test", vec![server(1, 1, 5061, "one.test")]);
    // The service is decidedly not there, the host is.
    names.set("_sip._udp.gone.test", vec![server(0, 0, 0, ".")]);
    names.set("gone.test", vec![at("192.0.2.7")]);
    // Only TCP is offered.
    names.set("_sip._tcp.tcp.test", vec![server(1, 1, 5066, "one.test")]);
    // NAPTR: TCP before UDP, by order before preference; TLS is the operator's choice and not theirs.
    let pointer = |order, preference, service, name| Record::Pointer(order, preference, service, name);
    names.set(
        "naptr.test",
        vec![
            pointer(20, 1, "SIP+D2U", "_sip._udp.srv.test"),
            pointer(10, 2, "SIP+D2T", "_sip._tcp.srv.test"),
            pointer(10, 1, "SIPS+D2T", "_sips._tcp.srv.test"),
            at("192.0.2.98"),
        ],
    );
    let site = site(&names);
    let write = |id: &str, lines: &str, gateways: &[&str]| {
        site.write(&format!("{id}.toml"), &trunk(id, lines, gateways));
    };
    let of = |target: &str| uri(target);
    write("address", "", &[&of("sip:192.0.2.5")]);
    write("one", "", &[&of("sip:one.test")]);
    write("two", "", &[&of("sip:two.test:5070")]);
    write("alias", "", &[&of("sip:alias.test;transport=tcp")]);
    write("void", "", &[&of("sip:void.test")]);
    write("srv", "", &[&of("sip:srv.test")]);
    write("port", "", &[&of("sip:srv.test:5060")]);
    write("tls", "transport = \"tls\"", &[&of("sip:srv.test")]);
    write("gone", "", &[&of("sip:gone.test")]);
    write("tcp", "", &[&of("sip:tcp.test")]);
    write("naptr", "", &[&of("sip:naptr.test")]);
    write("udp", "", &[&of("sip:naptr.test;transport=udp")]);
    write("local", "", &[&of("sip:localhost:5071")]);
    // A name keeps its share of the calls, whatever it leads to.
    let shared = format!("{}\nweight = 3", of("sip:two.test:5070"));
    write("shared", "", &[&shared, &of("sip:192.0.2.5")]);
    // Tiers of a name come within its own priority.
    let (first, last) =
        (format!("{}\npriority = 1", of("sip:srv.test")), format!("{}\npriority = 2", of("sip:one.test")));
    write("tiers", "", &[&first, &last]);
    let daemon = start(&site).await;
    let _module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));

    for (id, expected) in [
        ("address", &[&["sip:192.0.2.5 100%"][..]][..]),
        ("one", &[&["sip:192.0.2.1 100%"]]),
        ("two", &[&["sip:192.0.2.1:5070 33%", "sip:192.0.2.2:5070 33%", "sip:[2001:db8::1]:5070 33%"]]),
        ("alias", &[&["sip:192.0.2.1;transport=tcp 100%"]]),
        ("void", &[&["sip:192.0.2.9 100%"]]),
        ("srv", &[&["sip:192.0.2.1:5070 75%", "sip:192.0.2.9:5080 25%"], &["sip:192.0.2.1:5090 100%"]]),
        ("port", &[&["sip:192.0.2.99:5060 100%"]]),
        ("tls", &[&["sip:192.0.2.1:5061;transport=tls 100%"]]),
        ("gone", &[&["sip:192.0.2.7 100%"]]),
        ("tcp", &[&["sip:192.0.2.1:5066;transport=tcp 100%"]]),
        ("naptr", &[&["sip:192.0.2.1:5065;transport=tcp 100%"]]),
        ("udp", &[&["sip:192.0.2.98 100%"]]),
        ("local", &[&["sip:127.0.0.1:5071 50%", "sip:[::1]:5071 50%"]]),
        (
            "shared",
            &[&[
                "sip:192.0.2.1:5070 25%",
                "sip:192.0.2.2:5070 25%",
                "sip:192.0.2.5 25%",
                "sip:[2001:db8::1]:5070 25%",
            ]],
        ),
        (
            "tiers",
            &[
                &["sip:192.0.2.1:5070 75%", "sip:192.0.2.9:5080 25%"],
                &["sip:192.0.2.1:5090 100%"],
                &["sip:192.0.2.1 100%"],
            ],
        ),
    ] {
        until_ways(&admin, id, expected).await;
    }
    let gateway = shown(&admin, "srv").await;
    assert_eq!((text(&gateway["uri"]), text(&gateway["health"])), ("sip:srv.test", "up"));
    let addresses = gateway["addresses"].as_array().unwrap();
    let first = &addresses[0];
    assert_eq!(addresses.len(), 3);
    assert_eq!((text(&first["uri"]), &first["tier"]), ("sip:192.0.2.1:5070", &json!(0)));
    assert_eq!(shown(&admin, "address").await["addresses"], Value::Null);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_stays_keeps_its_health_and_a_call_is_sent_to_it_by_name() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.set("gw.test", vec![at("192.0.2.1"), at("192.0.2.2")]);
    let site = site(&names);
    site.write("a.toml", &trunk("acme", "", &[&uri("sip:gw.test:5070;transport=tcp")]));
    let daemon = start(&site).await;
    let mut module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));
    let to = |address: &str, share: u8| format!("sip:{address}:5070;transport=tcp {share}%");
    until_ways(&admin, "acme", &[&[&to("192.0.2.1", 50), &to("192.0.2.2", 50)]]).await;

    module.refresh();
    let mut tried = hunt(&mut module, "acme.sip.example.net", "one");
    tried.sort();
    assert_eq!(
        tried,
        ["192.0.2.1", "192.0.2.2"]
            .map(|address| format!("sip:gw.test:5070;transport=tcp sip:{address}:5070;transport=tcp"))
    );
    // The second dies. Then the name leads to another beside it: the dead one is still dead, and the new one is tried first.
    let admission = admit_at(&mut module, "acme.sip.example.net", "two");
    let identity = module.identity_of(module.call(admission.slot).unwrap().trunk_live).unwrap();
    let dead = std::iter::from_fn(|| module.route(&identity, admission.slot))
        .find(|target| target.next_hop().starts_with(b"sip:192.0.2.2:"))
        .unwrap();
    for _ in 0..3 {
        module.gateway_result(dead.live, Outcome::Bad, Now::read());
    }
    names.set("gw.test", vec![at("192.0.2.3"), at("192.0.2.2")]);
    // Each is alone among those that are as fit.
    until_ways(&admin, "acme", &[&[&to("192.0.2.2", 100), &to("192.0.2.3", 100)]]).await;
    module.refresh();
    let tried = hunt(&mut module, "acme.sip.example.net", "three");
    assert!(tried[0].contains(" sip:192.0.2.3:") && tried[1].contains(" sip:192.0.2.2:"), "{tried:?}");
    let gateway = shown(&admin, "acme").await;
    let healths: Vec<_> =
        gateway["addresses"].as_array().unwrap().iter().map(|one| text(&one["health"])).collect();
    assert_eq!((healths, text(&gateway["health"])), (vec!["down", "up"], "up"));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_stays_in_use_over_silence_denial_and_a_restart() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.set("gw.test", vec![at("192.0.2.1")]);
    let site = site(&names);
    site.write("a.toml", &trunk("acme", "", &[&uri("sip:gw.test")]));
    site.write("b.toml", &trunk("nowhere", "", &[&uri("sip:nowhere.test")]));
    let daemon = start(&site).await;
    let _module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));
    until_ways(&admin, "acme", &[&["sip:192.0.2.1 100%"]]).await;
    let unknown = until("the name that leads nowhere to be looked up", async || {
        let gateway = shown(&admin, "nowhere").await;
        gateway["lookupProblem"].is_string().then_some(gateway)
    })
    .await;
    assert_eq!(text(&unknown["health"]), "unresolved");
    assert_eq!(text(&unknown["lookupProblem"]), "the name leads to no address");
    assert!(ways(&admin, "nowhere").await.is_empty());

    // Name servers deny it, then say nothing.
    names.set("gw.test", vec![]);
    let failing = async |admin: &Caller, word: &str| {
        until("the failure to be told", async || {
            let gateway = shown(admin, "acme").await;
            gateway["lookupProblem"].as_str().is_some_and(|said| said.contains(word)).then_some(gateway)
        })
        .await
    };
    let gateway = failing(&admin, "leads to no address").await;
    assert_eq!(text(&gateway["addresses"][0]["uri"]), "sip:192.0.2.1");
    assert_eq!(ways(&admin, "acme").await, [["sip:192.0.2.1 100%"]]);
    let metrics = get(&daemon, "/metrics").await.1;
    for line in [
        "trunkline_gateway_names{state=\"failing\"} 2",
        "trunkline_gateway_names{state=\"known\"} 1",
        "trunkline_gateway_names{state=\"unknown\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    names.set_silent(true);
    daemon.stop().await.unwrap();

    // A start waits for no name server, and has what was known.
    let daemon = start(&site).await;
    let admin = Caller::new(&daemon, &admin_token(&site));
    assert_eq!(ways(&admin, "acme").await, [["sip:192.0.2.1 100%"]]);
    failing(&admin, "gw.test").await;
    assert_eq!(ways(&admin, "acme").await, [["sip:192.0.2.1 100%"]]);

    names.set("gw.test", vec![at("192.0.2.8")]);
    names.set_silent(false);
    until_ways(&admin, "acme", &[&["sip:192.0.2.8 100%"]]).await;
    assert_eq!(shown(&admin, "acme").await["lookupProblem"], Value::Null);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_nobodys_change_and_another_transport_is_another_question() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.keep_for(3600);
    names.set("gw.test", vec![at("192.0.2.1")]);
    let site = site(&names);
    let daemon = start(&site).await;
    let _module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));
    let body = json!({"ipAcls": [{"ipAddress": "127.0.0.1"}], "originationUris": [{"uri": "sip:gw.test"}]});
    let (path, made) = admin.make("/v1/trunks", body).await;
    let id = text(&made.body["trunkId"]).to_owned();
    until_ways(&admin, &id, &[&["sip:192.0.2.1 100%"]]).await;
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read.etag(), made.etag(), "what name servers say is no change of the trunk");

    let patch = admin.patch(&path, json!({"transport": "tcp"})).await.expect(200);
    assert_ne!(patch.etag(), made.etag());
    until_ways(&admin, &id, &[&["sip:192.0.2.1;transport=tcp 100%"]]).await;
    // An address in the place of the name: nothing is left of it.
    let gateway = shown(&admin, &id).await;
    let gateway = format!("{path}/origination-uris/{}", text(&gateway["originationUriId"]));
    admin.patch(&gateway, json!({"uri": "sip:192.0.2.4"})).await.expect(200);
    until_ways(&admin, &id, &[&["sip:192.0.2.4;transport=tcp 100%"]]).await;
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_that_refuse_naptr_or_srv_still_tell_of_the_host() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.set("host.test", vec![at("192.0.2.1")]);
    names.refuse("_sip._udp.host.test", SRV);
    names.refuse("_sip._tcp.host.test", SRV);
    names.refuse("host.test", NAPTR);
    names.set("_sip._udp.srv.test", vec![Record::Service(1, 1, 5070, "host.test")]);
    names.refuse("srv.test", NAPTR);
    let site = site(&names);
    site.write("a.toml", &trunk("host", "", &[&uri("sip:host.test")]));
    site.write("b.toml", &trunk("srv", "", &[&uri("sip:srv.test")]));
    let daemon = start(&site).await;
    let _module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));
    until_ways(&admin, "host", &[&["sip:192.0.2.1 100%"]]).await;
    until_ways(&admin, "srv", &[&["sip:192.0.2.1:5070 100%"]]).await;
    for id in ["host", "srv"] {
        let gateway = shown(&admin, id).await;
        assert!(text(&gateway["lookupProblem"]).starts_with("NAPTR of "), "{gateway}");
    }
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_adds_to_what_was_known_and_takes_nothing_away() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.set("gw.test", vec![at("192.0.2.1")]);
    let site = site(&names);
    site.write("a.toml", &trunk("acme", "", &[&uri("sip:gw.test:5070")]));
    let daemon = start(&site).await;
    let _module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));
    until_ways(&admin, "acme", &[&["sip:192.0.2.1:5070 100%"]]).await;
    names.refuse("gw.test", AAAA);
    names.set("gw.test", vec![at("192.0.2.2")]);
    until_ways(&admin, "acme", &[&["sip:192.0.2.1:5070 50%", "sip:192.0.2.2:5070 50%"]]).await;
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_a_trunk_share_what_its_calls_can_use() {
    let names = NameServer::start(Zone::new()).unwrap();
    names.keep_for(3600);
    let hosts = ["a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test", "h.test"];
    for (first, host) in hosts.into_iter().enumerate() {
        names.set(host, (1..=16).map(|last| at(&format!("192.0.{first}.{last}"))).collect());
    }
    let site = site(&names);
    // Exactly as much as they and what they lead to take.
    let main = std::fs::read_to_string(site.main()).unwrap();
    std::fs::write(site.main(), main.replace("gateways = 64", "gateways = 72")).unwrap();
    let gateways = hosts.map(|host| uri(&format!("sip:{host}:5060")));
    site.write("a.toml", &trunk("acme", "", &gateways.each_ref().map(String::as_str)));
    let daemon = start(&site).await;
    let _module = module(&site.shm(), 16);
    let admin = Caller::new(&daemon, &admin_token(&site));
    until("every name to lead to eight addresses", async || {
        let shown = admin.get("/v1/trunks/acme/origination-uris").await.expect(200).body;
        let counts = shown["objects"].as_array().unwrap().iter();
        let mut counts = counts.map(|gateway| gateway["addresses"].as_array().map_or(0, Vec::len));
        counts.all(|count| count == 8).then_some(())
    })
    .await;
    daemon.stop().await.unwrap();
}
