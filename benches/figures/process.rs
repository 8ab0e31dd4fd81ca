//! Processes that are measured from outside: where their programs are and what memory they have.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::Fallible;

pub(crate) const AGP: &str = env!("CARGO_BIN_EXE_agp");
pub(crate) const BRIDGE: &str = env!("CARGO_BIN_EXE_agp-bridge");
pub(crate) const VERIFY: &str = env!("CARGO_BIN_EXE_agp-verify");

/// Between two looks at a process's peak: it only grows, so the last look counts.
const LOOK: Duration = Duration::from_millis(2);

/// A line of `/proc/PID/status` that counts kB, in MiB.
pub(crate) fn mebibytes(pid: u32, name: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes = line.strip_prefix(':')?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<f64>().ok()? / 1024.0)
}

/// Processor time in clock ticks so far: this process's own and that of children it waited for.
pub(crate) fn processor_ticks() -> Fallible<[f64; 2]> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // Behind the command, which may hold blanks: user, system, and both for the children.
    let (_, rest) = stat
        .rsplit_once(')')
        .ok_or("/proc/self/stat is malformed")?;
    let fields = rest.split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>()?;
    match ticks[..] {
        [user, system, children_user, children_system] => {
            Ok([user + system, children_user + children_system])
        }
        _ => Err("/proc/self/stat is short".into()),
    }
}

/// The verifier on a journal, in its own process.
pub(crate) fn verifier(log: &Path, key: &Path) -> Command {
    let mut command = Command::new(VERIFY);
    command.arg(log).arg("--key").arg(key).stdout(Stdio::null());
    command
}

/// Runs a program to its end; gives its peak resident memory in MiB.
pub(crate) fn peak_memory(command: &mut Command) -> Fallible<f64> {
    let mut child = command.spawn()?;
    let mut peak = 0.0;
    loop {
        if let Some(seen) = mebibytes(child.id(), "VmHWM") {
            peak = f64::max(peak, seen);
        }
        if let Some(status) = child.try_wait()? {
            succeeded(status)?;
            return Ok(peak);
        }
        thread::sleep(LOOK);
    }
}

pub(crate) fn succeeded(status: ExitStatus) -> Fallible<()> {
    if status.success() {
        return Ok(());
    }
    Err(format!("a measured program ended with {status}").into())
}

/// A process that does not outlive its measurement.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
