//! What runs on the harness's side: the hook that asks the governor, and the leash that ends the
//! harness with it, the server that offers agp's tools. Small and quick to start; no signatures,
//! no network.

pub mod hook;
pub mod leash;
pub mod mcp;
mod offered;
pub mod patch;
pub mod processes;
mod record;
