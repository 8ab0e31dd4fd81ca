//! The policy of a home, or another one that a session is to have.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::config::Config;
use super::home::Home;
use crate::contracts::{bounded_file, limits};
use crate::policy::{Policy, PolicyError, SHIPPED, shipped};
use crate::report::failure::{Failure, help_with};

/// The machine's policy, which nothing loosens.
pub(crate) const MANAGED: &str = "/etc/agp/policy.json";
/// Where a repository has its own.
pub(crate) const REPOSITORY: &str = ".agp";

/// The policy's name in it.
pub(crate) const NAME: &str = "policy.json";

/// Where a repository has its policy. None in one's home directory, whose `.agp` is agp's home.
pub(crate) fn of_repository(repository: &Path, home: Option<&Home>) -> Option<PathBuf> {
    let directory = repository.join(REPOSITORY);
    let is_home = home.is_some_and(|home| {
        let real = directory.canonicalize();
        real.is_ok_and(|real| real == home.real_root())
    });
    (!is_home).then(|| directory.join(NAME))
}

/// Whether a file is some repository's policy, and not that of a home.
pub(crate) fn is_of_repository(file: &Path, home: Option<&Home>) -> bool {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let repository = file.ancestors().nth(2);
    let of_person = std::env::var_os("HOME").map(PathBuf::from);
    repository.is_some_and(|repository| {
        Some(repository) != of_person.as_deref()
            && of_repository(repository, home).as_ref() == Some(&file)
    })
}

/// Where a session's own policy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PolicySource {
    /// The home's file.
    Home,
    /// One that ships with agp, by its name.
    Shipped(&'static str),
    /// Another file.
    File(PathBuf),
    /// The file that `config.json` names for a project.
    Project(PathBuf),
}

impl PolicySource {
    /// The flag's, else the project's in `config.json`, else the home's.
    ///
    /// # Errors
    /// [`Failure`] when a project's path is not absolute.
    pub(crate) fn of(
        flag: Option<&str>,
        config: &Config,
        home: &Home,
        repository: &Path,
    ) -> Result<Self, Failure> {
        if let Some(named) = flag {
            return Ok(Self::given(named));
        }
        if let Some(relative) = config.projects.keys().find(|path| !path.is_absolute()) {
            let problem = format!(
                "{}: the project {} is no absolute path",
                home.config().display(),
                relative.display()
            );
            return Err(Failure::usage(problem, "write the project's whole path"));
        }
        let repository = repository
            .canonicalize()
            .unwrap_or_else(|_| repository.to_owned());
        let around = config.projects.iter().filter_map(|(path, project)| {
            let path = path.canonicalize().ok()?;
            let policy = project.policy.as_deref()?;
            repository
                .starts_with(&path)
                .then(|| (path.components().count(), policy))
        });
        let nearest = around.max_by_key(|(depth, _)| *depth);
        Ok(nearest.map_or(Self::Home, |(_, policy)| Self::of_project(policy, home)))
    }

    /// What a person names: relative to the working directory, where it is a file.
    pub(crate) fn given(named: &str) -> Self {
        Self::named(named, Path::new(""))
    }

    /// What `config.json` names for a project: below the home, where it is a relative file.
    pub(crate) fn of_project(named: &str, home: &Home) -> Self {
        match Self::named(named, home.root()) {
            Self::File(path) => Self::Project(path),
            other => other,
        }
    }

    fn named(named: &str, below: &Path) -> Self {
        let mut ships = SHIPPED.iter();
        match ships.find(|(name, _)| *name == named) {
            Some((name, _)) => Self::Shipped(name),
            None => Self::File(below.join(named)),
        }
    }

    /// What of it is a file, other than the home's.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Project(path) => Some(path),
            Self::Home | Self::Shipped(_) => None,
        }
    }

    /// The name for it in events and messages: a path, or the name of one that ships.
    pub(crate) fn shown(&self, home: &Home) -> PathBuf {
        match self {
            Self::Home => home.policy(),
            Self::Shipped(name) => PathBuf::from(name),
            Self::File(path) | Self::Project(path) => path.clone(),
        }
    }

    /// What helps where its file cannot be read.
    pub(crate) fn help(&self, home: &Home) -> String {
        match self {
            Self::Home | Self::Shipped(_) => "run `agp init`".to_owned(),
            Self::File(_) => "name a policy: a file, standard, strict or watch".to_owned(),
            Self::Project(_) => format!(
                "make the file, or change the project's \"policy\" in {}",
                home.config().display()
            ),
        }
    }

    /// The policy's text.
    ///
    /// # Errors
    /// [`Failure`] when its file cannot be read.
    pub(crate) fn text(&self, home: &Home) -> Result<Vec<u8>, Failure> {
        let path = match self {
            Self::Shipped(name) => return Ok(shipped(name).unwrap_or_default().into()),
            Self::Home => {
                home.check_own()?;
                home.policy()
            }
            Self::File(path) | Self::Project(path) => {
                not_others(path)?;
                path.clone()
            }
        };
        bounded_file::read(&path, limits::POLICY_BYTES).map_err(|error| {
            let problem = format!("cannot read {}: {error}", path.display());
            Failure::refused(problem, help_with(&path, &error, &self.help(home)))
        })
    }
}

/// Refuses a file that other users could write, or that is another's than root's.
fn not_others(path: &Path) -> Result<(), Failure> {
    // One that is not there is told of when it is read.
    let Ok(meta) = path.metadata() else {
        return Ok(());
    };
    let trusted = [0, rustix::process::geteuid().as_raw()].contains(&meta.uid());
    match trusted && meta.permissions().mode() & 0o002 == 0 {
        true => Ok(()),
        false => {
            let path = path.display();
            let problem = format!("{path}: other users can write it");
            Err(Failure::refused(
                problem,
                format!("chown and chmod o-w {path}"),
            ))
        }
    }
}

/// Reads the policy of a home.
pub(crate) fn load_policy(home: &Home) -> Result<Policy, Failure> {
    home.check_own()?;
    Policy::load(&home.policy()).map_err(|error| match error {
        PolicyError::Io {
            ref path,
            error: ref why,
        } => {
            let mend = help_with(path, why, "run `agp init`");
            Failure::refused(error, mend)
        }
        _ => {
            let problem = format!("{}: {error}", home.policy().display());
            Failure::refused(problem, "fix the file, then run `agp policy check`")
        }
    })
}
