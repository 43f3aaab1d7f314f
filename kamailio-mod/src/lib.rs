//! The Kamailio module of Trunkline, `trunk.so`: judges calls and routes them, inside the SIP workers, from shared
//! memory that `trunkd` publishes.
//!
//! # What runs when
//!
//! | who calls | file | what it does |
//! |---|---|---|
//! | the loader | `abi` | finds version strings and export tables |
//! | Kamailio, once | `lifecycle` | checks `params`, makes the shared memory, binds tm, dialog and auth (`bind`) |
//! | each process | `lifecycle` | takes its counters |
//! | the script | `screen` (`brake`), `admit` (`digest`, `credentials`), `route`, `pv` | `trunk_screen()`, `trunk_admit()`, `trunk_route()`, `trunk_next()`, `$trunk(...)` |
//! | tm | `ready` | which call a failure route is about, and which final answer goes out |
//! | dialog | `dialog` | answered, ended (`ending`), restored (`tie`, `saved`) |
//! | an operator | `rpc`, `explain` (`asked`) | `trunk.status`, `trunk.explain`, `trunk.calls` |
//! | the timer process | `backlog`, `rows` (`dialog_db`), `probe` | how much waits to be read; rows of dialogs that are over; OPTIONS to gateways |
//!
//! # What never happens here
//!
//! No thread, no socket, no wait, no lock; no heap and no system call but the clock on the way of a call; no panic
//! leaves (`guard`), because one dead process is a dead proxy; no script function answers 0, because that would stop the
//! script (`verdict`). `unsafe` stands in the files that touch Kamailio's memory, each block with its reason: `abi`, `admit`, `asked`, `backlog`,
//! `bind`, `credentials`, `dialog`, `dialog_db`, `digest`, `explain`, `kstr`, `lifecycle`, `log`, `msg`, `params`, `probe`, `process`, `pv`, `ready`, `reply`,
//! `route`, `rows`, `rpc`, `screen`, `suspects`, `tie`, `uri`; beside them in what bindgen writes (`sys`), in `host` for tests, and in `heap`.

pub mod abi;
mod admit;
mod asked;
mod backlog;
mod bind;
mod brake;
mod credentials;
mod dialog;
mod dialog_db;
mod digest;
mod ending;
mod explain;
mod guard;
mod hangup;
#[cfg(feature = "panic-points")]
mod heap;
mod hex;
#[cfg(test)]
mod host;
mod judgement;
mod kstr;
mod lifecycle;
mod log;
mod msg;
mod params;
mod probe;
mod process;
mod pv;
mod ready;
mod reason_header;
mod reply;
mod route;
mod rows;
mod rpc;
mod saved;
mod screen;
mod shared;
mod suspects;
pub mod sys;
mod text;
mod tie;
mod uri;
mod verdict;
