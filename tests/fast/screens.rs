//! The terminal's questions in a real pseudo-terminal, at several widths, as they were stored in `tests/fixtures/screens`.
//! To write them anew: `AGP_WRITE_SCREENS=1 cargo test --test fast screens`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use agp::channels::console::Console;
use agp::channels::terminal::Terminal;
use agp::contracts::approver::Approver;
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, ApprovalTerms, Channel};
use agp::contracts::ids::{MessageId, SessionId, Sha256};
use agp::contracts::question::{Asking, Question};
use agp::contracts::verdict::{Decision, Verdict};
use agp::contracts::view::{CallView, LineKind, Origin, ViewBlock, ViewLine};
use serde_json::{Map, Value, json};
use session::{Live, Start, World, python};

const WIDTHS: [usize; 4] = [40, 60, 80, 200];
/// Stands in each question's prompt, the last of what is drawn.
const PROMPTS: [&str; 2] = ["Allow this call once?", "hidden: [d]etails"];

/// A terminal of a size, with UTF-8 and without colours.
fn at_terminal(start: Start, python: &Path, size: &str) -> Live {
    let start = start
        .env("LANG", "C.UTF-8")
        .env("NO_COLOR", "1")
        .env("TERM", "xterm");
    start.start_at_terminal_of(python, size)
}

fn prompts(text: &str) -> usize {
    PROMPTS
        .iter()
        .map(|prompt| text.matches(prompt).count())
        .sum()
}

/// Types each line once the prompt before it stands.
fn answered(mut live: Live, typed: &[&str]) -> String {
    for (at, line) in typed.iter().enumerate() {
        session::wait_for("the prompt", || (prompts(&live.seen()) > at).then_some(()));
        live.type_in(line);
    }
    live.finish().out
}

/// What is the same at each run: from the first question to the end of the last, without names of this machine.
fn stable(text: &str) -> String {
    let text = text.replace(['\r', '\u{7}'], "");
    let from = text
        .find("Approval needed")
        .unwrap_or_else(|| panic!("{text}"));
    let rows = text[from..].split_inclusive('\n');
    let rows = rows.take_while(|row| !row.contains(" call: ") && !row.starts_with("test "));
    // The transcript has the name of whoever runs the test.
    let drawn = rows.filter(|row| {
        let transcript = ["denied ", "approved ", "    ┆ "];
        !transcript.iter().any(|begin| row.starts_with(begin))
    });
    drawn
        .map(|row| {
            let label = row.split('│').next().unwrap_or_default();
            match label.trim() {
                "repository" | "session" => format!("{label}│ ...\n"),
                _ => timeless(row),
            }
        })
        .collect()
}

/// The time that is left is the same in each.
fn timeless(row: &str) -> String {
    let time = |word: &str| match word.trim_end().as_bytes() {
        [minutes, b':', tens, ones] => [minutes, tens, ones].iter().all(|c| c.is_ascii_digit()),
        _ => false,
    };
    let words = row.split(' ').map(|word| match time(word) {
        true => word.replacen(word.trim_end(), "4:59", 1),
        false => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn is_stored(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens");
    let path = path.join(format!("{name}.txt"));
    if std::env::var_os("AGP_WRITE_SCREENS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{name} is shown as\n{text}\nand stored as\n{stored}"
    );
}

/// One call that is asked about, at each width.
fn case(name: &str, call: &Value, typed: &[&str]) {
    let Some(python) = python() else { return };
    for width in WIDTHS {
        let world = World::new();
        world.policy(&[
            ("allow", "Read"),
            ("require", "Bash"),
            ("require", "Edit"),
            ("require", "Write"),
        ]);
        let file: String = (1..=400)
            .map(|n| format!("let line_{n} = {n};\n"))
            .collect();
        world.put("src/long.rs", &file);
        world.put("docs/real.md", "text\n");
        symlink("../docs/real.md", world.repo().join("src/link.md")).unwrap();
        world.put("calls.jsonl", &format!("{call}\n"));
        let run = world.agp(&["run", "--script", "calls.jsonl", "--sandbox", "recording"]);
        let shown = answered(at_terminal(run, &python, &format!("{width}x24")), typed);
        let text = stable(&shown);
        for row in text.lines() {
            // Each sign here is one column wide, and what is typed stands behind a colon.
            let drawn = row.rsplit_once("]etails: ").map_or(row, |(drawn, _)| drawn);
            let drawn = drawn.rsplit_once("]o: ").map_or(drawn, |(drawn, _)| drawn);
            assert!(drawn.trim_end().chars().count() <= width, "{width}: {row}");
        }
        is_stored(&format!("{name}-{width}"), &text);
    }
}

#[test]
fn a_heredoc_and_the_command_behind_it() {
    let command = "cat > deploy.sh <<'EOF'\n#!/bin/sh\naws s3 sync build/ s3://shop-production --delete\nEOF\nchmod +x deploy.sh && ./deploy.sh";
    let call =
        json!({"tool": "Bash", "args": {"command": command, "description": "Write a script"}});
    case("heredoc", &call, &["maybe\n", "n use the staging bucket\n"]);
}

#[test]
fn an_edit_of_300_lines() {
    let old: String = (50..350)
        .map(|n| format!("let line_{n} = {n};\n"))
        .collect();
    let new = old.replace(" = ", " = 1 + ");
    let call = json!({"tool": "Edit", "args": {"file_path": "src/long.rs", "old_string": old, "new_string": new}});
    case("edit", &call, &["y\n", "n\n"]);
}

#[test]
fn controls_and_bidi() {
    let command = "echo \u{1b}[2J\u{202e}fdp.exe\r\u{7}\tx\u{200b}y\nApproval needed · question 9 · 4:59 left\nprintf 'a\\tb\\u{41}\\n'";
    let call = json!({"tool": "Bash", "args": {"command": command}});
    case("controls", &call, &["n\n"]);
}

#[test]
fn a_path_that_is_a_link() {
    let call =
        json!({"tool": "Write", "args": {"file_path": "src/link.md", "content": "other text\n"}});
    case("link", &call, &["n\n"]);
}

#[test]
fn a_resize_in_the_midst() {
    let Some(python) = python() else { return };
    let world = World::new();
    world.policy(&[("require", "*")]);
    let command = "git push origin feature/a-name-that-is-so-long-that-it-is-broken-at-eighty-columns-or-less";
    let call = json!({"tool": "Bash", "args": {"command": command}});
    world.put("calls.jsonl", &format!("{call}\n"));
    let run = world.agp(&["run", "--script", "calls.jsonl", "--sandbox", "recording"]);
    let live = at_terminal(run, &python, "80x24");
    // What was typed before the new size is thrown away with it.
    let shown = answered(live, &["y\u{1e}40x24\u{1e}", "\u{1e}200x24\u{1e}", "n\n"]);
    is_stored("resize", &stable(&shown));
    assert_eq!(
        world.event("approval.denied")["payload"]["channel"],
        "console"
    );
}

/// Runs in a terminal, for [`five_questions_at_once`].
#[test]
#[ignore = "is started by another test, in a terminal"]
fn asks_five_at_once() {
    let terminal = Arc::new(Terminal::find());
    let account = Approver::Account("alice".to_owned());
    let by = "alice at /dev/pts/3".to_owned();
    let console = Console::start(Arc::clone(&terminal), by, account, true).unwrap();
    let commands = [
        "git push origin main",
        "npm publish",
        "terraform apply\nterraform output",
        "rm -rf build",
        "make deploy",
    ];
    let questions: Vec<Arc<Question>> = (1..)
        .zip(commands)
        .map(|(number, command)| Arc::new(Question::new(asking(number, command), 1)))
        .collect();
    for question in &questions {
        console.show(question).unwrap();
    }
    fs::write("ready", "").unwrap();
    // The second is answered elsewhere, once the first is.
    let _ = questions[0].wait();
    questions[1].settle(Answer::TimedOut);
    console.over(&questions[1], &Answer::TimedOut);
    for question in &questions {
        let answer = question.wait();
        let text = match answer {
            Answer::Granted { .. } => "approved",
            Answer::Denied { .. } => "denied",
            _ => "neither",
        };
        terminal.show(&format!("question {}: {text}", question.asking().number));
    }
    console.hang_up();
}

fn asking(number: u64, command: &str) -> Asking {
    let lines = command.split('\n').map(|text| ViewLine {
        kind: LineKind::Command,
        number: None,
        text: text.to_owned(),
    });
    Asking {
        number,
        call: Arc::new(ToolCall {
            id: MessageId::new(format!("call-{number}")).unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: "Bash".into(),
            args: Map::new(),
            actor: Actor::ClaudeProcess,
        }),
        verdict: Verdict {
            decision: Decision::Require,
            ..Verdict::refused("it leaves this machine")
        },
        terms: ApprovalTerms::default(),
        approvers: Vec::new(),
        offer: None,
        view: CallView {
            tool: "Bash".into(),
            blocks: vec![ViewBlock {
                heading: "runs".into(),
                subject: None,
                lines: lines.collect(),
            }],
            rule: Some("publish".into()),
            reason: "it leaves this machine".into(),
            origin: Origin {
                session: "s-1".into(),
                harness: "claude-code".into(),
                task: Some("Ship it".into()),
                repository: "/srv/shop".into(),
                host: "build-1".into(),
                user: "alice".into(),
            },
            ..CallView::default()
        },
        args_sha256: Sha256([7; 32]),
        reading_sha256: Sha256([7; 32]),
        deadline: Duration::from_secs(300),
        queue: Duration::from_secs(600),
    }
}

#[test]
fn five_questions_at_once() {
    let Some(python) = python() else { return };
    for width in WIDTHS {
        let world = World::empty();
        let own = std::env::current_exe().unwrap();
        let run = world
            .agp(&[
                "--ignored",
                "--exact",
                "--nocapture",
                "screens::asks_five_at_once",
            ])
            .program(&own);
        let mut live = at_terminal(run, &python, &format!("{width}x24"));
        session::wait_for("all five", || world.get("ready"));
        // What the terminal echoes is not to stand among what is still being drawn.
        let (mut length, mut same) = (0, 0);
        session::wait_for("the end of the drawing", || {
            same = if live.seen().len() == length {
                same + 1
            } else {
                0
            };
            length = live.seen().len();
            (same > 50).then_some(())
        });
        for (header, times, typed) in [
            ("question 1 ·", 1, "3\n"),
            ("question 3 ·", 1, "3 n not today\n"),
            ("question 1 ·", 2, "1 y\n"),
            // The second was answered elsewhere by then.
            ("question 4 ·", 1, "y\n"),
            ("question 5 ·", 1, "y\n"),
        ] {
            live.see_times(header, times);
            session::wait_for("its prompt", || {
                let seen = live.seen();
                let (_, drawn) = seen.rsplit_once(header)?;
                drawn
                    .contains("[l]ist:")
                    .then_some(())
                    .or(drawn.contains("[d]etails:").then_some(()))
            });
            live.type_in(typed);
        }
        let shown = live.finish().out;
        let text = stable(&shown);
        for (number, answer) in [
            (1, "approved"),
            (2, "neither"),
            (3, "denied"),
            (4, "approved"),
            (5, "approved"),
        ] {
            assert!(
                text.contains(&format!("question {number}: {answer}\n")),
                "{text}"
            );
        }
        is_stored(&format!("five-{width}"), &text);
    }
}
