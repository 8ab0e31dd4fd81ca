//! Why a harness did not pass the live probe, by what is at fault.

use std::fmt;

use crate::contracts::intendant::{HarnessError, HarnessExit};
use crate::governor::{Broken, Census};
use crate::report::failure::Failure;

/// The help where the gate is at fault.
const UNGATED: &str = "do not use this harness under agp until `agp doctor --live` passes";

/// Why a harness did not pass.
#[derive(Debug)]
pub(crate) enum TrialError {
    /// The trial could not be made.
    NotMade(String),
    /// The harness could not be started or followed.
    Harness(HarnessError),
    /// The harness failed.
    Exit(HarnessExit),
    /// The call that must be denied ran.
    DeniedRan,
    /// The call that must be allowed did not run.
    AllowedDidNotRun,
    /// The gate failed.
    GateBroken(Broken),
    /// The harness offers its model a tool that is not agp's.
    ForeignTool(String),
    /// The harness's output does not show its calls.
    Unseen(Census),
    /// The calls were not decided as expected.
    Miscounted(Census),
    /// The journal of the trial does not verify.
    NotIntact,
}

impl TrialError {
    pub(super) fn not_made(why: impl fmt::Display) -> Self {
        Self::NotMade(why.to_string())
    }
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMade(why) => f.write_str(why),
            Self::Harness(error) => write!(f, "{error}"),
            Self::Exit(exit) => write!(f, "the harness failed during the self-test: {exit:?}"),
            Self::DeniedRan => f.write_str("THE GATE DOES NOT WORK: a denied call ran"),
            Self::AllowedDidNotRun => f.write_str("an allowed call did not run"),
            Self::GateBroken(broken) => write!(f, "the gate failed: {broken}"),
            Self::ForeignTool(tool) => write!(
                f,
                "the harness offers its model a tool that is not agp's: {tool}"
            ),
            Self::Unseen(Census { seen, decided, .. }) => write!(
                f,
                "the harness's output does not show its calls ({seen} seen, {decided} decided); \
                --witness off runs it without this check"
            ),
            Self::Miscounted(Census {
                seen,
                decided,
                allowed,
                denied,
                ..
            }) => write!(
                f,
                "the gate failed: of two test calls {seen} were seen, {decided} decided, {allowed} \
                allowed, {denied} denied (expected: 1 allowed, 1 denied)"
            ),
            Self::NotIntact => f.write_str("the self-test's journal does not verify"),
        }
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Harness(error) => error.into(),
            other => Self::refused(other, UNGATED),
        }
    }
}
