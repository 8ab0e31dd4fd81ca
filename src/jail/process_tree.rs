//! Ending every process below this one, wherever it has hidden itself.
//!
//! A process that starts a session of its own leaves its parent's process group, but not its
//! ancestry: with this process as the subreaper of its descendants, orphans come back to it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};

/// How long descendants may take to vanish after they were killed.
const SWEEP: Duration = Duration::from_secs(5);

/// This program itself, also where its file has been moved, replaced or deleted: whatever stands at its
/// path then is not started.
#[must_use]
pub fn own() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("agp-bridge");
    command
}

/// Makes this process the one that orphaned descendants come back to.
///
/// # Errors
/// What the kernel gives.
pub fn adopt_orphans() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills every descendant and reaps those that come back. True when none is left.
#[must_use]
pub fn sweep() -> bool {
    sweep_but(None)
}

/// The same without this child and what is below it.
#[must_use]
pub fn sweep_but(spared: Option<Pid>) -> bool {
    let until = Instant::now() + SWEEP;
    loop {
        let below = descendants(spared);
        if below.is_empty() {
            return true;
        }
        for pid in below {
            // Gone already, or not ours to kill: the next round tells.
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes below this one that still run (or wait to be reaped by somebody else).
fn descendants(spared: Option<Pid>) -> Vec<Pid> {
    let mut children = by_parent();
    let spared = spared.map(|pid| pid.as_raw_nonzero().get());
    let mut descendants = Vec::new();
    let mut waiting = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = waiting.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        for child in below.into_iter().filter(|child| Some(*child) != spared) {
            waiting.push(child);
            descendants.extend(Pid::from_raw(child));
        }
    }
    descendants
}

/// The children of one process, as far as `/proc` shows them.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    let pids = by_parent().remove(&parent.as_raw_nonzero().get());
    pids.into_iter()
        .flatten()
        .filter_map(Pid::from_raw)
        .collect()
}

/// Every process by its parent.
fn by_parent() -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else {
        return children;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        if let Some(parent) = parent_of(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// The parent in a `/proc/PID/stat` line: the second field behind the command, which stands in
/// parentheses and may hold any character.
fn parent_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parent_of;

    #[test]
    fn the_command_may_hold_anything() {
        assert_eq!(parent_of("12 (a) R 1) (x) S 7 12 12 0"), Some(7));
        assert_eq!(parent_of("12 (a"), None);
    }
}
