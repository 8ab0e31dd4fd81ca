//! The command line: one file a command.

#[cfg(feature = "agp")]
mod arguments;
#[cfg(feature = "agp")]
mod asked;
#[cfg(feature = "agp")]
mod choices;
#[cfg(feature = "agp")]
mod claude_home;
#[cfg(feature = "agp")]
pub mod config;
#[cfg(feature = "agp")]
mod confined;
#[cfg(feature = "agp")]
mod contained;
#[cfg(feature = "agp")]
mod container;
#[cfg(feature = "agp")]
mod doctor;
#[cfg(feature = "agp")]
mod enclosed;
#[cfg(feature = "agp")]
mod ending;
#[cfg(all(feature = "agp", any(test, fuzzing)))]
pub(crate) mod fuzz;
#[cfg(feature = "agp")]
mod harness_container;
#[cfg(feature = "agp")]
mod home;
#[cfg(feature = "agp")]
pub mod hooked;
#[cfg(feature = "agp")]
mod init;
#[cfg(feature = "agp")]
mod keygen;
#[cfg(feature = "agp")]
mod lease;
#[cfg(feature = "agp")]
mod log;
#[cfg(feature = "agp")]
mod overlap;
#[cfg(feature = "agp")]
mod own_file;
#[cfg(feature = "agp")]
mod panics;
#[cfg(feature = "agp")]
mod preparation;
#[cfg(feature = "agp")]
mod probe;
#[cfg(feature = "agp")]
mod probe_inside;
#[cfg(feature = "agp")]
mod probe_trial;
#[cfg(feature = "agp")]
mod protected;
#[cfg(feature = "agp")]
mod quickstart;
#[cfg(feature = "agp")]
pub mod report;
#[cfg(feature = "agp")]
mod resolve;
#[cfg(feature = "agp")]
mod run;
#[cfg(feature = "agp")]
mod sandboxed;
#[cfg(feature = "agp")]
mod search;
#[cfg(feature = "agp")]
mod sessions;
#[cfg(feature = "agp")]
mod slack;
#[cfg(feature = "agp")]
mod started;
#[cfg(feature = "agp")]
mod trials;
#[cfg(feature = "agp")]
mod verify;
pub mod verify_report;
#[cfg(feature = "agp")]
mod view;
#[cfg(feature = "agp")]
mod way_out;
#[cfg(feature = "agp")]
mod wiring;

#[cfg(feature = "agp")]
pub use arguments::main;
