//! The shell of Claude Code's commands, in hook mode: agp's program under a shell's name, which takes from
//! them the gate and what the harness has for itself, and then becomes the shell.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::hook::login_renewal::STORE;
use crate::jail::command_shell::{NAME, ShellTerms, TERMS};
use crate::jail::path_resolution::WRITTEN_DOWN;
use crate::jail::spec::{HELPER, RUN, Spec};

/// The variable that names the shell. All that the harness starts through one starts through this: Bash,
/// Monitor, and what it writes down of the shell before the first command.
pub const VARIABLE: &str = "CLAUDE_CODE_SHELL";
/// Where the harness writes down what its shell has, in its configuration.
const SNAPSHOTS: &str = "shell-snapshots";
/// What a private directory holds of it.
pub const FILES: [&str; 2] = [NAME, TERMS];

/// What the harness needs for itself, and no command: who pays for it, how it is spoken to, and where its login is.
const WITHHELD: [&str; 10] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    STORE,
    VARIABLE,
];

/// What commands reach, and what of it they do not.
#[derive(Debug, Clone)]
pub struct CommandAccess {
    among: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    snapshots: Option<PathBuf>,
    written: Option<PathBuf>,
}

impl CommandAccess {
    /// In this confinement: all but what agp has put there for the harness. `configuration` is the harness's
    /// configuration, as it knows it.
    #[must_use]
    pub fn within(spec: &Spec, configuration: Option<&Path>) -> Self {
        let gate = spec.placed.iter().filter(|part| part.at.starts_with(RUN));
        let hidden = match spec.has_root() {
            true => [RUN, HELPER].map(PathBuf::from).into(),
            false => gate.map(|part| part.from.clone()).collect(),
        };
        let others = spec.placed.iter().filter(|part| !part.at.starts_with(RUN));
        let scratch = if spec.has_root() {
            Path::new("/tmp")
        } else {
            &spec.scratch
        };
        let among = spec.readable().map(Path::to_owned);
        let among = among.chain(["/proc", "/dev"].map(PathBuf::from));
        let among = among.chain(others.map(|part| spec.inside(&part.from)));
        let among = among.chain(spec.write.iter().chain(&spec.home).cloned());
        Self {
            among: among.chain([scratch.to_owned()]).collect(),
            hidden,
            snapshots: configuration.map(|configuration| configuration.join(SNAPSHOTS)),
            written: configuration.map(|configuration| configuration.join(WRITTEN_DOWN)),
        }
    }

    /// In a container. The harness's configuration is in its home there, which is every command's.
    #[must_use]
    pub fn there() -> Self {
        Self {
            among: vec!["/".into()],
            hidden: [RUN, HELPER].map(PathBuf::from).into(),
            snapshots: None,
            written: None,
        }
    }
}

/// Lays the shell out in `directory`: a link to agp's program, and what commands reach. `named` are variables
/// that the operator passes by name, to commands, too.
///
/// # Errors
/// What the file system gives.
pub fn lay_out(
    directory: &Path,
    program: &Path,
    reach: CommandAccess,
    named: &[String],
) -> io::Result<()> {
    let without = WITHHELD
        .into_iter()
        .filter(|name| !named.iter().any(|other| other == name));
    let terms = ShellTerms {
        among: reach.among,
        hidden: reach.hidden,
        snapshots: reach.snapshots,
        written: reach.written,
        without: without.map(str::to_owned).collect(),
    };
    std::os::unix::fs::symlink(program, directory.join(NAME))?;
    let file = directory.join(TERMS);
    std::fs::write(&file, serde_json::to_vec(&terms)?)?;
    // In a container it is another user who reads it.
    std::fs::set_permissions(&file, Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_passes_by_name_is_for_commands_too() {
        let directory = std::env::temp_dir().join(format!("agp-laid-out-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let named = ["ANTHROPIC_API_KEY".to_owned()];
        lay_out(
            &directory,
            Path::new(HELPER),
            CommandAccess::there(),
            &named,
        )
        .unwrap();
        let text = std::fs::read(directory.join(TERMS)).unwrap();
        let terms: ShellTerms = serde_json::from_slice(&text).unwrap();
        let without = |name: &str| terms.without.iter().any(|withheld| withheld == name);
        assert!(!without("ANTHROPIC_API_KEY") && without("CLAUDE_CODE_OAUTH_TOKEN"));
        assert_eq!(terms.hidden, [RUN, HELPER].map(PathBuf::from));
        let link = std::fs::read_link(directory.join(NAME)).unwrap();
        assert_eq!(link, Path::new(HELPER));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
