//! Waiting for a condition, with an end to the patience.
//!
//! It must never be used to let time pass: what is waited for is named, and the name is in the error.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything in a test may take before it counts as broken. Generous: the machine may be busy with the other
/// tests, and a limit that is met costs nothing.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, and returns it.
///
/// # Errors
/// `what` was not there within `PATIENCE`, or `look` itself failed.
pub fn until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(PATIENCE, what, look)
}

/// As `until`, with a limit of its own for what is slow by design.
///
/// # Errors
/// `what` was not there within `limit`, or `look` itself failed.
pub fn until_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begin.elapsed() > limit {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        thread::sleep(PAUSE);
    }
}
