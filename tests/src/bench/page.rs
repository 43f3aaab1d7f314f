//! docs/benchmarks.md, its plot and its JSON file, made from one run.
//!
//! It must never hold a figure of another run: the page is written whole or not at all.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::accuracy::Row;
use super::away::Away;
use super::machine::Machine;
use super::plot::{self, Group};
use super::rounds::{Effort, Table};
use super::tables;
use super::times::Times;

/// What one run has measured.
#[derive(Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How much was done.
    pub effort: Effort,
    /// What calls cost, the smallest world first.
    pub tables: Vec<Table>,
    /// Starts, reloads, changes.
    pub times: Vec<Times>,
    /// Calls while trunkd stands still, in the smallest world.
    pub away: Option<Away>,
    /// What limits let through, and how long each was offered calls, in seconds.
    pub accuracy: (Vec<Row>, u64),
}

const HOW: &str = "\
Written by `make bench`; nobody edits it. Each figure is the median of all rounds, with the least and the greatest in parentheses.\n\
\n\
- One core runs nothing but the proxies, the other all the rest: sipp, the gateway, the receiver of webhooks, trunkd. In each round every row places\n\
  the same calls, one row after the other, and each round begins with another row.\n\
- A complete call is INVITE, 100, 180, 200, ACK, BYE, 200, and with a password one 407 and its ACK more. A run in which a call failed is void and is said below\n\
  its table.\n\
- *Proxy* is the processor time of all processes of Kamailio, from the kernel's clock of each process, divided by the calls. *trunkd* is what the daemon\n\
  used beside it: call log, and a signed webhook for each of three events. Calls/s at 70 % of a core is computed from the first.\n\
- *Bare relay* is tm, rr and dialog and judges nobody; *calls kept* adds what Trunkline's `kamailio.cfg` does so that calls outlive a restart (the dialog database,\n\
  written every second). *Stock modules* is [tests/stock](../tests/stock/README.md): htable, permissions, auth_db, pipelimit, dialog profile, dispatcher and acc over the same\n\
  trunks; it keeps calls too, and sends no webhooks.\n\
- All run with `-x fm`, four workers, and the same memory. Trunkline's brake of strangers is off: the load comes from one address. Keep-alive is set beyond the run: it is a cost of calls that are up, not of calls.\n";

impl Report {
    /// The page, without its heading.
    #[must_use]
    pub fn text(&self) -> String {
        let Effort { rounds, calls, rate } = self.effort;
        let mut text = format!("{}\n\n{HOW}", self.machine.line());
        if !self.tables.is_empty() {
            let _ = write!(
                text,
                "\n## Calls\n\n{rounds} rounds of {calls} calls a row, {rate} calls a second.\n\n![What a call costs](benchmarks.svg)\n"
            );
        }
        for table in &self.tables {
            let _ = write!(
                text,
                "\n### {} trunks, {} calls up on each trunk that is called\n\n",
                table.size.trunks, table.size.live
            );
            let _ = write!(text, "{}\n{}", tables::calls(table), tables::ratios(table));
        }
        if self.tables.len() > 1 {
            let _ = write!(text, "\n## What size does\n\n{}", tables::growth(&self.tables));
        }
        if !self.times.is_empty() {
            let _ = write!(
                text,
                "\n## Starting and changing\n\nA start ends with the first answer to an OPTIONS. A full reload is htable, address and dispatcher; for Trunkline all trunk\n\
                 files read again with one of them changed, until a call is judged by it. A change is one address more for one trunk: an address reload, the writing of the\n\
                 row not counted; an answer of the API that says `applied`.\n\n{}",
                tables::times(&self.times)
            );
        }
        if let Some(away) = &self.away {
            let _ = write!(
                text,
                "\n## Calls without trunkd\n\n{} pairs of {calls} calls: trunkd works beside one half of each and stands still (SIGSTOP) beside the other. No call failed,\n\
                 and every event was told afterwards.\n\n{}",
                away.0.len(),
                tables::away(away)
            );
        }
        let (rows, seconds) = &self.accuracy;
        if !rows.is_empty() {
            let _ = write!(
                text,
                "\n## What limits let through\n\nFor {seconds} s twice as many calls are offered as the limit allows, to both by the same hand. What passed is what the gateway saw. The last\n\
                 column takes every stretch of at least a second, and counts the calls that were sent and had arrived in it. pipelimit counts whole calls from second to\n\
                 second, so 0.5 is 1 for it and \"at once\" means nothing to it.\n\n{}",
                tables::accuracy(rows)
            );
        }
        text
    }

    /// The plot of what calls cost.
    #[must_use]
    pub fn plot(&self) -> String {
        let group = |table: &Table| Group {
            title: format!("{} trunks, {} calls up", table.size.trunks, table.size.live),
            bars: tables::costs(table)
                .into_iter()
                .map(|(kind, cost)| (kind.label().to_owned(), cost, kind.is_trunkline()))
                .collect(),
        };
        let groups: Vec<Group> = self.tables.iter().map(group).collect();
        plot::bars("Processor time of the proxy for a complete call", "µs", &groups)
    }

    /// Writes `benchmarks.md`, `.svg` and `.json` into a directory.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        let json = json!({
            "machine": self.machine.json(),
            "rounds": self.effort.rounds, "calls": self.effort.calls, "rate": self.effort.rate,
            "worlds": self.tables.iter().map(tables::json).collect::<Vec<_>>(),
            "times": self.times.iter().map(Times::json).collect::<Vec<_>>(),
            "away": self.away.as_ref().map(Away::json),
            "accuracy": {"seconds": self.accuracy.1, "rows": self.accuracy.0.iter().map(Row::json).collect::<Vec<_>>()},
        });
        let files = [
            ("benchmarks.md", format!("# Benchmarks\n\n{}", self.text())),
            ("benchmarks.svg", self.plot()),
            ("benchmarks.json", format!("{json:#}\n")),
        ];
        for (name, text) in files {
            fs::write(directory.join(name), text).with_context(|| format!("writing {name}"))?;
        }
        Ok(())
    }
}
