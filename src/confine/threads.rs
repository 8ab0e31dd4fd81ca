//! Threads of the governor enter their profiles: Landlock first, then seccomp, each for the calling
//! thread and those that it will start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use nix::libc::SECCOMP_RET_ALLOW;
use nix::sys::signal::{SigSet, Signal};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use seccompiler::{apply_filter, sock_filter};

use super::bpf::{BpfRule, narrowing, program};
use super::inject::{self, deadly};
use super::profile::{Place, Profile};

/// The newest Landlock interface that the profiles were written for.
const NEWEST: ABI = ABI::V6;
/// The oldest that can hold them: the first that knows TCP ports (Linux 6.7).
pub const NEEDED: u32 = 4;

/// The places and ports that a session gives to a profile.
#[derive(Debug, Clone, Default)]
pub struct Places {
    paths: Vec<(Place, PathBuf)>,
    ports: Vec<u16>,
}

impl Places {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Gives a path, which must be there.
    #[must_use]
    pub fn with(mut self, place: Place, path: impl Into<PathBuf>) -> Self {
        self.paths.push((place, path.into()));
        self
    }

    /// Gives a TCP port to connect to.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.ports.push(port);
        self
    }

    /// Gives all that answers for names: the files that glibc reads, and where a link leads from one
    /// of them. An ordinary user's thread may read all of `/etc`, in which a file is replaced when
    /// the network changes; root's may not, for it would read more there than a user does.
    #[must_use]
    pub fn names(mut self) -> Self {
        let etc = Path::new("/etc");
        if !rustix::process::geteuid().is_root() {
            self = self.with(Place::Names, etc);
        }
        for name in NAME_FILES {
            let Ok(file) = etc.join(name).canonicalize() else {
                continue;
            };
            let directory = file.parent().filter(|directory| *directory != etc);
            let path = directory.map_or(file.as_path(), |directory| directory);
            self = self.with(Place::Names, path);
        }
        self
    }

    fn of(&self, place: Place) -> impl Iterator<Item = &Path> {
        let named = self.paths.iter().filter(move |(given, _)| *given == place);
        named.map(|(_, path)| path.as_path())
    }
}

/// What glibc reads to find a host's address.
const NAME_FILES: [&str; 6] = [
    "gai.conf",
    "host.conf",
    "hosts",
    "nsswitch.conf",
    "resolv.conf",
    "services",
];

/// What of the confinement this kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The Landlock interface, 0 without one.
    pub landlock: u32,
    /// Whether seccomp filters kill the process.
    pub seccomp: bool,
}

impl Standing {
    /// Whether every profile holds in full.
    #[must_use]
    pub fn whole(self) -> bool {
        self.landlock >= NEEDED && self.seccomp
    }

    /// What is missing, in words.
    #[must_use]
    pub fn lacks(self) -> Vec<String> {
        let landlock = match self.landlock {
            0 => Some("Landlock".to_owned()),
            old if old < NEEDED => Some(format!("Landlock ABI {NEEDED} (it has {old})")),
            _ => None,
        };
        let seccomp = (!self.seccomp).then(|| "seccomp filters".to_owned());
        landlock.into_iter().chain(seccomp).collect()
    }
}

/// Whether a thread that cannot enter its profile in full must not run.
static STRICT: AtomicBool = AtomicBool::new(false);

/// Takes from this process what none of its threads needs: core dumps, the view of others into its
/// memory, new privileges. Then finds out what this kernel enforces.
///
/// # Errors
/// What the kernel gives.
pub fn arm() -> io::Result<Standing> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    try_out()
}

/// From here on a thread that cannot enter its profile in full is not started; until then it takes
/// what it gets.
pub fn insist() {
    STRICT.store(true, Ordering::SeqCst);
}

/// Finds out what this kernel enforces, on a thread that ends with it.
///
/// # Errors
/// When no thread can be started.
pub fn try_out() -> io::Result<Standing> {
    let tried = Builder::new()
        .name("confine-try".into())
        .spawn(|| Standing {
            landlock: files(Profile::Call, &Places::none()).unwrap_or(0),
            seccomp: calls(Profile::Call).is_ok(),
        })?;
    tried
        .join()
        .map_err(|_| io::Error::other("the confinement self-test panicked"))
}

/// Shows that a thread has entered its profile, to those that it starts: they are under it.
#[derive(Debug, Clone, Copy)]
pub struct Entered(Profile);

impl Entered {
    /// What threads that this one starts, for a profile within its own, have to take from themselves
    /// besides. Made once, for however many.
    ///
    /// # Errors
    /// When that profile is not within this one.
    pub fn narrower(self, profile: Profile) -> io::Result<Narrower> {
        if profile.terms().within != Some(self.0) {
            return Err(io::Error::other("a thread's profile is not its starter's"));
        }
        let under: Vec<&BpfRule> = self.0.terms().rules().collect();
        let rules: Vec<&BpfRule> = profile.terms().rules().collect();
        let narrower = narrowing(&under, &rules);
        let narrower: Vec<&BpfRule> = narrower.iter().collect();
        Ok(Narrower {
            profile,
            filter: program(&narrower, SECCOMP_RET_ALLOW, deadly()).into(),
        })
    }
}

/// What narrows the threads of one profile to another, which is within it.
#[derive(Debug, Clone)]
pub struct Narrower {
    profile: Profile,
    filter: Arc<[sock_filter]>,
}

impl Narrower {
    /// Confines the calling thread as [`enter`] would, at the cost of what is taken away. Its signals and
    /// its files are those of its starter.
    ///
    /// # Errors
    /// As [`enter`].
    pub fn enter(&self) -> io::Result<()> {
        let thread = self.profile.terms().thread;
        match apply_filter(&self.filter) {
            Err(error) if STRICT.load(Ordering::SeqCst) => {
                Err(unconfined(thread, "seccomp", &error))
            }
            _ => {
                inject::reached(thread);
                Ok(())
            }
        }
    }
}

fn unconfined(thread: &str, what: &str, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("cannot confine thread {thread}: {what}: {error}"))
}

/// Starts a profile's thread. It runs `work` once it is confined; when it cannot be, this is an
/// error and nothing has run.
///
/// # Errors
/// When there is no thread, or it cannot enter its profile.
pub fn start(
    profile: Profile,
    places: Places,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start_first(profile, places, |_| work())
}

/// The same for one that starts others, which it hands what shows that it has entered.
///
/// # Errors
/// As [`start`].
pub fn start_first(
    profile: Profile,
    places: Places,
    work: impl FnOnce(Entered) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (outcome, stands) = sync_channel(1);
    let named = Builder::new().name(profile.terms().thread.into());
    let thread = named.spawn(move || {
        let entered = enter(profile, &places);
        let goes_on = entered.is_ok();
        // Whoever started it waits for this.
        let _ = outcome.send(entered);
        drop(outcome);
        if goes_on {
            work(Entered(profile));
        }
    })?;
    let entered = stands.recv();
    entered.map_err(|_| io::Error::other("a thread panicked during its confinement"))??;
    Ok(thread)
}

/// Confines the calling thread, and all that it will start, for good. Its first act.
///
/// # Errors
/// What is missing, or what the kernel gives; the thread must end then.
pub fn enter(profile: Profile, places: &Places) -> io::Result<()> {
    let strict = STRICT.load(Ordering::SeqCst);
    let thread = profile.terms().thread;
    let failed = |what: &str, error: &dyn std::fmt::Display| unconfined(thread, what, error);
    // What is started inherits what is blocked, and must hear them.
    let hears = [
        Profile::Prepare,
        Profile::Main,
        Profile::Signals,
        Profile::Spawn,
    ];
    if !hears.contains(&profile) {
        // A signal's handler runs where it is not blocked, and writes to a socket.
        let mut kept_out = SigSet::empty();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            kept_out.add(signal);
        }
        kept_out
            .thread_block()
            .map_err(|error| failed("signals", &error))?;
    }
    if !inherits_files(profile) {
        match files(profile, places) {
            Ok(abi) if abi >= NEEDED || !strict => {}
            Ok(abi) => return Err(failed("Landlock", &format_args!("ABI {abi}"))),
            Err(error) if strict => return Err(failed("Landlock", &error)),
            Err(_) => {}
        }
    }
    match calls(profile) {
        Err(error) if strict => return Err(failed("seccomp", &error)),
        _ => {}
    }
    inject::reached(thread);
    Ok(())
}

/// Whether its starter has the same Landlock rules, which it is under already.
fn inherits_files(profile: Profile) -> bool {
    let terms = profile.terms();
    terms.all_files || terms.within.is_some()
}

/// Enters the Landlock rules; gives the interface that is enforced.
fn files(profile: Profile, places: &Places) -> io::Result<u32> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|rules| rules.scope(Scope::AbstractUnixSocket))
        .and_then(Ruleset::create)
        .map_err(io::Error::other)?;
    for ground in profile.terms().files {
        for path in places.of(ground.place) {
            let opened = PathFd::new(path).map_err(io::Error::other)?;
            let rights = if path.is_dir() {
                ground.rights
            } else {
                ground.rights & AccessFs::from_file(NEWEST)
            };
            let rule = PathBeneath::new(opened, rights);
            (&mut rules).add_rule(rule).map_err(io::Error::other)?;
        }
    }
    for port in &places.ports {
        let connect: BitFlags<AccessNet> = AccessNet::ConnectTcp.into();
        (&mut rules)
            .add_rule(NetPort::new(*port, connect))
            .map_err(io::Error::other)?;
    }
    let status = rules.restrict_self().map_err(io::Error::other)?;
    let enforced = status.ruleset != RulesetStatus::NotEnforced && status.no_new_privs;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if enforced => effective_abi as u32,
        _ => 0,
    })
}

/// Enters the filter of system calls.
fn calls(profile: Profile) -> io::Result<()> {
    let terms = profile.terms();
    let rules: Vec<&BpfRule> = terms.rules().collect();
    let unnamed = if terms.others {
        SECCOMP_RET_ALLOW
    } else {
        deadly()
    };
    apply_filter(&program(&rules, unnamed, deadly())).map_err(io::Error::other)
}
