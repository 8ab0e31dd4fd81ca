//! A hook's round trip: the bridge started, asked, answered with a durable decision, exited;
//! against a program that does nothing.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use agp::gateway::server::{Gate, Server};
use agp::governor::Governor;
use agp::journal::key::SigningKey;
use serde_json::json;

use crate::gated::{self, SHELL};
use crate::report::{Figure, Target};
use crate::stock::Stock;
use crate::timing::Durations;
use crate::{Fallible, events, process};

const BLOCK: u64 = 25;
const TURNS: u64 = 20;
const NOTHING: &str = "/bin/true";

pub(crate) fn figures(work: &Path) -> Fallible<Vec<Figure>> {
    let stock = Stock::of(work, 100)?;
    let journal = stock.open()?;
    let governor = Arc::new(Governor::new(gated::terms(&journal, SHELL)?));
    let session = governor.session().as_str().to_owned();
    let directory = gated::socket_directory("h")?;
    let (key, _) = SigningKey::generate().map_err(|error| error.to_string())?;
    let answer_key = key.public().to_spki_base64();
    let server = Server::start_for(
        &directory.join("gate.sock"),
        rustix::process::geteuid().as_raw(),
        Arc::clone(&governor) as Arc<_>,
        Some(Arc::new(key)),
    )?;
    let bridge = |program: &str| {
        let mut command = Command::new(program);
        command.args(["bridge", "--session", &session, "--socket"]);
        command.arg(server.socket());
        command.args(["--answer-key", &answer_key]);
        command
    };
    let mut commands = [
        Command::new(NOTHING),
        bridge(process::BRIDGE),
        bridge(process::AGP),
    ];
    let mut times = [(); 3].map(|()| Durations::default());
    for turn in 0..TURNS {
        for (command, times) in commands.iter_mut().zip(&mut times) {
            for number in 0..BLOCK {
                hook(command, turn * BLOCK + number, times)?;
            }
        }
    }
    drop(server);
    let decided = governor.census().allowed;
    drop(governor);
    journal.close();
    std::fs::remove_dir_all(&directory)?;
    stock.put_back()?;
    if decided != 2 * TURNS * BLOCK {
        return Err(format!("{decided} calls were allowed").into());
    }
    Ok(shown(&times))
}

/// Runs one hook, from the start of its process to its end.
fn hook(command: &mut Command, number: u64, times: &mut Durations) -> Fallible<()> {
    let bridged = command.get_program() != NOTHING;
    // Ids are not used twice in a session.
    let program = Path::new(command.get_program()).file_name();
    let id = format!("{}-{number}", program.unwrap_or_default().display());
    let input = json!({
        "session_id": "7b0c", "transcript_path": "/home/user/.claude/projects/p/7b0c.jsonl",
        "cwd": "/home/user/project", "permission_mode": "default", "hook_event_name": "PreToolUse",
        "tool_use_id": id, "tool_name": "Bash", "tool_input": events::args(),
    })
    .to_string();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let output = times.time(|| -> Fallible<_> {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that reads nothing may be gone already.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(child.wait_with_output()?)
    })?;
    process::succeeded(output.status)?;
    if bridged && output.stdout.is_empty() {
        return Err("the bridge allowed nothing".into());
    }
    Ok(())
}

fn shown([nothing, bridge, agp]: &[Durations; 3]) -> Vec<Figure> {
    let figure = |name, times: &Durations, q: f64, target, note: &str| Figure {
        name,
        ours: times.quantile(q) / 1e3,
        reference: Some(nothing.quantile(q) / 1e3),
        unit: "ms",
        target,
        note: note.to_owned(),
    };
    let note = "agp-bridge against /bin/true, spawned the same way; the decision is on disk";
    vec![
        figure(
            "hook round trip, p50",
            bridge,
            0.5,
            Target::RatioAtMost(3.0),
            note,
        ),
        figure("hook round trip, p99", bridge, 0.99, Target::None, ""),
        figure(
            "hook by the big binary, p50",
            agp,
            0.5,
            Target::None,
            "agp bridge",
        ),
        figure("hook by the big binary, p99", agp, 0.99, Target::None, ""),
    ]
}
