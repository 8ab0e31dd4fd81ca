//! `Grep`: lines that match a regular expression.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use globset::GlobSet;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::tool_error::ToolError;
use super::{Answer, text, walk};

/// Lines or files shown when no limit is given.
const SHOWN: usize = 250;
/// Characters of one line that are shown.
const LINE_CHARS: usize = 500;
/// Bytes of one answer: harnesses put longer ones into files that no tool here can read.
const ANSWER_BYTES: usize = 40_000;
/// Bytes that a compiled expression may take.
const EXPRESSION_BYTES: usize = 10 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrepArguments {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    output_mode: Mode,
    #[serde(rename = "-A")]
    after: Option<usize>,
    #[serde(rename = "-B")]
    before: Option<usize>,
    #[serde(rename = "-C", alias = "context")]
    around: Option<usize>,
    #[serde(rename = "-n")]
    numbers: Option<bool>,
    #[serde(rename = "-i", default)]
    any_case: bool,
    #[serde(default)]
    multiline: bool,
    head_limit: Option<usize>,
    #[serde(default)]
    offset: usize,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    FilesWithMatches,
    Content,
    Count,
}

/// File types by their extensions, the common ones of those `rg --type` knows.
pub(super) const TYPES: &[(&str, &[&str])] = &[
    ("c", &["c", "h"]),
    ("cpp", &["cc", "cpp", "cxx", "h", "hh", "hpp"]),
    ("css", &["css", "scss"]),
    ("go", &["go"]),
    ("html", &["htm", "html"]),
    ("java", &["java"]),
    ("js", &["cjs", "js", "jsx", "mjs", "vue"]),
    ("json", &["json"]),
    ("md", &["markdown", "md"]),
    ("php", &["php"]),
    ("py", &["py", "pyi"]),
    ("ruby", &["rb"]),
    ("rust", &["rs"]),
    ("sh", &["bash", "sh", "zsh"]),
    ("sql", &["sql"]),
    ("toml", &["toml"]),
    ("ts", &["cts", "mts", "ts", "tsx"]),
    ("yaml", &["yaml", "yml"]),
];

/// Takes a line's number, its text, and whether it belongs to a match.
type EachLine<'a> = &'a mut dyn FnMut(usize, &[u8], bool) -> ControlFlow<()>;

struct Search {
    expression: Regex,
    glob: Option<GlobSet>,
    extensions: Option<&'static [&'static str]>,
    root: PathBuf,
}

pub(super) fn grep(arguments: &GrepArguments, directory: &Path) -> Answer {
    let root = text::at(directory, arguments.path.as_deref().unwrap_or(""));
    if !root.exists() {
        return Answer::failed(format!("Path does not exist: {}", root.display()));
    }
    match Search::of(arguments, root) {
        Ok(search) => search.run(arguments),
        Err(problem) => Answer::failed(problem),
    }
}

/// The expression that is asked for, no larger than its bound.
pub(super) fn expression(arguments: &GrepArguments) -> Result<Regex, ToolError> {
    RegexBuilder::new(&arguments.pattern)
        .case_insensitive(arguments.any_case)
        .multi_line(true)
        .dot_matches_new_line(arguments.multiline)
        .size_limit(EXPRESSION_BYTES)
        .build()
        .map_err(ToolError::Expression)
}

impl Search {
    fn of(arguments: &GrepArguments, root: PathBuf) -> Result<Self, ToolError> {
        let expression = expression(arguments)?;
        let glob = arguments.glob.as_ref().map(|glob| {
            // As with `rg --glob`: a pattern without a slash is one for names.
            let pattern = match glob.contains('/') {
                true => glob.trim_start_matches('/').to_owned(),
                false => format!("**/{glob}"),
            };
            text::glob(&pattern)
        });
        let glob = glob.transpose()?;
        let extensions = arguments.kind.as_ref().map(|kind| {
            let known = TYPES.iter().find(|(name, _)| name == kind);
            known
                .map(|(_, extensions)| *extensions)
                .ok_or_else(|| ToolError::Type(kind.clone()))
        });
        Ok(Self {
            expression,
            glob,
            extensions: extensions.transpose()?,
            root,
        })
    }

    fn wants(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        let extension = path.extension().and_then(|extension| extension.to_str());
        self.glob.as_ref().is_none_or(|glob| glob.is_match(below))
            && self
                .extensions
                .is_none_or(|known| extension.is_some_and(|one| known.contains(&one)))
    }

    /// Goes through the files that are wanted and are text.
    fn each(&self, each: &mut dyn FnMut(&Path, &[u8]) -> ControlFlow<()>) {
        let mut buffer = text::Buffer::default();
        let mut look = |path: &Path| {
            if !self.wants(path) && path != self.root {
                return ControlFlow::Continue(());
            }
            match buffer.text_of(path) {
                Some(content) => each(path, content),
                None => ControlFlow::Continue(()),
            }
        };
        if self.root.is_file() {
            let _ = look(&self.root);
        } else {
            walk::files(&self.root, &mut look);
        }
    }

    fn run(&self, arguments: &GrepArguments) -> Answer {
        let limit = match arguments.head_limit {
            Some(0) => usize::MAX,
            given => given.unwrap_or(SHOWN),
        };
        match arguments.output_mode {
            Mode::FilesWithMatches => self.files(arguments.offset, limit),
            Mode::Count => self.counts(arguments, limit),
            Mode::Content => self.content(arguments, limit),
        }
    }

    fn files(&self, offset: usize, limit: usize) -> Answer {
        let mut paths = Vec::new();
        self.each(&mut |path, content| {
            if self.expression.is_match(content) {
                paths.push(path.to_owned());
            }
            ControlFlow::Continue(())
        });
        if paths.is_empty() {
            return Answer::done("No files found");
        }
        walk::newest_first(&mut paths);
        let listed = paths.iter().skip(offset).take(limit);
        let names: Vec<String> = listed.map(|path| path.display().to_string()).collect();
        let count = paths.len();
        let word = if count == 1 { "file" } else { "files" };
        Answer::done(format!("Found {count} {word}\n{}", names.join("\n")))
    }

    fn counts(&self, arguments: &GrepArguments, limit: usize) -> Answer {
        let mut lines = Vec::new();
        let (mut all, mut files) = (0, 0);
        self.each(&mut |path, content| {
            let count = self.expression.find_iter(content).count();
            if count > 0 {
                all += count;
                files += 1;
                lines.push(format!("{}:{count}", path.display()));
            }
            ControlFlow::Continue(())
        });
        if lines.is_empty() {
            return Answer::done("No matches found");
        }
        let page: Vec<String> = lines
            .into_iter()
            .skip(arguments.offset)
            .take(limit)
            .collect();
        Answer::done(format!(
            "{}\n\nFound {all} total occurrences across {files} files.",
            page.join("\n")
        ))
    }

    fn content(&self, arguments: &GrepArguments, limit: usize) -> Answer {
        let around = arguments.around.unwrap_or(0);
        let context = (
            arguments.before.unwrap_or(around).min(1000),
            arguments.after.unwrap_or(around).min(1000),
        );
        let numbers = arguments.numbers.unwrap_or(true);
        let (mut skip, mut lines, mut bytes) = (arguments.offset, Vec::new(), 0_usize);
        self.each(&mut |path, content| {
            self.lines_of(content, context, &mut |number, line, matched| {
                if skip > 0 {
                    skip -= 1;
                    return ControlFlow::Continue(());
                }
                let text = String::from_utf8_lossy(line);
                let text: String = text.chars().take(LINE_CHARS).collect();
                let mark = if matched { ':' } else { '-' };
                let line = match numbers {
                    true => format!("{}{mark}{number}{mark}{text}", path.display()),
                    false => format!("{}{mark}{text}", path.display()),
                };
                bytes += line.len();
                lines.push(line);
                if lines.len() < limit && bytes < ANSWER_BYTES {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })
        });
        if lines.is_empty() {
            return Answer::done("No matches found");
        }
        if lines.len() >= limit || bytes >= ANSWER_BYTES {
            lines.push(format!(
                "[Showing results with pagination = limit: {}, offset: {}]",
                lines.len(),
                arguments.offset
            ));
        }
        Answer::done(lines.join("\n"))
    }

    /// Calls `each` with number and text of every line that belongs to a match, or to its context.
    fn lines_of(
        &self,
        content: &[u8],
        (before, after): (usize, usize),
        each: EachLine<'_>,
    ) -> ControlFlow<()> {
        let mut matches = self.expression.find_iter(content).peekable();
        if matches.peek().is_none() {
            return ControlFlow::Continue(());
        }
        let mut waiting: VecDeque<(usize, &[u8])> = VecDeque::new();
        let (mut start, mut behind) = (0, 0);
        for (number, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let end = start + line.len();
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let mut matched = false;
            while let Some(hit) = matches.peek() {
                // An empty match at a line's end belongs to that line.
                if hit.start() >= end {
                    break;
                }
                matched = true;
                if hit.end() > end {
                    break;
                }
                matches.next();
            }
            start = end;
            if matched {
                for (number, line) in waiting.drain(..) {
                    each(number, line, false)?;
                }
                each(number + 1, text, true)?;
                behind = after;
            } else if behind > 0 {
                behind -= 1;
                each(number + 1, text, false)?;
            } else if before > 0 {
                if waiting.len() == before {
                    waiting.pop_front();
                }
                waiting.push_back((number + 1, text));
            }
        }
        ControlFlow::Continue(())
    }
}
