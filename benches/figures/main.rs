//! The performance figures of docs/benchmarks.md: each measures the machine's limit and us, in turns, in one run.

mod append;
mod confinement;
mod decide;
mod docker;
#[path = "../../tests/support/slack.rs"]
mod double;
mod egress;
mod events;
mod gated;
mod hook;
mod machine;
mod mediated;
mod policy;
mod process;
mod quickstart;
mod report;
mod resident;
mod sandbox;
mod slack;
mod stand_in;
mod stock;
mod stored;
mod timing;
mod witness;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Format;

/// Whatever stops a measurement; there is nobody to tell the kinds apart.
type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: bench/run [--json | --markdown] [--only NAME]...
NAME: append, stored, hook, witness, resident, decide, policy, sandbox, slack, mediated, egress, confinement,
      docker, quickstart";

struct Asked {
    format: Format,
    only: Vec<String>,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    if stand_in::is_asked_for(&given) {
        return ended(stand_in::main(&given));
    }
    if given.first().is_some_and(|word| word == egress::PART) {
        return ended(egress::main(&given));
    }
    let asked = match arguments(given.into_iter()) {
        Ok(asked) => asked,
        Err(problem) => {
            complain(&format!("{problem}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    ended(measure(&asked))
}

fn ended(outcome: Fallible<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&format!("bench: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked {
        format: Format::Table,
        only: Vec::new(),
    };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            // `cargo bench` adds it.
            "--bench" => {}
            "--json" => asked.format = Format::Json,
            "--markdown" => asked.format = Format::Markdown,
            "--only" => asked.only.push(given.next().ok_or("--only has no value")?),
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(asked)
}

fn measure(asked: &Asked) -> Fallible<()> {
    // On the disk that the sources are on: /tmp may be memory.
    let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures");
    std::fs::create_dir_all(&work)?;
    type Group = (&'static str, fn(&Path) -> Fallible<Vec<report::Figure>>);
    let groups: [Group; 14] = [
        ("append", append::figures),
        ("stored", stored::figures),
        ("hook", hook::figures),
        ("witness", witness::figures),
        ("resident", resident::figures),
        ("decide", decide::figures),
        ("policy", policy::figures),
        ("sandbox", sandbox::figures),
        ("slack", slack::figures),
        ("mediated", mediated::figures),
        ("egress", egress::figures),
        ("confinement", confinement::figures),
        ("docker", docker::figures),
        ("quickstart", quickstart::figures),
    ];
    let mut figures = Vec::new();
    for (name, group) in groups {
        if asked.only.is_empty() || asked.only.iter().any(|only| only == name) {
            complain(&format!("bench: {name} ..."));
            figures.extend(group(&work).map_err(|error| format!("{name}: {error}"))?);
        }
    }
    let text = report::render(asked.format, &figures, &machine::describe(&work));
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn complain(text: &str) {
    // Progress and trouble; whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "{text}");
}
