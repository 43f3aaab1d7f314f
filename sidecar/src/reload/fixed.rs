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
fn keys(old: &Config, new: &Config) -> [(&'static str, bool); 10] {
    let (old_node, new_node) = (&old.provisioned.node, &new.provisioned.node);
    let (old_room, new_room) = (old.publish.capacity, new.publish.capacity);
    [
        ("node.base_domain", old_node.base_domain != new_node.base_domain),
        ("shm.dir", old.publish.dir != new.publish.dir),
        ("shm.group", old.publish.group != new.publish.group),
        ("shm.trunks", old_room.trunks != new_room.trunks),
        ("shm.accounts", old_room.accounts != new_room.accounts),
        ("shm.gateways", old_room.gateways != new_room.gateways),
        ("state.dir", old.state_dir != new.state_dir),
        ("api.listen", old.listen != new.listen),
        ("shutdown.grace_ms", old.grace != new.grace),
        ("log.format", old.log.format != new.log.format),
    ]
}
