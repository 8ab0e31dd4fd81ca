//! How a session ends: what the main thread waits for, and what it then records and says.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};
use signal_hook::consts::SIGINT;

use crate::channels::escape;
use crate::contracts::event::Kind;
use crate::contracts::intendant::{HarnessError, HarnessExit};
use crate::contracts::plural::count;
use crate::governor::{Broken, Governor};
use crate::intendants::process::Stop;

use super::calls_view::CallsView;
use super::context::SessionContext;
use super::lease::Lease;
use crate::report::failure::{Failure, Outcome, complain, exit, harness_help, say};

/// Calls under way that the end names.
const NAMED: usize = 3;
/// Characters of the reason for a broken end.
const REASON_CHARS: usize = 500;

/// How often it is looked at what runs on.
const LOOK: Duration = Duration::from_secs(1);

/// From here on an exit code tells of a signal that the harness took notice of.
const KILLED: i32 = 128;

/// What the main thread waits for.
pub(crate) enum SessionEvent {
    Signal(i32),
    Broken(Broken),
    Harness(Result<HarnessExit, HarnessError>),
}

/// How a session ended, in the order of what matters most.
pub(crate) struct End {
    broken: Option<Broken>,
    signal: Option<i32>,
    /// What the signal interrupted.
    interrupted: Vec<String>,
    harness: Result<HarnessExit, HarnessError>,
}

impl End {
    /// Takes in what broke meanwhile: a call that was under way when the harness ended can tell of a
    /// bypass yet.
    pub(crate) fn hear(&mut self, happened: &Receiver<SessionEvent>) {
        while let Ok(event) = happened.try_recv() {
            if let SessionEvent::Broken(broken) = event {
                self.broken.get_or_insert(broken);
            }
        }
    }

    /// Holds what was seen of a harness that agp did not end against what was decided. One that
    /// was killed may have had a call under way that had not asked yet, or one that ran unasked
    /// and took its own witness with it: who cannot tell says so.
    pub(crate) fn account(&mut self, governor: &Governor) {
        let difference = match self.harness {
            Ok(HarnessExit::Success) => governor.account(),
            Ok(HarnessExit::Signal(_) | HarnessExit::Code(KILLED..)) if self.signal.is_none() => {
                governor.account_killed()
            }
            _ => Ok(()),
        };
        if self.broken.is_none()
            && let Err(difference) = difference
        {
            self.broken = Some(Broken(difference.to_string()));
        }
    }
}

/// Waits for the harness to end, and ends it when it must not go on.
pub(crate) fn wait(
    happened: &Receiver<SessionEvent>,
    stop: &Stop,
    governor: &Governor,
    calls: &CallsView,
) -> End {
    let mut end = End {
        broken: None,
        signal: None,
        interrupted: Vec::new(),
        harness: Ok(HarnessExit::Stopped),
    };
    loop {
        let event = match happened.recv_timeout(LOOK) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                calls.tick();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match event {
            SessionEvent::Signal(signal) => {
                if end.signal.replace(signal).is_none() {
                    end.interrupted = calls.under_way();
                }
                stop.now();
                // A script waits for the answer itself.
                governor.hang_up();
            }
            SessionEvent::Broken(broken) => {
                end.broken.get_or_insert(broken);
                stop.now();
                governor.hang_up();
            }
            SessionEvent::Harness(ended) => {
                end.harness = ended;
                break;
            }
        }
    }
    end
}

/// Records the end, which settles the session's lease, and says it.
pub(crate) fn finish(
    governor: &Governor,
    end: &End,
    context: &SessionContext<'_>,
    lease: &mut Lease,
) -> Outcome {
    let mut payload = governor.census_payload();
    let (word, failure) = match end {
        End {
            broken: Some(broken),
            ..
        } => (
            "broken".to_owned(),
            Some(Failure::broken(
                // A tool's name may stand in it.
                escape::line(&broken.0),
                // Whatever it was: what led to it stands there.
                match payload.get("sessionId") {
                    Some(Value::String(session)) => {
                        format!("run `agp log --session {session}`, then `agp verify`")
                    }
                    _ => "run `agp log`, then `agp verify`".to_owned(),
                },
            )),
        ),
        End {
            signal: Some(signal),
            ..
        } => (
            format!("stopped by signal {signal}"),
            Some(stopped(*signal, &end.interrupted)),
        ),
        End {
            harness: Err(error),
            ..
        } => (
            "failed".to_owned(),
            Some(Failure::harness(error, harness_help(&error.fault))),
        ),
        End {
            harness: Ok(HarnessExit::Success),
            ..
        } => ("done".to_owned(), context.nobody_asked().map(nobody_asked)),
        End {
            harness: Ok(other), ..
        } => {
            let problem = match other {
                HarnessExit::Code(code) => format!("the harness exited with code {code}"),
                HarnessExit::Signal(signal) => format!("signal {signal} ended the harness"),
                _ => "the harness was stopped".to_owned(),
            };
            (
                problem.clone(),
                Some(Failure::harness(
                    problem,
                    "see the harness's output above; check its login with `agp doctor --check harness`",
                )),
            )
        }
    };
    payload.insert("end".into(), json!(word));
    if let Some(Broken(why)) = &end.broken {
        payload.insert("reason".into(), json!(escape::line_max(why, REASON_CHARS)));
    }
    governor
        .record_session(Kind::SessionEnded, payload)
        .map_err(|broken| Failure::broken(broken, "fix the disk, then run `agp verify`"))?;
    lease.ended();
    let census = governor.census();
    let odd = match census.anomalies {
        0 => String::new(),
        anomalies => format!(
            ", {} (agp log --kind gate.anomaly)",
            count(anomalies, "anomaly")
        ),
    };
    let summary = format!(
        "{}: {} allowed, {} denied{odd}; check the journal: agp verify",
        count(census.decided, "call"),
        census.allowed,
        census.denied
    );
    // In raw mode standard output is the harness's own.
    if context.raw() {
        complain(summary);
    } else {
        say(summary);
    }
    failure.map_or(Ok(0), Err)
}

/// A session that a signal ended. What was under way is named: who pressed Ctrl-C meant one of these.
fn stopped(signal: i32, interrupted: &[String]) -> Failure {
    let mut problem = format!("stopped by signal {signal}");
    if signal == SIGINT {
        problem.push_str(" (Ctrl-C)");
    }
    match interrupted {
        [] => problem.push_str("; no call was under way"),
        calls => {
            problem.push_str("; interrupted: ");
            problem.push_str(
                &calls
                    .iter()
                    .take(NAMED)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", "),
            );
            if calls.len() > NAMED {
                problem.push_str(&format!(" and {}", count(calls.len() - NAMED, "more call")));
            }
        }
    }
    let failure = Failure::harness(problem, "run `agp run` again to start a new session");
    match signal {
        SIGINT => Failure {
            code: exit::INTERRUPTED,
            ..failure
        },
        _ => failure,
    }
}

/// A session in which each question was denied for want of an approver.
fn nobody_asked(questions: u64) -> Failure {
    Failure::refused(
        format!(
            "no approver available: denied {}",
            count(questions, "question")
        ),
        "run it in a terminal, with --attend, or with --channel slack",
    )
}
