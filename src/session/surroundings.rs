//! Where a session's calls are made, as their tools see it: what reading them needs to know of this machine.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::contracts::timestamp;
use crate::disk::{Grounds, PathsThread};
use crate::gateway::client_file;
use crate::governor::ReadingTerms;
use crate::intendants::environment::{environment, variable};
use crate::intendants::executable::bridge_program;
use crate::jail::container_protocol;
use crate::jail::spec::{RUN, Spec};
use crate::reading::surroundings::Surroundings;
use crate::sandbox::harness_host::Enclosure;
use crate::sandbox::network::Network;

use super::context::SessionContext;
use super::docker::container::GATE;
use super::home::Home;
use super::kinds::{Mode, Provider};
use super::policy_file::{MANAGED, REPOSITORY};
use super::prepare::SessionSandboxes;
use super::preview::PreviewThread;

/// Where bash is looked for; elsewhere another shell runs a harness's commands.
const BASH: [&str; 3] = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"];

/// What the calls of a session see.
pub(crate) struct View {
    around: Surroundings,
    /// Where the thread that looks for them may look.
    pub(crate) grounds: Grounds,
    confined: bool,
}

impl View {
    /// Of a session whose sandboxes are ready.
    pub(crate) fn of(context: &SessionContext<'_>, sandboxes: &SessionSandboxes) -> Self {
        let (options, directory) = (context.options, &context.directory);
        let hooked = options.layout.mode() == Some(Mode::Hook);
        let network = match hooked {
            true => options.way_out.harness_network(directory),
            false => options.way_out.calls_network(directory),
        };
        let spec = match hooked {
            true => sandboxes.enclosure.as_ref().map(Enclosure::spec),
            false => sandboxes.calls.spec.clone(),
        };
        let contained = options.layout.provider() == Provider::Docker;
        let sandboxed = contained || spec.is_some();
        let grounds = match (contained, &spec) {
            (true, _) => in_container(&options.repository),
            (false, Some(spec)) => in_sandbox(&options.repository, spec),
            (false, None) => {
                let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
                Grounds::new(&options.repository, &home, &env::temp_dir())
            }
        };
        let path = match (contained, &sandboxes.calls.search_path) {
            // Its own, without what can be changed.
            (true, _) => None,
            (false, Some(path)) if !hooked => Some(path.clone()),
            (false, _) => environment(&options.harness_env, &options.changeable())
                .into_iter()
                .find_map(|(name, value)| (name == "PATH").then_some(value)),
        };
        let shell_there = match sandboxes.bash {
            Some(there) => there,
            None => BASH.iter().any(|shell| Path::new(shell).exists()),
        };
        let repository = text(&grounds.repository);
        Self {
            around: Surroundings {
                directory: repository.clone(),
                home: text(&grounds.home),
                temporary: text(&grounds.temporary),
                agp: own(context, &repository),
                path: path.as_deref().map(entries).unwrap_or_default(),
                other_shell: !shell_there,
                repository,
                ..Surroundings::default()
            },
            grounds,
            confined: sandboxed && !matches!(network, Network::Host),
        }
    }

    /// The repository as the session's tools see it.
    pub(crate) fn repository(&self) -> &str {
        &self.around.repository
    }

    /// How calls are read, with these threads to look for them.
    pub(crate) fn terms(self, paths: &PathsThread, preview: PreviewThread) -> ReadingTerms {
        let paths = paths.clone();
        ReadingTerms {
            around: self.around,
            disk: Box::new(move || Box::new(paths.looking())),
            preview: Box::new(preview),
            confined: self.confined,
            today: || Some(timestamp::day(SystemTime::now())),
        }
    }
}

/// In a root of its own a sandbox has its temporary directory and its home elsewhere, and all that it was given where it is.
fn in_sandbox(repository: &Path, spec: &Spec) -> Grounds {
    let temporary = match spec.has_root() {
        true => PathBuf::from("/tmp"),
        false => spec.scratch.clone(),
    };
    let own_home = temporary.join("home");
    let mut grounds = Grounds {
        repository: repository.to_owned(),
        home: spec.home.clone().unwrap_or(own_home),
        temporary,
        ..Grounds::default()
    };
    if spec.has_root() {
        let given = spec.read.iter().chain(&spec.write).chain([&spec.directory]);
        grounds.placed = given.map(|path| (path.clone(), path.clone())).collect();
        let temporary = (grounds.temporary.clone(), spec.scratch.clone());
        let home = spec
            .home
            .clone()
            .map(|home| (home, spec.scratch.join("home")));
        grounds.placed.extend([temporary].into_iter().chain(home));
    }
    grounds
}

/// A container has the repository of this machine, and all else of its own.
fn in_container(repository: &Path) -> Grounds {
    let inside = PathBuf::from(container_protocol::REPOSITORY);
    Grounds {
        placed: vec![(inside.clone(), repository.to_owned())],
        repository: inside,
        home: container_protocol::HOME.into(),
        temporary: "/tmp".into(),
        elsewhere: true,
    }
}

/// What is agp's own wherever a call is made: its home, its configuration, the repository's policy, its programs.
pub(crate) fn of_agp(home: Option<&Home>, repository: &Path) -> Vec<PathBuf> {
    let managed = Path::new(MANAGED);
    let mut paths = vec![
        managed.parent().unwrap_or(managed).to_owned(),
        repository.join(REPOSITORY),
    ];
    paths.extend(
        home.iter()
            .flat_map(|home| [home.root().to_owned(), home.real_root()]),
    );
    paths.extend(bridge_program().ok());
    paths.extend(env::current_exe().ok());
    paths
}

/// What is agp's own in a session: a call that writes there tampers with it.
fn own(context: &SessionContext<'_>, repository: &str) -> Vec<String> {
    let directory = &context.directory;
    let mut paths = of_agp(Some(context.home), Path::new(repository));
    paths.push(RUN.into());
    let parts = [GATE, client_file::FILE, "settings.json", "mcp.json"];
    paths.extend(parts.map(|name| directory.join(name)));
    let named = context.options.policy.file();
    paths.extend(named.and_then(|path| path.canonicalize().ok()));
    let mut paths: Vec<String> = paths.iter().map(|path| text(path)).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The directories of a `PATH` that has none which a call can write.
fn entries(path: impl AsRef<OsStr>) -> Vec<(String, bool)> {
    let entries = env::split_paths(path.as_ref());
    entries.map(|entry| (text(&entry), false)).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
