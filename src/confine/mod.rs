//! Landlock and seccomp profiles, namespaces and limits: what a thread of the governor takes from
//! itself as its first act (`profile`, `threads`), and what a process takes from itself before it
//! becomes something else (the rest), which must have one thread; and the look around that says
//! whether it did.

pub mod bpf;
#[cfg(feature = "inject")]
pub mod inject;
#[cfg(not(feature = "inject"))]
#[path = "no_inject.rs"]
pub(crate) mod inject;
pub mod profile;
mod profile_table;
pub mod spawner;
mod syscall_groups;
pub mod threads;

pub use profile::{Place, Profile};
pub use spawner::Spawner;
pub use threads::{Entered, Narrower, Places, enter, start, start_first};
