//! What a container's first process is asked to run: one line of JSON, then the input. And where
//! both sides find each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use super::spec::RUN;

/// Where the container's first process finds agp.
pub const CONTROL: &str = "/run/agp/control.sock";
/// The name of that socket in its directory.
pub const CONTROL_NAME: &str = "control.sock";
/// Where the repository stands in a container.
pub const REPOSITORY: &str = "/repo";
/// Home of every process in a container.
pub const HOME: &str = "/tmp/home";
/// Bytes of the line.
pub const LINE_BYTES: usize = 4 << 20;
/// Bytes of the input.
pub const INPUT_BYTES: u64 = 4 << 20;
/// Jobs at a time: every call in flight, the harness, and what serves it.
pub const AT_ONCE: usize = 128;

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Milliseconds after which all that it left is killed; `None` where only agp ends it.
    pub deadline_millis: Option<u64>,
    /// Bytes of input that follow.
    pub input_bytes: u64,
    /// Directories where it may write to the host's disk.
    pub disks: Vec<PathBuf>,
    /// It is killed when it makes less than this free there.
    pub free_bytes: u64,
    /// It may only run where no other job can look into its processes: one of them is given secrets.
    pub apart: bool,
}
