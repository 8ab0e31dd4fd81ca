//! One governed session: assembled, run, ended.

pub(crate) mod announce;
pub(crate) mod approval_channel;
pub(crate) mod build;
pub(crate) mod claude_config_dir;
pub mod config;
pub(crate) mod context;
pub(crate) mod docker;
pub(crate) mod egress;
pub(crate) mod finish;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod harness_origin;
pub(crate) mod harness_sandbox;
pub(crate) mod home;
pub(crate) mod home_guard;
pub(crate) mod home_overlap;
pub(crate) mod journal;
pub(crate) mod key_rotation;
pub(crate) mod kinds;
pub(crate) mod layout;
pub(crate) mod lease;
pub(crate) mod options;
pub(crate) mod output_view;
pub(crate) mod panic_hook;
pub(crate) mod policy_file;
pub(crate) mod prepare;
pub(crate) mod private_paths;
pub(crate) mod probe;
pub(crate) mod resolve;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod slack;
mod start_error;
pub(crate) mod started_event;
pub(crate) mod thread_confinement;
pub(crate) mod transcript;
