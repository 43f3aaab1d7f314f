//! The end-to-end tests: real processes, real SIP, real HTTP. Each test has a stack of its own and shares nothing.
//!
//! A test must never pass because something was slow, absent or not looked at: it waits for what should be, and asserts
//! what must not be.

mod applications;
mod bench;
mod cases;
mod chaos;
mod control;
mod dialog_rows;
mod endings;
mod fail_modes;
mod flood;
mod gateway_names;
mod gateways;
mod hangups;
mod images;
mod kills;
mod loss;
mod malformed;
mod menu;
mod overload;
mod panics;
mod passwords;
mod phone;
mod probes;
mod refusals;
mod reload;
mod scenarios;
mod secrets;
mod shares;
mod sip_rules;
mod standstill;
mod stock_tables;
mod torture;
mod transports;
