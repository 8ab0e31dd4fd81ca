//! What can be chosen of a session: the harness, who runs its tools, where, and how it is shown.

use std::path::PathBuf;

use crate::report::failure::Failure;

/// Which harness is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harness {
    Scripted,
    ClaudeCode,
    Codex,
}

impl Harness {
    /// Whether it is a program of its own, which speaks through the gateway.
    pub(crate) fn is_program(self) -> bool {
        self != Self::Scripted
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

/// Where agp runs what it executes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Recording,
    Process,
    Docker,
}

/// Whether the harness itself is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confine {
    /// It is not.
    Off,
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

/// What decides how a session is laid out.
#[derive(Clone, Copy)]
pub(crate) struct Choices {
    pub(crate) harness: Harness,
    pub(crate) mode: Mode,
    pub(crate) sandbox: Provider,
    /// Whether the harness has a container of its own, beside that of its tools, which agp runs.
    pub(crate) alone: bool,
}

impl Choices {
    /// Whether the harness runs in a container, of its own or of the session's.
    pub(crate) fn in_container(self) -> bool {
        self.alone || self.harness_inside()
    }

    /// Whether the harness itself runs in the session's container, where agp runs nothing else.
    pub(crate) fn harness_inside(self) -> bool {
        let hooked = self.harness.is_program() && self.mode == Mode::Hook;
        hooked && self.sandbox == Provider::Docker
    }
}

pub(crate) fn unknown(flag: &str, value: &str, known: &str) -> Failure {
    Failure::usage(format!("unknown {flag} {value:?}"), format!("use {known}"))
}

/// Paths as they are, links followed: what is allowed is what is there now.
pub(crate) fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let found = paths.iter().map(|path| {
        path.canonicalize().map_err(|error| {
            let problem = format!("{}: {error}", path.display());
            Failure::usage(problem, "use an existing path")
        })
    });
    found.collect()
}
