//! `agp quickstart`: from an empty home to a proven journal, with nothing else installed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use argh::FromArgs;
use serde_json::{Value, json};

use super::{init, verify};
use crate::channels::terminal::Terminal;
use crate::confine::threads::{self, Standing};
use crate::report::failure::{Failure, Outcome, complain, say};
use crate::report::verification;
use crate::session::home::Home;
use crate::session::options::{Run, SessionOptions};
use crate::session::{key_rotation, run, sandbox};

/// Set up AGP_HOME, run a scripted session in a sandbox, verify its journal.
#[derive(FromArgs)]
#[argh(subcommand, name = "quickstart")]
pub(super) struct Quickstart {}

/// The policy of the session, which stands in nobody's home: it lets the shell run without a
/// question, because what it runs is in the script.
const POLICY: &str = include_str!("policies/quickstart.json");

pub(super) fn quickstart(home: &Home) -> Outcome {
    init::scaffold_missing(home)?;
    if !home.private_key().exists() {
        let public = key_rotation::mint(home)?;
        say(format_args!("created signing key {}", public.id()));
    }
    let scratch = Scratch::new(home)?;
    let sandbox = match sandbox::permitted(home) {
        Ok(_) => "process",
        Err(failure) => {
            complain(format_args!("agp: {}", failure.problem));
            complain("WARNING: nothing will run: the recording sandbox only records the calls");
            "recording"
        }
    };
    say(format_args!(
        "Scripted session in the {sandbox} sandbox, with its own policy (no approvals):"
    ));
    say("");
    let mut run = scratch.run(sandbox);
    if !threads::try_out().is_ok_and(Standing::whole) {
        // Nothing of an agent's runs here; what this kernel lacks is told, and recorded.
        run.confine = Some("best-effort".into());
    }
    let options = SessionOptions::resolve(home, run)?;
    let terminal = Arc::new(Terminal::unattended(
        "quickstart asks for no approval; `agp run` asks at the terminal",
    ));
    let code = in_a_thread(|| run::session_under(home, &options, &terminal, POLICY.as_bytes()))?;
    drop(scratch);
    if sandbox == "process" {
        say("Policy allowed the last command, but the sandbox hides the key.");
    }
    say("");
    let journal = home.journal().log;
    // After a rotation, the key that the journal begins under.
    let verified = verify::report(&journal, &verify::first_key(home, &journal)?, false);
    say("");
    say(format_args!("policy   {}", home.policy().display()));
    say(format_args!(
        "journal  {} (read it: agp log)",
        journal.display()
    ));
    say(format_args!("key      {}", home.public_key().display()));
    say("next: agp run --intendant claude-code|codex --task \"...\" --repo DIR");
    Ok(if verified == verification::INTACT {
        code
    } else {
        verified
    })
}

/// A session leaves the thread that it was prepared on confined for good, and its journal is yet to
/// be verified.
fn in_a_thread(session: impl FnOnce() -> Outcome + Send) -> Outcome {
    thread::scope(|scope| {
        let named = thread::Builder::new().name("session".into());
        let session = named.spawn_scoped(scope, session);
        let session = session.map_err(|error| Failure::refused(error, "try again"))?;
        session.join().unwrap_or_else(|_| {
            let problem = "the session thread panicked";
            Err(Failure::broken(
                problem,
                "please report this, with the output above",
            ))
        })
    })
}

/// A repository and a script to play in it, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(home: &Home) -> Result<Self, Failure> {
        let base = std::env::temp_dir().join(format!("agp-quickstart-{}", std::process::id()));
        let scratch = Self(base);
        let failed = |error: io::Error| {
            let problem = format!("{}: {error}", scratch.0.display());
            Failure::refused(problem, "free space in the temporary directory")
        };
        std::fs::create_dir_all(scratch.repository()).map_err(failed)?;
        let readme = scratch.repository().join("README.md");
        std::fs::write(readme, "A repository for one session.\n").map_err(failed)?;
        std::fs::write(scratch.script(), script(home)).map_err(failed)?;
        Ok(scratch)
    }

    fn repository(&self) -> PathBuf {
        self.0.join("repository")
    }

    fn script(&self) -> PathBuf {
        self.0.join("calls.jsonl")
    }

    fn run(&self, sandbox: &str) -> Run {
        Run {
            intendant: Some("scripted".into()),
            repo: Some(self.repository().display().to_string()),
            script: Some(self.script()),
            sandbox: Some(sandbox.into()),
            channel: Some("console".into()),
            ..Run::nothing()
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // In the temporary directory, and of no use to anybody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What an agent might try: reading, working, a file for a person to confirm, the web, and the key.
fn script(home: &Home) -> String {
    let key = home.private_key();
    let calls = [
        ("Read", json!({"file_path": "README.md"})),
        (
            "Bash",
            json!({"command": "wc -l README.md > result.txt && cat result.txt"}),
        ),
        (
            "Write",
            json!({"file_path": "notes.md", "content": "a note\n"}),
        ),
        (
            "WebFetch",
            json!({"url": "https://example.com/", "prompt": "summarise"}),
        ),
        ("Bash", json!({"command": format!("cat {}", quoted(&key))})),
    ];
    let lines = calls.map(|(tool, args): (&str, Value)| json!({"tool": tool, "args": args}));
    lines.map(|line| format!("{line}\n")).concat()
}

/// A path as one word of the shell's.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_policy_loads() {
        assert!(crate::policy::Policy::parse(POLICY.as_bytes()).is_ok());
    }
}
