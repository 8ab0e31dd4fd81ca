//! What a session is asked to be: its flags, and what they come to.

use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;

use crate::channels::slack::Settings as Slack;
use crate::channels::terminal::Terminal;

use super::docker::container::Container;
use super::egress::WayOut;
use super::kinds::Stream;
use super::layout::Layout;
use super::policy_file::PolicySource;
use crate::contracts::approver::Groups;

/// Run one governed session.
#[derive(FromArgs)]
#[argh(subcommand, name = "run")]
pub(crate) struct Run {
    /// the harness: claude-code, codex, or scripted (default)
    #[argh(option)]
    pub(crate) intendant: Option<String>,
    /// the task for the agent
    #[argh(option)]
    pub(crate) task: Option<String>,
    /// let Claude Code read the task as one of its own commands, such as /init
    #[argh(switch)]
    pub(crate) task_command: bool,
    /// the policy: a file, or standard, strict or watch (default: the project's in config.json, else
    /// the policy in AGP_HOME)
    #[argh(option)]
    pub(crate) policy: Option<String>,
    /// the repository to work in (default: the current directory)
    #[argh(option)]
    pub(crate) repo: Option<String>,
    /// calls for --intendant scripted, as JSON lines: {"tool":..,"args":{..}}
    #[argh(option)]
    pub(crate) script: Option<PathBuf>,
    /// process (default for a harness), recording (default for a script; runs nothing), or docker
    #[argh(option)]
    pub(crate) sandbox: Option<String>,
    /// the image for --sandbox docker: NAME@sha256:.., NAME:VERSION or sha256:.. (never latest)
    #[argh(option)]
    pub(crate) image: Option<String>,
    /// hook: the harness runs its own tools and asks first; mediated: agp runs every tool in a sandbox
    #[argh(option)]
    pub(crate) mode: Option<String>,
    /// an extra path that sandboxed commands may read; repeatable
    #[argh(option)]
    pub(crate) allow_read: Vec<PathBuf>,
    /// an extra path that sandboxed commands may change; repeatable
    #[argh(option)]
    pub(crate) allow_write: Vec<PathBuf>,
    /// strict (default): refuse to start what the kernel cannot confine; best-effort: run it
    /// with what the kernel offers
    #[argh(option)]
    pub(crate) confine: Option<String>,
    /// network access: none, full or allowlist (default: none for the sandbox; for a harness in
    /// hook mode its model's hosts and those of the policy and of allowed calls)
    #[argh(option)]
    pub(crate) egress: Option<String>,
    /// a host for --egress allowlist, as HOST[:PORT] or *.SUFFIX[:PORT]; repeatable
    #[argh(option)]
    pub(crate) egress_allow: Vec<String>,
    /// where approvals are asked: console (default) or slack
    #[argh(option)]
    pub(crate) channel: Option<String>,
    /// let a question wait for `agp attend`, where nobody can be asked at once
    #[argh(switch)]
    pub(crate) attend: bool,
    /// seconds before an unanswered approval is denied, 1 to 86400 (default: 300)
    #[argh(option)]
    pub(crate) approval_timeout: Option<u64>,
    /// an extra argument for the harness; repeatable
    #[argh(option)]
    pub(crate) harness_arg: Vec<String>,
    /// the name of an environment variable to pass to the harness; repeatable
    #[argh(option)]
    pub(crate) harness_env: Vec<String>,
    /// a Codex login file to mount in the container, such as ~/.codex/auth.json
    #[argh(option)]
    pub(crate) harness_login: Option<PathBuf>,
    /// how to show the harness's output: lines (default) or raw
    #[argh(option)]
    pub(crate) stream: Option<String>,
    /// skip the gate self-test before the session
    #[argh(switch)]
    pub(crate) no_probe: bool,
    /// on (default) or off: compare the harness's own output with agp's decisions
    #[argh(option)]
    pub(crate) witness: Option<String>,
}

impl Run {
    /// A run of which nothing is said.
    pub(crate) fn nothing() -> Self {
        Self {
            intendant: None,
            task: None,
            task_command: false,
            policy: None,
            repo: None,
            script: None,
            sandbox: None,
            image: None,
            allow_read: Vec::new(),
            allow_write: Vec::new(),
            confine: None,
            egress: None,
            egress_allow: Vec::new(),
            channel: None,
            attend: false,
            approval_timeout: None,
            harness_arg: Vec::new(),
            harness_env: Vec::new(),
            harness_login: None,
            stream: None,
            mode: None,
            no_probe: false,
            witness: None,
        }
    }
}

/// A session as it was asked for, checked.
#[derive(Debug)]
pub(crate) struct SessionOptions {
    pub layout: Layout,
    /// Why this mode.
    pub mode_reason: &'static str,
    /// The container, where that is the sandbox.
    pub container: Option<Container>,
    pub way_out: WayOut,
    pub allow_read: Vec<PathBuf>,
    pub allow_write: Vec<PathBuf>,
    pub task: Option<String>,
    /// Whether the task may be a command of the harness's own.
    pub task_command: bool,
    pub repository: PathBuf,
    /// Where the session's own policy comes from.
    pub policy: PolicySource,
    pub script: Option<PathBuf>,
    pub approval_deadline: Duration,
    /// How long a question may wait to be shown.
    pub approval_queue: Duration,
    /// Whether a question rings the terminal's bell.
    pub approval_bell: bool,
    /// The groups that rules name as approvers.
    pub groups: Groups,
    pub auto_approve: bool,
    /// Whether a question waits for `agp attend` where nobody can be asked at once.
    pub attend: bool,
    /// Where approvals are asked, unless it is the console.
    pub slack: Option<Slack>,
    pub stream: Stream,
    pub harness_args: Vec<String>,
    pub harness_env: Vec<String>,
    /// The login that is mounted for a harness in a container of its own.
    pub harness_login: Option<PathBuf>,
    /// Whether the gate is tried on the harness before the task starts.
    pub probe: bool,
    /// Whether the harness's own account is held against the decisions.
    pub witness: bool,
    /// Whether agp's own threads are confined in full, or nothing starts.
    pub threads_strict: bool,
}

impl SessionOptions {
    /// Whether questions are asked elsewhere than at the terminal that shows the session.
    pub(crate) fn asks_elsewhere(&self, terminal: &Terminal) -> bool {
        self.slack.is_some() || terminal.unattended_because().is_some()
    }

    /// How long a call may wait for a person: the governor answers before whoever asks it gives up.
    pub(crate) fn patience(&self) -> Duration {
        self.approval_queue + self.approval_deadline
    }
}
