//! An image in the making: sections that grow, strings, what each index will hold, and what is wrong so far.
//!
//! Knows words and sections; what a trunk is, its neighbours know.

use std::collections::HashMap;

use super::super::index::entry_word;
use super::super::layout::*;
use super::super::prefix::Lengths;
use super::super::text::MAX_TEXT;
use super::Settings;
use crate::bytes::word_of;
use crate::hash::Keys;
use crate::map::WORD;
use crate::model::FailoverCodes;

/// Problems told one by one; of more, the number.
const MAX_PROBLEMS: usize = 100;

/// The image in the making.
pub(super) struct Draft<'a> {
    pub(super) keys: Keys,
    pub(super) sections: [Vec<u64>; SECTIONS],
    /// `(hash, bucket word)` of each look-up table, by its section.
    pub(super) pairs: [Vec<(u64, u64)>; SECTIONS],
    /// Hash of the host that leads to a block, and the block, both in the order they came in.
    pub(super) hosts: Vec<(u64, u32)>,
    /// Gateways that found no room in their trunk's block.
    pub(super) more_gateways: Vec<u64>,
    /// Strings written once: gateway URIs and what the header names.
    shared_strings: HashMap<&'a str, u64>,
    pub(super) sets: HashMap<FailoverCodes, u32>,
    /// Which lengths occur among all sources.
    pub(super) lengths: Lengths,
    pub(super) base_domain: u64,
    pub(super) inbound_host: u64,
    problems: Vec<String>,
    more_problems: usize,
    /// A host name, made anew for each trunk.
    pub(super) host: Vec<u8>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(settings: &Settings<'a>) -> Draft<'a> {
        let mut draft = Draft {
            keys: Keys(settings.keys[0], settings.keys[1]),
            sections: std::array::from_fn(|_| Vec::new()),
            pairs: std::array::from_fn(|_| Vec::new()),
            hosts: Vec::new(),
            more_gateways: Vec::new(),
            shared_strings: HashMap::new(),
            sets: HashMap::new(),
            lengths: Lengths::default(),
            base_domain: 0,
            inbound_host: 0,
            problems: Vec::new(),
            more_problems: 0,
            host: Vec::new(),
        };
        draft.base_domain = draft.shared_string(settings.base_domain, "the base domain");
        draft.inbound_host = draft.shared_string(settings.inbound_host, "the inbound host");
        draft
    }

    pub(super) fn section(&mut self, section: Section) -> &mut Vec<u64> {
        &mut self.sections[section as usize]
    }

    /// How many records of so many words a section has.
    pub(super) fn entries(&self, section: Section, words: usize) -> usize {
        self.sections[section as usize].len() / words
    }

    /// One bucket of an index: a fingerprint and the number of a record.
    pub(super) fn index(&mut self, section: Section, hash: u64, entry: usize) {
        self.bucket(section, hash, entry_word(hash, entry));
    }

    /// One bucket of any look-up table.
    pub(super) fn bucket(&mut self, section: Section, hash: u64, word: u64) {
        self.pairs[section as usize].push((hash, word));
    }

    pub(super) fn string(&mut self, text: &str, what: &str) -> u64 {
        if text.len() > MAX_TEXT {
            self.problem(format!("{what} is longer than {MAX_TEXT} bytes"));
            return 0;
        }
        let strings = self.section(Section::Strings);
        let at = strings.len() as u32;
        strings.extend(text.as_bytes().chunks(WORD).map(word_of));
        halves(at, text.len() as u32)
    }

    pub(super) fn shared_string(&mut self, text: &'a str, what: &str) -> u64 {
        if let Some(&reference) = self.shared_strings.get(text) {
            return reference;
        }
        let reference = self.string(text, what);
        self.shared_strings.insert(text, reference);
        reference
    }

    pub(super) fn check_live(&mut self, live: u32, what: &str, id: &str, most: u32) {
        if live > most {
            self.problem(format!("{what} {id}: live index {live} is above {most}"));
        }
    }

    pub(super) fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        } else {
            self.more_problems += 1;
        }
    }

    pub(super) fn take_problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        if self.more_problems > 0 {
            problems.push(format!("and {} more", self.more_problems));
        }
        problems
    }

    /// The id of a trunk's record, for messages and comparisons.
    pub(super) fn trunk_id(&self, record: &[u64]) -> String {
        if high(record[T_ID]) != IN_RECORD {
            return self.text(record[T_ID]);
        }
        let bytes = record[T_NAME..][..NAME_WORDS].iter().flat_map(|word| word.to_le_bytes());
        String::from_utf8_lossy(&bytes.take(low(record[T_ID]) as usize).collect::<Vec<u8>>()).into_owned()
    }

    /// The string that a reference word stands for, for messages and comparisons.
    pub(super) fn text(&self, reference: u64) -> String {
        let words = &self.sections[Section::Strings as usize];
        let (at, length) = (high(reference) as usize, low(reference) as usize);
        let words = words.get(at..at + length.div_ceil(WORD)).unwrap_or(&[]);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).take(length).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
