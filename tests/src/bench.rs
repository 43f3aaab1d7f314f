//! The benchmark of whole calls: Trunkline beside a bare relay and beside the best configuration of stock modules.
//!
//! All proxies have one core to themselves, everything else has the other; they take turns, so that whatever the machine does
//! meanwhile meets all of them alike. It must never assert a time: it measures, compares and tells, and a call that failed
//! makes a measurement void, not slow.

pub mod accuracy;
pub mod agent;
pub mod away;
pub mod figures;
pub mod kinds;
pub mod load;
pub mod machine;
pub mod page;
pub mod plot;
pub mod process;
pub mod proxy;
pub mod rounds;
pub mod soak;
pub mod tables;
pub mod times;
pub mod windows;
pub mod world;
