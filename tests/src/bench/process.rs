//! What processes have used: processor time to the nanosecond, and memory.
//!
//! It must never count a process twice: a proxy is one process group, and memory that its processes share is divided.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The core that the proxies have to themselves.
pub const PROXY_CORE: usize = 0;
/// The core of everything else.
pub const LOAD_CORE: usize = 1;

/// Puts this process, and all that it starts, on the core of the load.
///
/// # Errors
/// The machine has one core only.
pub fn stay_off_the_proxy() -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
        .context("two cores are needed: one for the proxy, one for the load")
}

/// All processes of a group.
///
/// # Errors
/// There is none.
pub fn group(leader: Pid) -> Result<Vec<Pid>> {
    let found = crate::group::running(leader)?;
    ensure!(!found.is_empty(), "process group {leader} is empty");
    Ok(found)
}

/// Processor time that the group has used so far, in user and in kernel, threads that have ended included.
///
/// # Errors
/// A process has ended.
pub fn processor_time(leader: Pid) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for pid in group(leader)? {
        sum += Duration::from(clock_gettime(clock_getcpuclockid(pid)?)?);
    }
    Ok(sum)
}

/// Resident memory of the group in MiB; what its processes share counts once.
///
/// # Errors
/// A process has ended.
pub fn memory_mib(leader: Pid) -> Result<f64> {
    let mut kib = 0;
    for pid in group(leader)? {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
        kib += line.trim().trim_end_matches(" kB").parse::<u64>().context("Pss")?;
    }
    Ok(kib as f64 / 1024.0)
}

/// Open file descriptors of the group.
///
/// # Errors
/// A process has ended.
pub fn descriptors(leader: Pid) -> Result<usize> {
    let mut count = 0;
    for pid in group(leader)? {
        count += fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::child::Child;
    use crate::wait;

    #[test]
    fn a_busy_group_uses_time_and_memory() {
        let dir = tempfile::tempdir().unwrap();
        // Two processes: what the second uses must be seen as well.
        let script = "while :; do :; done & wait";
        let child = Child::spawn("busy", Path::new("sh"), ["-c", script], &dir.path().join("log")).unwrap();
        wait::until("processor time", || {
            // The child makes the group by itself, once it runs.
            let used = processor_time(child.pid()).unwrap_or_default();
            Ok((used > Duration::from_millis(200)).then_some(()))
        })
        .unwrap();
        assert_eq!(group(child.pid()).unwrap().len(), 2);
        assert!(memory_mib(child.pid()).unwrap() > 0.1);
        assert!(descriptors(child.pid()).unwrap() >= 6);
    }
}
