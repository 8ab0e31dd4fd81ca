//! The sandbox of a session: made as it was asked for, looked into, and told of.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use serde_json::{Map, Value};

use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::confine::Spawner;
use crate::contracts::ids::SessionId;
use crate::contracts::sandbox::Execution;
use crate::governor::Sandbox;
use crate::intendants::executable::bridge_program;
use crate::intendants::process::Stop;
use crate::sandbox::docker::container::Docker;
use crate::sandbox::network::Network;
use crate::sandbox::process::{Output, Process, Setup};
use crate::sandbox::recording::Recording;
use crate::sandbox::secrets::Secrets;

use super::docker::calls;
use super::home::Home;
use super::kinds::{Provider, Stream};
use super::options::Asked;
use super::private_paths::{private_paths, sockets};
use crate::report::failure::Failure;

/// Characters of a line of a command's output on the terminal.
const LINE_CHARS: usize = 400;

/// Lines of one block of output that are shown: nobody reads more at once.
const BURST_LINES: usize = 50;

/// What a session's sandbox is made within.
pub(crate) struct Within<'a> {
    pub(crate) home: &'a Home,
    pub(crate) asked: &'a Asked,
    pub(crate) secrets: &'a Secrets,
    pub(crate) session: &'a SessionId,
    /// The key that answers are signed with.
    pub(crate) answer_key: &'a str,
    /// The session's private directory.
    pub(crate) directory: &'a Path,
    pub(crate) stop: &'a Stop,
    pub(crate) terminal: &'a Arc<Terminal>,
    pub(crate) spawner: &'a Spawner,
    /// Told when the sandbox is gone in the middle of the session.
    pub(crate) lost: Arc<dyn Fn(String) + Send + Sync>,
}

/// A sandbox that may be used.
pub(crate) struct Ready {
    pub(crate) sandbox: Arc<dyn Sandbox>,
    /// The same, where it is a container.
    pub(crate) container: Option<Arc<Docker>>,
    /// What `sandbox.attested` says, where there was something to look into.
    pub(crate) attested: Option<Map<String, Value>>,
}

/// Makes the session's sandbox, and looks into it.
///
/// # Errors
/// [`Failure`] when it cannot be had as it was asked for: nothing weaker is taken instead.
pub(crate) fn ready(within: Within<'_>) -> Result<Ready, Failure> {
    let Within {
        home,
        asked,
        secrets,
        session,
        answer_key,
        directory,
        stop,
        terminal,
        spawner,
        lost,
    } = within;
    if let Some(container) = &asked.container {
        let stop = stop.clone();
        let docker = calls::ready(
            container,
            calls::Within {
                home,
                asked,
                secrets,
                session,
                answer_key,
                directory,
                spawner,
                output: shown(terminal, asked.stream == Stream::Raw),
                stopped: Arc::new(move || stop.asked()),
                lost,
            },
        )?;
        let docker = Arc::new(docker);
        return Ok(Ready {
            attested: Some(docker.attestation()),
            sandbox: Arc::clone(&docker) as _,
            container: Some(docker),
        });
    }
    if asked.sandbox != Provider::Process {
        let sandbox = Arc::new(Recording);
        return Ok(Ready {
            sandbox,
            container: None,
            attested: None,
        });
    }
    let stop = stop.clone();
    let setup = Setup {
        read: asked.allow_read.clone(),
        write: asked.allow_write.clone(),
        network: asked.way_out.calls_network(directory),
        secrets: secrets.clone(),
        output: shown(terminal, asked.stream == Stream::Raw),
        stopped: Arc::new(move || stop.asked()),
        ..setup(home, &asked.repository, directory, spawner)?
    };
    let process = Process::prepare(setup).map_err(|error| refused(&error.0))?;
    process.stand_by();
    Ok(Ready {
        attested: Some(process.attestation()),
        sandbox: Arc::new(process),
        container: None,
    })
}

/// A sandbox for a probe's own repository.
///
/// # Errors
/// [`Failure`] when it cannot be had.
pub(crate) fn bare(
    home: &Home,
    repository: &Path,
    directory: &Path,
    spawner: &Spawner,
) -> Result<Arc<dyn Sandbox>, Failure> {
    let made = std::fs::DirBuilder::new().mode(0o700).create(directory);
    made.map_err(|error| refused(&format!("{}: {error}", directory.display())))?;
    let setup = setup(home, repository, directory, spawner)?;
    let process = Process::prepare(setup).map_err(|error| refused(&error.0))?;
    Ok(Arc::new(process))
}

/// The most that this machine permits, in words.
///
/// # Errors
/// [`Failure`] when it permits nothing that holds.
pub(crate) fn permitted(home: &Home) -> Result<String, Failure> {
    let base = std::env::temp_dir().join(format!("agp-doctor-{}", std::process::id()));
    let repository = base.join("repository");
    let made = std::fs::create_dir_all(&repository);
    made.map_err(|error| refused(&format!("{}: {error}", base.display())))?;
    let found = spawner()
        .and_then(|spawner| setup(home, &repository, &base, &spawner))
        .and_then(|setup| with_a_home(setup, &base))
        .and_then(|setup| Process::prepare(setup).map_err(|error| refused(&error.0)));
    // What stays behind is empty, and in the temporary directory.
    let _ = std::fs::remove_dir_all(&base);
    let process = found?;
    let attested = process.attestation();
    let landlock = attested.get("landlock").cloned().unwrap_or_default();
    let mut told = format!(
        "process: attested; namespaces {}, Landlock {landlock}, seccomp",
        process.namespaces().as_str()
    );
    for (namespaces, why) in process.refused() {
        told.push_str(&format!(
            "; namespaces {} not had: {why}",
            namespaces.as_str()
        ));
    }
    Ok(told)
}

/// Before `agp init` there is no home of agp's to keep anybody out of: a directory stands for it.
fn with_a_home(mut setup: Setup, base: &Path) -> Result<Setup, Failure> {
    if let Some(own) = setup.protected.first_mut().filter(|own| !own.exists()) {
        *own = base.join("home");
        let made = std::fs::create_dir(&*own);
        made.map_err(|error| refused(&format!("{}: {error}", own.display())))?;
    }
    Ok(setup)
}

/// Starts the thread that starts processes.
///
/// # Errors
/// [`Failure`] when it cannot be had.
pub(crate) fn spawner() -> Result<Spawner, Failure> {
    Spawner::start().map_err(|error| Failure::refused(error, "agp doctor --check confinement"))
}

fn refused(problem: &str) -> Failure {
    Failure::refused(
        format!(
            "the process sandbox cannot be had: {}",
            escape::line(problem)
        ),
        "agp doctor --check sandbox; or --sandbox recording, which runs nothing",
    )
}

fn setup(
    home: &Home,
    repository: &Path,
    directory: &Path,
    spawner: &Spawner,
) -> Result<Setup, Failure> {
    let bridge = bridge_program().map_err(|error| refused(&error.to_string()))?;
    let own = home.root().canonicalize();
    let own = own.unwrap_or_else(|_| home.root().to_owned());
    let protected = [own].into_iter().chain(private_paths()).collect();
    let token = directory.file_name().unwrap_or_default();
    Ok(Setup {
        bridge,
        repository: repository.to_owned(),
        spawner: spawner.clone(),
        directory: directory.to_owned(),
        protected,
        sockets: sockets(),
        read: Vec::new(),
        write: Vec::new(),
        network: Network::Off,
        secrets: Secrets::default(),
        token: format!("{}-{}", token.to_string_lossy(), std::process::id()),
        namespaces: None,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
    })
}

/// Shows the output of commands line by line as it comes, escaped: it is the agent's. `raw` leaves
/// standard output to the harness.
fn shown(terminal: &Arc<Terminal>, raw: bool) -> Arc<Output> {
    let terminal = Arc::clone(terminal);
    let begun: Mutex<Begun> = Mutex::default();
    Arc::new(move |block| {
        let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
        for line in begun.take(thread::current().id(), block) {
            match raw {
                true => terminal.tell(&line),
                false => terminal.show(&line),
            }
        }
    })
}

/// Lines that are not whole yet. Each call has a worker of its own: the lines of calls that run at
/// once are kept apart.
#[derive(Default)]
struct Begun(HashMap<ThreadId, Vec<u8>>);

impl Begun {
    /// Takes a worker's block of output, an empty one for its end. Gives the lines to show.
    fn take(&mut self, worker: ThreadId, block: &[u8]) -> Vec<String> {
        let mut begun = self.0.remove(&worker).unwrap_or_default();
        let mut shown = Vec::new();
        let (whole, rest) = match block.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => block.split_at(end + 1),
            None => (&[][..], block),
        };
        if !whole.is_empty() {
            begun.extend_from_slice(whole);
            let mut lines = begun.split_inclusive(|byte| *byte == b'\n');
            let some = lines.by_ref().take(BURST_LINES);
            shown.extend(some.map(|line| of_output(line.strip_suffix(b"\n").unwrap_or(line))));
            let more = lines.count();
            if more > 0 {
                shown.push(format!("      | ({more} more lines)"));
            }
            begun.clear();
        }
        begun.extend_from_slice(rest);
        let ended = block.is_empty() && !begun.is_empty();
        if ended || begun.len() > LINE_CHARS * 4 {
            shown.push(of_output(&begun));
            begun.clear();
        }
        if !begun.is_empty() {
            self.0.insert(worker, begun);
        }
        shown
    }
}

fn of_output(line: &[u8]) -> String {
    // A tab moves no more than the cursor, and stands between a line's number and its text.
    let line = String::from_utf8_lossy(line).replace('\t', "  ");
    let line = escape::line_max(&line, LINE_CHARS);
    format!("      | {}", line.trim_end())
}

/// How a call ended, where that is worth a line.
pub(crate) fn ended(execution: &Execution) -> Option<String> {
    let mut said = Vec::new();
    match (execution.exit_code, execution.signal) {
        (Some(0), _) | (None, None) => {}
        (Some(code), _) => said.push(format!("exit code {code}")),
        (None, Some(signal)) => said.push(format!("ended by signal {signal}")),
    }
    said.extend(
        execution
            .notes
            .iter()
            .map(|note| escape::line_max(note, LINE_CHARS)),
    );
    (!said.is_empty()).then(|| format!("      {}", said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_calls_that_run_at_once_stay_whole() {
        let other = thread::spawn(|| thread::current().id()).join().unwrap();
        let own = thread::current().id();
        let mut begun = Begun::default();
        assert_eq!(begun.take(own, b"one\nbe"), ["      | one"]);
        assert_eq!(begun.take(other, b"other"), [""; 0]);
        assert_eq!(begun.take(own, b"gun\n"), ["      | begun"]);
        assert_eq!(begun.take(other, b""), ["      | other"]);
        assert_eq!(begun.take(own, b""), [""; 0]);
        assert!(begun.0.is_empty());
        let many = begun.take(own, &b"x\n".repeat(BURST_LINES + 2));
        assert_eq!(many.last().unwrap(), "      | (2 more lines)");
    }

    #[test]
    fn an_outputs_line_is_shown_escaped_and_cut() {
        assert_eq!(of_output(b"one\ttwo  "), "      | one  two");
        let escaped = of_output(b"\x1b[2J\xff");
        assert!(!escaped.contains('\u{1b}'), "{escaped}");
        assert!(of_output(&[b'x'; 10_000]).len() < 1_000);
    }
}
