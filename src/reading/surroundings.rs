//! Where a call is made, as far as reading it needs to know. Given by whoever asks: reading looks nowhere itself.

use std::collections::BTreeSet;

/// Where a call is made. All paths are absolute, without links, `.` and `..`, and do not end in `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Where the session's commands run unless they say otherwise.
    pub directory: String,
    /// `${repo}`.
    pub repository: String,
    /// `${home}`, and `~`.
    pub home: String,
    /// `${tmp}`, and `$TMPDIR`.
    pub temporary: String,
    /// agp's own: its home, its configuration, its programs, its sockets. A write to one is tampering.
    pub agp: Vec<String>,
    /// The directories of PATH in order, each with whether the session can write it. Empty: nobody looked.
    pub path: Vec<(String, bool)>,
    /// The shell that runs is another than bash: what the two read differently is unread.
    pub other_shell: bool,
    /// Files that this session wrote, by their real paths.
    pub written: BTreeSet<String>,
    /// Files that came from the network in this session, by their real paths.
    pub fetched: BTreeSet<String>,
}
