//! `agp policy import`: a harness's own permissions as rules to paste.

use std::path::PathBuf;

use argh::FromArgs;
use serde_json::json;

use crate::channels::escape;
use crate::contracts::{bounded_file, limits};
use crate::policy::import as importers;
use crate::report::failure::{Failure, Outcome, complain, try_say};

/// Print a Claude Code settings.json or Codex .rules as rules to paste; what could not be said goes to standard error.
#[derive(FromArgs)]
#[argh(subcommand, name = "import")]
pub(super) struct Import {
    /// a Claude Code settings.json, or Codex .rules
    #[argh(positional)]
    file: PathBuf,
}

pub(super) fn import(command: &Import) -> Outcome {
    let path = command.file.display();
    let usage = |problem: String| {
        let mend = "name a Claude Code settings.json, or Codex .rules";
        Failure::usage(format!("{path}: {problem}"), mend)
    };
    let bytes = bounded_file::read(&command.file, limits::POLICY_BYTES)
        .map_err(|error| usage(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| usage(error.to_string()))?;
    let imported = importers::import(&text).map_err(|error| usage(error.to_string()))?;
    let rules = json!({"rules": imported.rules});
    try_say(serde_json::to_string_pretty(&rules).unwrap_or_default());
    for line in &imported.left_out {
        complain(format_args!("not imported: {}", escape::line(line)));
    }
    Ok(0)
}
