//! Longest prefix against a model that looks at every prefix: both families, every length, one image and two.
//!
//! 1,000,000 cases of an address against a set of prefixes; `TRUNKLINE_PREFIX_CASES` asks for another number.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use trunk_admission::Reason;
use trunk_admission::model::{AuthMode, Trunk};
use trunk_admission::publish::Change;

use crate::side::{NEVER_AT_ONCE, Side};
use crate::support::{table, trunk};

const CASES: u64 = 1_000_000;
const SETS: u64 = 8;
const TRUNKS: u32 = 40;
/// The trunk that lists many.
const MANY: u32 = 0;

/// splitmix64: the same cases in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ b >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// What a trunk lists, as the model sees it: an address of so many bits, from the top.
#[derive(Clone, Copy, Debug)]
struct Listed {
    v4: bool,
    bits: u128,
    length: u32,
    trunk: u32,
}

impl Listed {
    fn width(self) -> u32 {
        if self.v4 { 32 } else { 128 }
    }

    /// Whether the top bits agree (RFC 4632 section 3.1). Both are of one family.
    fn holds(self, address: u128) -> bool {
        let rest = self.width() - self.length;
        rest == 128 || (self.bits ^ address) >> rest == 0
    }

    /// As it is written in a configuration, host bits and all; IPv4 sometimes as the IPv6 network that maps it.
    fn network(self, mapped: bool) -> IpNet {
        let (bits, length) = (self.bits, self.length as u8);
        match (self.v4, mapped) {
            (true, false) => IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits as u32), length).unwrap()),
            (true, true) => {
                IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(0xffff << 32 | bits), 96 + length).unwrap())
            }
            (false, _) => IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits), length).unwrap()),
        }
    }
}

/// Half of the time the one that lists many.
fn any_trunk(random: &mut Random) -> u32 {
    if random.below(2) == 0 { MANY } else { random.below(u64::from(TRUNKS)) as u32 }
}

/// Every length of both families once, and as many more; near each other, so that they overlap; some listed twice.
fn set(random: &mut Random) -> Vec<Listed> {
    let roots: Vec<u128> = (0..4).map(|_| random.wide()).collect();
    let mut listed = Vec::new();
    for round in 0..2 {
        for length in (0..=32).chain(1000..=1128) {
            let (v4, length) = (length <= 32, length % 1000);
            let root = roots[random.below(4) as usize] & if v4 { 0xffff_ffff } else { u128::MAX };
            let noise = random.wide() >> random.below(128) & if v4 { 0xffff_ffff } else { u128::MAX };
            let bits = if round == 0 { root } else { root ^ noise };
            // One trunk lists more than stand behind its record, the others fewer.
            let trunk = any_trunk(random);
            listed.push(Listed { v4, bits, length, trunk });
            if random.below(8) == 0 {
                listed.push(Listed { v4, bits, length, trunk: random.below(u64::from(TRUNKS)) as u32 });
            }
        }
    }
    let many = listed.iter().filter(|one| one.v4 && one.trunk == MANY).count();
    assert!(many > 16, "{many} of one trunk");
    // An address in ::ffff:0:0/96 is IPv4: a network inside of it that is meant as IPv6 cannot be written.
    listed.retain(|one| one.v4 || one.length < 96 || one.bits >> 32 != 0xffff);
    listed
}

fn trunks(listed: &[Listed], random: &mut Random) -> Vec<Trunk> {
    let mut trunks: Vec<Trunk> = (0..TRUNKS)
        .map(|live| Trunk {
            auth: AuthMode::Ip,
            sources: vec![],
            ..trunk(&format!("t{live}"), live, "0.0.0.0/0")
        })
        .collect();
    for one in listed {
        trunks[one.trunk as usize].sources.push(one.network(random.below(4) == 0));
    }
    trunks
}

/// A set, by family: IPv6, IPv4.
struct Model([Vec<Listed>; 2]);

impl Model {
    fn new(set: impl Iterator<Item = Listed> + Clone) -> Model {
        Model([false, true].map(|v4| set.clone().filter(|one| one.v4 == v4).collect()))
    }

    fn holding(&self, v4: bool, address: u128) -> impl Iterator<Item = Listed> {
        self.0[usize::from(v4)].iter().copied().filter(move |one| one.holds(address))
    }

    /// The longest length that holds the address, and the trunk if only one lists it at that length.
    fn longest(&self, v4: bool, address: u128) -> Option<(u32, Option<u32>)> {
        let mut best: Option<(u32, Option<u32>)> = None;
        for one in self.holding(v4, address) {
            best = match best {
                Some((length, _)) if length > one.length => best,
                Some((length, owner)) if length == one.length => {
                    Some((length, owner.filter(|&owner| owner == one.trunk)))
                }
                _ => Some((one.length, Some(one.trunk))),
            };
        }
        best
    }
}

/// An address close to one of the set: within it, or just beside it.
fn address(set: &[Listed], random: &mut Random) -> (bool, u128) {
    let near = set[random.below(set.len() as u64) as usize];
    let host = (1 << (near.width() - near.length).min(127)) - 1;
    let mut bits = near.bits ^ random.wide() & host;
    if random.below(4) == 0 {
        bits ^= 1 << random.below(u64::from(near.width()));
    }
    // What IPv6 calls IPv4-mapped is IPv4.
    if !near.v4 && bits >> 32 == 0xffff { (true, bits & 0xffff_ffff) } else { (near.v4, bits) }
}

#[test]
fn the_longest_prefix_is_the_one_that_a_look_at_all_of_them_finds() {
    let asked = std::env::var("TRUNKLINE_PREFIX_CASES").ok();
    let cases = asked.map_or(CASES, |cases| cases.parse().unwrap());
    let mut hit = BTreeSet::new();
    for number in 0..SETS {
        let mut random = Random(number);
        let set = set(&mut random);
        let mut side = Side::new(NEVER_AT_ONCE);
        let now = trunks(&set, &mut random);
        if number % 2 == 0 {
            side.publisher.publish(&table(now), None).unwrap();
        } else {
            // Another set first; a third of the trunks have changed since, so that both images have a say.
            let mut before = now.clone();
            let other = self::trunks(&self::set(&mut random), &mut random);
            let changed = || (0..TRUNKS as usize).filter(|n| n % 3 == 0);
            changed().for_each(|n| before[n] = other[n].clone());
            side.publisher.publish(&table(before), None).unwrap();
            let changes = changed().map(|n| Change::PutTrunk(Box::new(now[n].clone())));
            let published = side.publisher.apply(2, changes, None).unwrap();
            assert_eq!(published.changed, changed().count());
        }
        side.instance.refresh();
        let all = Model::new(set.iter().copied());
        let own = |one| Model::new(set.iter().copied().filter(move |listed| listed.trunk == one));
        let own: Vec<(String, Model)> =
            (0..TRUNKS).map(|one| (format!("t{one}.sip.example"), own(one))).collect();
        for _ in 0..cases / SETS {
            let (v4, bits) = address(&set, &mut random);
            let source = match v4 {
                true if random.below(2) == 0 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
                true => IpAddr::V6(Ipv6Addr::from_bits(0xffff << 32 | bits)),
                false => IpAddr::V6(Ipv6Addr::from_bits(bits)),
            };
            let wanted = all.longest(v4, bits);
            hit.extend(wanted.map(|(length, _)| (v4, length)));
            let found = side.identify("sip.example", source).map(|identity| identity.trunk.live());
            assert_eq!(found.ok(), wanted.and_then(|(_, owner)| owner), "set {number}: {source}");

            let (host, own) = &own[any_trunk(&mut random) as usize];
            let allowed = side.identify(host, source).map(|_| ());
            let wanted = match own.holding(v4, bits).next() {
                Some(_) => Ok(()),
                None if own.0.iter().all(Vec::is_empty) => Err(Reason::NoAuthConfigured),
                None => Err(Reason::SourceDenied),
            };
            assert_eq!(allowed, wanted, "set {number}, {host}: {source}");
        }
    }
    let missed: Vec<(bool, u32)> = (0..=32)
        .map(|length| (true, length))
        .chain((0..=128).map(|length| (false, length)))
        .filter(|length| !hit.contains(length))
        .collect();
    assert_eq!(missed, [], "of each family, each length was the longest at least once");
}
