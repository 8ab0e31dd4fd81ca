//! `Read`: a file's lines, numbered.

use std::path::Path;

use serde::Deserialize;

use super::read_state::ReadState;
use super::{Answer, text};

/// Lines shown when no limit is given.
const LINES: usize = 2000;
/// Characters of one line that are shown.
const LINE_CHARS: usize = 2000;
/// Bytes of one answer: harnesses put longer ones into files that no tool here can read.
const ANSWER_BYTES: usize = 40_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArguments {
    file_path: String,
    /// Line to begin at, from 1.
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

pub(super) fn read(arguments: &ReadArguments, directory: &Path, seen: &ReadState) -> Answer {
    let path = text::at(directory, &arguments.file_path);
    let content = match text::read(&path, directory) {
        Ok(content) => content,
        Err(problem) => return Answer::failed(problem),
    };
    seen.put(&path, content.as_bytes());
    if content.is_empty() {
        return Answer::done("The file exists, but its contents are empty.");
    }
    let end = if text::ends_in_two(&content) {
        "\r\n"
    } else {
        "\n"
    };
    let lines: Vec<&str> = content.split(end).collect();
    let from = arguments.offset.max(1);
    if from > lines.len() {
        return Answer::done(format!(
            "The file is shorter than the provided offset ({from}). The file has {} lines.",
            lines.len()
        ));
    }
    let mut answer = String::new();
    let numbered = lines.iter().enumerate().skip(from - 1);
    let mut left = arguments.limit.unwrap_or(LINES);
    for (number, line) in numbered {
        if left == 0 || answer.len() > ANSWER_BYTES {
            if arguments.limit.is_none() || left > 0 {
                answer += &format!(
                    "\n[Lines {from} to {number} of {} are shown; go on with offset {}.]",
                    lines.len(),
                    number + 1
                );
            }
            break;
        }
        if !answer.is_empty() {
            answer.push('\n');
        }
        answer += &format!("{}\t", number + 1);
        answer.extend(line.chars().take(LINE_CHARS));
        left -= 1;
    }
    Answer::done(answer)
}
