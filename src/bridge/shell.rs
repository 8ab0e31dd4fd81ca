//! `shell`: stands in the place of a harness's shell, for all that the harness starts through one. It takes
//! from itself what commands must not reach, and becomes the shell that was asked for.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::confine::hidden::{self, Hidden};
use crate::contracts::{bounded_file, limits};

/// What a harness's commands run with: the second line of the script that its shell is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The shell.
    pub shell: PathBuf,
    /// Places that they do not reach.
    pub hidden: Vec<PathBuf>,
    /// Within these, what the harness writes down of its shell once, and every command reads.
    pub snapshots: Option<PathBuf>,
    /// Variables that the harness has for itself.
    pub without: Vec<String>,
}

impl Terms {
    /// The script, for the program at `bridge`.
    ///
    /// # Errors
    /// A path that no script can name.
    pub fn script(&self, bridge: &Path) -> io::Result<String> {
        let unfit = || {
            let problem = format!("{} cannot be named in a script", bridge.display());
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        };
        let bridge = bridge.to_str().ok_or_else(unfit)?;
        // The kernel ends the path at a blank, and the line at 255 bytes.
        if bridge.contains(char::is_whitespace) || bridge.len() > 240 {
            return Err(unfit());
        }
        let terms = serde_json::to_string(self)?;
        Ok(format!("#!{bridge} shell\n{terms}\n"))
    }

    fn of(script: &Path) -> io::Result<Self> {
        let text = bounded_file::read(script, limits::SMALL_FILE_BYTES)?;
        let terms = text.splitn(2, |byte| *byte == b'\n').nth(1);
        Ok(serde_json::from_slice(terms.unwrap_or_default())?)
    }
}

/// Becomes the shell, with these words behind the script's own path. Only returns when it cannot: nothing
/// runs then.
pub fn become_shell(words: &[OsString]) -> io::Error {
    let Some((script, arguments)) = words.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no script");
    };
    match prepared(Path::new(script), arguments) {
        Ok(mut shell) => shell.exec(),
        Err(error) => error,
    }
}

fn prepared(script: &Path, arguments: &[OsString]) -> io::Result<Command> {
    let terms = Terms::of(script)?;
    let snapshots = terms.snapshots.as_deref();
    let hidden = Hidden {
        places: &terms.hidden,
        read: snapshots,
        change: snapshots.filter(|_| takes_snapshot(arguments)),
    };
    if !hidden::hide(&hidden)? {
        return Err(io::Error::other(
            "the kernel has no Landlock to keep commands from the gate",
        ));
    }
    let mut shell = Command::new(&terms.shell);
    shell.args(arguments);
    for name in &terms.without {
        shell.env_remove(name);
    }
    Ok(shell)
}

/// Whether the harness itself asks, to write down what its shell has. What a model writes stands in
/// quotes, behind other words.
fn takes_snapshot(arguments: &[OsString]) -> bool {
    let begins = |word: &OsStr| word.as_encoded_bytes().starts_with(b"SNAPSHOT_FILE=");
    matches!(arguments, [run, login, script] if run == "-c" && login == "-l" && begins(script))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn terms() -> Terms {
        Terms {
            shell: "/bin/bash".into(),
            hidden: vec!["/run/agp".into()],
            snapshots: Some("/run/agp-own/shell-snapshots".into()),
            without: vec!["ANTHROPIC_API_KEY".into()],
        }
    }

    #[test]
    fn a_script_is_read_as_it_was_written() {
        let script = std::env::temp_dir().join(format!("agp-bash-{}", std::process::id()));
        let text = terms()
            .script(Path::new("/run/agp-bin/agp-bridge"))
            .unwrap();
        assert!(text.starts_with("#!/run/agp-bin/agp-bridge shell\n"));
        fs::write(&script, text).unwrap();
        assert_eq!(Terms::of(&script).unwrap(), terms());
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(Terms::of(&script).is_err(), "no terms");
        fs::remove_file(&script).unwrap();
        assert!(Terms::of(&script).is_err());
        for path in ["/a b/agp-bridge", &format!("/{}", "x".repeat(250))] {
            assert!(terms().script(Path::new(path)).is_err(), "{path}");
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
