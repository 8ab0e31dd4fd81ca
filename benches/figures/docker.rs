//! The Docker sandbox against the docker client, on the same daemon in the same run: a container made
//! ready, and a call of a program that does nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agp::confine::Spawner;
use agp::jail::status::Told;
use agp::sandbox::docker::container::{BOX, ContainerConfig, Docker};
use agp::sandbox::docker::exec::Errand;
use agp::sandbox::docker::host_config::Bounds;
use agp::sandbox::network::Network;
use agp::sandbox::secrets::Secrets;

use crate::report::{Figure, Target};
use crate::timing::Durations;
use crate::{Fallible, process};

const TURNS: usize = 12;
const CALLS: usize = 25;
const IMAGE: &str = "agp-figures:1";
const NOBODY: u32 = 65534;

/// A daemon of its own, ended with its measurement.
struct Daemon {
    root: PathBuf,
    process: Child,
}

impl Daemon {
    fn start() -> Fallible<Self> {
        let root = PathBuf::from(format!("/tmp/agp-figures-docker-{}", std::process::id()));
        fs::create_dir(&root)?;
        let path = |name: &str| root.join(name).display().to_string();
        fs::write(root.join("none.json"), "{}")?;
        let process = Command::new("dockerd")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--iptables=false"])
            .args(["--ip-masq=false", "--config-file", &path("none.json")])
            .args(["-H", &format!("unix://{}", path("docker.sock"))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let daemon = Self { root, process };
        for _ in 0..300 {
            if daemon.client(&["version"]).output()?.status.success() {
                daemon.import()?;
                return Ok(daemon);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("dockerd does not come up".into())
    }

    fn client(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .args(["-H", &format!("unix://{}", self.socket().display())])
            .args(words)
            .stdin(Stdio::null());
        command
    }

    fn socket(&self) -> PathBuf {
        self.root.join("docker.sock")
    }

    fn import(&self) -> Fallible<()> {
        let image = self.root.join("image");
        fs::create_dir_all(image.join("bin"))?;
        fs::create_dir(image.join("tmp"))?;
        fs::set_permissions(image.join("tmp"), fs::Permissions::from_mode(0o1777))?;
        for name in ["busybox", "true", "sh", "sleep"] {
            fs::copy("/bin/busybox", image.join("bin").join(name))?;
        }
        let archive = self.root.join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(&archive).arg("-C").arg(&image).arg(".");
        process::succeeded(tar.status()?)?;
        let archive = archive.display().to_string();
        process::succeeded(self.client(&["import", &archive, IMAGE]).output()?.status)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let mut kill = Command::new("kill");
        // It takes its containers with it.
        let _ = kill.arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let there = |program: &str| {
        let mut asked = Command::new(program);
        let asked = asked.arg("--version").stdout(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    let root = rustix::process::geteuid().is_root();
    if !root || !there("dockerd") || !there("docker") || !Path::new("/bin/busybox").exists() {
        return Ok(vec![Figure {
            name: "Docker sandbox",
            ours: 0.0,
            reference: None,
            unit: "",
            target: Target::None,
            note: "not measured: it needs root, docker.io and busybox-static".into(),
        }]);
    }
    let work = work.join("docker");
    let repository = work.join("repository");
    fs::create_dir_all(&repository)?;
    chown(&repository, Some(NOBODY), Some(NOBODY))?;
    let daemon = Daemon::start()?;
    let figures = measured(&daemon, &repository, &work);
    drop(daemon);
    fs::remove_dir_all(&work)?;
    figures
}

fn measured(daemon: &Daemon, repository: &Path, work: &Path) -> Fallible<Vec<Figure>> {
    let spawner = Spawner::start()?;
    let (mut ready, mut run) = (Durations::default(), Durations::default());
    for turn in 0..TURNS {
        let setup = setup(daemon, repository, work, &spawner, &format!("ready-{turn}"))?;
        let docker = ready.time(|| Docker::prepare(setup));
        drop(docker.map_err(|error| error.0)?);
        let name = format!("bare-{turn}");
        let mut client = client_run(daemon, repository, &name);
        process::succeeded(run.time(|| client.output())?.status)?;
        let removed = daemon.client(&["rm", "--force", &name]).output()?;
        process::succeeded(removed.status)?;
    }

    let docker = Docker::prepare(setup(daemon, repository, work, &spawner, "calls")?);
    let docker = docker.map_err(|error| error.0)?;
    process::succeeded(client_run(daemon, repository, "exec").output()?.status)?;
    let (mut ours, mut theirs) = (Durations::default(), Durations::default());
    for _ in 0..CALLS {
        let errand = Errand {
            command: vec!["/bin/true".into()],
            input: Vec::new(),
            deadline: Duration::from_secs(10),
            quiet: false,
        };
        let ran = ours.time(|| docker.run(errand, &mut |_| {}));
        match ran.map_err(|error| error.0)?.ended {
            Told::Exited(0) => {}
            other => return Err(format!("true ended otherwise: {other:?}").into()),
        }
        let mut client = daemon.client(&["exec", "exec", "/bin/true"]);
        process::succeeded(theirs.time(|| client.output())?.status)?;
    }
    drop(docker);
    process::succeeded(daemon.client(&["rm", "--force", "exec"]).output()?.status)?;
    let p50 = |times: &Durations| times.quantile(0.5) / 1e3;
    Ok(vec![
        Figure {
            name: "Docker sandbox ready, p50",
            ours: p50(&ready),
            reference: Some(p50(&run)),
            unit: "ms",
            target: Target::RatioAtMost(1.3),
            note: format!(
                "created, started, attested, against docker run -d with the same flags; {TURNS} turns"
            ),
        },
        Figure {
            name: "exec of true in Docker, p50",
            ours: p50(&ours),
            reference: Some(p50(&theirs)),
            unit: "ms",
            target: Target::RatioAtMost(0.7),
            note: format!("against docker exec; {CALLS} turns"),
        },
    ])
}

/// The same container, as the docker client is asked for it.
fn client_run(daemon: &Daemon, repository: &Path, name: &str) -> Command {
    let mut command = daemon.client(&["run", "--detach", "--name", name, "--network", "none"]);
    command
        .args(["--cap-drop", "ALL", "--security-opt", "no-new-privileges"])
        .args(["--read-only", "--user", "65534:65534", "--ipc", "private"])
        .args([
            "--tmpfs",
            "/tmp:rw,exec,nosuid,nodev,size=1073741824,mode=1777",
        ])
        .args(["--memory", "4294967296", "--memory-swap", "4294967296"])
        .args([
            "--cpus",
            "2",
            "--pids-limit",
            "1024",
            "--log-driver",
            "none",
        ])
        .args([
            "--ulimit",
            "core=0",
            "--ulimit",
            "nofile=4096",
            "--workdir",
            "/repo",
        ])
        .arg("--volume")
        .arg(format!("{}:/repo", repository.display()))
        .args([IMAGE, "/bin/sleep", "1000"]);
    command
}

fn setup(
    daemon: &Daemon,
    repository: &Path,
    work: &Path,
    spawner: &Spawner,
    name: &str,
) -> Fallible<ContainerConfig> {
    let directory = daemon.root.join(name);
    fs::create_dir(&directory)?;
    let home = work.join("home");
    fs::create_dir_all(&home)?;
    Ok(ContainerConfig {
        daemon: daemon.socket(),
        image: IMAGE.into(),
        bridge: process::BRIDGE.into(),
        session: format!("s-figures-{name}"),
        name: format!("agp-s-figures-{name}"),
        home: home.clone(),
        directory,
        shown: BOX,
        repository: repository.canonicalize()?,
        repository_writable: true,
        at_own_path: false,
        user: (NOBODY, NOBODY),
        network: Network::Off,
        bounds: Bounds::default(),
        spawner: spawner.clone(),
        secrets: Secrets::default(),
        mounts: Vec::new(),
        login: None,
        environment: Vec::new(),
        protected: vec![home],
        sockets: vec![daemon.socket()],
        netcheck: true,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
        lost: Arc::new(|_| {}),
        left: Arc::new(|_| {}),
    })
}
