//! How a session is laid out: which harness it has, who runs its tools, and where each of them runs.

use std::path::{Path, PathBuf};

use crate::report::failure::Failure;
use crate::sandbox::docker::container::{BOX, HARNESS_BOX};

use super::docker::container::GATE;
use super::kinds::{Confine, Harness, Mode, Provider};

#[cfg(test)]
mod tests;

/// The layouts that there are. All else that can be asked for is refused ([`Layout::of`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A script, whose calls are recorded and not run.
    ScriptRecorded,
    /// A script, whose calls agp runs in the process sandbox.
    ScriptInProcess,
    /// A script, whose calls agp runs in a container.
    ScriptInDocker,
    /// Claude Code on this host, with its own tools: it asks before each call.
    ClaudeHookOnHost(Confine),
    /// The same in a container.
    ClaudeHookInContainer,
    /// Claude Code on this host; its tools are agp's, and run in the process sandbox.
    ClaudeMediatedInProcess(Confine),
    /// Claude Code on this host; its tools are agp's, and run in a container.
    ClaudeMediatedInDocker(Confine),
    /// Codex on this host; its tools are agp's, and run in the process sandbox.
    CodexInProcess(Confine),
    /// Codex on this host; its tools are agp's, and run in a container.
    CodexInDocker(Confine),
    /// Codex in a container of its own; its tools are agp's, and run in another.
    CodexInOwnContainer,
}

/// Where the harness runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HarnessPlace {
    /// There is none: a script is played.
    Nowhere,
    /// On this host, so confined.
    Host(Confine),
    /// In the session's container, where agp runs nothing else.
    SessionContainer,
    /// In a container of its own, beside that of its tools.
    OwnContainer,
}

/// What was asked for, where anything was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayoutRequest {
    /// None is a script.
    pub(crate) harness: Option<Harness>,
    pub(crate) mode: Option<Mode>,
    pub(crate) sandbox: Option<Provider>,
    pub(crate) confine: Option<Confine>,
}

/// Why there is no such layout, or not with that network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayoutError {
    ScriptHasNoHooks,
    CodexHasNoHookMode,
    RecordingRunsNoHarness,
    HookModeInProcessSandbox,
    ConfineInContainer,
    EgressOfRecording,
    EgressNoneInHookMode,
}

impl From<LayoutError> for Failure {
    fn from(error: LayoutError) -> Self {
        let (problem, help) = match error {
            LayoutError::ScriptHasNoHooks => (
                "--mode does not apply to a script: it has no hooks",
                "omit --mode",
            ),
            LayoutError::CodexHasNoHookMode => (
                "Codex does not support hook mode: it runs a call whose hook was killed or hangs",
                "omit --mode: Codex uses mediated mode",
            ),
            LayoutError::RecordingRunsNoHarness => (
                "the recording sandbox runs nothing, so a harness cannot use it",
                "omit --sandbox, or use --intendant scripted",
            ),
            // Not wrong in itself: it may come.
            LayoutError::HookModeInProcessSandbox => {
                return Self::refused(
                    "not supported: a harness in hook mode with the process sandbox",
                    "use --mode mediated",
                );
            }
            LayoutError::ConfineInContainer => (
                "--confine applies only to a harness on this host",
                "omit --confine",
            ),
            LayoutError::EgressOfRecording => (
                "--egress has no effect: the recording sandbox runs nothing",
                "add --sandbox process",
            ),
            LayoutError::EgressNoneInHookMode => (
                "--egress none would cut the harness off from its model",
                "use --egress allowlist: it allows the model's API only",
            ),
        };
        Self::usage(problem, help)
    }
}

impl Layout {
    /// The one place where layouts are made. `hook_blocks` finds out whether this host's Claude Code blocks a
    /// call whose hook fails; it is asked only where that decides. Which one is in an image is asked once the
    /// container is there.
    ///
    /// # Errors
    /// [`LayoutError`] when there is no such layout.
    pub(crate) fn of(
        request: LayoutRequest,
        hook_blocks: impl FnOnce() -> bool,
    ) -> Result<Self, LayoutError> {
        let LayoutRequest {
            harness,
            mode,
            sandbox,
            confine,
        } = request;
        let on_host = confine.unwrap_or(Confine::Strict);
        let in_container = |layout| match confine {
            None => Ok(layout),
            Some(Confine::Strict | Confine::BestEffort) => Err(LayoutError::ConfineInContainer),
        };
        let recording = Some(Provider::Recording);
        match harness {
            None => match (mode, sandbox) {
                (Some(Mode::Hook), _) => Err(LayoutError::ScriptHasNoHooks),
                (None | Some(Mode::Mediated), None | Some(Provider::Recording)) => {
                    Ok(Self::ScriptRecorded)
                }
                (None | Some(Mode::Mediated), Some(Provider::Process)) => Ok(Self::ScriptInProcess),
                (None | Some(Mode::Mediated), Some(Provider::Docker)) => Ok(Self::ScriptInDocker),
            },
            Some(Harness::ClaudeCode) => {
                let mode = match (mode, sandbox) {
                    (Some(mode), _) => mode,
                    (None, Some(Provider::Docker)) => Mode::Hook,
                    (None, _) if sandbox == recording || hook_blocks() => Mode::Hook,
                    (None, _) => Mode::Mediated,
                };
                match (mode, sandbox) {
                    (_, Some(Provider::Recording)) => Err(LayoutError::RecordingRunsNoHarness),
                    (Mode::Hook, None) => Ok(Self::ClaudeHookOnHost(on_host)),
                    (Mode::Hook, Some(Provider::Process)) => {
                        Err(LayoutError::HookModeInProcessSandbox)
                    }
                    (Mode::Hook, Some(Provider::Docker)) => {
                        in_container(Self::ClaudeHookInContainer)
                    }
                    (Mode::Mediated, None | Some(Provider::Process)) => {
                        Ok(Self::ClaudeMediatedInProcess(on_host))
                    }
                    (Mode::Mediated, Some(Provider::Docker)) => {
                        Ok(Self::ClaudeMediatedInDocker(on_host))
                    }
                }
            }
            Some(Harness::Codex) => match (mode, sandbox) {
                (Some(Mode::Hook), _) => Err(LayoutError::CodexHasNoHookMode),
                (_, Some(Provider::Recording)) => Err(LayoutError::RecordingRunsNoHarness),
                (_, None | Some(Provider::Process)) => Ok(Self::CodexInProcess(on_host)),
                // Asked for by name, mediated mode has the harness on this host.
                (Some(Mode::Mediated), Some(Provider::Docker)) => Ok(Self::CodexInDocker(on_host)),
                (None, Some(Provider::Docker)) => in_container(Self::CodexInOwnContainer),
            },
        }
    }

    /// Why its mode is this one.
    pub(crate) fn mode_reason(self, choice: Option<Mode>) -> &'static str {
        match (self, choice) {
            (Self::ScriptRecorded | Self::ScriptInProcess | Self::ScriptInDocker, _) => "a script",
            (_, Some(Mode::Hook | Mode::Mediated)) => "requested",
            (Self::ClaudeHookInContainer | Self::CodexInOwnContainer, None) => "in a container",
            (Self::ClaudeHookOnHost(_), None) => "Claude Code blocks a call when its hook fails",
            (Self::ClaudeMediatedInProcess(_) | Self::ClaudeMediatedInDocker(_), None) => {
                "this Claude Code runs a call when its hook fails"
            }
            (Self::CodexInProcess(_) | Self::CodexInDocker(_), None) => "Codex supports no other",
        }
    }

    /// The harness, a program of its own that speaks through the gateway; a script is none.
    pub(crate) fn harness(self) -> Option<Harness> {
        match self {
            Self::ScriptRecorded | Self::ScriptInProcess | Self::ScriptInDocker => None,
            Self::ClaudeHookOnHost(_)
            | Self::ClaudeHookInContainer
            | Self::ClaudeMediatedInProcess(_)
            | Self::ClaudeMediatedInDocker(_) => Some(Harness::ClaudeCode),
            Self::CodexInProcess(_) | Self::CodexInDocker(_) | Self::CodexInOwnContainer => {
                Some(Harness::Codex)
            }
        }
    }

    /// Where the harness runs.
    pub(crate) fn place(self) -> HarnessPlace {
        match self {
            Self::ScriptRecorded | Self::ScriptInProcess | Self::ScriptInDocker => {
                HarnessPlace::Nowhere
            }
            Self::ClaudeHookOnHost(confine)
            | Self::ClaudeMediatedInProcess(confine)
            | Self::ClaudeMediatedInDocker(confine)
            | Self::CodexInProcess(confine)
            | Self::CodexInDocker(confine) => HarnessPlace::Host(confine),
            Self::ClaudeHookInContainer => HarnessPlace::SessionContainer,
            Self::CodexInOwnContainer => HarnessPlace::OwnContainer,
        }
    }

    /// Who runs the harness's tools, where there is one.
    pub(crate) fn mode(self) -> Option<Mode> {
        match self {
            Self::ScriptRecorded | Self::ScriptInProcess | Self::ScriptInDocker => None,
            Self::ClaudeHookOnHost(_) | Self::ClaudeHookInContainer => Some(Mode::Hook),
            Self::ClaudeMediatedInProcess(_)
            | Self::ClaudeMediatedInDocker(_)
            | Self::CodexInProcess(_)
            | Self::CodexInDocker(_)
            | Self::CodexInOwnContainer => Some(Mode::Mediated),
        }
    }

    /// The sandbox that is made for the session, of its calls or around a harness with its own tools; of the one
    /// on this host agp runs nothing.
    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::ScriptRecorded | Self::ClaudeHookOnHost(_) => Provider::Recording,
            Self::ScriptInProcess | Self::ClaudeMediatedInProcess(_) | Self::CodexInProcess(_) => {
                Provider::Process
            }
            Self::ScriptInDocker
            | Self::ClaudeHookInContainer
            | Self::ClaudeMediatedInDocker(_)
            | Self::CodexInDocker(_)
            | Self::CodexInOwnContainer => Provider::Docker,
        }
    }

    /// Whether agp runs what is allowed, itself.
    pub(crate) fn runs_calls(self) -> bool {
        match self.mode() {
            Some(Mode::Hook) => false,
            None | Some(Mode::Mediated) => self.provider() != Provider::Recording,
        }
    }

    /// Whether anything runs at all, and so is confined.
    pub(crate) fn runs_anything(self) -> bool {
        self != Self::ScriptRecorded
    }

    /// Whether the harness is in a container, its own or the session's.
    pub(crate) fn in_container(self) -> bool {
        match self.place() {
            HarnessPlace::Nowhere | HarnessPlace::Host(_) => false,
            HarnessPlace::SessionContainer | HarnessPlace::OwnContainer => true,
        }
    }

    /// Whether the harness is on this host.
    pub(crate) fn on_host(self) -> bool {
        matches!(self.place(), HarnessPlace::Host(_))
    }

    /// Whether Claude Code has a configuration of the session's on this host.
    pub(crate) fn has_claude_home(self) -> bool {
        self.harness() == Some(Harness::ClaudeCode) && self.on_host()
    }

    /// Where the session's tools run, whoever runs them, in a word.
    pub(crate) fn tools_at(self) -> &'static str {
        match (self.provider(), self.on_host()) {
            (Provider::Process, _) => "process",
            (Provider::Docker, _) => "docker",
            (Provider::Recording, true) => "host",
            (Provider::Recording, false) => "recording",
        }
    }

    /// Where the gateway listens, within the session's directory.
    pub(crate) fn gate(self, directory: &Path) -> PathBuf {
        match self.place() {
            HarnessPlace::Nowhere | HarnessPlace::Host(_) => directory.join(GATE),
            HarnessPlace::SessionContainer => directory.join(BOX).join(GATE),
            HarnessPlace::OwnContainer => directory.join(HARNESS_BOX).join(GATE),
        }
    }
}
