//! What runs on the harness's side: the hook that asks the governor, the leash that ends the
//! harness with it, the server that offers agp's tools, the confinement of what agp runs. Quick to
//! start; no signatures, no network.

pub(crate) mod call_context;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hook_error;
pub(crate) mod kept_apart;
pub mod login_renewal;
pub mod mcp_server;
pub(crate) mod mcp_tool_schemas;
pub mod pre_post_tool;
pub(crate) mod unreadable_call;
