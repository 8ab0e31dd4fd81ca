//! The Slack channel behind a real governor and a real journal, for tests of what the channel does whatever the
//! harness is. An answer is what the journal says of it, and nothing else.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use agp::channels::slack::{About, Around, Reason, Settings, SetupError, Slack, UncheckedConfig};
use agp::contracts::approver::{Approver, Groups};
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, Channel, Scope, Unreachable};
use agp::contracts::event::{ApprovalBinding, Draft, Kind};
use agp::contracts::ids::{MessageId, SessionId};
use agp::contracts::question::Question;
use agp::contracts::view::Origin;
use agp::governor::{Effect, Governor, GovernorConfig, Questions, ReadingTerms};
use agp::journal::key::SigningKey;
use agp::journal::redact::{self, Screen};
use agp::journal::{Journal, Paths, args_sha256};
use agp::policy::Policy;
use agp::sandbox::recording::Recording;
use serde_json::{Value, json};

use super::slack::{self, APP_TOKEN, BOT_TOKEN, CHANNEL, Click, SlackDouble, TEAM};

pub(crate) const ALICE: &str = "U0ALICE";
pub(crate) const BOB: &str = "U0BOB";
pub(crate) const STRANGER: &str = "U0STRANGER";
pub(crate) const LONG: Duration = Duration::from_secs(300);
const SESSION: &str = "s-1";
/// The one other session that runs.
pub(crate) const LIVE: &str = "s-live";

/// One channel that a governor and a test hold.
struct Shared(Arc<Slack>);

impl Channel for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn team(&self) -> Option<&str> {
        self.0.team()
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        self.0.show(question)
    }

    fn over(&self, question: &Question, answer: &Answer) {
        self.0.over(question, answer);
    }

    fn mirrors(&self, kind: Kind) -> bool {
        self.0.mirrors(kind)
    }

    fn mirror(&self, events: Vec<Draft>) {
        self.0.mirror(events);
    }

    fn hang_up(&self) {
        self.0.hang_up();
    }
}

/// What a rule asks for besides a yes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rule {
    pub(crate) required: Option<u32>,
    pub(crate) for_session: bool,
    /// Who may approve: `leads` is Bob, `owners` are Bob and somebody whom `slack.approvers` does not list.
    pub(crate) approvers: &'static [&'static str],
    pub(crate) deadline: Option<Duration>,
    pub(crate) queue: Option<Duration>,
}

/// The channel, who it is asked by, and what came of it.
pub(crate) struct Asking {
    pub(crate) slack: Option<Arc<Slack>>,
    journal: Option<Journal>,
    screen: Arc<Screen>,
    warnings: Arc<Mutex<Vec<String>>>,
    directory: PathBuf,
    governors: Mutex<HashMap<Rule, Arc<Governor>>>,
    session: String,
}

/// Which session it is, of which home.
pub(crate) struct Name<'a> {
    pub(crate) home: &'a str,
    pub(crate) session: &'a str,
    /// The directory of the home's leases.
    pub(crate) sessions: PathBuf,
}

/// The settings of a test's Slack.
pub(crate) fn given(double: &SlackDouble, approvers: &[&str], required: u32) -> UncheckedConfig {
    UncheckedConfig {
        bot_token: Some(BOT_TOKEN.into()),
        app_token: Some(APP_TOKEN.into()),
        channel: Some(CHANNEL.into()),
        approvers: approvers.iter().map(|user| (*user).to_owned()).collect(),
        required: Some(required),
        mention: None,
        api: Some(double.url()),
    }
}

pub(crate) fn asking(double: &SlackDouble) -> Asking {
    started(given(double, &[ALICE, BOB], 1)).unwrap()
}

pub(crate) fn started(given: UncheckedConfig) -> Result<Asking, SetupError> {
    let directory = directory();
    let asking = started_in(&directory, given);
    if asking.is_err() {
        let _ = fs::remove_dir_all(&directory);
    }
    asking
}

/// A directory for one governor after the other.
pub(crate) fn directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("agp-slack-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Starts the channel in a directory that the test removes, or the last one there does.
pub(crate) fn started_in(directory: &Path, given: UncheckedConfig) -> Result<Asking, SetupError> {
    let name = Name {
        home: "home",
        session: SESSION,
        sessions: directory.join("sessions"),
    };
    started_as(name, directory, given)
}

/// The same as this session.
pub(crate) fn started_as(
    name: Name<'_>,
    directory: &Path,
    given: UncheckedConfig,
) -> Result<Asking, SetupError> {
    let key_file = directory.join("key");
    if !key_file.is_file() {
        fs::write(&key_file, &*SigningKey::generate().unwrap().1).unwrap();
    }
    let key = SigningKey::from_pem(&fs::read_to_string(&key_file).unwrap()).unwrap();
    fs::write(directory.join("key.pub"), key.public().to_pem()).unwrap();
    let screen = Arc::new(Screen::new(&[]));
    let paths = Paths::of(&directory.join("audit.log"));
    let (journal, _) = Journal::open(&paths, key, &[], Arc::clone(&screen)).unwrap();
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let (recorded, warned) = (journal.handle(), Arc::clone(&warnings));
    let session = SessionId::new(name.session).unwrap();
    let around = Around {
        about: About {
            origin: Origin {
                session: name.session.into(),
                ..origin()
            },
            sandbox: "recording".into(),
            egress: "none".into(),
        },
        home: name.home.into(),
        sessions: name.sessions,
        outbox: directory.join("outbox.json"),
        roots: None,
        is_live: Box::new(|session| session == LIVE),
        redact: redact::redact_tokens,
        rejected: Box::new(move |rejection| {
            let _ = recorded.append_one(rejection.draft(&session)).unwrap();
        }),
        warn: Box::new(move |text| warned.lock().unwrap().push(text.to_owned())),
    };
    let slack = Slack::start(&Settings::checked(given)?, around);
    let slack = match slack {
        Ok(slack) => Arc::new(slack),
        Err(error) => {
            journal.close();
            return Err(error);
        }
    };
    Ok(Asking {
        slack: Some(slack),
        journal: Some(journal),
        screen,
        warnings,
        governors: Mutex::default(),
        directory: directory.to_owned(),
        session: name.session.to_owned(),
    })
}

fn origin() -> Origin {
    Origin {
        session: SESSION.into(),
        harness: "script".into(),
        task: Some("Fix it".into()),
        repository: "/srv/shop".into(),
        host: "buildhost".into(),
        user: "tester".into(),
    }
}

impl Asking {
    pub(crate) fn slack(&self) -> &Arc<Slack> {
        self.slack.as_ref().unwrap()
    }

    pub(crate) fn outbox(&self) -> PathBuf {
        self.directory.join("outbox.json")
    }

    pub(crate) fn warned(&self, part: &str) -> bool {
        let all = self.warnings.lock().unwrap();
        all.iter().any(|warning| warning.contains(part))
    }

    pub(crate) fn request(
        &self,
        id: &str,
        command: &str,
        deadline: Duration,
    ) -> JoinHandle<Answer> {
        self.request_with(id, json!({ "command": command }), deadline)
    }

    pub(crate) fn request_with(
        &self,
        id: &str,
        args: Value,
        deadline: Duration,
    ) -> JoinHandle<Answer> {
        let rule = Rule {
            deadline: Some(deadline),
            ..Rule::default()
        };
        self.request_under(id, args, rule)
    }

    /// A governor of these terms has a call decided; what the journal says of it is the answer.
    pub(crate) fn request_under(&self, id: &str, args: Value, rule: Rule) -> JoinHandle<Answer> {
        let mut asks = json!({
            "id": "ask-bash", "effect": "require", "tool": "Bash", "reason": "writes need a person",
        });
        if let Some(required) = rule.required {
            asks["approvalsRequired"] = json!(required);
        }
        if rule.for_session {
            asks["sessionGrant"] = json!(true);
        }
        let Value::Object(args) = args else {
            panic!("arguments are an object");
        };
        if !rule.approvers.is_empty() {
            asks["approvers"] = json!(rule.approvers);
        }
        let session = SessionId::new(self.session.as_str()).unwrap();
        let made = || self.governor(&asks, rule);
        let mut governors = self.governors.lock().unwrap();
        let governor = Arc::clone(governors.entry(rule).or_insert_with(|| Arc::new(made())));
        drop(governors);
        let call = ToolCall {
            id: MessageId::new(id).unwrap(),
            session,
            tool: "Bash".into(),
            args,
            actor: Actor::ClaudeProcess,
        };
        let journal = self.directory.join("audit.log");
        thread::spawn(move || {
            let outcome = governor
                .run_call(call.clone(), &Effect::Execute(&Recording))
                .unwrap();
            let executed = matches!(outcome, agp::governor::CallOutcome::Executed(_));
            drop(governor);
            answer(&journal, &call, executed)
        })
    }

    /// The governor of one session: what is granted under a rule is known to its later calls.
    fn governor(&self, asks: &Value, rule: Rule) -> Governor {
        let slack = |users: &[&str]| {
            let people = users.iter().map(|user| Approver::Slack((*user).to_owned()));
            people.collect::<Vec<_>>()
        };
        let groups = [
            ("leads", slack(&[BOB])),
            ("owners", slack(&[BOB, STRANGER])),
        ];
        let groups = groups.map(|(name, people)| (name.to_owned(), people));
        Governor::new(GovernorConfig {
            reading: ReadingTerms::blind(),
            session: SessionId::new(self.session.as_str()).unwrap(),
            policy: Policy::parse(json!({ "rules": [asks] }).to_string().as_bytes()).unwrap(),
            journal: self.journal.as_ref().unwrap().handle(),
            screen: Arc::clone(&self.screen),
            questions: Questions::new(
                vec![Box::new(Shared(Arc::clone(self.slack())))],
                rule.deadline.unwrap_or(LONG),
                rule.queue.unwrap_or_default(),
            ),
            groups: Groups(groups.into()),
            origin: origin(),
            own_file: Box::new(|_| false),
            gate_unchanged: Box::new(|| Ok(())),
            watched: false,
            apart: true,
            sandbox: None,
            notices: Box::new(|_| {}),
            broken: Box::new(|broken| panic!("{broken}")),
        })
    }

    /// Ends the sessions of all rules.
    pub(crate) fn hang_up(&self) {
        let governors = self.governors.lock().unwrap();
        governors.values().for_each(|governor| governor.hang_up());
    }

    /// The events of one kind.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let all = events(&self.directory.join("audit.log")).into_iter();
        all.filter(|event| event["kind"] == kind).collect()
    }

    /// Waits until the journal has as many rejected clicks as there are reasons, and for these.
    #[track_caller]
    pub(crate) fn rejected(&self, reasons: &[Reason]) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.events("approval.rejected").len() < reasons.len() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let found = self.events("approval.rejected");
        let found: Vec<&Value> = found
            .iter()
            .map(|event| &event["payload"]["reason"])
            .collect();
        let reasons: Vec<&str> = reasons.iter().map(|reason| reason.code()).collect();
        assert_eq!(found, reasons);
    }

    /// Ends the session; the directory stays.
    pub(crate) fn end(mut self) -> PathBuf {
        self.close();
        std::mem::take(&mut self.directory)
    }

    fn close(&mut self) {
        self.governors.lock().unwrap().clear();
        let slack = self.slack.take();
        let whole = slack.is_none_or(|slack| Arc::into_inner(slack).is_some());
        self.journal.take().into_iter().for_each(Journal::close);
        if thread::panicking() {
            return;
        }
        assert!(whole, "a request still waits");
        let verified = std::process::Command::new(env!("CARGO_BIN_EXE_agp-verify"))
            .arg(self.directory.join("audit.log"))
            .arg("--key")
            .arg(self.directory.join("key.pub"))
            .output()
            .unwrap();
        let nothing = events(&self.directory.join("audit.log")).is_empty();
        assert!(nothing || verified.status.success(), "{verified:?}");
        // Who was turned away has decided nothing.
        for event in self.events("approval.rejected") {
            assert_eq!(event["on_behalf_of"], Value::Null, "{event}");
            assert_eq!(event["payload"]["sessionId"], self.session, "{event}");
            assert!(event["payload"]["user"].is_string(), "{event}");
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.journal.is_some() {
            self.close();
        }
        if !self.directory.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn events(journal: &Path) -> Vec<Value> {
    let text = fs::read_to_string(journal).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = whole.split('\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What the journal says of a call, and that all of it is about these arguments.
fn answer(journal: &Path, call: &ToolCall, executed: bool) -> Answer {
    let mut all = events(journal);
    all.retain(|event| event["payload"]["messageId"] == call.id.as_str());
    let digest = args_sha256(&call.args).to_hex();
    assert!(
        all.iter()
            .all(|event| event["payload"]["argsSha256"] == digest),
        "{all:#?}"
    );
    all.retain(|event| event["kind"] != "approval.rejected");
    let kinds: Vec<&str> = all
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    let [asked, decided, rest @ ..] = kinds.as_slice() else {
        panic!("{kinds:?}");
    };
    assert_eq!(*asked, "tool_call.require");
    let event = &all[1];
    let (payload, by) = (&event["payload"], &event["on_behalf_of"]);
    assert_eq!(payload["channel"], "slack");
    assert_eq!(&payload["decidedBy"], by);
    let by_grant = event["approval_binding_type"] == "session-grant";
    let team = if by.is_string() && !by_grant {
        json!(TEAM)
    } else {
        Value::Null
    };
    assert_eq!(payload["team"], team);
    assert_eq!(event["actor"], "session_owner");
    let who = || by.as_str().unwrap().to_owned();
    let binding = || match event["approval_binding_type"].as_str() {
        Some("slack-nonce") => ApprovalBinding::SlackNonce,
        Some("session-grant") => ApprovalBinding::SessionGrant,
        other => panic!("bound by {other:?}"),
    };
    let ran: &[&str] = if executed {
        &["tool_call.executed"]
    } else {
        &[]
    };
    assert_eq!(rest, ran);
    assert_eq!(executed, *decided == "approval.granted");
    match *decided {
        "approval.granted" => Answer::Granted {
            by: who(),
            binding: binding(),
            scope: Scope::Once,
        },
        "approval.denied" if by.is_string() => Answer::Denied {
            by: who(),
            binding: binding(),
            reason: payload["reason"].as_str().map(str::to_owned),
        },
        "approval.denied" => Answer::Unreachable(payload["reason"].as_str().unwrap().to_owned()),
        "approval.timeout" => Answer::TimedOut,
        other => panic!("{other}"),
    }
}

/// A person as agp names one.
pub(crate) fn person(user: &str) -> String {
    format!("{} (slack {user})", slack::name_of(user))
}

pub(crate) fn granted_by(user: &str) -> Answer {
    Answer::Granted {
        by: person(user),
        binding: ApprovalBinding::SlackNonce,
        scope: Scope::Once,
    }
}

pub(crate) fn denied_by(user: &str) -> Answer {
    Answer::Denied {
        by: person(user),
        binding: ApprovalBinding::SlackNonce,
        reason: None,
    }
}

pub(crate) fn allow(double: &SlackDouble, at: usize, user: &str) -> Click {
    Click::of(&double.card(at).button("allow").unwrap(), user)
}

pub(crate) fn deny(double: &SlackDouble, at: usize, user: &str) -> Click {
    Click::of(&double.card(at).button("deny").unwrap(), user)
}
