//! What runs on the harness's side: the hook that asks the governor, the leash that ends the
//! harness with it, the server that offers agp's tools, the confinement of what agp runs. Quick to
//! start; no signatures, no network.

mod apart;
mod beside;
pub mod confine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod git;
pub mod hook;
pub mod inside;
pub mod job;
pub mod leash;
pub mod login;
pub mod mcp;
mod offered;
pub mod processes;
pub mod relay;
pub mod shell;
mod unread;
