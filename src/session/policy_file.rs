//! The policy of a home, as a session reads it.

use super::home::Home;
use crate::contracts::{bounded_file, limits};
use crate::policy::{Policy, PolicyError};
use crate::report::failure::{Failure, help_with};

/// The machine's policy, which nothing loosens.
pub(crate) const MANAGED: &str = "/etc/agp/policy.json";
/// Where a repository has its own.
pub(crate) const REPOSITORY: &str = ".agp";

/// Reads the text of a home's policy.
pub(crate) fn own_policy(home: &Home) -> Result<Vec<u8>, Failure> {
    home.check_own()?;
    bounded_file::read(&home.policy(), limits::POLICY_BYTES).map_err(|error| {
        let problem = format!("cannot read {}: {error}", home.policy().display());
        let mend = help_with(&home.policy(), &error, "run `agp init`");
        Failure::refused(problem, mend)
    })
}

/// Reads the policy of a home.
pub(crate) fn load_policy(home: &Home) -> Result<Policy, Failure> {
    home.check_own()?;
    Policy::load(&home.policy()).map_err(|error| match error {
        PolicyError::Io {
            ref path,
            error: ref why,
        } => {
            let mend = help_with(path, why, "run `agp init`");
            Failure::refused(error, mend)
        }
        _ => {
            let problem = format!("{}: {error}", home.policy().display());
            Failure::refused(problem, "fix the file, then run `agp policy check`")
        }
    })
}
