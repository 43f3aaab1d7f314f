//! Counters: each process adds to lines that only it writes, the daemon sums them.
//!
//! Totals never go back: a process that starts anew on an index goes on from what its predecessor left there.

use super::Live;
use super::layout::*;
use crate::reason::Reason;
use crate::sync::{AtomicU64, Ordering};

/// What a process counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Admitted,
    Again,
    InFlight,
    ImagesMapped,
    ImagesRefused,
    Panics,
    Ended,
    Underflows,
    EventsDropped,
    Refused(Reason),
}

impl Counter {
    fn word(self) -> usize {
        match self {
            Counter::Admitted => P_ADMITTED,
            Counter::Again => P_AGAIN,
            Counter::InFlight => P_IN_FLIGHT,
            Counter::ImagesMapped => P_IMAGES_MAPPED,
            Counter::ImagesRefused => P_IMAGES_REFUSED,
            Counter::Panics => P_PANICS,
            Counter::Ended => P_ENDED,
            Counter::Underflows => P_UNDERFLOWS,
            Counter::EventsDropped => P_EVENTS_DROPPED,
            Counter::Refused(reason) => P_REASONS + reason as usize,
        }
    }
}

/// Sums over all processes since the file was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls admitted.
    pub admitted: u64,
    /// The same INVITE met again.
    pub again: u64,
    /// The same INVITE met while another worker judged it.
    pub in_flight: u64,
    /// Images mapped.
    pub images_mapped: u64,
    /// Images that failed their checks; the one before stayed in force.
    pub images_refused: u64,
    /// Panics caught at the Kamailio boundary.
    pub panics: u64,
    /// Calls ended by the module.
    pub ended: u64,
    /// Counts that would have gone below zero: always 0 unless there is a defect.
    pub underflows: u64,
    /// Events that found neither ring nor spill.
    pub events_dropped: u64,
    /// Calls refused, by reason.
    pub refused: Vec<(Reason, u64)>,
}

/// Where one process counts, and what it last mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessView {
    /// Its index: Kamailio's process number.
    pub index: u32,
    /// Its process id.
    pub pid: u32,
    /// The generation that it maps.
    pub generation: u32,
}

impl Live {
    fn process(&self, index: u32) -> Option<&[AtomicU64]> {
        let at = self.offsets.processes + index as usize * PROCESS_WORDS;
        (index < self.capacity.processes).then(|| &self.map.shared_words()[at..at + PROCESS_WORDS])
    }

    /// Counts one in a process's own line: it is the only writer, so a load and a store are enough, and cheap.
    #[inline]
    pub(crate) fn count(&self, process: u32, counter: Counter) {
        if let Some(line) = self.process(process) {
            let word = &line[counter.word()];
            word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn enter_process(&self, index: u32, pid: u32) {
        if let Some(line) = self.process(index) {
            line[P_PID].store(u64::from(pid), Ordering::Relaxed);
        }
    }

    pub(crate) fn note_pair(&self, index: u32, pair: u64) {
        if let Some(line) = self.process(index) {
            line[P_PAIR].store(pair, Ordering::Relaxed);
        }
    }

    /// The processes that have mapped the file in this epoch or an earlier one.
    pub fn processes(&self) -> Vec<ProcessView> {
        let processes = (0..self.capacity.processes).filter_map(|index| Some((index, self.process(index)?)));
        processes
            .map(|(index, line)| ProcessView {
                index,
                pid: line[P_PID].load(Ordering::Relaxed) as u32,
                generation: crate::control::Pair(line[P_PAIR].load(Ordering::Relaxed)).generation(),
            })
            .filter(|view| view.pid != 0)
            .collect()
    }

    /// Sums the counters of all processes.
    pub fn counters(&self) -> Totals {
        let sum = |counter: Counter| -> u64 {
            let words = (0..self.capacity.processes).filter_map(|index| self.process(index));
            words.map(|line| line[counter.word()].load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        };
        Totals {
            admitted: sum(Counter::Admitted),
            again: sum(Counter::Again),
            in_flight: sum(Counter::InFlight),
            images_mapped: sum(Counter::ImagesMapped),
            images_refused: sum(Counter::ImagesRefused),
            panics: sum(Counter::Panics),
            ended: sum(Counter::Ended),
            underflows: sum(Counter::Underflows),
            events_dropped: sum(Counter::EventsDropped),
            refused: Reason::ALL.into_iter().map(|reason| (reason, sum(Counter::Refused(reason)))).collect(),
        }
    }
}
