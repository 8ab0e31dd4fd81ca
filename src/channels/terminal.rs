//! The operator's terminal: live lines and questions share it without running into each other.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use crate::contracts::fold::{self, Next};
use crate::contracts::lock::locked;
use crate::contracts::plural::count;

/// Lines held back while a question stands; beyond it the oldest are dropped and counted.
const HELD_LINES: usize = 1000;
/// Stands before each line of a command's output.
pub const OUTPUT_BAR: &str = "      |";
/// Bytes of an answer: a word.
const ANSWER_BYTES: usize = 64;

#[derive(Default)]
struct TerminalState {
    asking: bool,
    held: Vec<(Output, String)>,
    dropped: usize,
}

/// Where a line goes: what the session does, the same from the harness for a program to read, or what
/// agp itself has to say.
#[derive(Clone, Copy)]
enum Output {
    Session,
    Raw,
    Own,
}

/// Is given each line that a terminal shows.
pub type Mirror = Box<dyn Fn(&str) + Send + Sync>;

/// Where the operator reads and, if it is a terminal, answers.
pub struct Terminal {
    state: Mutex<TerminalState>,
    /// One question at a time; those who wait here run against their own deadlines.
    turn: Mutex<()>,
    input: Option<Input>,
    /// Why nobody can be asked, where there is no input.
    nobody: &'static str,
    /// Dropped when the session is over.
    open: Mutex<Option<PipeWriter>>,
    /// Who else is shown each line.
    mirror: OnceLock<Mirror>,
}

/// Where answers come from.
struct Input {
    tty: File,
    /// Readable, for it is at its end, once nobody waits for an answer any more.
    over: PipeReader,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A line as it was typed, without its newline; of one that is longer than any answer not all.
    Line(String),
    /// Nothing in time.
    Nothing,
    /// The terminal is gone, or its user closed the input.
    Closed,
    /// The session ended while it waited.
    Over,
}

impl Terminal {
    /// The controlling terminal if there is one, or standard input if that is a terminal; without
    /// either, nobody can be asked.
    #[must_use]
    pub fn find() -> Self {
        let stdin = io::stdin();
        let tty = if stdin.is_terminal() && io::stderr().is_terminal() {
            stdin.as_fd().try_clone_to_owned().ok().map(File::from)
        } else {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/tty")
                .ok()
        };
        // Without a way to end a question, none is put.
        let (over, open) = match io::pipe() {
            Ok((over, open)) => (Some(over), Some(open)),
            Err(_) => (None, None),
        };
        Self {
            input: tty.zip(over).map(|(tty, over)| Input { tty, over }),
            open: Mutex::new(open),
            ..Self::unattended("no terminal; run agp in one, or use --channel slack")
        }
    }

    /// A terminal at which nobody can be asked, and why.
    #[must_use]
    pub fn unattended(nobody: &'static str) -> Self {
        Self {
            nobody,
            state: Mutex::default(),
            turn: Mutex::default(),
            input: None,
            open: Mutex::default(),
            mirror: OnceLock::new(),
        }
    }

    /// One at which somebody types this, and stays or leaves.
    #[cfg(test)]
    pub(super) fn typing(text: &str, stays: bool) -> (Self, Option<PipeWriter>) {
        let (tty, mut typist) = io::pipe().unwrap();
        typist.write_all(text.as_bytes()).unwrap();
        let (over, open) = io::pipe().unwrap();
        let tty = File::from(std::os::fd::OwnedFd::from(tty));
        let terminal = Self {
            input: Some(Input { tty, over }),
            open: Mutex::new(Some(open)),
            ..Self::unattended("")
        };
        (terminal, stays.then_some(typist))
    }

    /// Why nobody can be asked, if that is so.
    #[must_use]
    pub fn unattended_because(&self) -> Option<&'static str> {
        self.input.is_none().then_some(self.nobody)
    }

    /// Ends the question that stands and every later one: the session is over.
    pub fn hang_up(&self) {
        *locked(&self.open) = None;
    }

    /// Shows a line of the session's on standard output, at once or, while a question stands,
    /// after it. The line is shown as it is: whatever the agent said in it must be escaped before.
    pub fn show(&self, line: &str) {
        self.put(Output::Session, line);
    }

    /// As [`Self::show`], of a line that a program may read: it is never broken.
    pub fn pass(&self, line: &str) {
        self.put(Output::Raw, line);
    }

    /// As [`Self::show`], for agp's own words: on standard error, where a program that reads the
    /// session's output does not meet them.
    pub fn tell(&self, line: &str) {
        self.put(Output::Own, line);
    }

    /// From now on each line of the session's and of agp's own is given to this, too, as it is shown and no later. It must
    /// not wait. Only the first one counts.
    pub fn mirror(&self, to: Mirror) {
        let _ = self.mirror.set(to);
    }

    fn put(&self, output: Output, line: &str) {
        if let (Output::Session | Output::Own, Some(mirror)) = (output, self.mirror.get()) {
            mirror(line);
        }
        let mut state = locked(&self.state);
        if !state.asking {
            write_out(output, line);
        } else if state.held.len() < HELD_LINES {
            state.held.push((output, line.to_owned()));
        } else {
            state.dropped += 1;
        }
    }

    /// Puts a question and reads one line, not before this question was shown: what was typed
    /// ahead is thrown away, so that an earlier keystroke cannot approve a later call.
    pub fn ask(&self, question: &str, until: Instant) -> Typed {
        let Some(input) = &self.input else {
            return Typed::Closed;
        };
        let _turn = locked(&self.turn);
        if Instant::now() >= until {
            return Typed::Nothing;
        }
        match input.wait(Duration::ZERO) {
            Ok((_, false)) => {}
            Ok((_, true)) => return Typed::Over,
            Err(_) => return Typed::Closed,
        }
        self.hold(true);
        // Not a terminal any more: reading then says so.
        let _ = tcflush(&input.tty, QueueSelector::IFlush);
        self.write_question(question);
        let typed = input.line(until);
        if !matches!(typed, Typed::Line(_)) {
            // Nothing ended the question's line.
            self.write_question("\n");
        }
        self.hold(false);
        typed
    }

    fn write_question(&self, question: &str) {
        match &self.input {
            Some(input) if !io::stderr().is_terminal() => {
                // Standard error is a file: the question belongs to the terminal.
                let _ = (&input.tty).write_all(question.as_bytes());
            }
            _ => {
                let mut stderr = io::stderr().lock();
                let _ = stderr
                    .write_all(question.as_bytes())
                    .and_then(|()| stderr.flush());
            }
        }
    }

    fn hold(&self, asking: bool) {
        let mut state = locked(&self.state);
        state.asking = asking;
        if !asking {
            for (output, line) in std::mem::take(&mut state.held) {
                write_out(output, &line);
            }
            let dropped = std::mem::take(&mut state.dropped);
            if dropped > 0 {
                let line = format!("({} not shown; see the journal)", count(dropped, "line"));
                write_out(Output::Own, &line);
            }
        }
    }
}

fn write_out(output: Output, line: &str) {
    let line = match output {
        Output::Session => fold::stdout(line, next_of(line)),
        Output::Raw => line.to_owned(),
        Output::Own => fold::stderr(line, next_of(line)),
    };
    // An operator who closed the output does not stop the session.
    let _ = match output {
        Output::Session | Output::Raw => {
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{line}").and_then(|()| stdout.flush())
        }
        Output::Own => writeln!(io::stderr().lock(), "{line}"),
    };
}

/// How a live line goes on: a command's output behind its bar, what the model says below its beginning, and
/// all else to the right of where a line of agp's begins.
fn next_of(line: &str) -> Next {
    let indent = line.len() - line.trim_start_matches(' ').len();
    match line.get(indent..) {
        Some(text) if text.starts_with(OUTPUT_BAR.trim_start()) => Next {
            indent: OUTPUT_BAR.len() + 2,
            bar: OUTPUT_BAR,
            ..Next::FOREIGN
        },
        Some(_) if indent > 0 => Next {
            indent,
            ..Next::FOREIGN
        },
        _ => Next::FOREIGN,
    }
}

impl Input {
    fn line(&self, until: Instant) -> Typed {
        let mut line = Vec::new();
        loop {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return Typed::Nothing;
            };
            match self.wait(left) {
                Ok((_, true)) => return Typed::Over,
                Ok((false, false)) => continue,
                Ok((true, false)) => {}
                // It would be so each time until the deadline.
                Err(_) => return Typed::Closed,
            }
            let mut block = [0_u8; ANSWER_BYTES];
            match (&self.tty).read(&mut block) {
                Ok(0) => return Typed::Closed,
                Ok(got) => line.extend_from_slice(block.get(..got).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Typed::Closed,
            }
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                line.truncate(end);
                return Typed::Line(String::from_utf8_lossy(&line).into_owned());
            }
            if line.len() > ANSWER_BYTES {
                // Read on to the line's end. What is kept is longer than any word, and so no answer.
                line.truncate(ANSWER_BYTES);
            }
        }
    }

    /// Whether something was typed, and whether the session is over.
    fn wait(&self, within: Duration) -> Result<(bool, bool), Errno> {
        let timeout = Timespec {
            tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: within.subsec_nanos().into(),
        };
        let mut polled = [
            PollFd::new(&self.tty, PollFlags::IN),
            PollFd::new(&self.over, PollFlags::IN),
        ];
        let ready = poll(&mut polled, Some(&timeout));
        woken(ready, polled.map(|fd| !fd.revents().is_empty()))
    }
}

/// What a wait came to: one that a signal interrupted came to nothing, and its caller waits again.
fn woken(ready: Result<usize, Errno>, [typed, over]: [bool; 2]) -> Result<(bool, bool), Errno> {
    match ready {
        Ok(_) => Ok((typed, over)),
        Err(Errno::INTR) => Ok((false, false)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_fails_is_not_begun_again_unless_a_signal_interrupted_it() {
        assert_eq!(woken(Ok(1), [true, false]), Ok((true, false)));
        assert_eq!(woken(Err(Errno::INTR), [true, true]), Ok((false, false)));
        for error in [Errno::INVAL, Errno::NOMEM, Errno::FAULT] {
            assert_eq!(woken(Err(error), [false, false]), Err(error));
        }
    }
}
