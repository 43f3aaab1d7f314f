//! `[kamailio]`: what the Kamailio beside us was given, and where it can be asked.

use std::time::Duration;

use super::main_file::absolute;
use crate::input::section::Section;
use crate::kamailio::Settings;
use crate::kamailio::commands::Table;
use crate::kamailio::readback::MAX_READABLE_SUBNETS;

/// Longest path that fits a socket's address, with its end.
const MAX_SOCKET_BYTES: usize = 107;

pub(super) fn read(section: Section<'_>) -> Option<Settings> {
    let rpc_socket = section.parsed("rpc_socket", |text| match absolute(text) {
        Ok(_) if text.len() > MAX_SOCKET_BYTES => Err("must be at most 107 bytes long"),
        other => other,
    });
    let tables = section.set_of_texts("reload", |text| {
        let table = Table::ALL.into_iter().find(|table| table.name() == text);
        table.ok_or("must be \"address\" or \"dispatcher\"")
    });
    // More could not be read back in one answer, and what cannot be read back cannot be vouched for.
    let max_subnets = section.integer("max_subnets", 1..=MAX_READABLE_SUBNETS);
    let pkg_mb = section.integer("pkg_mb", 1..=4096);
    let shm_mb = section.integer("shm_mb", 1..=65_536);
    let reload_delta = section.integer("reload_delta_s", 0..=3600);
    section.finish();
    let mut tables = tables?;
    tables.sort();
    Some(Settings {
        rpc_socket,
        tables,
        max_subnets: max_subnets? as u32,
        pkg_mb: pkg_mb? as u32,
        shm_mb: shm_mb? as u32,
        reload_delta: Duration::from_secs(reload_delta?),
    })
}
