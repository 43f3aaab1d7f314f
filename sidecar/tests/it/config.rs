//! Every mistake is found, in one run, with file, key and rule, and no secret is repeated.

use std::fs;

use trunk_admission::model::{AuthMode, Kind};
use trunkd::config;
use trunkd::secret::ha1;

use crate::support::{SECRET, Site};

/// Everything that is wrong, as lines with the directory cut off.
fn problems(site: &Site) -> Vec<String> {
    let dir = site.main().parent().unwrap().display().to_string();
    let found = config::load(&site.main()).expect_err("the configuration is bad");
    found.iter().map(|problem| problem.to_string().replace(&format!("{dir}/"), "")).collect()
}

fn assert_found(found: &[String], wanted: &[(&str, &str)]) {
    for (start, rule) in wanted {
        let hit = found.iter().any(|line| line.starts_with(&format!("{start}: ")) && line.contains(rule));
        assert!(hit, "missing {start}: ...{rule}... in\n{}", found.join("\n"));
    }
    assert_eq!(found.len(), wanted.len(), "{}", found.join("\n"));
}

#[test]
fn the_default_file_is_good_and_keeps_the_promise_of_retries() {
    let site = Site::new();
    fs::write(site.main(), config::DEFAULT).unwrap();
    let config = site.load();
    assert!(config.webhooks.schedule.attempts() >= 12);
    assert!(config.webhooks.schedule.shortest().as_secs() >= 76 * 3600);
    assert!(!config.webhooks.url.allow_http && !config.webhooks.url.allow_private);
}

#[test]
fn keys_in_comments_of_the_default_file_are_known() {
    let site = Site::new();
    let is_key = |line: &str| {
        line.split_once(" = ")
            .is_some_and(|(key, _)| key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'))
    };
    let uncommented: Vec<_> = config::DEFAULT
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        .map(|line| if line.starts_with("group") { "" } else { line })
        .collect();
    fs::write(site.main(), uncommented.join("\n").replace("/etc/trunkline/trunks.d", "/nowhere/trunks.d"))
        .unwrap();
    assert_found(&problems(&site), &[("trunkd.toml: files.trunks", "/nowhere/trunks.d")]);
}

#[test]
fn everything_wrong_in_the_main_file_is_found_at_once() {
    let site = Site::new();
    let text = r#"
        nonsense = 1
        [node]
        name = "Edge 1"
        region = "us"
        base_domain = 7
        inbound_host = "in..example.net"
        cps = -1
        concurrent_calls = 1.5
        [shm]
        dir = "relative"
        group = "no-such-group-here"
        trunks = 0
        [state]
        dir = ""
        [api]
        listen = "localhost"
        [files]
        trunks = "/nowhere"
        [webhooks]
        retry_delays_s = [5, "x", 0]
        connect_timeout_ms = 20000
        dangerous_allow_http = "yes"
        [shutdown]
        grace_ms = 600001
        [log]
        level = "loud"
        format = []
        colour = true
    "#;
    fs::write(site.main(), text).unwrap();
    assert_found(
        &problems(&site),
        &[
            ("trunkd.toml: nonsense", "is no key here"),
            ("trunkd.toml: node.name", "DNS label"),
            ("trunkd.toml: node.region", "two upper-case letters"),
            ("trunkd.toml: node.base_domain", "must be a text, not an integer"),
            ("trunkd.toml: node.inbound_host", "must be a host name"),
            ("trunkd.toml: node.cps", "calls per second"),
            ("trunkd.toml: node.concurrent_calls", "must be an integer, not a fraction"),
            ("trunkd.toml: shm.dir", "absolute"),
            ("trunkd.toml: shm.group", "is no group"),
            ("trunkd.toml: shm.trunks", "must be 1 to"),
            ("trunkd.toml: state.dir", "must be a path"),
            ("trunkd.toml: api.listen", "address and a port"),
            ("trunkd.toml: files.trunks", "/nowhere"),
            ("trunkd.toml: webhooks.retry_delays_s[1]", "must be an integer, not a text"),
            ("trunkd.toml: webhooks.retry_delays_s[2]", "must be 1 to"),
            ("trunkd.toml: webhooks.connect_timeout_ms", "must not be longer"),
            ("trunkd.toml: webhooks.dangerous_allow_http", "true or false"),
            ("trunkd.toml: shutdown.grace_ms", "must be 0 to 600000"),
            ("trunkd.toml: log.level", "must be error"),
            ("trunkd.toml: log.format", "must be a text, not a list"),
            ("trunkd.toml: log.colour", "is no key here"),
        ],
    );
}

#[test]
fn everything_wrong_in_all_trunk_files_is_found_at_once() {
    let site = Site::new();
    site.write(
        "a.toml",
        r#"
        [[account]]
        accountId = "acme"
        name = "Acme \"Ltd\""
        [[trunk]]
        trunkId = "one"
        accountId = "nobody"
        authMode = "some"
        cpsLimit = "fast"
        concurrentCallsLimit = -1
        allowedRegions = ["US", "de", 3]
        failoverCodes = [503, 200]
        enabled = 1
        webhookUrl = "ftp://example.com/"
        colour = "red"
        [[trunk.ipAcls]]
        ipAddress = "10.0.0.1/24"
        [[trunk.ipAcls]]
        ipAddress = "10.0.0.1"
        description = "a\nb"
        [[trunk.ipAcls]]
        ipAddress = "10.0.0.1/32"
        [[trunk.originationUris]]
        uri = "sip:gw.example.net;lr"
        weight = 0
        priority = 65536
        [[trunk.credentials]]
        username = "b ob"
        password = "swordfish"
        "#,
    );
    site.write(
        "b.toml",
        &format!(
            "[[account]]\naccountId = \"acme\"\n[[trunk]]\ntrunkId = \"one\"\n[[trunk]]\ntrunkId = \"in\"\n\
             webhookSecret = \"{SECRET}\"\n[[trunk]]\nname = \"x\"\n"
        ),
    );
    site.write("c.toml", "[[trunk]]\ntrunkId = \"two\"\ntrunkId = \"two\"\n[[trunk.ipAcls]]\n");
    site.write("d.toml", "this is no toml");
    site.write(".hidden.toml", "neither is this");
    site.write("e.toml~", "nor this");
    fs::write(
        site.main(),
        fs::read_to_string(site.main())
            .unwrap()
            .replace("[node]", "[node]\ninbound_host = \"in.sip.example.net\""),
    )
    .unwrap();
    let found = problems(&site);
    assert!(!found.iter().any(|line| line.contains("swordfish") || line.contains("whsec_M")), "{found:#?}");
    assert_found(
        &found,
        &[
            ("trunks/a.toml: account[0].name", "no control characters, quotes"),
            ("trunks/a.toml: trunk[0].accountId", "names account \"nobody\""),
            ("trunks/a.toml: trunk[0].authMode", "any, all, password or ip"),
            ("trunks/a.toml: trunk[0].cpsLimit", "must be a number, not a text"),
            ("trunks/a.toml: trunk[0].concurrentCallsLimit", "must be 0 to"),
            ("trunks/a.toml: trunk[0].allowedRegions[1]", "two upper-case letters"),
            ("trunks/a.toml: trunk[0].allowedRegions[2]", "must be a text"),
            ("trunks/a.toml: trunk[0].failoverCodes[1]", "must be 400 to 699"),
            ("trunks/a.toml: trunk[0].enabled", "true or false"),
            ("trunks/a.toml: trunk[0].webhookUrl", "must be an https URL"),
            ("trunks/a.toml: trunk[0].webhookSecret", "is required"),
            ("trunks/a.toml: trunk[0].colour", "is no key here"),
            ("trunks/a.toml: trunk[0].ipAcls[0].ipAddress", "write 10.0.0.0/24"),
            ("trunks/a.toml: trunk[0].ipAcls[1].description", "no control characters"),
            ("trunks/a.toml: trunk[0].ipAcls[2].ipAddress", "listed twice"),
            ("trunks/a.toml: trunk[0].originationUris[0].uri", "sip:host"),
            ("trunks/a.toml: trunk[0].originationUris[0].weight", "must be 1 to 65535"),
            ("trunks/a.toml: trunk[0].originationUris[0].priority", "must be 0 to 65535"),
            ("trunks/a.toml: trunk[0].credentials[0].username", "must be 1 to 64"),
            ("trunks/a.toml: trunk[0].credentials[0].password", "12 to 128 characters, has 9"),
            ("trunks/b.toml: account[0].accountId", "already defined in"),
            ("trunks/b.toml: trunk[0].trunkId", "and its domain is already defined in"),
            ("trunks/b.toml: trunk[1].trunkId", "node.inbound_host"),
            ("trunks/b.toml: trunk[1].webhookUrl", "is required"),
            ("trunks/b.toml: trunk[2].trunkId", "is required"),
            ("trunks/c.toml: line 3", "duplicate key"),
            ("trunks/c.toml: trunk[0].ipAcls[0].ipAddress", "is required"),
            ("trunks/d.toml: line 1", ""),
        ],
    );
}

#[test]
fn more_things_than_fit_are_refused() {
    let site = Site::new();
    let trunks: String = (0..1025).map(|index| format!("[[trunk]]\ntrunkId = \"t{index}\"\n")).collect();
    site.write("a.toml", &trunks);
    assert_found(&problems(&site), &[("all trunk files: trunks", "are 1025; shm.trunks has room for 1024")]);
}

#[test]
fn a_missing_main_file_and_one_that_is_no_text_are_problems_too() {
    let site = Site::new();
    fs::write(site.main(), b"\xff").unwrap();
    assert_found(&problems(&site), &[("trunkd.toml: file", "is not UTF-8")]);
    fs::remove_file(site.main()).unwrap();
    assert_found(&problems(&site), &[("trunkd.toml: file", "cannot be read")]);
}

const USER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

#[test]
fn a_voice_application_says_what_the_api_would_make() {
    let site = Site::new();
    site.write(
        "a.toml",
        &format!(
            r#"
            [[voiceApplication]]
            applicationId = "desk"
            applicationName = "Front desk"
            sipUri = "sip:{USER}@in.sip.example.net"
            passwordAuthEnabled = true
            sipAuthPassword = "correct horse battery"
            allowedSourceIps = ["203.0.113.0/24"]
            allowedRegions = ["US"]
            cpsLimit = 3
            webhookUrl = "https://hooks.example.com/"
            webhookSecret = "{SECRET}"
            [[voiceApplication.originationUris]]
            uri = "sip:192.0.2.1"
            [[voiceApplication]]
            applicationId = "closed"
            inboundSipCallsEnabled = false
            sipUri = "sip:{USER}@in.sip.example.net"
            "#
        ),
    );
    let read = site.load().provisioned.trunks;
    assert_eq!(site.load().provisioned.trunks, read, "the same each time");
    let [closed, desk] = &read[..] else { panic!("{read:?}") };
    assert_eq!((desk.kind, desk.name.as_str(), desk.enabled), (Kind::Application, "Front desk", true));
    assert_eq!(desk.inbound_user.map(|user| user.to_string()).as_deref(), Some(USER));
    assert_eq!((desk.auth_mode, desk.password_auth, desk.ip_acls.len()), (AuthMode::All, true, 1));
    let (md5, sha256) = ha1(USER, "in.sip.example.net", "correct horse battery");
    let [user] = &desk.credentials[..] else { panic!("{desk:?}") };
    assert_eq!((user.username.as_str(), user.ha1_md5, user.ha1_sha256), (USER, md5, sha256));
    assert_eq!((closed.enabled, closed.inbound_user, closed.credentials.len()), (false, None, 0));
}

#[test]
fn everything_wrong_in_voice_applications_is_found_at_once() {
    let site = Site::new();
    let other = USER.to_uppercase();
    let old = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    site.write(
        "a.toml",
        &format!(
            r#"
            [[trunk]]
            trunkId = "taken"
            [[voiceApplication]]
            applicationId = "taken"
            inboundSipCallsEnabled = true
            passwordAuthEnabled = true
            [[voiceApplication]]
            applicationId = "b"
            sipUri = "sip:{USER}@in.sip.example.net"
            sipAuthPassword = "correct horse battery"
            allowedSourceIps = ["203.0.113.1/24", "10.0.0.0/8", "2001:db8::/32"]
            [[voiceApplication]]
            applicationId = "c"
            accountId = "nobody"
            sipUri = "sip:{USER}@in.sip.example.net"
            [[voiceApplication]]
            applicationId = "d"
            sipUri = "sip:{other}@in.sip.example.net"
            trunkId = "x"
            [[voiceApplication]]
            applicationId = "e"
            sipUri = "sip:{old}@in.sip.example.net"
            [[voiceApplication]]
            sipUri = "sip:{USER}@elsewhere.example.net"
            passwordAuthEnabled = true
            sipAuthPassword = "swordfish"
            "#
        ),
    );
    let found = problems(&site);
    assert!(
        !found.iter().any(|line| line.contains("swordfish") || line.contains("correct horse")),
        "{found:#?}"
    );
    assert_found(
        &found,
        &[
            ("trunks/a.toml: voiceApplication[0].applicationId", "already defined in"),
            ("trunks/a.toml: voiceApplication[0].sipUri", "is required"),
            ("trunks/a.toml: voiceApplication[0].sipAuthPassword", "is required"),
            ("trunks/a.toml: voiceApplication[1].allowedSourceIps[0]", "203.0.113.0/24"),
            ("trunks/a.toml: voiceApplication[1].allowedSourceIps[1]", ""),
            ("trunks/a.toml: voiceApplication[1].allowedSourceIps[2]", ""),
            ("trunks/a.toml: voiceApplication[1].allowedSourceIps", "calls need a password"),
            ("trunks/a.toml: voiceApplication[1].sipAuthPassword", "needs passwordAuthEnabled"),
            ("trunks/a.toml: voiceApplication[2].accountId", "names account \"nobody\""),
            ("trunks/a.toml: voiceApplication[2].sipUri", "already defined in"),
            ("trunks/a.toml: voiceApplication[2]", "calls need a password"),
            ("trunks/a.toml: voiceApplication[3]", "calls need a password"),
            ("trunks/a.toml: voiceApplication[3].sipUri", "version 4 UUID in lower case"),
            ("trunks/a.toml: voiceApplication[3].trunkId", "is no key here"),
            ("trunks/a.toml: voiceApplication[4]", "calls need a password"),
            ("trunks/a.toml: voiceApplication[4].sipUri", "version 4 UUID"),
            ("trunks/a.toml: voiceApplication[5].applicationId", "is required"),
            ("trunks/a.toml: voiceApplication[5].sipUri", "@in.sip.example.net"),
            ("trunks/a.toml: voiceApplication[5].sipAuthPassword", "12 to 128 characters, has 9"),
        ],
    );
}
