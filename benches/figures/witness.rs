//! The witness: what it adds to a hook's round trip, and how fast it ends a harness.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Fallible;
use crate::process::{AGP, succeeded};
use crate::report::{Figure, Target};
use crate::stand_in::{CALLS, OUT, PART};
use crate::timing::Durations;

/// Sessions of each kind.
const TURNS: usize = 12;
/// Sessions whose harness is ended.
const KILLS: usize = 100;
/// The exit code of a session that broke.
const BROKEN: i32 = 3;
const POLICY: &str = r#"{"rules":[{"id":"shell","effect":"allow","tool":"Bash"}]}"#;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let home = work.join("witness");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    // A repository of its own, not a part of the one that this program lies in: no harness may.
    fs::create_dir_all(home.join("repository/.git"))?;
    let bench = Bench { home };
    succeeded(bench.agp(&["init"])?.status()?)?;
    succeeded(bench.agp(&["keygen"])?.status()?)?;
    fs::write(bench.home.join("agp/policy.json"), POLICY)?;

    let (mut on, mut off) = (Durations::default(), Durations::default());
    for turn in 0..TURNS {
        // Each goes first as often.
        if turn % 2 == 0 {
            bench.calls("on", &mut on)?;
        }
        bench.calls("off", &mut off)?;
        if turn % 2 == 1 {
            bench.calls("on", &mut on)?;
        }
    }
    let (mut kills, mut rollout) = (Durations::default(), Durations::default());
    for _ in 0..KILLS {
        bench.kill("claude-code", &mut kills)?;
        bench.kill("codex", &mut rollout)?;
    }
    fs::remove_dir_all(&bench.home)?;
    let figure = |q: f64, name, target, note: String| Figure {
        name,
        ours: on.quantile(q) / 1e3,
        reference: Some(off.quantile(q) / 1e3),
        unit: "ms",
        target,
        note,
    };
    let calls = TURNS * CALLS;
    let note = format!("of agp run, a stand-in for the harness; {calls} hooks each, in turns");
    Ok(vec![
        figure(
            0.5,
            "hook, witness on against off, p50",
            Target::RatioAtMost(1.02),
            note,
        ),
        figure(
            0.99,
            "hook, witness on against off, p99",
            Target::None,
            String::new(),
        ),
        killed("ungated result in the stream to dead harness, p99", &kills),
        killed(
            "ungated result in the rollout to dead harness, p99",
            &rollout,
        ),
    ])
}

fn killed(name: &'static str, times: &Durations) -> Figure {
    Figure {
        name,
        ours: times.quantile(0.99) / 1e3,
        reference: None,
        unit: "ms",
        target: Target::Below(50.0),
        note: format!(
            "{KILLS} sessions; from the result's line to the harness's last sign of life, one \
             each 0.1 ms; median {:.2} ms",
            times.median() / 1e3
        ),
    }
}

struct Bench {
    home: PathBuf,
}

impl Bench {
    fn agp(&self, arguments: &[&str]) -> Fallible<Command> {
        let mut command = Command::new(AGP);
        command
            .args(arguments)
            .env("AGP_HOME", self.home.join("agp"))
            .env("AGP_CLAUDE_BIN", std::env::current_exe()?)
            .env("AGP_CODEX_BIN", std::env::current_exe()?)
            .current_dir(self.home.join("repository"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command)
    }

    /// Runs a session; gives its exit code and what its harness wrote.
    fn session(&self, harness: &str, part: &str, witness: &str) -> Fallible<(Option<i32>, String)> {
        // A place that a confined harness can write to and that is looked into.
        let out = self.home.join("measured/out");
        fs::create_dir_all(self.home.join("measured"))?;
        let mode = match harness {
            "codex" => "mediated",
            _ => "hook",
        };
        let run = [
            "run",
            "--intendant",
            harness,
            "--mode",
            mode,
            "--no-probe",
            "--task",
            "x",
        ];
        let status = self
            .agp(&run)?
            .arg("--allow-write")
            .arg(self.home.join("measured"))
            .args([
                "--witness",
                witness,
                "--harness-env",
                PART,
                "--harness-env",
                OUT,
            ])
            .env(PART, part)
            .env(OUT, &out)
            .status()?;
        let measured = fs::read_to_string(&out);
        let measured = measured.map_err(|error| format!("{part} ended with {status}: {error}"))?;
        Ok((status.code(), measured))
    }

    fn calls(&self, witness: &str, times: &mut Durations) -> Fallible<()> {
        let (code, measured) = self.session("claude-code", "calls", witness)?;
        if code != Some(0) || measured.lines().count() != CALLS {
            return Err(format!("the harness's session ended with {code:?}").into());
        }
        for line in measured.lines() {
            times.add(Duration::from_nanos(line.parse()?));
        }
        Ok(())
    }

    fn kill(&self, harness: &str, times: &mut Durations) -> Fallible<()> {
        let (code, measured) = self.session(harness, "ungated", "on")?;
        if code != Some(BROKEN) {
            return Err(format!("an ungated result ended with {code:?}").into());
        }
        times.add(Duration::from_nanos(measured.trim().parse()?));
        Ok(())
    }
}
