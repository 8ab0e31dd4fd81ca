//! Approvals that hold for a session: given by an answer, on record, listed, taken back; and rules that name who approves.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the support module serves other tests too; a JSON value indexed by a name it lacks is null; \
              whatever fails here fails the test"
)]

use crate::support::{journal as support, session};

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agp::contracts::approver::{Approver, Groups};
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, Channel, GrantOffer, Scope, Unreachable};
use agp::contracts::event::ApprovalBinding;
use agp::contracts::grant::GrantState;
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::question::Question;
use agp::contracts::view::Origin;
use agp::gateway::server::{Decided, Gate, Peer};
use agp::governor::{Governor, GovernorConfig, Questions, ReadingTerms};
use agp::journal::Journal;
use agp::policy::Policy;
use agp::reading::disk::NoDisk;
use agp::reading::surroundings::Surroundings;
use serde_json::{Value, json};
use session::World;
use support::{Key, Scratch};

const PEER: Peer = Peer { pid: 1, uid: 0 };

/// What a person was offered with each question, in order.
type Offers = Arc<Mutex<Vec<Option<GrantOffer>>>>;

/// Alice, who answers as far as the test says.
struct Alice {
    scope: Arc<Mutex<Scope>>,
    offers: Offers,
}

impl Channel for Alice {
    fn name(&self) -> &'static str {
        "console"
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        let asking = question.asking();
        if let Some(why) = asking.not_for(&[Approver::Account("alice".into())]) {
            return Err(Unreachable(why));
        }
        self.offers.lock().unwrap().push(asking.offer.clone());
        question.settle(Answer::Granted {
            by: "alice".into(),
            binding: ApprovalBinding::Console,
            scope: *self.scope.lock().unwrap(),
        });
        Ok(())
    }

    fn over(&self, _: &Question, _: &Answer) {}

    fn hang_up(&self) {}
}

struct Session {
    governor: Governor,
    scope: Arc<Mutex<Scope>>,
    offers: Offers,
    journal: Option<Journal>,
    scratch: Scratch,
    calls: u32,
}

impl Session {
    fn new(rules: &Value) -> Self {
        let scratch = Scratch::new("grants");
        let (journal, _) = support::open(&scratch.paths(), &Key::new()).unwrap();
        let (scope, offers) = (Arc::new(Mutex::new(Scope::Once)), Offers::default());
        let policy = json!({"otherwise": "require", "rules": rules}).to_string();
        let alice = Approver::Account("alice".into());
        let bob = Approver::Slack("U0BOB".into());
        let groups = [
            ("leads".to_owned(), vec![alice]),
            ("owners".to_owned(), vec![bob]),
        ];
        let governor = Governor::new(GovernorConfig {
            session: SessionId::new("s-1").unwrap(),
            policy: Policy::parse(policy.as_bytes()).unwrap(),
            reading: ReadingTerms {
                around: Surroundings {
                    directory: "/r".into(),
                    repository: "/r".into(),
                    home: "/h".into(),
                    temporary: "/tmp".into(),
                    ..Surroundings::default()
                },
                disk: Box::new(|| Box::new(NoDisk)),
                ..ReadingTerms::blind()
            },
            journal: journal.handle(),
            screen: support::screen(),
            questions: Questions::new(
                vec![Box::new(Alice {
                    scope: Arc::clone(&scope),
                    offers: Arc::clone(&offers),
                })],
                Duration::from_secs(60),
                Duration::from_secs(60),
            ),
            groups: Groups(groups.into()),
            origin: Origin::default(),
            own_file: Box::new(|_| false),
            gate_unchanged: Box::new(|| Ok(())),
            apart: true,
            watched: true,
            sandbox: None,
            notices: Box::new(|_| {}),
            broken: Box::new(|_| {}),
        });
        Self {
            governor,
            scope,
            offers,
            journal: Some(journal),
            scratch,
            calls: 0,
        }
    }

    fn answering(&self, pattern: bool, minutes: Option<u32>) {
        *self.scope.lock().unwrap() = Scope::Session { pattern, minutes };
    }

    fn bash(&mut self, command: &str) -> Result<(), String> {
        self.calls += 1;
        let call = ToolCall {
            id: MessageId::new(format!("m{}", self.calls)).unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: "Bash".into(),
            args: [("command".to_owned(), json!(command))]
                .into_iter()
                .collect(),
            actor: Actor::ClaudeProcess,
        };
        match self.governor.request(call, PEER).unwrap() {
            Decided::Denied(denial) => Err(denial.reason().to_owned()),
            _ => Ok(()),
        }
    }

    /// How many questions a person saw.
    fn questions(&self) -> usize {
        self.offers.lock().unwrap().len()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.scratch.paths().log).unwrap()
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|event: &Value| event["kind"] == kind)
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.journal.take().into_iter().for_each(Journal::close);
    }
}

fn push() -> Value {
    json!({"id": "push", "effect": "require", "when": {"command": ["git push *"]}, "sessionGrant": "pattern"})
}

#[test]
fn what_a_person_grants_is_not_asked_again_and_each_step_is_on_record() {
    let mut session = Session::new(
        &json!([push(), {"id": "rest", "effect": "allow", "when": {"host": ["*"], "code": ["repo"]}}]),
    );
    session.answering(true, None);
    assert_eq!(session.bash("git push origin feature/login"), Ok(()));
    let offer = session.offers.lock().unwrap()[0].clone().unwrap();
    assert_eq!(
        offer.pattern.as_deref(),
        Some("running git push origin feature/*")
    );
    assert_eq!(session.bash("git push origin feature/other"), Ok(()));
    assert_eq!(session.questions(), 1);
    let granted = session.events("approval.granted");
    assert_eq!(
        granted[0]["payload"]["givesGrants"],
        json!([{"id": "g1", "rule": "push", "covers": "running git push origin feature/*", "until": null}])
    );
    assert_eq!(granted[0]["approval_binding_type"], "console");
    let again = &granted[1];
    assert_eq!(again["approval_binding_type"], "session-grant");
    assert_eq!(again["on_behalf_of"], "alice");
    assert_eq!(again["payload"]["decidedBy"], "alice");
    assert_eq!(again["payload"]["usesGrants"], json!(["g1"]));
    assert_eq!(again["payload"]["messageId"], "m2");
    let allowed = session.events("gate.allow");
    let reason = "approved for the session by alice (g1)";
    assert_eq!(allowed[1]["payload"]["reason"], reason);

    // What is slipped in beside it is asked about as before.
    assert_eq!(session.bash("git push origin feature/x --force"), Ok(()));
    assert_eq!(session.questions(), 2);

    let bob = ("bob at /dev/pts/3", ApprovalBinding::Console);
    let revoked = session
        .governor
        .revoke("g1", bob.0, bob.1)
        .unwrap()
        .unwrap();
    assert_eq!(revoked.state, GrantState::Revoked);
    assert_eq!(session.governor.revoke("g1", bob.0, bob.1).unwrap(), None);
    let event = session.events("grant.revoked").remove(0);
    assert_eq!(event["payload"]["grant"]["id"], "g1");
    assert_eq!(event["payload"]["revokedBy"], bob.0);
    assert_eq!(event["payload"]["sessionId"], "s-1");
    assert_eq!(session.bash("git push origin feature/other"), Ok(()));
    assert_eq!(session.questions(), 3);
    let states: Vec<GrantState> = session
        .governor
        .grants()
        .iter()
        .map(|one| one.state)
        .collect();
    assert_eq!(states[0], GrantState::Revoked);
    assert_eq!(states.last(), Some(&GrantState::Live));

    // Nothing holds once the session ends.
    session.governor.hang_up();
    assert!(
        session
            .bash("git push origin feature/other")
            .unwrap_err()
            .contains("session ended")
    );
}

#[test]
fn agp_log_lists_grants_with_their_state() {
    let mut session = Session::new(&json!([
        push(),
        {"id": "rest", "effect": "allow", "when": {"host": ["*"], "code": ["repo"]}},
    ]));
    session.answering(false, None);
    session.bash("git push origin a").unwrap();
    session.bash("git push origin a").unwrap();
    session.answering(true, Some(10));
    session.bash("git push origin 'b\u{1b}[2K'/c").unwrap();
    session.answering(false, Some(10));
    session.bash("git push origin c").unwrap();
    session
        .governor
        .revoke("g1", "alice", ApprovalBinding::Console)
        .unwrap();
    let world = World::empty();
    fs::create_dir_all(world.agp_home()).unwrap();
    fs::write(world.agp_home().join("audit.log"), session.text()).unwrap();
    let listed = world.agp(&["log", "--grants"]).run().succeeded();
    let lines: Vec<&str> = listed.out.lines().collect();
    assert!(
        lines[0].starts_with("s-1 g1 revoked by alice (console) from "),
        "{listed:?}"
    );
    let whole = listed.out.replace('\n', " ");
    let whole = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = "until the end of the session, rule push, 1 call: running git push origin a";
    assert!(whole.contains(first), "{whole}");
    assert!(whole.contains("g2 live by alice"), "{whole}");
    let ask = |arguments: &[&str]| world.agp(&[&["log", "--grants"], arguments].concat()).run();
    let json = ask(&["--json", "--session", "s-1"]).succeeded();
    let objects: Vec<Value> = json
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(
        (
            &objects[0]["state"],
            &objects[0]["calls"],
            &objects[0]["until"]
        ),
        (&json!("revoked"), &json!(1), &Value::Null)
    );
    assert_eq!(objects[1]["covers"], "running git push origin c");
    assert!(objects[1]["until"].is_string());
    ask(&["--session", "s-2"]).exited(2);
    ask(&["--follow"]).exited(2);
    ask(&["--kind", "session"]).exited(2);
}

#[test]
fn a_rule_that_names_who_approves_is_met_by_them_alone() {
    let rule = |approvers: Value| {
        json!([{"id": "a", "effect": "require", "when": {"command": ["deploy *"]}, "approvers": approvers},
            {"id": "code", "effect": "allow", "when": {"code": ["unknown"]}}])
    };
    for (approvers, met) in [
        (json!(["@leads"]), true),
        (json!(["user:alice"]), true),
        (json!(["U0BOB", "user:alice"]), true),
        (json!(["@owners"]), false),
        (json!(["user:bob"]), false),
        (json!(["@nobody"]), false),
    ] {
        let mut session = Session::new(&rule(approvers.clone()));
        let outcome = session.bash("deploy x");
        assert_eq!(outcome.is_ok(), met, "{approvers}: {outcome:?}");
        if let (Err(why), Some(name)) = (outcome, approvers[0].as_str()) {
            assert!(why.contains(name), "{why}");
        }
    }
    // Two rules, and somebody of each.
    let mut both = rule(json!(["@leads"]));
    let second = json!({"id": "b", "effect": "require", "when": {"command": ["deploy *"]}, "approvers": ["@owners"]});
    both.as_array_mut().unwrap().push(second);
    assert!(Session::new(&both).bash("deploy x").is_err());
}

#[test]
fn a_group_that_config_json_lacks_starts_no_session() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    let home = world.agp_home();
    let policy = json!({"rules": [
        {"id": "a", "effect": "require", "when": {"command": ["deploy *"]}, "approvers": ["@leads"]},
    ]});
    fs::write(home.join("policy.json"), policy.to_string()).unwrap();
    let run = || world.agp(&["run", "--intendant", "scripted"]).run();
    run()
        .exited(1)
        .complained(&["rule 'a' lets @leads approve", "\"leads\""]);
    let check = || world.agp(&["policy", "check"]).run().succeeded();
    check().said(&["[unknown-group]", "no group \"leads\""]);
    let config = |text: &str| fs::write(home.join("config.json"), text).unwrap();
    config(r#"{"groups": {"leads": ["alice"]}}"#);
    run()
        .exited(1)
        .complained(&["groups.leads", "\"alice\" is nobody"]);
    config(r#"{"groups": {"leads": ["user:alice"]}}"#);
    assert!(!check().out.contains("unknown-group"));
    assert!(!run().err.contains("no such group"));
}
