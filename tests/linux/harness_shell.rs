//! agp's program under a shell's name, as a harness starts it: what its commands cannot reach, whatever they
//! are, and that nothing runs where that cannot be had.
#![allow(clippy::unwrap_used, reason = "a test that cannot prepare has failed")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agp::jail::command_shell::{NAME, ShellTerms, TERMS};

/// A session's directory, and what commands have: gone with the test.
struct Laid(PathBuf);

impl Laid {
    fn out(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("agp-{name}-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let root = root.canonicalize().unwrap();
        for directory in ["gate/snapshots", "gate/projects/p/s/tool-results", "repo"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("gate/settings.json"), "the gate's own").unwrap();
        fs::write(root.join("gate/snapshots/old"), "written down").unwrap();
        fs::write(root.join("gate/projects/p/s.jsonl"), "the transcript").unwrap();
        fs::write(root.join("gate/projects/p/s/tool-results/x"), "saved\n").unwrap();
        let bridge = env!("CARGO_BIN_EXE_agp-bridge");
        symlink(bridge, root.join("gate").join(NAME)).unwrap();
        let terms = ShellTerms {
            among: ["/usr", "/bin", "/lib", "/lib64", "/dev", "/proc"]
                .map(PathBuf::from)
                .into_iter()
                .chain([root.clone()])
                .collect(),
            hidden: vec![root.join("gate")],
            snapshots: Some(root.join("gate/snapshots")),
            written: Some(root.join("gate/projects")),
            without: vec!["ANTHROPIC_API_KEY".into()],
        };
        let text = serde_json::to_vec(&terms).unwrap();
        fs::write(root.join("gate").join(TERMS), text).unwrap();
        Self(root)
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(self.0.join("gate").join(NAME))
            .args(words)
            .env("ANTHROPIC_API_KEY", "k")
            .env("MINE", "m")
            .current_dir(self.0.join("repo"))
            .output()
            .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_command_reaches_the_repository_and_not_the_gate() {
    let laid = Laid::out("shell");
    let ran = laid.run(&[
        "-c",
        "echo made > made; cat made ../gate/snapshots/old; cat ../gate/settings.json; \
         cat ../gate/projects/p/s.jsonl; cat ../gate/projects/p/s/tool-results/*; \
         echo x > ../gate/projects/p/s/tool-results/new; echo x > ../gate/snapshots/new; echo \"$ANTHROPIC_API_KEY $MINE\"; exit 7",
    ]);
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
    assert_eq!(said(&ran), "made\nwritten downsaved\n m\n", "{ran:?}");
    for new in ["gate/snapshots/new", "gate/projects/p/s/tool-results/new"] {
        assert!(!laid.path(new).exists(), "{new}");
    }
}

#[test]
fn what_its_start_up_files_do_reaches_no_more() {
    let laid = Laid::out("login-shell");
    let profile = laid.path("repo/.bash_profile");
    fs::write(&profile, "cat ../gate/settings.json; echo started\n").unwrap();
    let snapshot = laid.path("gate/snapshots/new");
    let script = format!(
        "SNAPSHOT_FILE={0}\necho > {0}\ncat ../gate/settings.json",
        snapshot.display()
    );
    let ran = Command::new(laid.path("gate").join(NAME))
        .args(["-c", "-l", &script])
        .env("HOME", laid.path("repo"))
        .current_dir(laid.path("repo"))
        .output()
        .unwrap();
    assert!(
        snapshot.exists(),
        "the harness itself writes it down: {ran:?}"
    );
    assert_eq!(said(&ran), "started\n", "{ran:?}");
}

/// Sends what may not be sent in each way that there is, then what may, and says what came of it.
const SENDER: &str = r#"
import ctypes, fcntl, os, signal, sys
other = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    return None if libc.syscall(*words) == 0 else ctypes.get_errno()
info = ctypes.create_string_buffer(128)
numbers = {"x86_64": (62, 200, 234, 129, 297, 424), "aarch64": (129, 130, 131, 138, 240, 424)}[os.uname().machine]
kill, tkill, tgkill, queue, tqueue, pidfd = numbers
fd = os.pidfd_open(other)
tried = []
for number in range(33, 65):
    ctypes.memmove(info, number.to_bytes(4, "little") + bytes(4) + (-1).to_bytes(4, "little", signed=True), 12)
    tried += [call(kill, other, number), call(tkill, other, number), call(tgkill, other, other, number),
              call(queue, other, number, info), call(tqueue, other, other, number, info), call(pidfd, fd, number, None, 0)]
    read, write = os.pipe()
    try:
        fcntl.fcntl(read, 10, number)
        tried.append(None)
    except OSError as error:
        tried.append(error.errno)
    os.close(read)
    os.close(write)
print(sorted(set(map(str, tried))), len(tried))
fcntl.fcntl(0, 10, 29)
os.kill(other, 0)
os.kill(other, signal.SIGCONT)
"#;

#[test]
fn a_command_sends_no_real_time_signal_and_every_other() {
    let laid = Laid::out("signals");
    fs::write(laid.path("repo/send.py"), SENDER).unwrap();
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let script = format!("/usr/bin/python3 send.py {} </dev/null", other.id());
    let ran = laid.run(&["-c", &script]);
    let ended = other.try_wait();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(said(&ran), "['1'] 224\n", "EPERM, each time: {ran:?}");
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(ended.unwrap(), None, "it runs on");
    let ran = laid.run(&["-c", "sleep 60 & kill $!; wait $!; echo $?"]);
    assert_eq!(said(&ran), "143\n", "{ran:?}");
}

#[test]
fn where_its_terms_are_missing_or_are_none_nothing_runs() {
    let laid = Laid::out("no-shell");
    let terms = laid.path("gate").join(TERMS);
    let nothing = |terms: &Path| {
        let ran = laid.run(&["-c", "touch ran"]);
        assert_eq!(ran.status.code(), Some(126), "{}: {ran:?}", terms.display());
        assert!(!laid.path("repo/ran").exists());
        assert!(String::from_utf8_lossy(&ran.stderr).starts_with("agp: the harness's shell: "));
    };
    fs::write(&terms, "{}").unwrap();
    nothing(&terms);
    fs::remove_file(&terms).unwrap();
    nothing(&terms);
}
