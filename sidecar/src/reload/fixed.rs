//! What a reload may not change: the keys that are read once, at the start.
//!
//! Must agree with `config.default.toml`, which marks every other key as live; a test compares the two.

use std::path::Path;

use super::problem;
use crate::config::{Config, Problem};

const RULE: &str = "cannot change while trunkd runs; restart it";

/// Refuses a change of what needs a restart.
pub(super) fn check(path: &Path, old: &Config, new: Config) -> Result<Config, Vec<Problem>> {
    let changed = keys(old, &new).into_iter().filter(|(_, changed)| *changed);
    let problems: Vec<_> = changed.map(|(key, _)| problem(path, key, RULE)).collect();
    if problems.is_empty() { Ok(new) } else { Err(problems) }
}

/// Every such key, and whether it differs.
fn keys(old: &Config, new: &Config) -> [(&'static str, bool); 27] {
    let (old_node, new_node) = (&old.provisioned.node, &new.provisioned.node);
    let (old_api, new_api) = (old.api.limits, new.api.limits);
    let (old_room, new_room) = (old.publish.capacity, new.publish.capacity);
    [
        ("node.base_domain", old_node.base_domain != new_node.base_domain),
        ("node.inbound_host", old_node.inbound_host != new_node.inbound_host),
        (
            "node.dangerous_allow_private_sources",
            old.api.allow_private_sources != new.api.allow_private_sources,
        ),
        ("shm.dir", old.publish.dir != new.publish.dir),
        ("shm.group", old.publish.group != new.publish.group),
        ("shm.trunks", old_room.trunks != new_room.trunks),
        ("shm.accounts", old_room.accounts != new_room.accounts),
        ("shm.gateways", old_room.gateways != new_room.gateways),
        ("state.dir", old.state_dir != new.state_dir),
        ("state.group", old.state_group != new.state_group),
        ("api.listen", old.listen != new.listen),
        ("api.token_rate", old_api.token.per_second != new_api.token.per_second),
        ("api.token_burst", old_api.token.burst != new_api.token.burst),
        ("api.address_rate", old_api.address.per_second != new_api.address.per_second),
        ("api.address_burst", old_api.address.burst != new_api.address.burst),
        ("kamailio.rpc_socket", old.kamailio.rpc_socket != new.kamailio.rpc_socket),
        ("kamailio.reload", old.kamailio.tables != new.kamailio.tables),
        ("kamailio.max_subnets", old.kamailio.max_subnets != new.kamailio.max_subnets),
        ("kamailio.pkg_mb", old.kamailio.pkg_mb != new.kamailio.pkg_mb),
        ("kamailio.shm_mb", old.kamailio.shm_mb != new.kamailio.shm_mb),
        ("kamailio.reload_delta_s", old.kamailio.reload_delta != new.kamailio.reload_delta),
        ("gateways.dns_servers", old.gateways.dns_servers != new.gateways.dns_servers),
        ("gateways.ipv6", old.gateways.ipv6 != new.gateways.ipv6),
        ("shutdown.grace_ms", old.grace != new.grace),
        ("calls.keep_days", old.keep_calls != new.keep_calls),
        ("calls.clock_checked_at", old.clock_checked_ms != new.clock_checked_ms),
        ("log.format", old.log.format != new.log.format),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, load};

    /// The keys whose comment in the default file does not say "Live."; several keys may share one comment.
    fn not_live() -> Vec<String> {
        let (mut table, mut comment, mut after_key, mut found) = ("", String::new(), true, Vec::new());
        for line in DEFAULT.lines() {
            let key = line.trim_start_matches("# ").split_once(" = ").map(|(key, _)| key);
            let key = key
                .filter(|key| key.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'));
            if let Some(name) = line.strip_prefix('[') {
                table = name.trim_end_matches(']');
            } else if let Some(key) = key {
                after_key = true;
                if !comment.contains("Live.") {
                    found.push(format!("{table}.{key}"));
                }
            } else if line.starts_with('#') {
                if after_key {
                    comment.clear();
                }
                after_key = false;
                comment.push_str(line);
            }
        }
        found
    }

    #[test]
    fn the_default_file_calls_live_what_a_reload_takes_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trunkd.toml");
        std::fs::write(&path, DEFAULT).unwrap();
        let config = load(&path).unwrap();
        assert_eq!(not_live(), keys(&config, &config).map(|(key, _)| key));
    }
}
