//! A lease per live session: a locked file that tells, after a crash, what was left behind.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::channels::slack;
use crate::contracts::event::{Draft, Kind};
use crate::contracts::ids::SessionId;
use crate::contracts::{bounded_file, limits, strict_json};
use crate::gateway::client_file;
use crate::hook::pre_post_tool;
use crate::intendants::claude_code::command_shell;
use crate::intendants::harness_git;
use crate::jail::spec::SCRATCH;
pub(crate) use crate::jail::spec::{HARNESS_HOME, HARNESS_LOGIN};
use crate::journal::{Handle, durable};
use crate::sandbox::docker::container;

use super::home::Home;
use super::start_error::StartError;
use crate::report::failure::{Failure, help_with};

/// What the renewal of a login leaves behind, within that directory.
pub(crate) const LOGIN_SCRATCH: &str = "login-tmp";

/// What a lease's file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LeaseRecord {
    pub(crate) session_id: SessionId,
    pub(crate) pid: u32,
    pub(crate) directory: PathBuf,
}

impl LeaseRecord {
    /// Reads them, if they can be a session's: what stands at its directory is removed with it.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let terms: Self = strict_json::parse(text).ok()?;
        let name = directory_name(&terms.session_id);
        let matches = terms.directory.is_absolute() && terms.directory.ends_with(name);
        matches.then_some(terms)
    }
}

/// Where a session listens for clicks in Slack that another session of the home has heard.
fn clicks(lease: &Path) -> PathBuf {
    lease.with_extension(slack::SOCKET)
}

/// The name of a session's private directory.
fn directory_name(session: &SessionId) -> String {
    format!("agp-{session}")
}

/// Where a session has its private directory, once its lease is taken.
pub(crate) fn directory(session: &SessionId) -> PathBuf {
    runtime_base().join(directory_name(session))
}

/// Why a lease cannot be taken: something cannot be written.
#[derive(Debug)]
pub(crate) struct NotTaken {
    in_home: bool,
    path: PathBuf,
    error: io::Error,
}

impl From<NotTaken> for Failure {
    fn from(not_taken: NotTaken) -> Self {
        let NotTaken {
            in_home,
            path,
            error,
        } = not_taken;
        let mend = match in_home {
            true => help_with(&path, &error, "run `agp doctor`"),
            false => "free space there, or set TMPDIR to another directory".to_owned(),
        };
        let problem = format!("cannot write {}: {error}", path.display());
        Self::refused(problem, mend)
    }
}

/// A live session's claim: held as long as this value lives, and lost with the process.
pub(crate) struct Lease {
    path: PathBuf,
    directory: PathBuf,
    /// Whether its session may have a beginning on record, and has no end there.
    open: bool,
    _locked: File,
}

impl Lease {
    /// Claims a session and makes its private [`directory`] (0700) for the socket and settings.
    pub(crate) fn take(
        home: &Home,
        session: &SessionId,
        directory: &Path,
    ) -> Result<Self, NotTaken> {
        let named = |path: &Path, error: io::Error| NotTaken {
            in_home: path.starts_with(home.root()),
            path: path.to_owned(),
            error,
        };
        durable::private_dir(&home.sessions()).map_err(|error| named(&home.sessions(), error))?;
        let path = home.sessions().join(format!("{session}.lease"));
        // It gets its name once it is locked and whole: another start must not take it for one
        // that its process has lost.
        let unnamed = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unnamed)
            .map_err(|error| named(&unnamed, error))?;
        file.lock().map_err(|error| named(&unnamed, error))?;
        let terms = LeaseRecord {
            session_id: session.clone(),
            pid: std::process::id(),
            directory: directory.to_owned(),
        };
        let terms = serde_json::to_vec(&terms).map_err(|error| named(&unnamed, error.into()))?;
        file.write_all(&terms)
            .and_then(|()| file.sync_data())
            .and_then(|()| fs::rename(&unnamed, &path))
            .map_err(|error| named(&unnamed, error))?;
        let made = fs::DirBuilder::new().mode(0o700).create(directory);
        made.map_err(|error| named(directory, error))?;
        Ok(Self {
            path,
            directory: directory.to_owned(),
            open: false,
            _locked: file,
        })
    }

    /// The session is about to be put on record. From here on, until [`Lease::ended`], the lease's file stays
    /// behind: where no end could be recorded the next start says what became of the session.
    pub(crate) fn begins(&mut self) {
        self.open = true;
    }

    /// The session's end is on record.
    pub(crate) fn ended(&mut self) {
        self.open = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        clear(&self.directory);
        let _ = fs::remove_file(clicks(&self.path));
        if !self.open {
            // A lease that stays behind is reaped by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A user's own runtime directory where there is one, then `TMPDIR`. Not in `AGP_HOME`: the harness must reach
/// the socket, and nothing else of agp's. Socket paths are bounded at 108 bytes, too.
fn runtime_base() -> PathBuf {
    let named = ["XDG_RUNTIME_DIR", "TMPDIR"].into_iter();
    named
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .find(|dir| dir.is_absolute() && dir.is_dir() && dir.as_os_str().len() < 60)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Removes the files that a session makes, and its directory, but nothing that is not ours.
fn clear(directory: &Path) {
    let ours = fs::symlink_metadata(directory)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw());
    if ours {
        let files = [
            "gate.sock",
            client_file::FILE,
            "settings.json",
            "mcp.json",
            pre_post_tool::MARK,
        ];
        let laid_out = command_shell::FILES.iter().chain(&[harness_git::FILE]);
        for name in files.iter().chain(laid_out) {
            let _ = fs::remove_file(directory.join(name));
        }
        let _ = fs::remove_dir(directory.join(harness_git::DIRECTORY));
        // A harness's private home; links in it are removed, not followed.
        for name in [HARNESS_HOME, HARNESS_LOGIN, LOGIN_SCRATCH] {
            let _ = fs::remove_dir_all(directory.join(name));
        }
        // What commands left in their /tmp; links in it are not followed.
        let _ = fs::remove_dir_all(directory.join("tmp"));
        let _ = fs::remove_dir_all(directory.join(SCRATCH));
        let _ = fs::remove_dir_all(directory.join(container::BOX));
        let _ = fs::remove_dir_all(directory.join(container::HARNESS_BOX));
        let _ = fs::remove_dir(directory);
    }
}

/// Cleans up after sessions whose governor died, or could not record their end, and records each as
/// `session.reaped`.
pub(crate) fn reap(home: &Home, journal: &Handle) -> Result<usize, StartError> {
    let entries = match fs::read_dir(home.sessions()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(StartError::Lease(home.sessions(), error)),
    };
    let mut reaped = 0;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path
            .extension()
            .is_some_and(|extension| extension == "lease")
            && let Some(_claimed) = claim_dead(&path)
        {
            reap_one(&path, journal)?;
            reaped += 1;
        }
    }
    Ok(reaped)
}

/// The end of a session is on record that has lost its lease.
pub(crate) fn settle(home: &Home, session: &SessionId) {
    let _ = fs::remove_file(home.sessions().join(format!("{session}.lease")));
}

/// Takes over a lease that nobody holds: its lock went with its process. Holding it keeps other
/// starts from reaping the same session again.
fn claim_dead(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    // Without a name it was reaped, or has ended, since it was opened.
    file.metadata()
        .is_ok_and(|meta| meta.nlink() > 0)
        .then_some(file)
}

/// Whether this session is live.
pub(crate) fn is_live(home: &Home, session: &SessionId) -> bool {
    let path = home.sessions().join(format!("{session}.lease"));
    path.exists() && claim_dead(&path).is_none()
}

/// The sessions that are live.
pub(crate) fn live_sessions(home: &Home) -> Vec<SessionId> {
    let entries = fs::read_dir(home.sessions()).into_iter().flatten();
    let paths = entries.flatten().map(|entry| entry.path());
    let leases = paths.filter(|path| path.extension().is_some_and(|of| of == "lease"));
    let live = leases.filter(|path| claim_dead(path).is_none());
    live.filter_map(|path| SessionId::new(path.file_stem()?.to_str()?).ok())
        .collect()
}

/// How many sessions are live.
pub(crate) fn live(home: &Home) -> usize {
    live_sessions(home).len()
}

fn reap_one(path: &Path, journal: &Handle) -> Result<(), StartError> {
    let text = bounded_file::read(path, limits::SMALL_FILE_BYTES).unwrap_or_default();
    // A lease that was cut by a crash names nothing that could be cleaned up.
    let terms = LeaseRecord::read(&text);
    let session = terms
        .as_ref()
        .map(|terms| terms.session_id.as_str())
        .or_else(|| path.file_stem().and_then(|stem| stem.to_str()));
    let payload = Map::from_iter([
        ("sessionId".to_owned(), json!(session)),
        (
            "pid".to_owned(),
            json!(terms.as_ref().map(|terms| terms.pid)),
        ),
    ]);
    journal
        .append_one(Draft::new(Kind::SessionReaped, payload))
        .map(drop)
        .map_err(StartError::Unreaped)?;
    if let Some(terms) = terms {
        clear(&terms.directory);
    }
    // Its sockets, where any are left.
    let _ = fs::remove_file(path.with_extension("attend"));
    let _ = fs::remove_file(clicks(path));
    fs::remove_file(path).map_err(|error| StartError::Lease(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_names_its_sessions_own_directory_and_no_other() {
        let read = |directory: &str| {
            let text = json!({"sessionId": "s-1", "pid": 7, "directory": directory});
            LeaseRecord::read(text.to_string().as_bytes())
        };
        assert!(read("/tmp/agp-s-1").is_some());
        for other in [
            "/home/somebody",
            "/tmp/agp-s-2",
            "agp-s-1",
            "/tmp/agp-s-1/x",
            "/",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(LeaseRecord::read(b"{}"), None);
    }
}
