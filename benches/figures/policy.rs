//! What the policy costs a call: reading it, deciding it, and `agp policy decide` as a stream.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use agp::contracts::call::Actor;
use agp::disk::{Grounds, LocalDisk};
use agp::policy::{Conditions, Policy};
use agp::reading::disk::{Disk, NoDisk};
use agp::reading::surroundings::Surroundings;
use agp::reading::tools::{self, Declared};
use serde_json::{Map, Value, json};

use crate::Fallible;
use crate::report::{Figure, Target};
use crate::timing::Durations;

const CALLS: usize = 20_000;
/// What an agent types, as often as not.
const TYPICAL: &str = "cd src && cargo test --workspace 2>&1 | tail -40";
/// Three paths to resolve.
const PATHS: &str = "cp src/a.rs src/b.rs target/copies";
/// Lines that `agp policy decide` is given.
const LINES: usize = 40_000;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let repository = work.join("policy-repository");
    for directory in ["src", "target/copies", ".git"] {
        std::fs::create_dir_all(repository.join(directory))?;
    }
    for file in ["src/a.rs", "src/b.rs"] {
        std::fs::write(repository.join(file), "")?;
    }
    let repository = repository.canonicalize()?;
    let mut figures = vec![reading(&repository)?];
    for (name, rules, bound) in [
        ("a call against 1,000 rules, p50", 1_000, 50.0),
        ("a call against 10,000 rules, p50", 10_000, 200.0),
    ] {
        figures.push(deciding(name, rules, bound, &repository)?);
    }
    figures.push(resolving(&repository)?);
    for (name, options, bound) in [
        ("agp policy decide, with the disk", &[][..], 8_000.0),
        ("agp policy decide --no-disk", &["--no-disk"], 20_000.0),
    ] {
        figures.push(stream(name, options, bound, &repository)?);
    }
    std::fs::remove_dir_all(&repository)?;
    Ok(figures)
}

fn surroundings(repository: &Path) -> Fallible<Surroundings> {
    let repository = repository.to_str().ok_or("the path is not UTF-8")?;
    Ok(Surroundings {
        directory: repository.to_owned(),
        repository: repository.to_owned(),
        home: "/home/agent".to_owned(),
        temporary: "/tmp".to_owned(),
        path: vec![("/usr/bin".to_owned(), false)],
        ..Surroundings::default()
    })
}

fn args(command: &str) -> Map<String, Value> {
    Map::from_iter([("command".to_owned(), json!(command))])
}

fn reading(repository: &Path) -> Fallible<Figure> {
    let (at, args, declared) = (surroundings(repository)?, args(TYPICAL), Declared::new());
    let mut times = Durations::default();
    for _ in 0..CALLS {
        let read = times.time(|| tools::read("Bash", &args, &at, &NoDisk, &declared));
        let _ = black_box(read);
    }
    Ok(Figure {
        name: "reading a typical command, no disk, p50",
        ours: times.median(),
        reference: None,
        unit: "us",
        target: Target::Below(20.0),
        note: format!(
            "`{TYPICAL}`; {CALLS} calls, p99 {:.1} us",
            times.quantile(0.99)
        ),
    })
}

/// One that allows, and the rest deny and match nothing: nine of ten about commands, one of ten about paths.
fn rules(count: usize) -> String {
    let mut text = String::from(
        r#"{"rules":[{"id":"work","effect":"allow","when":{"command":["@reads","@build"],"code":["repo"]}}"#,
    );
    for number in 1..count {
        let when = match number % 10 {
            0 => format!(r#""write":["private-{number}/**"]"#),
            _ => format!(r#""command":["tool-{number} sub *"]"#),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#",{{"id":"r{number}","effect":"deny","when":{{{when}}}}}"#
        );
    }
    text.push_str("]}");
    text
}

fn deciding(name: &'static str, count: usize, bound: f64, repository: &Path) -> Fallible<Figure> {
    let policy = Policy::parse(rules(count).as_bytes())?;
    let (at, args, declared) = (surroundings(repository)?, args(TYPICAL), Declared::new());
    let mut times = Durations::default();
    for _ in 0..CALLS / 4 {
        let ruling = times.time(|| {
            let reading = tools::read("Bash", &args, &at, &NoDisk, &declared);
            policy.judge(&reading, &conditions(&at, &args, &BTreeSet::new(), &NoDisk))
        });
        let _ = black_box(ruling);
    }
    Ok(Figure {
        name,
        ours: times.median(),
        reference: None,
        unit: "us",
        target: Target::Below(bound),
        note: format!(
            "read and decided, no disk; nine rules of ten about commands; p99 {:.1} us",
            times.quantile(0.99)
        ),
    })
}

fn resolving(repository: &Path) -> Fallible<Figure> {
    let policy = Policy::parse(br#"{"base":"standard","rules":[]}"#)?;
    let home = Path::new("/nonexistent");
    let disk = LocalDisk::new(Grounds::new(repository, home, Path::new("/tmp")));
    let (at, args, declared) = (surroundings(repository)?, args(PATHS), Declared::new());
    let mut without = Durations::default();
    let mut with = Durations::default();
    for _ in 0..CALLS / 4 {
        let (none, looking) = (NoDisk, disk.looking());
        for (times, disk) in [(&mut without, &none as &dyn Disk), (&mut with, &looking)] {
            let ruling = times.time(|| {
                let reading = tools::read("Bash", &args, &at, disk, &declared);
                policy.judge(&reading, &conditions(&at, &args, &BTreeSet::new(), disk))
            });
            let _ = black_box(ruling);
        }
    }
    Ok(Figure {
        name: "three paths resolved on the disk, more by",
        ours: with.median() - without.median(),
        reference: None,
        unit: "us",
        target: Target::Below(100.0),
        note: format!(
            "`{PATHS}` under `standard`: {:.1} us with the disk, {:.1} us without",
            with.median(),
            without.median()
        ),
    })
}

fn conditions<'a>(
    at: &'a Surroundings,
    args: &'a Map<String, Value>,
    secrets: &'a BTreeSet<String>,
    disk: &'a dyn Disk,
) -> Conditions<'a> {
    Conditions {
        tool: "Bash",
        args,
        actor: Actor::ClaudeProcess,
        around: at,
        directory: Some(&at.directory),
        branch: None,
        confined: true,
        today: None,
        secrets,
        memory: None,
        disk,
    }
}

/// Lines a second of the release binary, its start included.
fn stream(name: &'static str, options: &[&str], bound: f64, repository: &Path) -> Fallible<Figure> {
    let commands = [
        TYPICAL,
        "git status --short",
        "rg -n 'fn main' src | head",
        PATHS,
    ];
    let mut lines = String::new();
    for command in commands.iter().cycle().take(LINES) {
        let line = json!({"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": command}});
        let _ = writeln!(lines, "{line}");
    }
    let started = Instant::now();
    let mut agp = Command::new(env!("CARGO_BIN_EXE_agp"))
        .args([
            "policy",
            "decide",
            "--harness",
            "claude-code",
            "--policy",
            "standard",
            "--repo",
        ])
        .arg(repository)
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = agp.stdin.take().ok_or("no standard input")?;
    let feeder = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = agp.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    feeder.join().map_err(|_| "the feeder failed")??;
    let answers = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    if answers != LINES {
        return Err(format!("{answers} answers to {LINES} lines").into());
    }
    Ok(Figure {
        name,
        ours: crate::timing::count(LINES) / seconds,
        reference: None,
        unit: "/s",
        target: Target::Above(bound),
        note: format!("{LINES} lines of four commands, one process, its start included"),
    })
}
