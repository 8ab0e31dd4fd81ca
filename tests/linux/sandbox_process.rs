//! The escape list of `docs/sandbox.md`: real attempts from inside the process sandbox, as root and
//! as an ordinary user, with and without user namespaces. Each fails, or is found.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "whatever fails here fails the test; a skip must be seen"
)]

use crate::support::{namespaces, session};

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agp::jail::order::CommandOrder;
use agp::jail::spec::{Limits, Namespaces, Sockets, Spec};
use agp::jail::status::Told;
use namespaces::{is_root, permitted};

const NOBODY: u32 = 65534;
const SECRET: &str = "the operator's own";

/// Who attempts, and under which namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Case {
    root: bool,
    namespaces: Namespaces,
}

/// Every case that this user and this machine can have: root is also an ordinary user.
fn cases() -> Vec<Case> {
    let mut cases = vec![(false, Namespaces::User), (false, Namespaces::Off)];
    if is_root() {
        let root = [Namespaces::User, Namespaces::Direct, Namespaces::Off];
        cases.extend(root.map(|namespaces| (true, namespaces)));
    }
    let cases = cases
        .into_iter()
        .filter(|(_, namespaces)| permitted(*namespaces));
    cases
        .map(|(root, namespaces)| Case { root, namespaces })
        .collect()
}

/// Milliseconds that an attempt has.
const DEADLINE: u64 = 20_000;

/// A keeper, and what it lives as long as.
type Started = (Child, ChildStdin);

/// An operator's files, a repository, and what must not be reached.
struct Place {
    root: PathBuf,
    case: Case,
    docker: UnixListener,
}

impl Place {
    fn new(case: Case) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-escape-{}-{count}", std::process::id());
        let root = std::env::temp_dir().join(name);
        for name in [
            "home/.agp/signing",
            "home/.ssh",
            "home/.config/systemd/user",
            "repo/.git/hooks",
            "scratch",
        ] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in [
            "key",
            "policy.json",
            "config.json",
            "audit.log",
            "audit.log.head",
        ] {
            fs::write(root.join("home/.agp").join(name), SECRET).unwrap();
        }
        fs::write(root.join("home/.ssh/id"), SECRET).unwrap();
        fs::write(root.join("home/.bashrc"), SECRET).unwrap();
        session::copy_program(env!("CARGO_BIN_EXE_agp-bridge"), root.join("agp-bridge"));
        let docker = UnixListener::bind(root.join("docker.sock")).unwrap();
        docker.set_nonblocking(true).unwrap();
        if is_root() && !case.root {
            own(&root);
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        Self { root, case, docker }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn spec(&self) -> Spec {
        Spec {
            withheld: Vec::new(),
            namespaces: self.case.namespaces,
            read: Vec::new(),
            write: vec![self.path("repo")],
            placed: Vec::new(),
            masked: Vec::new(),
            scratch: self.path("scratch"),
            directory: self.path("repo"),
            helper: self.path("agp-bridge"),
            home: None,
            terminals: false,
            sockets: Sockets::default(),
            relay: None,
            limits: Limits {
                processes: 4096,
                open_files: 1024,
                file_bytes: 64 << 20,
                address_bytes: 4 << 40,
                data_bytes: 4 << 30,
            },
            free_bytes: 1 << 20,
        }
    }

    /// A command of this case's user, outside.
    fn outside(&self) -> Vec<OsString> {
        if !is_root() || self.case.root {
            return Vec::new();
        }
        let id = NOBODY.to_string();
        [
            "setpriv",
            "--reuid",
            &id,
            "--regid",
            &id,
            "--clear-groups",
            "--",
        ]
        .map(OsString::from)
        .to_vec()
    }

    /// Starts a script in a confinement, which lasts as long as the pipe that is given is held.
    fn start(&self, before: &[OsString], spec: &Spec, script: &str, millis: u64) -> Started {
        let mut words = before.to_vec();
        words.extend(self.outside());
        words.push(self.path("agp-bridge").into());
        let spec = serde_json::to_string(spec).unwrap();
        words.extend(["confine", "--spec", &spec].map(OsString::from));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("OUT", &self.root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let order = CommandOrder {
            command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
            environment: Vec::new(),
            deadline_millis: millis,
            input_bytes: 0,
        };
        let mut life = keeper.stdin.take().unwrap();
        // One that is refused reads nothing.
        let _ = life.write_all(&order.sent(b"").unwrap());
        (keeper, life)
    }

    fn output(&self, before: &[OsString], spec: &Spec, script: &str, millis: u64) -> Output {
        let (keeper, life) = self.start(before, spec, script, millis);
        let output = keeper.wait_with_output().unwrap();
        drop(life);
        output
    }

    fn try_within(&self, spec: &Spec, script: &str, millis: u64) -> Attempt {
        attempt(&self.output(&[], spec, script, millis), self.case)
    }

    fn try_under(&self, spec: &Spec, script: &str) -> Attempt {
        self.try_within(spec, script, DEADLINE)
    }

    fn attempt(&self, script: &str) -> Attempt {
        self.try_under(&self.spec(), script)
    }

    /// What left its ticks here runs no more.
    fn stands_still(&self) {
        let ticks = || self.text("repo/tick").len();
        let left = ticks();
        assert!(left > 0, "{:?}: it never ran", self.case);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(ticks(), left, "{:?}: it runs on", self.case);
    }

    /// Nothing of the operator's was read or changed.
    fn unharmed(&self, attempt: &Attempt) {
        let case = self.case;
        assert!(!attempt.output.contains(SECRET), "{case:?}: {attempt:?}");
        for name in [
            "key",
            "policy.json",
            "config.json",
            "audit.log",
            "audit.log.head",
        ] {
            assert_eq!(
                self.text(&format!("home/.agp/{name}")),
                SECRET,
                "{case:?}: {attempt:?}"
            );
        }
        assert_eq!(self.text("home/.ssh/id"), SECRET, "{case:?}");
        assert_eq!(self.text("home/.bashrc"), SECRET, "{case:?}");
        let systemd = fs::read_dir(self.path("home/.config/systemd/user")).unwrap();
        assert_eq!(systemd.count(), 0, "{case:?}");
        assert!(
            self.docker.accept().is_err(),
            "{case:?}: somebody spoke to Docker"
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn own(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            own(&entry.path());
        }
    }
}

#[derive(Debug)]
struct Attempt {
    ended: Told,
    output: String,
}

impl Attempt {
    /// `name value` lines that a script printed.
    fn told(&self, name: &str) -> &str {
        let line = self
            .output
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("nothing of {name} in {self:?}"))
    }
}

fn attempt(output: &Output, case: Case) -> Attempt {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let all: Vec<Told> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{case:?}: {told}")))
        .collect();
    assert!(
        matches!(all.first(), Some(Told::Confined { .. })),
        "{case:?}: not confined: {told}"
    );
    let ended = all
        .get(1)
        .unwrap_or_else(|| panic!("{case:?}: {told}"))
        .clone();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    Attempt { ended, output }
}

fn each(attempt: impl Fn(&Place)) {
    for case in cases() {
        attempt(&Place::new(case));
    }
}

/// Perl makes any system call; it is in every Debian.
fn perl() -> bool {
    let there = Path::new("/usr/bin/perl").exists();
    if !there {
        session::skip("perl", "apt-get install perl");
    }
    there
}

#[test]
fn work_in_the_repository_is_work_as_usual() {
    each(|place| {
        let attempt = place.attempt(
            "echo a > made && mkdir d && mv made d/moved && cat d/moved && echo t > /tmp/x; \
             echo user $(id -u); echo err >&2; exit 7",
        );
        assert_eq!(
            attempt.ended,
            Told::Exited(7),
            "{:?}: {attempt:?}",
            place.case
        );
        assert_eq!(place.text("repo/d/moved"), "a\n");
        assert!(attempt.output.starts_with("a\n") && attempt.output.ends_with("err\n"));
        let inside = place.text("scratch/x");
        assert_eq!(
            inside.is_empty(),
            place.case.namespaces == Namespaces::Off,
            "/tmp is its own"
        );
        place.unharmed(&attempt);
    });
}

#[test]
fn the_operators_files_are_neither_read_nor_changed() {
    each(|place| {
        let attempt = place.attempt(
            "for f in key policy.json config.json audit.log audit.log.head; do
                 cat $OUT/home/.agp/$f; echo x >> $OUT/home/.agp/$f; echo x > $OUT/home/.agp/$f
                 rm -f $OUT/home/.agp/$f; mv $OUT/home/.agp/$f .; ln $OUT/home/.agp/$f hard; cat hard
                 chmod 777 $OUT/home/.agp/$f; ln -s $OUT/home/.agp/$f soft; cat soft; rm -f soft
             done
             cat $OUT/home/.ssh/id; ls $OUT/home; cat /etc/shadow && echo shadow
             cat /proc/1/root$OUT/home/.agp/key /proc/self/root$OUT/home/.agp/key
             cat ../home/.agp/key; cd /; cat .$OUT/home/.agp/key",
        );
        assert!(!attempt.output.contains("shadow\n"), "{attempt:?}");
        place.unharmed(&attempt);
    });
}

#[test]
fn nothing_is_planted_where_it_would_run_outside() {
    each(|place| {
        let attempt = place.attempt(
            "for f in home/.bashrc home/.profile home/.config/systemd/user/a.service home/.claude.json; do
                 echo evil >> $OUT/$f; ln -sf /bin/sh $OUT/$f
             done
             for d in /etc/cron.d /etc/profile.d /usr/local/bin /var/spool/cron /etc/systemd/system; do
                 echo evil > $d/agp-evil
             done",
        );
        place.unharmed(&attempt);
        assert!(!place.path("home/.profile").exists() && !place.path("home/.claude.json").exists());
        for directory in [
            "/etc/cron.d",
            "/etc/profile.d",
            "/usr/local/bin",
            "/var/spool/cron",
        ] {
            assert!(
                !Path::new(directory).join("agp-evil").exists(),
                "{directory}"
            );
        }
    });
}

#[test]
fn no_socket_is_had_but_a_pair() {
    if !perl() {
        return;
    }
    each(|place| {
        let attempt = place.attempt(
            "perl -e '
                 use Socket;
                 for my $family (1, 2, 10, 16, 17, 29, 38, 40) { for my $type (1, 2, 3, 5) {
                     print \"socket $family $type\\n\" if socket(my $s, $family, $type, 0);
                 } }
                 print \"raw\\n\" if socket(my $r, 2, 3, 1);
                 print \"pair \", (socketpair(my $a, my $b, 1, 1, 0) ? 1 : 0), \"\\n\";
                 print \"inetpair\\n\" if socketpair(my $c, my $d, 2, 1, 0);
             '",
        );
        assert_eq!(attempt.output, "pair 1\n", "{:?}", place.case);
        place.unharmed(&attempt);
    });
}

/// Numbers of x86-64.
const CALLS: &[(&str, u32, &str)] = &[
    ("ptrace", 101, "0, 0, 0, 0"),
    ("process_vm_readv", 310, "1, 0, 0, 0, 0, 0"),
    ("process_vm_writev", 311, "1, 0, 0, 0, 0, 0"),
    ("bpf", 321, "0, 0, 0"),
    ("perf_event_open", 298, "0, 0, -1, -1, 0"),
    ("add_key", 248, "0, 0, 0, 0, 0"),
    ("request_key", 249, "0, 0, 0, 0"),
    ("keyctl", 250, "0, 0, 0, 0, 0"),
    ("io_uring_setup", 425, "1, 0"),
    ("init_module", 175, "0, 0, 0"),
    ("finit_module", 313, "0, 0, 0"),
    ("delete_module", 176, "0, 0"),
    ("kexec_load", 246, "0, 0, 0, 0"),
    ("kexec_file_load", 320, "0, 0, 0, 0, 0"),
    ("userfaultfd", 323, "0"),
    ("pidfd_getfd", 438, "0, 0, 0"),
    ("mount", 165, "0, 0, 0, 0, 0"),
    ("umount2", 166, "0, 0"),
    ("pivot_root", 155, "0, 0"),
    ("chroot", 161, "0"),
    ("move_mount", 429, "0, 0, 0, 0, 0"),
    ("open_tree", 428, "0, 0, 0"),
    ("fsopen", 430, "0, 0"),
    ("setns", 308, "0, 0"),
    ("unshare user", 272, "0x10000000"),
    ("unshare mount", 272, "0x20000"),
    ("clone user", 56, "0x10000011, 0, 0, 0, 0"),
    ("clone3", 435, "0, 0"),
    ("open_by_handle_at", 304, "0, 0, 0"),
    ("fanotify_init", 300, "0, 0"),
    ("reboot", 169, "0, 0, 0, 0"),
    ("swapon", 167, "0, 0"),
    ("iopl", 172, "3"),
    ("modify_ldt", 154, "0, 0, 0"),
    ("memfd_secret", 447, "0"),
    ("TIOCSTI", 16, "0, 0x5412, 0"),
    ("personality", 135, "0x0400000"),
    ("getpid by x32", 0x4000_0027, "0"),
];

#[test]
fn what_has_been_a_way_out_does_not_exist() {
    const ENOSYS: &str = "38";
    if !perl() || !cfg!(target_arch = "x86_64") {
        return;
    }
    let mut script = "perl -e '".to_owned();
    for (name, number, arguments) in CALLS {
        script.push_str(&format!(
            "$! = 0; my $r = syscall({number}, {arguments}); print \"{name} \", $! + 0, \"\\n\"; \
             exit 0 if \"{name}\" eq \"clone user\" and $r == 0;\n"
        ));
    }
    let script = script.replace("my $r", "$r") + "'";
    each(|place| {
        let attempt = place.attempt(&script);
        for (name, _, _) in CALLS {
            assert_eq!(attempt.told(name), ENOSYS, "{:?}: {name}", place.case);
        }
    });
}

/// A process of the operator's, outside.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_outside_are_neither_signalled_nor_read() {
    each(|place| {
        let mut words = place.outside();
        words.extend(["/bin/sleep", "60"].map(OsString::from));
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env("PASSWORD", SECRET)
            .spawn()
            .unwrap();
        let mut bystander = Bystander(child);
        let pid = bystander.0.id();
        let attempt = place.attempt(&format!(
            "for s in 0 9 15 19; do kill -$s {pid} && echo signalled; done
             kill -9 -1; kill -9 0 & cat /proc/{pid}/environ /proc/{pid}/cwd/home/.ssh/id
             head -c 16 /proc/{pid}/mem && echo memory; ls -l /proc/{pid}/fd && echo descriptors; true"
        ));
        assert!(
            bystander.0.try_wait().unwrap().is_none(),
            "{:?}: it was killed",
            place.case
        );
        for found in ["signalled", "memory", "descriptors"] {
            assert!(
                !attempt.output.contains(found),
                "{:?}: {attempt:?}",
                place.case
            );
        }
        place.unharmed(&attempt);
    });
}

/// A terminal of this case's user, at which nobody types: says its name, and later what was written to it.
const TERMINAL: &str = "
import os, select, sys, tty
mine, theirs = os.openpty()
tty.setraw(theirs)
os.chown(os.ttyname(theirs), int(sys.argv[1]), -1)
os.chmod(os.ttyname(theirs), 0o666)
os.write(mine, b'y\\n')
print(os.ttyname(theirs), flush=True)
sys.stdin.read()
written = os.read(mine, 64) if select.select([mine], [], [], 0)[0] else b''
left = os.read(theirs, 64) if select.select([theirs], [], [], 0)[0] else b''
print(written, left)
";

/// Where an operator is asked, what was typed is not taken away, and nothing is written over the question.
#[test]
fn the_terminal_where_an_operator_is_asked_is_out_of_reach() {
    let Some(python) = session::python() else {
        return;
    };
    each(|place| {
        let user = match (is_root(), place.case.root) {
            (true, false) => NOBODY,
            _ => rustix::process::geteuid().as_raw(),
        };
        let mut terminal = Command::new(&python)
            .args(["-c", TERMINAL, &user.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(terminal.stdout.take().unwrap());
        let mut name = String::new();
        told.read_line(&mut name).unwrap();
        let attempt = place.attempt(&format!(
            "for t in {} /dev/tty /dev/console /dev/ptmx /dev/pts/*; do
                 (exec 3<>$t) && echo opened; (echo spoofed > $t) && echo written; timeout 1 head -c 1 $t && echo read
             done; true",
            name.trim()
        ));
        drop(terminal.stdin.take());
        let mut after = String::new();
        told.read_line(&mut after).unwrap();
        terminal.wait().unwrap();
        assert_eq!(after, "b'' b'y\\n'\n", "{:?}: {attempt:?}", place.case);
        for found in ["opened", "written\n", "read\n"] {
            assert!(
                !attempt.output.contains(found),
                "{:?}: {attempt:?}",
                place.case
            );
        }
        place.unharmed(&attempt);
    });
}

#[test]
fn descriptors_are_not_inherited() {
    each(|place| {
        let key = fs::File::open(place.path("home/.agp/key")).unwrap();
        // As an operator's shell leaves one open; `dup` makes it one that survives `execve`.
        let left = rustix::io::dup(&key).unwrap();
        let attempt = place.attempt(&format!(
            "cat <&{0}; cat /proc/self/fd/{0}; cat /dev/fd/{0}; for n in 3 4 5 6 7 8 9; do cat <&$n; done",
            left.as_raw_fd()
        ));
        place.unharmed(&attempt);
    });
}

#[test]
fn races_of_links_and_names_win_nothing() {
    each(|place| {
        let attempt = place.attempt(
            "echo mine > plain
             (i=0; while [ $i -lt 300 ]; do ln -sfn $OUT/home/.agp/key flip; ln -sfn plain flip; i=$((i+1)); done) &
             (i=0; while [ $i -lt 300 ]; do mkdir -p dir; mv dir gone; ln -sfn $OUT/home/.agp dir; rm dir; rmdir gone; i=$((i+1)); done) &
             i=0; while [ $i -lt 300 ]; do cat flip dir/key; echo x >> dir/audit.log; i=$((i+1)); done; wait",
        );
        place.unharmed(&attempt);
    });
}

/// Starts something that ticks for ever in a session of its own, below a process that is gone.
const ORPHAN: &str =
    "(setsid sh -c 'setsid sh -c \"while :; do echo t >> tick; sleep 0.02; done\" &' &) ";

#[test]
fn nothing_outlives_its_call() {
    each(|place| {
        for (script, ended) in [
            (format!("{ORPHAN}; sleep 0.3"), Told::Exited(0)),
            (
                format!("{ORPHAN}; trap '' TERM HUP INT; sleep 60"),
                Told::Deadline,
            ),
        ] {
            let attempt = place.try_within(&place.spec(), &script, 700);
            assert_eq!(attempt.ended, ended, "{:?}", place.case);
            place.stands_still();
        }
    });
}

#[test]
fn what_runs_ends_with_its_keeper() {
    each(|place| {
        // As agp does when the session is stopped, and as the kernel does for it when it is killed.
        for killed in [false, true] {
            let _ = fs::remove_file(place.path("repo/tick"));
            let script = format!("{ORPHAN}; sleep 60");
            let (mut keeper, life) = place.start(&[], &place.spec(), &script, DEADLINE);
            session::wait_for("a tick", || {
                (!place.text("repo/tick").is_empty()).then_some(())
            });
            if killed {
                drop(life);
            } else {
                let pid = rustix::process::Pid::from_child(&keeper);
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            }
            keeper.wait().unwrap();
            place.stands_still();
        }
    });
}

#[test]
fn a_fork_bomb_ends_at_its_bound_and_at_its_deadline() {
    each(|place| {
        if place.case.root && place.case.namespaces == Namespaces::Off {
            // Linux counts no processes of root's without namespaces: docs/sandbox.md says so.
            return;
        }
        let mut spec = place.spec();
        // What is counted per PID namespace has a least bound of 301 (RESERVED_PIDS).
        spec.limits.processes = 400;
        let attempt = place.try_within(
            &spec,
            "i=0; while [ $i -lt 900 ]; do sleep 60 & i=$((i+1)); done; echo all; b() { b | b & }; b; sleep 60",
            1500,
        );
        let started_all = attempt.output.contains("all\n") && !attempt.output.contains("fork");
        assert!(!started_all, "{:?}: 900 processes were had", place.case);
        assert!(Command::new("/bin/true").status().unwrap().success());
    });
}

#[test]
fn files_and_disks_are_bounded() {
    each(|place| {
        let mut spec = place.spec();
        spec.limits.file_bytes = 1 << 20;
        let attempt = place.try_under(&spec, "head -c 3000000 /dev/zero > big; wc -c < big");
        assert!(
            fs::metadata(place.path("repo/big")).unwrap().len() <= 1 << 20,
            "{attempt:?}"
        );
        if !is_root() {
            return session::say_skipped("root", "a disk of its own needs it");
        }
        // A disk of 32 MiB, of which 8 must stay free.
        let spec = Spec {
            free_bytes: 8 << 20,
            ..place.spec()
        };
        let script = format!(
            "mount -t tmpfs -o size=32m,mode=777 agp {} && exec \"$@\"",
            place.path("repo").display()
        );
        let before = ["unshare", "--mount", "/bin/sh", "-c", &script, "sh"].map(OsString::from);
        let fill = "i=0; while :; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); sleep 0.02; done";
        let output = place.output(&before, &spec, fill, DEADLINE);
        assert_eq!(
            attempt_ended(&output),
            Some(Told::DiskFull),
            "{:?}: {output:?}",
            place.case
        );
    });
}

fn attempt_ended(output: &Output) -> Option<Told> {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    told.lines()
        .nth(1)
        .and_then(|line| serde_json::from_str(line).ok())
}

#[test]
fn a_program_in_memory_is_as_confined_as_any() {
    if !perl() || !cfg!(target_arch = "x86_64") {
        return;
    }
    each(|place| {
        let attempt = place.attempt(
            "perl -e '
                 my $name = \"x\\0\"; my $fd = syscall(319, $name, 0);
                 open(my $in, \"<\", \"/bin/cat\"); binmode $in; local $/; my $code = <$in>;
                 open(my $out, \">&=\", $fd); binmode $out; print $out $code; $out->flush;
                 exec(\"/proc/self/fd/$fd\", \"$ENV{OUT}/home/.agp/key\");
             '; true",
        );
        place.unharmed(&attempt);
    });
}

#[test]
fn a_set_user_id_program_gains_nothing() {
    if !is_root() {
        return session::say_skipped("root", "a set-user-ID program needs it");
    }
    each(|place| {
        if place.case.root {
            return;
        }
        let program = place.path("repo/become");
        session::copy_program("/usr/bin/id", &program);
        chown(&program, Some(0), Some(0)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
        let attempt = place.attempt(
            "./become -u; ./become -G; grep -E 'NoNewPrivs|CapEff' /proc/self/status; true",
        );
        let ids: Vec<&str> = attempt.output.lines().take(2).collect();
        assert_eq!(ids, ["65534", "65534"], "{:?}: {attempt:?}", place.case);
    });
}

#[test]
fn the_page_and_the_tests_name_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/sandbox.md")).unwrap();
    for suite in ["sandbox_process", "sandbox_prepared"] {
        let tests = fs::read_to_string(root.join(format!("tests/linux/{suite}.rs"))).unwrap();
        let tests: BTreeSet<&str> = tests
            .split("#[test]\nfn ")
            .skip(1)
            .map(|rest| rest.split('(').next().unwrap())
            .collect();
        let named: BTreeSet<&str> = page
            .split(&format!("`{suite}::"))
            .skip(1)
            .map(|rest| rest.split('`').next().unwrap())
            .collect();
        for name in &named {
            assert!(
                tests.contains(name),
                "docs/sandbox.md names {suite}::{name}"
            );
        }
        for name in tests {
            let about_itself = name == "the_page_and_the_tests_name_each_other";
            assert!(
                about_itself || named.contains(name),
                "docs/sandbox.md does not name {suite}::{name}"
            );
        }
    }
}
