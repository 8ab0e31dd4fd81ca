//! The confinement of agp's own threads, as the command line sees it: asked for, refused, given its
//! places, told of.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::channels::terminal::Terminal;
use crate::confine::profile::ProfileSpec;
use crate::confine::threads::{self, Standing};
use crate::confine::{self, Place, Places, Profile, Spawner};
use crate::disk::{Grounds, PathsThread};
use crate::journal::redact::Screen;

use super::home::Home;
use super::kinds::{Harness, Provider};
use super::lease::HARNESS_HOME;
use super::options::SessionOptions;
use super::preview::PreviewThread;
use crate::report::failure::{Failure, complain};

/// What mends a kernel that cannot hold the profiles.
pub(crate) const MEND: &str = "use Linux 6.7 or later with Landlock enabled (lsm=...), or \
--confine best-effort to run without it";

const SHOWN: &str = "run `agp doctor --check confinement`";

/// Takes from this process what no thread of it needs, and finds out what this kernel enforces; then
/// starts the thread that starts processes, and takes from all others, this one first, what that alone has.
/// Nothing that is not the operator's has been read by then.
pub(crate) fn arm() -> Result<(Standing, Spawner), Failure> {
    let standing = threads::arm().map_err(|error| {
        let problem = format!("cannot protect agp from other processes: {error}");
        Failure::refused(problem, SHOWN)
    })?;
    if standing.whole() {
        threads::insist();
    }
    // Before anything is confined: what starts processes must not be.
    let spawner = Spawner::start().map_err(|error| Failure::refused(error, SHOWN))?;
    confine::enter(Profile::Prepare, &Places::none())
        .map_err(|error| Failure::refused(error, SHOWN))?;
    Ok((standing, spawner))
}

/// Refuses a kernel that cannot hold the profiles, unless told otherwise.
pub(crate) fn hold(standing: Standing, options: &SessionOptions) -> Result<(), Failure> {
    if standing.whole() {
        return Ok(());
    }
    let problem = format!(
        "cannot confine agp's threads: this kernel lacks {}",
        standing.lacks().join(" and ")
    );
    if options.threads_strict {
        return Err(Failure::refused(problem, MEND));
    }
    complain(format_args!("WARNING: {problem}"));
    Ok(())
}

/// What the main thread is left with.
pub(crate) fn main_places(home: &Home, directory: &Path) -> Places {
    let above = directory.parent().unwrap_or(Path::new("/"));
    Places::none()
        .with(Place::Session, directory)
        .with(Place::Runtime, above)
        .with(Place::Leases, home.sessions())
}

/// What the harness's thread may read, by the session's directory.
pub(crate) fn harness_places(directory: &Path) -> Places {
    let rollouts = directory.join(HARNESS_HOME);
    if rollouts.is_dir() {
        Places::none().with(Place::Rollouts, rollouts)
    } else {
        Places::none()
    }
}

/// Starts the thread that looks at the file system for calls that are decided.
pub(crate) fn paths(grounds: Grounds) -> Result<PathsThread, Failure> {
    PathsThread::start(grounds).map_err(|error| Failure::refused(error.to_string(), SHOWN))
}

/// Starts the thread that reads files for whoever is asked.
pub(crate) fn preview(
    root: &Path,
    repository: String,
    screen: Arc<Screen>,
) -> Result<PreviewThread, Failure> {
    PreviewThread::start(root, repository, screen)
        .map_err(|error| Failure::refused(error.to_string(), SHOWN))
}

/// What `session.started` says: what is enforced, thread by thread.
pub(crate) fn described(
    standing: Standing,
    options: &SessionOptions,
    terminal: &Terminal,
) -> Value {
    let all: Map<String, Value> = threads_of(options, terminal)
        .map(|profile| {
            let terms = profile.terms();
            (terms.thread.to_owned(), of(standing, &terms))
        })
        .collect();
    json!({
        "mode": if options.threads_strict { "strict" } else { "best-effort" },
        "lacks": standing.lacks(),
        "noNewPrivs": true,
        "dumpable": false,
        "coreBytes": 0,
        "threads": all,
    })
}

fn of(standing: Standing, terms: &ProfileSpec) -> Value {
    let landlock = if terms.all_files {
        0
    } else {
        standing.landlock
    };
    let seccomp = match (standing.seccomp, terms.others) {
        (false, _) => "none",
        (true, true) => "refuses",
        (true, false) => "kills",
    };
    let files: Vec<&str> = terms.files.iter().map(|ground| ground.may).collect();
    json!({
        "landlock": landlock,
        "seccomp": seccomp,
        "calls": terms.rules().count(),
        "files": files,
        "sockets": terms.sockets(),
        "exec": terms.execs(),
    })
}

/// The threads that a session has.
fn threads_of(options: &SessionOptions, terminal: &Terminal) -> impl Iterator<Item = Profile> {
    let layout = options.layout;
    let program = layout.harness().is_some();
    let codex = layout.harness() == Some(Harness::Codex);
    let slack = options.slack.is_some();
    let attended = terminal.unattended_because().is_none();
    let console = attended && !slack && !options.auto_approve;
    let egress = options.way_out.is_listed();
    let container = layout.provider() == Provider::Docker;
    let looks = layout.runs_calls();
    let attended = !options.auto_approve;
    Profile::ALL
        .into_iter()
        .filter(move |profile| match profile {
            Profile::Prepare
            | Profile::Main
            | Profile::Journal
            | Profile::JournalSign
            | Profile::Signals
            | Profile::Spawn
            | Profile::Paths
            | Profile::Preview
            | Profile::Harness => true,
            Profile::Gateway | Profile::Call | Profile::HarnessStderr => program,
            Profile::HarnessOutput | Profile::Rollout => codex,
            Profile::Look => looks,
            Profile::SlackSocket
            | Profile::SlackDial
            | Profile::SlackRelay
            | Profile::SlackPost
            | Profile::SlackOutbox => slack,
            Profile::Console => console,
            Profile::ProbeModel => options.probe,
            Profile::Egress | Profile::EgressTrial => egress,
            Profile::Docker => container,
            Profile::Attend => attended,
        })
}
