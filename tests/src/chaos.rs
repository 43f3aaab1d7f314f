//! Chaos: random calls, random deaths, and what must hold whatever happened.
//!
//! One seed replays a run: which calls, which faults, and when. What the machine makes of it is its own, so it must never assert
//! an order or a time, only what the product promises.

pub mod check;
pub mod dice;
pub mod faults;
pub mod ground;
pub mod plan;
pub mod play;
pub mod sabotage;
