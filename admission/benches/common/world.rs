//! The configuration that is measured: trunks of a customary shape, with limits that are checked and never refuse.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use trunk_admission::Rate;
use trunk_admission::instance::Options;
use trunk_admission::model::*;

const ACCOUNTS: u32 = 1_000;

/// Room for so many trunks and calls.
pub(crate) fn options(dir: &Path, trunks: usize, slots: u32, ring_cells: u32) -> Options {
    let trunks = trunks as u32;
    Options {
        dir: dir.to_owned(),
        slots,
        trunks,
        accounts: ACCOUNTS,
        gateways: trunks * 2,
        processes: 16,
        ring_cells,
        spill_cells: 0,
    }
}

/// An address of a trunk.
pub(crate) fn source(trunk: usize, prefix: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0b00_0000 + (trunk as u32) * 16 + prefix as u32)
}

/// Where its calls go to.
pub(crate) fn host(trunk: usize) -> String {
    format!("{}.sip.example", id(trunk))
}

fn id(trunk: usize) -> String {
    format!("0190b3f2-7c11-7d30-9c3a-{trunk:012x}")
}

/// So many trunks with so many prefixes each.
pub(crate) fn table(trunks: usize, prefixes: usize) -> Table {
    let rate = Some(Rate::per_second(100_000.0, Some(1_000_000)).expect("rate"));
    let limits = Limits { rate, concurrent: Some(1_000_000) };
    let accounts =
        (0..ACCOUNTS).map(|live| Account { id: format!("account-{live}"), live, enabled: true, limits });
    let gateway = |n: usize, g: usize| Gateway {
        uri: format!("sip:{}:5060", Ipv4Addr::from_bits(0x6400_0000 + (n * 2 + g) as u32)),
        live: (n * 2 + g) as u32,
        priority: 10,
        weight: 1,
    };
    let credential =
        |c: u8| Credential { username: format!("user-{c}"), ha1_md5: [c; 16], ha1_sha256: [c; 32] };
    let trunk = |n: usize| Trunk {
        id: id(n),
        live: n as u32,
        account: Some(n as u32 % ACCOUNTS),
        kind: Kind::Trunk,
        inbound_user: None,
        enabled: true,
        auth: AuthMode::Any,
        limits,
        regions: None,
        sources: (0..prefixes).map(|p| ipnet::IpNet::from(IpAddr::V4(source(n, p)))).collect(),
        credentials: (0..2).map(credential).collect(),
        gateways: (0..2).map(|g| gateway(n, g)).collect(),
        failover: FailoverCodes::default(),
        secure: false,
    };
    Table {
        revision: 1,
        region: "US".parse().expect("region"),
        base_domain: "sip.example".into(),
        inbound_host: "in.sip.example".into(),
        node: limits,
        accounts: accounts.collect(),
        trunks: (0..trunks).map(trunk).collect(),
    }
}
