//! A trunk's record with its gateways, credentials and own list of prefixes; and the records that say "gone".

use super::super::host::Host;
use super::super::keys::credential_hash;
use super::super::layout::*;
use super::super::prefix::{Lengths, Prefix};
use super::draft::Draft;
use super::sources::distinct_prefixes;
use super::{Settings, limit_words};
use crate::bytes::word_of;
use crate::hash::record_sum;
use crate::map::WORD;
use crate::model::*;

impl<'a> Draft<'a> {
    /// A whole trunk. `listed` hears of each distinct prefix of it.
    pub(super) fn trunk(
        &mut self,
        settings: &Settings<'_>,
        trunk: &'a Trunk,
        mut listed: impl FnMut(Prefix, u32),
    ) {
        let id = &trunk.id;
        self.check_live(trunk.live, "trunk", id, MAX_LIVE_INDEX);
        if trunk.gateways.len() > MAX_GATEWAYS {
            self.problem(format!("trunk {id} has more than {MAX_GATEWAYS} gateways"));
        }
        let mut lengths = Lengths::default();
        let mut own = Vec::new();
        distinct_prefixes(trunk, |prefix| {
            lengths.insert(prefix);
            own.push(prefix);
            listed(prefix, trunk.live);
        });
        let mut block = vec![0; TRUNK_WORDS];
        let far = self.trunk_prefixes(trunk.live, &own, &mut block);
        let allowed = trunk.regions.as_ref().is_none_or(|regions| regions.contains(&settings.region));
        let flags = [
            (F_ENABLED, trunk.enabled),
            (F_APPLICATION, trunk.kind == Kind::Application),
            (F_SECURE, trunk.secure),
            (F_REGION, allowed),
            (F_SOURCES, !trunk.sources.is_empty()),
            (F_CREDENTIALS, !trunk.credentials.is_empty()),
            (F_FAR_SOURCES, far),
        ];
        let flags = flags.into_iter().filter(|(_, set)| *set).fold(0, |all, (flag, _)| all | flag);
        let flags = flags | (trunk.auth as u64) << F_AUTH_SHIFT;
        let set = self.failover_set(trunk.failover);
        let near = (block.len() - TRUNK_WORDS) as u64;
        let (gateways, gateway_sum) = self.gateways(trunk, &mut block);
        self.credentials(trunk);
        let (interval, limits) = limit_words(&trunk.limits);
        let record = &mut block[..TRUNK_WORDS];
        record[T_FLAGS] = flags | u64::from(set) << 32;
        record[T_LIVE] = halves(trunk.live, trunk.account.unwrap_or(NO_ACCOUNT));
        record[T_INTERVAL] = interval;
        record[T_LIMITS] = limits;
        record[T_GATEWAYS] = gateways | near << NEAR_SHIFT;
        record[T_LENGTHS..T_LENGTHS + 3].copy_from_slice(&lengths.0);
        record[T_SUM] = gateway_sum;
        let entry = self.named_block(settings, id, block);
        self.live_entry(trunk.live, entry);
        if let Some(user) = &trunk.inbound_user {
            self.user(user, VALUE_LIVE + u64::from(trunk.live));
        }
    }

    /// No trunk has this id any more. Its `live` index may be another trunk's by now.
    pub(super) fn deleted_id(&mut self, settings: &Settings<'_>, id: &str) {
        self.named_block(settings, id, deleted(u32::MAX));
    }

    /// No trunk has this `live` index any more. The trunk that had it may be there with another one.
    pub(super) fn deleted_live(&mut self, live: u32) {
        let entry = self.block(deleted(live));
        self.live_entry(live, entry);
    }

    /// A block that is found by its host, if that is no longer than a host may be.
    fn named_block(&mut self, settings: &Settings<'_>, id: &str, mut block: Vec<u64>) -> usize {
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.bytes().any(|b| b.is_ascii_uppercase()) {
            self.problem(format!("trunk {id:?}: an id is 1 to {MAX_ID_BYTES} lower-case bytes"));
        }
        if id.len() <= NAME_WORDS * WORD {
            block[T_ID] = halves(IN_RECORD, id.len() as u32);
            let name = id.as_bytes().chunks(WORD).map(word_of);
            block[T_NAME..][..NAME_WORDS].iter_mut().zip(name).for_each(|(word, part)| *word = part);
        } else {
            block[T_ID] = self.string(id, "a trunk id");
        }
        let entry = self.block(block);
        self.host.clear();
        self.host.extend_from_slice(id.as_bytes());
        self.host.push(b'.');
        self.host.extend_from_slice(settings.base_domain.as_bytes());
        let host = Host::new(&self.host);
        // One that is too long is nobody's, in a message too.
        if !host.is_empty() {
            self.hosts.push((host.hash(self.keys), entry as u32));
        }
        entry
    }

    /// Writes a block and answers the entry that it is found by.
    fn block(&mut self, block: Vec<u64>) -> usize {
        let entry = self.entries(Section::Trunks, BLOCK_WORDS);
        let trunks = self.section(Section::Trunks);
        trunks.extend(block);
        trunks.resize((entry + 1) * BLOCK_WORDS, 0);
        entry
    }

    fn live_entry(&mut self, live: u32, entry: usize) {
        let hash = self.keys.word(u64::from(live));
        self.index(Section::LiveIndex, hash, entry);
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

    /// Writes the gateways in order of priority, into the trunk's block if there is room; answers their reference, which counts
    /// from the block's beginning, and from [`BLOCK_WORDS`] on in what found no room; and their sum.
    fn gateways(&mut self, trunk: &'a Trunk, block: &mut Vec<u64>) -> (u64, u64) {
        let mut gateways: Vec<&Gateway> = trunk.gateways.iter().collect();
        gateways.sort_by(|a, b| (a.priority, &a.uri).cmp(&(b.priority, &b.uri)));
        let mut words = Vec::with_capacity(gateways.len() * GATEWAY_WORDS);
        let mut sums = Vec::with_capacity(gateways.len());
        for gateway in &gateways {
            if gateway.weight == 0 {
                self.problem(format!("trunk {}: gateway {} has weight 0", trunk.id, gateway.uri));
            }
            let uri = self.shared_string(&gateway.uri, "a gateway URI");
            let numbers = halves(gateway.live, u32::from(gateway.priority) << 16 | u32::from(gateway.weight));
            words.extend([uri, numbers]);
            sums.push(numbers);
        }
        let first = if block.len() + words.len() <= BLOCK_WORDS {
            block.extend(words);
            block.len() - sums.len() * GATEWAY_WORDS
        } else {
            self.more_gateways.extend(words);
            BLOCK_WORDS + self.more_gateways.len() - sums.len() * GATEWAY_WORDS
        };
        (halves(first as u32, gateways.len() as u32), u64::from(record_sum(0, sums)))
    }

    fn credentials(&mut self, trunk: &Trunk) {
        let first = self.entries(Section::Credentials, CREDENTIAL_WORDS);
        for (offset, credential) in trunk.credentials.iter().enumerate() {
            let name = &credential.username;
            let reference = self.string(name, "a user name");
            let section = self.section(Section::Credentials);
            section.extend([reference, u64::from(trunk.live)]);
            section.extend(credential.ha1_md5.chunks(WORD).map(word_of));
            section.extend(credential.ha1_sha256.chunks(WORD).map(word_of));
            let hash = credential_hash(self.keys, trunk.live, name.as_bytes());
            self.index(Section::CredentialIndex, hash, first + offset);
        }
    }
}

/// The block of a trunk that is no more, with the `live` index that it is found by.
fn deleted(live: u32) -> Vec<u64> {
    let mut block = vec![0; TRUNK_WORDS];
    block[T_FLAGS] = F_DELETED;
    block[T_LIVE] = halves(live, NO_ACCOUNT);
    block
}
