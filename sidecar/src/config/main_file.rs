//! The main file: everything but accounts and trunks.
//!
//! Each part's settings are built here, so the parts themselves know nothing of files.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trunk_admission::model::Region;

use super::{Config, Provisioned};
use crate::domain::{Account, Limits, Millis, Node, Trunk};
use crate::input::problem::Broken;
use crate::input::rules;
use crate::input::section::Section;
use crate::publish::Capacity;
use crate::webhook::UrlRules;
use crate::webhook::retry::Schedule;
use crate::{api, edit, gateways, logging, publish, webhook};

/// What the main file says, as far as it could be read.
pub(super) struct MainFile {
    name: Option<String>,
    region: Option<Region>,
    pub(super) base_domain: Option<String>,
    pub(super) inbound_host: Option<String>,
    limits: Limits,
    shm_dir: Option<PathBuf>,
    gid: Option<u32>,
    capacity: Option<Capacity>,
    state_dir: Option<PathBuf>,
    state_group: Option<u32>,
    listen: Option<SocketAddr>,
    api_limits: Option<api::Limits>,
    pub(super) allow_private_sources: bool,
    pub(super) trunk_files: Option<PathBuf>,
    kamailio: Option<crate::kamailio::Settings>,
    gateways: Option<gateways::Settings>,
    webhooks: Option<webhook::Settings>,
    keep_calls: Option<Option<Duration>>,
    clock_checked_ms: Option<Millis>,
    grace: Option<Duration>,
    log: Option<logging::Settings>,
}

pub(super) fn read(top: Section<'_>) -> MainFile {
    let node = top.section("node");
    let shm = top.section("shm");
    let state = top.section("state");
    let api = top.section("api");
    let files = top.section("files");
    let calls = top.section("calls");
    let shutdown = top.section("shutdown");
    let mut limits = Limits::default();
    edit::limits::limits(&node, ["cps", "cps_burst", "concurrent_calls"], &mut limits, Limits::default());
    let read = MainFile {
        name: node.parsed_required("name", rules::label),
        region: node.parsed_required("region", rules::region),
        base_domain: node.parsed_required("base_domain", rules::base_domain),
        inbound_host: node.parsed_required("inbound_host", rules::host),
        limits,
        shm_dir: shm.parsed_required("dir", absolute),
        gid: shm.parsed("group", gid),
        capacity: capacity(&shm),
        state_dir: state.parsed_required("dir", path),
        state_group: state.parsed("group", gid),
        listen: api.parsed_required("listen", |text| {
            text.parse::<SocketAddr>().map_err(|_| "must be an address and a port, such as 127.0.0.1:8080")
        }),
        api_limits: api_limits(&api),
        allow_private_sources: node.flag("dangerous_allow_private_sources", false),
        trunk_files: files.parsed("trunks", path),
        kamailio: super::kamailio::read(top.section("kamailio")),
        gateways: gateways(top.section("gateways")),
        webhooks: webhooks(top.section("webhooks")),
        keep_calls: keep_calls(&calls),
        clock_checked_ms: calls.parsed("clock_checked_at", checked).flatten(),
        grace: shutdown.integer("grace_ms", 0..=600_000).map(Duration::from_millis),
        log: log(top.section("log")),
    };
    [node, shm, state, api, files, calls, shutdown, top].into_iter().for_each(Section::finish);
    read
}

impl MainFile {
    /// What a webhook URL may look like; the strict rules if the file's own could not be read.
    pub(super) fn webhook_rules(&self) -> UrlRules {
        self.webhooks.as_ref().map(|settings| settings.url.clone()).unwrap_or_default()
    }

    /// How many trunks, accounts and gateways fit.
    pub(super) fn capacity(&self) -> Capacity {
        self.capacity.unwrap_or(Capacity { trunks: u32::MAX, accounts: u32::MAX, gateways: u32::MAX })
    }

    /// The whole configuration, if nothing is missing.
    pub(super) fn build(self, accounts: Vec<Account>, trunks: Vec<Trunk>) -> Option<Config> {
        let node = Node {
            name: self.name?,
            region: self.region?,
            base_domain: self.base_domain?,
            inbound_host: self.inbound_host?,
            limits: self.limits,
        };
        Some(Config {
            publish: publish::Settings { dir: self.shm_dir?, group: self.gid, capacity: self.capacity? },
            state_dir: self.state_dir?,
            state_group: self.state_group,
            listen: self.listen?,
            api: api::Settings {
                limits: self.api_limits?,
                allow_private_sources: self.allow_private_sources,
            },
            trunk_files: self.trunk_files,
            kamailio: self.kamailio?,
            gateways: self.gateways?,
            webhooks: self.webhooks?,
            keep_calls: self.keep_calls?,
            clock_checked_ms: self.clock_checked_ms,
            grace: self.grace?,
            log: self.log?,
            provisioned: Provisioned { node, accounts, trunks },
        })
    }
}

fn api_limits(section: &Section<'_>) -> Option<api::Limits> {
    let count = |key| section.integer(key, 1..=1_000_000).and_then(|count| NonZeroU32::new(count as u32));
    let (token, token_burst) = (count("token_rate"), count("token_burst"));
    let (address, address_burst) = (count("address_rate"), count("address_burst"));
    Some(api::Limits {
        token: api::Rate { per_second: token?, burst: token_burst? },
        address: api::Rate { per_second: address?, burst: address_burst? },
    })
}

/// A time, or nothing.
fn checked(text: &str) -> Result<Option<Millis>, Broken> {
    if text.is_empty() { Ok(None) } else { rules::instant(text).map(Some) }
}

/// Events are kept for replay for 30 days at least.
fn keep_calls(section: &Section<'_>) -> Option<Option<Duration>> {
    let days = section.integer("keep_days", 0..=36_500)?;
    if (1..=30).contains(&days) {
        section.problem("keep_days", Broken::new("out_of_range", "must be 31 to 36500, or 0 for ever"));
        return None;
    }
    Some((days > 0).then(|| Duration::from_secs(days * 86_400)))
}

fn gateways(section: Section<'_>) -> Option<gateways::Settings> {
    let dns_servers = section.set_of_texts("dns_servers", dns_server);
    let ipv6 = section.flag("ipv6", false);
    section.finish();
    Some(gateways::Settings { dns_servers: dns_servers?, ipv6 })
}

fn webhooks(section: Section<'_>) -> Option<webhook::Settings> {
    let delays = section.integers("retry_delays_s", 1..=604_800);
    let schedule = delays.and_then(|delays| {
        Schedule::from_seconds(&delays)
            .map_err(|rule| section.problem("retry_delays_s", rule.to_string()))
            .ok()
    });
    let connect = section.integer("connect_timeout_ms", 100..=60_000);
    let attempt = section.integer("attempt_timeout_ms", 100..=60_000);
    let concurrency = section.integer("endpoint_concurrency", 1..=256);
    let allowed = section.set_of_texts("allowed_networks", rules::network);
    let dns_servers = section.set_of_texts("dns_servers", dns_server);
    let url = UrlRules {
        allowed: allowed.unwrap_or_default(),
        allow_private: section.flag("dangerous_allow_private_addresses", false),
        allow_http: section.flag("dangerous_allow_http", false),
    };
    if let (Some(connect), Some(attempt)) = (connect, attempt)
        && connect > attempt
    {
        section.problem("connect_timeout_ms", "must not be longer than attempt_timeout_ms");
    }
    section.finish();
    Some(webhook::Settings {
        schedule: schedule?,
        connect_timeout: Duration::from_millis(connect?),
        attempt_timeout: Duration::from_millis(attempt?),
        endpoint_concurrency: concurrency? as usize,
        dns_servers: dns_servers?,
        url,
    })
}

/// An address of a name server, with its port if that is not 53.
fn dns_server(text: &str) -> Result<SocketAddr, &'static str> {
    let plain = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    text.parse().or_else(|_| plain()).map_err(|_| "must be an address, with its port if that is not 53")
}

fn log(section: Section<'_>) -> Option<logging::Settings> {
    let level = section.parsed_required("level", str::parse);
    let format = section.parsed_required("format", str::parse);
    section.finish();
    Some(logging::Settings { level: level?, format: format? })
}

fn capacity(section: &Section<'_>) -> Option<Capacity> {
    let most = u64::from(trunk_admission::model::MAX_LIVE_INDEX);
    let read = |key| section.integer(key, 1..=most).map(|count| count as u32);
    let (trunks, accounts, gateways) = (read("trunks"), read("accounts"), read("gateways"));
    Some(Capacity { trunks: trunks?, accounts: accounts?, gateways: gateways? })
}

fn path(text: &str) -> Result<PathBuf, &'static str> {
    match text {
        "" => Err("must be a path"),
        text if text.contains(char::is_control) => Err("must have no control characters"),
        text => Ok(PathBuf::from(text)),
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = path(text)?;
    if Path::is_absolute(&path) {
        Ok(path)
    } else {
        Err("must be an absolute path: Kamailio has to find the same")
    }
}

fn gid(name: &str) -> Result<u32, String> {
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err("is no group of this machine".into()),
        Err(error) => Err(format!("cannot be looked up: {error}")),
    }
}
