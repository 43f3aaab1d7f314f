//! The scenarios of `make demo`, each on a stack of its own.

use anyhow::{Context, Result, ensure};
use e2e::kamailio::Options;
use e2e::scenarios::ALL;
use e2e::stack;

fn play(name: &str) {
    stack::test(Options::new(), |stack| {
        let scenario = ALL.iter().find(|scenario| scenario.name == name).context("no such scenario")?;
        let report = scenario.play(&stack.site, stack.dir())?;
        ensure!(report.matches(), "{name}:\n{report}");
        Ok(())
    });
}

/// One test for each, and none forgotten.
macro_rules! each {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            play($name);
        })*

        #[test]
        fn every_scenario_is_tested() -> Result<()> {
            let tested = [$($name),*];
            for scenario in ALL {
                ensure!(tested.contains(&scenario.name), "{} has no test", scenario.name);
            }
            Ok(())
        }
    };
}

each! {
    a_call_is_admitted_and_answered: "answered",
    the_far_side_may_hang_up: "callee-ends",
    an_unlisted_source_may_know_the_password: "password",
    an_unlisted_source_is_refused: "source",
    an_unknown_domain_is_refused: "unknown",
    a_call_above_the_rate_is_refused: "cps",
    a_call_above_the_concurrency_is_refused_until_one_ends: "concurrency",
    a_dead_gateway_is_passed_over: "failover",
    busy_is_final: "busy",
    a_caller_may_give_up: "cancel",
}
