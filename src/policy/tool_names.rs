//! The tools that a rule names, and what to write instead of what another program's rules look like.

use std::fmt;

use super::glob::Glob;
use super::patterns::List;
use crate::contracts::call::Actor;
use crate::reading::known_tools::{self, Does};
use serde_json::{Map, Value};

/// The tool that runs commands, by every harness's name for it.
pub(super) const SHELL: &str = "Bash";
/// Tools of one harness that run commands as well: Claude Code's, which tells its model of each line
/// that a command prints.
pub(super) const OTHER_SHELLS: [&str; 1] = ["Monitor"];

/// Whether a tool's argument is a command of the shell's.
pub(super) fn runs_commands(tool: &str) -> bool {
    matches!(
        known_tools::plain(tool),
        "Bash" | "Monitor" | "exec_command" | "shell" | "shell_command" | "local_shell"
    )
}

/// The named sets of tools.
const SETS: [&str; 2] = ["@plan", "@edits"];

/// Why a text names no tool; it is its author's to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolNameError {
    /// There is no such set.
    Set(String),
    /// A misspelt tool, and the one that is meant.
    Unknown(String, String),
    /// A rule of another program's.
    Foreign {
        /// As it was written.
        text: String,
        /// Which program's.
        whose: &'static str,
        /// What to write in this language.
        instead: String,
    },
}

impl fmt::Display for ToolNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(text) => write!(
                f,
                "{text:?}: the named sets of tools are {}",
                SETS.join(" and ")
            ),
            Self::Unknown(text, meant) => write!(f, "unknown tool {text:?}: write {meant:?}"),
            Self::Foreign {
                text,
                whose,
                instead,
            } => write!(f, "{text:?} is {whose} syntax: write {instead}"),
        }
    }
}

impl std::error::Error for ToolNameError {}

/// A tool, or tools, as a rule names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolName {
    /// By their names; `*` is any run of characters.
    Glob(Glob),
    /// What touches nothing outside the conversation.
    Plan,
    /// What changes files.
    Edits,
}

impl ToolName {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, ToolNameError> {
        match text {
            "@plan" => return Ok(Self::Plan),
            "@edits" => return Ok(Self::Edits),
            _ if text.starts_with('@') => {
                return Err(ToolNameError::Set(text.to_owned()));
            }
            _ => {}
        }
        if let Some(foreign) = foreign(text) {
            return Err(foreign);
        }
        let glob = Glob::new(text);
        // `*Edit` is no misspelt `Edit`.
        let means = |tool: &known_tools::KnownTool| text.contains('*') && glob.matches(tool.name);
        if !known_tools::KNOWN.iter().any(means)
            && let Some(meant) = known_tools::near(text)
        {
            let meant = meant.to_owned();
            return Err(ToolNameError::Unknown(text.to_owned(), meant));
        }
        Ok(Self::Glob(glob))
    }

    /// As it was written.
    #[must_use]
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Glob(glob) => glob.as_str(),
            Self::Plan => "@plan",
            Self::Edits => "@edits",
        }
    }

    /// Whether it speaks about a call of this tool.
    pub(super) fn matches(&self, tool: &str, args: &Map<String, Value>) -> bool {
        let plain = known_tools::plain(tool);
        match self {
            Self::Glob(glob) => glob.matches(tool) || glob.matches(plain),
            Self::Plan => known_tools::plans(plain, args),
            Self::Edits => known_tools::named(plain).is_some_and(|known| known.does == Does::Edits),
        }
    }

    /// Whether it names tools of servers alone: what such do is no other tool's.
    pub(super) fn is_servers(&self) -> bool {
        matches!(self, Self::Glob(glob) if glob.as_str().starts_with("mcp__"))
    }
}

/// Who calls what: the conditions of a rule that need no look at what the call does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) tool: &'a str,
    pub(super) args: &'a Map<String, Value>,
    pub(super) actor: Actor,
}

impl List<ToolName> {
    pub(super) fn names(&self, caller: Caller<'_>, shells: bool) -> bool {
        let matches = |own: &ToolName| {
            own.matches(caller.tool, caller.args)
                || shells
                    && OTHER_SHELLS.contains(&known_tools::plain(caller.tool))
                    && own.matches(SHELL, caller.args)
        };
        self.has(matches, |own| own.matches(caller.tool, caller.args))
    }
}

/// What a tool that is written as Claude Code's or Codex's rules are should be written as.
fn foreign(text: &str) -> Option<ToolNameError> {
    let written = |whose, instead| ToolNameError::Foreign {
        text: text.to_owned(),
        whose,
        instead,
    };
    if let Some(rest) = text.strip_prefix("prefix_rule(") {
        let words = quoted(rest.split("decision").next().unwrap_or(rest));
        let instead = when("command", &format!("{} *", words.join(" ")), None);
        return Some(written("Codex's", instead));
    }
    let (tool, rest) = text.split_once('(')?;
    let inside = rest.strip_suffix(')').unwrap_or(rest).trim();
    let instead = match tool.trim() {
        "Bash" | "Monitor" if inside.is_empty() || inside == "*" => format!("\"tool\": {tool:?}"),
        "Bash" | "Monitor" => {
            let command = match inside.strip_suffix(":*") {
                Some(prefix) => format!("{} *", prefix.trim_end_matches('*').trim()),
                None => inside.to_owned(),
            };
            when("command", &command, None)
        }
        "Read" | "NotebookRead" | "Glob" | "Grep" | "LS" => when("read", &path(inside), None),
        "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => when("write", &path(inside), None),
        "WebFetch" | "WebSearch" => {
            let host = inside.strip_prefix("domain:").unwrap_or(inside);
            when("host", host, None)
        }
        server if server.starts_with("mcp__") => format!("\"tool\": {server:?}"),
        // Another tool's arguments: the person names the one that is meant.
        other => when("args", inside, Some(other)),
    };
    Some(written("Claude Code's", instead))
}

fn when(what: &str, pattern: &str, tool: Option<&str>) -> String {
    match tool {
        None => format!("\"when\": {{\"{what}\": [{pattern:?}]}}"),
        Some(tool) => {
            format!("\"tool\": {tool:?}, \"when\": {{\"args\": {{\"/NAME\": [{pattern:?}]}}}}")
        }
    }
}

/// Claude Code's paths: `//x` is absolute, `/x` is the settings', `./x` the repository's.
fn path(text: &str) -> String {
    match (
        text.strip_prefix("//"),
        text.strip_prefix("./"),
        text.strip_prefix('/'),
    ) {
        (Some(rest), _, _) => format!("/{rest}"),
        (None, Some(rest), _) if rest.contains('/') => rest.to_owned(),
        (None, Some(rest), _) | (None, None, Some(rest)) => format!("${{repo}}/{rest}"),
        _ => text.to_owned(),
    }
}

/// The texts between quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split(['"', '\'']).skip(1).step_by(2).collect()
}
