//! The machine that the figures come from.

use std::fs;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

/// What decides the figures: processor, cores, kernel, and the file system under `work`.
pub(crate) fn describe(work: &Path) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let cpu = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let load = read("/proc/loadavg");
    json!({
        "cpu": cpu,
        "cores": thread::available_parallelism().map_or(1, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "filesystem": filesystem(&read("/proc/self/mounts"), work),
        "load": load.split(' ').take(2).collect::<Vec<_>>().join(" "),
    })
}

/// Type and options of the mount that holds `path`: the one with the longest mount point.
fn filesystem(mounts: &str, path: &Path) -> String {
    let mut longest = (0, "unknown".to_owned());
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(point), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if path.starts_with(point) && point.len() >= longest.0 {
            longest = (point.len(), format!("{kind} ({options})"));
        }
    }
    longest.1
}
