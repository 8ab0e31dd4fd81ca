//! A world of its own for one test: a temporary home, a repository, the real binaries in a built
//! environment, with or without a terminal, and the journal they leave behind.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before the test fails. Generous: the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const AGP: &str = env!("CARGO_BIN_EXE_agp");
const AGP_VERIFY: &str = env!("CARGO_BIN_EXE_agp-verify");

/// Says on the real standard error (libtest swallows the printing macros) that a test did not
/// run, or fails it where skipping is not allowed.
pub(crate) fn skip(missing: &str, mend: &str) {
    assert!(
        std::env::var("AGP_CI").as_deref() != Ok("1"),
        "{missing}; help: {mend}"
    );
    say_skipped(missing, mend);
}

/// The same for what even a full run cannot always have.
pub(crate) fn say_skipped(missing: &str, mend: &str) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {missing} ({mend})");
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|found| found.is_file())
}

/// How the pinned harnesses come to this machine.
const INSTALL: &str = "install it as CONTRIBUTING.md has it, or name it with";

/// The program that this variable names, else the first of the others. Without one the test is
/// skipped, visibly.
fn installed(variable: &str, others: [Option<PathBuf>; 2]) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty());
    let mut found = [named.map(PathBuf::from)].into_iter().chain(others);
    let found = found.find_map(|path| path).filter(|path| path.is_file());
    if found.is_none() {
        skip("a harness is missing", &format!("{INSTALL} {variable}"));
    }
    found
}

fn below_target(directory: &str, program: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    root.join(directory).join("node_modules/.bin").join(program)
}

/// The real Claude Code: `AGP_CLAUDE_BIN`, else on `PATH`, else in `target/harness`.
pub(crate) fn claude() -> Option<PathBuf> {
    let local = below_target("harness", "claude");
    installed("AGP_CLAUDE_BIN", [on_path("claude"), Some(local)])
}

/// The real Codex, found the same way: `AGP_CODEX_BIN`, `PATH`, `target/harness`.
pub(crate) fn codex() -> Option<PathBuf> {
    let local = below_target("harness", "codex");
    installed("AGP_CODEX_BIN", [on_path("codex"), Some(local)])
}

/// The version before the pinned one, of which no other is taken: this variable, else in
/// `target/harness-older`.
pub(crate) fn installed_older(program: &str, variable: &str) -> Option<PathBuf> {
    installed(
        variable,
        [Some(below_target("harness-older", program)), None],
    )
}

/// The system's python3, for tests that need a terminal.
pub(crate) fn python() -> Option<PathBuf> {
    let found = Some(PathBuf::from("/usr/bin/python3"))
        .filter(|path| path.is_file())
        .or_else(|| on_path("python3"));
    if found.is_none() {
        skip("there is no python3", "apt-get install python3");
    }
    found
}

/// Waits until `found` gives something.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A test's own home, `AGP_HOME` and repository; gone with the test.
pub(crate) struct World {
    root: PathBuf,
}

impl World {
    /// An empty one: no `AGP_HOME` yet.
    pub(crate) fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-test-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).unwrap();
        let root = root.canonicalize().unwrap();
        fs::create_dir(root.join("home")).unwrap();
        fs::create_dir(root.join("repo")).unwrap();
        Self { root }
    }

    /// One that `agp init` and `agp keygen` have made ready.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.agp(&["init"]).run().succeeded();
        world.agp(&["keygen"]).run().succeeded();
        world
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn agp_home(&self) -> PathBuf {
        self.root.join("agp")
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// A path in the repository, as a tool call would name it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.repo().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file into the repository.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.repo().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file of the repository, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.repo().join(name)).ok()
    }

    /// Writes a policy: effect and tool of each rule. Rules are named `EFFECT-TOOL`, and give
    /// `TOOL is EFFECT here` as their reason.
    pub(crate) fn policy(&self, rules: &[(&str, &str)]) {
        let rule = |(effect, tool): &(&str, &str)| {
            json!({
                "id": format!("{effect}-{tool}"),
                "effect": effect,
                "tool": tool,
                "reason": format!("{tool} is {effect} here"),
            })
        };
        let rules: Vec<Value> = rules.iter().map(rule).collect();
        let text = json!({"rules": rules}).to_string();
        fs::write(self.agp_home().join("policy.json"), text).unwrap();
    }

    /// `agp` with these arguments, in this world's environment and nothing else of the test's.
    pub(crate) fn agp(&self, arguments: &[&str]) -> Start {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let set = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", text(self.root.join("home"))),
            ("AGP_HOME", text(self.agp_home())),
            ("USER", "tester".to_owned()),
        ];
        Start {
            // A build that tells which call of which thread its confinement has stopped.
            program: std::env::var_os("AGP_TEST_PROGRAM").map_or(AGP.into(), PathBuf::from),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment: set.map(|(name, value)| (name.to_owned(), value)).into(),
            directory: self.repo(),
        }
    }

    /// A session of Claude Code in whose place this shell script stands, as `claude` beside the repository.
    pub(crate) fn stand_in(&self, script: &str) -> Start {
        let program = self.root.join("claude");
        put_program(&program, format!("#!/bin/sh\n{script}"));
        let run = ["run", "--intendant", "claude-code", "--no-probe"];
        self.agp(&run)
            .arguments(&["--task", "go"])
            .env("AGP_CLAUDE_BIN", program.to_str().unwrap())
    }

    /// The journal's file as it is.
    pub(crate) fn journal_text(&self) -> String {
        fs::read_to_string(self.agp_home().join("audit.log")).unwrap_or_default()
    }

    /// The journal's whole lines.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = self.journal_text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.split('\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The events of one kind.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let all = self.journal().into_iter();
        all.filter(|event| event["kind"] == kind).collect()
    }

    /// The one event of this kind.
    pub(crate) fn event(&self, kind: &str) -> Value {
        let found = self.events(kind);
        assert_eq!(found.len(), 1, "{kind}: {found:#?}");
        found.into_iter().next().unwrap()
    }

    /// The kinds of all events of one call, in their order.
    pub(crate) fn kinds_of(&self, call: &str) -> Vec<String> {
        let all = self.journal().into_iter();
        all.filter(|event| event["payload"]["messageId"] == call)
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    /// How many calls were seen and decided, and how many of them got past the gate.
    pub(crate) fn census(&self) -> [u64; 3] {
        let ended = self.event("session.ended");
        ["seen", "decided", "bypassed"].map(|name| ended["payload"][name].as_u64().unwrap())
    }

    /// Asserts that each of these calls was decided once, by an event of one of these kinds, and nothing
    /// else was so much as tried.
    pub(crate) fn each_decided_by(&self, kinds: &[&str], ids: &[&str]) {
        let count = ids.len() as u64;
        assert_eq!(self.census(), [count, count, 0]);
        for id in ids {
            let found = self.kinds_of(id);
            let decided = found.iter().filter(|kind| kinds.contains(&kind.as_str()));
            assert_eq!(decided.count(), 1, "{id}: {found:?}");
        }
        self.verifies();
    }

    /// Copies of `agp` and `agp-bridge` that a test may spoil.
    pub(crate) fn copies(&self) -> (PathBuf, PathBuf) {
        let directory = self.root.join("copies");
        fs::create_dir(&directory).unwrap();
        let (agp, bridge) = (directory.join("agp"), directory.join("agp-bridge"));
        copy_program(AGP, &agp);
        copy_program(env!("CARGO_BIN_EXE_agp-bridge"), &bridge);
        (agp, bridge)
    }

    /// Has the offline verifier prove the journal with the current public key.
    pub(crate) fn verifies(&self) {
        self.verifies_with(&self.agp_home().join("signing/journal-ed25519.pub"));
    }

    pub(crate) fn verifies_with(&self, key: &Path) {
        let output = Command::new(AGP_VERIFY)
            .arg(self.agp_home().join("audit.log"))
            .arg("--key")
            .arg(key)
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// The live session's lease: its process, its id and its private directory.
    pub(crate) fn lease(&self) -> Lease {
        wait_for("a lease", || {
            let mut entries = fs::read_dir(self.agp_home().join("sessions")).ok()?;
            let path = entries.find_map(|entry| {
                let path = entry.ok()?.path();
                (path.extension()? == "lease").then_some(path)
            })?;
            let terms: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            Some(Lease {
                pid: i32::try_from(terms["pid"].as_i64()?).ok()?,
                session: terms["sessionId"].as_str()?.to_owned(),
                directory: PathBuf::from(terms["directory"].as_str()?),
            })
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = writeln!(
                std::io::stderr(),
                "the journal of the failed test:\n{}",
                self.journal_text()
            );
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// See [`World::lease`].
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) pid: i32,
    pub(crate) session: String,
    pub(crate) directory: PathBuf,
}

/// Writes a program, by a process of its own: what another test starts in the meantime would inherit this
/// one's way to the file, which cannot be executed then (`ETXTBSY`).
pub(crate) fn put_program(path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
    let mut writing = Command::new("/bin/sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path.as_ref())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = writing.stdin.take().unwrap();
    pipe.write_all(text.as_ref()).unwrap();
    drop(pipe);
    assert!(writing.wait().unwrap().success());
}

/// Copies a program, in the same way.
pub(crate) fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp")
        .arg(from.as_ref())
        .arg(to.as_ref())
        .status();
    assert!(copied.unwrap().success());
}

/// A command about to be started.
pub(crate) struct Start {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    directory: PathBuf,
}

impl Start {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Starts another copy of `agp`.
    pub(crate) fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub(crate) fn arguments(mut self, more: &[&str]) -> Self {
        self.arguments
            .extend(more.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Starts it with no terminal at all: `setsid` leaves the one that the tests may run in.
    pub(crate) fn start(self) -> Live {
        let mut command = Command::new("setsid");
        command
            .arg(self.program)
            .args(self.arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(self.directory)
            .stdin(Stdio::null());
        Live::of(command)
    }

    /// Starts it at a terminal of its own.
    pub(crate) fn start_at_terminal(self, python: &Path) -> Live {
        self.start_in(python, &[])
    }

    /// The same at one of so many columns and rows, such as `80x24`.
    pub(crate) fn start_at_terminal_of(self, python: &Path, size: &str) -> Live {
        self.start_in(python, &["--size", size])
    }

    fn start_in(self, python: &Path, size: &[&str]) -> Live {
        let set = self
            .environment
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        let relay = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/terminal.py");
        let mut command = Command::new(python);
        command
            .arg(relay)
            .args(size)
            .args(["env", "-i"])
            .args(set)
            .arg(self.program)
            .args(self.arguments)
            .current_dir(self.directory)
            .stdin(Stdio::piped());
        Live::of(command)
    }

    /// Runs it to its end, with no terminal.
    pub(crate) fn run(self) -> Ran {
        self.start().finish()
    }
}

/// A running command. Dropping it kills it; what it started goes with it.
pub(crate) struct Live {
    child: Child,
    input: Option<ChildStdin>,
    shown: [Arc<Mutex<Vec<u8>>>; 2],
    readers: Vec<JoinHandle<()>>,
}

impl Live {
    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let shown = [Arc::default(), Arc::default()];
        let readers = vec![
            collect(child.stdout.take().unwrap(), &shown[0]),
            collect(child.stderr.take().unwrap(), &shown[1]),
        ];
        Self {
            input: child.stdin.take(),
            child,
            shown,
            readers,
        }
    }

    /// Everything shown so far.
    pub(crate) fn seen(&self) -> String {
        self.shown
            .iter()
            .map(|shown| String::from_utf8_lossy(&shown.lock().unwrap()).into_owned())
            .collect()
    }

    /// Waits until `text` was shown `times` times.
    pub(crate) fn see_times(&mut self, text: &str, times: usize) {
        let until = Instant::now() + LIMIT;
        while self.seen().matches(text).count() < times {
            let ended = self.child.try_wait().unwrap();
            // What it said last may still be on its way.
            let late = Instant::now() > until || ended.is_some();
            if late {
                thread::sleep(Duration::from_millis(100));
                let seen = self.seen();
                assert!(
                    seen.matches(text).count() >= times,
                    "{text:?} was not shown {times} times ({ended:?}):\n{seen}"
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn see(&mut self, text: &str) {
        self.see_times(text, 1);
    }

    /// Types at its terminal.
    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// The process that was started (the relay, when there is a terminal).
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Ran {
        let until = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < until,
                "it did not end; so far:\n{}",
                self.seen()
            );
            thread::sleep(Duration::from_millis(5));
        };
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        let [out, err] = &self.shown;
        let text =
            |shown: &Mutex<Vec<u8>>| String::from_utf8_lossy(&shown.lock().unwrap()).into_owned();
        Ran {
            status,
            out: text(out),
            err: text(err),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Ended already, in every test that holds.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static, into: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(got @ 1..) = from.read(&mut block) {
            into.lock().unwrap().extend_from_slice(&block[..got]);
        }
    })
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The exit code; 128 + the signal when there is none.
    pub(crate) fn code(&self) -> i32 {
        let signalled = || 128 + self.status.signal().unwrap();
        self.status.code().unwrap_or_else(signalled)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            code,
            "stdout:\n{}\nstderr:\n{}{}",
            self.out,
            self.err,
            self.told_of_confinement()
        );
        self
    }

    /// How to learn more of an end by SIGSYS: a thread made a call that its profile does not have.
    fn told_of_confinement(&self) -> &'static str {
        match self.status.signal() {
            Some(31) => {
                "\nkilled by its confinement; which call of which thread: again with \
                 AGP_TEST_PROGRAM=$PWD/target/*/debug/agp-taken-over and --features inject"
            }
            _ => "",
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        self.exited(0)
    }

    /// Asserts that standard output has all of these.
    #[track_caller]
    pub(crate) fn said(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.out.contains(part), "{part:?} in:\n{}", self.out);
        }
        self
    }

    /// Asserts that standard error has all of these.
    #[track_caller]
    pub(crate) fn complained(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "{part:?} in:\n{}", self.err);
        }
        self
    }
}

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    started: String,
}

impl Process {
    /// The process of this number, unless it is gone or a zombie.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = Stat::of(pid)?;
        (stat.state != "Z").then_some(Self {
            pid,
            started: stat.started,
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    pub(crate) fn kill(&self, signal: &str) {
        assert!(self.is_alive(), "{self:?} is gone already");
        let status = Command::new("kill")
            .args([signal, &self.pid.to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

struct Stat {
    parent: i32,
    state: String,
    started: String,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            state: (*fields.first()?).to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            started: (*fields.get(19)?).to_owned(),
        })
    }
}

/// Every process below `pid`, wherever it has hidden itself.
pub(crate) fn below(pid: i32) -> BTreeSet<Process> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let number = entry.file_name().to_str().and_then(|n| n.parse().ok());
        if let Some((number, stat)) = number.and_then(|n| Some((n, Stat::of(n)?))) {
            children.entry(stat.parent).or_default().push(number);
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![pid];
    while let Some(parent) = waiting.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            waiting.push(child);
            found.extend(Process::of(child));
        }
    }
    found
}

/// Asserts that all of these end within seconds.
#[track_caller]
pub(crate) fn all_gone<'a>(processes: impl IntoIterator<Item = &'a Process>) {
    let all: Vec<&Process> = processes.into_iter().collect();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<_> = all.iter().filter(|process| process.is_alive()).collect();
        if left.is_empty() {
            return;
        }
        let named: Vec<_> = left.iter().map(|process| process.arguments()).collect();
        assert!(Instant::now() < until, "still running: {named:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
