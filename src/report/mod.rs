//! What agp says to people on a command line: failures with the step that helps, and a verifier's answer.

pub mod failure;
pub mod verification;
