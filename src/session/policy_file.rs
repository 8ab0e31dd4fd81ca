//! The policy of a home, as a session reads it.

use super::home::Home;

/// The machine's policy, which nothing loosens.
pub(crate) const MANAGED: &str = "/etc/agp/policy.json";
/// Where a repository has its own.
pub(crate) const REPOSITORY: &str = ".agp";
use crate::contracts::{bounded_file, limits};
use crate::policy::{Policy, PolicyError};
use crate::report::failure::Failure;

/// Reads the text of a home's policy.
pub(crate) fn own_policy(home: &Home) -> Result<Vec<u8>, Failure> {
    home.check_own()?;
    bounded_file::read(&home.policy(), limits::POLICY_BYTES).map_err(|error| {
        let problem = format!("cannot read {}: {error}", home.policy().display());
        Failure::refused(problem, "run `agp init`")
    })
}

/// Reads the policy of a home.
pub(crate) fn load_policy(home: &Home) -> Result<Policy, Failure> {
    home.check_own()?;
    Policy::load(&home.policy()).map_err(|error| match error {
        PolicyError::Io { .. } => Failure::refused(error, "run `agp init`"),
        _ => {
            let problem = format!("{}: {error}", home.policy().display());
            Failure::refused(problem, "fix the file, then run `agp policy check`")
        }
    })
}
