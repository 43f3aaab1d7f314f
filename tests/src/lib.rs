//! Drives Trunkline from outside: starts the shipped binaries, places calls with sipp, receives webhooks, and looks at
//! what came of it. The end-to-end tests and `make demo` are made of this.
//!
//! It must never link the product's own crates: what it knows of the product are processes, files and sockets, so that a
//! mistake in the product cannot agree with itself here. It waits for conditions, never for time to pass, and ends only
//! processes that it started.

pub mod api;
pub mod artifacts;
pub mod bench;
pub mod cases;
pub mod casting;
pub mod chaos;
pub mod child;
pub mod clock;
pub mod crowd;
pub mod digest;
pub mod gateway;
pub mod group;
pub mod http;
pub mod kamailio;
pub mod made_up;
pub mod mutant;
pub mod name_server;
pub mod nudge;
pub mod phone;
pub mod ports;
pub mod raw;
pub mod receiver;
pub mod report;
pub mod rpc;
pub mod scenario;
pub mod scenarios;
pub mod signature;
pub mod sip;
pub mod sipp;
pub mod site;
pub mod stack;
pub mod stock;
pub mod tls;
pub mod toml;
pub mod torture;
pub mod trunkd;
pub mod wait;
