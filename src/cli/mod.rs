//! The command line: one file a command.

#[cfg(feature = "agp")]
mod args;
#[cfg(feature = "agp")]
mod attend;
#[cfg(feature = "agp")]
mod doctor;
#[cfg(feature = "agp")]
mod doctor_confinement;
#[cfg(feature = "agp")]
mod init;
#[cfg(feature = "agp")]
pub mod internal;
#[cfg(feature = "agp")]
mod keygen;
#[cfg(feature = "agp")]
mod log;
#[cfg(feature = "agp")]
pub mod policy;
#[cfg(feature = "agp")]
mod quickstart;
#[cfg(feature = "agp")]
mod run;
#[cfg(feature = "agp")]
mod sessions;
#[cfg(feature = "agp")]
mod slack_manifest;
#[cfg(feature = "agp")]
mod verify;

#[cfg(feature = "agp")]
pub use args::main;
