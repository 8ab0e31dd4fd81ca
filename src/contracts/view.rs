//! A call as a person is shown it, the same at a terminal and in Slack. Data only: `view` makes it, each channel draws
//! it. What the agent, the repository or the task's author wrote is raw in it; whoever draws it escapes it and puts it
//! behind a bar.

use serde::{Deserialize, Serialize};

/// What a person decides by, in the order in which it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CallView {
    /// The tool's name, as the harness knows it.
    pub tool: String,
    /// What the call does, what matters most first: all of the call's arguments stand in these.
    pub blocks: Vec<ViewBlock>,
    /// The directory, where it is not the repository's root.
    pub directory: Option<String>,
    /// Paths that lead elsewhere than they say: through a link, or by another name of the same file.
    pub leads: Vec<Lead>,
    /// The agent's own words about the call.
    pub description: Option<String>,
    /// The rule that asks; `None` where none does.
    pub rule: Option<String>,
    /// Why it is asked, by the policy.
    pub reason: String,
    /// What made it a question, such as `writes .github/workflows/ci.yml`.
    pub atoms: Vec<String>,
    /// Who asks, and where.
    pub origin: Origin,
    /// Ids and digests by their names: for whoever looks closer.
    pub details: Vec<(String, String)>,
}

/// A path that leads elsewhere than it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lead {
    /// As the call names it.
    pub path: String,
    /// Where it leads: the same path where it leads nowhere else.
    pub real: String,
    /// The file has other names (hard links), under which it changes as well.
    #[serde(default)]
    pub other_names: bool,
}

/// The session that a call belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Origin {
    /// The session's id.
    pub session: String,
    /// The harness with its version.
    pub harness: String,
    /// The task, as the operator gave it.
    pub task: Option<String>,
    /// The repository's path.
    pub repository: String,
    /// The machine's name.
    pub host: String,
    /// The account that started the session.
    pub user: String,
}

/// One part of what a call does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ViewBlock {
    /// What the lines are, in agp's words and with no foreign text: `runs`, `changes`, `creates`, `argument`.
    pub heading: String,
    /// What the heading is about, where it needs a name: a file's path, from the repository's root where it lies below
    /// it; an argument's name. Foreign.
    pub subject: Option<String>,
    /// In order. Of a command or an argument, joined by newlines, exactly its text. Of a file, its lines around each
    /// change; each ends in a newline unless a note behind it says that it does not.
    pub lines: Vec<ViewLine>,
}

/// One line, without its newline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ViewLine {
    /// What it is.
    pub kind: LineKind,
    /// Its number, from 1: of a line that a file gets in the new text, of any other in the file as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Raw; of a [`LineKind::Note`] agp's own words. Without a newline, but for the rest of a text that has more lines
    /// than are told apart: a note before it says so.
    pub text: String,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// Of a command that runs.
    Command,
    /// Of any other argument.
    Text,
    /// Of a file, unchanged.
    Context,
    /// That a file gets.
    Added,
    /// That a file loses.
    Removed,
    /// agp's own words, such as what a diff leaves out.
    Note,
}
