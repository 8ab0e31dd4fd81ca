//! The governor before an agent that knows its gateway: once governance has broken nothing is allowed, also what
//! was asked before, and one call's record is not another's to write.
#![allow(
    dead_code,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the support module serves other tests too; a JSON value indexed by a name it lacks is null; \
              whatever fails here fails the test"
)]

use crate::support::journal as support;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use agp::contracts::approver::Groups;
use agp::contracts::call::{Actor, ToolCall, Unreadable, UnreadableCall};
use agp::contracts::channel::{Answer, Channel, Scope, Unreachable};
use agp::contracts::event::ApprovalBinding;
use agp::contracts::ids::{MessageId, SessionId, Sha256};
use agp::contracts::intendant::{Came, Observation, ToldResult};
use agp::contracts::limits::ANOMALIES;
use agp::contracts::question::Question;
use agp::contracts::view::Origin;
use agp::gateway::GateError;
use agp::gateway::server::{CallReport, Decided, Gate, Peer};
use agp::governor::{Governor, GovernorConfig, Questions, ReadingTerms, Sandbox};
use agp::journal::{Journal, args_sha256};
use agp::policy::Policy;
use agp::sandbox::recording::Recording;
use serde_json::{Map, Value, json};
use support::{Key, Scratch};

const PEER: Peer = Peer { pid: 1, uid: 0 };

/// Says yes to everything, once it is told to.
struct Yes {
    asked: SyncSender<()>,
    told: Mutex<Receiver<()>>,
}

impl Channel for Yes {
    fn name(&self) -> &'static str {
        "console"
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        self.asked.send(()).unwrap();
        self.told.lock().unwrap().recv().unwrap();
        question.settle(Answer::Granted {
            by: "operator".into(),
            binding: ApprovalBinding::Console,
            scope: Scope::Once,
        });
        Ok(())
    }

    fn over(&self, _: &Question, _: &Answer) {}

    fn hang_up(&self) {}
}

struct Session {
    governor: Arc<Governor>,
    asked: Receiver<()>,
    tell: SyncSender<()>,
    broken: Arc<Mutex<Vec<String>>>,
    warnings: Arc<Mutex<Vec<String>>>,
    journal: Option<Journal>,
    scratch: Scratch,
}

impl Session {
    /// `Bash` is allowed and `Write` asked about; the sandbox runs nothing.
    fn new() -> Self {
        Self::with(Some(Arc::new(Recording)), true)
    }

    /// The same where the harness runs its own tools.
    fn hooked() -> Self {
        Self::with(None, true)
    }

    fn with(sandbox: Option<Arc<dyn Sandbox>>, apart: bool) -> Self {
        let scratch = Scratch::new("governor");
        let (journal, _) = support::open(&scratch.paths(), &Key::new()).unwrap();
        let ((asks, asked), (tell, told)) = (sync_channel(1), sync_channel(1));
        let rules = json!({"rules": [
            {"id": "b", "effect": "allow", "tool": "Bash"},
            {"id": "w", "effect": "require", "tool": "Write"},
        ]});
        let broken: Arc<Mutex<Vec<String>>> = Arc::default();
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let (breaks, warns) = (Arc::clone(&broken), Arc::clone(&warnings));
        let governor = Governor::new(GovernorConfig {
            reading: ReadingTerms::blind(),
            session: SessionId::new("s-1").unwrap(),
            policy: Policy::parse(rules.to_string().as_bytes()).unwrap(),
            journal: journal.handle(),
            screen: support::screen(),
            questions: Questions::new(
                vec![Box::new(Yes {
                    asked: asks,
                    told: Mutex::new(told),
                })],
                std::time::Duration::from_secs(60),
                std::time::Duration::from_secs(60),
            ),
            groups: Groups::default(),
            origin: Origin::default(),
            own_file: Box::new(|_| false),
            gate_unchanged: Box::new(|| Ok(())),
            watched: true,
            apart,
            sandbox,
            notices: Box::new(move |notice| {
                if let agp::governor::Notice::Warning(text) = notice {
                    warns.lock().unwrap().push((*text).to_owned());
                }
            }),
            broken: Box::new(move |why| breaks.lock().unwrap().push(why.0)),
        });
        Self {
            governor: Arc::new(governor),
            asked,
            tell,
            broken,
            warnings,
            journal: Some(journal),
            scratch,
        }
    }

    fn events(&self, id: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.scratch.paths().log).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|event: &Value| event["payload"]["messageId"] == id)
            .collect()
    }

    fn kinds(&self, id: &str) -> Vec<String> {
        let all = self.events(id);
        all.iter()
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.journal.take().into_iter().for_each(Journal::close);
    }
}

fn call(id: &str, tool: &str) -> ToolCall {
    ToolCall {
        id: MessageId::new(id).unwrap(),
        session: SessionId::new("s-1").unwrap(),
        tool: tool.into(),
        args: Map::from_iter([("command".to_owned(), json!("true"))]),
        actor: Actor::ClaudeProcess,
    }
}

fn report(id: &str, output: &str) -> CallReport {
    CallReport {
        id: MessageId::new(id).unwrap(),
        tool: "Bash".into(),
        args_sha256: args_sha256(&call(id, "Bash").args),
        ok: true,
        output: output.into(),
        output_bytes: output.len() as u64,
    }
}

fn attempted(id: &str) -> Observation {
    Observation::Attempted {
        id: id.into(),
        tool: "Bash".into(),
        input: None,
    }
}

fn returned(id: &str) -> Observation {
    Observation::Returned {
        id: id.into(),
        came: Came::Ran,
        told: None,
    }
}

fn denied(decided: &Result<Decided, GateError>) -> &str {
    match decided {
        Ok(Decided::Denied(denial)) => denial.reason(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn once_a_bypass_was_seen_nothing_more_is_allowed() {
    let session = Session::new();
    let ran = session.governor.request(call("m1", "Bash"), PEER);
    assert!(matches!(ran, Ok(Decided::Executed { .. })), "{ran:?}");
    session.governor.witness(&returned("never-asked"));
    assert_eq!(session.broken.lock().unwrap().len(), 1);
    // The harness is not gone yet; a rule would allow this.
    let after = session.governor.request(call("m2", "Bash"), PEER);
    assert!(denied(&after).contains("the session is ending: a call returned a result without"));
    assert_eq!(session.kinds("m2"), ["tool_call.deny"]);
}

#[test]
fn an_approval_of_a_session_that_broke_meanwhile_runs_nothing() {
    let session = Session::new();
    let governor = Arc::clone(&session.governor);
    let asking = thread::spawn(move || governor.request(call("m1", "Write"), PEER));
    session.asked.recv().unwrap();
    session.governor.witness(&returned("never-asked"));
    session.tell.send(()).unwrap();
    let decided = asking.join().unwrap();
    assert!(denied(&decided).contains("the session is ending"));
    assert_eq!(
        session.kinds("m1"),
        ["tool_call.require", "approval.denied"]
    );
    let denial = &session.events("m1")[1];
    assert_eq!(denial["on_behalf_of"], Value::Null, "nobody refused it");
}

#[test]
fn a_call_that_nobody_can_read_is_denied_on_record_and_the_session_goes_on() {
    let session = Session::new();
    let unreadable = |id: &str, why: Unreadable| UnreadableCall {
        id: MessageId::new(id).unwrap(),
        session: SessionId::new("s-1").unwrap(),
        // Its rule allows it.
        tool: "Bash".into(),
        args_sha256: Sha256([7; 32]),
        args_bytes: 5_000_000,
        why,
    };
    for (id, why, bound) in [
        ("m1", Unreadable::TooLong, "larger than 4 MiB"),
        ("m0", Unreadable::TooMany, "more than 20000 values"),
        ("m2", Unreadable::TooDeep, "deeper than 64 levels"),
        ("m3", Unreadable::NotUnicode, "surrogate"),
        ("m4", Unreadable::Ambiguous, "strict JSON"),
    ] {
        let denial = session.governor.unreadable(unreadable(id, why), PEER);
        let reason = denial.unwrap().reason().to_owned();
        assert!(reason.contains(bound), "{reason}");
        assert_eq!(session.kinds(id), ["tool_call.deny"]);
        let payload = session.events(id)[0]["payload"].clone();
        assert_eq!(payload["reason"], reason);
        assert_eq!(payload["argsSha256"], "07".repeat(32));
        let stands_for = json!({"unreadable": why.as_str(), "bytes": 5_000_000});
        assert_eq!(payload["args"], stands_for);
        // As the harness's own account has it: attempted, and not run.
        session.governor.witness(&attempted(id));
        session.governor.witness(&returned(id));
    }
    let again = unreadable("m1", Unreadable::TooLong);
    assert!(session.governor.unreadable(again, PEER).is_err());
    session.governor.witness(&attempted("m1"));
    let ran = session.governor.request(call("m5", "Bash"), PEER);
    assert!(matches!(ran, Ok(Decided::Executed { .. })), "{ran:?}");
    session.governor.witness(&attempted("m5"));
    session.governor.witness(&returned("m5"));
    let census = session.governor.census();
    assert_eq!(
        (census.decided, census.denied, census.bypassed),
        (7, 6, 0),
        "one of them a replay"
    );
    assert!(session.broken.lock().unwrap().is_empty());
}

#[test]
fn a_calls_id_is_on_record_whatever_it_is_made_of() {
    let session = Session::new();
    let long = "a".repeat(5000);
    for id in [
        "a|b/c@d",
        "../../etc/passwd",
        "\u{1b}[2J\n\u{202e}\0",
        &long,
    ] {
        let known = MessageId::known_as(id).unwrap();
        let ran = session.governor.request(call(known.as_str(), "Bash"), PEER);
        assert!(matches!(ran, Ok(Decided::Executed { .. })), "{ran:?}");
        // The harness's account has it is.
        session.governor.witness(&returned(id));
        assert_eq!(
            session.kinds(known.as_str()),
            ["tool_call.allow", "tool_call.executed"]
        );
    }
    assert!(session.broken.lock().unwrap().is_empty());
}

#[test]
fn a_report_that_contradicts_the_one_before_it_is_told() {
    let session = Session::new();
    let _ = session.governor.request(call("m1", "Bash"), PEER).unwrap();
    session
        .governor
        .report(report("m1", "as it was"), PEER)
        .unwrap();
    assert!(
        session
            .governor
            .report(report("m1", "as it was not"), PEER)
            .is_err()
    );
    let warnings = session.warnings.lock().unwrap();
    assert!(
        warnings[0].contains("m1 was reported twice"),
        "{warnings:?}"
    );
    let results = session.events("m1");
    assert_eq!(
        results
            .iter()
            .filter(|event| event["kind"] == "tool_call.result")
            .count(),
        1
    );
    assert!(session.broken.lock().unwrap().is_empty());
}

#[test]
fn what_is_odd_is_recorded_and_counted_and_ends_nothing() {
    let session = Session::new();
    let odd = |id: &str| {
        session
            .governor
            .anomaly(Some(id), Some("Bash"), "was odd", "stream");
    };
    odd("m1");
    let events = session.events("m1");
    let payload = &events[0]["payload"];
    assert_eq!(events[0]["kind"], "gate.anomaly");
    assert_eq!(
        [
            &payload["sessionId"],
            &payload["tool"],
            &payload["how"],
            &payload["seenBy"]
        ],
        ["s-1", "Bash", "was odd", "stream"]
    );
    let bound = agp::contracts::limits::ANOMALIES;
    (0..bound).for_each(|_| odd("m2"));
    assert_eq!(session.events("m2").len() as u64, bound - 1);
    let ended = session.governor.census_payload();
    assert_eq!(ended["anomalies"], bound + 1, "all are counted");
    assert!(session.broken.lock().unwrap().is_empty());
    let warnings = session.warnings.lock().unwrap();
    assert!(
        warnings[0].contains("a call was odd") && warnings.len() < 30,
        "{warnings:?}"
    );
}

fn shown(id: &str, tool: &str, command: &str) -> Observation {
    Observation::Attempted {
        id: id.into(),
        tool: tool.into(),
        input: Some(Map::from_iter([("command".to_owned(), json!(command))])),
    }
}

fn shown_result(id: &str, came: Came, output: &str) -> Observation {
    Observation::Returned {
        id: id.into(),
        came,
        told: Some(ToldResult {
            ok: came == Came::Ran,
            output: output.into(),
            comparable: true,
        }),
    }
}

#[test]
fn a_question_about_another_call_than_the_harness_shows_is_denied() {
    let session = Session::hooked();
    session.governor.witness(&shown("m1", "Write", "true"));
    let decided = session.governor.request(call("m1", "Bash"), PEER);
    assert!(denied(&decided).contains("the harness shows a different call"));
    assert_eq!(session.kinds("m1"), ["tool_call.deny", "gate.deny"]);
    // Whoever lets it run all the same is found.
    session.governor.witness(&returned("m1"));
    assert_eq!(session.kinds("m1")[2..], ["gate.bypassed"]);
    assert_eq!(session.broken.lock().unwrap().len(), 1);
}

#[test]
fn a_call_that_is_shown_as_another_than_was_let_through_ends_the_session() {
    let session = Session::hooked();
    let decided = session.governor.request(call("m1", "Bash"), PEER);
    assert!(matches!(decided, Ok(Decided::Released(..))), "{decided:?}");
    session.governor.witness(&shown("m1", "Bash", "rm -rf x"));
    assert_eq!(
        session.broken.lock().unwrap()[..],
        ["a call differs from the call that agp decided: m1"]
    );
    let odd = &session.events("m1")[2];
    assert_eq!(odd["kind"], "gate.anomaly");
    assert_eq!(odd["payload"]["endsSession"], true);
    assert_eq!(
        odd["payload"]["how"],
        "differs from the call that agp decided"
    );
    // Only what came back as run is said to have.
    assert_eq!(session.governor.census().bypassed, 0);
    session.governor.witness(&returned("m1"));
    assert_eq!(session.kinds("m1")[3..], ["gate.bypassed"]);
    assert_eq!(session.governor.census().bypassed, 1);
}

#[test]
fn the_anomaly_that_ends_a_session_is_recorded_however_many_there_were() {
    let session = Session::hooked();
    for _ in 0..=ANOMALIES {
        session.governor.anomaly(None, None, "was odd", "stream");
    }
    let _ = session.governor.request(call("m1", "Bash"), PEER).unwrap();
    session.governor.witness(&shown("m1", "Bash", "rm -rf x"));
    assert_eq!(session.kinds("m1")[2..], ["gate.anomaly"]);
}

#[test]
fn who_does_not_show_the_client_file_leaves_one_anomaly_and_a_count() {
    let session = Session::hooked();
    for _ in 0..ANOMALIES * 2 {
        session.governor.unproven(PEER);
    }
    session.governor.anomaly(None, None, "was odd", "stream");
    let text = std::fs::read_to_string(session.scratch.paths().log).unwrap();
    let told: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["kind"] == "gate.anomaly")
        .map(|event| event["payload"]["how"].clone())
        .collect();
    assert_eq!(
        told,
        [
            "came from a process that did not show the session's client file",
            "was odd"
        ]
    );
    let census = session.governor.census_payload();
    assert_eq!(
        (&census["unproven"], &census["anomalies"]),
        (&json!(ANOMALIES * 2), &json!(2))
    );
    assert_eq!(session.broken.lock().unwrap().len(), 0);
}

#[test]
fn a_call_that_is_shown_as_another_while_a_person_thinks_about_it_is_not_let_through() {
    let session = Session::hooked();
    let governor = Arc::clone(&session.governor);
    let asking = thread::spawn(move || governor.request(call("m1", "Write"), PEER));
    session.asked.recv().unwrap();
    session.governor.witness(&shown("m1", "Write", "other"));
    session.tell.send(()).unwrap();
    assert!(asking.join().unwrap().is_err());
    assert_eq!(session.broken.lock().unwrap().len(), 1);
    let kinds = session.kinds("m1");
    assert!(kinds.contains(&"gate.anomaly".to_owned()), "{kinds:?}");
    assert!(!kinds.contains(&"gate.bypassed".to_owned()), "{kinds:?}");
}

#[test]
fn what_the_stream_shows_outweighs_a_forged_report() {
    let session = Session::hooked();
    let _ = session.governor.request(call("m1", "Bash"), PEER).unwrap();
    session.governor.witness(&shown("m1", "Bash", "true"));
    session
        .governor
        .report(report("m1", "forged"), PEER)
        .unwrap();
    let second = session.governor.report(report("m1", "as it was"), PEER);
    assert_eq!(second, Err(GateError::ReportedOtherwise));
    session
        .governor
        .witness(&shown_result("m1", Came::Ran, "as it was"));
    let events = session.events("m1");
    let told: Vec<&str> = events[2..]
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "tool_call.result",
            "gate.anomaly",
            "gate.anomaly",
            "tool_call.result"
        ]
    );
    let last = &events[5]["payload"];
    assert_eq!(
        (&last["seenBy"], &last["contradictsReport"]),
        (&json!("stream"), &json!(true))
    );
    let digest = Sha256::of(b"as it was").to_hex();
    assert_eq!(last["outputSha256"], digest);
    assert_eq!(events[2]["payload"]["seenBy"], "report");
    assert_eq!(session.governor.census_payload()["anomalies"], 2);
    assert!(session.broken.lock().unwrap().is_empty());
    // What both say alike is on record once.
    let _ = session.governor.request(call("m2", "Bash"), PEER).unwrap();
    session.governor.report(report("m2", "x"), PEER).unwrap();
    session.governor.witness(&shown("m2", "Bash", "true"));
    session
        .governor
        .witness(&shown_result("m2", Came::Ran, "x"));
    assert_eq!(
        session.kinds("m2"),
        ["tool_call.allow", "gate.allow", "tool_call.result"]
    );
}

#[test]
fn a_call_that_was_blocked_before_it_was_decided_leaves_an_event() {
    let session = Session::hooked();
    let blocked = || {
        shown_result(
            "m1",
            Came::Blocked,
            "agp: the hook input is not strict JSON",
        )
    };
    session.governor.witness(&Observation::Started {
        tools: Vec::new(),
        directory: None,
    });
    session.governor.witness(&shown("m1", "Bash", "true"));
    session.governor.witness(&blocked());
    let event = &session.events("m1")[0];
    assert_eq!(event["kind"], "gate.anomaly");
    assert_eq!(event["payload"]["how"], "was blocked before the decision");
    assert_eq!(session.governor.account(), Ok(()));
}

#[test]
fn a_report_alone_accuses_nobody_where_the_harness_is_followed() {
    let session = Session::hooked();
    let reported = |id| session.governor.report(report(id, "forged"), PEER);
    session.governor.witness(&Observation::Started {
        tools: Vec::new(),
        directory: None,
    });
    let refused = reported("m1").unwrap_err();
    assert!(matches!(refused, GateError::NotLetThrough(how) if how.contains("never asked")));
    assert_eq!(session.kinds("m1"), ["gate.anomaly"]);
    assert!(session.broken.lock().unwrap().is_empty());
    // What the harness itself shows is another matter.
    session.governor.witness(&shown("m1", "Bash", "true"));
    session
        .governor
        .witness(&shown_result("m1", Came::Ran, "forged"));
    assert_eq!(session.kinds("m1"), ["gate.anomaly", "gate.bypassed"]);
    assert_eq!(session.broken.lock().unwrap().len(), 1);
}

#[test]
fn where_commands_reach_the_gate_a_report_ends_the_session_and_accuses_nobody() {
    let other = |id| CallReport {
        args_sha256: args_sha256(&Map::new()),
        ..report(id, "forged")
    };
    for followed in [true, false] {
        let session = Session::with(None, false);
        if followed {
            session.governor.witness(&Observation::Started {
                tools: Vec::new(),
                directory: None,
            });
        }
        let _ = session.governor.request(call("m1", "Bash"), PEER).unwrap();
        let refused = session.governor.report(other("m1"), PEER).unwrap_err();
        assert!(matches!(refused, GateError::NotLetThrough(how) if how.contains("different")));
        let kinds = session.kinds("m1");
        assert_eq!(kinds, ["tool_call.allow", "gate.allow", "gate.anomaly"]);
        let payload = session.events("m1").pop().unwrap()["payload"].clone();
        assert_eq!(
            (&payload["seenBy"], &payload["endsSession"]),
            (&json!("report"), &json!(true))
        );
        assert_eq!(session.broken.lock().unwrap().len(), 1);
        assert_eq!(session.governor.census().bypassed, 0);
        let next = session.governor.request(call("m2", "Bash"), PEER).unwrap();
        assert!(matches!(next, Decided::Denied(_)));
    }
    // Nothing else shows whether it ran.
    let session = Session::with(None, false);
    assert!(session.governor.report(report("m1", "x"), PEER).is_err());
    assert_eq!(session.kinds("m1"), ["gate.anomaly"]);
    assert_eq!(session.broken.lock().unwrap().len(), 1);
}

#[test]
fn a_report_is_all_there_is_where_the_harness_shows_nothing() {
    let session = Session::hooked();
    assert!(session.governor.report(report("m1", "x"), PEER).is_err());
    assert_eq!(session.kinds("m1"), ["gate.bypassed"]);
    assert_eq!(session.broken.lock().unwrap().len(), 1);
}

#[test]
fn a_harness_whose_account_has_no_end_of_a_call_is_not_in_order() {
    let started = Observation::Started {
        tools: Vec::new(),
        directory: None,
    };
    let session = Session::hooked();
    session.governor.witness(&started);
    session.governor.witness(&shown("m1", "Bash", "true"));
    assert!(session.governor.account().is_err());
    assert!(session.governor.account_killed().is_err());
    // One that shows nothing of what was decided cannot be watched; one that shows a part is odd.
    let session = Session::hooked();
    session.governor.witness(&started);
    let _ = session.governor.request(call("m1", "Bash"), PEER).unwrap();
    assert!(session.governor.account().is_err());
    let _ = session.governor.request(call("m2", "Bash"), PEER).unwrap();
    session.governor.witness(&shown("m2", "Bash", "true"));
    session.governor.witness(&returned("m2"));
    assert_eq!(session.governor.account(), Ok(()));
    assert_eq!(session.kinds("m1")[2..], ["gate.anomaly"]);
}

#[test]
fn what_agp_ran_itself_is_in_order_whether_the_stream_shows_it_or_not() {
    let session = Session::new();
    session.governor.witness(&Observation::Started {
        tools: Vec::new(),
        directory: None,
    });
    let _ = session.governor.request(call("m1", "Bash"), PEER).unwrap();
    session.governor.witness(&shown("m2", "Bash", "true"));
    assert_eq!(session.governor.account(), Ok(()));
    assert_eq!(session.governor.account_killed(), Ok(()));
    assert_eq!(
        session.kinds("m1"),
        ["tool_call.allow", "tool_call.executed"]
    );
    assert_eq!(session.kinds("m2"), ["gate.anomaly"]);
}

#[test]
fn an_agent_within_an_agent_is_denied_where_the_harness_runs_its_tools() {
    let nested = || {
        let mut call = call("m1", "Bash");
        call.args.insert("withinAgent".into(), json!("a1"));
        call
    };
    let session = Session::hooked();
    let decided = session.governor.request(nested(), PEER);
    assert!(denied(&decided).contains("Do the work in this agent"));
    let session = Session::new();
    let ran = session.governor.request(nested(), PEER);
    assert!(matches!(ran, Ok(Decided::Executed { .. })), "{ran:?}");
}
