//! `agp init`: a policy and a configuration to start from.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use argh::FromArgs;

use crate::contracts::{bounded_file, limits, timestamp};
use crate::journal::durable;
use crate::policy::{SHIPPED, shipped};
use crate::report::failure::{Failure, Outcome, help_with, say};
use crate::session::home::Home;

/// Write a policy and a configuration to start from.
#[derive(FromArgs)]
#[argh(subcommand, name = "init")]
pub(super) struct Init {
    /// replace what exists; the old file is kept as FILE.bak-TIME
    #[argh(switch)]
    force: bool,
    /// write this policy, and no configuration where one exists: standard (the default), strict (asks before any
    /// write or command that is not a read), or watch (allows and records)
    #[argh(option)]
    policy: Option<String>,
}

/// The policy that a home begins with.
const STANDARD: &str = "standard";

/// What each that ships does, for whoever chose it.
const SAYS: [(&str, &str); 3] = [
    (
        STANDARD,
        "editing, building and testing run; a push, a new host or a danger asks",
    ),
    ("strict", "writes, and commands that do more than read, ask"),
    ("watch", "everything runs and is recorded"),
];

const CONFIG: &str = "{\n  \"approval\": { \"timeoutSeconds\": 300 }\n}\n";

pub(super) fn init(home: &Home, command: &Init) -> Outcome {
    let name = command.policy.as_deref().unwrap_or(STANDARD);
    let text = policy_text(name)?;
    make_directories(home)?;
    let says = SAYS.iter().find(|(own, _)| *own == name);
    let note = says.map_or_else(String::new, |(name, says)| format!(" ({name}: {says})"));
    let policy = (home.policy(), text, note, true);
    // Who names a policy wants no other configuration.
    let config = (
        home.config(),
        CONFIG,
        String::new(),
        command.policy.is_none(),
    );
    for (path, text, _, wanted) in [&policy, &config] {
        if *wanted && !command.force && path.exists() && !has(path, text) {
            let problem = format!("{} already exists", path.display());
            let mend = "keep it, or add --force: the old file is then kept as FILE.bak-TIME";
            return Err(Failure::refused(problem, mend));
        }
    }
    for (label, (path, text, note, wanted)) in [("policy", &policy), ("config", &config)] {
        if !path.exists() {
            write(path, text)?;
        } else if *wanted && !has(path, text) {
            let kept = keep(path)?;
            write(path, text)?;
            say(format_args!("kept     {}", kept.display()));
        }
        say(format_args!("{label}   {}{note}", path.display()));
    }
    if !home.private_key().exists() {
        say("next: agp keygen");
    } else {
        say("next: agp policy check");
    }
    Ok(0)
}

/// Whether a file already says this.
fn has(path: &Path, text: &str) -> bool {
    bounded_file::read(path, limits::POLICY_BYTES).is_ok_and(|bytes| bytes == text.as_bytes())
}

/// Keeps a file that is about to be replaced, as `FILE.bak-TIME` beside it.
fn keep(path: &Path) -> Result<PathBuf, Failure> {
    let stamp = timestamp::rfc3339(SystemTime::now());
    let stamp: String = stamp.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".bak-{stamp}"));
    let kept = PathBuf::from(name);
    std::fs::hard_link(path, &kept).map_err(|error| cannot_write(&kept, &error))?;
    Ok(kept)
}

fn policy_text(name: &str) -> Result<&'static str, Failure> {
    shipped(name).ok_or_else(|| {
        let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        Failure::usage(
            format!("unknown policy {name:?}"),
            format!("use --policy with one of {}", names.join(", ")),
        )
    })
}

/// Writes whatever of home, policy and configuration is not there; gives what it wrote.
pub(super) fn scaffold_missing(home: &Home) -> Result<(), Failure> {
    make_directories(home)?;
    if !home.policy().exists() {
        write(&home.policy(), policy_text(STANDARD)?)?;
    }
    if !home.config().exists() {
        write(&home.config(), CONFIG)?;
    }
    Ok(())
}

fn make_directories(home: &Home) -> Result<(), Failure> {
    for directory in [home.root().to_owned(), home.signing(), home.sessions()] {
        durable::private_dir(&directory).map_err(|error| cannot_write(&directory, &error))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    durable::replace(path, 0o600, text.as_bytes()).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let problem = format!("cannot write {}: {error}", path.display());
    let mend = help_with(path, error, "set AGP_HOME to a directory that you own");
    Failure::refused(problem, mend)
}
