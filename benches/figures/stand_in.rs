//! A harness for the witness's figures: this very program, started by `agp run` in the place of
//! Claude Code. It calls its hooks as it is told to, and writes down what it measures.

use std::fs::{self, File};
use std::io::{Write, stdout};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Fallible, events, process};

/// What the harness does.
pub(crate) const PART: &str = "AGP_FIGURES_PART";
/// Where it writes what it measured.
pub(crate) const OUT: &str = "AGP_FIGURES_OUT";
/// Calls of one session.
pub(crate) const CALLS: usize = 100;
/// Between two signs of life.
const SIGN: Duration = Duration::from_micros(100);
/// A witness that has not acted by then never will.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// Whether this program was started as a harness.
pub(crate) fn is_asked_for(arguments: &[String]) -> bool {
    let first = arguments.first().map(String::as_str);
    matches!(
        first,
        Some("--version" | "--settings" | "debug" | "features" | "exec")
    )
}

pub(crate) fn main(arguments: &[String]) -> Fallible<()> {
    let settings = match arguments {
        [word, settings, ..] if word == "--settings" => settings,
        // The words in which Codex is asked about itself.
        [word, ..] if word == "debug" => return say(&json!({"models": [{"slug": "m"}]})),
        [word, ..] if word == "features" => {
            let list = "shell_tool x false\nmulti_agent x false\ncode_mode_host x false";
            return Ok(writeln!(stdout(), "{list}")?);
        }
        [word, ..] if word == "exec" => return rollout(),
        // The one takes the first word for the version, the other the last.
        _ => return Ok(writeln!(stdout(), "2.1.330 (stand-in) 0.169.0")?),
    };
    let settings: Value = serde_json::from_slice(&fs::read(settings)?)?;
    call_hook(&settings, "SessionStart", &json!({}))?;
    say(&json!({"type": "system", "subtype": "init", "tools": ["Bash"]}))?;
    let out = std::env::var(OUT)?;
    match std::env::var(PART)?.as_str() {
        "calls" => calls(&settings, Path::new(&out)),
        "ungated" => ungated(Path::new(&out)),
        other => Err(format!("{other} is no part").into()),
    }
}

/// Calls that ask; writes how long each hook took, a number of nanoseconds a line.
fn calls(settings: &Value, out: &Path) -> Fallible<()> {
    let mut times = String::new();
    for number in 0..CALLS {
        let id = format!("toolu_{number}");
        let part = json!({"type": "tool_use", "id": id, "name": "Bash", "input": events::args()});
        say(&json!({"type": "assistant", "message": {"content": [part]}}))?;
        let asked = json!({
            "hook_event_name": "PreToolUse", "tool_use_id": id, "tool_name": "Bash",
            "tool_input": events::args(), "cwd": std::env::current_dir()?,
        });
        let started = Instant::now();
        call_hook(settings, "PreToolUse", &asked)?;
        times += &format!("{}\n", started.elapsed().as_nanos());
        let part = json!({"type": "tool_result", "tool_use_id": id, "content": "done"});
        say(&json!({"type": "user", "message": {"content": [part]}}))?;
    }
    say(&json!({"type": "result", "subtype": "success", "is_error": false, "result": "done"}))?;
    Ok(fs::write(out, times)?)
}

/// The same in the record that Codex writes.
fn rollout() -> Fallible<()> {
    let home = PathBuf::from(std::env::var("CODEX_HOME")?);
    let directory = home.join("sessions/2026/11/22");
    fs::create_dir_all(&directory)?;
    let mut record = File::create(directory.join("rollout-1.jsonl"))?;
    let begun = json!({"type": "session_meta", "payload": {"id": "1"}});
    writeln!(record, "{begun}")?;
    // Time to be found, as a record that has been growing for long.
    thread::sleep(Duration::from_millis(100));
    let payload = json!({"type": "function_call_output", "call_id": "c", "output": "Chunk ID: 1"});
    let result = json!({"type": "response_item", "payload": payload});
    watched(Path::new(&std::env::var(OUT)?), || {
        Ok(writeln!(record, "{result}")?)
    })
}

/// A result that nobody decided about; writes for how many nanoseconds after it this process was
/// still alive.
fn ungated(out: &Path) -> Fallible<()> {
    let part = json!({"type": "tool_result", "tool_use_id": "toolu_0", "content": "ran"});
    watched(out, || {
        say(&json!({"type": "user", "message": {"content": [part]}}))
    })
}

fn watched(out: &Path, show: impl FnOnce() -> Fallible<()>) -> Fallible<()> {
    let out = File::create(out)?;
    // It can be gone before it has written anything more.
    out.write_all_at(b"0", 0)?;
    let started = Instant::now();
    show()?;
    while started.elapsed() < GIVEN_UP {
        let alive = format!("{:020}\n", started.elapsed().as_nanos());
        out.write_all_at(alive.as_bytes(), 0)?;
        thread::sleep(SIGN);
    }
    Err("nobody ended the harness".into())
}

fn say(line: &Value) -> Fallible<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn call_hook(settings: &Value, event: &str, input: &Value) -> Fallible<()> {
    let hook = settings
        .pointer(&format!("/hooks/{event}/0/hooks/0"))
        .ok_or("the settings have no such hook")?;
    let program = hook.get("command").and_then(Value::as_str);
    let arguments = hook.get("args").and_then(Value::as_array);
    let arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
    let mut child = Command::new(program.ok_or("the hook has no command")?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // The first hook reads nothing.
        let _ = stdin.write_all(input.to_string().as_bytes());
    }
    process::succeeded(child.wait()?)
}
