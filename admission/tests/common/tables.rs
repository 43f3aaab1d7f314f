//! Short ways to say what is in a table.

use std::path::Path;

use trunk_admission::Rate;
use trunk_admission::instance::Options;
use trunk_admission::model::*;

/// Where every call of these tests comes from.
pub(crate) const SOURCE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

/// Room for so many calls, trunks (and as many gateways), accounts and processes.
pub(crate) fn options(dir: &Path, slots: u32, trunks: u32, accounts: u32, processes: u32) -> Options {
    let (ring_cells, spill_cells) = (16, 16);
    Options {
        dir: dir.to_owned(),
        slots,
        trunks,
        accounts,
        gateways: trunks,
        processes,
        ring_cells,
        spill_cells,
    }
}

/// A table of these accounts and trunks.
pub(crate) fn table(revision: u64, node: Limits, accounts: Vec<Account>, trunks: Vec<Trunk>) -> Table {
    Table {
        revision,
        region: "US".parse().unwrap(),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node,
        accounts,
        trunks,
    }
}

/// The domain of the trunk with this `live` index.
pub(crate) fn host(live: u32) -> String {
    format!("t{live}.sip.example")
}

/// A trunk that takes calls from anywhere.
pub(crate) fn trunk(live: u32, account: Option<u32>, limits: Limits) -> Trunk {
    Trunk {
        id: format!("t{live}"),
        live,
        account,
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Ip,
        limits,
        regions: None,
        sources: vec!["0.0.0.0/0".parse().unwrap()],
        credentials: vec![],
        gateways: vec![],
        failover: FailoverCodes::default(),
        secure: false,
    }
}

/// An account.
pub(crate) fn account(live: u32, limits: Limits) -> Account {
    Account { id: format!("a{live}"), live, enabled: true, limits }
}

/// Both limits.
pub(crate) fn limits(cps: f64, burst: u32, concurrent: u32) -> Limits {
    Limits { rate: Some(Rate::per_second(cps, Some(burst)).unwrap()), concurrent: Some(concurrent) }
}
