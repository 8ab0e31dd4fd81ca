//! A private Docker daemon for one test binary: its own directories, socket and images, which the
//! tests make themselves; ended by its process id when the tests are.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::session::{self, wait_for};

/// An image with busybox and nothing else.
pub(crate) const BUSYBOX: &str = "agp-busybox:1";
/// An image with nothing at all.
pub(crate) const EMPTY: &str = "agp-empty:1";
/// The same as [`BUSYBOX`], with a `/tmp` that only root may write.
pub(crate) const CLOSED_TMP: &str = "agp-closed-tmp:1";
/// The same as [`BUSYBOX`], with a volume.
pub(crate) const VOLUME: &str = "agp-volume:1";

/// Words that stand in the settings of the image with Codex.
pub(crate) const OF_THE_IMAGE: &str = "words of the image";

/// A daemon of these tests' own.
pub(crate) struct Dockerd {
    root: PathBuf,
    keeper: Child,
    /// The keeper ends the daemon when this is closed, and so when the tests end, however they do.
    leash: Option<ChildStdin>,
}

/// Keeps the daemon: says its process id, waits for the end of its own input, ends the daemon, what
/// a killed one left running (each names its root), and removes the rest. No other process is touched.
const KEEPER: &str = r#"
"$@" >"$ROOT/log" 2>&1 </dev/null & daemon=$!
echo $daemon >"$ROOT/daemon"
read _
kill $daemon 2>/dev/null; wait $daemon
for process in /proc/[0-9]*; do
  case $(tr '\0' ' ' <$process/cmdline) in
    *containerd*" -address $ROOT/"* | *containerd*" --config $ROOT/"*) kill -KILL ${process#/proc/} ;;
  esac 2>/dev/null
done 2>/dev/null
for mount in $(awk -v root="$ROOT/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r); do umount -l "$mount"; done
rm -rf "$ROOT"
"#;

impl Dockerd {
    /// Starts one, in `/tmp`: a socket's path is short.
    pub(crate) fn start(name: &str) -> Self {
        let root = PathBuf::from(format!("/tmp/agp-dockerd-{}-{name}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let mut command = Command::new("sh");
        command
            .args(["-c", KEEPER, "keeper", "dockerd"])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--iptables=false"])
            .args(["--ip-masq=false", "--config-file", &path("none.json")])
            .args(["-H", &format!("unix://{}", path("docker.sock"))])
            .env("ROOT", &root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        fs::write(root.join("none.json"), "{}").unwrap();
        let mut keeper = command.spawn().unwrap();
        let leash = keeper.stdin.take();
        let daemon = Self {
            root,
            keeper,
            leash,
        };
        wait_for("dockerd", || {
            let ready = daemon.client(&["version"]).status.success();
            ready.then_some(())
        });
        daemon.import();
        daemon
    }

    /// As `DOCKER_HOST` names it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("docker.sock")
    }

    /// The daemon's own process.
    pub(crate) fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.root.join("daemon")).unwrap();
        text.trim().parse().unwrap()
    }

    /// The docker client, for preparing and for looking; agp needs none.
    pub(crate) fn client(&self, arguments: &[&str]) -> Output {
        Command::new("docker")
            .args(["-H", &self.host()])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", &self.root)
            .output()
            .unwrap()
    }

    /// What the client prints, which must succeed.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The ids of all containers of a session.
    pub(crate) fn containers(&self, session: &str) -> Vec<String> {
        let filter = format!("label=agp.session={session}");
        let text = self.ask(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        text.lines().map(str::to_owned).collect()
    }

    /// This host's address on the daemon's own bridge.
    pub(crate) fn gateway(&self) -> String {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        self.ask(&["network", "inspect", "bridge", "--format", format])
    }

    /// Waits until no container of a session is there.
    pub(crate) fn without(&self, session: &str) {
        wait_for("the container's end", || {
            self.containers(session).is_empty().then_some(())
        });
    }

    fn import(&self) {
        let root = self.root.join("root");
        fs::create_dir(&root).unwrap();
        self.load(&root, EMPTY, &[]);
        for name in ["bin", "etc", "tmp", "usr", "root"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o755)).unwrap();
        let busybox = root.join("bin/busybox");
        fs::copy("/bin/busybox", &busybox).unwrap();
        let list = Command::new(&busybox).arg("--list").output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        for applet in list.lines().filter(|applet| *applet != "busybox") {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        // For a host's /usr, where a test mounts it.
        for name in ["lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
        }
        // No password: whoever gains root's rights here has them.
        fs::write(root.join("etc/passwd"), "root::0:0::/root:/bin/sh\n").unwrap();
        // What gains root's rights where that is possible; busybox takes this name for its own.
        let gaining = root.join("bin/busybox-gaining");
        fs::copy("/bin/busybox", &gaining).unwrap();
        fs::set_permissions(&gaining, fs::Permissions::from_mode(0o4755)).unwrap();
        self.load(&root, CLOSED_TMP, &[]);
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        self.load(&root, BUSYBOX, &[]);
        self.load(&root, VOLUME, &["--change", "VOLUME /data"]);
    }

    /// An image of [`BUSYBOX`] with Claude Code and the libraries that it needs.
    pub(crate) fn with_claude(&self, claude: &Path) -> &'static str {
        const NAME: &str = "agp-claude:1";
        static MADE: OnceLock<()> = OnceLock::new();
        MADE.get_or_init(|| {
            let root = self.root.join("root");
            let usr = root.join("usr");
            for name in ["bin", "lib64", "lib/x86_64-linux-gnu"] {
                fs::create_dir_all(usr.join(name)).unwrap();
            }
            let loader = "ld-linux-x86-64.so.2";
            let libraries = [
                "c.so.6",
                "m.so.6",
                "rt.so.1",
                "dl.so.2",
                "pthread.so.0",
                "tinfo.so.6",
            ];
            for library in libraries.map(|name| format!("lib{name}")) {
                let name = format!("lib/x86_64-linux-gnu/{library}");
                fs::copy(Path::new("/usr").join(&name), usr.join(&name)).unwrap();
            }
            fs::copy(
                Path::new("/lib64").join(loader),
                usr.join("lib64").join(loader),
            )
            .unwrap();
            fs::copy(claude, usr.join("bin/claude")).unwrap();
            let busybox = root.join("bin/busybox");
            // Its shell tool takes bash or zsh.
            let _ = fs::remove_file(root.join("bin/bash"));
            fs::copy("/bin/bash", root.join("bin/bash")).unwrap();
            fs::copy(busybox, usr.join("bin/env")).unwrap();
            self.load(&root, NAME, &[]);
        });
        NAME
    }

    /// An image of [`BUSYBOX`] with Codex, which needs nothing else.
    pub(crate) fn with_codex(&self, codex: &Path) -> &'static str {
        const NAME: &str = "agp-codex:1";
        static MADE: OnceLock<()> = OnceLock::new();
        MADE.get_or_init(|| {
            self.ask(&["create", "--name", "codex", BUSYBOX, "true"]);
            self.ask(&["cp", "-L", codex.to_str().unwrap(), "codex:/bin/codex"]);
            // What whoever made the image would have every session be told.
            let system = self.root.join("codex");
            fs::create_dir(&system).unwrap();
            let words = format!("developer_instructions = \"{OF_THE_IMAGE}\"\n");
            fs::write(system.join("config.toml"), words).unwrap();
            self.ask(&["cp", system.to_str().unwrap(), "codex:/etc/codex"]);
            self.ask(&["commit", "codex", NAME]);
            self.ask(&["rm", "codex"]);
        });
        NAME
    }

    /// Makes an image of a directory.
    pub(crate) fn load(&self, root: &Path, name: &str, changes: &[&str]) {
        let mut tar = Command::new("tar");
        tar.args(["--create", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.arg("--directory").arg(root).arg(".");
        let mut tar = tar.stdout(Stdio::piped()).spawn().unwrap();
        let output = Command::new("docker")
            .args(["-H", &self.host(), "import"])
            .args(changes)
            .args(["-", name])
            .stdin(tar.stdout.take().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(tar.wait().unwrap().success());
    }

    /// Ends it, as a machine that goes down does.
    pub(crate) fn end(mut self) {
        self.close();
    }

    fn close(&mut self) {
        drop(self.leash.take());
        let _ = self.keeper.wait();
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a daemon can be had here; says why not.
pub(crate) fn possible() -> bool {
    let missing = |what: &str, mend: &str| {
        session::skip(what, mend);
        false
    };
    if !rustix::process::geteuid().is_root() {
        return missing("dockerd needs root", "run the tests as root");
    }
    for program in ["dockerd", "docker", "containerd", "runc", "tar"] {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_err() {
            return missing(program, "apt-get install docker.io");
        }
    }
    if !Path::new("/bin/busybox").exists() {
        return missing("busybox", "apt-get install busybox-static");
    }
    true
}

/// The daemon that this test binary's tests share.
pub(crate) fn shared() -> Option<&'static Dockerd> {
    static SHARED: OnceLock<Option<Dockerd>> = OnceLock::new();
    SHARED
        .get_or_init(|| possible().then(|| Dockerd::start("shared")))
        .as_ref()
}

/// Waits a moment for something that must not come.
pub(crate) fn moment() {
    std::thread::sleep(Duration::from_millis(300));
}

/// Says something on the real standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
