//! Where things stand in the `live` file, in words, derived from the start-up parameters alone.
//!
//! Every line that different processes write stands in its own 64-byte cache line.

use crate::reason::Reason;

pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"TRNKLIV1");
pub(super) const LAYOUT: u64 =
    6 << 32 | (LINE * 31 + BODY_WORDS * 37 + PROCESS_WORDS * 41 + HEADER_WORDS) as u64;
/// Words in a cache line.
pub(super) const LINE: usize = 8;
pub(super) const HEADER_WORDS: usize = 512;

pub(super) const L_MAGIC: usize = 0;
pub(super) const L_LAYOUT: usize = 1;
pub(super) const L_TRUNKS: usize = 2;
pub(super) const L_ACCOUNTS: usize = 3;
pub(super) const L_GATEWAYS: usize = 4;
pub(super) const L_SLOTS: usize = 5;
pub(super) const L_PROCESSES: usize = 6;
pub(super) const L_KEY_0: usize = 8;
pub(super) const L_KEY_1: usize = 9;
pub(super) const L_EPOCH: usize = 16;
pub(super) const L_MAIN_PID: usize = 17;
pub(super) const L_EPOCH_START_MS: usize = 18;
/// The epoch whose restored dialogs have all been adopted.
pub(super) const L_RESTORED_EPOCH: usize = 19;
pub(super) const L_NODE: usize = 64;
/// Calls from anywhere that had proved nothing.
pub(super) const L_STRANGERS: usize = 80;
/// How full the fullest receive buffer was: percent in the low 16 bits, above them until when that counts, in milliseconds of
/// the monotonic clock.
pub(super) const L_BACKLOG: usize = 88;
/// The same of two looks in a row: the smaller one.
pub(super) const L_BACKLOG_TWICE: usize = 89;
/// What the last look found, in percent.
pub(super) const L_BACKLOG_LAST: usize = 90;
/// New calls of customers that were let pass in a crowd.
pub(super) const L_CUSTOMERS: usize = 96;

/// Words of one field of brakes: a power of two.
pub(super) const BRAKE_WORDS: usize = 8_192;
pub(super) const BRAKE_FIELDS: usize = 4;
/// Words of the trust: a power of two.
pub(super) const TRUST_WORDS: usize = 65_536;

/// In a line of a trunk, an account or the node.
pub(super) const LINE_RATE: usize = 0;
pub(super) const LINE_CALLS: usize = 1;
/// Calls that were counted and not admitted: another level refused them, or they were restored.
pub(super) const LINE_UNDONE: usize = 2;
pub(super) const LINE_REFUSED: usize = 3;

/// A slot's body.
pub(super) const BODY_WORDS: usize = 16;
pub(super) const B_KEY: usize = 0;
/// `live` of the trunk in the high half, of its account in the low half.
pub(super) const B_OWNERS: usize = 2;
pub(super) const B_EPOCH: usize = 3;
pub(super) const B_START_MS: usize = 4;
pub(super) const B_UID: usize = 5;
/// Kamailio's dialog: `h_entry` in the high half, `h_id` in the low half.
pub(super) const B_DIALOG: usize = 7;
pub(super) const B_RING_MS: usize = 8;
pub(super) const B_ANSWER_MS: usize = 9;
/// Gateways tried, one bit for each position in the list.
pub(super) const B_TRIED: usize = 10;
/// `live` of the last gateway in the high half, number of attempts in the low half.
pub(super) const B_GATEWAY: usize = 11;
/// The sum of the list that the tried bits refer to.
pub(super) const B_GATEWAY_SUM: usize = 12;
/// How far the daemon is with taking the call out of the counts: step, and the count's mark before it.
pub(super) const B_STEP: usize = 13;
/// The call's own clock ([`crate::clock::CallClock`]).
pub(super) const B_CLOCK: usize = 14;

/// A process's counters.
pub(super) const PROCESS_WORDS: usize = 64;
pub(super) const P_PID: usize = 0;
pub(super) const P_PAIR: usize = 1;
pub(super) const P_ADMITTED: usize = 8;
pub(super) const P_AGAIN: usize = 9;
pub(super) const P_IN_FLIGHT: usize = 10;
pub(super) const P_IMAGES_MAPPED: usize = 11;
pub(super) const P_IMAGES_REFUSED: usize = 12;
pub(super) const P_PANICS: usize = 13;
pub(super) const P_ENDED: usize = 14;
pub(super) const P_UNDERFLOWS: usize = 15;
pub(super) const P_EVENTS_DROPPED: usize = 16;
/// One counter for each reason, by its code.
pub(super) const P_REASONS: usize = 32;
const _: () = assert!(P_REASONS + Reason::ALL.len() < PROCESS_WORDS);

/// The start-up parameters, as they stand in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) trunks: u32,
    pub(crate) accounts: u32,
    pub(crate) gateways: u32,
    pub(crate) slots: u32,
    pub(crate) processes: u32,
}

impl Capacity {
    /// Buckets for the slots: twice as many, so that two short windows always have a free one below the limit.
    pub(super) fn tags(self) -> usize {
        (self.slots as usize * 2).next_multiple_of(super::slots::WINDOW)
    }

    fn accounts_at(self) -> usize {
        HEADER_WORDS
    }

    fn trunks_at(self) -> usize {
        self.accounts_at() + self.accounts as usize * LINE
    }

    fn processes_at(self) -> usize {
        self.trunks_at() + self.trunks as usize * LINE
    }

    fn health_at(self) -> usize {
        self.processes_at() + self.processes as usize * PROCESS_WORDS
    }

    fn brakes_at(self) -> usize {
        (self.health_at() + self.gateways as usize).next_multiple_of(LINE)
    }

    fn trust_at(self) -> usize {
        self.brakes_at() + BRAKE_FIELDS * BRAKE_WORDS
    }

    fn tags_at(self) -> usize {
        self.trust_at() + TRUST_WORDS
    }

    fn bodies_at(self) -> usize {
        self.tags_at() + self.tags()
    }

    pub(super) fn words(self) -> usize {
        self.bodies_at() + self.tags() * BODY_WORDS
    }

    /// All of the above, once: a decision adds, it does not multiply and round.
    pub(super) fn offsets(self) -> Offsets {
        Offsets {
            accounts: self.accounts_at(),
            trunks: self.trunks_at(),
            processes: self.processes_at(),
            health: self.health_at(),
            brakes: self.brakes_at(),
            trust: self.trust_at(),
            tags: self.tags_at(),
            bodies: self.bodies_at(),
            end: self.words(),
        }
    }
}

/// Where each part begins, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offsets {
    pub(super) accounts: usize,
    pub(super) trunks: usize,
    pub(super) processes: usize,
    pub(super) health: usize,
    pub(super) brakes: usize,
    pub(super) trust: usize,
    pub(super) tags: usize,
    pub(super) bodies: usize,
    pub(super) end: usize,
}
