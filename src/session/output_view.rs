//! The output of commands as the operator sees it while they run, and how each ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use crate::channels::escape;
use crate::channels::screen::OUTPUT_BAR;
use crate::channels::terminal::Terminal;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;
use crate::contracts::sandbox::Execution;
use crate::sandbox::process::Output;

/// Lines of one block of output that are shown: nobody reads more at once.
const BURST_LINES: usize = 50;
/// Characters of a line of a command's output on the terminal.
const LINE_CHARS: usize = 400;

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

/// Lines that are not whole yet. Each call has a worker of its own: the lines of calls that run at
/// once are kept apart.
#[derive(Default)]
struct Begun(HashMap<ThreadId, Vec<u8>>);

impl Begun {
    /// Takes a worker's block of output, an empty one for its end. Gives the lines to show.
    fn take(&mut self, worker: ThreadId, block: &[u8]) -> Vec<String> {
        let mut begun = self.0.remove(&worker).unwrap_or_default();
        let mut view = Vec::new();
        let (whole, rest) = match block.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => block.split_at(end + 1),
            None => (&[][..], block),
        };
        if !whole.is_empty() {
            begun.extend_from_slice(whole);
            let mut lines = begun.split_inclusive(|byte| *byte == b'\n');
            let some = lines.by_ref().take(BURST_LINES);
            view.extend(some.map(|line| of_output(line.strip_suffix(b"\n").unwrap_or(line))));
            let more = lines.count();
            if more > 0 {
                view.push(format!("{OUTPUT_BAR}({})", count(more, "more line")));
            }
            begun.clear();
        }
        begun.extend_from_slice(rest);
        let ended = block.is_empty() && !begun.is_empty();
        if ended || begun.len() > LINE_CHARS * 4 {
            view.push(of_output(&begun));
            begun.clear();
        }
        if !begun.is_empty() {
            self.0.insert(worker, begun);
        }
        view
    }
}

fn of_output(line: &[u8]) -> String {
    // A tab moves no more than the cursor, and stands between a line's number and its text.
    let line = String::from_utf8_lossy(line).replace('\t', "  ");
    let line = escape::line_max(&line, LINE_CHARS);
    format!("{OUTPUT_BAR}{}", line.trim_end())
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
        let first = thread::current().id();
        let mut begun = Begun::default();
        assert_eq!(begun.take(first, b"one\nbe"), ["      │ one"]);
        assert_eq!(begun.take(other, b"other"), [""; 0]);
        assert_eq!(begun.take(first, b"gun\n"), ["      │ begun"]);
        assert_eq!(begun.take(other, b""), ["      │ other"]);
        assert_eq!(begun.take(first, b""), [""; 0]);
        assert!(begun.0.is_empty());
        let many = begun.take(first, &b"x\n".repeat(BURST_LINES + 2));
        assert_eq!(many.last().unwrap(), "      │ (2 more lines)");
    }

    #[test]
    fn an_outputs_line_is_shown_escaped_and_cut() {
        assert_eq!(of_output(b"one\ttwo  "), "      │ one  two");
        let escaped = of_output(b"\x1b[2J\xff");
        assert!(!escaped.contains('\u{1b}'), "{escaped}");
        assert!(of_output(&[b'x'; 10_000]).len() < 1_000);
    }
}
