//! From a draft to the finished words: look-up tables, header, sums. What is there twice is found while the tables fill.

use std::collections::HashMap;
use std::io::{self, Write};

use super::super::index;
use super::super::layout::*;
use super::super::placed;
use super::draft::Draft;
use super::{BuildError, Settings, limit_words};
use crate::hash::CheckSum;
use crate::map::WORD;

/// A finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageWords {
    header: [u64; HEADER_WORDS],
    sections: [Vec<u64>; SECTIONS],
}

/// Words turned into bytes at a time.
const CHUNK_WORDS: usize = 8192;

impl ImageWords {
    fn parts(&self) -> impl Iterator<Item = &[u64]> {
        std::iter::once(self.header.as_slice()).chain(self.sections.iter().map(Vec::as_slice))
    }

    /// Size of the file in bytes.
    pub fn byte_count(&self) -> usize {
        self.parts().map(<[u64]>::len).sum::<usize>() * WORD
    }

    /// Whether it is a base.
    pub(crate) fn is_base(&self) -> bool {
        self.header[H_SORT] == SORT_BASE
    }

    /// Writes the bytes of the file, in this machine's order.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = [0; CHUNK_WORDS * WORD];
        for chunk in self.parts().flat_map(|part| part.chunks(CHUNK_WORDS)) {
            let bytes = &mut buffer[..chunk.len() * WORD];
            for (place, word) in bytes.chunks_exact_mut(WORD).zip(chunk) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
            out.write_all(bytes)?;
        }
        Ok(())
    }

    /// The bytes of the file, in this machine's order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.parts().flatten().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

/// The look-up tables, and whether their buckets name records; the others' hold the key itself.
const TABLES: [(Section, bool); 7] = [
    (Section::LiveIndex, true),
    (Section::AccountIndex, true),
    (Section::UserIndex, true),
    (Section::CredentialIndex, true),
    (Section::Index6, true),
    (Section::Set4, false),
    (Section::Map4, false),
];

/// What hardly ever happens, and with other keys not again: the next base has others.
const UNLUCKY: &str = "a look-up table cannot be built with these keys";

impl Draft<'_> {
    pub(super) fn finish(mut self, settings: &Settings<'_>) -> Result<ImageWords, BuildError> {
        let places = self.place_blocks();
        for (section, is_index) in TABLES {
            let pairs = std::mem::take(&mut self.pairs[section as usize]);
            let built = index::build(&pairs, is_index);
            let mut doubled = false;
            for (entry, earlier) in built.suspects {
                doubled |= self.check_double(section, entry, earlier);
            }
            match built.table {
                Some(table) => self.sections[section as usize] = table,
                None if doubled => {}
                None => self.problem(UNLUCKY.to_owned()),
            }
        }
        let total = HEADER_WORDS + self.sections.iter().map(Vec::len).sum::<usize>();
        if u32::try_from(total).is_err() {
            self.problem("the image would be larger than 32 GiB".to_owned());
        }
        let problems = self.take_problems();
        if !problems.is_empty() {
            return Err(BuildError::Refused(problems));
        }
        let header = self.header(settings, places, total);
        Ok(ImageWords { header, sections: self.sections })
    }

    /// Puts the blocks where they are looked for: those that a host leads to in their places, of which it answers the number, the
    /// others behind them, and the gateways that found no room last.
    fn place_blocks(&mut self) -> usize {
        let hosts = std::mem::take(&mut self.hosts);
        let hashes: Vec<u64> = hosts.iter().map(|&(hash, _)| hash).collect();
        let placed = match placed::place(&hashes) {
            Ok(placed) => placed,
            Err(same) => {
                let ids = same.iter().map(|&(host, other)| [host, other].map(|of| self.named(hosts[of].1)));
                let mut said: Vec<String> = ids
                    .filter(|[id, other]| id.eq_ignore_ascii_case(other))
                    .map(|[id, _]| format!("trunk {id} is there twice"))
                    .collect();
                if said.is_empty() {
                    said.push(UNLUCKY.to_owned());
                }
                said.into_iter().for_each(|text| self.problem(text));
                return 0;
            }
        };
        let drafted = std::mem::take(self.section(Section::Trunks));
        let blocks = drafted.len() / BLOCK_WORDS;
        let mut place_of = vec![u32::MAX; blocks];
        hosts.iter().zip(&placed.of).for_each(|(&(_, block), &place)| place_of[block as usize] = place);
        let unnamed = place_of.iter_mut().filter(|place| **place == u32::MAX);
        unnamed.zip(placed.places as u32..).for_each(|(place, behind)| *place = behind);
        let accounts = self.sections[Section::Accounts as usize].chunks_exact(ACCOUNT_WORDS);
        let accounts: HashMap<u32, u32> = accounts.map(|account| high(account[A_LIVE])).zip(0..).collect();
        let all = placed.places + blocks - hosts.len();
        let mut trunks = vec![0; all * BLOCK_WORDS];
        for (block, &place) in drafted.chunks_exact(BLOCK_WORDS).zip(&place_of) {
            let to = place as usize * BLOCK_WORDS;
            let mut block: [u64; BLOCK_WORDS] = std::array::from_fn(|word| block[word]);
            let first = high(block[T_GATEWAYS]) as usize;
            let first = first + if first < BLOCK_WORDS { to } else { (all - 1) * BLOCK_WORDS };
            block[T_GATEWAYS] = halves(first as u32, low(block[T_GATEWAYS]));
            let account = accounts.get(&low(block[T_LIVE])).unwrap_or(&ELSEWHERE);
            block[T_SUM] = halves(*account, low(block[T_SUM]));
            trunks[to..to + BLOCK_WORDS].copy_from_slice(&block);
        }
        trunks.append(&mut self.more_gateways);
        *self.section(Section::Trunks) = trunks;
        *self.section(Section::Pilots) = placed.pilots;
        for (hash, word) in &mut self.pairs[Section::LiveIndex as usize] {
            let entry = index::entry_of(*word).map_or(0, |block| place_of[block]);
            *word = index::entry_word(*hash, entry as usize);
        }
        placed.places
    }

    /// The id in a block.
    fn named(&self, block: u32) -> String {
        self.trunk_id(&self.sections[Section::Trunks as usize][block as usize * BLOCK_WORDS..][..TRUNK_WORDS])
    }

    /// Two records of one fingerprint: says so if they have one key.
    fn check_double(&mut self, table: Section, entry: usize, earlier: usize) -> bool {
        let record = |section, words, entry| &self.sections[section as usize][entry * words..][..words];
        let trunk_live = |entry| high(record(Section::Trunks, BLOCK_WORDS, entry)[T_LIVE]);
        let users = |entry| record(Section::Users, USER_WORDS, entry);
        let credentials = |entry| record(Section::Credentials, CREDENTIAL_WORDS, entry);
        let accounts = |entry| record(Section::Accounts, ACCOUNT_WORDS, entry);
        let double = match table {
            Section::LiveIndex => {
                let [live, other] = [entry, earlier].map(trunk_live);
                let id = || self.named(entry as u32);
                (live == other).then(|| format!("trunk {}: live index {live} is another trunk's", id()))
            }
            Section::AccountIndex => {
                let [live, other] = [entry, earlier].map(|entry| high(accounts(entry)[A_LIVE]));
                let id = || self.text(accounts(entry)[A_ID]);
                (live == other).then(|| format!("account {}: live index {live} is another account's", id()))
            }
            Section::UserIndex => {
                let [user, other] = [entry, earlier].map(|entry| self.text(users(entry)[0]));
                (user == other).then(|| format!("inbound user {user} is there twice"))
            }
            Section::CredentialIndex => {
                let key = |entry| (credentials(entry)[1], self.text(credentials(entry)[0]));
                let (live, name) = key(entry);
                let twice = || format!("the trunk with live index {live} has user {name} twice");
                ((live, name.clone()) == key(earlier)).then(twice)
            }
            // Prefixes were made distinct before they came here.
            _ => None,
        };
        let found = double.is_some();
        double.into_iter().for_each(|text| self.problem(text));
        found
    }

    fn header(&self, settings: &Settings<'_>, places: usize, total: usize) -> [u64; HEADER_WORDS] {
        let mut words = [0; HEADER_WORDS];
        let mut from = HEADER_WORDS;
        for (index, section) in self.sections.iter().enumerate() {
            words[H_SECTIONS + index] = halves(from as u32, section.len() as u32);
            from += section.len();
        }
        let (interval, limits) = limit_words(&settings.node);
        words[H_MAGIC] = MAGIC;
        words[H_LAYOUT] = IMAGE_LAYOUT;
        words[H_TOTAL_WORDS] = total as u64;
        words[H_GENERATION] = u64::from(settings.generation);
        words[H_REVISION] = settings.revision;
        words[H_SORT] = if settings.generation == settings.base { SORT_BASE } else { SORT_OVERLAY };
        words[H_BASE] = u64::from(settings.base);
        words[H_KEY_0] = self.keys.0;
        words[H_KEY_1] = self.keys.1;
        words[H_REGION] = settings.region.to_word();
        words[H_BASE_DOMAIN] = self.base_domain;
        words[H_INBOUND_HOST] = self.inbound_host;
        words[H_NODE_INTERVAL] = interval;
        words[H_NODE_LIMITS] = limits;
        words[H_LENGTHS..H_LENGTHS + 3].copy_from_slice(&self.lengths.0);
        words[H_TRUNKS] = settings.trunks;
        words[H_PLACES] = places as u64;
        words[H_BODY_SUM] = CheckSum::of(self.sections.iter().flatten().copied());
        words[H_HEADER_SUM] = CheckSum::of(words[..H_HEADER_SUM].iter().copied());
        words
    }
}
