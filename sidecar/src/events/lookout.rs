//! Asks Kamailio again and again which slots nobody may end any more, and passes on those that it has named twice.
//!
//! A call that comes or goes in the moment of a look is suspect too, so one look convicts nobody. What was seen is forgotten when
//! a look fails: a Kamailio that stood still for a while has not let anybody go on in between. Must never end a call
//! itself, nor be waited for by whoever stores events: Kamailio may be slow, silent or absent.

mod notes;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::kamailio::rpc::{Client, RpcError};
use crate::metrics::Metrics;
use notes::{Look, Notes};
pub use notes::{Lost, Why};

/// How often Kamailio is asked. A call that lost its dialog is found at the first look after that and freed after the
/// second.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A look at a million calls takes so many questions.
const MOST_QUESTIONS: usize = 1_024;
const METHOD: &str = "trunk.suspects";

/// The task.
pub struct Lookout {
    client: Arc<Client>,
    look_every: Duration,
    metrics: Metrics,
    lost: mpsc::Sender<Vec<Lost>>,
    notes: Notes,
    silent: bool,
}

impl Lookout {
    /// Looks every `look_every` ([`LOOK_EVERY`]), and sends to `lost`.
    pub fn new(
        client: Arc<Client>,
        look_every: Duration,
        metrics: Metrics,
        lost: mpsc::Sender<Vec<Lost>>,
    ) -> Lookout {
        Lookout { client, look_every, metrics, lost, notes: Notes::new(look_every), silent: false }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.look_every) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    async fn round(&mut self) {
        match self.look().await {
            Ok(look) => {
                self.metrics.sweep.looks.with_label_values(&["good"]).inc();
                self.silent = false;
                let lost = self.notes.take(&look, Instant::now());
                if !lost.is_empty() {
                    // Whoever frees them is busy: they are found again.
                    let _ = self.lost.try_send(lost);
                }
            }
            Err(error) => {
                self.metrics.sweep.looks.with_label_values(&["failed"]).inc();
                self.notes.forget();
                if !self.silent {
                    tracing::warn!(%error, "cannot ask Kamailio for calls that lost their dialog");
                }
                self.silent = true;
            }
        }
    }

    async fn look(&self) -> Result<Look, RpcError> {
        let mut whole = Look::default();
        let mut next = 0;
        for question in 0..MOST_QUESTIONS {
            let answer = self.client.call(METHOD, &[json!(next)], PATIENCE).await?;
            let (look, more) = Look::read(&answer).ok_or_else(|| garbled(&answer))?;
            if question > 0 && (look.file, look.epoch) != (whole.file, whole.epoch) {
                return Err(garbled(&json!("Kamailio started anew in the middle of a look")));
            }
            (whole.file, whole.epoch, whole.restored) = (look.file, look.epoch, look.restored);
            whole.suspects.extend(look.suspects);
            match more {
                None => return Ok(whole),
                Some(more) => next = more,
            }
        }
        Err(garbled(&json!("a look does not come to an end")))
    }
}

fn garbled(answer: &Value) -> RpcError {
    let detail = answer.to_string().chars().take(200).collect();
    RpcError::Garbled { method: METHOD.to_owned(), detail }
}
