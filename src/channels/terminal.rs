//! The operator's terminal: live lines and questions share it without running into each other.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush, tcgetwinsize};

use crate::contracts::limits;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;

use super::screen::{Bars, Look, live_line};

/// Lines held back while a question stands; beyond it the oldest are dropped and counted.
const HELD_LINES: usize = 1000;
/// Why nobody can be asked where there is no terminal, and what helps.
pub const NO_TERMINAL: &str = "no terminal; run agp in one, with --attend, or with --channel slack";
/// Bytes of an answer: a word, and a reason. What is longer is none.
const ANSWER_BYTES: usize = limits::REASON_BYTES + 64;

#[derive(Default)]
struct TerminalState {
    asking: bool,
    /// Whether a prompt stands, and nothing was typed behind it that ended its line.
    begun: bool,
    /// The session is over: no question stands any more.
    over: bool,
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
    tty: Option<File>,
    /// Why nobody can be asked, where there is no terminal.
    nobody: &'static str,
    /// How standard output and standard error look; `None` where they are no terminal.
    looks: [Option<Look>; 2],
    /// How the terminal of the questions does.
    look: Look,
    /// Who else is shown each line.
    mirror: OnceLock<Mirror>,
}

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// A line as it was typed, without its newline; `None` where it is longer than any answer.
    Line(Option<String>),
    /// No whole line yet.
    Begun,
    /// The terminal is gone.
    Closed,
}

/// What is typed until its line is whole.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    typed: Vec<u8>,
    too_long: bool,
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
        let look = look_of_environment();
        let streams = [io::stdout().is_terminal(), io::stderr().is_terminal()];
        Self {
            tty,
            look,
            looks: streams.map(|terminal| terminal.then_some(look)),
            ..Self::unattended(NO_TERMINAL)
        }
    }

    /// A terminal at which nobody can be asked, and why.
    #[must_use]
    pub fn unattended(nobody: &'static str) -> Self {
        let streams = [io::stdout().is_terminal(), io::stderr().is_terminal()];
        let look = look_of_environment();
        Self {
            nobody,
            state: Mutex::default(),
            tty: None,
            looks: streams.map(|terminal| terminal.then_some(look)),
            look,
            mirror: OnceLock::new(),
        }
    }

    /// One at which somebody types this, and stays or leaves.
    #[cfg(test)]
    pub(super) fn typing(text: &str, stays: bool) -> (Self, Option<io::PipeWriter>) {
        let (tty, mut typist) = io::pipe().unwrap();
        typist.write_all(text.as_bytes()).unwrap();
        let tty = File::from(std::os::fd::OwnedFd::from(tty));
        let terminal = Self {
            tty: Some(tty),
            ..Self::unattended("")
        };
        (terminal, stays.then_some(typist))
    }

    /// Why nobody can be asked, if that is so.
    #[must_use]
    pub fn unattended_because(&self) -> Option<&'static str> {
        self.tty.is_none().then_some(self.nobody)
    }

    /// No question stands any more: the session is over. What was held back is shown.
    pub(super) fn hang_up(&self) {
        let mut state = locked(&self.state);
        state.over = true;
        self.release(&mut state);
    }

    /// The terminal itself, for whoever waits for other things too.
    pub(super) fn file(&self) -> Option<&File> {
        self.tty.as_ref()
    }

    /// How the terminal of the questions looks now.
    pub(super) fn look(&self) -> Look {
        let size = match &self.tty {
            Some(tty) => tcgetwinsize(tty),
            None => tcgetwinsize(io::stderr()),
        };
        sized(self.look, size)
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

    /// As [`Self::tell`], and only here: who attends is not told what concerns nobody who does.
    pub fn tell_here(&self, line: &str) {
        self.hold_or_write(Output::Own, line);
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
        self.hold_or_write(output, line);
    }

    fn hold_or_write(&self, output: Output, line: &str) {
        let mut state = locked(&self.state);
        if !state.asking {
            self.write_out(output, line);
        } else if state.held.len() < HELD_LINES {
            state.held.push((output, line.to_owned()));
        } else {
            state.dropped += 1;
        }
    }

    /// Writes something of a question's. From then on lines are held back until [`Self::resume`].
    pub(super) fn put_question(&self, text: &str) {
        let mut state = locked(&self.state);
        if state.over {
            return;
        }
        state.asking = true;
        state.begun = !text.ends_with('\n');
        self.write_question(text);
    }

    /// No question waits: what was held back is shown.
    pub(super) fn resume(&self) {
        let mut state = locked(&self.state);
        self.release(&mut state);
    }

    /// Throws away what was typed and not read yet.
    pub(super) fn forget_typed(&self, keyboard: &mut Keyboard) {
        *keyboard = Keyboard::default();
        if let Some(tty) = &self.tty {
            // Not a terminal any more: reading then says so.
            let _ = tcflush(tty, QueueSelector::IFlush);
        }
    }

    /// Waits until something was typed or somebody wakes it: which of the two there is.
    ///
    /// # Errors
    /// That it cannot wait, now or later.
    pub(super) fn wait(&self, wake: &PipeReader, within: Duration) -> Result<(bool, bool), Errno> {
        let timeout = Timespec::try_from(within).ok();
        let Some(tty) = &self.tty else {
            return Err(Errno::BADF);
        };
        let mut polled = [
            PollFd::new(tty, PollFlags::IN),
            PollFd::new(wake, PollFlags::IN),
        ];
        let ready = poll(&mut polled, timeout.as_ref());
        woken(ready, polled.map(|fd| !fd.revents().is_empty()))
    }

    /// Reads what was typed. It never waits for more, not even where it was thrown away since [`Self::wait`].
    pub(super) fn typed(&self, keyboard: &mut Keyboard) -> Typed {
        let Some(mut tty) = self.tty.as_ref() else {
            return Typed::Closed;
        };
        let mut polled = [PollFd::new(tty, PollFlags::IN)];
        if poll(&mut polled, Some(&Timespec::default())) == Ok(0) {
            return Typed::Begun;
        }
        let mut block = [0_u8; 4096];
        let typed = match tty.read(&mut block) {
            // The end of a line of nothing, typed as such; or the end of the terminal.
            Ok(0) if tty.is_terminal() => Typed::Line(Some(String::new())),
            Ok(0) => Typed::Closed,
            Ok(got) => keyboard.take(block.get(..got).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Typed::Begun,
            Err(_) => Typed::Closed,
        };
        if matches!(typed, Typed::Line(_)) {
            locked(&self.state).begun = false;
        }
        typed
    }

    fn write_question(&self, text: &str) {
        // The terminal that answers come from, whatever standard error is. Where nobody reads it any more, reading says so.
        let _ = match &self.tty {
            Some(tty) if self.looks[1].is_none() => (&mut &*tty).write_all(text.as_bytes()),
            _ => {
                let mut stderr = io::stderr().lock();
                stderr
                    .write_all(text.as_bytes())
                    .and_then(|()| stderr.flush())
            }
        };
    }

    fn release(&self, state: &mut TerminalState) {
        if std::mem::take(&mut state.begun) {
            self.write_question("\n");
        }
        state.asking = false;
        for (output, line) in std::mem::take(&mut state.held) {
            self.write_out(output, &line);
        }
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            let line = format!("({} not shown; see the journal)", count(dropped, "line"));
            self.write_out(Output::Own, &line);
        }
    }

    fn write_out(&self, output: Output, line: &str) {
        let [stdout, stderr] = &self.looks;
        let bars = Bars::of(self.look.unicode);
        // An operator who closed the output does not stop the session.
        let _ = match output {
            Output::Raw => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}").and_then(|()| out.flush())
            }
            Output::Session => {
                let look = stdout.map(|look| sized(look, tcgetwinsize(io::stdout())));
                let mut out = io::stdout().lock();
                let text = live_line(look, bars, line);
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Output::Own => {
                let look = stderr.map(|look| sized(look, tcgetwinsize(io::stderr())));
                let text = live_line(look, bars, line);
                io::stderr().lock().write_all(text.as_bytes())
            }
        };
    }
}

/// What the environment says of the terminal.
fn look_of_environment() -> Look {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    Look {
        colour: set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb"),
        unicode: locale.ends_with("utf-8") || locale.ends_with("utf8"),
        ..Look::PLAIN
    }
}

fn sized(look: Look, size: Result<rustix::termios::Winsize, Errno>) -> Look {
    look.sized(size.map_or((0, 0), |size| (size.ws_col, size.ws_row)))
}

impl Keyboard {
    fn take(&mut self, bytes: &[u8]) -> Typed {
        // A terminal gives a line at a time.
        let end = bytes.iter().position(|byte| *byte == b'\n');
        self.typed
            .extend_from_slice(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
        if self.typed.len() > ANSWER_BYTES {
            self.typed.clear();
            self.too_long = true;
        }
        if end.is_none() {
            return Typed::Begun;
        }
        let line = std::mem::take(self);
        Typed::Line((!line.too_long).then(|| String::from_utf8_lossy(&line.typed).into_owned()))
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
    fn what_was_thrown_away_meanwhile_is_not_waited_for() {
        let (terminal, _typist) = Terminal::typing("", true);
        // Where it waits all the same, it is told so, and does not hang.
        rustix::io::ioctl_fionbio(terminal.file().unwrap(), true).unwrap();
        let mut keyboard = Keyboard::default();
        assert_eq!(terminal.typed(&mut keyboard), Typed::Begun);
    }

    #[test]
    fn a_wait_that_fails_is_not_begun_again_unless_a_signal_interrupted_it() {
        assert_eq!(woken(Ok(1), [true, false]), Ok((true, false)));
        assert_eq!(woken(Err(Errno::INTR), [true, true]), Ok((false, false)));
        for error in [Errno::INVAL, Errno::NOMEM, Errno::FAULT] {
            assert_eq!(woken(Err(error), [false, false]), Err(error));
        }
    }
}
