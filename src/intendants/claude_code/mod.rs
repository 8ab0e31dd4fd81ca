//! Claude Code in hook mode: every tool call passes agp's hook; the settings that say so are ours
//! alone.

pub mod command_shell;
pub(crate) mod discovery;
pub mod login_process;
pub(crate) mod managed_settings;
pub(crate) mod settings;
pub(crate) mod stream_json;
#[cfg(test)]
mod tests;
pub(crate) mod tool_calls;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Pid;
use serde_json::{Map, Value, json};

use crate::confine::Spawner;
use crate::contracts::ids::SessionId;
use crate::contracts::intendant::{
    HarnessError, HarnessExit, HarnessFault, HarnessHost, HarnessIdentity, Intendant, Observation,
};
use crate::contracts::limits;
use crate::hook::login_renewal::CONFIGURATION;
use crate::hook::pre_post_tool;
use crate::jail::spec::Spec;
use crate::jail::writable_paths::Changeable;

use super::gate_client::Asking;
use discovery::HOOK_FLOOR;
pub use discovery::{
    ClaudeInstall, Store, check_arguments, find, found_elsewhere, login, login_by_name, program,
    store,
};

use super::process;
use super::process::{Launch, Stop};
use command_shell::CommandAccess;

use super::{environment, executable, harness_git};

/// What a session of Claude Code needs to know.
pub struct ClaudeSetup {
    /// The harness.
    pub found: ClaudeInstall,
    /// The session.
    pub session: SessionId,
    /// The gateway's socket.
    pub socket: PathBuf,
    /// The key that answers are signed with: base64 of its public half.
    pub answer_key: String,
    /// A private directory, for the settings.
    pub directory: PathBuf,
    /// What the agent is asked to do.
    pub task: String,
    /// Whether the task may be a command of the harness's own, such as `/init`, not text alone.
    pub task_command: bool,
    /// Where.
    pub repository: PathBuf,
    /// How long an approval may take.
    pub patience: Duration,
    /// The operator's own arguments, already checked by [`check_arguments`].
    pub arguments: Vec<String>,
    /// Names of further variables to pass.
    pub environment: Vec<String>,
    /// Variables that have a value of agp's own, or none.
    pub set: Vec<(&'static str, Option<String>)>,
    /// The confinement that it is started in.
    pub confinement: Option<Spec>,
    /// Whether agp's tools are to be its only ones.
    pub mediated: bool,
    /// What its agent can change: no program is found there.
    pub changeable: Changeable,
    /// What starts it.
    pub spawner: Spawner,
    /// A process of agp's beside it, which does not end with it.
    pub spared: Option<Pid>,
    /// The container that it runs in, where that is not this host; in hook mode.
    pub inside: Option<Inside>,
    /// How it is stopped.
    pub stop: Stop,
    /// Takes each line of its standard error.
    pub complain: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A container for Claude Code, which has its settings already: [`managed`].
pub struct Inside {
    /// Where it is started.
    pub place: Arc<dyn HarnessHost>,
    /// Variables that have another value there than here.
    pub environment: Vec<(OsString, OsString)>,
    /// Names of variables that mean nothing there.
    pub without: Vec<&'static str>,
}

/// Settings that stand above all others, for `/etc/claude-code/managed-settings.json` of a container:
/// every call asks agp's hook, at these paths of the container's.
#[must_use]
pub fn managed(bridge: &Path, asking: &Asking<'_>, directory: &Path) -> Value {
    settings_of(bridge, asking, directory)
}

/// A session of Claude Code.
pub struct ClaudeCode {
    identity: HarnessIdentity,
    launch: Launch,
    stop: Stop,
    gate: Gate,
}

/// What shows that the gate stands.
enum Gate {
    /// The file that is there once the harness has called its first hook; and what was seen that could
    /// keep it from that.
    Hooked(PathBuf, String),
    /// That no tool is offered but agp's.
    Mediated,
}

impl ClaudeCode {
    /// Writes the settings and prepares the start.
    ///
    /// # Errors
    /// [`HarnessError`] when the private directory cannot be written or the program not read.
    pub fn prepare(setup: ClaudeSetup) -> Result<Self, HarnessError> {
        let failed = |error: io::Error| {
            HarnessFault::Unprepared.of(format_args!("cannot prepare Claude Code: {error}"))
        };
        if !setup.mediated && !setup.found.fails_closed {
            let (version, [major, minor, patch]) = (&setup.found.version, HOOK_FLOOR);
            return Err(
                HarnessFault::TooOldForHooks(discovery::INSTALL).of(format_args!(
                    "Claude Code {version} runs tools when a hook fails; hook mode needs \
                {major}.{minor}.{patch} or later"
                )),
            );
        }
        let bridge = executable::bridge_program().map_err(failed)?;
        let settings = setup.directory.join("settings.json");
        let servers = setup.directory.join("mcp.json");
        let there = |path: &Path| process::inside(setup.confinement.as_ref(), path);
        let asking = Asking {
            socket: &there(&setup.socket),
            session: &setup.session,
            answer_key: &setup.answer_key,
            outside: setup.confinement.as_ref().is_some_and(Spec::has_root),
            within: hook_patience(setup.patience),
        };
        let hooks = if setup.mediated {
            let text = servers_of(&there(&bridge), asking, setup.patience);
            put(&servers, &text).map_err(failed)?;
            Value::Object(settings::common())
        } else {
            // The harness names the directory that it is in as the kernel does.
            let directory = setup.repository.canonicalize().map_err(failed)?;
            settings_of(&there(&bridge), &asking, &directory)
        };
        // In a container they are managed settings, and stand there already.
        let elsewhere = setup.inside.is_some();
        let settings = (!elsewhere).then_some(settings);
        if let Some(settings) = &settings {
            put(settings, &hooks).map_err(failed)?;
        }
        let settings = settings.map(|path| there(&path));
        let servers = setup.mediated.then(|| there(&servers));
        let identity = HarnessIdentity {
            name: "claude-code",
            version: setup.found.version,
            // In a container the image's own id, which the session records, vouches for it.
            binary_sha256: match setup.inside {
                None => Some(executable::digest(&setup.found.program).map_err(failed)?),
                Some(_) => None,
            },
        };
        let shell = match &setup.confinement {
            Some(spec) if !setup.mediated => {
                let configuration = setup.set.iter().find(|(name, _)| *name == CONFIGURATION);
                let configuration = configuration.and_then(|(_, path)| path.as_ref());
                let reach = CommandAccess::within(spec, configuration.map(Path::new));
                command_shell::lay_out(&setup.directory, &bridge, reach, &setup.environment)
                    .map_err(failed)?;
                Some(there(&setup.directory.join(command_shell::FILES[0])))
            }
            _ => None,
        };
        let shell = shell.map(|path| (command_shell::VARIABLE, Some(path.display().to_string())));
        let mut environment = environment::environment(&setup.environment, &setup.changeable);
        let fixed = FIXED_ENVIRONMENT.map(|(name, value)| (name, Some(value.to_owned())));
        let served = SERVER_ENVIRONMENT.map(|(name, value)| (name, Some(value.to_owned())));
        for (name, value) in fixed
            .into_iter()
            .chain(served)
            .chain(setup.set)
            .chain(shell)
        {
            environment.retain(|(set, _)| set != name);
            environment.extend(value.map(|value| (name.into(), value.into())));
        }
        if setup.confinement.is_some() {
            harness_git::lay_out((&setup.directory, &bridge), there, &mut environment)
                .map_err(failed)?;
        }
        if let Some(inside) = &setup.inside {
            environment.retain(|(name, _)| {
                let other = inside.without.iter().any(|without| name == without);
                !other && !inside.environment.iter().any(|(set, _)| set == name)
            });
            environment.extend(inside.environment.iter().cloned());
        }
        let launch = Launch {
            leash: bridge,
            program: setup.found.program,
            arguments: arguments(
                settings.as_deref(),
                servers.as_deref(),
                &setup.arguments,
                &prompt(&setup.task, setup.task_command),
            ),
            environment,
            confinement: setup.confinement,
            directory: setup.repository,
            spawner: setup.spawner.clone(),
            place: setup.inside.map(|inside| inside.place),
            complain: setup.complain,
            spared: setup.spared,
        };
        Ok(Self {
            identity,
            launch,
            stop: setup.stop,
            gate: if setup.mediated {
                Gate::Mediated
            } else {
                // Looked at now: later this thread reads nothing.
                let seen = match elsewhere {
                    false => managed_settings::seen(Path::new(managed_settings::DIRECTORY)),
                    true => "unknown cause".to_owned(),
                };
                Gate::Hooked(setup.socket.with_file_name(pre_post_tool::MARK), seen)
            },
        })
    }
}

/// What it has whatever the operator's environment says.
pub const FIXED_ENVIRONMENT: [(&str, &str); 5] = [
    // An update in the middle of a session would be another harness than the one that was journaled.
    ("DISABLE_AUTOUPDATER", "1"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    // Words that name a file (`@FILE`) would put it into the conversation: no call, so no decision.
    ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
    // A repository's `.claude/scheduled_tasks.json` would be a task that nobody gave.
    ("CLAUDE_CODE_DISABLE_CRON", "1"),
    // Skills of its own run git, and with it what the repository's configuration names; only the skill is
    // decided.
    ("CLAUDE_CODE_DISABLE_BUNDLED_SKILLS", "1"),
];

/// The task as the harness gets it. Whoever writes an issue that becomes a task must not have a command of
/// the harness's: only what begins with one is one, and text begins with the end of a line.
fn prompt(task: &str, command: bool) -> String {
    if command {
        task.to_owned()
    } else {
        format!("\n{task}")
    }
}

/// How long the harness waits for a call that agp runs: for the approval, the run, and some more.
fn call_patience(approval: Duration) -> Duration {
    approval + limits::EXEC_DEADLINE_MAX + limits::BRIDGE_GRACE + limits::HOOK_GRACE
}

fn put(path: &Path, value: &Value) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(value.to_string().as_bytes())
}

/// Name of agp's server among the harness's, and so in its tools' names.
const SERVER: &str = "agp";
/// How the harness names agp's tools.
pub(super) const OWN_TOOLS: &str = "mcp__agp__";

fn servers_of(bridge: &Path, asking: Asking<'_>, approval: Duration) -> Value {
    let asking = Asking {
        within: approval + limits::EXEC_DEADLINE_MAX + limits::BRIDGE_GRACE,
        ..asking
    };
    json!({"mcpServers": {SERVER: {
        "type": "stdio",
        "command": bridge,
        "args": asking.arguments("mcp", &[]),
        "timeout": u64::try_from(call_patience(approval).as_millis())
            .unwrap_or(u64::MAX),
    }}})
}

/// Without these the model can be asked before agp's tools are there, and long answers of theirs
/// are refused.
const SERVER_ENVIRONMENT: [(&str, &str); 3] = [
    ("MCP_CONNECTION_NONBLOCKING", "0"),
    ("MCP_TIMEOUT", "30000"),
    ("MAX_MCP_OUTPUT_TOKENS", "100000"),
];

fn arguments(
    settings: Option<&Path>,
    servers: Option<&Path>,
    further: &[String],
    task: &str,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    if let Some(settings) = settings {
        arguments.extend(["--settings".into(), settings.into()]);
    }
    // No user's, project's or local settings: a repository's own can switch hooks off. No MCP
    // servers but those named here, and none is.
    let fixed = [
        "--setting-sources",
        "",
        "--strict-mcp-config",
        "--permission-mode",
        "default",
        "--output-format",
        "stream-json",
        "--verbose",
    ];
    arguments.extend(fixed.map(OsString::from));
    if let Some(servers) = servers {
        arguments.extend(["--tools", "", "--mcp-config"].map(OsString::from));
        arguments.push(servers.into());
        arguments.extend(["--allowedTools", "mcp__agp__*"].map(OsString::from));
    }
    arguments.extend(further.iter().map(OsString::from));
    // Behind `--`, so that a task that begins with a dash is no option.
    arguments.extend(["--print", "--"].map(OsString::from));
    arguments.push(task.into());
    arguments
}

/// How long a hook waits for an answer.
#[must_use]
pub fn hook_patience(approval: Duration) -> Duration {
    approval + limits::BRIDGE_GRACE
}

fn settings_of(bridge: &Path, asking: &Asking<'_>, directory: &Path) -> Value {
    let directory = directory.to_string_lossy();
    let timeout = (asking.within + limits::HOOK_GRACE).as_secs();
    let hook = |event: &str| {
        json!([{"matcher": "*", "hooks": [{
            "type": "command",
            "command": bridge,
            // With arguments of their own, no shell comes between.
            "args": asking.arguments("bridge", &[
                "--harness", "claude-code",
                "--event", event,
                "--directory", &directory,
            ]),
            "timeout": timeout,
            "onFailure": "block",
        }]}])
    };
    let hooks = json!({
        "SessionStart": hook("start"),
        "PreToolUse": hook("pre"),
        "PostToolUse": hook("post"),
        "PostToolUseFailure": hook("post"),
    });
    settings::hooked(&hooks, asking.socket.parent().unwrap_or(asking.socket))
}

impl Intendant for ClaudeCode {
    fn identity(&self) -> &HarnessIdentity {
        &self.identity
    }

    fn describe(&self) -> Map<String, Value> {
        Map::from_iter([
            (
                "mode".to_owned(),
                json!(match self.gate {
                    Gate::Hooked(..) => "hook",
                    Gate::Mediated => "mediated",
                }),
            ),
            (
                "confined".to_owned(),
                json!(self.launch.confinement.is_some() || self.launch.place.is_some()),
            ),
        ])
    }

    fn run(&mut self, observe: &mut dyn FnMut(Observation)) -> Result<HarnessExit, HarnessError> {
        let (gate, mut begun) = (&self.gate, false);
        let mut home = self.launch.environment.iter();
        let home = home.rfind(|(name, _)| name == "HOME");
        let home = home.and_then(|(_, home)| home.to_str());
        process::run(&self.launch, &self.stop, &mut |line| {
            let Some(line) = line else {
                return observe(Observation::Unreadable(
                    "a line of its output is too long".into(),
                ));
            };
            observe(Observation::Raw(String::from_utf8_lossy(line).into_owned()));
            for mut observation in stream_json::observations(line) {
                if let Observation::Attempted {
                    tool,
                    input: Some(input),
                    ..
                } = &mut observation
                {
                    tool_calls::as_asked(tool, input, home);
                }
                // The first hook comes before all else, so this is before the model was asked.
                if let Observation::Started { tools, .. } = &observation {
                    let missing = match gate {
                        // Later the mark proves nothing.
                        Gate::Hooked(mark, seen) => (!begun && !pre_post_tool::marked(mark))
                            .then(|| Cow::from(format!("{UNHOOKED}: {seen}"))),
                        Gate::Mediated => unmediated(tools).map(Cow::from),
                    };
                    begun = true;
                    if let Some(missing) = missing {
                        observe(Observation::Ungated(missing));
                    }
                }
                observe(observation);
            }
        })
    }
}

/// Why the tools that are offered are not agp's and no others, if so.
fn unmediated(tools: &[String]) -> Option<&'static str> {
    if tools.iter().any(|tool| !tool.starts_with(OWN_TOOLS)) {
        return Some("Claude Code offers its model tools that are not agp's");
    }
    tools
        .is_empty()
        .then_some("Claude Code did not load agp's tools: it offers its model none")
}

const UNHOOKED: &str = "Claude Code does not run its hooks, so agp cannot gate its calls";
