//! What is left when a process dies between any two steps: everything that others need, and nothing that stays for ever.
//!
//! Needs the feature `crash-points`. Each proof starts a process that dies at the n-th hit of a named point, for n from 1
//! until it lives, looks at what it left, and goes on from there as production would. `TRUNK_PROOF_DEATHS` says how often
//! a publisher dies at each of its points.

#![allow(clippy::unwrap_used, reason = "a surprise must fail the test")]

#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/harness.rs"]
mod harness;
#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/numbered.rs"]
mod numbered;
#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../common/tables.rs"]
mod tables;

#[allow(dead_code, reason = "shared with another test binary")]
#[path = "../processes/windows.rs"]
mod windows;

mod callers;
mod calls;
mod deaths;
mod debts;
mod node;
mod publish;
mod reclaim;
mod recount;
mod restore;
mod ring;
mod starts;
mod story;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(
        &[
            ("publisher", publish::publisher),
            ("repricer", debts::repricer),
            ("producer", ring::producer),
            ("consumer", ring::consumer),
            ("start", starts::start),
            ("worker", calls::worker),
            ("racer", calls::racer),
            ("restorer", restore::restorer),
            ("daemon", reclaim::daemon),
            ("recounter", recount::recounter),
            ("mortal", callers::mortal),
            ("caller", callers::caller),
        ],
        &[
            ("a_dead_publisher_leaves_what_was_in_force", publish::deaths),
            ("debts_survive_dead_publishers", debts::deaths),
            ("a_dead_producer_costs_its_own_record", ring::producer_deaths),
            ("a_dead_consumer_loses_nothing", ring::consumer_deaths),
            ("a_start_that_died_is_started_again", starts::deaths),
            ("a_dead_worker_leaves_calls_that_are_restored_or_orphaned", calls::worker_deaths),
            ("a_death_while_tokens_go_back_costs_no_slot", calls::race_deaths),
            ("a_death_while_calls_are_restored_counts_none_twice", restore::restore_deaths),
            ("a_dead_daemon_leaves_marks_for_the_next", reclaim::deaths),
            ("a_daemon_that_dies_while_it_recounts_leaves_counts_to_the_next", recount::recount_deaths),
            ("recounts_under_fire_correct_what_is_wrong_and_nothing_else", recount::under_fire),
            ("every_point_was_died_at", deaths::every_point_was_died_at),
        ],
    )
}
