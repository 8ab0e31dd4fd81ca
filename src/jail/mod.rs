//! What runs on the child's side of a sandbox: the keeper of a command, the leash of a harness, and what a
//! process takes from itself before it becomes another program.

pub mod command_shell;
pub mod container_init;
pub mod container_keeper;
pub mod container_probe;
pub mod container_protocol;
pub mod egress_relay;
pub(crate) mod follow_error;
pub mod harness_git;
pub mod hidden_paths;
pub mod isolation_probe;
pub mod keeper;
pub mod landlock;
pub mod leash;
pub mod login_landlock;
pub(crate) mod loopback;
pub mod mounts;
pub mod namespaces;
pub mod order;
pub mod path_resolution;
pub mod process_tree;
pub mod rlimits;
pub mod seccomp;
pub mod signal_filter;
pub mod single_exec;
pub mod spec;
pub mod status;
pub(crate) mod syscall_allowlist;
pub mod tamper_probe;
pub mod unix_sockets;
pub mod writable_paths;
