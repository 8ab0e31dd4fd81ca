//! A question to a person about one call. The call's worker waits on it; every channel that shows it holds it, too, and
//! the first answer counts, whichever channel it comes from.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use super::approver::{Approver, ApproverList};
use super::call::ToolCall;
use super::channel::{Answer, ApprovalTerms, GrantOffer, Unreachable};
use super::ids::Sha256;
use super::lock::{held, locked};
use super::verdict::Verdict;
use super::view::CallView;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Counts the session's questions from 1: people name a question by it.
    pub number: u64,
    /// The call.
    pub call: Arc<ToolCall>,
    /// The verdict that requires an approval.
    pub verdict: Verdict,
    /// What the rules ask of an approval.
    pub terms: ApprovalTerms,
    /// Who may approve, by each rule that says so: an approval needs somebody of each. Empty: any approver.
    pub approvers: Vec<ApproverList>,
    /// What a yes may hold for as long as the session lasts; `None`: for this call alone.
    pub offer: Option<GrantOffer>,
    /// What people are shown.
    pub view: CallView,
    /// Digest of the canonical arguments: what runs must have the same.
    pub args_sha256: Sha256,
    /// Digest of what the call would do.
    pub reading_sha256: Sha256,
    /// How long a person has who could see it.
    pub deadline: Duration,
    /// How long it may wait to be shown before its time runs all the same.
    pub queue: Duration,
}

impl Asking {
    /// Why these people cannot approve it, whoever else can; `None` where each of the rules' lists has one of them.
    #[must_use]
    pub fn not_for(&self, people: &[Approver]) -> Option<String> {
        let mut lists = self.approvers.iter();
        let list = lists.find(|list| !people.iter().any(|person| list.has(person)))?;
        Some(format!(
            "a rule lets only {} approve, and nobody of them is here",
            list.names.join(", ")
        ))
    }
}

#[cfg(any(test, fuzzing))]
impl Asking {
    /// A question about a call of which a test says the rest.
    pub(crate) fn about(call: ToolCall, verdict: Verdict) -> Self {
        Self {
            number: 1,
            call: Arc::new(call),
            verdict,
            terms: ApprovalTerms::default(),
            approvers: Vec::new(),
            offer: None,
            view: CallView::default(),
            args_sha256: Sha256([7; 32]),
            reading_sha256: Sha256([7; 32]),
            deadline: Duration::from_secs(60),
            queue: Duration::from_secs(60),
        }
    }
}

/// Where the time is read: the monotonic clock, which a clock that is set does not move, and the wall clock, which a
/// machine that sleeps does not stop.
pub type Clock = fn() -> (Instant, SystemTime);

/// The machine's clocks.
#[must_use]
pub fn clocks() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment(Instant, SystemTime);

impl Moment {
    /// Now, by these clocks.
    #[must_use]
    pub fn now(clock: Clock) -> Self {
        let (now, wall) = clock();
        Self(now, wall)
    }

    /// By the wall clock.
    #[must_use]
    pub fn wall(self) -> SystemTime {
        self.1
    }

    /// The time since, by whichever clock says more.
    #[must_use]
    pub fn elapsed(self, clock: Clock) -> Duration {
        let (now, wall) = clock();
        let by_wall = wall.duration_since(self.1).unwrap_or_default();
        now.saturating_duration_since(self.0).max(by_wall)
    }
}

#[derive(Debug)]
struct State {
    came: Moment,
    /// Channels that may still bring an answer.
    channels: usize,
    /// Why each of the others cannot.
    unreachable: Vec<String>,
    /// When a person could first see it.
    seen: Option<Moment>,
    answer: Option<Answer>,
}

/// One question, open until it is settled.
#[derive(Debug)]
pub struct Question {
    asking: Asking,
    clock: Clock,
    state: Mutex<State>,
    settled: Condvar,
}

/// The wall clock is looked at this often while somebody waits.
const LOOK: Duration = Duration::from_millis(500);

impl Question {
    /// A question that nobody has seen, for so many channels.
    #[must_use]
    pub fn new(asking: Asking, channels: usize) -> Self {
        Self::at(asking, channels, clocks)
    }

    /// The same by these clocks.
    #[must_use]
    pub fn at(asking: Asking, channels: usize, clock: Clock) -> Self {
        Self {
            asking,
            clock,
            state: Mutex::new(State {
                came: Moment::now(clock),
                channels,
                unreachable: Vec::new(),
                seen: None,
                answer: None,
            }),
            settled: Condvar::new(),
        }
    }

    /// What is asked.
    #[must_use]
    pub fn asking(&self) -> &Asking {
        &self.asking
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// A person could see it from now on: drawn at a terminal, or posted with its buttons. Only the first time counts.
    pub fn seen(&self) {
        let now = Moment::now(self.clock);
        self.state().seen.get_or_insert(now);
    }

    /// The time that is left for an answer. None is left once it is settled.
    #[must_use]
    pub fn left(&self) -> Duration {
        let state = self.state();
        if state.answer.is_some() {
            return Duration::ZERO;
        }
        self.left_of(&state)
    }

    fn left_of(&self, state: &State) -> Duration {
        let Asking {
            deadline, queue, ..
        } = self.asking;
        // At the latest it counts as seen once its time in the queue is over.
        let queued = (queue + deadline).saturating_sub(state.came.elapsed(self.clock));
        match state.seen {
            Some(seen) => queued.min(deadline.saturating_sub(seen.elapsed(self.clock))),
            None => queued,
        }
    }

    /// Answers it. False where it has an answer already: that one stands.
    pub fn settle(&self, answer: Answer) -> bool {
        let mut state = self.state();
        if state.answer.is_some() {
            return false;
        }
        // Its time is over, and nobody has said so yet.
        let late = matches!(answer, Answer::Granted { .. }) && self.left_of(&state).is_zero();
        state.answer = Some(if late { Answer::TimedOut } else { answer });
        self.settled.notify_all();
        !late
    }

    /// One of its channels cannot ask anybody, and says why. Once none is left, it is settled.
    pub fn gives_up(&self, why: &Unreachable) {
        let mut state = self.state();
        state.channels = state.channels.saturating_sub(1);
        state.unreachable.push(why.to_string());
        if state.channels == 0 && state.answer.is_none() {
            state.answer = Some(Answer::Unreachable(state.unreachable.join("; ")));
            self.settled.notify_all();
        }
    }

    /// The answer, once there is one.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        self.state().answer.clone()
    }

    /// Waits for the answer, at most until the deadline.
    pub fn wait(&self) -> Answer {
        let mut state = self.state();
        loop {
            if let Some(answer) = &state.answer {
                return answer.clone();
            }
            let left = self.left_of(&state);
            if left.is_zero() {
                let answer = match state.seen {
                    Some(_) => Answer::TimedOut,
                    None => Answer::Unreachable(
                        "the question could not be shown to anybody in time".to_owned(),
                    ),
                };
                state.answer = Some(answer.clone());
                self.settled.notify_all();
                return answer;
            }
            let (next, _) = held(self.settled.wait_timeout(state, left.min(LOOK)));
            state = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    use serde_json::Map;

    use super::*;
    use crate::contracts::call::Actor;
    use crate::contracts::channel::Scope;
    use crate::contracts::event::ApprovalBinding;
    use crate::contracts::ids::{MessageId, SessionId};

    const DEADLINE: Duration = Duration::from_secs(300);
    const QUEUE: Duration = Duration::from_secs(600);

    fn asking() -> Asking {
        let call = ToolCall {
            id: MessageId::new("m1").unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: "Bash".into(),
            args: Map::new(),
            actor: Actor::ClaudeProcess,
        };
        Asking {
            deadline: DEADLINE,
            queue: QUEUE,
            ..Asking::about(call, Verdict::refused("because"))
        }
    }

    fn yes() -> Answer {
        Answer::Granted {
            by: "alice".into(),
            binding: ApprovalBinding::Console,
            scope: Scope::Once,
        }
    }

    /// Clocks that a test sets: seconds since the first look, and how far the wall clock is off.
    macro_rules! clock {
        ($name:ident, $passed:ident, $jumped:ident) => {
            static $passed: AtomicI64 = AtomicI64::new(0);
            static $jumped: AtomicI64 = AtomicI64::new(0);
            fn $name() -> (Instant, SystemTime) {
                static START: OnceLock<(Instant, SystemTime)> = OnceLock::new();
                let (start, wall) = *START.get_or_init(clocks);
                let by = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
                let (passed, jumped) = (
                    $passed.load(Ordering::SeqCst),
                    $jumped.load(Ordering::SeqCst),
                );
                let wall = wall + by(passed);
                let wall = if jumped < 0 {
                    wall - by(jumped)
                } else {
                    wall + by(jumped)
                };
                (start + by(passed), wall)
            }
        };
    }

    #[test]
    fn the_time_runs_from_when_somebody_could_see_it_or_from_the_end_of_the_queue() {
        clock!(clock, PASSED, JUMPED);
        let seen = Question::at(asking(), 1, clock);
        let unseen = Question::at(asking(), 1, clock);
        assert_eq!(seen.left(), QUEUE + DEADLINE);
        PASSED.store(500, Ordering::SeqCst);
        seen.seen();
        assert_eq!(seen.left(), DEADLINE);
        PASSED.store(700, Ordering::SeqCst);
        // What is drawn again does not give more time.
        seen.seen();
        assert_eq!(seen.left(), DEADLINE - Duration::from_secs(200));
        assert_eq!(unseen.left(), Duration::from_secs(200));
        PASSED.store(800, Ordering::SeqCst);
        assert_eq!(seen.wait(), Answer::TimedOut);
        PASSED.store(900, Ordering::SeqCst);
        assert!(matches!(unseen.wait(), Answer::Unreachable(_)));
        assert_eq!(JUMPED.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn no_clock_that_jumps_gives_more_time() {
        clock!(clock, PASSED, JUMPED);
        let question = Question::at(asking(), 1, clock);
        question.seen();
        PASSED.store(100, Ordering::SeqCst);
        // Back, as a clock that is set: the monotonic one goes on.
        JUMPED.store(-86_400, Ordering::SeqCst);
        assert_eq!(question.left(), DEADLINE - Duration::from_secs(100));
        // Forward, as a machine that slept: the monotonic one stood still.
        JUMPED.store(250, Ordering::SeqCst);
        assert_eq!(question.left(), Duration::ZERO);
        // And nobody's yes comes in between.
        assert!(!question.settle(yes()));
        assert_eq!(question.wait(), Answer::TimedOut);
    }

    #[test]
    fn the_first_answer_counts() {
        let question = Question::new(asking(), 2);
        assert!(question.settle(Answer::Denied {
            by: "alice".into(),
            binding: ApprovalBinding::Console,
            reason: None
        }));
        assert!(!question.settle(yes()));
        assert!(matches!(question.wait(), Answer::Denied { .. }));
        assert_eq!(question.left(), Duration::ZERO);
    }

    #[test]
    fn a_question_is_given_up_when_its_last_channel_is() {
        let question = Question::new(asking(), 2);
        question.gives_up(&Unreachable("no terminal".into()));
        assert_eq!(question.answer(), None);
        question.gives_up(&Unreachable("no Slack".into()));
        let both = Answer::Unreachable("no terminal; no Slack".into());
        assert_eq!(question.wait(), both);
    }
}
