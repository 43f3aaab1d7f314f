//! The tables that people read, in Markdown, and the same figures in JSON.
//!
//! It must never leave out a figure that looks bad, nor a run that failed: both have a line of their own.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::accuracy::{Pattern, Row};
use super::away::Away;
use super::figures::Spread;
use super::kinds::{Kind, PAIRS};
use super::rounds::{Measured, Sample, Table};
use super::times::Times;

/// Part of a core that a proxy may be kept busy.
const BUSY: f64 = 0.7;

fn cell(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| format!("{spread:.decimals$}"))
}

fn median(row: &Measured, of: impl Fn(&Sample) -> f64) -> String {
    row.spread(of).map_or_else(|| "–".to_owned(), |spread| format!("{:.2}", spread.median))
}

/// What calls cost in one world.
#[must_use]
pub fn calls(table: &Table) -> String {
    let mut text = String::from(
        "| | proxy, µs a call | calls/s at 70 % of a core | INVITE→100 p50 / p99, ms | INVITE→180 p50 / p99, ms | memory, MiB | trunkd, µs a call |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &table.rows {
        let cost = row.spread(|sample| sample.proxy_us);
        let rate = cost.map_or_else(|| "–".to_owned(), |cost| format!("{:.0}", BUSY * 1e6 / cost.median));
        let daemon = Spread::of(row.samples.iter().flatten().filter_map(|sample| sample.daemon_us));
        let _ = writeln!(
            text,
            "| {} | {} | {rate} | {} / {} | {} / {} | {:.0} | {} |",
            row.kind.label(),
            cell(cost, 0),
            median(row, |sample| sample.trying.0),
            median(row, |sample| sample.trying.1),
            median(row, |sample| sample.ringing.0),
            median(row, |sample| sample.ringing.1),
            row.memory_mib,
            if row.kind.is_trunkline() { cell(daemon, 0) } else { "–".to_owned() },
        );
    }
    let (written, calls) = table.records;
    let _ = writeln!(
        text,
        "\ntrunkd has {:.0} MiB in memory. acc wrote {written} records of {calls} calls.",
        table.daemon_mib
    );
    if let Some(why) = &table.refused {
        let _ =
            writeln!(text, "\nThe stock modules did not start: {}", why.lines().next().unwrap_or_default());
    }
    for row in table.rows.iter().filter(|row| !row.void.is_empty()) {
        let _ = writeln!(text, "\nVoid runs of {}: {}", row.kind.label(), row.void.join("; "));
    }
    text
}

/// Whom Trunkline is held against, in one world.
#[must_use]
pub fn ratios(table: &Table) -> String {
    let mut text =
        String::from("| processor time of | to that of | ratio | wanted, at most |\n|---|---|---:|---:|\n");
    for pair in PAIRS {
        let ratio = cell(table.ratio(pair.ours, pair.theirs), 2);
        let wanted = pair.wanted.map_or_else(|| "–".to_owned(), |wanted| format!("{wanted:.2}"));
        let _ = writeln!(text, "| {} | {} | {ratio} | {wanted} |", pair.ours.label(), pair.theirs.label());
    }
    text
}

/// What size does to each kind: every world against the smallest.
#[must_use]
pub fn growth(tables: &[Table]) -> String {
    let mut text = String::from("| processor time, µs a call |");
    for table in tables {
        let _ = write!(text, " {} trunks, {} calls up |", table.size.trunks, table.size.live);
    }
    text += "\n|---|";
    text += &"---:|".repeat(tables.len());
    text.push('\n');
    for kind in super::kinds::ALL {
        let of = |table: &Table| {
            table
                .rows
                .iter()
                .find(|row| row.kind == kind)
                .and_then(|row| row.spread(|sample| sample.proxy_us))
        };
        let first = tables.first().and_then(of);
        let _ = write!(text, "| {} |", kind.label());
        for table in tables {
            match (of(table), first) {
                (Some(here), Some(first)) => {
                    let more = 100.0 * (here.median / first.median - 1.0);
                    let _ = write!(text, " {:.0} ({more:+.0} %) |", here.median);
                }
                _ => text += " – |",
            }
        }
        text.push('\n');
    }
    text
}

/// Start, reload, one change.
#[must_use]
pub fn times(times: &[Times]) -> String {
    let mut text = String::from(
        "| trunks | what, in milliseconds | stock modules | Trunkline |\n|---:|---|---:|---:|\n",
    );
    for times in times {
        for (what, (stock, ours)) in times.rows() {
            let _ =
                writeln!(text, "| {} | {what} | {} | {} |", times.trunks, cell(*stock, 0), cell(*ours, 0));
        }
    }
    text
}

/// Whether calls notice that trunkd stands still.
#[must_use]
pub fn away(away: &Away) -> String {
    let mut text = String::from(
        "| | trunkd works | trunkd stands still | ratio | wanted, at most |\n|---|---:|---:|---:|---:|\n",
    );
    for (what, spreads) in away.rows() {
        let [here, standing, ratio] = spreads.map_or([None; 3], |spreads| spreads.map(Some));
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {} | 1.05 |",
            cell(here, 3),
            cell(standing, 3),
            cell(ratio, 2)
        );
    }
    text
}

/// What limits let through.
#[must_use]
pub fn accuracy(rows: &[Row]) -> String {
    let mut text = String::from(
        "| limit, calls/s | calls come | at once | limiter | offered | answer lost | passed | due | most in a second | worst stretch over cps·T + burst |\n\
         |---:|---|---:|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} | {} | {} |",
            row.cps,
            if row.pattern == Pattern::Even { "evenly" } else { "in bursts" },
            row.burst,
            if row.ours { "Trunkline" } else { "pipelimit" },
            row.offered,
            row.lost,
            row.passed,
            row.entitled,
            row.most,
            row.excess.map_or_else(
                || "–".to_owned(),
                |over| if over > 1e-3 { format!("**{over:+.1}**") } else { "none".to_owned() }
            ),
        );
    }
    text
}

/// One world for the JSON file.
#[must_use]
pub fn json(table: &Table) -> Value {
    let rows = table.rows.iter().map(|row| {
        let spread = |of: &dyn Fn(&Sample) -> f64| row.spread(of).map(|spread| spread.json());
        json!({
            "kind": row.kind.key(),
            "proxyUs": spread(&|sample| sample.proxy_us),
            "proxyUsRounds": row.samples.iter().map(|sample| sample.map(|sample| sample.proxy_us)).collect::<Vec<_>>(),
            "trunkdUs": Spread::of(row.samples.iter().flatten().filter_map(|sample| sample.daemon_us)).map(|spread| spread.json()),
            "tryingP50Ms": spread(&|sample| sample.trying.0), "tryingP99Ms": spread(&|sample| sample.trying.1),
            "ringingP50Ms": spread(&|sample| sample.ringing.0), "ringingP99Ms": spread(&|sample| sample.ringing.1),
            "memoryMib": row.memory_mib, "void": row.void,
        })
    });
    let ratios = PAIRS.iter().map(|pair| {
        json!({
            "ours": pair.ours.key(), "theirs": pair.theirs.key(), "wanted": pair.wanted,
            "ratio": table.ratio(pair.ours, pair.theirs).map(|spread| spread.json()),
        })
    });
    json!({
        "trunks": table.size.trunks, "live": table.size.live, "trunkdMib": table.daemon_mib, "stockRefused": table.refused,
        "accRecords": table.records.0, "accCalls": table.records.1,
        "rows": rows.collect::<Vec<_>>(), "ratios": ratios.collect::<Vec<_>>(),
    })
}

/// The kinds of a table with their costs, for the plot.
#[must_use]
pub fn costs(table: &Table) -> Vec<(Kind, Spread)> {
    table.rows.iter().filter_map(|row| Some((row.kind, row.spread(|sample| sample.proxy_us)?))).collect()
}
