//! The main path, rule by rule: what an answer comes to, what no rule can allow, and what ends a session. A real
//! journal, a sandbox that runs nothing, and no harness.
#![allow(
    dead_code,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the support module serves other tests too; a JSON value indexed by a name it lacks is null; \
              whatever fails here fails the test"
)]

use crate::support::journal as support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agp::contracts::approver::Groups;
use agp::contracts::call::{Actor, LEADS_TO, ToolCall};
use agp::contracts::channel::{Answer, Channel, Scope, Unreachable};
use agp::contracts::event::ApprovalBinding;
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::intendant::Observation;
use agp::contracts::question::Question;
use agp::contracts::secret::Secret;
use agp::contracts::view::Origin;
use agp::gateway::GateError;
use agp::gateway::server::{Decided, Gate, Peer};
use agp::governor::{Broken, Governor, GovernorConfig, Questions, ReadingTerms};
use agp::journal::Journal;
use agp::journal::redact::Screen;
use agp::policy::Policy;
use agp::sandbox::recording::Recording;
use serde_json::{Map, Value, json};
use support::{Key, Scratch};

const PEER: Peer = Peer { pid: 1, uid: 0 };
const SECRET: &str = "the-value-of-a-secret";
const OWN: &str = "/home/somebody/.agp/policy.json";

/// Everybody's answer.
struct Says(Answer);

impl Channel for Says {
    fn name(&self) -> &'static str {
        "console"
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        question.seen();
        match &self.0 {
            Answer::Unreachable(why) => Err(Unreachable(why.clone())),
            answer => {
                question.settle(answer.clone());
                Ok(())
            }
        }
    }

    fn over(&self, _: &Question, _: &Answer) {}

    fn hang_up(&self) {}
}

fn granted() -> Answer {
    Answer::Granted {
        by: "operator".into(),
        binding: ApprovalBinding::Console,
        scope: Scope::Once,
    }
}

struct Session {
    governor: Governor,
    broken: Arc<Mutex<Vec<String>>>,
    /// Why the gate is not what agp set up, from when this is said.
    changed: Arc<Mutex<Option<String>>>,
    journal: Option<Journal>,
    scratch: Scratch,
}

impl Session {
    /// `Bash ls` is allowed, `Read` too, `Write` is asked about; agp runs the calls where it is to.
    fn new(answer: Answer, runs: bool) -> Self {
        let scratch = Scratch::new("mediation");
        let (journal, _) = support::open(&scratch.paths(), &Key::new()).unwrap();
        let rules = json!({"rules": [
            {"id": "b", "effect": "allow", "tool": "Bash", "when": {"command": ["ls"]}},
            {"id": "r", "effect": "allow", "tool": "Read"},
            {"id": "w", "effect": "require", "tool": "Write"},
        ]});
        let broken: Arc<Mutex<Vec<String>>> = Arc::default();
        let changed: Arc<Mutex<Option<String>>> = Arc::default();
        let (breaks, gate) = (Arc::clone(&broken), Arc::clone(&changed));
        let governor = Governor::new(GovernorConfig {
            reading: ReadingTerms::blind(),
            session: SessionId::new("s-1").unwrap(),
            policy: Policy::parse(rules.to_string().as_bytes()).unwrap(),
            journal: journal.handle(),
            screen: Arc::new(Screen::new(&[Secret::new("DB", SECRET)])),
            questions: Questions::new(
                vec![Box::new(Says(answer))],
                Duration::from_secs(60),
                Duration::from_secs(60),
            ),
            groups: Groups::default(),
            origin: Origin::default(),
            own_file: Box::new(|text| text == OWN),
            gate_unchanged: Box::new(move || {
                gate.lock()
                    .unwrap()
                    .clone()
                    .map_or(Ok(()), |why| Err(Broken(why)))
            }),
            watched: true,
            apart: true,
            sandbox: runs.then(|| Arc::new(Recording) as _),
            notices: Box::new(|_| {}),
            broken: Box::new(move |why| breaks.lock().unwrap().push(why.0)),
        });
        Self {
            governor,
            broken,
            changed,
            journal: Some(journal),
            scratch,
        }
    }

    fn ask(&self, id: &str, tool: &str, args: Value) -> Result<Decided, GateError> {
        let Value::Object(args) = args else {
            panic!("{args}")
        };
        let call = ToolCall {
            id: MessageId::new(id).unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: tool.into(),
            args,
            actor: Actor::ClaudeProcess,
        };
        self.governor.request(call, PEER)
    }

    /// Whether the call was let through; a deny that is on record is none.
    fn allows(&self, id: &str, tool: &str, args: Value) -> bool {
        let decided = self.ask(id, tool, args).unwrap();
        !matches!(decided, Decided::Denied(_))
    }

    fn kinds(&self, id: &str) -> Vec<String> {
        let events = self.events();
        let own = events.iter().filter(|e| e["payload"]["messageId"] == id);
        own.map(|e| e["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.scratch.paths().log).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    }

    fn broken(&self) -> usize {
        self.broken.lock().unwrap().len()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.journal.take().into_iter().for_each(Journal::close);
    }
}

#[test]
fn only_a_yes_lets_a_call_run() {
    let denied = Answer::Denied {
        by: "operator".into(),
        binding: ApprovalBinding::Console,
        reason: None,
    };
    for (answer, allowed) in [
        (granted(), true),
        (denied, false),
        (Answer::TimedOut, false),
        (Answer::Unreachable("nobody is there".into()), false),
        (Answer::SessionOver("it ended".into()), false),
    ] {
        for runs in [true, false] {
            let session = Session::new(answer.clone(), runs);
            let ran = session.allows("m1", "Write", json!({"content": "x"}));
            assert_eq!(ran, allowed, "{answer:?}");
            let kinds = session.kinds("m1");
            let acted = ["tool_call.executed", "gate.allow"];
            let acted = acted.iter().any(|kind| kinds.iter().any(|had| had == kind));
            assert_eq!(acted, allowed, "{kinds:?}");
            assert_eq!(kinds[0], "tool_call.require");
        }
    }
}

#[test]
fn a_no_for_want_of_an_answer_names_the_cause_that_was_seen() {
    for (answer, reason) in [
        (
            Answer::Unreachable("the terminal was closed".into()),
            "no approver available: the terminal was closed",
        ),
        (
            Answer::SessionOver("the session ended before an answer".into()),
            "the session ended before an answer",
        ),
    ] {
        let session = Session::new(answer, false);
        assert!(!session.allows("m1", "Write", json!({"content": "x"})));
        let events = session.events();
        let denied = events.iter().find(|event| event["kind"] == "gate.deny");
        assert_eq!(denied.unwrap()["payload"]["reason"], reason);
    }
}

#[test]
fn what_quotes_a_secret_or_names_agps_own_files_is_refused_whatever_the_rules_say() {
    let session = Session::new(granted(), true);
    for (id, tool, args) in [
        ("m1", "Read", json!({"file_path": SECRET})),
        ("m2", "Write", json!({"x": [{"y": format!("a {SECRET}")}]})),
        ("m3", "Read", json!({"file_path": OWN})),
        ("m4", "Write", json!({"x": [[OWN]]})),
        ("m5", "Write", json!({"x": {"y": {"z": OWN}}})),
    ] {
        assert!(!session.allows(id, tool, args.clone()), "{args}");
        assert_eq!(session.kinds(id), ["tool_call.deny"], "{args}");
    }
    assert!(session.allows("m6", "Read", json!({"file_path": "README.md"})));
    // What is written into a file, or told to another agent, is no path.
    let text = json!({"file_path": "x", "edits": [{"old_string": "a", "new_string": OWN}]});
    assert!(session.allows("m7", "Write", text));
    assert!(session.allows("m8", "Read", json!({"file_path": "x", "prompt": OWN})));
    let text = std::fs::read_to_string(session.scratch.paths().log).unwrap();
    assert!(!text.contains(SECRET));
}

#[test]
fn what_the_hook_says_of_a_call_can_refuse_it_whatever_the_rules_say() {
    let session = Session::new(granted(), false);
    let led = json!({"file_path": "/tmp/x", LEADS_TO: "/run/agp/settings.json"});
    assert!(!session.allows("m1", "Read", led));
    assert_eq!(session.kinds("m1"), ["tool_call.deny", "gate.deny"]);
    assert!(session.allows("m2", "Read", json!({"file_path": "/tmp/x"})));
}

#[test]
fn a_gate_that_is_no_longer_agps_is_answered_no_and_ends_the_session() {
    let session = Session::new(granted(), false);
    assert!(session.allows("m1", "Read", json!({})));
    *session.changed.lock().unwrap() = Some("the hook's program was replaced".into());
    assert!(!session.allows("m2", "Read", json!({})));
    assert_eq!(session.broken(), 1);
    // Put back, it is not believed again.
    *session.changed.lock().unwrap() = None;
    assert!(!session.allows("m3", "Read", json!({})));
}

#[test]
fn an_id_that_comes_again_is_refused_on_record() {
    let session = Session::new(granted(), true);
    assert!(session.allows("m1", "Read", json!({})));
    let again = session.ask("m1", "Read", json!({}));
    assert!(again.is_err(), "{again:?}");
    let kinds = session.kinds("m1");
    assert_eq!(
        kinds,
        ["tool_call.allow", "tool_call.executed", "tool_call.deny"]
    );
}

#[test]
fn what_cannot_be_recorded_does_not_happen_and_ends_the_session() {
    let mut session = Session::new(granted(), true);
    session.journal.take().into_iter().for_each(Journal::close);
    let lost = session.ask("m1", "Read", json!({}));
    assert!(lost.is_err(), "{lost:?}");
    assert!(session.broken() >= 1);
    assert_eq!(session.kinds("m1"), Vec::<String>::new());
}

#[test]
fn a_result_that_nobody_decided_ends_the_session_and_so_does_a_count_that_is_off() {
    let session = Session::new(granted(), false);
    session.governor.witness(&Observation::Started {
        tools: Vec::new(),
        directory: None,
    });
    assert_eq!(session.governor.account(), Ok(()));
    assert!(session.allows("m1", "Read", json!({})));
    assert!(session.governor.account().is_err(), "decided and not seen");
    session.governor.witness(&Observation::Returned {
        id: "m9".into(),
        came: agp::contracts::intendant::Came::Ran,
        told: None,
    });
    assert_eq!(session.broken(), 1);
    let bypassed = Map::from_iter([("kind".to_owned(), json!("gate.bypassed"))]);
    let found = |event: &Value| event["kind"] == bypassed["kind"];
    assert!(session.events().iter().any(found));
}
