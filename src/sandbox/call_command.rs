//! What a call comes to in a sandbox, and what its model and the journal are told of it.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::contracts::call::ToolCall;
use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::sandbox::Execution;
use crate::jail::status::Told;

use super::process::output::Ran;
use super::secrets::{NAME_CHARS, SecretMisuse, Used};

/// What a call comes to inside.
pub(super) struct Work {
    pub(super) kind: WorkKind,
    pub(super) command: Vec<OsString>,
    pub(super) input: Vec<u8>,
    pub(super) deadline: Duration,
    /// Names of the secrets it is given.
    pub(super) secrets: Vec<String>,
}

#[derive(Clone, Copy)]
pub(super) enum WorkKind {
    /// A command for the shell.
    Shell,
    /// One of agp's own tools, which words its answer itself.
    Tool,
}

impl Work {
    /// What a call comes to, or why it cannot be run. `program` is agp's own where the call is run,
    /// and `shell` the one that is there.
    pub(super) fn of(
        call: &ToolCall,
        used: Used,
        program: &Path,
        shell: Option<&str>,
    ) -> Result<Self, Unrunnable> {
        if call.tool == "Bash" {
            return self::shell(call, used, shell.unwrap_or(SH));
        }
        if !crate::tools::NAMES.contains(&call.tool.as_str()) {
            return Err(Unrunnable::Tool(call.tool.clone()));
        }
        let input = serde_json::to_vec(&call.args).map_err(Unrunnable::Unwritable)?;
        Ok(Self {
            kind: WorkKind::Tool,
            command: vec![program.into(), "tool".into(), call.tool.clone().into()],
            input,
            deadline: limits::EXEC_DEADLINE,
            secrets: Vec::new(),
        })
    }
}

/// Why a call cannot be run, in the words of its harness's own tools: its model is told.
#[derive(Debug)]
pub(super) enum Unrunnable {
    /// There is no such tool.
    Tool(String),
    /// The tool takes no such argument.
    Argument(String),
    /// A command that is to go on behind its answer.
    Background,
    /// A call of the shell without a command.
    NoCommand,
    /// It may not have the secrets that it asks for.
    Secret(SecretMisuse),
    /// Its arguments are no JSON.
    Unwritable(serde_json::Error),
}

impl From<SecretMisuse> for Unrunnable {
    fn from(misuse: SecretMisuse) -> Self {
        Self::Secret(misuse)
    }
}

impl fmt::Display for Unrunnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(name) => write!(f, "No such tool available: {name}"),
            Self::Argument(name) => {
                let name = name.escape_debug().take(NAME_CHARS).collect::<String>();
                let known = SHELL_ARGUMENTS.join(", ");
                write!(
                    f,
                    "InputValidationError: unknown field `{name}`, expected one of {known}"
                )
            }
            Self::Background => f.write_str(
                "run_in_background is not supported here. Run the command without it, with a \
                sufficient timeout.",
            ),
            Self::NoCommand => f.write_str("Bash needs a command"),
            Self::Secret(misuse) => write!(f, "{misuse}"),
            Self::Unwritable(error) => write!(f, "{error}"),
        }
    }
}

/// What a command can be given. Other arguments would be shown to whoever approves it, and mean nothing.
const SHELL_ARGUMENTS: [&str; 4] = ["command", "timeout", "description", "run_in_background"];

fn shell(call: &ToolCall, used: Used, shell: &str) -> Result<Work, Unrunnable> {
    let mut names = call.args.keys();
    if let Some(unknown) = names.find(|name| !SHELL_ARGUMENTS.contains(&name.as_str())) {
        return Err(Unrunnable::Argument(unknown.clone()));
    }
    let flag = |name: &str| call.args.get(name).and_then(Value::as_bool) == Some(true);
    if flag("run_in_background") {
        return Err(Unrunnable::Background);
    }
    let command = call.args.get("command").and_then(Value::as_str);
    let command = used.command.as_deref().or(command);
    let command = command.ok_or(Unrunnable::NoCommand)?;
    // Milliseconds, as harnesses have it.
    let deadline = match call.args.get("timeout").and_then(Value::as_u64) {
        Some(millis) => Duration::from_millis(millis).min(limits::EXEC_DEADLINE_MAX),
        None => limits::EXEC_DEADLINE,
    };
    Ok(Work {
        kind: WorkKind::Shell,
        command: [shell, "-c", command].map(OsString::from).to_vec(),
        input: Vec::new(),
        deadline,
        secrets: used.names,
    })
}

/// The shell that a tool of that name lets a model expect, and the one that is always there.
pub(super) const SHELLS: [&str; 2] = ["/bin/bash", SH];
const SH: &str = "/bin/sh";

impl WorkKind {
    /// What the model is told, in the words of its harness's own tools.
    pub(super) fn answer(self, execution: &Execution, deadline: Duration) -> String {
        let mut output = execution.output.trim_end_matches('\n');
        let mut missing = execution
            .output_bytes
            .saturating_sub(execution.output.len() as u64);
        if let Self::Shell = self {
            let end = output.floor_char_boundary(limits::SHELL_ANSWER_BYTES);
            missing += (output.len() - end) as u64;
            output = output.get(..end).unwrap_or(output);
        }
        let mut answer = match (self, execution.exit_code, execution.signal) {
            (Self::Tool, Some(_), _) => execution.output.clone(),
            (Self::Shell, Some(0), _) if output.is_empty() => {
                "(Bash completed with no output)".to_owned()
            }
            (Self::Shell, Some(0), _) => output.to_owned(),
            (_, Some(code), _) => format!("Exit code {code}\n{output}"),
            (_, None, Some(signal)) => format!("Ended by signal {signal}\n{output}"),
            (_, None, None) => format!(
                "Ended after at most {} s; what it printed until then:\n{output}",
                deadline.as_secs_f32()
            ),
        };
        for note in &execution.notes {
            let _ = write!(answer, "\n[agp: {note}]");
        }
        if missing > 0 {
            let _ = write!(answer, "\n[{} not shown]", count(missing, "more byte"));
        }
        answer
    }
}

/// Paths that a note names; a journal line is bounded.
const PLANTED_SHOWN: usize = 20;

/// Exit code of a shell that cannot run a command.
const NOT_RUN: i32 = 127;

pub(super) fn not_run(why: String) -> Execution {
    let ran = Ran::nothing(Told::NotStarted(why.clone()));
    Execution {
        answer: why,
        ..execution(ran, &[])
    }
}

pub(super) fn execution(ran: Ran, planted: &[PathBuf]) -> Execution {
    let mut notes = Vec::new();
    let (mut exit_code, mut signal) = (None, None);
    match ran.ended {
        Told::Exited(code) => exit_code = Some(code),
        Told::Signalled(number) => signal = Some(number),
        Told::NotStarted(why) => {
            exit_code = Some(NOT_RUN);
            notes.push(why);
        }
        Told::Deadline => notes.push("killed at its deadline".to_owned()),
        Told::Stopped => notes.push("killed with the session".to_owned()),
        Told::DiskFull => notes.push("killed: it filled the disk".to_owned()),
        // Neither ends a command.
        Told::Confined { .. } | Told::Failed(_) => {
            notes.push("ended for an unknown reason".to_owned());
        }
    }
    if !planted.is_empty() {
        let named = planted.iter().take(PLANTED_SHOWN);
        let names: Vec<String> = named.map(|path| path.display().to_string()).collect();
        let mut note = format!(
            "changed files that run outside the sandbox: {}",
            names.join(", ")
        );
        if planted.len() > PLANTED_SHOWN {
            let _ = write!(note, " and {} more", planted.len() - PLANTED_SHOWN);
        }
        notes.push(note);
    }
    Execution {
        exit_code,
        signal,
        output: String::from_utf8_lossy(&ran.output).into_owned(),
        answer: String::new(),
        output_sha256: ran.output_sha256,
        output_bytes: ran.output_bytes,
        notes,
        secrets: Vec::new(),
    }
}
