//! The confinement of a harness on the host: what it needs of this machine, by harness.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::channels::escape;
use crate::confine::Spawner;
use crate::contracts::sandbox::SandboxError;
use crate::gateway::client_file;
use crate::hook::pre_post_tool;
use crate::intendants::claude_code::{self, command_shell};
use crate::intendants::environment::variable;
use crate::intendants::executable::{bridge_program, package};
use crate::intendants::{codex, harness_git};
use crate::jail::spec::{Namespaces, Placed, RUN, Withheld};
use crate::jail::writable_paths::Changeable;
use crate::sandbox::harness_host::{self, Enclosure, HarnessHostConfig};
use crate::sandbox::network::Network;

use super::attend;
use super::claude_config_dir::ClaudeHome;
use super::docker::container::GATE;
use super::home::Home;
use super::kinds::{Confine, Harness};
use super::layout::{HarnessPlace, Layout};
use super::lease::{HARNESS_HOME, HARNESS_LOGIN};
use super::private_paths::{Sockets, listed, private_paths};
use crate::report::failure::{Failure, complain};

/// Files of the system's that a harness needs besides what a command does: names of hosts, and what
/// an organisation sets for it.
const SYSTEM: [&str; 3] = ["/etc/resolv.conf", "/etc/claude-code", "/etc/codex"];
/// Variables that name a file a harness reads.
const FILES: [&str; 6] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "CODEX_CA_CERTIFICATE",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
];

/// What the harness of a session, or of a probe, needs that is to be confined.
pub(crate) struct HarnessNeeds<'a> {
    pub(crate) layout: Layout,
    /// agp's own home, which it must not reach.
    pub(crate) home: &'a Home,
    /// What starts it.
    pub(crate) spawner: &'a Spawner,
    /// The session's directory, with its socket.
    pub(crate) directory: &'a Path,
    pub(crate) repository: &'a Path,
    /// Whether it may change the repository itself. Where agp's tools run as another user, only they
    /// can.
    pub(crate) writes: bool,
    /// The `HOME` that the harness gets.
    pub(crate) user: Option<PathBuf>,
    /// Claude Code's own configuration.
    pub(crate) claude: Option<&'a ClaudeHome>,
    /// What the policy withholds of all this.
    pub(crate) withheld: Vec<Withheld>,
    /// What network it has.
    pub(crate) network: Network,
    /// What its agent can change.
    pub(crate) changeable: &'a Changeable,
    pub(crate) allow_read: &'a [PathBuf],
    pub(crate) allow_write: &'a [PathBuf],
}

/// The harness's confinement, or none where none was asked for or, by `best-effort`, there is none.
pub(crate) fn ready(needs: &HarnessNeeds<'_>) -> Result<Option<Enclosure>, Failure> {
    let (Some(harness), HarnessPlace::Host(confine)) =
        (needs.layout.harness(), needs.layout.place())
    else {
        return Ok(None);
    };
    let refused = |problem: String| {
        let mend = match needs.layout.runs_calls() {
            false => {
                "run `agp doctor --check sandbox`; or use --mode mediated; or use --confine \
                best-effort to run with weaker confinement"
            }
            true => {
                "run `agp doctor --check sandbox`, or use --confine best-effort to run it \
                unconfined"
            }
        };
        let problem = format!("cannot confine the harness: {}", escape::line(&problem));
        Failure::refused(problem, mend)
    };
    let program = match harness {
        Harness::Codex => codex::program(needs.changeable),
        Harness::ClaudeCode => claude_code::program(needs.changeable),
    }?;
    let sockets = Sockets::of_this_machine(needs.directory);
    let mut sockets = sockets.map_err(|error| refused(error.to_string()))?;
    for socket in attend::sockets(needs.home) {
        if !sockets.listening.contains(&socket) {
            sockets.listening.push(socket);
        }
    }
    let enclosed = setup(needs, (harness, confine), &program, &sockets)
        .and_then(|setup| harness_host::prepare(&setup));
    match enclosed.map_err(|SandboxError(why)| why) {
        Ok(enclosed) => {
            if enclosed.namespaces() == Namespaces::Off {
                complain(format_args!(
                    "WARNING: no namespaces: commands can connect to every Unix socket that has a \
                    path{}",
                    of_those(&enclosed.open_sockets())
                ));
            }
            Ok(Some(enclosed))
        }
        // Unconfined it would reach everything, where a list was asked for.
        Err(problem) if matches!(needs.network, Network::Listed { .. }) => Err(Failure::refused(
            format!(
                "cannot enforce the host allowlist for the harness: {}",
                escape::line(&problem)
            ),
            "run `agp doctor --check sandbox`, or use --egress full",
        )),
        Err(problem) if confine == Confine::BestEffort => {
            complain(format_args!(
                "WARNING: the harness is not confined: {}",
                escape::line(&problem)
            ));
            complain(format_args!(
                "WARNING: the harness can connect to every Unix socket that you can{}",
                of_those(&sockets.open())
            ));
            Ok(None)
        }
        Err(problem) => Err(refused(problem)),
    }
}

/// Those of all sockets that were found, as a sentence ends with them.
fn of_those(sockets: &[String]) -> String {
    match sockets {
        [] => "; no listening socket was found".to_owned(),
        some => format!(", such as {}", listed(some)),
    }
}

/// What `session.started` says of it.
pub(crate) fn described(enclosed: Option<&Enclosure>) -> Value {
    enclosed.map_or_else(
        || {
            serde_json::json!({
                "kind": "host",
                "isolated": [],
                "notIsolated": ["files", "processes", "network", "operator credentials"],
                "vmGrade": false,
            })
        },
        Enclosure::describe,
    )
}

fn setup(
    needs: &HarnessNeeds<'_>,
    (harness, confine): (Harness, Confine),
    program: &Path,
    sockets: &Sockets,
) -> Result<HarnessHostConfig, SandboxError> {
    let bridge = bridge_program().map_err(|error| SandboxError(error.to_string()))?;
    let user = needs.user.clone();
    let user = user.filter(|user| user.is_absolute() && user.is_dir() && user.parent().is_some());
    let (directory, repository) = (needs.directory, needs.repository.to_owned());
    let mark = directory.join(pre_post_tool::MARK);
    harness_host::empty_file(&mark)
        .map_err(|error| SandboxError(format!("{}: {error}", mark.display())))?;

    let protected: Vec<PathBuf> = [needs.home.real_root()]
        .into_iter()
        .chain(private_paths())
        .collect();
    let placed = |name: &str, write| Placed {
        from: directory.join(name),
        at: Path::new(RUN).join(name),
        write,
        foreign: false,
    };
    let parts = [client_file::FILE, "settings.json", "mcp.json"].into_iter();
    let parts = parts.chain(command_shell::FILES).chain([harness_git::FILE]);
    let parts = parts.map(|name| placed(name, false));
    let parts = parts.chain([placed(pre_post_tool::MARK, true)]);
    // Nobody who could swap the directory decides where transcripts go, or whose login it is.
    let claude_home = [placed(HARNESS_HOME, true), placed(HARNESS_LOGIN, false)];
    let parts = parts.chain(claude_home.into_iter().filter(|_| needs.claude.is_some()));
    let mut read = Vec::new();
    let named = SYSTEM.iter().map(PathBuf::from);
    let files = FILES.iter().filter_map(variable).map(PathBuf::from);
    // A link leads to what must be there, too.
    read.extend(
        named
            .chain(files)
            .filter_map(|path| path.canonicalize().ok()),
    );
    let mut write = Vec::new();
    if needs.writes {
        write.push(repository.clone());
    } else {
        read.push(repository.clone());
    }
    let mut write_later = Vec::new();
    match harness {
        Harness::Codex => {
            write_later.push(directory.join(HARNESS_HOME));
            write.extend(codex::login().and_then(|login| login.canonicalize().ok()));
        }
        Harness::ClaudeCode => {}
    }
    read.extend(needs.allow_read.iter().cloned());
    write.extend(needs.allow_write.iter().cloned());
    let token = directory.file_name().unwrap_or_default();
    Ok(HarnessHostConfig {
        bridge,
        spawner: needs.spawner.clone(),
        directory: directory.to_owned(),
        repository,
        home: user,
        read,
        write,
        write_later,
        gate: placed(GATE, false),
        parts: parts.collect(),
        package: package(program),
        program: program.to_owned(),
        protected,
        sockets: sockets.dangerous.clone(),
        listening: sockets.listening.clone(),
        untold: sockets.untold,
        without_namespaces: needs.layout.runs_calls() || confine == Confine::BestEffort,
        weaker: confine == Confine::BestEffort,
        token: format!("{}-{}", token.to_string_lossy(), std::process::id()),
        namespaces: None,
        withheld: needs.withheld.clone(),
        network: needs.network.clone(),
    })
}
