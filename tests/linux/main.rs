//! What leans on the kernel: namespaces, Landlock, seccomp, mounts. Much of it needs root.
#![cfg(feature = "agp")]

#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each target uses a part of it, and whatever fails there fails the test"
)]
#[path = "../support/mod.rs"]
mod support;

mod confinement;
mod egress_names;
mod git_keys;
mod harness_git;
mod harness_shell;
mod programs;
mod sandbox_prepared;
mod sandbox_process;
mod static_binaries;
mod withheld;
