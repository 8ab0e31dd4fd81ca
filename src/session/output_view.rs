//! The output of commands as the operator sees it while they run, and how each ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use serde_json::Value;

use crate::channels::escape;
use crate::channels::screen::OUTPUT_BAR;
use crate::channels::terminal::Terminal;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;
use crate::contracts::sandbox::Execution;
use crate::contracts::secret::SHELL;
use crate::sandbox::process::Output;
use crate::view::escape::units;

/// Lines of one call that are shown as they come: nobody reads more.
const FIRST_LINES: usize = 40;
/// Lines that are shown at its end besides: what went wrong stands there.
const LAST_LINES: usize = 5;
/// Characters of a line of a command's output on the terminal.
const LINE_CHARS: usize = 400;
/// A call that took no longer ends without a word, where it ended well.
const SHORT: Duration = Duration::from_secs(1);
/// Stands before a number where Claude Code tells the model how a command ended.
const EXIT_CODE: &str = "Exit code ";

/// Shows the output of commands line by line as it comes, escaped: it is the agent's. `raw` leaves
/// standard output to the harness.
pub(crate) fn shown(terminal: &Arc<Terminal>, raw: bool) -> Arc<Output> {
    let terminal = Arc::clone(terminal);
    let begun: Mutex<Begun> = Mutex::default();
    Arc::new(move |block| {
        let mut begun = locked(&begun);
        for line in begun.take(thread::current().id(), block) {
            match raw {
                true => terminal.tell(&line),
                false => terminal.show(&line),
            }
        }
    })
}

/// The calls whose output comes. Each has a worker of its own: the lines of calls that run at once are kept apart.
#[derive(Default)]
struct Begun(HashMap<ThreadId, CallOutput>);

/// One call's output so far.
#[derive(Default)]
struct CallOutput {
    /// Of a line that is not whole yet.
    part: Vec<u8>,
    lines: usize,
    /// The last of those that were not shown.
    last: VecDeque<String>,
}

impl Begun {
    /// Takes a worker's block of output, an empty one for its end. Gives the lines to show.
    fn take(&mut self, worker: ThreadId, block: &[u8]) -> Vec<String> {
        let mut output = self.0.remove(&worker).unwrap_or_default();
        let mut lines = output.take(block);
        if block.is_empty() {
            lines.extend(output.end());
        } else {
            self.0.insert(worker, output);
        }
        lines
    }
}

impl CallOutput {
    fn take(&mut self, block: &[u8]) -> Vec<String> {
        let mut view = Vec::new();
        for piece in block.split_inclusive(|byte| *byte == b'\n') {
            self.part.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.part.len() > LINE_CHARS * 4 {
                view.extend(self.line());
            }
        }
        view
    }

    /// The line that is whole, if it is to be shown now.
    fn line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.part);
        let line = of_output(line.strip_suffix(b"\n").unwrap_or(&line));
        self.lines += 1;
        if self.lines <= FIRST_LINES {
            return Some(line);
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
        None
    }

    /// What is still to be shown when the call has ended.
    fn end(mut self) -> Vec<String> {
        let mut view = Vec::new();
        if !self.part.is_empty() {
            view.extend(self.line());
        }
        view.extend(more(
            self.lines.saturating_sub(FIRST_LINES + self.last.len()),
        ));
        view.extend(self.last);
        view
    }
}

/// That so many lines are not shown.
fn more(lines: usize) -> Option<String> {
    (lines > 0).then(|| format!("      ({})", count(lines, "more line")))
}

fn of_output(line: &[u8]) -> String {
    // A tab moves no more than the cursor, and stands between a line's number and its text.
    let line = String::from_utf8_lossy(line).replace('\t', "  ");
    let line = line.trim_end();
    let mut text: String = units(line).take(LINE_CHARS).collect();
    if units(line).nth(LINE_CHARS).is_some() {
        text.push('…');
    }
    format!("{OUTPUT_BAR}{text}")
}

/// How a call ended, where that is worth a line.
pub(crate) fn ended(execution: &Execution, ran: Option<Duration>) -> Option<String> {
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
    end_line(said, ran)
}

fn end_line(mut said: Vec<String>, ran: Option<Duration>) -> Option<String> {
    let ran = ran.filter(|ran| *ran >= SHORT);
    if said.is_empty() {
        ran?;
        said.push("done".to_owned());
    }
    if let Some(ran) = ran {
        said.push(format!("{}.{} s", ran.as_secs(), ran.subsec_millis() / 100));
    }
    Some(format!("      {}", said.join("; ")))
}

/// The end of a call that the harness ran itself, as its report has it: the last lines of what a command wrote, and how
/// it ended.
pub(crate) fn returned(tool: &str, ok: bool, output: &str, ran: Duration) -> Vec<String> {
    let mut said = Vec::new();
    let mut text = String::new();
    if tool == SHELL.0 || !ok {
        text = printed(output);
    }
    if !ok {
        let code = text.strip_prefix(EXIT_CODE).and_then(|rest| {
            let (code, rest) = rest.split_once('\n').unwrap_or((rest, ""));
            Some((code.trim().parse::<i32>().ok()?, rest.to_owned()))
        });
        match code {
            Some((code, rest)) => {
                said.push(format!("exit code {code}"));
                text = rest;
            }
            None => said.push("failed".to_owned()),
        }
    }
    let lines: Vec<&str> = text.trim_end().split('\n').collect();
    let lines = if text.trim().is_empty() {
        Vec::new()
    } else {
        lines
    };
    let left_out = lines.len().saturating_sub(LAST_LINES);
    let mut view: Vec<String> = more(left_out).into_iter().collect();
    view.extend(
        lines
            .iter()
            .skip(left_out)
            .map(|line| of_output(line.as_bytes())),
    );
    view.extend(end_line(said, Some(ran)));
    view
}

/// What a command wrote, of what the harness says about it.
fn printed(output: &str) -> String {
    match serde_json::from_str(output) {
        Ok(Value::Object(object)) => {
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            let texts = [text("stdout"), text("stderr")];
            let texts: Vec<&str> = texts
                .into_iter()
                .flatten()
                .filter(|text| !text.is_empty())
                .collect();
            texts.join("\n")
        }
        _ => output.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_calls_that_run_at_once_stay_whole() {
        let other = thread::spawn(|| thread::current().id()).join().unwrap();
        let first = thread::current().id();
        let mut begun = Begun::default();
        assert_eq!(begun.take(first, b"one\nbe"), ["      │ one"]);
        assert_eq!(begun.take(other, b"other"), [""; 0]);
        assert_eq!(begun.take(first, b"gun\n"), ["      │ begun"]);
        assert_eq!(begun.take(other, b""), ["      │ other"]);
        assert_eq!(begun.take(first, b""), [""; 0]);
        assert!(begun.0.is_empty());
    }

    #[test]
    fn a_call_s_output_is_bounded_however_it_comes() {
        let worker = thread::current().id();
        for lines in [1, 7, 1000] {
            let mut begun = Begun::default();
            let mut view = Vec::new();
            for block in 0..1000 / lines {
                let block: String = (0..lines)
                    .map(|line| format!("{}\n", block * lines + line))
                    .collect();
                view.extend(begun.take(worker, block.as_bytes()));
            }
            view.extend(begun.take(worker, b""));
            assert_eq!(view.len(), FIRST_LINES + 1 + LAST_LINES, "{lines}");
            assert!(view[FIRST_LINES].contains(" more lines)"));
            let last = format!("      │ {}", 1000 / lines * lines - 1);
            assert_eq!(view.last(), Some(&last));
        }
        let mut begun = Begun::default();
        let mut view = begun.take(worker, &b"x\n".repeat(FIRST_LINES + LAST_LINES));
        view.extend(begun.take(worker, b""));
        assert_eq!(view.len(), FIRST_LINES + LAST_LINES, "nothing is left out");
    }

    #[test]
    fn an_outputs_line_is_shown_escaped_and_cut() {
        assert_eq!(of_output(b"one\ttwo  "), "      │ one  two");
        assert_eq!(of_output(br"C:\x"), r"      │ C:\x");
        let escaped = of_output(b"\x1b[2J\xff");
        assert!(!escaped.contains('\u{1b}'), "{escaped}");
        assert!(of_output(&[b'x'; 10_000]).len() < 1_000);
    }

    #[test]
    fn a_call_of_the_harness_s_own_ends_as_one_of_agps() {
        let ran = Duration::from_millis(12_340);
        let short = Duration::from_millis(20);
        let object = r#"{"stdout":"one\ntwo","stderr":"three","interrupted":false}"#;
        for (tool, ok, output, ran, expected) in [
            (
                "Bash",
                true,
                object,
                ran,
                &[
                    "      │ one",
                    "      │ two",
                    "      │ three",
                    "      done; 12.3 s",
                ][..],
            ),
            (
                "Bash",
                true,
                object,
                short,
                &["      │ one", "      │ two", "      │ three"],
            ),
            (
                "Bash",
                false,
                "Exit code 3\nno such file",
                short,
                &["      │ no such file", "      exit code 3"],
            ),
            (
                "Bash",
                false,
                "Exit code x",
                short,
                &["      │ Exit code x", "      failed"],
            ),
            (
                "Bash",
                true,
                "1\n2\n3\n4\n5\n6\n7\n",
                short,
                &[
                    "      (2 more lines)",
                    "      │ 3",
                    "      │ 4",
                    "      │ 5",
                    "      │ 6",
                    "      │ 7",
                ],
            ),
            ("Bash", true, "", short, &[]),
            ("Read", true, "text of a file", short, &[]),
            (
                "Edit",
                false,
                "not found\u{1b}",
                short,
                &[r"      │ not found\u{1b}", "      failed"],
            ),
        ] {
            assert_eq!(returned(tool, ok, output, ran), expected, "{output}");
        }
    }
}
