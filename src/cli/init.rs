//! `agp init`: a policy and a configuration to start from.

use std::path::Path;

use argh::FromArgs;

use crate::journal::durable;
#[cfg(test)]
use crate::policy::Policy;
use crate::report::failure::{Failure, Outcome, help_with, say};
use crate::session::home::Home;

/// Write a starter policy and configuration.
#[derive(FromArgs)]
#[argh(subcommand, name = "init")]
pub(super) struct Init {
    /// replace an existing policy and configuration
    #[argh(switch)]
    force: bool,
    /// starter (allows reads, asks for changes; the default), readonly, or ask (asks for everything)
    #[argh(option, default = "String::from(\"starter\")")]
    policy: String,
}

/// The policies that `--policy` names.
const POLICIES: [(&str, &str); 3] = [
    ("starter", include_str!("policies/starter.json")),
    ("readonly", include_str!("policies/readonly.json")),
    ("ask", include_str!("policies/ask.json")),
];

const CONFIG: &str = "{\n  \"approval\": { \"timeoutSeconds\": 300 }\n}\n";

pub(super) fn init(home: &Home, command: &Init) -> Outcome {
    let text = policy_text(&command.policy)?;
    for path in [home.policy(), home.config()] {
        if !command.force && path.exists() {
            let problem = format!("{} already exists", path.display());
            return Err(Failure::refused(
                problem,
                "keep it; `agp init --force` replaces policy.json and config.json",
            ));
        }
    }
    scaffold(home, text)?;
    say(format_args!(
        "policy   {} ({})",
        home.policy().display(),
        command.policy
    ));
    say(format_args!("config   {}", home.config().display()));
    if !home.private_key().exists() {
        say("next: agp keygen");
    }
    Ok(0)
}

fn policy_text(name: &str) -> Result<&'static str, Failure> {
    let policy = POLICIES.iter().find(|(known, _)| *known == name);
    policy.map(|(_, text)| *text).ok_or_else(|| {
        let known: Vec<&str> = POLICIES.iter().map(|(name, _)| *name).collect();
        Failure::usage(
            format!("unknown policy {name:?}"),
            format!("use --policy with one of {}", known.join(", ")),
        )
    })
}

/// Writes whatever of home, policy and configuration is not there; gives what it wrote.
pub(super) fn scaffold_missing(home: &Home) -> Result<(), Failure> {
    make_directories(home)?;
    if !home.policy().exists() {
        write(&home.policy(), policy_text("starter")?)?;
    }
    if !home.config().exists() {
        write(&home.config(), CONFIG)?;
    }
    Ok(())
}

fn scaffold(home: &Home, policy: &str) -> Result<(), Failure> {
    make_directories(home)?;
    write(&home.policy(), policy)?;
    write(&home.config(), CONFIG)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_that_can_be_named_loads() {
        for (name, text) in POLICIES {
            assert!(Policy::parse(text.as_bytes()).is_ok(), "{name}");
        }
    }
}
