//! What the processes of a confinement tell the one that started it: a JSON line each.

use serde::{Deserialize, Serialize};

/// What keeper and first process tell, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Told {
    /// The confinement stands; the command is next. The Landlock interface in force.
    Confined {
        /// 0 where the kernel has none.
        landlock: u32,
    },
    /// The confinement does not stand; nothing ran.
    Failed(String),
    /// The confinement stands, but the command cannot be started.
    NotStarted(String),
    /// The command exited.
    Exited(i32),
    /// A signal ended the command.
    Signalled(i32),
    /// Its time was up.
    Deadline,
    /// It was told to stop.
    Stopped,
    /// It had made the disk too full.
    DiskFull,
}
