//! The module's handle: the images in force, the live words and the ring, joined for one process.
//!
//! Made once before Kamailio forks, then each process goes on with its own copy of the handle over the same memory. Here it is made and kept
//! fresh; `judge` decides about a call, `gateways` leads it on, `calls` follows it to its end. After start nothing here locks, waits, or
//! allocates, but for the moment a new image is mapped.

mod calls;
mod gateways;
mod judge;

use std::path::{Path, PathBuf};

use crate::clock::Now;
use crate::control::{Control, Pair};
use crate::error::OpenError;
use crate::events::{Producer, Size};
use crate::image::Check;
use crate::live::process::Counter;
use crate::live::slots::Ahead;
use crate::live::{Capacity, Live, SlotRef};
use crate::map::{self, monotonic_ns};
use crate::tables::Tables;
pub use gateways::Target;
pub use judge::Names;

/// Start-up parameters: how much room the shared files have.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the shared files.
    pub dir: PathBuf,
    /// Most calls at the same time.
    pub slots: u32,
    /// Most trunks.
    pub trunks: u32,
    /// Most accounts.
    pub accounts: u32,
    /// Most gateways.
    pub gateways: u32,
    /// Most processes.
    pub processes: u32,
    /// Events that may wait in the ring.
    pub ring_cells: u32,
    /// Events that may wait in the spill file while the ring is full; 0 for no spill file.
    pub spill_cells: u32,
}

/// How [`Instance::refresh`] went.
#[derive(Debug)]
pub enum Freshness {
    /// What is mapped is what is in force.
    Same,
    /// A newer table was mapped.
    Newer,
    /// Nothing was ever published.
    Empty,
    /// What is in force cannot be used; what was mapped before goes on. Said once for each pair.
    Refused(OpenError),
    /// As before, already said.
    StillRefused,
}

/// Numbers for the status RPC.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Generation in force in this process; 0 for none.
    pub generation: u32,
    /// Store revision of it.
    pub revision: u64,
    /// Trunks of the table in force.
    pub trunks: usize,
    /// Calls at the same time.
    pub calls: u32,
    /// Most calls at the same time.
    pub slots: u32,
    /// Start of Kamailio, counted.
    pub epoch: u64,
    /// Cells of the ring, and how many wait.
    pub ring: (u64, u64),
    /// Events whose producer died while writing.
    pub events_lost: u64,
    /// Gateways that are down, or due for a trial.
    pub gateways_down: u32,
    /// Milliseconds since 1970 of the publisher's last sign of life; 0 for none.
    pub heartbeat_ms: u64,
}

/// The handle of one process.
#[derive(Debug)]
pub struct Instance {
    options: Options,
    control: Option<Control>,
    tables: Option<Tables>,
    /// The pair that could not be mapped: not tried again until it changes or a while has passed.
    refused: Pair,
    retry_at_ns: u64,
    live: Live,
    events: Producer,
    process: u32,
    random: u64,
    /// What [`Instance::identify`] found for the call among the slots, for [`Instance::admit`].
    ahead: Ahead,
    /// The call of the message in hand, if it was admitted and not routed yet: it has tried no gateway.
    unrouted: Option<SlotRef>,
}

/// Between two attempts at something that was not there.
const RETRY_NS: u64 = 100_000_000;
/// How often one refresh goes after a publisher that names faster than this process maps.
const TURNS: u32 = 8;

impl Instance {
    /// Before the fork: makes or takes over `live` and `events`, and maps what is published, if anything is.
    pub fn create(options: &Options) -> Result<Instance, OpenError> {
        map::make_directory(&options.dir, None).map_err(|error| OpenError::io(&options.dir, error))?;
        let capacity = Capacity {
            trunks: options.trunks,
            accounts: options.accounts,
            gateways: options.gateways,
            slots: options.slots,
            processes: options.processes,
        };
        let live = Live::create_or_reopen(&options.dir, capacity)?;
        let size = Size { cells: options.ring_cells, spill: options.spill_cells };
        let events = Producer::create_or_reopen(&options.dir, size)?;
        Ok(Instance::over(options, live, events))
    }

    /// A handle for a process that was not forked from the one that called [`Instance::create`]: over the files as they
    /// are, in the present epoch. For load generators and proofs; only the directory of `options` counts.
    pub fn join(options: &Options) -> Result<Instance, OpenError> {
        let live = Live::attach(&options.dir)?;
        let events = Producer::attach(&options.dir)?;
        let mut instance = Instance::over(options, live, events);
        instance.refresh();
        Ok(instance)
    }

    fn over(options: &Options, live: Live, events: Producer) -> Instance {
        Instance {
            options: options.clone(),
            control: None,
            tables: None,
            refused: Pair::default(),
            retry_at_ns: 0,
            live,
            events,
            process: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            ahead: Ahead::default(),
            unrouted: None,
        }
    }

    /// After the fork: which counters are this process's own, and where its random numbers start.
    pub fn enter_process(&mut self, index: u32, pid: u32, seed: u64) {
        self.process = index;
        self.random = seed | 1;
        self.live.enter_process(index, pid);
        // What was mapped before the fork is this process's too.
        self.live.note_pair(index, self.tables.as_ref().map(|tables| tables.pair).unwrap_or_default().0);
    }

    /// Maps what is in force. One load when nothing changed.
    #[inline]
    pub fn refresh(&mut self) -> Freshness {
        self.refresh_in(TURNS)
    }

    fn refresh_in(&mut self, turns: u32) -> Freshness {
        let mapped = self.tables.as_ref().map(|tables| tables.pair).unwrap_or_default();
        let Some(control) = &self.control else { return self.find_control() };
        let pair = control.pair();
        if pair == mapped {
            self.tables.iter_mut().for_each(Tables::release_some);
            return if pair == Pair::default() { Freshness::Empty } else { Freshness::Same };
        }
        if pair == self.refused && monotonic_ns() < self.retry_at_ns {
            return Freshness::StillRefused;
        }
        let check = if self.process == 0 { Check::Everything } else { Check::BetweenCalls };
        let said = pair == self.refused;
        match Tables::open(&self.options.dir, pair, check, self.tables.take()) {
            Ok(tables) => {
                self.tables = Some(tables);
                self.refused = Pair::default();
                self.live.count(self.process, Counter::ImagesMapped);
                self.live.note_pair(self.process, pair.0);
                Freshness::Newer
            }
            // Named again while we were off the processor, and what it named is gone: no fault of the image.
            Err(outrun) if control.pair() != pair && turns > 0 => {
                self.tables = outrun.1;
                self.refresh_in(turns - 1)
            }
            Err(refused) => {
                let (error, previous) = *refused;
                self.tables = previous;
                self.refused = pair;
                self.retry_at_ns = monotonic_ns() + RETRY_NS;
                if said {
                    return Freshness::StillRefused;
                }
                self.live.count(self.process, Counter::ImagesRefused);
                Freshness::Refused(error)
            }
        }
    }

    /// Looks for the control file, not more often than every 100 ms.
    fn find_control(&mut self) -> Freshness {
        let now = monotonic_ns();
        if now < self.retry_at_ns {
            return Freshness::Empty;
        }
        self.retry_at_ns = now + RETRY_NS;
        match Control::open(&self.options.dir) {
            Ok(control) => {
                self.control = Some(control);
                self.retry_at_ns = 0;
                self.refresh()
            }
            Err(OpenError::Missing { .. }) => Freshness::Empty,
            // Said once: a second look at the same damage is no news.
            Err(_) if self.refused.0 == u64::MAX => Freshness::StillRefused,
            Err(error) => {
                self.refused = Pair(u64::MAX);
                Freshness::Refused(error)
            }
        }
    }

    /// The generation that this process decides by; 0 for none.
    pub fn generation(&self) -> u32 {
        self.tables.as_ref().map_or(0, |tables| tables.pair.generation())
    }

    /// The directory of the shared files.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// Counts a panic that was caught at the boundary.
    pub fn count_panic(&self) {
        self.live.count(self.process, Counter::Panics);
    }

    /// The live words, for reading.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Numbers for the status RPC.
    pub fn status(&self) -> Status {
        let newest = self.tables.as_ref().map(Tables::newest);
        Status {
            generation: self.generation(),
            revision: newest.map_or(0, |image| image.revision()),
            trunks: newest.map_or(0, |image| image.trunks()),
            calls: self.live.node_calls(),
            slots: self.options.slots,
            epoch: self.live.epoch(),
            ring: self.events.fill(),
            events_lost: self.events.lost(),
            gateways_down: self.live.gateways_down(Now::read()),
            heartbeat_ms: self.control.as_ref().map_or(0, Control::heartbeat_ms),
        }
    }
}

/// xorshift64*: fair enough to share calls among gateways, and no system call.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
