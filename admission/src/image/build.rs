//! Rows to words: makes a base or an overlay image in memory. Pure; writes no file, reads no clock.
//!
//! What an image cannot hold is refused here with the thing's name, all problems at once. The words are final: whoever
//! writes them to a file adds nothing.

use std::collections::HashMap;

use super::index::{build as build_index, entry_word};
use super::layout::*;
use super::prefix::{Lengths, Prefix};
use super::read::{MAP4_VALUE_BITS, credential_hash, map4_key, prefix6_hash, prefix6_words, set4_key};
use super::text::{MAX_TEXT, word_of};
use crate::hash::{CheckSum, Keys, RecordSum, Space};
use crate::map::WORD;
use crate::model::*;
use crate::rate::Rate;

/// A configuration that no image can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// One or more things are out of bounds or there twice.
    #[error("the table cannot be published: {}", .0.join("; "))]
    Refused(Vec<String>),
}

/// A finished image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageWords(pub(crate) Vec<u64>);

impl ImageWords {
    /// The bytes of the file, in this machine's order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }
}

/// Changes since a base was made, each whole: what an overlay holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes<'a> {
    pub(crate) trunks: Vec<&'a Trunk>,
    pub(crate) deleted_trunks: Vec<(&'a str, u32)>,
    pub(crate) accounts: Vec<&'a Account>,
    pub(crate) deleted_accounts: Vec<u32>,
    /// Inbound users that nobody has any more.
    pub(crate) deleted_users: Vec<&'a str>,
    /// Every prefix that a changed trunk lists or listed, with who lists it now.
    pub(crate) sources: Vec<(Prefix, Owners)>,
}

/// Who lists a prefix: how many trunks, and the exclusive-or of their `live` indexes, which for one is that index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners {
    pub(crate) count: u32,
    pub(crate) combined: u32,
}

impl Owners {
    pub(crate) fn add(&mut self, live: u32) {
        self.count += 1;
        self.combined ^= live;
    }

    pub(crate) fn remove(&mut self, live: u32) {
        self.count -= 1;
        self.combined ^= live;
    }

    fn value(self) -> u64 {
        match self.count {
            0 => VALUE_DELETED,
            1 => VALUE_LIVE + u64::from(self.combined),
            _ => VALUE_AMBIGUOUS,
        }
    }
}

/// What stands in the header beside the rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings<'a> {
    /// The image's number, not 0.
    pub(crate) generation: u32,
    /// Its base's number: the same for a base.
    pub(crate) base: u32,
    /// The store's revision.
    pub(crate) revision: u64,
    /// Region of the node.
    pub(crate) region: Region,
    /// Domain below which trunks live.
    pub(crate) base_domain: &'a str,
    /// Host of inbound URIs.
    pub(crate) inbound_host: &'a str,
    /// Limits of the node.
    pub(crate) node: Limits,
    /// Random words for the hashes.
    pub(crate) keys: [u64; 2],
}

/// An image of all of `table`.
pub fn build_base(table: &Table, generation: u32, keys: [u64; 2]) -> Result<ImageWords, BuildError> {
    let mut owners = HashMap::<Prefix, Owners>::new();
    for trunk in &table.trunks {
        for prefix in prefixes_of(trunk) {
            owners.entry(prefix).or_default().add(trunk.live);
        }
    }
    let mut sources: Vec<_> = owners.into_iter().collect();
    sources.sort_unstable_by_key(|(prefix, _)| *prefix);
    let changes = Changes {
        trunks: table.trunks.iter().collect(),
        accounts: table.accounts.iter().collect(),
        sources,
        ..Changes::default()
    };
    let settings = Settings {
        generation,
        base: generation,
        revision: table.revision,
        region: table.region,
        base_domain: &table.base_domain,
        inbound_host: &table.inbound_host,
        node: table.node,
        keys,
    };
    build(&settings, &changes)
}

/// An image of these changes alone.
pub(crate) fn build_overlay(
    settings: &Settings<'_>,
    changes: &Changes<'_>,
) -> Result<ImageWords, BuildError> {
    build(settings, changes)
}

/// The distinct prefixes of a trunk, host bits cleared, in order.
pub(crate) fn prefixes_of(trunk: &Trunk) -> Vec<Prefix> {
    let mut prefixes: Vec<Prefix> = trunk.sources.iter().map(|&net| Prefix::from(net)).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}

fn build(settings: &Settings<'_>, changes: &Changes<'_>) -> Result<ImageWords, BuildError> {
    let mut builder = Builder::new(settings);
    builder.strings_of_header();
    for trunk in &changes.trunks {
        builder.trunk(trunk);
    }
    for &(id, live) in &changes.deleted_trunks {
        builder.deleted_trunk(id, live);
    }
    for account in &changes.accounts {
        builder.account(account);
    }
    for &live in &changes.deleted_accounts {
        builder.account_record("", live, F_DELETED, &Limits::default());
    }
    for user in &changes.deleted_users {
        builder.user(user, VALUE_DELETED);
    }
    for &(prefix, owners) in &changes.sources {
        builder.source(prefix, owners);
    }
    builder.finish()
}

struct Builder<'a> {
    settings: &'a Settings<'a>,
    keys: Keys,
    header: [u64; HEADER_WORDS],
    sections: [Vec<u64>; SECTIONS],
    /// `(hash, bucket word)` of each index, by its section.
    pairs: HashMap<usize, Vec<(u64, u64)>>,
    /// Strings written once: base domain, gateway URIs.
    shared_strings: HashMap<String, u64>,
    sets: HashMap<FailoverCodes, u32>,
    lengths: Lengths,
    taken: HashMap<(u8, String), ()>,
    problems: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(settings: &'a Settings<'a>) -> Builder<'a> {
        Builder {
            settings,
            keys: Keys(settings.keys[0], settings.keys[1]),
            header: [0; HEADER_WORDS],
            sections: std::array::from_fn(|_| Vec::new()),
            pairs: HashMap::new(),
            shared_strings: HashMap::new(),
            sets: HashMap::new(),
            lengths: Lengths::default(),
            taken: HashMap::new(),
            problems: Vec::new(),
        }
    }

    fn section(&mut self, section: Section) -> &mut Vec<u64> {
        &mut self.sections[section as usize]
    }

    fn pair(&mut self, section: Section, hash: u64, word: u64) {
        self.pairs.entry(section as usize).or_default().push((hash, word));
    }

    fn string(&mut self, text: &str, what: &str) -> u64 {
        if text.len() > MAX_TEXT {
            self.problems.push(format!("{what} is longer than {MAX_TEXT} bytes"));
            return 0;
        }
        let strings = self.section(Section::Strings);
        let at = strings.len() as u32;
        strings.extend(text.as_bytes().chunks(WORD).map(word_of));
        halves(at, text.len() as u32)
    }

    fn shared_string(&mut self, text: &str, what: &str) -> u64 {
        if let Some(&reference) = self.shared_strings.get(text) {
            return reference;
        }
        let reference = self.string(text, what);
        self.shared_strings.insert(text.to_owned(), reference);
        reference
    }

    /// Notes a key that must stand once; says so when it does not.
    fn claim(&mut self, space: u8, key: &str, what: impl FnOnce() -> String) {
        if self.taken.insert((space, key.to_owned()), ()).is_some() {
            self.problems.push(what());
        }
    }

    fn strings_of_header(&mut self) {
        let settings = self.settings;
        self.header[H_BASE_DOMAIN] = self.shared_string(settings.base_domain, "the base domain");
        self.header[H_INBOUND_HOST] = self.shared_string(settings.inbound_host, "the inbound host");
    }

    fn check_live(&mut self, live: u32, what: &str, id: &str, most: u32) {
        if live > most {
            self.problems.push(format!("{what} {id}: live index {live} is above {most}"));
        }
    }

    fn trunk(&mut self, trunk: &Trunk) {
        let id = &trunk.id;
        self.check_live(trunk.live, "trunk", id, MAX_LIVE_INDEX);
        if trunk.gateways.len() > MAX_GATEWAYS {
            self.problems.push(format!("trunk {id} has more than {MAX_GATEWAYS} gateways"));
        }
        let mut lengths = Lengths::default();
        for prefix in prefixes_of(trunk) {
            lengths.insert(prefix);
            self.trunk_prefix(trunk.live, prefix);
        }
        let settings = self.settings;
        let allowed = trunk.regions.as_ref().is_none_or(|regions| regions.contains(&settings.region));
        let flags = F_ENABLED * u64::from(trunk.enabled)
            | (trunk.auth as u64) << F_AUTH_SHIFT
            | F_APPLICATION * u64::from(trunk.kind == Kind::Application)
            | F_SECURE * u64::from(trunk.secure)
            | F_REGION * u64::from(allowed)
            | F_SOURCES * u64::from(!trunk.sources.is_empty())
            | F_CREDENTIALS * u64::from(!trunk.credentials.is_empty());
        let set = self.failover_set(trunk.failover);
        let (gateways, gateway_sum) = self.gateways(trunk);
        let credentials = self.credentials(trunk);
        let (interval, limits) = limit_words(&trunk.limits);
        let mut record = [0; TRUNK_WORDS];
        record[T_FLAGS] = flags | u64::from(set) << 32;
        record[T_LIVE] = halves(trunk.live, trunk.account.unwrap_or(NO_ACCOUNT));
        record[T_INTERVAL] = interval;
        record[T_LIMITS] = limits;
        record[T_GATEWAYS] = gateways;
        record[T_LENGTHS..T_LENGTHS + 3].copy_from_slice(&lengths.0);
        record[T_CREDENTIALS] = credentials;
        record[T_GATEWAY_SUM] = gateway_sum;
        self.trunk_record(id, trunk.live, record);
        if let Some(user) = &trunk.inbound_user {
            self.user(user, VALUE_LIVE + u64::from(trunk.live));
        }
    }

    fn deleted_trunk(&mut self, id: &str, live: u32) {
        let mut record = [0; TRUNK_WORDS];
        record[T_FLAGS] = F_DELETED;
        record[T_LIVE] = halves(live, NO_ACCOUNT);
        self.trunk_record(id, live, record);
    }

    fn trunk_record(&mut self, id: &str, live: u32, mut record: [u64; TRUNK_WORDS]) {
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.bytes().any(|b| b.is_ascii_uppercase()) {
            self.problems.push(format!("trunk {id:?}: an id is 1 to {MAX_ID_BYTES} lower-case bytes"));
        }
        self.claim(1, id, || format!("trunk {id} is there twice"));
        self.claim(2, &live.to_string(), || format!("trunk {id}: live index {live} is another trunk's"));
        record[T_ID] = self.string(id, "a trunk id");
        let entry = self.section(Section::Trunks).len() / TRUNK_WORDS;
        self.section(Section::Trunks).extend(record);
        let host = format!("{id}.{}", self.settings.base_domain).to_ascii_lowercase();
        let host = self.keys.host(host.as_bytes());
        self.pair(Section::HostIndex, host, entry_word(host, entry));
        let hash = self.keys.word(u64::from(live));
        self.pair(Section::LiveIndex, hash, entry_word(hash, entry));
    }

    fn failover_set(&mut self, set: FailoverCodes) -> u32 {
        if let Some(&entry) = self.sets.get(&set) {
            return entry;
        }
        let entry = self.sets.len() as u32;
        self.sets.insert(set, entry);
        self.section(Section::Sets).extend(set.0);
        entry
    }

    /// Writes the gateways in order of priority and answers their reference and sum.
    fn gateways(&mut self, trunk: &Trunk) -> (u64, u64) {
        let mut gateways: Vec<&Gateway> = trunk.gateways.iter().collect();
        gateways.sort_by(|a, b| (a.priority, &a.uri).cmp(&(b.priority, &b.uri)));
        let first = self.section(Section::Gateways).len() / GATEWAY_WORDS;
        let mut sum = RecordSum::new(0);
        for gateway in &gateways {
            if gateway.weight == 0 {
                self.problems.push(format!("trunk {}: gateway {} has weight 0", trunk.id, gateway.uri));
            }
            let uri = self.shared_string(&gateway.uri, "a gateway URI");
            let numbers = halves(gateway.live, u32::from(gateway.priority) << 16 | u32::from(gateway.weight));
            self.section(Section::Gateways).extend([uri, numbers]);
            sum.add(numbers);
        }
        (halves(first as u32, gateways.len() as u32), u64::from(sum.finish()))
    }

    fn credentials(&mut self, trunk: &Trunk) -> u64 {
        let first = self.section(Section::Credentials).len() / CREDENTIAL_WORDS;
        for (offset, credential) in trunk.credentials.iter().enumerate() {
            let name = &credential.username;
            self.claim(3, &format!("{}\n{name}", trunk.id), || {
                format!("trunk {} has user {name} twice", trunk.id)
            });
            let reference = self.string(name, "a user name");
            let bytes = credential.ha1_md5.iter().chain(&credential.ha1_sha256).copied().collect::<Vec<u8>>();
            let section = self.section(Section::Credentials);
            section.extend([reference, u64::from(trunk.live)]);
            section.extend(bytes.chunks(WORD).map(word_of));
            let hash = credential_hash(self.keys, trunk.live, name.as_bytes());
            self.pair(Section::CredentialIndex, hash, entry_word(hash, first + offset));
        }
        halves(first as u32, trunk.credentials.len() as u32)
    }

    fn trunk_prefix(&mut self, live: u32, prefix: Prefix) {
        match prefix {
            Prefix::V4(address, length) => {
                let key = set4_key(u64::from(live), address, length);
                self.pair(Section::Set4, self.keys.word(key), key);
            }
            Prefix::V6(address, length) => self.prefix6(prefix6_words(address, length, Some(live)), 0),
        }
    }

    /// One entry of the node's map from prefix to trunk.
    fn source(&mut self, prefix: Prefix, owners: Owners) {
        self.lengths.insert(prefix);
        match prefix {
            Prefix::V4(address, length) => {
                let key = map4_key(address, length);
                let word = key << MAP4_VALUE_BITS | owners.value();
                self.pair(Section::Map4, self.keys.word(key), word);
            }
            Prefix::V6(address, length) => self.prefix6(prefix6_words(address, length, None), owners.value()),
        }
    }

    fn prefix6(&mut self, key: [u64; 3], value: u64) {
        let entry = self.section(Section::Prefixes6).len() / V6_WORDS;
        self.section(Section::Prefixes6).extend([key[0], key[1], key[2] | value << 8]);
        let hash = prefix6_hash(self.keys, key);
        self.pair(Section::Index6, hash, entry_word(hash, entry));
    }

    fn account(&mut self, account: &Account) {
        let flags = F_ENABLED * u64::from(account.enabled);
        self.check_live(account.live, "account", &account.id, NO_ACCOUNT - 1);
        self.claim(4, &account.id, || format!("account {} is there twice", account.id));
        self.account_record(&account.id, account.live, flags, &account.limits);
    }

    fn account_record(&mut self, id: &str, live: u32, flags: u64, limits: &Limits) {
        self.claim(5, &live.to_string(), || format!("account {id}: live index {live} is another account's"));
        let name = self.string(id, "an account id");
        let (interval, words) = limit_words(limits);
        let entry = self.section(Section::Accounts).len() / ACCOUNT_WORDS;
        self.section(Section::Accounts).extend([name, u64::from(live) << 32 | flags, interval, words]);
        let hash = self.keys.word(u64::from(live));
        self.pair(Section::AccountIndex, hash, entry_word(hash, entry));
    }

    fn user(&mut self, user: &str, value: u64) {
        self.claim(6, user, || format!("inbound user {user} is there twice"));
        let reference = self.string(user, "an inbound user");
        let entry = self.section(Section::Users).len() / USER_WORDS;
        self.section(Section::Users).extend([reference, value]);
        let hash = self.keys.bytes(Space::User, &[user.as_bytes()]);
        self.pair(Section::UserIndex, hash, entry_word(hash, entry));
    }

    fn finish(mut self) -> Result<ImageWords, BuildError> {
        for (section, pairs) in std::mem::take(&mut self.pairs) {
            match build_index(&pairs) {
                Some(table) => self.sections[section] = table,
                None => self.problems.push("a look-up table cannot be built with these keys".to_owned()),
            }
        }
        let total = HEADER_WORDS + self.sections.iter().map(Vec::len).sum::<usize>();
        if u32::try_from(total).is_err() {
            self.problems.push("the image would be larger than 32 GiB".to_owned());
        }
        if !self.problems.is_empty() {
            return Err(BuildError::Refused(self.problems));
        }
        let mut words = Vec::with_capacity(total);
        words.extend(self.header);
        for (index, section) in self.sections.iter().enumerate() {
            words[H_SECTIONS + index] = halves(words.len() as u32, section.len() as u32);
            words.extend_from_slice(section);
        }
        let settings = self.settings;
        let (interval, limits) = limit_words(&settings.node);
        words[H_MAGIC] = MAGIC;
        words[H_LAYOUT] = IMAGE_LAYOUT;
        words[H_TOTAL_WORDS] = total as u64;
        words[H_GENERATION] = u64::from(settings.generation);
        words[H_REVISION] = settings.revision;
        words[H_SORT] = if settings.generation == settings.base { 1 } else { 2 };
        words[H_BASE] = u64::from(settings.base);
        words[H_KEY_0] = self.keys.0;
        words[H_KEY_1] = self.keys.1;
        words[H_REGION] = settings.region.to_word();
        words[H_NODE_INTERVAL] = interval;
        words[H_NODE_LIMITS] = limits;
        words[H_LENGTHS..H_LENGTHS + 3].copy_from_slice(&self.lengths.0);
        words[H_BODY_SUM] = CheckSum::of(words[HEADER_WORDS..].iter().copied());
        words[H_HEADER_SUM] = CheckSum::of(words[..H_HEADER_SUM].iter().copied());
        Ok(ImageWords(words))
    }
}

/// Interval (all ones: unlimited) and the word of burst and calls at the same time.
fn limit_words(limits: &Limits) -> (u64, u64) {
    let concurrent = limits.concurrent.map_or(UNLIMITED, |limit| limit.min(UNLIMITED - 1));
    match limits.rate {
        None => (u64::MAX, halves(0, concurrent)),
        Some(rate) => (Rate::interval_ns(rate), halves(rate.burst(), concurrent)),
    }
}
