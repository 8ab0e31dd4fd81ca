//! What a call of a tool would do: the atoms of every tool of the harnesses and of agp's own.

mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod mentioned;
pub mod patch;
pub mod pointer;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::facts::Facts;
use super::atoms::{Atom, AtomKind, Reading, Source};
use super::disk::Disk;
use super::known_tools;
use super::surroundings::Surroundings;
use super::{dangerous_paths, resolve};

/// What a policy declares of tools that agp does not know, by their whole names.
pub type Declared = BTreeMap<String, DeclaredTool>;

/// Which arguments of a tool are what, as JSON pointers ([`pointer::values`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeclaredTool {
    /// Paths that it reads.
    pub read: Vec<String>,
    /// Paths that it makes, changes or removes.
    pub write: Vec<String>,
    /// URLs or hosts that it reaches.
    pub host: Vec<String>,
    /// Shell commands that it runs.
    pub command: Vec<String>,
}

/// Reads a call whole: its atoms, where their paths lead, and what is dangerous about them.
#[must_use]
pub fn read(
    tool: &str,
    args: &Map<String, Value>,
    at: &Surroundings,
    disk: &dyn Disk,
    declared: &Declared,
) -> Reading {
    let mut reading = call(tool, args, at, disk, declared);
    // A path whose place is not known then lies anywhere: what is dangerous about its text is said before.
    dangerous_paths::mark(&mut reading, at, disk);
    resolve::resolve(&mut reading, disk);
    dangerous_paths::mark(&mut reading, at, disk);
    reading
}

/// The atoms of a call, before its paths are followed. There is always one.
#[must_use]
pub fn call(
    tool: &str,
    args: &Map<String, Value>,
    at: &Surroundings,
    disk: &dyn Disk,
    declared: &Declared,
) -> Reading {
    let mut facts = Facts::new(args, at, disk);
    if let Some(declaration) = declared.get(tool) {
        facts.declared(declaration);
        mentioned::add(&mut facts);
    } else {
        known(known_tools::plain(tool), &mut facts);
    }
    let mut reading = facts.reading;
    if reading.atoms.is_empty() {
        reading.atoms.push(Atom {
            kind: AtomKind::Use,
            program: None,
            source: Source::Tool,
            dangers: Vec::new(),
        });
    }
    reading
}

/// What agp knows of a tool by itself.
fn known(tool: &str, facts: &mut Facts<'_>) {
    match tool {
        "Bash" | "Monitor" | "exec_command" | "shell" | "shell_command" | "local_shell" => {
            facts.command();
            facts.hosts("/ws/url");
        }
        // Another shell, a running one, or a program's text.
        "PowerShell" | "write_stdin" => facts.unread("its text is no command of bash"),
        "REPL" | "js_repl" => facts.code("a script for its interpreter"),
        "Workflow" => {
            facts.reads("scriptPath");
            facts.code("a workflow's script");
        }
        "Read" | "NotebookRead" | "read_file" | "view_image" | "LSP" => {
            for name in ["file_path", "notebook_path", "path", "filePath"] {
                facts.reads(name);
            }
        }
        "Write" | "Edit" | "MultiEdit" => facts.writes("file_path"),
        "NotebookEdit" => facts.writes("notebook_path"),
        "apply_patch" => facts.patch(),
        "Glob" => facts.lists(),
        "LS" => facts.lists_directory(),
        "Grep" => facts.searches(),
        "WebFetch" => facts.hosts("url"),
        // They ask at the provider.
        "WebSearch" | "web_search" | "image_generation" | "RemoteTrigger" | "SendFeedback"
        | "Projects" | "ClaudeDesign" => facts.any_host(),
        "Artifact" => {
            facts.any_host();
            for name in ["file_path", "/file_paths/*"] {
                facts.reads(name);
            }
            facts.writes("out_dir");
        }
        "SendUserFile" => {
            for name in ["file_path", "/file_paths/*", "/files/*", "path"] {
                facts.reads(name);
            }
            facts.any_host();
        }
        "Agent" | "Task" => facts.agent(),
        "EnterWorktree" | "ExitWorktree" => facts.worktree(),
        "CronCreate" => facts.scheduled(),
        _ if known_tools::named(tool).is_some() => {}
        _ => mentioned::add(facts),
    }
}
