//! `agp doctor --check confinement`: each profile entered by a process of its own, which tries what must
//! work, what must be refused, and what must kill it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix::libc;
use nix::sched::CloneFlags;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::UnmountFlags;

use crate::confine::profile::ProfileSpec;
use crate::confine::threads::{self, Standing};
use crate::confine::{self, Places, Profile};
use crate::contracts::plural::count;
use crate::contracts::{bounded_file, limits};
use crate::report::failure::{Failure, exit};

/// The hidden command that a trial's process is.
const COMMAND: &str = "confinement-trial";
/// Its exit code for what was refused; anything but this and 0 is a failure of the trial.
const REFUSED: u8 = 10;

/// What a confined process tries.
const DEEDS: [&str; 9] = [
    "work",
    "read",
    "write",
    "unix",
    "tcp",
    "exec",
    "namespace",
    "unmount",
    "signal",
];

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Made,
    Refused,
    Killed,
    Otherwise,
}

impl Comes {
    fn word(self) -> &'static str {
        match self {
            Self::Made => "succeeded",
            Self::Refused => "was denied",
            Self::Killed => "kills",
            Self::Otherwise => "had another outcome",
        }
    }
}

/// What must come of a deed; `None` where it is not tried.
fn expected(profile: Profile, deed: &str) -> Option<Comes> {
    let terms = profile.terms();
    if terms.others {
        // What it starts would do it, and on this machine.
        return matches!(deed, "work" | "exec").then_some(Comes::Made);
    }
    Some(match (deed, terms.sockets()) {
        ("work", _) | ("unix", "unix") => Comes::Made,
        ("read", _) | ("unix" | "tcp", "inet") => Comes::Refused,
        ("write", _) if writes(&terms) => Comes::Refused,
        _ => Comes::Killed,
    })
}

fn writes(terms: &ProfileSpec) -> bool {
    terms.may(libc::SYS_fdatasync)
}

/// What the trials have shown.
pub(super) struct Shown {
    /// What this kernel enforces.
    pub(super) standing: Standing,
    /// How many operations were allowed, denied and killed, each as expected.
    pub(super) counts: [usize; 3],
    /// A line for each thread.
    pub(super) threads: Vec<String>,
}

/// Tries it all.
///
/// # Errors
/// [`Failure`] with the first attempt that came to something else, or when none could be made.
pub(super) fn show() -> Result<Shown, Failure> {
    const MEND: &str = "please report this: an agp thread has more or fewer rights than it should";
    let failed = |error: io::Error| {
        Failure::refused(
            format!("the confinement self-test cannot run: {error}"),
            MEND,
        )
    };
    let standing = threads::try_out().map_err(failed)?;
    if !standing.whole() {
        let problem = format!("this kernel lacks {}", standing.lacks().join(" and "));
        return Err(Failure::refused(
            problem,
            crate::session::thread_confinement::MEND,
        ));
    }
    let ground = Ground::lay().map_err(failed)?;
    let mut counts = [0; 3];
    let mut lines = Vec::new();
    for profile in Profile::ALL {
        for deed in DEEDS {
            let Some(expected) = expected(profile, deed) else {
                continue;
            };
            let came = ground.tried(profile, deed).map_err(failed)?;
            let thread = profile.terms().thread;
            if came != expected {
                let problem = format!(
                    "thread {thread}: {deed:?} {} (expected: {})",
                    came.word(),
                    expected.word()
                );
                return Err(Failure::refused(problem, MEND));
            }
            let slot = match came {
                Comes::Made => 0,
                Comes::Refused => 1,
                Comes::Killed | Comes::Otherwise => 2,
            };
            if let Some(count) = counts.get_mut(slot) {
                *count += 1;
            }
        }
        lines.push(line(&profile.terms()));
    }
    Ok(Shown {
        standing,
        counts,
        threads: lines,
    })
}

fn line(terms: &ProfileSpec) -> String {
    let files: Vec<&str> = terms.files.iter().map(|ground| ground.may).collect();
    let files = match (terms.all_files, files.is_empty()) {
        (true, _) => "all".to_owned(),
        (false, true) => "none".to_owned(),
        (false, false) => files.join("; "),
    };
    let calls = if terms.others { "refused" } else { "allowed" };
    format!(
        "{:<15} files: {files}; sockets: {}; exec: {}; {calls} {}",
        terms.thread,
        terms.sockets(),
        if terms.execs() { "yes" } else { "no" },
        count(terms.rules().count(), "call"),
    )
}

/// What the trials are made on; gone with them.
struct Ground {
    root: PathBuf,
    _daemon: UnixListener,
    allowed: TcpListener,
    other: TcpListener,
}

impl Ground {
    fn lay() -> io::Result<Self> {
        let root = std::env::temp_dir().join(format!("agp-trial-{}", std::process::id()));
        fs::create_dir_all(root.join("own"))?;
        for file in ["own/file", "other"] {
            fs::write(root.join(file), "agp\n")?;
        }
        Ok(Self {
            _daemon: UnixListener::bind(root.join("daemon.sock"))?,
            allowed: TcpListener::bind("127.0.0.1:0")?,
            other: TcpListener::bind("127.0.0.1:0")?,
            root,
        })
    }

    fn tried(&self, profile: Profile, deed: &str) -> io::Result<Comes> {
        let port = |listener: &TcpListener| -> io::Result<String> {
            Ok(listener.local_addr()?.port().to_string())
        };
        let status = Command::new(std::env::current_exe()?)
            .args([COMMAND, profile.terms().thread, deed])
            .arg(&self.root)
            .args([port(&self.allowed)?, port(&self.other)?])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(match (status.code(), status.signal()) {
            (Some(0), _) => Comes::Made,
            (Some(code), _) if code == i32::from(REFUSED) => Comes::Refused,
            (_, Some(libc::SIGSYS)) => Comes::Killed,
            _ => Comes::Otherwise,
        })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // In the temporary directory, and nothing of worth in it.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Runs as a trial's process, where the arguments ask for that.
pub(super) fn main(arguments: &[OsString]) -> Option<u8> {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let [COMMAND, thread, deed, root, allowed, other] = words.as_slice() else {
        return None;
    };
    let (Some(profile), Ok(allowed), Ok(other)) =
        (Profile::of_thread(thread), allowed.parse(), other.parse())
    else {
        return Some(exit::USAGE);
    };
    let made = enter(profile, Path::new(root), allowed)
        .and_then(|()| done(profile, deed, Path::new(root), allowed, other));
    Some(match made {
        Ok(()) => 0,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => REFUSED,
        Err(_) => exit::REFUSED,
    })
}

/// As the thread does, behind those that started it.
fn enter(profile: Profile, root: &Path, port: u16) -> io::Result<()> {
    // A killed one leaves no core.
    threads::arm()?;
    threads::insist();
    let mut chain = vec![profile];
    while let Some(starter) = chain.first().and_then(|first| first.terms().within) {
        chain.insert(0, starter);
    }
    for profile in chain {
        let mut places = Places::none().port(port);
        for ground in profile.terms().files {
            places = places.with(ground.place, root.join("own"));
        }
        confine::enter(profile, &places)?;
    }
    Ok(())
}

fn done(profile: Profile, deed: &str, root: &Path, allowed: u16, other: u16) -> io::Result<()> {
    match deed {
        "work" => work(&profile.terms(), &root.join("own"), allowed),
        "read" => read(&profile.terms(), &root.join("other")),
        "write" => OpenOptions::new()
            .append(true)
            .open(root.join("other"))
            .map(drop),
        "unix" => UnixStream::connect(root.join("daemon.sock")).map(drop),
        "tcp" => TcpStream::connect(("127.0.0.1", other)).map(drop),
        "exec" => Command::new("/proc/self/exe")
            .arg("version")
            .status()
            .map(drop),
        "namespace" => Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNS)?),
        // Nothing is mounted there.
        "unmount" => Ok(rustix::mount::unmount(root, UnmountFlags::empty())?),
        "signal" => Ok(rustix::process::test_kill_process(
            rustix::process::getpid(),
        )?),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Reads a file as a thread of this kind does.
fn read(terms: &ProfileSpec, path: &Path) -> io::Result<()> {
    let file = match terms.may(libc::SYS_openat2) {
        true => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            File::from(openat2(
                CWD,
                path,
                flags,
                Mode::empty(),
                ResolveFlags::empty(),
            )?)
        }
        false => File::open(path)?,
    };
    bounded_file::read_from(file, limits::SMALL_FILE_BYTES).map(drop)
}

/// What a thread of this kind is for.
fn work(terms: &ProfileSpec, directory: &Path, port: u16) -> io::Result<()> {
    let mut chance = [0; 32];
    let random = SystemRandom::new().fill(&mut chance);
    random.map_err(|_| io::Error::other("the system provides no random numbers"))?;
    let much: Vec<u8> = vec![1; 1 << 20];
    drop(much);
    if terms.may(libc::SYS_clone) {
        let started = thread::Builder::new().spawn(|| ())?;
        started.join().map_err(|_| io::ErrorKind::Other)?;
    }
    if writes(terms) {
        let (new, named) = (directory.join("new"), directory.join("named"));
        let mut file = File::create(&new)?;
        file.lock()?;
        file.write_all(b"text")?;
        file.sync_data()?;
        fs::rename(&new, &named)?;
        File::open(directory)?.sync_all()?;
        fs::remove_file(named)?;
    }
    let may = |word: &str| terms.files.iter().any(|ground| ground.may.contains(word));
    if may("read") {
        read(terms, &directory.join("file"))?;
    }
    let lists = terms.may(libc::SYS_getdents64) && !terms.may(libc::SYS_openat2);
    if lists && (may("list") || may("read")) {
        fs::read_dir(directory)?.flatten().for_each(drop);
    }
    if terms.sockets() == "inet" {
        TcpStream::connect(("127.0.0.1", port))?;
    }
    Ok(())
}
