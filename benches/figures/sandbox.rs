//! The process sandbox: made ready and attested, and a call of a program that does nothing, against
//! the same program started bare.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agp::confine::Spawner;
use agp::jail::spec::Namespaces;
use agp::jail::status::Told;
use agp::sandbox::network::Network;
use agp::sandbox::process::{Process, ProcessConfig};
use agp::sandbox::secrets::Secrets;

use crate::report::{Figure, Target};
use crate::timing::Durations;
use crate::{Fallible, process};

const TURNS: u64 = 20;
const BLOCK: u64 = 20;
/// Between two calls of a model: far below what one takes to think of the next.
const PAUSE: Duration = Duration::from_millis(25);
const NOTHING: &str = "/bin/true";

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let work = work.join("sandbox");
    let (ready, _) = prepared(&work, None)?;
    let mut figures = vec![Figure {
        name: "sandbox ready, p50",
        ours: ready.quantile(0.5) / 1e3,
        reference: None,
        unit: "ms",
        target: Target::Below(10.0),
        note: "attested from outside and from inside".into(),
    }];
    let ways = [
        (
            "true in the sandbox, above a bare spawn, p50",
            None,
            Some(PAUSE),
        ),
        ("the same, one behind the other, p50", None, None),
        (
            "the same without namespaces, p50",
            Some(Namespaces::Off),
            Some(PAUSE),
        ),
    ];
    for (name, namespaces, pause) in ways {
        let (_, sandbox) = prepared(&work, namespaces)?;
        sandbox.stand_by();
        let (mut bare, mut ours) = (Durations::default(), Durations::default());
        for _ in 0..TURNS {
            for _ in 0..BLOCK {
                let mut command = Command::new(NOTHING);
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                // As the other: a processor that was at rest is slower.
                pause.into_iter().for_each(std::thread::sleep);
                process::succeeded(bare.time(|| command.output())?.status)?;
            }
            for _ in 0..BLOCK {
                let words = [OsString::from(NOTHING)];
                let patience = Duration::from_secs(10);
                pause.into_iter().for_each(std::thread::sleep);
                let ran = ours.time(|| sandbox.run(&words, &[], patience));
                match ran.map_err(|error| error.0)?.ended {
                    Told::Exited(0) => {}
                    other => return Err(format!("true ended otherwise: {other:?}").into()),
                }
            }
        }
        let (ours, bare) = (ours.quantile(0.5) / 1e3, bare.quantile(0.5) / 1e3);
        figures.push(Figure {
            name,
            ours: ours - bare,
            reference: None,
            unit: "ms",
            target: if namespaces.is_none() && pause.is_some() {
                Target::Below(3.0)
            } else {
                Target::None
            },
            note: format!(
                "{ours:.2} ms against {bare:.2}; namespaces {}; {}",
                sandbox.namespaces().as_str(),
                match pause {
                    Some(pause) => format!("{} ms between two", pause.as_millis()),
                    None => "each waits for its confinement".to_owned(),
                }
            ),
        });
    }
    std::fs::remove_dir_all(&work)?;
    std::fs::remove_dir_all(short())?;
    Ok(figures)
}

fn prepared(work: &Path, namespaces: Option<Namespaces>) -> Fallible<(Durations, Process)> {
    let mut times = Durations::default();
    let mut made = None;
    for turn in 0..TURNS {
        let setup = setup(work, namespaces, turn)?;
        let process = times
            .time(|| Process::prepare(setup))
            .map_err(|error| error.0)?;
        made = Some(process);
    }
    Ok((times, made.ok_or("no sandbox was made")?))
}

/// A socket's path has 108 bytes.
pub(crate) fn short() -> PathBuf {
    std::env::temp_dir().join(format!("agp-figures-{}", std::process::id()))
}

/// For a repository that is there.
pub(crate) fn setup_of(repository: &Path, name: &str) -> Fallible<ProcessConfig> {
    let home = short().join("home");
    std::fs::create_dir_all(&home)?;
    Ok(ProcessConfig {
        repository: repository.to_owned(),
        protected: vec![home],
        token: format!("figures-{}-{name}", std::process::id()),
        ..setup(&short(), None, 0)?
    })
}

fn setup(work: &Path, namespaces: Option<Namespaces>, turn: u64) -> Fallible<ProcessConfig> {
    let made = |name: &str| -> Fallible<PathBuf> {
        let path = work.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    };
    std::fs::create_dir_all(short())?;
    Ok(ProcessConfig {
        bridge: process::BRIDGE.into(),
        repository: made("repository")?,
        spawner: Spawner::start()?,
        directory: short(),
        protected: vec![made("home")?],
        sockets: Vec::new(),
        read: Vec::new(),
        write: Vec::new(),
        network: Network::Off,
        withholding: Arc::new(Vec::new),
        secrets: Secrets::default(),
        token: format!("figures-{}-{turn}", std::process::id()),
        namespaces,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
    })
}
