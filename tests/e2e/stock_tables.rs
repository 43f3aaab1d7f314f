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

/// Runs a test on a stack whose trunkd knows of a stock Kamailio with `options`. The module's brakes are off: stock modules have
/// none, and a test guesses more in a minute than anybody may.
fn test(options: Options, body: impl FnOnce(&mut Stack) -> Result<()>) {
    let section = |stack: &Stack| trunkd::add_section(&stack.places, &options.section(&stack.places));
    let unbraked = kamailio::Options::new()
        .map(|options| options.define("WRONG_PASSWORDS_PER_MINUTE=0").define("STRANGERS_PER_S=0"));
    stack::test_after(unbraked, section, body);
}
