//! The daemon's parts joined: configuration, store, ring, webhooks, HTTP, the process itself.
//!
//! Receivers and rings are real; only the network of the schedule test is played. Nothing here waits for a fixed time:
//! every wait has a condition, and a limit that only a hang reaches.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod address_tricks;
mod api;
mod command;
mod config;
mod connections;
#[cfg(feature = "crash-points")]
mod crashes;
mod daemon;
mod days;
mod delivery;
mod disk_full;
#[cfg(feature = "crash-points")]
mod event_crashes;
mod gateway_names;
mod hostile_receivers;
mod isolation;
mod kamailio_fake;
mod kamailio_keeper;
mod kamailio_rows;
mod kamailio_store;
mod kills;
mod lost;
mod memory_outbox;
#[path = "../../../tests/src/name_server.rs"]
#[expect(unreachable_pub, reason = "the end-to-end tests have it too, where it is reached")]
mod name_server;
mod outbox;
mod publishing;
mod receiver;
mod ring;
mod schedule;
mod store;
mod suite;
mod support;
mod trials;
mod trouble;
mod writer;
