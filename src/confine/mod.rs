//! Landlock and seccomp profiles, namespaces and limits: what a process takes from itself before
//! it becomes something else, and the look around that says whether it did. Each part acts on the
//! calling process, which must have one thread.

pub mod files;
pub mod isolation;
pub mod limits;
mod loopback;
pub mod mounts;
pub mod namespaces;
pub mod spec;
mod syscall_table;
pub mod syscalls;
pub mod told;
