//! A harness as a process: found, identified, started on a leash with a built environment, read
//! line by line, ended.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::bridge::processes;
use crate::contracts::intendant::{HarnessError, HarnessExit};
use crate::contracts::limits;

/// Names that reach a harness as they are.
const PASSED: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TERM",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "LOGNAME",
];
/// Families of names that reach a harness as they are.
const PASSED_PREFIXES: [&str; 5] = ["LC_", "ANTHROPIC_", "OPENAI_", "CODEX_", "DISABLE_"];
/// Of Claude Code's own names those that say who pays, where its files are and how it reaches its
/// model. A list of what is harmless, as with its options: others switch its hooks off, and those
/// grow with every version.
const PASSED_CLAUDE: [&str; 17] = [
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_OAUTH_SCOPES",
    "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_CODE_TMPDIR",
];
/// agp's own: they never reach a harness, whoever asks.
const WITHHELD_PREFIXES: [&str; 2] = ["AGP_SECRET_", "AGP_SLACK_"];
/// What one Claude Code sets for another that it starts: a governed one must not take itself for
/// a part of an ungoverned one.
const NESTED: [&str; 2] = ["CLAUDE_CODE_CHILD_", "CLAUDE_CODE_MESSAGING_"];
/// With these a harness runs its tools without asking its hooks, or takes its settings from
/// elsewhere: measured, or named in its program. They never reach it, whoever asks.
const UNGATED: [&str; 10] = [
    "CLAUDE_CODE_SIMPLE",
    "CLAUDE_CODE_SAFE_MODE",
    "CLAUDE_CODE_PERSONAL_HOOKS_OFF",
    "CLAUDE_CODE_EVEN_MORE_DANGEROUSLY_SKIP_PERMISSIONS",
    "CLAUDE_CODE_MANAGED_SETTINGS_PATH",
    "CLAUDE_CODE_REMOTE_SETTINGS_PATH",
    "CLAUDE_CODE_MOCK_REMOTE_SETTINGS",
    "CLAUDE_CODE_MCP_SERVE_SETTINGS",
    "CLAUDE_CODE_BRIDGE_CHILD_MACHINE_SETTINGS",
    "CLAUDE_CODE_RELAUNCH_BYPASS_SWITCH",
];

/// The environment that a harness gets: a list of names, plus what `--harness-env` names.
#[must_use]
pub fn environment(extra: &[String]) -> Vec<(OsString, OsString)> {
    environment_from(env::vars_os(), extra)
}

fn environment_from(
    all: impl Iterator<Item = (OsString, OsString)>,
    extra: &[String],
) -> Vec<(OsString, OsString)> {
    all.filter(|(name, _)| {
        let Some(name) = name.to_str() else {
            return false;
        };
        let listed = PASSED.contains(&name)
            || PASSED_CLAUDE.contains(&name)
            || PASSED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            || extra.iter().any(|asked| asked == name);
        let withheld = WITHHELD_PREFIXES
            .iter()
            .chain(&NESTED)
            .any(|prefix| name.starts_with(prefix));
        listed && !withheld && !UNGATED.contains(&name)
    })
    .collect()
}

/// Checks the names of the operator's own variables for a harness.
///
/// # Errors
/// Which one is never passed.
pub fn check_names(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| UNGATED.contains(&name.as_str())) {
        Some(name) => Err(format!("--harness-env {name} would weaken the gate")),
        None => Ok(()),
    }
}

/// Finds a program: by the variable that names it, or on `PATH`.
///
/// # Errors
/// [`HarnessError`] that names both ways.
pub fn find(variable: &str, program: &str, install: &str) -> Result<PathBuf, HarnessError> {
    let mend = format!("install it ({install}) or set {variable} to its path");
    let missing = |problem: String| HarnessError {
        problem,
        mend: mend.clone(),
    };
    let found = match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => env::var_os("PATH").and_then(|path| {
            env::split_paths(&path)
                .map(|dir| dir.join(program))
                .find(|path| is_program(path))
        }),
    };
    let found = found.ok_or_else(|| missing(format!("{program} is not on PATH")))?;
    if !is_program(&found) {
        return Err(missing(format!("{} is not a program", found.display())));
    }
    // The file that will run, not the name that led to it: a link could be turned meanwhile.
    found
        .canonicalize()
        .map_err(|error| missing(format!("{}: {error}", found.display())))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What a program that succeeds says on standard output, of which it must make an end in time.
///
/// # Errors
/// What starting or hearing it gives; it does not run on then.
pub fn answer(command: &mut Command, within: Duration) -> io::Result<String> {
    let until = Instant::now() + within;
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let said = heard(&mut child, until);
    if said.is_err() {
        // Gone already, or ended now.
        let _ = child.kill();
        let _ = child.wait();
    }
    said
}

fn heard(child: &mut Child, until: Instant) -> io::Result<String> {
    let left = || {
        let left = until.checked_duration_since(Instant::now());
        left.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))
    };
    let mut said = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        let mut block = [0; limits::VERSION_BYTES];
        while said.len() <= limits::VERSION_BYTES {
            let within = Timespec::try_from(left()?).map_err(io::Error::other)?;
            let mut polled = [PollFd::new(&pipe, PollFlags::IN)];
            match poll(&mut polled, Some(&within)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                outcome => outcome?,
            };
            match pipe.read(&mut block)? {
                0 => break,
                got => said.extend_from_slice(block.get(..got).unwrap_or_default()),
            }
        }
    }
    while child.try_wait()?.is_none() {
        left()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    match child.wait()? {
        status if status.success() => Ok(String::from_utf8_lossy(&said).into_owned()),
        status => Err(io::Error::other(status.to_string())),
    }
}

/// SHA-256 of a file, lowercase hexadecimal.
///
/// # Errors
/// What reading it gives.
pub fn digest(path: &Path) -> io::Result<String> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut file = File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        let got = file.read(&mut block)?;
        if got == 0 {
            return Ok(data_encoding::HEXLOWER.encode(context.finish().as_ref()));
        }
        context.update(block.get(..got).unwrap_or_default());
    }
}

/// Ends a running harness from another thread.
#[derive(Clone, Default)]
pub struct Stop {
    leash: Arc<Mutex<(bool, Option<ChildStdin>)>>,
}

impl Stop {
    /// Ends the harness and everything below it, now or as soon as it starts. Returns at once.
    pub fn now(&self) {
        if let Ok(mut leash) = self.leash.lock() {
            // Closing the leash's input is what makes it kill.
            *leash = (true, None);
        }
    }

    /// Whether the harness was told to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.leash.lock().map_or(true, |leash| leash.0)
    }

    fn hold(&self, input: Option<ChildStdin>) {
        if let Ok(mut leash) = self.leash.lock()
            && !leash.0
        {
            leash.1 = input;
        }
    }
}

/// How to start a harness.
pub struct Launch {
    /// The program that holds leashes: `agp-bridge`, or `agp` itself.
    pub leash: PathBuf,
    /// The harness's program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Takes each line that it, or what it starts, says on standard error.
    pub complain: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Starts a harness on a leash and gives its output line by line until it ends.
///
/// # Errors
/// [`HarnessError`] when it cannot be started.
pub fn run(
    launch: &Launch,
    stop: &Stop,
    on_line: &mut dyn FnMut(Option<&[u8]>),
) -> Result<HarnessExit, HarnessError> {
    let failed = |error: io::Error| HarnessError {
        problem: format!("{} cannot be started: {error}", launch.program.display()),
        mend: "agp doctor --check harness".into(),
    };
    let mut child = Command::new(&launch.leash)
        .arg("leash")
        .arg("--")
        .arg(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(pipe) = child.stderr.take() {
        pass_on(pipe, Arc::clone(&launch.complain)).map_err(failed)?;
    }
    stop.hold(child.stdin.take());
    if let Some(pipe) = child.stdout.take() {
        let leash = child_pidfd(&child).map_err(failed)?;
        let late = LATE_BYTES;
        each_line(Output { pipe, leash, late }, on_line);
    }
    finish(&mut child, stop).map_err(failed)
}

fn child_pidfd(child: &Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the leash has no process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Bytes that are still read once the leash has ended: more than a pipe holds.
const LATE_BYTES: usize = 1 << 20;

/// A harness's output. It ends with the leash: a process that is not below it may hold the pipe
/// open for ever, and is not waited for.
struct Output {
    pipe: ChildStdout,
    leash: OwnedFd,
    late: usize,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut polled = [
            PollFd::new(&self.pipe, PollFlags::IN),
            PollFd::new(&self.leash, PollFlags::IN),
        ];
        poll(&mut polled, None)?;
        let [readable, ended] = polled.map(|fd| !fd.revents().is_empty());
        if !readable || self.late == 0 {
            return Ok(0);
        }
        let got = self.pipe.read(buffer)?;
        if ended {
            self.late = self.late.saturating_sub(got);
        }
        Ok(got)
    }
}

/// Passes standard error on, line by line, on a thread of its own. It ends with the pipe, and is
/// not waited for: what escaped the session may hold the other end.
fn pass_on(
    pipe: impl Read + Send + 'static,
    complain: Arc<dyn Fn(&str) + Send + Sync>,
) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("harness-stderr".into());
    let passing = move || {
        each_line(pipe, &mut |line| {
            if let Some(line) = line {
                complain(&String::from_utf8_lossy(line));
            }
        });
    };
    thread.spawn(passing).map(drop)
}

fn finish(child: &mut Child, stop: &Stop) -> io::Result<HarnessExit> {
    // The output is closed: the harness has ended, or works on without anybody watching it.
    let status = child.wait()?;
    // What escaped the leash came back to this process.
    let _ = processes::sweep();
    if stop.asked() {
        return Ok(HarnessExit::Stopped);
    }
    Ok(match status.code() {
        Some(0) => HarnessExit::Success,
        // The leash's own code for what it killed is not among these: it was asked to, above.
        Some(code) if code > 128 => HarnessExit::Signal(code - 128),
        Some(code) => HarnessExit::Code(code),
        // The leash was killed, and the kernel ended the harness the same way.
        None => HarnessExit::Signal(status.signal().unwrap_or(0)),
    })
}

/// Reads lines of at most [`limits::STREAM_LINE_BYTES`]; a longer one comes as `None`, unread.
fn each_line(output: impl Read, on_line: &mut dyn FnMut(Option<&[u8]>)) {
    let mut reader = BufReader::with_capacity(64 << 10, output);
    let mut line = Vec::new();
    let mut whole = true;
    loop {
        let block = match reader.fill_buf() {
            Ok(block) => block,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if block.is_empty() {
            if whole && !line.is_empty() {
                on_line(Some(&line));
            }
            return;
        }
        let (taken, ended) = match block.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (block.len(), false),
        };
        if whole {
            line.extend_from_slice(block.get(..taken).unwrap_or_default());
            whole = line.len() <= limits::STREAM_LINE_BYTES;
            if !whole {
                on_line(None);
            }
        }
        reader.consume(taken);
        if ended {
            if whole {
                on_line(Some(line.strip_suffix(b"\n").unwrap_or(&line)));
            }
            line.clear();
            whole = true;
        }
    }
}

/// The program that holds leashes and answers hooks: `agp-bridge` beside this program, which
/// starts faster, or this program itself, which can do the same.
///
/// # Errors
/// What finding this program's own path gives.
pub fn bridge_program() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    let beside = own.with_file_name("agp-bridge");
    Ok(if is_program(&beside) { beside } else { own })
}

/// A variable of the environment as text, when it is set and not empty.
#[must_use]
pub fn variable(name: impl AsRef<OsStr>) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_a_list_and_agp_secrets_are_never_on_it() {
        let all = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("ANTHROPIC_API_KEY", "k"),
            ("AGP_SECRET_TOKEN", "s"),
            ("AGP_SLACK_BOT_TOKEN", "s"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("LD_PRELOAD", "x"),
            ("MINE", "1"),
            ("CLAUDE_CODE_MESSAGING_TOKEN", "t"),
            ("CLAUDE_CODE_SIMPLE", "1"),
            ("CLAUDE_CODE_NEXT_YEARS_SWITCH", "1"),
            ("CLAUDE_CONFIG_DIR", "/c"),
        ];
        let extra = ["MINE", "AGP_SECRET_TOKEN", "CLAUDE_CODE_SIMPLE"].map(str::to_owned);
        let all = all
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let names: Vec<_> = environment_from(all, &extra)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let expected = [
            "PATH",
            "LC_ALL",
            "ANTHROPIC_API_KEY",
            "MINE",
            "CLAUDE_CONFIG_DIR",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_variable_that_switches_the_gate_off_cannot_be_asked_for() {
        assert!(check_names(&["MINE".to_owned()]).is_ok());
        assert!(check_names(&["MINE".to_owned(), "CLAUDE_CODE_SAFE_MODE".to_owned()]).is_err());
    }

    #[test]
    fn lines_are_whole_and_giant_ones_are_told_of() {
        let giant = vec![b'x'; limits::STREAM_LINE_BYTES + 10];
        let text = [b"a\n", &giant[..], b"\nb\n\nc"].concat();
        let mut lines = Vec::new();
        each_line(&text[..], &mut |line| {
            lines.push(line.unwrap_or(b"(giant)").to_vec());
        });
        assert_eq!(lines, [&b"a"[..], b"(giant)", b"b", b"", b"c"]);
    }
}
