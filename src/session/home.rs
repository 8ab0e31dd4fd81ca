//! `AGP_HOME`: where everything of the operator's lives, and the keys in it.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::contracts::approver::Approver;
use crate::contracts::attendant::Attendant;
use crate::contracts::{bounded_file, limits};
use crate::journal::Paths;
use crate::journal::key::{PublicKey, SigningKey};
use crate::report::failure::{Failure, help_with};

/// The operator's directory and the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// `AGP_HOME`, or `~/.agp`.
    ///
    /// # Errors
    /// [`Failure`] when neither `AGP_HOME` nor `HOME` is set.
    pub fn find() -> Result<Self, Failure> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let root = set("AGP_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".agp")))
            .ok_or_else(|| {
                Failure::usage("neither AGP_HOME nor HOME is set", "export AGP_HOME=DIR")
            })?;
        // Written into hooks and shown in messages: it must mean the same everywhere.
        let root = std::path::absolute(&root)
            .map_err(|error| Failure::usage(format!("AGP_HOME: {error}"), "export AGP_HOME=DIR"))?;
        Ok(Self { root })
    }

    /// A home at a given place.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The same, links followed.
    pub(crate) fn real_root(&self) -> PathBuf {
        let real = self.root.canonicalize();
        real.unwrap_or_else(|_| self.root.clone())
    }

    /// `policy.json`.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy.json")
    }

    /// `config.json`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config.json")
    }

    /// `audit.log` and its head.
    #[must_use]
    pub fn journal(&self) -> Paths {
        Paths::of(&self.root.join("audit.log"))
    }

    /// `sessions/`: a lease per live session.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    /// `secrets/`: a file a secret, named for it.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// `signing/`.
    #[must_use]
    pub fn signing(&self) -> PathBuf {
        self.root.join("signing")
    }

    /// `signing/journal-ed25519.key`.
    #[must_use]
    pub fn private_key(&self) -> PathBuf {
        self.signing().join("journal-ed25519.key")
    }

    /// `signing/journal-ed25519.pub`.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.signing().join("journal-ed25519.pub")
    }

    /// `signing/retired/`: public keys that signed before a rotation, as `<key id>.pub`.
    #[must_use]
    pub fn retired_keys(&self) -> PathBuf {
        self.signing().join("retired")
    }

    /// Refuses a home, policy or configuration that another user could write: whoever can write the
    /// rules decides.
    ///
    /// # Errors
    /// [`Failure`] with the step that mends it.
    pub fn check_own(&self) -> Result<(), Failure> {
        for path in [self.root.clone(), self.policy(), self.config()] {
            let Ok(meta) = fs::metadata(&path) else {
                continue;
            };
            let place = path.display();
            if meta.uid() != rustix::process::geteuid().as_raw() {
                let problem = format!("{place} belongs to another user (uid {})", meta.uid());
                return Err(Failure::refused(
                    problem,
                    "set AGP_HOME to a directory that you own",
                ));
            }
            if meta.permissions().mode() & 0o022 != 0 {
                let problem = format!("other users can write {place}");
                return Err(Failure::refused(problem, format!("chmod go-w {place}")));
            }
        }
        Ok(())
    }

    /// Reads the signing key, which must be private to its owner.
    ///
    /// # Errors
    /// [`Failure`] with the step that mends it.
    pub fn signing_key(&self) -> Result<SigningKey, Failure> {
        let path = self.private_key();
        let file = path.display();
        let meta = fs::metadata(&path).map_err(|error| {
            let mend = match error.kind() {
                io::ErrorKind::NotFound => "run `agp keygen`".to_owned(),
                _ => help_with(&path, &error, "run `agp doctor --check signing`"),
            };
            Failure::refused(format!("{file}: {error}"), mend)
        })?;
        if meta.permissions().mode() & 0o077 != 0 {
            let problem = format!("other users can read {file}");
            return Err(Failure::refused(
                problem,
                format!("chmod 600 {file}, then run `agp keygen --force`"),
            ));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            let problem = format!("{file} belongs to another user (uid {})", meta.uid());
            return Err(Failure::refused(problem, "run `agp keygen --force`"));
        }
        let wrong = |problem: String| {
            Failure::refused(
                format!("{file}: {problem}"),
                "restore the key, or run `agp keygen --force`",
            )
        };
        let bytes = bounded_file::read(&path, limits::SMALL_FILE_BYTES)
            .map_err(|error| wrong(error.to_string()))?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not a PEM file".into()))?;
        SigningKey::from_pem(text).map_err(|error| wrong(error.to_string()))
    }

    /// Reads every retired public key.
    ///
    /// # Errors
    /// [`Failure`] when one of them cannot be read.
    pub fn retired(&self) -> Result<Vec<PublicKey>, Failure> {
        let directory = self.retired_keys();
        let failed = |path: &Path, problem: String| {
            Failure::refused(
                format!("{}: {problem}", path.display()),
                "restore or remove the file",
            )
        };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&directory, error.to_string())),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| failed(&directory, error.to_string()))?
                .path();
            if path.extension().is_some_and(|extension| extension == "pub") {
                let key = crate::report::verification::read_key(&path)
                    .map_err(|error| failed(&path, error.to_string()))?;
                keys.push(key);
            }
        }
        Ok(keys)
    }
}

/// The account that runs agp, by its uid. Its number stands for one that has no name.
pub(crate) fn account() -> Approver {
    Approver::Account(account_of(rustix::process::getuid().as_raw()))
}

/// The name of an account of this machine, or its number.
pub(crate) fn account_of(uid: u32) -> String {
    let number = uid.to_string();
    let accounts = bounded_file::read(Path::new("/etc/passwd"), limits::SMALL_FILE_BYTES);
    let accounts = String::from_utf8(accounts.unwrap_or_default()).unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(number.as_str())).then(|| name.to_owned())
    });
    named.unwrap_or(number)
}

/// Who answers at this process's terminal: `root at /dev/pts/3`.
pub(crate) fn person_here() -> String {
    let uid = rustix::process::getuid().as_raw();
    let attendant = Attendant {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        uid,
        start_ticks: 0,
        terminal: controlling_terminal(),
    };
    attendant.person(&account_of(uid))
}

/// Its device number; 0 without one.
fn controlling_terminal() -> u32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name stands in brackets, and can have any character in it.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let terminal = fields.split_whitespace().nth(4);
    terminal
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
