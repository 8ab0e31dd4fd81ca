//! The tools that agp offers a harness in mediated mode. They run inside the session's sandbox,
//! one process a call, and do what a model knows from its harness's own tools.
//!
//! Paths are the sandbox's to guard: a tool tries what it is asked, and the kernel refuses.

pub(crate) mod edit;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod glob;
mod grep;
pub(crate) mod ignore;
mod read;
pub mod read_state;
pub(crate) mod text;
pub(crate) mod tool_error;
mod walk;
mod write;

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use read_state::ReadState;
use tool_error::ToolError;

/// What a tool answers its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether the tool did what it was asked.
    pub ok: bool,
    /// For the model.
    pub text: String,
}

impl Answer {
    fn done(text: impl Into<String>) -> Self {
        Self {
            ok: true,
            text: text.into(),
        }
    }

    fn failed(why: impl fmt::Display) -> Self {
        Self {
            ok: false,
            text: why.to_string(),
        }
    }
}

/// The tools that are run here; a shell command is a process of its own.
pub const NAMES: [&str; 6] = ["Read", "Write", "Edit", "MultiEdit", "Glob", "Grep"];

/// Runs a tool with its arguments, relative paths starting at `directory`. `seen` is the record of
/// what the session's tools have shown and written.
#[must_use]
pub fn run(tool: &str, args: Map<String, Value>, directory: &Path, seen: &ReadState) -> Answer {
    let answer = match tool {
        "Read" => arguments(args).map(|arguments| read::read(&arguments, directory, seen)),
        "Write" => arguments(args).map(|arguments| write::write(&arguments, directory, seen)),
        "Edit" => arguments(args).map(|arguments| edit::edit(&arguments, directory, seen)),
        "MultiEdit" => {
            arguments(args).map(|arguments| edit::multi_edit(&arguments, directory, seen))
        }
        "Glob" => arguments(args).map(|arguments| glob::glob(&arguments, directory)),
        "Grep" => arguments(args).map(|arguments| grep::grep(&arguments, directory)),
        _ => Err(ToolError::NoTool(tool.to_owned())),
    };
    answer.unwrap_or_else(Answer::failed)
}

fn arguments<T: DeserializeOwned>(args: Map<String, Value>) -> Result<T, ToolError> {
    serde_json::from_value(Value::Object(args)).map_err(ToolError::Arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Repo(PathBuf);

    impl Repo {
        fn with(files: &[(&str, &str)]) -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("agp-tools-{}-{number}", std::process::id());
            let repo = Self(std::env::temp_dir().join(name));
            fs::create_dir_all(repo.0.join(".git")).unwrap();
            for (path, content) in files {
                write::put(&repo.0.join(path), content).unwrap();
            }
            repo
        }

        fn run(&self, tool: &str, args: Value) -> Answer {
            let Value::Object(args) = args else { panic!() };
            run(
                tool,
                args,
                &self.0,
                &ReadState::in_directory(&self.0.join(".git")),
            )
        }

        fn done(&self, tool: &str, args: Value) -> String {
            let answer = self.run(tool, args);
            assert!(answer.ok, "{answer:?}");
            answer.text.replace(self.0.to_str().unwrap(), "R")
        }

        fn failed(&self, tool: &str, args: Value) -> String {
            let answer = self.run(tool, args);
            assert!(!answer.ok, "{answer:?}");
            answer.text.replace(self.0.to_str().unwrap(), "R")
        }

        fn get(&self, name: &str) -> String {
            fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    impl Drop for Repo {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn read_numbers_lines_and_says_what_is_wrong() {
        let repo = Repo::with(&[("a", "one\ntwo\n"), ("empty", ""), ("bin", "x\0y")]);
        let read = |args: Value| repo.done("Read", args);
        assert_eq!(read(json!({"file_path": "a"})), "1\tone\n2\ttwo\n3\t");
        let part = json!({"file_path": repo.0.join("a"), "offset": 2, "limit": 1});
        assert_eq!(read(part), "2\ttwo");
        assert!(read(json!({"file_path": "empty"})).contains("contents are empty"));
        let beyond = json!({"file_path": "a", "offset": 50});
        assert!(
            read(beyond).contains("shorter than the provided offset (50). The file has 3 lines")
        );
        let failed = |name: &str| repo.failed("Read", json!({"file_path": name}));
        assert!(failed("none").starts_with("File does not exist."));
        assert!(failed(".").starts_with("EISDIR"));
        assert!(failed("bin").contains("cannot read binary files"));
        assert!(failed("/dev/zero").contains("not a regular file"));
        let unknown = repo.failed("Read", json!({"file_path": "a", "lines": 1}));
        assert!(unknown.contains("unknown field"), "{unknown}");
    }

    #[test]
    fn read_is_bounded_and_says_how_to_go_on() {
        let long: String = (1..=3000).map(|number| format!("{number}\n")).collect();
        let wide = "x".repeat(1 << 20);
        let repo = Repo::with(&[("long", &long), ("wide", &wide)]);
        let text = repo.done("Read", json!({"file_path": "long"}));
        assert!(
            text.contains("\n2000\t2000\n"),
            "{}",
            &text[text.len() - 200..]
        );
        assert!(text.ends_with("go on with offset 2001.]"));
        assert!(repo.done("Read", json!({"file_path": "wide"})).len() < 3000);
    }

    #[test]
    fn write_and_edit_change_what_they_are_asked_to() {
        let repo = Repo::with(&[]);
        let made = repo.done(
            "Write",
            json!({"file_path": "d/new", "content": "aa\naa\n"}),
        );
        assert_eq!(made, "File created successfully at: R/d/new");
        let edit = |old: &str, new: &str, all: bool| json!({"file_path": "d/new", "old_string": old, "new_string": new, "replace_all": all});
        assert!(
            repo.failed("Edit", edit("zz", "b", false))
                .starts_with("String to replace not found")
        );
        assert!(
            repo.failed("Edit", edit("aa", "b", false))
                .starts_with("Found 2 matches")
        );
        assert!(
            repo.failed("Edit", edit("aa", "aa", false))
                .starts_with("No changes to make")
        );
        assert!(
            repo.failed("Edit", edit("", "b", false))
                .starts_with("Cannot create new file")
        );
        assert_eq!(repo.get("d/new"), "aa\naa\n");
        repo.done("Edit", edit("aa", "b", true));
        assert_eq!(repo.get("d/new"), "b\nb\n");
        let again = repo.done("Write", json!({"file_path": "d/new", "content": "é"}));
        assert_eq!(again, "The file R/d/new has been updated successfully.");
        let change = |old: &str, new: &str| json!({"old_string": old, "new_string": new});
        let many = |edits: Value| json!({"file_path": "d/new", "edits": edits});
        repo.failed(
            "MultiEdit",
            many(json!([change("é", "x"), change("é", "y")])),
        );
        assert_eq!(repo.get("d/new"), "é", "all or none");
        repo.done(
            "MultiEdit",
            many(json!([change("é", "x"), change("x", "y")])),
        );
        assert_eq!(repo.get("d/new"), "y");
        fs::write(repo.0.join("latin"), b"caf\xe9").unwrap();
        let latin = json!({"file_path": "latin", "old_string": "caf", "new_string": "x"});
        assert!(repo.failed("Edit", latin).contains("not UTF-8"));
        assert_eq!(fs::read(repo.0.join("latin")).unwrap(), b"caf\xe9");
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_not_written_over_unseen() {
        let repo = Repo::with(&[("a", "one\ntwo\n"), ("unread", "x\n")]);
        let write = |content: &str| json!({"file_path": "a", "content": content});
        let edit =
            |old: &str, new: &str| json!({"file_path": "a", "old_string": old, "new_string": new});
        let read = || repo.done("Read", json!({"file_path": "a"}));
        let change = |content: &str| fs::write(repo.0.join("a"), content).unwrap();

        // What was never read is written as asked.
        repo.done("Write", json!({"file_path": "unread", "content": "y"}));

        read();
        change("one\ntwo\nthree\n");
        let refused = repo.failed("Write", write("mine\n"));
        assert!(refused.starts_with("File has been modified since read"));
        assert_eq!(repo.get("a"), "one\ntwo\nthree\n");
        // An edit says exactly what it replaces: it is made, and the rest is still not known.
        repo.done("Edit", edit("two", "2"));
        assert_eq!(repo.get("a"), "one\n2\nthree\n");
        repo.failed("Write", write("mine\n"));
        read();
        repo.done("Edit", edit("2", "two"));
        // The same content again is no change.
        change("one\ntwo\nthree\n");
        repo.done("Write", write("mine\n"));
        change("theirs\n");
        repo.failed("Write", write("mine again\n"));
        fs::remove_file(repo.0.join("a")).unwrap();
        assert!(
            repo.done("Write", write("new\n"))
                .starts_with("File created")
        );
        // A part of it that was shown is enough to write.
        change("newer\n");
        repo.done("Read", json!({"file_path": "a", "limit": 1}));
        repo.done("Write", write("newest\n"));
        let directory = repo.failed("Write", json!({"file_path": ".git", "content": "x"}));
        assert!(
            directory.contains("is a directory, not a file."),
            "{directory}"
        );
    }

    #[test]
    fn line_ends_of_two_characters_are_kept_and_need_not_be_known() {
        let repo = Repo::with(&[("crlf", "a\r\nb\r\nc\r\n"), ("mixed", "a\r\nb\nc\r\n")]);
        let read = |name: &str| repo.done("Read", json!({"file_path": name}));
        assert_eq!(read("crlf"), "1\ta\n2\tb\n3\tc\n4\t");
        assert_eq!(read("mixed"), "1\ta\r\n2\tb\n3\tc\r\n4\t");
        let edit = |name: &str, old: &str, new: &str| json!({"file_path": name, "old_string": old, "new_string": new});
        repo.done("Edit", edit("crlf", "a\nb", "A\nnew\nB"));
        repo.done("Edit", edit("crlf", "c\r\n", "C\r\n"));
        assert_eq!(repo.get("crlf"), "A\r\nnew\r\nB\r\nC\r\n");
        // Where they differ, what stands there is what must be given.
        repo.failed("Edit", edit("mixed", "a\nb", "x"));
        repo.done("Edit", edit("mixed", "a\r\nb", "x"));
        assert_eq!(repo.get("mixed"), "x\nc\r\n");
    }

    #[test]
    fn searches_leave_out_what_the_repository_ignores() {
        let repo = Repo::with(&[
            (".gitignore", "target/\n*.log\n!keep.log\n/only-here\n"),
            ("a.rs", "needle one\n"),
            ("deep/b.rs", "x\nneedle two\ny\nneedle three\nz\n"),
            ("deep/only-here", "needle\n"),
            ("only-here", "needle\n"),
            ("target/c.rs", "needle\n"),
            ("x.log", "needle\n"),
            ("keep.log", "needle\n"),
            (".git/config", "needle\n"),
            ("bin.rs", "needle\0"),
        ]);
        let names = |text: &str| {
            let mut names: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
            names.sort();
            names.join(" ")
        };
        let answer = repo.done("Grep", json!({"pattern": "needle"}));
        assert_eq!(
            names(&answer),
            "R/a.rs R/deep/b.rs R/deep/only-here R/keep.log"
        );
        let rust = repo.done("Grep", json!({"pattern": "needle", "type": "rust"}));
        assert_eq!(names(&rust), "R/a.rs R/deep/b.rs");
        let globbed = repo.done("Glob", json!({"pattern": "**/*.rs"}));
        assert_eq!(globbed.lines().count(), 3, "{globbed}");
        let below = repo.done("Glob", json!({"pattern": "*.rs", "path": "deep"}));
        assert_eq!(below, "R/deep/b.rs");
        for path in [".", "./deep/..", "./", "deep/."] {
            let here = repo.done("Glob", json!({"pattern": "**/b.rs", "path": path}));
            let answer = repo.done("Grep", json!({"pattern": "two", "path": path}));
            let expected = match path {
                "./deep/.." => "R/deep/../deep/b.rs",
                _ => "R/deep/b.rs",
            };
            assert_eq!(here, expected);
            assert_eq!(names(&answer), expected);
        }
        assert_eq!(
            repo.done("Glob", json!({"pattern": "*.none"})),
            "No files found"
        );
    }

    #[test]
    fn searches_go_on_whatever_the_repository_ignores() {
        let nested = |depth: usize| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        let long = |part: &str| part.repeat(600_000 / part.len());
        let mut rules = vec![
            nested(300),
            nested(60_000),
            format!("!{}", nested(300)),
            long("?"),
            long("*"),
            long("**/"),
            long("[a-z]"),
            "[".repeat(1024),
            "[!".repeat(512),
            "[]".to_owned(),
            "[z-a]".to_owned(),
            "a{1,2".to_owned(),
            "\\".to_owned(),
            "a/**/".repeat(200),
            "\u{fffd}\u{202e}[\u{1f600}-\u{1f64f}]".to_owned(),
            "\0".to_owned(),
            long("x\n"),
        ];
        // Whatever else can be put together.
        let parts = [
            "[", "]", "!", "^", "-", "*", "**", "?", "\\", "/", "{", "}", ",", "a", "\u{e9}",
        ];
        let mut state: usize = 7;
        let mut put_together = Vec::new();
        for _ in 0..400 {
            let mut rule = String::new();
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                rule.push_str(parts[(state >> 33) % parts.len()]);
            }
            put_together.push(rule);
        }
        rules.push(put_together.join("\n"));
        let repo = Repo::with(&[("b", "needle\n")]);
        for rule in rules.iter().chain(&put_together) {
            // As a pattern it is one, or none.
            repo.run("Glob", json!({"pattern": rule}));
            repo.run("Grep", json!({"pattern": "needle", "glob": rule}));
            repo.run("Grep", json!({"pattern": rule}));
        }
        for rule in rules {
            let repo = Repo::with(&[
                (".gitignore", &rule),
                ("d/.gitignore", &rule),
                ("d/b", "x\n"),
            ]);
            repo.done("Glob", json!({"pattern": "**/*"}));
            repo.done("Grep", json!({"pattern": "x"}));
        }
    }

    #[test]
    fn rules_that_are_no_regular_file_are_none() {
        let repo = Repo::with(&[("a", "needle\n")]);
        let rules = repo.0.join(".gitignore");
        let make: [&dyn Fn(); 4] = [
            &|| {
                rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &rules,
                    rustix::fs::FileType::Fifo,
                    0o600.into(),
                    0,
                )
                .unwrap();
            },
            &|| std::os::unix::fs::symlink("/dev/zero", &rules).unwrap(),
            &|| std::os::unix::fs::symlink("a", &rules).unwrap(),
            &|| std::os::unix::fs::symlink(".gitignore", &rules).unwrap(),
        ];
        for make in make {
            make();
            assert_eq!(repo.done("Glob", json!({"pattern": "*"})), "R/a");
            fs::remove_file(&rules).unwrap();
        }
    }

    #[test]
    fn grep_shows_lines_context_and_counts() {
        let repo = Repo::with(&[("b", "x\nneedle two\ny\nneedle three\nz\nlast\n")]);
        let grep = |args: Value| repo.done("Grep", args);
        let lines = json!({"pattern": "NEEDLE", "-i": true, "output_mode": "content"});
        assert_eq!(grep(lines), "R/b:2:needle two\nR/b:4:needle three");
        let around = json!({"pattern": "two", "output_mode": "content", "-C": 1, "path": "b"});
        assert_eq!(grep(around), "R/b-1-x\nR/b:2:needle two\nR/b-3-y");
        let counted = json!({"pattern": "needle", "output_mode": "count"});
        assert_eq!(
            grep(counted),
            "R/b:2\n\nFound 2 total occurrences across 1 files."
        );
        let multi = json!({"pattern": "two.*three", "multiline": true, "output_mode": "content", "-n": false});
        assert_eq!(grep(multi), "R/b:needle two\nR/b:y\nR/b:needle three");
        let limited =
            json!({"pattern": ".", "output_mode": "content", "head_limit": 1, "offset": 1});
        assert!(grep(limited).starts_with("R/b:2:needle two\n[Showing"));
        assert_eq!(
            grep(json!({"pattern": "absent", "output_mode": "content"})),
            "No matches found"
        );
        let bad = repo.failed("Grep", json!({"pattern": "("}));
        assert!(bad.starts_with("Invalid regular expression"), "{bad}");
        let huge = repo.failed("Grep", json!({"pattern": "(a{1000}){1000}"}));
        assert!(huge.starts_with("Invalid regular expression"), "{huge}");
    }
}
