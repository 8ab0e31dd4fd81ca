//! `agp policy test`: cases with expected verdicts.

use std::path::PathBuf;

use argh::FromArgs;
use serde_json::json;

use super::cases;
use crate::contracts::fold::Next;
use crate::contracts::plural::count;
use crate::report::failure::{Failure, Outcome, exit, say, say_folded, try_say};

/// Test policies by cases with expected verdicts; exit 1 if any fails.
#[derive(FromArgs)]
#[argh(subcommand, name = "test")]
pub(super) struct Test {
    /// files of cases: JSON lines (docs/policy.md has the format)
    #[argh(positional)]
    files: Vec<PathBuf>,
    /// print the failing cases as JSON
    #[argh(switch)]
    json: bool,
}

pub(super) fn test(command: &Test) -> Outcome {
    if command.files.is_empty() {
        return Err(Failure::usage(
            "no file of cases",
            "agp policy test FILE...",
        ));
    }
    let mut whole = cases::Report::default();
    for file in &command.files {
        let report = cases::run(file)
            .map_err(|problem| Failure::usage(problem, "docs/policy.md has the format"))?;
        whole.cases += report.cases;
        whole.failing.extend(report.failing);
    }
    if command.json {
        try_say(
            json!({"ok": whole.failing.is_empty(), "cases": whole.cases, "failing": whole.failing}),
        );
    } else {
        for failing in &whole.failing {
            say_folded(
                &failing.to_string(),
                Next {
                    indent: 2,
                    ..Next::FOREIGN
                },
            );
        }
        say(format_args!(
            "{}, {} failing",
            count(whole.cases, "case"),
            whole.failing.len()
        ));
    }
    Ok(match whole.failing.is_empty() {
        true => 0,
        false => exit::REFUSED,
    })
}
