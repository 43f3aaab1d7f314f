//! What a digest check adds to a decision: the user's hashes from the table, and one response computed and compared (RFC 7616).
//!
//! In the module it is Kamailio's auth module that computes; the arithmetic is the same. Asserts nothing.

#[path = "common/figures.rs"]
#[allow(dead_code, reason = "shared with other benches")]
mod figures;
#[path = "common/world.rs"]
mod world;

use std::hint::black_box;
use std::time::Instant;

use figures::{Sample, row};
use md5::Md5;
use sha2::Sha256;
use trunk_admission::image::Ha1;
use trunk_admission::instance::Instance;
use trunk_admission::publish::{PublishOptions, Publisher};
use trunk_admission::{Attempt, Host};
use world::{host, options, source, table};

const TRUNKS: usize = 100_000;
const TIMES: usize = 200_000;
/// Trunks that are asked for, again and again.
const CALLED: usize = 4_096;
const URI: &str = "sip:15550001111@0190b3f2-7c11-7d30-9c3a-000000000000.sip.example";
const NONCE: &str = "ZyPq8mcj6cQ0sEVaTz0x7Gq1gkQH4oWw";
const CNONCE: &str = "0a4f113b";

fn main() {
    let dir = figures::directory();
    let mut publisher = Publisher::open(dir.path(), PublishOptions::default()).expect("publisher");
    publisher.publish(&table(TRUNKS, 1), None).expect("publish");
    let mut instance = Instance::create(&options(dir.path(), TRUNKS, 64, 16)).expect("instance");
    instance.refresh();
    let md5 = |ha1: &Ha1| response::<Md5>(&ha1.md5);
    let sha256 = |ha1: &Ha1| response::<Sha256>(&ha1.sha256);
    row("digest check: hashes looked up, MD5 response", measure(&instance, md5), "adds 1,000 ns");
    row("the same, SHA-256 response", measure(&instance, sha256), "adds 1,000 ns");
}

fn measure(instance: &Instance, respond: impl Fn(&Ha1) -> [u8; 64]) -> Sample {
    let identities: Vec<_> = (0..CALLED)
        .map(|n| {
            let trunk = n * 7919 % TRUNKS;
            let (host, call) = (host(trunk), instance.call_key(b"id", b"tag", 1));
            let source = source(trunk, 0).into();
            let attempt =
                Attempt { host: &Host::new(host.as_bytes()), user: b"", source, secure: false, call };
            instance.identify(&attempt).expect("known trunk")
        })
        .collect();
    let expected = [b'0'; 64];
    Sample::of_runs(|_| {
        let one = |n: usize| {
            let timer = Instant::now();
            let ha1 = instance.credential(&identities[n % CALLED], b"user-1").expect("a user");
            black_box(respond(&ha1) == expected);
            timer.elapsed().as_nanos() as u64
        };
        Sample::of((0..TIMES).map(one).collect())
    })
}

/// `response` of a request with qop `auth`, in hexadecimal; as many bytes of it as the algorithm makes.
fn response<D: md5::Digest>(ha1: &[u8]) -> [u8; 64] {
    let ha2 = hex(&D::new().chain_update(b"INVITE:").chain_update(URI).finalize());
    let digits = ha1.len() * 2;
    let response = D::new()
        .chain_update(&hex(ha1)[..digits])
        .chain_update(b":")
        .chain_update(NONCE)
        .chain_update(b":00000001:")
        .chain_update(CNONCE)
        .chain_update(b":auth:")
        .chain_update(&ha2[..digits]);
    hex(&response.finalize())
}

fn hex(bytes: &[u8]) -> [u8; 64] {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}
