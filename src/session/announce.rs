//! What a session says of itself before it begins.

use super::kinds::{Harness, Provider};
use super::layout::Layout;
use super::options::SessionOptions;
use super::slack;
use crate::channels::escape;
use crate::contracts::ids::SessionId;
use crate::intendants::{claude_code, codex};
use crate::report::failure::complain;

/// `nobody`: there is no terminal to ask at.
pub(crate) fn announce(
    options: &SessionOptions,
    session: &SessionId,
    confined: bool,
    nobody: bool,
) {
    complain(format_args!(
        "session {session} in {}",
        options.repository.display()
    ));
    let is = if confined { "is" } else { "is not" };
    let mode_reason = options.mode_reason;
    let mediated = |sandbox| {
        complain(format_args!(
            "mode: mediated ({mode_reason}): the harness has only agp's tools. They run in the \
            {sandbox} sandbox; the harness itself {is} confined."
        ));
    };
    match options.layout {
        Layout::ScriptRecorded => complain(
            "sandbox: recording: allowed calls are recorded, not run (--sandbox process runs them)",
        ),
        Layout::ScriptInProcess | Layout::ScriptInDocker => {}
        Layout::ClaudeHookInContainer => complain(format_args!(
            "mode: hook ({mode_reason}): the harness and its tools run in a container. It asks before \
            each call and reports results itself."
        )),
        Layout::ClaudeHookOnHost(_) => complain(format_args!(
            "mode: hook ({mode_reason}): the harness runs its own tools on this host and {is} \
            confined. It asks before each call and reports results itself."
        )),
        Layout::CodexInOwnContainer => complain(format_args!(
            "mode: mediated ({mode_reason}): the harness has only agp's tools. They run in one \
            container, the harness in another."
        )),
        Layout::ClaudeMediatedInProcess(_) | Layout::CodexInProcess(_) => mediated("process"),
        Layout::ClaudeMediatedInDocker(_) | Layout::CodexInDocker(_) => mediated("Docker"),
    }
    without_login(options);
    without_tools(options);
    if options.layout.harness().is_some() {
        if !options.probe {
            complain("WARNING: --no-probe: the gate was not tested with this harness");
        }
        if !options.witness {
            complain(
                "WARNING: --witness off: agp cannot detect a call that the harness runs without \
                asking",
            );
        }
    }
    if let Some(settings) = &options.slack {
        slack::announce(settings);
    }
    if nobody && !options.auto_approve && !options.attend && options.slack.is_none() {
        complain(
            "WARNING: no approver available: every question is denied. Run it in a terminal, with --attend, or \
            with --channel slack.",
        );
    }
    if options.auto_approve {
        complain("WARNING: AGP_AUTO_APPROVE=1: all approvals are automatic");
    }
}

/// Says why a command that works outside is not found inside. A container has a `PATH` of its own.
fn without_tools(options: &SessionOptions) {
    if !options.layout.on_host() || options.layout.provider() == Provider::Docker {
        return;
    }
    let left_out = options.left_out_of_path();
    let Some(first) = left_out.first() else {
        return;
    };
    let more = match left_out.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    complain(format_args!(
        "note: PATH inside the sandbox omits {}{more} (--allow-read DIR keeps a directory)",
        escape::line(&first.display().to_string())
    ));
}

/// Says before the start what the harness would say much later, or try without end. In a container the login
/// was looked for already.
fn without_login(options: &SessionOptions) {
    if !options.layout.on_host() {
        return;
    }
    match options.layout.harness() {
        Some(Harness::ClaudeCode) => {
            if let Err(why) = claude_code::login() {
                complain(format_args!(
                    "note: Claude Code is not logged in ({why}). Log in with `claude`, or set \
                    ANTHROPIC_API_KEY."
                ));
            }
        }
        Some(Harness::Codex) if !codex::login_present() => complain(
            "note: Codex is not logged in and may retry forever. Run `codex login`, or set \
            CODEX_API_KEY.",
        ),
        None | Some(Harness::Codex) => {}
    }
}
