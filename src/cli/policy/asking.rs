//! A policy asked about a call outside of a session: what the call would do here, and what the policy says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::contracts::call::Actor;
use crate::contracts::secret;
use crate::contracts::timestamp;
use crate::disk::{Grounds, LocalDisk};
use crate::policy::{Conditions, Explanation, Memory, Policy, Ruling};
use crate::reading;
use crate::reading::atoms::{Atom, AtomKind, Reading};
use crate::reading::disk::Disk;
use crate::reading::paths;
use crate::reading::surroundings::Surroundings;
use crate::reading::tools::{self, Declared};
use crate::report::failure::Failure;
use crate::session::home::Home;
use crate::session::surroundings::of_agp;

/// A call that is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) tool: &'a str,
    pub(crate) args: &'a Map<String, Value>,
    /// Where it would run, absolute; the repository where absent.
    pub(crate) directory: Option<&'a str>,
    pub(crate) actor: Actor,
}

/// A policy, and where calls would be made.
pub(crate) struct Asking<'a> {
    policy: &'a Policy,
    declared: Declared,
    around: Surroundings,
    confined: bool,
    today: String,
    /// Branches by directory: nothing that is asked about is run.
    branches: RefCell<HashMap<String, Option<String>>>,
}

impl<'a> Asking<'a> {
    /// `confined`: commands run in a sandbox, and egress is not `full`.
    pub(crate) fn new(policy: &'a Policy, around: Surroundings, confined: bool) -> Self {
        // No call's time to look at files pays for it.
        reading::warm();
        Self {
            policy,
            declared: policy.declared(),
            around,
            confined,
            today: timestamp::day(SystemTime::now()),
            branches: RefCell::default(),
        }
    }

    pub(crate) fn around(&self) -> &Surroundings {
        &self.around
    }

    /// A session in which nothing was done yet.
    pub(crate) fn begin(&self) -> Session {
        Session {
            memory: Memory::default(),
            around: self.around.clone(),
        }
    }

    /// What a call would do, and what the policy says of it.
    pub(crate) fn judge(
        &self,
        call: Call<'_>,
        session: &mut Session,
        disk: &dyn Disk,
    ) -> (Reading, Ruling) {
        self.with(call, session, disk, |reading, at| {
            let ruling = self.policy.judge(&reading, at);
            (reading, ruling)
        })
    }

    /// What a call would do, and what each rule says of each part of it.
    pub(crate) fn explain(
        &self,
        call: Call<'_>,
        session: &mut Session,
        disk: &dyn Disk,
    ) -> (Reading, Explanation) {
        self.with(call, session, disk, |reading, at| {
            let explanation = self.policy.explain(&reading, at);
            (reading, explanation)
        })
    }

    fn with<T>(
        &self,
        call: Call<'_>,
        session: &mut Session,
        disk: &dyn Disk,
        then: impl FnOnce(Reading, &Conditions<'_>) -> T,
    ) -> T {
        let Session { memory, around } = session;
        around.directory = match call.directory {
            Some(directory) => paths::normal(directory),
            None => self.around.directory.clone(),
        };
        let reading = tools::read(call.tool, call.args, around, disk, &self.declared);
        let branch = self.branch(&around.directory, disk);
        let secrets = secret::asked_by(call.tool, call.args);
        let at = Conditions {
            tool: call.tool,
            args: call.args,
            actor: call.actor,
            around,
            directory: Some(&around.directory),
            branch: branch.as_deref(),
            confined: self.confined,
            today: Some(&self.today),
            secrets: &secrets,
            memory: Some(memory),
            disk,
        };
        then(reading, &at)
    }

    fn branch(&self, directory: &str, disk: &dyn Disk) -> Option<String> {
        let mut branches = self.branches.borrow_mut();
        if let Some(branch) = branches.get(directory) {
            return branch.clone();
        }
        let branch = disk.git(directory).and_then(|git| git.branch);
        branches.insert(directory.to_owned(), branch.clone());
        branch
    }
}

/// What a session did so far.
pub(crate) struct Session {
    memory: Memory,
    around: Surroundings,
}

impl Session {
    /// Takes note of a call that ran.
    pub(crate) fn record(&mut self, reading: &Reading) {
        self.memory.record(reading);
        let writes = |atom: &Atom| matches!(atom.kind, AtomKind::Write(_));
        if reading.atoms.iter().any(writes) {
            self.around.written.clone_from(self.memory.written());
            self.around.fetched = self.memory.fetched();
        }
    }
}

/// Whether commands run in a sandbox without free network.
pub(super) fn confinement(confined: bool, unconfined: bool, egress: &str) -> Result<bool, Failure> {
    if confined && unconfined {
        return Err(Failure::usage(
            "--confined and --unconfined contradict each other",
            "use one of them",
        ));
    }
    match egress {
        "none" | "allowlist" => Ok(!unconfined),
        "full" => Ok(false),
        _ => Err(Failure::usage(
            format!("unknown egress {egress:?}"),
            "--egress none|full|allowlist",
        )),
    }
}

/// The file system of a place.
pub(super) fn disk(around: &Surroundings) -> LocalDisk {
    LocalDisk::new(Grounds::new(
        around.repository.as_ref(),
        around.home.as_ref(),
        around.temporary.as_ref(),
    ))
}

/// Where calls of this person in this repository would be made. `look`: which directories of `PATH` a session can
/// write is looked up.
pub(crate) fn surroundings(repository: &Path, look: bool) -> Surroundings {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let text = |path: &Path| paths::normal(&real(path).to_string_lossy());
    let repository = text(repository);
    let temporary = text(&env::temp_dir());
    let home = env::var_os("HOME").map_or_else(String::new, |home| text(Path::new(&home)));
    let agp = of_agp(Home::find().ok().as_ref(), Path::new(&repository));
    let agp = agp.iter().map(|path| text(path)).collect();
    // Split, an empty text is one empty entry, and that is the working directory.
    let search = env::var_os("PATH").filter(|_| look);
    let path = search.iter().flat_map(env::split_paths).map(|directory| {
        // A relative one is the repository's, or whatever the command's directory is.
        let writable = !directory.is_absolute() || {
            let real = text(&directory);
            paths::within(&real, &repository) || paths::within(&real, &temporary)
        };
        (directory.to_string_lossy().into_owned(), writable)
    });
    Surroundings {
        directory: repository.clone(),
        path: path.collect(),
        repository,
        home,
        temporary,
        agp,
        ..Surroundings::default()
    }
}

/// The repository that is named, or the current directory.
pub(crate) fn repository(named: Option<&PathBuf>) -> PathBuf {
    match named {
        Some(path) => path.clone(),
        None => env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
    }
}
