//! What the operator is told of calls: each decision, how each call ended and what runs on; and what was interrupted when
//! the session is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::channels::escape;
use crate::channels::terminal::Terminal;
use crate::contracts::channel::Answer;
use crate::contracts::lock::locked;
use crate::governor::Notice;

use super::{output_view, transcript};

/// Characters of a warning.
const WARNING_CHARS: usize = 300;
/// A call that runs on is told of after so long, and again each time that it has run twice as long.
const RUNS_ON: Duration = Duration::from_secs(30);
/// Calls that are followed: more than can be under way. What is not reported back is forgotten in favour of newer ones.
const FOLLOWED: usize = 256;

/// The calls of a session as its terminal shows them.
pub(crate) struct CallsView {
    terminal: Arc<Terminal>,
    /// In raw mode standard output is the harness's own, for a program to read.
    raw: bool,
    /// Whether questions are asked elsewhere: at the terminal the question itself says so.
    elsewhere: bool,
    repository: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<UnderWay>,
    /// Questions so far, and those without an approver.
    asked: u64,
    unreachable: u64,
}

/// A call that waits for a person, or runs.
struct UnderWay {
    id: String,
    /// In one line.
    what: String,
    runs: bool,
    since: Instant,
    /// When it is told of next.
    next: Duration,
}

impl CallsView {
    pub(crate) fn new(
        terminal: Arc<Terminal>,
        raw: bool,
        elsewhere: bool,
        repository: PathBuf,
    ) -> Self {
        Self {
            terminal,
            raw,
            elsewhere,
            repository,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn show(&self, line: &str) {
        if self.raw {
            self.terminal.tell(line);
        } else {
            self.terminal.show(line);
        }
    }

    /// Shows what is worth a line, and keeps account.
    pub(crate) fn notice(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Asked { call, verdict } => {
                let what = transcript::call(call, &self.repository);
                self.state().begin(call.id.as_str(), what, false);
                if self.elsewhere {
                    self.show(&transcript::decided(call, verdict, None, &self.repository));
                }
            }
            Notice::Decided {
                call,
                verdict,
                withheld,
                answer,
                granted_by,
            } => {
                let what = transcript::call(call, &self.repository);
                let runs = verdict.decision == crate::contracts::verdict::Decision::Allow;
                {
                    let mut state = self.state();
                    state.end(call.id.as_str());
                    state.count(*answer);
                    if runs {
                        state.begin(call.id.as_str(), what, true);
                    }
                }
                let line = match (withheld, granted_by) {
                    (true, _) => transcript::withheld(verdict),
                    (false, Some(by)) => transcript::granted(call, by, &self.repository),
                    (false, None) => transcript::decided(call, verdict, *answer, &self.repository),
                };
                self.show(&line);
            }
            Notice::Executed { call, execution } => {
                let ran = self.state().end(call.id.as_str());
                let line = output_view::ended(execution, ran.map(|ran| ran.since.elapsed()));
                if let Some(line) = line {
                    self.show(&line);
                }
            }
            Notice::Returned {
                id,
                tool,
                ok,
                output,
            } => {
                let Some(ran) = self.state().end(id) else {
                    // Told of already, by whichever came first.
                    return;
                };
                for line in output_view::returned(tool, *ok, output, ran.since.elapsed()) {
                    self.show(&line);
                }
            }
            // A peer's own bytes may stand in it, and a question may stand on the screen.
            Notice::Warning(text) => self.terminal.tell(&format!(
                "agp: warning: {}",
                escape::line_max(text, WARNING_CHARS)
            )),
        }
    }

    /// Says what still runs. To be called every second or so.
    pub(crate) fn tick(&self) {
        let now = Instant::now();
        for line in self.state().running_on(now) {
            self.show(&line);
        }
    }

    /// What would be interrupted now, in the order in which it began.
    pub(crate) fn under_way(&self) -> Vec<String> {
        let now = Instant::now();
        let state = self.state();
        let calls = state.calls.iter().map(|call| {
            let seconds = now.saturating_duration_since(call.since).as_secs();
            match call.runs {
                true => format!("{} (ran for {seconds} s)", call.what),
                false => format!("{} (waited for an answer)", call.what),
            }
        });
        calls.collect()
    }

    /// How many questions there were, where no approver was available for any of them.
    pub(crate) fn nobody_asked(&self) -> Option<u64> {
        let state = self.state();
        (state.asked > 0 && state.asked == state.unreachable).then_some(state.asked)
    }
}

impl State {
    fn begin(&mut self, id: &str, what: String, runs: bool) {
        if self.calls.len() >= FOLLOWED {
            self.calls.remove(0);
        }
        self.calls.push(UnderWay {
            id: id.to_owned(),
            what,
            runs,
            since: Instant::now(),
            next: RUNS_ON,
        });
    }

    fn end(&mut self, id: &str) -> Option<UnderWay> {
        let at = self.calls.iter().position(|call| call.id == id)?;
        Some(self.calls.remove(at))
    }

    fn count(&mut self, answer: Option<&Answer>) {
        self.asked += u64::from(answer.is_some());
        let unreachable = matches!(answer, Some(Answer::Unreachable(_)));
        self.unreachable += u64::from(unreachable);
    }

    fn running_on(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for call in self.calls.iter_mut().filter(|call| call.runs) {
            let ran = now.saturating_duration_since(call.since);
            if ran >= call.next {
                lines.push(format!(
                    "      still running, {} s: {}",
                    ran.as_secs(),
                    call.what
                ));
                call.next = ran * 2;
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_on_is_told_of_each_time_it_has_run_twice_as_long() {
        let mut state = State::default();
        state.begin("a", "Bash npm test".into(), true);
        state.begin("b", "Bash git push".into(), false);
        let begun = Instant::now();
        let seconds: Vec<u64> = (0..300)
            .filter(|second| {
                let lines = state.running_on(begun + Duration::from_secs(*second));
                assert!(lines.iter().all(|line| line.contains("npm test")));
                !lines.is_empty()
            })
            .collect();
        assert_eq!(seconds.len(), 4, "{seconds:?}");
        assert!(state.end("a").is_some() && state.end("a").is_none());
        assert!(
            state
                .running_on(begun + Duration::from_secs(600))
                .is_empty()
        );
    }

    #[test]
    fn what_is_never_reported_back_is_forgotten_for_what_is() {
        let mut state = State::default();
        for number in 0..FOLLOWED + 2 {
            state.begin(&number.to_string(), String::new(), true);
        }
        assert!(state.end("1").is_none() && state.end("2").is_some());
        assert_eq!(state.calls.len(), FOLLOWED - 1);
    }

    #[test]
    fn a_session_without_any_approver_is_known() {
        let view = CallsView::new(
            Arc::new(Terminal::unattended("nobody")),
            false,
            false,
            PathBuf::new(),
        );
        assert_eq!(view.nobody_asked(), None);
        view.state().count(None);
        assert_eq!(view.nobody_asked(), None);
        view.state()
            .count(Some(&Answer::Unreachable("none".into())));
        assert_eq!(view.nobody_asked(), Some(1));
        view.state().count(Some(&Answer::TimedOut));
        assert_eq!(view.nobody_asked(), None);
    }
}
