//! What drives one harness.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;

use serde_json::{Map, Value};

/// Which harness is behind a session, as far as agp can know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarnessIdentity {
    /// The harness's name, such as `claude-code` or `scripted`.
    pub name: &'static str,
    /// Its version as it reports it.
    pub version: String,
    /// SHA-256 of its executable, lowercase hex; `None` when it has none of its own.
    pub binary_sha256: Option<String>,
}

/// Something the harness was seen to do, as its own output tells: for the operator's eyes, and for
/// the witness, who holds it against the decisions. Never a ground for a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// The model attempted a call.
    Attempted {
        /// The call's id, as the model gave it: any text.
        id: String,
        /// The tool's name, as the call that asks is named.
        tool: String,
        /// Its arguments, as the harness shows them; `None` where it does not.
        input: Option<Map<String, Value>>,
    },
    /// A call came back.
    Returned {
        /// The call's id.
        id: String,
        /// How.
        came: Came,
        /// What the harness says that the tool answered; `None` where it does not say.
        told: Option<ToldResult>,
    },
    /// The model's provider ran a call itself; the harness has no part in it.
    AtProvider {
        /// The call's id.
        id: String,
        /// The tool's name.
        tool: String,
    },
    /// The harness answered a call of a tool of its own, which touches nothing: that tool's name.
    Answered(&'static str),
    /// A part of the output could not be understood, so that nobody knows what was done.
    Unreadable(String),
    /// The harness does not ask before it acts; says why that is thought.
    Ungated(Cow<'static, str>),
    /// The harness is up; the tools it offers its model.
    Started {
        /// Tool names.
        tools: Vec<String>,
        /// The directory that it is in, where it says so.
        directory: Option<String>,
    },
    /// The model said something.
    Said(String),
    /// The harness finished by its own account.
    Finished {
        /// Whether it calls itself successful.
        ok: bool,
        /// Its closing text.
        text: String,
    },
    /// One line of its output, as it came.
    Raw(String),
}

/// How a call came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The tool ran, well or not. What is not known to be one of the others ran.
    Ran,
    /// The harness refused it by itself: the tool did not run.
    Refused,
    /// Its hook blocked it: the tool did not run.
    Blocked,
    /// It was stopped together with its agent, while it waited or while it ran.
    Stopped,
}

/// A call's result as the harness's own account has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldResult {
    /// Whether the tool succeeded.
    pub ok: bool,
    /// What it answered.
    pub output: String,
    /// Whether a report of the same result has the same text.
    pub comparable: bool,
}

/// How a harness ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HarnessExit {
    /// It ended well.
    Success,
    /// It ended with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// agp ended it.
    Stopped,
}

/// Why a harness could not be started or followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarnessError {
    /// What is at fault.
    pub fault: HarnessFault,
    /// What went wrong.
    pub problem: String,
}

/// What has to change before a harness can be started or followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HarnessFault {
    /// It is not installed, or not where the variable says.
    Missing {
        /// What installs it.
        install: &'static str,
        /// The variable that names its program.
        variable: &'static str,
    },
    /// An agent could change the program, or the way to it.
    Changeable {
        /// The name of the program.
        program: &'static str,
        /// The variable that names it.
        variable: &'static str,
        /// Whether `PATH` led there.
        by_path: bool,
    },
    /// It does not answer this command.
    Silent(String),
    /// This program does not say its version.
    Unversioned(String),
    /// It is too old; this installs a newer one.
    TooOld(&'static str),
    /// It is too old for hook mode; this installs a newer one.
    TooOldForHooks(&'static str),
    /// The operator's configuration of Codex.
    CodexConfig,
    /// What an organisation sets for Codex, or its version.
    CodexManaged,
    /// A version of Codex that answers otherwise than agp expects.
    CodexVersion,
    /// The path of the repository.
    RepositoryPath,
    /// The image lacks this harness.
    NotInImage(&'static str),
    /// The image.
    Image,
    /// The machine confines no process.
    Unconfined,
    /// The machine confines no thread.
    UnconfinedThread,
    /// The machine starts no thread.
    NoThread,
    /// Its surroundings could not be prepared, or it could not be started.
    Unprepared,
    /// agp itself.
    Agp,
}

impl HarnessFault {
    /// The error of this fault.
    pub fn of(self, problem: impl fmt::Display) -> HarnessError {
        HarnessError {
            fault: self,
            problem: problem.to_string(),
        }
    }
}

impl fmt::Display for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

/// A harness's process in a place that is not the host's own.
pub struct Placed {
    /// Its standard output.
    pub output: OwnedFd,
    /// Its standard error.
    pub errors: OwnedFd,
    /// Becomes readable at its end.
    pub ended: OwnedFd,
    /// Ends it when it is dropped.
    pub hold: Box<dyn Send>,
    /// Waits until nothing is left of it, and tells how it ended.
    pub end: Box<dyn FnOnce() -> io::Result<HarnessExit> + Send>,
}

/// Where a harness runs, if not on the host.
pub trait HarnessHost: Send + Sync {
    /// Starts a command there, with this and no other environment.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(
        &self,
        command: &[OsString],
        environment: &[(OsString, OsString)],
    ) -> io::Result<Placed>;
}

/// An adapter for one harness.
pub trait Intendant: Send {
    /// Which harness this is.
    fn identity(&self) -> &HarnessIdentity;

    /// Particulars for `session.started`, camelCase names.
    fn describe(&self) -> Map<String, Value>;

    /// Runs the harness until it ends or `stop` says so.
    ///
    /// # Errors
    /// [`HarnessError`] when it cannot be started or followed.
    fn run(&mut self, observe: &mut dyn FnMut(Observation)) -> Result<HarnessExit, HarnessError>;
}
