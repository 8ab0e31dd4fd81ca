//! Mediated mode: agp's own share of a call, from the request's line to the answer's, and a search
//! of many files against grep's.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use agp::contracts::call::ToolCall;
use agp::contracts::ids::Sha256;
use agp::contracts::sandbox::{Execution, SandboxError};
use agp::gateway::server::{Gate, Server};
use agp::governor::{Governor, GovernorConfig, ReadingTerms, Sandbox};
use agp::journal::{Journal, Paths, Permit};
use agp::sandbox::process::Process;
use serde_json::{Value, json};

use crate::gated;
use crate::report::{Figure, Target};
use crate::stock::{self, Stock};
use crate::timing::Durations;
use crate::{Fallible, events, process};

const MEMORY: &str = "/dev/shm";
const POLICY: &[u8] = br#"{"rules":[{"id":"read","effect":"allow","tool":"Read"}]}"#;
const CALLS: u64 = 2_000;
/// Calls before those that count.
const WARM: u64 = 100;

const DIRECTORIES: usize = 100;
const FILES_EACH: usize = 100;
const LINES: usize = 60;
/// A file in so many has the needle.
const RARE: usize = 997;
const NEEDLE: &str = "the needle is here";
const SEARCHES: usize = 25;

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let mut figures = Vec::new();
    let stock = Stock::of(work, 100)?;
    if Path::new(MEMORY).is_dir() {
        figures.push(call(&stock)?);
    }
    figures.extend(grep(&stock, &work.join("tree"))?);
    Ok(figures)
}

/// Answers at once what a small file would give.
struct AtOnce(String);

impl Sandbox for AtOnce {
    fn kind(&self) -> &'static str {
        "none"
    }

    fn describe(&self) -> Value {
        json!({"kind": "none"})
    }

    fn exec(&self, permit: Permit) -> Result<Execution, SandboxError> {
        drop(permit);
        Ok(Execution {
            exit_code: Some(0),
            signal: None,
            output: self.0.clone(),
            answer: self.0.clone(),
            output_sha256: Sha256([0; 32]),
            output_bytes: self.0.len() as u64,
            notes: Vec::new(),
            secrets: Vec::new(),
        })
    }
}

fn call(stock: &Stock) -> Fallible<Figure> {
    let directory = Path::new(MEMORY).join(format!("agp-figures-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&directory)?;
    let paths = Paths::of(&directory.join("audit.log"));
    let (journal, _) = Journal::open(&paths, stock.key()?, &[], stock::screen())
        .map_err(|error| error.to_string())?;
    let text: String = (1..=40)
        .map(|n| format!("{n}\tlet value = {n};\n"))
        .collect();
    let governor = Arc::new(Governor::new(GovernorConfig {
        reading: ReadingTerms::blind(),
        sandbox: Some(Arc::new(AtOnce(text))),
        ..gated::terms(&journal, POLICY)?
    }));
    let session = governor.session().as_str().to_owned();
    let gateway = Server::start(
        &directory.join("gate.sock"),
        Arc::clone(&governor) as Arc<_>,
    )?;
    let times = through_the_server(gateway.socket(), &session)?;
    drop(gateway);
    let allowed = governor.census().allowed;
    drop(governor);
    journal.close();
    fs::remove_dir_all(&directory)?;
    if allowed != WARM + CALLS {
        return Err(format!("{allowed} calls were allowed").into());
    }
    Ok(Figure {
        name: "mediated call without execution and sync, p50",
        ours: times.median() / 1e3,
        reference: None,
        unit: "ms",
        target: Target::Below(1.0),
        note: format!(
            "from the request's line into agp-bridge mcp to the answer's out of it; two events signed \
             and written to {MEMORY}, a sandbox that answers at once; p99 {:.2} ms",
            times.quantile(0.99) / 1e3
        ),
    })
}

fn through_the_server(socket: &Path, session: &str) -> Fallible<Durations> {
    let mut command = Command::new(process::BRIDGE);
    command
        .args(["mcp", "--deadline", "60", "--session", session, "--socket"])
        .arg(socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut server = process::Running(command.spawn()?);
    let mut input = server.0.stdin.take().ok_or("no input")?;
    let mut output = BufReader::new(server.0.stdout.take().ok_or("no output")?);
    let mut times = Durations::default();
    let mut answer = String::new();
    for number in 0..WARM + CALLS {
        let request = json!({
            "method": "tools/call",
            "params": {
                "name": "Read", "arguments": {"file_path": "/home/user/project/src/main.rs"},
                "_meta": {"claudecode/toolUseId": format!("toolu_{number:024}"), "progressToken": number},
            },
            "jsonrpc": "2.0", "id": number,
        });
        let line = format!("{request}\n");
        answer.clear();
        let mut turn = || -> Fallible<()> {
            input.write_all(line.as_bytes())?;
            output.read_line(&mut answer)?;
            Ok(())
        };
        if number < WARM {
            turn()?;
        } else {
            times.time(turn)?;
        }
        if !answer.contains("\"isError\":false") {
            return Err(format!("a call failed: {answer}").into());
        }
    }
    Ok(times)
}

/// Bare against grep, and as a whole call in the sandbox against grep outside it.
fn grep(stock: &Stock, tree: &Path) -> Fallible<[Figure; 2]> {
    let holding = plant(tree)?;
    let Value::Object(args) = json!({
        "pattern": NEEDLE, "path": tree, "output_mode": "content", "head_limit": 0,
    }) else {
        return Err("no arguments".into());
    };
    let call = ToolCall {
        tool: "Grep".into(),
        args,
        ..events::call(0)?
    };
    let asked = serde_json::to_string(&call.args)?;
    let journal = stock.open()?;
    let sandbox = Process::prepare(crate::sandbox::setup_of(tree, "grep")?)
        .map_err(|error| format!("the sandbox: {}", error.0))?;
    let mut ours = Command::new(process::BRIDGE);
    ours.args(["tool", "Grep"]);
    let mut reference = Command::new("grep");
    reference.args(["-rn", NEEDLE]).arg(tree);
    let mut times = [(); 3].map(|()| Durations::default());
    let [bare, inside, outside] = &mut times;
    for _ in 0..SEARCHES {
        let permit = gated::permit(&journal, &call)?;
        let found = [
            printed(&mut ours, &asked, bare)?,
            inside
                .time(|| sandbox.exec(permit))
                .map_err(|error| error.0)?
                .answer,
            printed(&mut reference, "", outside)?,
        ];
        for found in found.map(|found| found.matches(NEEDLE).count()) {
            if found != holding {
                return Err(format!("{found} of {holding} were found").into());
            }
        }
    }
    journal.close();
    fs::remove_dir_all(crate::sandbox::short())?;
    let figure = |name, ours: &Durations, note: &str| Figure {
        name,
        ours: ours.median() / 1e3,
        reference: Some(outside.median() / 1e3),
        unit: "ms",
        target: Target::RatioAtMost(1.5),
        note: format!(
            "{note}; p99 {:.0} and {:.0} ms",
            ours.quantile(0.99) / 1e3,
            outside.quantile(0.99) / 1e3
        ),
    };
    let note = format!(
        "a literal that {holding} files hold, against grep -rn, processes and all; the tree is cached"
    );
    Ok([
        figure("Grep, 10,000 files, p50", bare, &note),
        figure(
            "Grep in the sandbox, 10,000 files, p50",
            inside,
            "the whole call, confinement and all, against the same grep -rn outside",
        ),
    ])
}

/// What a program prints, given this.
fn printed(command: &mut Command, input: &str, times: &mut Durations) -> Fallible<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let output = times.time(|| -> Fallible<_> {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // grep may be gone already.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(child.wait_with_output()?)
    })?;
    process::succeeded(output.status)?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes the tree, unless it is there; how many files hold the needle.
fn plant(tree: &Path) -> Fallible<usize> {
    let done = tree.with_extension("done");
    if !done.exists() {
        for directory in 0..DIRECTORIES {
            let path: PathBuf = tree.join(format!("d{directory:02}/src"));
            fs::create_dir_all(&path)?;
            for file in 0..FILES_EACH {
                let mut text: String = (0..LINES)
                    .map(|line| format!("fn item_{directory}_{file}_{line}() {{ call({line}) }}\n"))
                    .collect();
                if (directory * FILES_EACH + file).is_multiple_of(RARE) {
                    text += &format!("// {NEEDLE}\n");
                }
                fs::write(path.join(format!("f{file:02}.rs")), text)?;
            }
        }
        fs::write(done, "")?;
    }
    Ok((DIRECTORIES * FILES_EACH).div_ceil(RARE))
}
