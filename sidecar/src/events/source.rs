//! The ring as it comes and goes: absent until Kamailio has started once, and perhaps made anew when it starts again.
//!
//! A ring that lost its name is emptied before the next one is followed.

use std::path::PathBuf;

use tokio::time::{Duration, Instant};
use trunk_admission::OpenError;
use trunk_admission::events::{Consumer, Record};

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// What is said while there is no ring.
const WAITING: &str = "waiting for Kamailio to start";

pub(super) struct Source {
    dir: PathBuf,
    consumer: Option<Consumer>,
    looked: Option<Instant>,
    state: String,
}

/// The ring's numbers.
pub(super) struct Numbers {
    pub(super) cells: u64,
    pub(super) waiting: u64,
    pub(super) dropped: u64,
    pub(super) lost: u64,
    pub(super) repaired: u64,
}

impl Source {
    pub(super) fn new(dir: PathBuf) -> Source {
        Source { dir, consumer: None, looked: None, state: WAITING.to_owned() }
    }

    /// Up to `max` records with the id of their ring; `None` while there is no ring.
    pub(super) fn poll(&mut self, max: usize) -> Option<(u64, Vec<Record>)> {
        if self.consumer.is_none() {
            self.attach();
        }
        let consumer = self.consumer.as_mut()?;
        Some((consumer.ring_id(), consumer.poll(max)))
    }

    /// These records are on the disk.
    pub(super) fn acknowledge(&mut self, records: &[Record]) {
        if let Some(consumer) = &mut self.consumer {
            consumer.acknowledge(records);
        }
    }

    /// Lets go of an empty ring whose name stands for another one now.
    pub(super) fn follow(&mut self) {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now - looked < LOOK) {
            return;
        }
        self.looked = Some(now);
        if self.consumer.as_ref().is_some_and(|consumer| !consumer.is_current(&self.dir)) {
            tracing::info!("Kamailio has made another event ring; following it");
            self.consumer = None;
        }
    }

    /// The ring's numbers, while there is one.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        let consumer = self.consumer.as_ref()?;
        let (cells, waiting) = consumer.fill();
        let (dropped, lost, repaired) = (consumer.dropped(), consumer.lost(), consumer.repaired());
        Some(Numbers { cells, waiting, dropped, lost, repaired })
    }

    /// Attached, or why not.
    pub(super) fn state(&self) -> String {
        self.state.clone()
    }

    fn attach(&mut self) {
        let now = match Consumer::attach(&self.dir) {
            Ok(consumer) => {
                tracing::info!(
                    ring = consumer.ring_id(),
                    waiting = consumer.fill().1,
                    "attached to the event ring"
                );
                self.consumer = Some(consumer);
                "attached".to_owned()
            }
            Err(OpenError::Missing { .. }) => WAITING.to_owned(),
            Err(error) => error.to_string(),
        };
        if now != self.state {
            if self.consumer.is_none() {
                tracing::info!(state = now, "no event ring");
            }
            self.state = now;
        }
    }
}
