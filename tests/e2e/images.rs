//! Tables that cannot be read: missing, cut short, not ours, newer than us. The last good one stays in force.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::gateway::Gateway;
use e2e::kamailio::Options;
use e2e::sipp::{Plan, Sipp};
use e2e::stack::{self, Stack};
use e2e::toml::Trunk;
use e2e::wait;

/// Spoils a table file.
type Spoil = fn(&Path) -> Result<()>;

/// The second 64-bit word of a table is its layout: version in the high half.
const LAYOUT_VERSION_AT: u64 = 12;

fn missing(table: &Path) -> Result<()> {
    Ok(fs::remove_file(table)?)
}

fn truncated(table: &Path) -> Result<()> {
    let length = fs::metadata(table)?.len();
    Ok(File::options().write(true).open(table)?.set_len(length / 2)?)
}

fn foreign(table: &Path) -> Result<()> {
    let length = usize::try_from(fs::metadata(table)?.len())?;
    Ok(fs::write(table, vec![0x5a; length])?)
}

fn newer(table: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).open(table)?;
    let mut version = [0; 4];
    file.read_exact_at(&mut version, LAYOUT_VERSION_AT)?;
    let raised = u32::from_le_bytes(version) + 1;
    Ok(file.write_all_at(&raised.to_le_bytes(), LAYOUT_VERSION_AT)?)
}

fn flipped(table: &Path) -> Result<()> {
    let file = File::options().read(true).write(true).open(table)?;
    let at = file.metadata()?.len() - 9;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    Ok(file.write_all_at(&[byte[0] ^ 1], at)?)
}

/// The newest table file and its number.
fn newest(shm: &Path) -> Result<(u64, PathBuf)> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("table-")?.parse().ok();
    let files = fs::read_dir(shm)?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter_map(|path| Some((number(&path)?, path))).max().context("no table at all")
}

fn call(stack: &Stack, name: &str) -> Result<u16> {
    let plan = Plan::new("call", &stack.site.domain("acme"));
    Ok(Sipp::start(stack.dir(), name, stack.site.sip, &plan)?.finish()?.code(1))
}

fn keeps_the_last_good_one(spoil: Spoil) {
    // One worker: "the last good one" is what the process that judges has mapped, and each maps when it has a call.
    stack::test(Options::new().map(|options| options.define("WORKERS=1")), |stack| {
        let gateway = Gateway::answering(stack.dir(), "gateway")?;
        let trunk = Trunk::new("acme").source("127.0.0.1").gateway(&gateway.uri(), 1);
        let good = stack.site.apply(std::slice::from_ref(&trunk))?;
        ensure!(call(stack, "good")? == 200);

        // Published, and spoiled before anybody in Kamailio has looked: from here to the next call, nobody asks it.
        stack.site.write(&trunk.clone().limits(0, "1"))?;
        stack.site.sighup()?;
        let (number, table) = wait::until("a new table", || {
            Ok(Some(newest(&stack.places.shm)?).filter(|(number, _)| *number > good))
        })?;
        // The file is there before it is named in `control`; trunkd says when that is done.
        wait::until("trunkd to have published it", || {
            Ok((stack.site.metric("trunkline_generation")? >= f64::from(u32::try_from(number)?))
                .then_some(()))
        })?;
        spoil(&table)?;
        ensure!(call(stack, "spoiled")? == 200, "the last good table was not kept");
        let status = stack.site.status()?;
        ensure!(stack.site.status_number("images_refused")? > 0, "{status}");
        ensure!(stack.site.generation()? == good, "{status}");

        // The next good one is taken.
        stack.site.apply(&[trunk.limits(0, "2")])?;
        ensure!(call(stack, "again")? == 503);
        Ok(())
    });
}

#[test]
fn a_missing_table_leaves_the_last_good_one_in_force() {
    keeps_the_last_good_one(missing);
}

#[test]
fn a_truncated_table_leaves_the_last_good_one_in_force() {
    keeps_the_last_good_one(truncated);
}

#[test]
fn a_foreign_table_leaves_the_last_good_one_in_force() {
    keeps_the_last_good_one(foreign);
}

#[test]
fn a_newer_table_leaves_the_last_good_one_in_force() {
    keeps_the_last_good_one(newer);
}

#[test]
fn a_table_with_one_wrong_bit_leaves_the_last_good_one_in_force() {
    keeps_the_last_good_one(flipped);
}
