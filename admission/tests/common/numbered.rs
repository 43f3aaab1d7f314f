//! Tables in which every number is the same, so that a mixture of two shows at once.

use trunk_admission::instance::Instance;
use trunk_admission::model::{Account, Credential, FailoverCodes, Gateway, Limits, Table, Trunk};
use trunk_admission::{Attempt, Host, Rate};

use crate::tables::{SOURCE, account, host, table, trunk};

/// Trunks, accounts and gateways of a table.
pub(crate) const TRUNKS: u32 = 12;

/// The table whose every number is `number`.
pub(crate) fn numbered(number: u32) -> Table {
    // Each number has another interval than the one before.
    let cps = f64::from(5 + number % 2 * 5);
    let rate = Rate::per_second(cps, Some(number)).unwrap();
    let limits = Limits { rate: Some(rate), concurrent: Some(number) };
    let trunks = (0..TRUNKS).map(|live| {
        let mut ha1_sha256 = [0; 32];
        ha1_sha256[28..].copy_from_slice(&number.to_be_bytes());
        let ha1_md5 = u128::from(number).to_be_bytes();
        Trunk {
            credentials: vec![Credential { username: "user".into(), ha1_md5, ha1_sha256 }],
            gateways: vec![Gateway { uri: format!("sip:{number}.example"), live, priority: 1, weight: 1 }],
            failover: FailoverCodes::from_codes(&[code(number)]).unwrap(),
            ..trunk(live, Some(live), limits)
        }
    });
    let accounts =
        (0..TRUNKS).map(|live| Account { id: format!("a{number}-{live}"), ..account(live, limits) });
    table(u64::from(number), limits, accounts.collect(), trunks.collect())
}

fn code(number: u32) -> u16 {
    400 + (number % 300) as u16
}

/// The hosts of the trunks.
pub(crate) fn hosts() -> Vec<String> {
    (0..TRUNKS).map(host).collect()
}

/// The number that every answer about the table agrees on, and how many answers that were.
pub(crate) fn agreed(instance: &Instance, hosts: &[String]) -> (u32, u64) {
    let number = u32::try_from(instance.status().revision).unwrap();
    let mut answers = 1;
    for (host, live) in hosts.iter().zip(0..) {
        let call = instance.call_key(b"", b"", 0);
        let attempt =
            Attempt { host: &Host::new(host.as_bytes()), user: b"", source: SOURCE, secure: false, call };
        let identity = instance.identify(&attempt).expect("every generation has the trunk");
        let ha1 = instance.credential(&identity, b"user").expect("and its user");
        let seen = [
            identity.trunk.concurrent().unwrap(),
            identity.trunk.rate().unwrap().burst(),
            u128::from_be_bytes(ha1.md5) as u32,
            u32::from_be_bytes([ha1.sha256[28], ha1.sha256[29], ha1.sha256[30], ha1.sha256[31]]),
            number_in(instance.gateway_uri(&identity, live).as_bytes()),
            number_in(instance.names(&identity).account.as_bytes()),
        ];
        assert!(seen.iter().all(|&one| one == number), "trunk {live} of {number}: {seen:?}");
        assert!(instance.failover_codes(&identity).contains(code(number)));
        answers += seen.len() as u64 + 2;
    }
    (number, answers)
}

/// The first number in a text.
fn number_in(text: &[u8]) -> u32 {
    let digits =
        text.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}
