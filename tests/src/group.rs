//! The processes of a group: one child of ours and all that it started.
//!
//! It must never count what has ended: a process stays in the table until its parent has taken note of it, and one whose parent was killed
//! waits there for the machine's first process, which may take seconds. It runs no more, and its files and sockets are closed (where it had one
//! thread, as Kamailio's processes have).

use std::fs;

use anyhow::Result;
use nix::unistd::Pid;

/// All processes of a group that run, in no order.
///
/// # Errors
/// The list of processes cannot be read.
pub fn running(leader: Pid) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // One that ends between the two looks runs no more.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        if runs_in(&String::from_utf8_lossy(&stat), leader) {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// By what the kernel says of a process, proc(5): the name stands in parentheses and may hold anything; state, parent and group follow it.
fn runs_in(stat: &str, leader: Pid) -> bool {
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let (state, group) = (fields.next(), fields.nth(1));
    !matches!(state, None | Some("Z" | "X")) && group == Some(leader.to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_does_not_run() {
        let group = Pid::from_raw(77);
        assert!(runs_in("78 (sh) S 1 77 77 0", group));
        assert!(runs_in("78 (a) Z 1 9 (b) R 1 77 77 0", group), "a name may hold anything");
        assert!(!runs_in("78 (sh) Z 1 77 77 0", group), "ended, and nobody has taken note");
        assert!(!runs_in("78 (sh) X 1 77 77 0", group));
        assert!(!runs_in("78 (sh) S 77 1 1 0", group), "its parent's id is not its group");
        assert!(!runs_in("", group));
    }
}
