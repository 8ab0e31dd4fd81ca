//! `shell`: stands in the place of a harness's shell, for all that the harness starts through one. It takes
//! from itself what commands must not reach, and becomes the shell that was asked for.
//!
//! It is this program under a shell's name, by which a harness knows how to speak to it; what it takes away
//! stands in a file beside that name.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::hidden_paths::{self, Hidden};
use super::signal_filter;
use crate::contracts::{bounded_file, limits};

/// The name that it goes by.
pub const NAME: &str = "bash";
/// The file beside it.
pub const TERMS: &str = "shell.json";
/// Where a session's saved outputs are, in what the harness writes down of it.
const OUTPUTS: &str = "tool-results";
/// The directory beside it that a harness has first on its `PATH`, for itself.
pub const OWN: &str = "bin";
/// Where the shell itself is; the last is for those who have only that.
const SHELLS: [&str; 4] = [
    "/bin/bash",
    "/usr/bin/bash",
    "/usr/local/bin/bash",
    "/bin/zsh",
];

/// What a harness's commands run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShellTerms {
    /// Places that they reach, with everything below them.
    pub among: Vec<PathBuf>,
    /// Places that they do not reach.
    pub hidden: Vec<PathBuf>,
    /// Within these, what the harness writes down of its shell once, and every command reads.
    pub snapshots: Option<PathBuf>,
    /// Within these, what the harness writes down of its sessions. Commands read the outputs that it saves there,
    /// because it tells its model to, and nothing else.
    pub written: Option<PathBuf>,
    /// Variables that the harness has for itself.
    pub without: Vec<String>,
}

impl ShellTerms {
    fn beside(name: &Path) -> io::Result<Self> {
        let file = name.with_file_name(TERMS);
        let text = bounded_file::read(&file, limits::SMALL_FILE_BYTES)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Whether a program that was started under this name is to be the shell.
#[must_use]
pub fn is_asked_for(name: &OsStr) -> bool {
    // A shell that was found on PATH has no directory in its name.
    Path::new(name).file_name() == Some(OsStr::new(NAME)) && Path::new(name).is_absolute()
}

/// Becomes the shell, with these arguments. Only returns when it cannot: nothing runs then.
pub fn become_shell(name: &OsStr, arguments: &[OsString]) -> io::Error {
    match prepared(Path::new(name), arguments) {
        Ok(mut shell) => shell.exec(),
        Err(error) => error,
    }
}

fn prepared(name: &Path, arguments: &[OsString]) -> io::Result<Command> {
    let terms = ShellTerms::beside(name)?;
    let snapshots = terms.snapshots.as_deref();
    let mut read: Vec<PathBuf> = terms.snapshots.iter().cloned().collect();
    read.extend(terms.written.iter().flat_map(|written| saved(written)));
    let hidden = Hidden {
        among: &terms.among,
        places: &terms.hidden,
        read: &read,
        change: snapshots.filter(|_| takes_snapshot(arguments)),
    };
    let shell = SHELLS.iter().find(|shell| Path::new(shell).exists());
    let shell = shell.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "bash: not found"))?;
    if !hidden_paths::hide(&hidden)? {
        return Err(io::Error::other(
            "the kernel has no Landlock, which protects the gate from commands",
        ));
    }
    signal_filter::enter()?;
    let mut shell = Command::new(shell);
    let bin = name.with_file_name(OWN);
    if takes_snapshot(arguments) {
        shell.args(arguments.iter().map(|word| without_entry(word, &bin)));
    } else {
        shell.args(arguments);
    }
    if let Some(path) = std::env::var_os("PATH") {
        shell.env("PATH", without_entry(&path, &bin));
    }
    for name in &terms.without {
        shell.env_remove(name);
    }
    Ok(shell)
}

/// Where a harness has saved outputs so far: a directory in each session's, in each project's. Links, which no
/// command can make there, are not followed.
fn saved(written: &Path) -> Vec<PathBuf> {
    let sessions = below(written)
        .into_iter()
        .flat_map(|project| below(&project));
    let outputs = sessions.map(|session| session.join(OUTPUTS));
    let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    outputs.filter(is_there).collect()
}

/// The directories in one.
fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path()).collect()
}

/// What a harness has first on its `PATH` taken from that, or from a text that has all of it.
fn without_entry(text: &OsStr, directory: &Path) -> OsString {
    let entry = [directory.as_os_str().as_bytes(), b":"].concat();
    let mut rest = text.as_bytes();
    let mut left = Vec::new();
    while let Some((next, behind)) = rest.split_first() {
        match rest.strip_prefix(entry.as_slice()) {
            Some(behind) => rest = behind,
            None => {
                left.push(*next);
                rest = behind;
            }
        }
    }
    OsString::from_vec(left)
}

/// Whether the harness itself asks, to write down what its shell has. What a model writes stands in
/// quotes, behind other words.
fn takes_snapshot(arguments: &[OsString]) -> bool {
    let begins = |word: &OsStr| word.as_encoded_bytes().starts_with(b"SNAPSHOT_FILE=");
    matches!(arguments, [run, login, script] if run == "-c" && login == "-l" && begins(script))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn its_terms_stand_beside_it_or_nothing_runs() {
        let directory = std::env::temp_dir().join(format!("agp-shell-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let name = directory.join(NAME);
        assert!(is_asked_for(name.as_os_str()));
        for other in ["bash", "/usr/bin/agp-bridge", "/bin/bash2"] {
            assert!(!is_asked_for(OsStr::new(other)), "{other}");
        }
        assert!(prepared(&name, &[]).is_err(), "no terms");
        let terms = ShellTerms {
            among: vec!["/".into()],
            hidden: vec!["/run/agp".into()],
            snapshots: Some("/run/agp/own/shell-snapshots".into()),
            written: Some("/run/agp/own/projects".into()),
            without: vec!["ANTHROPIC_API_KEY".into()],
        };
        fs::write(directory.join(TERMS), serde_json::to_vec(&terms).unwrap()).unwrap();
        assert_eq!(ShellTerms::beside(&name).unwrap(), terms);
        fs::write(directory.join(TERMS), "{}").unwrap();
        assert!(prepared(&name, &[]).is_err(), "terms of another shape");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn saved_outputs_are_found_and_what_lies_beside_them_is_not() {
        let written = std::env::temp_dir().join(format!("agp-saved-{}", std::process::id()));
        fs::create_dir_all(written.join("p/s/tool-results")).unwrap();
        fs::create_dir_all(written.join("p/memory")).unwrap();
        fs::create_dir_all(written.join("p/t")).unwrap();
        fs::write(written.join("p/s.jsonl"), "").unwrap();
        symlink("/etc", written.join("p/t/tool-results")).unwrap();
        symlink("s", written.join("p/u")).unwrap();
        assert_eq!(saved(&written), [written.join("p/s/tool-results")]);
        assert!(saved(&written.join("none")).is_empty());
        fs::remove_dir_all(&written).unwrap();
    }

    #[test]
    fn what_the_harness_has_first_on_its_path_is_no_commands() {
        let bin = Path::new("/run/agp/bin");
        for (text, left) in [
            ("/run/agp/bin:/usr/bin:/bin", "/usr/bin:/bin"),
            (
                "export PATH=/run/agp/bin:/bin\necho",
                "export PATH=/bin\necho",
            ),
            ("/bin:/run/agp/bin2:/x", "/bin:/run/agp/bin2:/x"),
            ("", ""),
        ] {
            assert_eq!(without_entry(OsStr::new(text), bin), left, "{text}");
        }
    }

    #[test]
    fn only_the_harness_takes_a_snapshot() {
        let asks =
            |words: &[&str]| takes_snapshot(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(asks(&["-c", "-l", "SNAPSHOT_FILE=/x\n"]));
        for words in [
            &["-c", "SNAPSHOT_FILE=/x"][..],
            &["-c", "-l", "eval 'SNAPSHOT_FILE=/x'"],
            &["-c", "-l", "x", "SNAPSHOT_FILE=/x"],
            &[],
        ] {
            assert!(!asks(words), "{words:?}");
        }
    }
}
