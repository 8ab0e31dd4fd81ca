//! A foreign program that is asked about itself before a session: confined from its first instruction. It has
//! its own files and the system's to read, a home and temporary directory that go with the answer, and no
//! network; nothing of agp's, of the operator's or of the repository's.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::geteuid;

use crate::confine::Spawner;
use crate::contracts::intendant::{HarnessError, HarnessFault};
use crate::contracts::limits;
use crate::jail::order::CommandOrder;
use crate::jail::spec::{Limits, Namespaces, Sockets, Spec};
use crate::jail::status::Told;
use crate::jail::writable_paths::Changeable;

use super::{environment, executable};

/// Where a harness's program is looked for, and how it is asked about itself.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What the session's agent can change: no harness comes from there.
    pub changeable: Changeable,
    /// What starts processes, where the caller may not any more.
    pub spawner: Option<Spawner>,
    /// Whether it may be asked unconfined where this machine confines nothing: `--confine best-effort`.
    pub unconfined: bool,
}

/// What a program is asked.
pub(super) struct Question<'a> {
    pub(super) program: &'a Path,
    pub(super) words: &'a [&'a str],
    pub(super) environment: &'a [(OsString, OsString)],
    /// A directory of agp's own that it may change.
    pub(super) home: Option<&'a Path>,
    /// How much of the answer is read.
    pub(super) bytes: usize,
}

impl Search {
    /// What the program answers.
    ///
    /// # Errors
    /// [`HarnessError`] when it does not answer, or cannot be confined.
    pub(super) fn ask(&self, question: &Question<'_>) -> Result<String, HarnessError> {
        let program = question.program.display();
        let silent = |why: String| {
            let command = format!("{program} {}", question.words.join(" "));
            HarnessFault::Silent(command).of(format_args!("{program}: {why}"))
        };
        let mut refused = String::new();
        for namespaces in candidates() {
            match self.ask_within(question, *namespaces) {
                Ok(answer) => return Ok(answer),
                Err(Unanswered::Itself(why)) => return Err(silent(why)),
                Err(Unanswered::NotConfined(why)) => {
                    refused = format!("{refused}; namespaces {}: {why}", namespaces.as_str());
                }
            }
        }
        if !self.unconfined {
            return Err(HarnessFault::Unconfined.of(format_args!(
                "{program}: cannot confine it, so it was not started{refused}"
            )));
        }
        let mut command = Command::new(question.program);
        command.args(question.words).env_clear().envs(
            question
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        let answer = self.start(command).and_then(|child| {
            let heard = executable::heard(child, limits::VERSION_PATIENCE, question.bytes)?;
            match heard.status.success() {
                true => Ok(heard.said),
                false => Err(io::Error::other(heard.status.to_string())),
            }
        });
        answer.map_err(|error| silent(error.to_string()))
    }

    fn ask_within(
        &self,
        question: &Question<'_>,
        namespaces: Namespaces,
    ) -> Result<String, Unanswered> {
        let not = |error: io::Error| Unanswered::NotConfined(error.to_string());
        let scratch = Scratch::new().map_err(not)?;
        let bridge = executable::bridge_program().map_err(not)?;
        let mut spec = spec(question, &scratch.0, &bridge, namespaces);
        // A wrapper starts what it wraps, and a script its interpreter: where the operator named it.
        spec.read.extend(self.changeable.kept().iter().cloned());
        let temporary = match spec.has_root() {
            true => Path::new("/tmp"),
            false => &scratch.0,
        };
        let home = temporary.join("home");
        let variables = [("HOME", home.as_path()), ("TMPDIR", temporary)];
        let variables =
            variables.map(|(name, path)| (OsString::from(name), path.as_os_str().to_owned()));
        let mut environment = question.environment.to_vec();
        environment.retain(|(name, _)| name != "HOME" && name != "TMPDIR");
        environment.extend(variables);
        for (_, value) in environment.iter_mut().filter(|(name, _)| name == "PATH") {
            let kept = self.changeable.kept();
            *value = self.changeable.clone().in_sandbox(kept).search_path(value);
        }
        let shell = ["/bin/sh", "-c", QUIETLY].map(OsStr::new).into_iter();
        let words = shell
            .chain([question.program.as_os_str()])
            .chain(question.words.iter().map(OsStr::new));
        let words: Option<Vec<String>> =
            words.map(|word| word.to_str().map(str::to_owned)).collect();
        let order = CommandOrder {
            command: words
                .ok_or_else(|| Unanswered::Itself("its path is not valid UTF-8".into()))?,
            environment: Vec::new(),
            deadline_millis: u64::try_from(limits::VERSION_PATIENCE.as_millis())
                .unwrap_or(u64::MAX),
            input_bytes: 0,
        };
        let order = order.sent(&[]).map_err(not)?;
        let spec = serde_json::to_string(&spec).map_err(|error| not(error.into()))?;
        let mut command = Command::new(&bridge);
        command
            .args(["confine", "--spec", &spec])
            .env_clear()
            .envs(environment)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.start(command).map_err(not)?;
        // Open until it has answered: its end would end the confinement.
        let mut pipe = child.stdin.take();
        if let Some(pipe) = &mut pipe {
            // One that has failed says why.
            let _ = pipe.write_all(&order);
        }
        let heard = executable::heard(child, limits::VERSION_PATIENCE + KEEPER, question.bytes);
        drop(pipe);
        let heard = heard.map_err(|error| Unanswered::Itself(error.to_string()))?;
        ended(&heard.told).map(|()| heard.said)
    }

    fn start(&self, mut command: Command) -> io::Result<Child> {
        command.stdout(Stdio::piped());
        match &self.spawner {
            Some(spawner) => spawner.spawn(command).map(|started| started.child),
            None => command.spawn(),
        }
    }
}

/// Inside, standard error is standard output, and what is said there is no part of the answer.
const QUIETLY: &str = "exec \"$0\" \"$@\" 2>/dev/null";

/// What the keeper may take besides, until it has ended everything inside.
const KEEPER: Duration = limits::EXEC_GRACE;

enum Unanswered {
    /// The program's fault.
    Itself(String),
    /// It was not started.
    NotConfined(String),
}

/// How it ended, in the keeper's words.
fn ended(output: &str) -> Result<(), Unanswered> {
    let mut confined = false;
    for line in output.lines() {
        match serde_json::from_str(line) {
            Ok(Told::Confined { .. }) => confined = true,
            Ok(Told::Exited(0)) if confined => return Ok(()),
            Ok(Told::Exited(code)) if confined => {
                return Err(Unanswered::Itself(format!("it exited with {code}")));
            }
            Ok(Told::Signalled(signal)) if confined => {
                return Err(Unanswered::Itself(format!("signal {signal} ended it")));
            }
            Ok(Told::NotStarted(why)) => return Err(Unanswered::Itself(why)),
            Ok(Told::Deadline) => return Err(Unanswered::Itself("it does not answer".into())),
            Ok(Told::Failed(why)) => return Err(Unanswered::NotConfined(why)),
            _ => {
                return Err(Unanswered::NotConfined(format!(
                    "unexpected output from its supervisor: {line:?}"
                )));
            }
        }
    }
    Err(Unanswered::NotConfined(
        "its supervisor gave no output".into(),
    ))
}

fn candidates() -> &'static [Namespaces] {
    match geteuid().is_root() {
        true => &[Namespaces::User, Namespaces::Direct, Namespaces::Off],
        false => &[Namespaces::User, Namespaces::Off],
    }
}

fn spec(question: &Question<'_>, scratch: &Path, bridge: &Path, namespaces: Namespaces) -> Spec {
    let home = environment::variable("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute() && home.is_dir() && home.parent().is_some());
    Spec {
        namespaces,
        read: vec![executable::package(question.program)],
        write: question
            .home
            .iter()
            .map(|home| home.to_path_buf())
            .collect(),
        placed: Vec::new(),
        masked: Vec::new(),
        withheld: Vec::new(),
        scratch: scratch.to_owned(),
        home: home.filter(|home| home != Path::new("/tmp")),
        terminals: false,
        directory: match namespaces {
            Namespaces::Off => scratch.to_owned(),
            Namespaces::User | Namespaces::Direct => PathBuf::from("/tmp"),
        },
        helper: bridge.to_owned(),
        sockets: Sockets::default(),
        relay: None,
        limits: Limits {
            processes: limits::SANDBOX_PROCESSES_SHARED,
            open_files: limits::SANDBOX_OPEN_FILES,
            file_bytes: limits::SANDBOX_FILE_BYTES,
            // What a harness reserves is its maker's business.
            address_bytes: u64::MAX,
            data_bytes: u64::MAX,
        },
        free_bytes: 0,
    }
}

/// What is its `/tmp`, removed with the answer.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-asks-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        let scratch = Self(path);
        DirBuilder::new()
            .mode(0o700)
            .create(scratch.0.join("home"))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing in it is anybody's.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_confinement_that_stood_makes_an_answer() {
        let line = |told: &Told| serde_json::to_string(told).unwrap() + "\n";
        let confined = line(&Told::Confined { landlock: 6 });
        assert!(ended(&(confined.clone() + &line(&Told::Exited(0)))).is_ok());
        for told in [
            String::new(),
            confined.clone(),
            line(&Told::Exited(0)),
            line(&Told::Failed("no".into())) + &line(&Told::Exited(0)),
            "nonsense\n".into(),
        ] {
            assert!(
                matches!(ended(&told), Err(Unanswered::NotConfined(_))),
                "{told}"
            );
        }
        for told in [Told::Exited(1), Told::Signalled(9), Told::Deadline] {
            let output = confined.clone() + &line(&told);
            assert!(
                matches!(ended(&output), Err(Unanswered::Itself(_))),
                "{output}"
            );
        }
    }
}
