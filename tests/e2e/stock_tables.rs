//! Stock modules on our tables: the same verdicts as our module, and a Kamailio that is reloaded, restarted and never lost.

mod applications;
mod churn;
mod matrix;
mod proxies;
mod reloads;

use anyhow::Result;
use e2e::kamailio;
use e2e::stack::{self, Stack};
use e2e::stock::Options;
use e2e::trunkd;

/// Runs a test on a stack whose trunkd knows of a stock Kamailio with `options`.
fn test(options: Options, body: impl FnOnce(&mut Stack) -> Result<()>) {
    let section = |stack: &Stack| trunkd::add_section(&stack.places, &options.section(&stack.places));
    stack::test_after(kamailio::Options::new(), section, body);
}
