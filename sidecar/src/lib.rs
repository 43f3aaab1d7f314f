//! `trunkd`, the daemon beside Kamailio: it owns the configuration, publishes it into shared memory, and turns what the
//! module reports into a call log and signed webhooks.
//!
//! Arrows say "may use"; nothing points back:
//! ```text
//! main ▶ cli ▶ app ▶ { http, reload ▶ change ▶ publish, events, webhook } ▶ store ▶ { domain, call }
//! config ▶ each part's own settings; no part sees `config` but `cli`, `app` and `reload`
//! ```
//! Must never be needed for a call: while the daemon is away, Kamailio goes on with the last image.
#![forbid(unsafe_code)]

pub mod api;
pub mod app;
pub mod call;
pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cost;
#[cfg(feature = "crash-points")]
#[doc(hidden)]
pub mod crash;
#[cfg(not(feature = "crash-points"))]
mod crash;
pub mod ctl;
pub mod difference;
mod dns;
pub mod domain;
mod edit;
pub mod events;
pub mod gateways;
pub mod http;
mod input;
pub mod kamailio;
pub mod live;
pub mod logging;
pub mod metrics;
pub mod publish;
pub mod reload;
pub mod retention;
pub mod secret;
pub mod shutdown;
mod special;
pub mod status;
pub mod store;
mod table;
pub mod webhook;
