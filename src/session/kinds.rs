//! What can be chosen of a session: the harness, who runs its tools, where, and how it is shown.

use std::path::PathBuf;

use crate::report::failure::Failure;

/// A harness: a program of its own, which speaks through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harness {
    ClaudeCode,
    Codex,
}

impl Harness {
    /// The name that `--intendant` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
        }
    }
}

/// Who runs the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The harness runs its own, and asks before each.
    Hook,
    /// agp does; the harness has none of its own.
    Mediated,
}

/// A sandbox of agp's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Recording,
    Process,
    Docker,
}

/// How a harness on this host is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confine {
    /// It is, or the session is refused.
    Strict,
    /// It is where the kernel permits it.
    BestEffort,
}

/// How the harness's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Lines,
    Raw,
}

pub(crate) fn unknown(flag: &str, value: &str, known: &str) -> Failure {
    Failure::usage(
        format!("unknown value {value:?} for {flag}"),
        format!("use {known}"),
    )
}

/// Paths as they are, links followed: what is allowed is what is there now.
pub(crate) fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let real = paths.iter().map(|path| {
        path.canonicalize().map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            Failure::usage(problem, "use an existing path")
        })
    });
    real.collect()
}
