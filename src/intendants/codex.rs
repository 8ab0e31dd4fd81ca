//! Codex in hook mode: a home of its own for each session, in which the only hooks are agp's, and
//! its rollout read while it grows.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::bridge::hook;
use crate::confine::{self, Places, Profile, Spawner};
use crate::contracts::ids::SessionId;
use crate::contracts::intendant::{
    HarnessError, HarnessExit, HarnessIdentity, Intendant, Observation, Place,
};
use crate::contracts::limits;

use super::codex_config::{self as config, Config, Server};
use super::codex_program::{AUTH, companions, operators_home};
use super::codex_rollout::Rollout;
use super::growing_files::{self, Growth};
use super::harness_process::{self as process, Launch, Stop};
use super::{codex_stream, environment, program as programs};

pub use super::codex_rollout::HARMLESS;

pub use super::codex_program::{
    Found, check_arguments, find, found_elsewhere, login, login_by_name, login_present, program,
};

/// What hook mode is here, for whoever starts it to read.
pub const NOT_CONFINED: &str = "WARNING: the harness is not confined: Codex's own sandbox could not stand \
    inside agp's, so a command that is allowed reads what you can read";

/// What hook mode cannot prevent with this harness, for whoever starts it to read.
pub const NOT_PREVENTED: &str = "note: Codex runs a call whose hook was itself killed or hangs: \
    that call is found in its rollout after it ran, and ends the session";

/// What it says on standard error in every session.
const CHATTER: [&str; 2] = [
    "Reading additional input from stdin...",
    "WARNING: proceeding, even though we could not create PATH aliases",
];

/// What a session of Codex needs to know.
pub struct Setup {
    /// The harness.
    pub found: Found,
    /// The session.
    pub session: SessionId,
    /// The gateway's socket.
    pub socket: PathBuf,
    /// A private directory that does not exist yet, for its home.
    pub home: PathBuf,
    /// A model service of agp's own, in the place of the operator's, and without their login.
    pub model: Option<String>,
    /// What the agent is asked to do.
    pub task: String,
    /// Where.
    pub repository: PathBuf,
    /// How long an approval may take.
    pub approval_deadline: Duration,
    /// Searches that the provider runs, unasked, are allowed.
    pub web_search: bool,
    /// Whether agp's tools are to be its only ones.
    pub mediated: bool,
    /// The operator's own arguments, already checked by [`check_arguments`].
    pub arguments: Vec<String>,
    /// Names of further variables to pass.
    pub environment: Vec<String>,
    /// Variables that have a value of agp's own, or none.
    pub set: Vec<(&'static str, Option<String>)>,
    /// The confinement that it is started in, as the leash takes it.
    pub confinement: Option<String>,
    /// What starts it.
    pub spawner: Spawner,
    /// The container that it runs in, where that is not this host; in mediated mode. `home` is there
    /// then.
    pub inside: Option<Inside>,
    /// How it is stopped.
    pub stop: Stop,
    /// Takes each line of its standard error, and what was left of the operator's configuration.
    pub complain: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A container for Codex, and what stands where in it.
pub struct Inside {
    /// Where it is started.
    pub place: Arc<dyn Place>,
    /// What it answers there to a question about itself.
    pub ask: Box<Ask>,
    /// Variables that have another value there than here.
    pub environment: Vec<(OsString, OsString)>,
    /// Names of variables that mean nothing there.
    pub without: Vec<&'static str>,
    /// Its home.
    pub home: PathBuf,
    /// The repository.
    pub repository: PathBuf,
    /// `agp-bridge`.
    pub bridge: PathBuf,
    /// The gateway's socket.
    pub socket: PathBuf,
    /// User and group.
    pub owner: (u32, u32),
}

/// Asks a program something about itself: its words, and its environment.
pub type Ask = dyn Fn(&[&str], &[(OsString, OsString)]) -> Result<String, HarnessError>;

/// A session of Codex.
pub struct Codex {
    identity: HarnessIdentity,
    launch: Launch,
    stop: Stop,
    sessions: PathBuf,
    web_search: bool,
    /// There once the harness has called its first hook; `None` where it has none to call.
    mark: Option<PathBuf>,
}

impl Codex {
    /// Makes the private home, checks that this version takes its settings, and prepares the start.
    ///
    /// # Errors
    /// [`HarnessError`] when the home cannot be written, or the harness would not be gated by it.
    pub fn prepare(setup: Setup) -> Result<Self, HarnessError> {
        let bridge = programs::bridge_program().map_err(unprepared)?;
        if setup.inside.is_none() {
            let made = DirBuilder::new().mode(0o700).create(&setup.home);
            made.map_err(unprepared)?;
        }
        let operators = operators_home().filter(|_| setup.model.is_none());
        let mut carried = match &operators {
            Some(home) => config::carried(home).map_err(unfit)?,
            None => config::Carried::default(),
        };
        if !carried.left.is_empty() {
            let left = carried.left.join(" ");
            (setup.complain)(&format!("agp: not taken from your config.toml: {left}"));
        }
        // In a container a link would lead nowhere.
        if let Some(home) = operators.filter(|_| setup.inside.is_none()) {
            link_login(&home, &setup.home).map_err(unprepared)?;
        }
        let environment = environment_of(&setup, &carried.variables);
        let catalogue = ask(&setup, &environment, &["debug", "models", "--bundled"])?;
        let catalogue = config::direct(&catalogue, setup.mediated).map_err(unfit)?;
        if let Some(base_url) = &setup.model {
            carried.table = config::of_ones_own(base_url, &catalogue).map_err(unfit)?;
        }
        setup.put("models.json", &catalogue)?;
        let within = setup.approval_deadline + limits::BRIDGE_GRACE;
        let text = Config {
            repository: setup
                .inside
                .as_ref()
                .map_or(&setup.repository, |inside| &inside.repository),
            catalogue: Some(setup.home_there().join("models.json")),
            web_search: setup.web_search,
            hook: &|event| hook_command(&bridge, &setup, event, within),
            hook_seconds: (within + limits::HOOK_GRACE).as_secs(),
            server: setup.mediated.then(|| server(&bridge, &setup)),
        }
        .text(carried.table)
        .map_err(unfit)?;
        setup.put("config.toml", &text)?;
        let vital = if setup.mediated {
            config::VITAL_MEDIATED
        } else {
            config::VITAL
        };
        config::check_features(vital, &ask(&setup, &environment, &["features", "list"])?)?;
        let identity = HarnessIdentity {
            name: "codex",
            version: setup.found.version.clone(),
            // In a container the image's own id, which the session records, vouches for it.
            binary_sha256: match setup.inside {
                None => Some(programs::digest(&setup.found.program).map_err(unprepared)?),
                Some(_) => None,
            },
        };
        let launch = Launch {
            leash: bridge,
            program: setup.found.program.clone(),
            arguments: arguments(&setup),
            environment,
            confinement: setup.confinement.clone(),
            place: setup
                .inside
                .as_ref()
                .map(|inside| Arc::clone(&inside.place)),
            directory: setup.repository.clone(),
            spawner: setup.spawner.clone(),
            complain: without_chatter(Arc::clone(&setup.complain)),
        };
        Ok(Self {
            identity,
            launch,
            stop: setup.stop,
            sessions: setup.home.join("sessions"),
            web_search: setup.web_search,
            mark: (!setup.mediated).then(|| setup.socket.with_file_name(hook::MARK)),
        })
    }
}

impl Setup {
    /// Its home, as it knows it.
    fn home_there(&self) -> &Path {
        let inside = self.inside.as_ref();
        inside.map_or(&self.home, |inside| &inside.home)
    }

    /// Writes a file of its home.
    fn put(&self, name: &str, text: &str) -> Result<(), HarnessError> {
        let file = write(&self.home.join(name), text).map_err(unprepared)?;
        if let Some(Inside { owner, .. }) = &self.inside {
            fchown(&file, Some(owner.0), Some(owner.1)).map_err(unprepared)?;
        }
        Ok(())
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "made for map_err, which gives it away"
)]
fn unprepared(error: io::Error) -> HarnessError {
    HarnessError {
        problem: format!("preparing Codex: {error}"),
        mend: "agp doctor --check harness".into(),
    }
}

fn unfit(problem: String) -> HarnessError {
    HarnessError {
        problem,
        mend: "mend your own config.toml of Codex, or move it aside".into(),
    }
}

fn link_login(operators: &Path, home: &Path) -> io::Result<()> {
    let login = operators.join(AUTH);
    if login.exists() {
        symlink(login.canonicalize()?, home.join(AUTH))?;
    }
    Ok(())
}

fn environment_of(setup: &Setup, variables: &[String]) -> Vec<(OsString, OsString)> {
    let named = [setup.environment.as_slice(), variables].concat();
    let mut environment = environment::environment(&named);
    let home = setup.home_there().display().to_string();
    let home = ("CODEX_HOME", Some(home));
    for (name, value) in [home].into_iter().chain(setup.set.clone()) {
        environment.retain(|(set, _)| set != name);
        environment.extend(value.map(|value| (name.into(), value.into())));
    }
    if let Some(inside) = &setup.inside {
        environment.retain(|(name, _)| {
            let other = inside.without.iter().any(|without| name == without);
            !other && !inside.environment.iter().any(|(set, _)| set == name)
        });
        environment.extend(inside.environment.iter().cloned());
        return environment;
    }
    if let Some(tools) = companions(&setup.found.program) {
        for (_, value) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
            let mut path = tools.clone().into_os_string();
            path.push(":");
            path.push(&*value);
            *value = path;
        }
    }
    environment
}

/// What it answers to a question about itself, in the session's own home and environment.
fn ask(
    setup: &Setup,
    environment: &[(OsString, OsString)],
    words: &[&str],
) -> Result<String, HarnessError> {
    if let Some(inside) = &setup.inside {
        return (inside.ask)(words, environment);
    }
    let mut asked = Command::new(&setup.found.program);
    asked
        .args(words)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&setup.home);
    programs::answer_of(
        &mut asked,
        limits::VERSION_PATIENCE,
        limits::CATALOGUE_BYTES,
    )
    .map_err(unprepared)
}

fn without_chatter(complain: Arc<dyn Fn(&str) + Send + Sync>) -> Arc<dyn Fn(&str) + Send + Sync> {
    Arc::new(move |line| {
        if !CHATTER.iter().any(|known| line.starts_with(known)) {
            complain(line);
        }
    })
}

fn write(path: &Path, text: &str) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}

/// Codex takes only exit code 2 for a deny and goes on after every other end of a hook. So a shell
/// of its own turns whatever is not an allow into a deny, gives the reason without which a deny is
/// none, and ends a hook that stands still.
const GUARD: &str = "timeout -s KILL \"$@\"; c=$?; [ $c -eq 0 ] && exit 0; \
    [ $c -eq 2 ] || echo \"agp: the hook failed ($c)\" >&2; echo 'agp: blocked' >&2; exit 2";

fn hook_command(bridge: &Path, setup: &Setup, event: &str, within: Duration) -> String {
    let guard = (within + limits::HOOK_GRACE / 2).as_secs().to_string();
    let words = [
        "/bin/sh",
        "-c",
        GUARD,
        "agp-hook",
        &guard,
        &bridge.display().to_string(),
        "bridge",
        "--socket",
        &setup.socket.display().to_string(),
        "--session",
        setup.session.as_str(),
        "--harness",
        "codex",
        "--event",
        event,
        "--deadline",
        &within.as_secs().to_string(),
    ];
    words.map(quoted).join(" ")
}

/// agp's tools, as Codex starts them.
fn server(bridge: &Path, setup: &Setup) -> Server {
    let within = setup.approval_deadline + limits::EXEC_DEADLINE_MAX + limits::BRIDGE_GRACE;
    let (program, socket) = match &setup.inside {
        None => (bridge, &setup.socket),
        Some(inside) => (inside.bridge.as_path(), &inside.socket),
    };
    let words = [
        "mcp",
        "--socket",
        &socket.display().to_string(),
        "--session",
        setup.session.as_str(),
        "--deadline",
        &within.as_secs().to_string(),
    ];
    Server {
        program: program.to_owned(),
        arguments: words.map(str::to_owned).to_vec(),
        seconds: (within + limits::HOOK_GRACE).as_secs(),
    }
}

/// A word as every shell reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn arguments(setup: &Setup) -> Vec<OsString> {
    let fixed = [
        "exec",
        "--json",
        "--skip-git-repo-check",
        // Its home has no hooks but agp's, and the repository is not trusted.
        "--dangerously-bypass-hook-trust",
        "-s",
        // In mediated mode it has nothing to write with.
        if setup.mediated {
            "read-only"
        } else {
            "workspace-write"
        },
    ];
    let mut arguments: Vec<OsString> = fixed.map(OsString::from).into();
    let settings = config::overrides(setup.web_search, setup.mediated);
    arguments.extend(setup.arguments.iter().map(OsString::from));
    for setting in &settings {
        arguments.extend(["-c".into(), OsString::from(setting)]);
    }
    // Behind `--`, so that a task that begins with a dash is no option.
    arguments.extend(["--".into(), OsString::from(&setup.task)]);
    arguments
}

impl Intendant for Codex {
    fn identity(&self) -> &HarnessIdentity {
        &self.identity
    }

    fn describe(&self) -> Map<String, Value> {
        Map::from_iter([
            (
                "mode".to_owned(),
                json!(if self.mark.is_some() {
                    "hook"
                } else {
                    "mediated"
                }),
            ),
            (
                "confined".to_owned(),
                json!(self.launch.confinement.is_some() || self.launch.place.is_some()),
            ),
        ])
    }

    fn run(&mut self, observe: &mut dyn FnMut(Observation)) -> Result<HarnessExit, HarnessError> {
        let (seen, told) = sync_channel(limits::OBSERVATIONS);
        let ended = AtomicBool::new(false);
        let (launch, stop, sessions, ended) = (&self.launch, &self.stop, &self.sessions, &ended);
        let mut rollout = Rollout::new(self.web_search, self.mark.clone());
        thread::scope(|scope| {
            let record = seen.clone();
            thread::Builder::new()
                .name("rollout".into())
                .spawn_scoped(scope, move || {
                    if let Err(error) = confine::enter(Profile::Rollout, &Places::none()) {
                        let _ = record.send(Observation::Unreadable(error.to_string()));
                        return;
                    }
                    growing_files::follow(sessions, ended, &mut |growth| {
                        let observations = match growth {
                            Growth::Line(line) => rollout.line(line),
                            Growth::Lost(why) => vec![Observation::Unreadable(why.into())],
                        };
                        for observation in observations {
                            // Whoever listened has gone: the session is over.
                            let _ = record.send(observation);
                        }
                    });
                })
                .map_err(|error| unstarted(&error))?;
            let harness = thread::Builder::new()
                .name("harness-output".into())
                .spawn_scoped(scope, move || {
                    let ending = Ending(ended);
                    confine::enter(Profile::HarnessOutput, &Places::none())
                        .map_err(|error| unstarted(&error))?;
                    let exit = process::run(launch, stop, &mut |line| {
                        for observation in codex_stream::observations(line) {
                            let _ = seen.send(observation);
                        }
                    });
                    drop(ending);
                    exit
                })
                .map_err(|error| unstarted(&error))?;
            for observation in told {
                observe(observation);
            }
            harness.join().unwrap_or_else(|_| {
                Err(HarnessError {
                    problem: "agp's own thread for Codex's output panicked".into(),
                    mend: "report it, with what was printed above".into(),
                })
            })
        })
    }
}

/// Tells the rollout's thread that the harness has ended, also by a panic.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn unstarted(error: &io::Error) -> HarnessError {
    HarnessError {
        problem: format!("a thread for Codex cannot be started: {error}"),
        mend: "try again".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_to_a_shell() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
