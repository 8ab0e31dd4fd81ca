//! What a person is shown of a call: pure, and the same at a terminal and in Slack.

mod arguments;
pub mod before;
mod changes;
pub mod characters;
mod diff;
pub mod escape;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lines;
mod notebook;
mod patch;
pub mod places;
mod record;
mod room;
#[cfg(test)]
mod tests;

pub use lines::{DrawnLine, drawn};

use crate::contracts::call::{ToolCall, WORKDIR};
use crate::contracts::ids::Sha256;
use crate::contracts::verdict::Verdict;
use crate::contracts::view::{CallView, Origin};
use crate::reading::atoms::Reading;
use crate::reading::known_tools;
use crate::reading::surroundings::Surroundings;

use arguments::Arguments;
use before::ChangedFile;
use changes::Changes;
use places::Where;
use room::Room;

/// What a view is made of.
#[derive(Debug)]
pub struct ViewRequest<'a> {
    /// The call.
    pub call: &'a ToolCall,
    /// The verdict that asks.
    pub verdict: &'a Verdict,
    /// What made it a question, in words.
    pub atoms: &'a [String],
    /// What the call would do. `None` where nobody read it.
    pub reading: Option<&'a Reading>,
    /// Where the call is made.
    pub around: &'a Surroundings,
    /// The files that it changes ([`places::targets`]), as they are.
    pub files: &'a [ChangedFile],
    /// Where the session runs.
    pub origin: &'a Origin,
    /// Digest of the canonical arguments.
    pub args_sha256: Sha256,
    /// Digest of what the call would do.
    pub reading_sha256: Sha256,
}

/// Draws a call up. All of its arguments are in it: as the lines of a block, its subject, the directory or the
/// description. Of a file that is shown as it is, each changed line, and not the lines between.
#[must_use]
pub fn of(request: &ViewRequest<'_>) -> CallView {
    let (call, verdict) = (request.call, request.verdict);
    let at = Where::of(call, request.around);
    let tool = known_tools::plain(&call.tool);
    let mut args = Arguments::of(&call.args);
    let mut room = Room::default();
    let blocks = match tool {
        "Bash" | "Monitor" | "exec_command" | "shell" | "shell_command" | "local_shell"
        | "PowerShell" => args.commands(&mut room),
        tool => {
            let mut changes = Changes {
                at: &at,
                files: request.files,
                room: &mut room,
            };
            changes.blocks(tool, &mut args, &call.args)
        }
    };
    // To a tool that agp does not know it may be what the call is about.
    let description = args.text("description");
    let description = description.filter(|_| known_tools::named(tool).is_some());
    if description.is_some() {
        args.shown(&["description"]);
    }
    if at.directory.is_some() {
        args.shown(&[WORKDIR]);
    }
    CallView {
        tool: call.tool.clone(),
        blocks: blocks.into_iter().chain(args.blocks(&mut room)).collect(),
        directory: at.elsewhere(),
        leads: request
            .reading
            .map_or_else(Vec::new, |reading| places::leads(reading, &at)),
        description: description.map(str::to_owned),
        rule: verdict.rule_id.clone(),
        reason: verdict.reason.clone(),
        atoms: request.atoms.to_vec(),
        origin: request.origin.clone(),
        details: details(request),
    }
}

fn details(request: &ViewRequest<'_>) -> Vec<(String, String)> {
    let mut details = vec![("call".to_owned(), request.call.id.to_string())];
    details.extend(
        request
            .verdict
            .tier
            .clone()
            .map(|tier| ("tier".to_owned(), tier)),
    );
    details.push((
        "sha256 of the arguments".to_owned(),
        request.args_sha256.to_hex(),
    ));
    details.push((
        "sha256 of the reading".to_owned(),
        request.reading_sha256.to_hex(),
    ));
    for file in request.files {
        if let Some(sha256) = file.before.sha256() {
            let value = format!("{} {}", sha256.to_hex(), file.path);
            details.push(("sha256 of a file as it is".to_owned(), value));
        }
    }
    details
}
