//! How much a table holds, and what: a count and a sum of hashes that can be kept up row by row. Pure.
//!
//! Kamailio answers a question about its tables in one datagram, which is too small for more than some 1,600 rows. So each
//! table that it loads carries its own count and sum in one row, the mark: finding the right mark in Kamailio's memory
//! says which content was read, whatever its size.

use sha2::{Digest as _, Sha256};

use super::rows::{Address, Destination, Place};

/// Rows of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub rows: u64,
    /// Characters in their columns of text: what Kamailio holds them in grows with these.
    pub characters: u64,
    /// Sum of their hashes, modulo 2^128: the same for the same rows in any order.
    pub sum: u128,
}

/// The kinds, as Kamailio keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Kind {
    Host,
    Subnet,
    Name,
    Destination,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Host, Kind::Subnet, Kind::Name, Kind::Destination];

    /// The word for it in the store.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Host => "host",
            Kind::Subnet => "subnet",
            Kind::Name => "name",
            Kind::Destination => "destination",
        }
    }
}

/// What the two tables hold that Kamailio loads into memory. The marks themselves do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub struct Load {
    pub hosts: Tally,
    pub subnets: Tally,
    pub names: Tally,
    pub destinations: Tally,
}

/// What the tables in the database hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The revision that they belong to.
    pub revision: i64,
    /// Their rows.
    pub load: Load,
}

impl Load {
    /// The tally of a kind.
    pub fn of(&self, kind: Kind) -> &Tally {
        match kind {
            Kind::Host => &self.hosts,
            Kind::Subnet => &self.subnets,
            Kind::Name => &self.names,
            Kind::Destination => &self.destinations,
        }
    }

    /// The tally of a kind, to be changed.
    pub fn of_mut(&mut self, kind: Kind) -> &mut Tally {
        match kind {
            Kind::Host => &mut self.hosts,
            Kind::Subnet => &mut self.subnets,
            Kind::Name => &mut self.names,
            Kind::Destination => &mut self.destinations,
        }
    }

    /// Counts a row of `address`.
    pub fn add_address(&mut self, row: &Address) {
        self.of_mut(row.kind()).add(row.hash(), row.characters());
    }

    /// Takes a row of `address` off again.
    pub fn remove_address(&mut self, row: &Address) {
        self.of_mut(row.kind()).remove(row.hash(), row.characters());
    }

    /// Counts a row of `dispatcher`.
    pub fn add_destination(&mut self, row: &Destination) {
        self.destinations.add(row.hash(), row.characters());
    }

    /// Takes a row of `dispatcher` off again.
    pub fn remove_destination(&mut self, row: &Destination) {
        self.destinations.remove(row.hash(), row.characters());
    }

    /// The mark of `address`.
    pub fn address_mark(&self) -> String {
        let (hosts, subnets, names) = (&self.hosts, &self.subnets, &self.names);
        let sum = hosts.sum.wrapping_add(subnets.sum).wrapping_add(names.sum);
        mark(hosts.rows + subnets.rows + names.rows, sum)
    }

    /// The mark of `dispatcher`.
    pub fn destination_mark(&self) -> String {
        mark(self.destinations.rows, self.destinations.sum)
    }
}

/// Good in a URI's host and as a tag.
fn mark(rows: u64, sum: u128) -> String {
    format!("rows-{rows}-{sum:032x}")
}

impl Tally {
    fn add(&mut self, hash: u128, characters: u64) {
        self.rows += 1;
        self.characters += characters;
        self.sum = self.sum.wrapping_add(hash);
    }

    fn remove(&mut self, hash: u128, characters: u64) {
        self.rows = self.rows.saturating_sub(1);
        self.characters = self.characters.saturating_sub(characters);
        self.sum = self.sum.wrapping_sub(hash);
    }
}

impl Address {
    /// Which of Kamailio's three tables it lands in.
    pub fn kind(&self) -> Kind {
        match self.place {
            Place::Host(_) => Kind::Host,
            Place::Subnet(_) => Kind::Subnet,
            Place::Name(_) => Kind::Name,
        }
    }

    fn characters(&self) -> u64 {
        (self.place.text().len() + self.tag.as_ref().map_or(0, String::len)) as u64
    }

    fn hash(&self) -> u128 {
        let tag = self.tag.as_deref().unwrap_or_default();
        digest(&[
            self.kind().word(),
            &self.group.to_string(),
            &self.place.text(),
            &self.place.mask().to_string(),
            tag,
        ])
    }
}

impl Destination {
    fn characters(&self) -> u64 {
        (self.uri.len() + self.attrs.len()) as u64
    }

    /// Without the flags: of these, Kamailio tells the state it has found itself.
    fn hash(&self) -> u128 {
        digest(&[Kind::Destination.word(), &self.set.to_string(), &self.uri, &self.attrs])
    }
}

/// Fields have no control characters, so a line feed keeps them apart.
fn digest(fields: &[&str]) -> u128 {
    let hash: [u8; 32] = Sha256::digest(fields.join("\n")).into();
    u128::from_be_bytes(std::array::from_fn(|index| hash[index]))
}
