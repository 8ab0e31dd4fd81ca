//! The operator's terminal: live lines and questions share it without running into each other.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{QueueSelector, tcflush};

/// Lines held back while a question stands; beyond it the oldest are dropped and counted.
const HELD_LINES: usize = 1000;
/// How soon a question notices that the session is ending.
const CLOSE_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of an answer: a word.
const ANSWER_BYTES: usize = 64;

#[derive(Default)]
struct State {
    asking: bool,
    held: Vec<String>,
    dropped: usize,
}

/// Where the operator reads and, if it is a terminal, answers.
pub struct Terminal {
    state: Mutex<State>,
    /// One question at a time; those who wait here run against their own deadlines.
    turn: Mutex<()>,
    input: Option<File>,
    closed: AtomicBool,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A line, without its newline.
    Line(String),
    /// Nothing in time.
    Nothing,
    /// The terminal is gone, or its user closed the input.
    Closed,
}

impl Terminal {
    /// The controlling terminal if there is one, or standard input if that is a terminal; without
    /// either, nobody can be asked.
    #[must_use]
    pub fn find() -> Self {
        let stdin = io::stdin();
        let input = if stdin.is_terminal() && io::stderr().is_terminal() {
            stdin.as_fd().try_clone_to_owned().ok().map(File::from)
        } else {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/tty")
                .ok()
        };
        Self {
            state: Mutex::default(),
            turn: Mutex::default(),
            input,
            closed: AtomicBool::new(false),
        }
    }

    /// A terminal at which nobody can be asked.
    #[must_use]
    pub fn unattended() -> Self {
        Self {
            state: Mutex::default(),
            turn: Mutex::default(),
            input: None,
            closed: AtomicBool::new(false),
        }
    }

    /// Whether somebody can be asked.
    #[must_use]
    pub fn is_attended(&self) -> bool {
        self.input.is_some()
    }

    /// Ends the question that stands and refuses further ones: the session is ending.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Shows a line, at once or, while a question stands, after it. The line is shown as it is:
    /// whatever the agent said in it must be escaped before.
    pub fn show(&self, line: &str) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        if !state.asking {
            write_out(line);
        } else if state.held.len() < HELD_LINES {
            state.held.push(line.to_owned());
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
        let Ok(_turn) = self.turn.lock() else {
            return Typed::Closed;
        };
        if self.closed.load(Ordering::SeqCst) {
            return Typed::Closed;
        }
        if Instant::now() >= until {
            return Typed::Nothing;
        }
        self.hold(true);
        // Not a terminal any more: reading then says so.
        let _ = tcflush(input, QueueSelector::IFlush);
        self.write_question(question);
        let typed = self.read_line(input, until);
        self.hold(false);
        typed
    }

    fn write_question(&self, question: &str) {
        match &self.input {
            Some(tty) if !io::stderr().is_terminal() => {
                // Standard error is a file: the question belongs to the terminal.
                let mut tty: &File = tty;
                let _ = tty.write_all(question.as_bytes());
            }
            _ => {
                let mut stderr = io::stderr().lock();
                let _ = stderr
                    .write_all(question.as_bytes())
                    .and_then(|()| stderr.flush());
            }
        }
    }

    fn read_line(&self, mut input: &File, until: Instant) -> Typed {
        let mut line = Vec::new();
        loop {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return Typed::Nothing;
            };
            if self.closed.load(Ordering::SeqCst) {
                return Typed::Closed;
            }
            if !readable(input, left.min(CLOSE_INTERVAL)) {
                continue;
            }
            let mut block = [0_u8; ANSWER_BYTES];
            match input.read(&mut block) {
                Ok(0) => return Typed::Closed,
                Ok(got) => line.extend_from_slice(block.get(..got).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Typed::Closed,
            }
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                line.truncate(end);
                return Typed::Line(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if line.len() > ANSWER_BYTES {
                // Keep reading to the line's end, but it is no answer any more.
                line.truncate(ANSWER_BYTES);
            }
        }
    }

    fn hold(&self, asking: bool) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        state.asking = asking;
        if !asking {
            for line in std::mem::take(&mut state.held) {
                write_out(&line);
            }
            let dropped = std::mem::take(&mut state.dropped);
            if dropped > 0 {
                write_out(&format!(
                    "({dropped} lines not shown; the journal has them)"
                ));
            }
        }
    }
}

fn write_out(line: &str) {
    let mut stdout = io::stdout().lock();
    // An operator who closed the output does not stop the session.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn readable(input: &File, within: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: within.subsec_nanos().into(),
    };
    let mut polled = [PollFd::new(input, PollFlags::IN)];
    matches!(poll(&mut polled, Some(&timeout)), Ok(ready) if ready > 0)
}
