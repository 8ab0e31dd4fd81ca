//! What runs on the harness's side: the hook that asks the governor, and the leash that ends the
//! harness with it. Small and quick to start; no cryptography, no network.

pub mod hook;
pub mod leash;
pub mod processes;
