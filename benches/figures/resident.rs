//! The governor's resident memory while its harness thinks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::Fallible;
use crate::process::{AGP, Running, mebibytes, succeeded};
use crate::report::{Figure, Target};

/// A harness that is new enough, and thinks.
const HARNESS: &str = "#!/bin/sh
case \"$1\" in
--version) echo '2.1.330 (Claude Code)' ;;
*) exec sleep 60 ;;
esac
";

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let home = work.join("home");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    // Not the directory that agp's home stands in: a confined harness is not given that.
    let repository = work.join("repository");
    // A work tree of its own, or the harness would lie in the repository's.
    fs::create_dir_all(repository.join(".git"))?;
    let harness = work.join("harness");
    fs::write(&harness, HARNESS)?;
    fs::set_permissions(&harness, fs::Permissions::from_mode(0o755))?;
    let agp = |arguments: &[&str]| {
        let mut command = Command::new(AGP);
        command.args(arguments).env("AGP_HOME", &home);
        command
            .env("AGP_CLAUDE_BIN", &harness)
            .current_dir(&repository);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    succeeded(agp(&["init"]).status()?)?;
    succeeded(agp(&["keygen"]).status()?)?;
    let mut run = agp(&[
        "run",
        "--intendant",
        "claude-code",
        "--no-probe",
        "--task",
        "nothing",
    ]);
    let mut running = Running(run.stderr(Stdio::null()).spawn()?);
    thread::sleep(Duration::from_secs(1));
    if let Some(status) = running.0.try_wait()? {
        return Err(format!("agp run ended at once with {status}").into());
    }
    let pid = running.0.id();
    let resident = mebibytes(pid, "VmRSS").ok_or("agp run has no VmRSS")?;
    let own = mebibytes(pid, "RssAnon").ok_or("agp run has no RssAnon")?;
    if let Some(pid) = Pid::from_raw(i32::try_from(pid)?) {
        kill_process(pid, Signal::TERM)?;
        running.0.wait()?;
    }
    fs::remove_dir_all(&home)?;
    Ok(vec![Figure {
        name: "governor, resident memory, idle",
        ours: resident,
        reference: None,
        unit: "MiB",
        target: Target::Below(12.0),
        note: format!("VmRSS of agp run after 1 s; {own:.2} MiB of it is not the program's file"),
    }])
}
