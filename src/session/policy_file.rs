//! The policy of a home, as a session reads it.

use super::home::Home;
use crate::policy::{Policy, PolicyError};
use crate::report::failure::{Failure, help_with};

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
            Failure::refused(
                problem,
                "fix the file; `agp init --force` replaces policy.json and config.json",
            )
        }
    })
}
