//! Landlock and seccomp profiles, namespaces and limits: what a thread of the governor takes from
//! itself as its first act (`profile`, `threads`), and what a process takes from itself before it
//! becomes something else (the rest), which must have one thread; and the look around that says
//! whether it did.

pub mod alone;
mod calls;
pub mod changeable;
pub mod files;
pub mod hidden;
#[cfg(feature = "inject")]
pub mod inject;
pub mod isolation;
pub mod job;
pub mod leads;
pub mod limits;
mod loopback;
pub mod mounts;
pub mod namespaces;
pub mod order;
pub mod profile;
mod profiles;
pub mod rule;
pub mod sockets;
pub mod spawner;
pub mod spec;
pub mod steady;
pub mod store;
pub mod surroundings;
mod syscall_table;
pub mod syscalls;
pub mod threads;
pub mod told;

pub use profile::{Place, Profile};
pub use spawner::Spawner;
pub use threads::{Entered, Narrower, Places, enter, start, start_first};
