//! What Kamailio holds in its memory, compared with what the tables hold: by the mark, and row by row where the answer fits.
//!
//! The mark alone says which content was read. permissions drops networks beyond `max_subnets` without a word, so its
//! networks are always counted and summed; everything else it takes whole or not at all, as dispatcher says no to a
//! reload that dropped a row. Must never take "Reload OK" for an answer.

use super::commands::{Held, Table};
use super::mark::{Load, Tally};
use super::rows::{self, Address, Destination};
use super::rpc::{Client, MAX_ANSWER_BYTES, RpcError};

/// What may be asked for in one answer: a tenth is left for what we cannot foresee.
const READABLE: u64 = (MAX_ANSWER_BYTES as u64) / 10 * 9;
/// Bytes of an answer for one row at most, beside what `Tally::characters` counts.
const HOST_BYTES: u64 = 105;
const SUBNET_BYTES: u64 = 120;
const DESTINATION_BYTES: u64 = 240;
const SHORT_DESTINATION_BYTES: u64 = 125;

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds what the tables hold. Whether every row was looked at, or the mark of all of them.
    Same {
        /// Every row.
        row_by_row: bool,
    },
    /// It holds something else, such as an earlier revision: time to reload.
    Other,
    /// It has read the right table and does not hold all of it, or holds more.
    Damaged(String),
}

/// Reads and compares; learns how long an answer may be when more is printed for each row than usual.
#[derive(Debug, Default)]
pub struct Reader {
    /// Destinations of the shortest list that was not answered.
    too_many: Option<u64>,
}

impl Reader {
    /// Compares what Kamailio holds of `table` with `wanted`.
    pub async fn compare(
        &mut self,
        client: &Client,
        table: Table,
        wanted: &Load,
    ) -> Result<Verdict, RpcError> {
        match table {
            Table::Address => self.address(client, wanted).await,
            Table::Dispatcher => self.dispatcher(client, wanted).await,
        }
    }

    async fn address(&mut self, client: &Client, wanted: &Load) -> Result<Verdict, RpcError> {
        let (marks, networks): (Vec<_>, Vec<_>) =
            client.subnets().await?.into_iter().partition(|row| row.group == rows::MARK_GROUP);
        if marks != [rows::address_mark(&wanted.address_mark())] {
            return Ok(Verdict::Other);
        }
        if let Some(damage) = difference("networks", &wanted.subnets, &tally(&networks).subnets) {
            return Ok(Verdict::Damaged(damage));
        }
        let row_by_row = wanted.hosts.rows * HOST_BYTES <= READABLE;
        if row_by_row {
            let found = tally(&client.hosts().await?).hosts;
            if let Some(damage) = difference("addresses", &wanted.hosts, &found) {
                return Ok(Verdict::Damaged(damage));
            }
        }
        Ok(Verdict::Same { row_by_row })
    }

    async fn dispatcher(&mut self, client: &Client, wanted: &Load) -> Result<Verdict, RpcError> {
        let mark = rows::destination_mark(&wanted.destination_mark());
        let Some(held) = self.list(client, wanted, true).await? else {
            let found = client.has_disabled(mark.set, &mark.uri).await?;
            return Ok(if found { Verdict::Same { row_by_row: false } } else { Verdict::Other });
        };
        let (marks, held): (Vec<_>, Vec<_>) = held.into_iter().partition(|row| row.set == rows::MARK_SET);
        if !matches!(&marks[..], [found] if found.uri == mark.uri) {
            return Ok(Verdict::Other);
        }
        let mut found = Load::default();
        for Held { set, uri, attrs, .. } in held {
            let attrs = attrs.unwrap_or_default();
            found.add_destination(&Destination { set, uri, flags: 0, attrs });
        }
        Ok(match difference("destinations", &wanted.destinations, &found.destinations) {
            Some(damage) => Verdict::Damaged(damage),
            None => Verdict::Same { row_by_row: true },
        })
    }

    /// What dispatcher holds, if an answer has room for it.
    pub async fn list(
        &mut self,
        client: &Client,
        about: &Load,
        with_attrs: bool,
    ) -> Result<Option<Vec<Held>>, RpcError> {
        let Tally { rows, characters, .. } = about.destinations;
        let each = if with_attrs { DESTINATION_BYTES } else { SHORT_DESTINATION_BYTES };
        if rows * each + characters > READABLE || self.too_many.is_some_and(|too_many| rows >= too_many) {
            return Ok(None);
        }
        match client.destinations(with_attrs).await {
            Ok(held) => Ok(Some(held)),
            // With latency statistics or call counts switched on, a row takes more.
            Err(RpcError::Silent { .. }) => {
                self.too_many = Some(rows);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn tally(rows: &[Address]) -> Load {
    let mut load = Load::default();
    rows.iter().for_each(|row| load.add_address(row));
    load
}

/// What differs, in words. Characters are not compared: the sum of hashes says more.
fn difference(what: &str, wanted: &Tally, found: &Tally) -> Option<String> {
    if wanted.rows != found.rows {
        return Some(format!("holds {} {what}, the table has {}", found.rows, wanted.rows));
    }
    (wanted.sum != found.sum).then(|| format!("its {} {what} are not those of the table", found.rows))
}

/// Whether networks can be read back at all: beyond this many the answer is too long.
pub const MAX_READABLE_SUBNETS: u64 = READABLE / SUBNET_BYTES;
