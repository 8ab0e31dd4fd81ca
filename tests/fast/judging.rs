//! A governor judges what a call would do: by the real file system, by what the session did before, and once more behind a
//! person's answer.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the support module serves other tests too; a JSON value indexed by a name it lacks is null; \
              whatever fails here fails the test"
)]

use crate::support::journal as support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agp::contracts::approver::Groups;
use agp::contracts::call::{Actor, ToolCall};
use agp::contracts::channel::{Answer, Channel, Scope, Unreachable};
use agp::contracts::event::ApprovalBinding;
use agp::contracts::ids::{MessageId, SessionId, Sha256};
use agp::contracts::intendant::Observation;
use agp::contracts::question::Question;
use agp::contracts::view::Origin;
use agp::disk::{Grounds, Looking};
use agp::gateway::server::{Decided, Gate, Peer};
use agp::governor::{Governor, GovernorConfig, Notice, Questions, ReadingTerms};
use agp::journal::Journal;
use agp::policy::{Policy, shipped};
use agp::reading::surroundings::Surroundings;
use agp::view::before::{Before, Preview};
use serde_json::{Value, json};
use support::{Key, Scratch};

const PEER: Peer = Peer { pid: 1, uid: 0 };

type Meanwhile = Box<dyn FnMut(u32) + Send>;

/// Approves everything, and does something before it says so.
struct Yes {
    meanwhile: Mutex<(u32, Meanwhile)>,
    reasons: Arc<Mutex<Vec<String>>>,
}

impl Channel for Yes {
    fn name(&self) -> &'static str {
        "console"
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        let reason = question.asking().verdict.reason.clone();
        self.reasons.lock().unwrap().push(reason);
        let mut meanwhile = self.meanwhile.lock().unwrap();
        meanwhile.0 += 1;
        let times = meanwhile.0;
        (meanwhile.1)(times);
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

/// Reads files as they are.
struct Reads;

impl Preview for Reads {
    fn before(&self, path: &str) -> Before {
        match fs::read_to_string(path) {
            Ok(text) => Before::Text {
                sha256: Sha256::of(text.as_bytes()),
                text,
            },
            Err(_) => Before::Nothing,
        }
    }
}

struct Session {
    governor: Governor,
    reasons: Arc<Mutex<Vec<String>>>,
    warnings: Arc<Mutex<Vec<String>>>,
    journal: Option<Journal>,
    scratch: Scratch,
    repository: PathBuf,
    asked: u32,
}

impl Session {
    fn new(policy: &str, meanwhile: impl FnOnce(PathBuf) -> Meanwhile) -> Self {
        let scratch = Scratch::new("judging");
        // A short path: reasons show its beginning only.
        let root =
            std::env::temp_dir().join(scratch.paths().log.parent().unwrap().file_name().unwrap());
        fs::create_dir_all(&root).unwrap();
        let root = root.canonicalize().unwrap();
        for name in ["repo/src", "repo/.git/hooks", "home", "tmp"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let repository = root.join("repo");
        fs::write(repository.join(".env"), "A=b").unwrap();
        fs::write(repository.join("notes.md"), "text").unwrap();
        fs::write(repository.join("Cargo.toml"), "").unwrap();
        let (journal, _) = support::open(&scratch.paths(), &Key::new()).unwrap();
        let reasons: Arc<Mutex<Vec<String>>> = Arc::default();
        let grounds = Grounds::new(&repository, &root.join("home"), &root.join("tmp"));
        // Calls of tests wait for each other: 20 ms are not enough.
        let grounds: &'static Grounds = Box::leak(Box::new(grounds));
        let looking = || Looking::until(grounds, Instant::now() + Duration::from_secs(60));
        let text = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
        let warns = Arc::clone(&warnings);
        let governor = Governor::new(GovernorConfig {
            session: SessionId::new("s-1").unwrap(),
            policy: Policy::parse(policy.as_bytes()).unwrap(),
            reading: ReadingTerms {
                around: Surroundings {
                    directory: text("repo"),
                    repository: text("repo"),
                    home: text("home"),
                    temporary: text("tmp"),
                    agp: vec![text("home/.agp")],
                    ..Surroundings::default()
                },
                disk: Box::new(move || Box::new(looking())),
                preview: Box::new(Reads),
                confined: true,
                today: || None,
            },
            journal: journal.handle(),
            screen: support::screen(),
            questions: Questions::new(
                vec![Box::new(Yes {
                    meanwhile: Mutex::new((0, meanwhile(repository.clone()))),
                    reasons: Arc::clone(&reasons),
                })],
                Duration::from_secs(60),
                Duration::from_secs(60),
            ),
            groups: Groups::default(),
            origin: Origin::default(),
            own_file: Box::new(|_| false),
            gate_unchanged: Box::new(|| Ok(())),
            apart: true,
            watched: true,
            sandbox: None,
            notices: Box::new(move |notice| {
                if let Notice::Warning(text) = notice {
                    warns.lock().unwrap().push((*text).to_owned());
                }
            }),
            broken: Box::new(|_| {}),
        });
        Self {
            governor,
            reasons,
            warnings,
            journal: Some(journal),
            scratch,
            repository,
            asked: 0,
        }
    }

    fn standard() -> Self {
        Self::new(shipped("standard").unwrap(), |_| Box::new(|_| {}))
    }

    fn ask(&mut self, tool: &str, args: Value) -> Result<(), String> {
        self.asked += 1;
        let Value::Object(args) = args else {
            panic!("{args}")
        };
        let call = ToolCall {
            id: MessageId::new(format!("m{}", self.asked)).unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: tool.into(),
            args,
            actor: Actor::ClaudeProcess,
        };
        match self.governor.request(call, PEER).unwrap() {
            Decided::Denied(denial) => Err(denial.reason().to_owned()),
            _ => Ok(()),
        }
    }

    fn bash(&mut self, command: &str) -> Result<(), String> {
        self.ask("Bash", json!({"command": command}))
    }

    /// How often somebody was asked so far.
    fn questions(&self) -> usize {
        self.reasons.lock().unwrap().len()
    }

    fn kinds(&self) -> Vec<String> {
        let kinds = self.events().into_iter();
        kinds
            .map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The events of the last call.
    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.scratch.paths().log).unwrap();
        let id = format!("m{}", self.asked);
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|event: &Value| event["payload"]["messageId"] == id.as_str())
            .collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.journal.take().into_iter().for_each(Journal::close);
        let _ = fs::remove_dir_all(self.repository.parent().unwrap());
    }
}

#[test]
fn editing_a_test_script_and_running_it_asks_nothing_and_a_push_is_asked() {
    let mut session = Session::standard();
    let script = session.repository.join("src/check.sh");
    let write = json!({"file_path": script.to_str().unwrap(), "content": "echo ok\n"});
    for _ in 0..2 {
        assert_eq!(session.ask("Write", write.clone()), Ok(()));
        fs::write(&script, "echo again\n").unwrap();
        assert_eq!(session.bash("bash src/check.sh 2>&1 | tail -40"), Ok(()));
    }
    for command in [
        "git diff --stat HEAD~1",
        "git status --short",
        "rg -n foo src | head",
    ] {
        assert_eq!(session.bash(command), Ok(()), "{command}");
    }
    assert_eq!(session.questions(), 0, "{:?}", session.reasons);
    for command in [
        "git push",
        "git -C . push",
        "/usr/bin/git push",
        "env git push",
    ] {
        let before = session.questions();
        assert_eq!(session.bash(command), Ok(()), "{command}");
        assert_eq!(session.questions(), before + 1, "{command}");
    }
}

#[test]
fn a_path_that_is_denied_is_denied_by_every_route() {
    let mut session = Session::standard();
    let repository = session.repository.clone();
    symlink(".env", repository.join("plain.txt")).unwrap();
    fs::hard_link(repository.join(".env"), repository.join("other.txt")).unwrap();
    let text = |name: &str| json!({"file_path": repository.join(name).to_str().unwrap()});
    for name in [".env", "src/../.env", "plain.txt"] {
        assert!(session.ask("Read", text(name)).is_err(), "{name}");
    }
    for command in [
        "cat .env",
        "cat plain.txt",
        "cd src && cat ../.env",
        "grep -r A .",
        "cat < .env",
        "f=.env; cat \"$f\"",
    ] {
        let said = session.bash(command);
        assert!(said.is_err(), "{command}");
    }
    assert_eq!(session.ask("Read", text("notes.md")), Ok(()));
    assert_eq!(session.questions(), 0, "{:?}", session.reasons);
}

#[test]
fn what_leads_elsewhere_once_it_is_approved_is_asked_anew() {
    let policy = r#"{"rules": [{"id": "w", "effect": "require", "when": {"write": ["**"]}}]}"#;
    let mut session = Session::new(policy, |repository| {
        symlink("notes.md", repository.join("link")).unwrap();
        Box::new(move |times| {
            if times == 1 {
                fs::remove_file(repository.join("link")).unwrap();
                symlink("src/other", repository.join("link")).unwrap();
            }
        })
    });
    let link = session.repository.join("link");
    let write = json!({"file_path": link.to_str().unwrap(), "content": "x"});
    assert_eq!(session.ask("Write", write.clone()), Ok(()));
    let reasons = session.reasons.lock().unwrap().clone();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("notes.md"), "{reasons:?}");
    assert!(
        reasons[1].starts_with("changed since it was approved: ")
            && reasons[1].contains("src/other"),
        "{reasons:?}"
    );
    assert_eq!(
        session.kinds(),
        [
            "tool_call.require",
            "approval.granted",
            "tool_call.require",
            "approval.granted",
            "gate.allow"
        ]
    );
    // By now it stays as it is.
    assert_eq!(session.ask("Write", write), Ok(()));
    assert_eq!(session.questions(), 3);
}

/// What a person saw of a file was true when they answered.
#[test]
fn a_file_that_changed_before_the_answer_is_asked_about_anew() {
    let policy = r#"{"rules": [{"id": "w", "effect": "require", "when": {"write": ["**"]}}]}"#;
    let mut session = Session::new(policy, |repository| {
        Box::new(move |times| {
            if times == 1 {
                fs::write(repository.join("notes.md"), "other").unwrap();
            }
        })
    });
    let write = json!({"file_path": "notes.md", "content": "x"});
    assert_eq!(session.ask("Write", write.clone()), Ok(()));
    let reasons = session.reasons.lock().unwrap().clone();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    let file = session.repository.join("notes.md");
    let begin = "the file changed since it was asked: notes.md. ";
    assert!(reasons[1].starts_with(begin), "{reasons:?}");
    let events = session.events();
    let preview = |at: usize| events[at]["payload"]["preview"].clone();
    for (at, text) in [(0, "text"), (2, "other")] {
        let sha256 = Sha256::of(text.as_bytes()).to_hex();
        assert_eq!(
            preview(at),
            json!([{"path": file, "sha256": sha256, "why": null}])
        );
    }
    // Two views, and each answer is to its own.
    let view = |at: usize| events[at]["payload"]["view"]["blocks"][0]["lines"][0]["text"].clone();
    assert_eq!((view(1), view(3)), (json!("text"), json!("other")));
    assert_ne!(
        events[1]["payload"]["viewSha256"],
        events[3]["payload"]["viewSha256"]
    );
    // A file that is made or goes is another, too.
    assert_eq!(session.ask("Write", write), Ok(()));
    assert_eq!(session.questions(), 3);
}

#[test]
fn a_file_that_the_policy_keeps_from_the_agent_is_not_shown() {
    let policy = r#"{"rules": [
        {"id": "w", "effect": "require", "when": {"write": ["**"]}},
        {"id": "env", "effect": "deny", "when": {"read": [".env"]}}]}"#;
    let mut session = Session::new(policy, |_| Box::new(|_| {}));
    // By a rule, and because it is dangerous.
    for name in [".env", ".git-credentials"] {
        let _ = session.ask("Write", json!({"file_path": name, "content": "x"}));
        let events = session.events();
        let preview = &events[0]["payload"]["preview"][0];
        let why = "the policy keeps it from being read";
        assert_eq!(
            (&preview["sha256"], &preview["why"]),
            (&Value::Null, &json!(why))
        );
    }
    let _ = session.ask("Write", json!({"file_path": "Cargo.toml", "content": "x"}));
    assert!(session.events()[0]["payload"]["preview"][0]["sha256"].is_string());
}

#[test]
fn what_is_denied_by_the_time_it_is_approved_does_not_run() {
    let policy = r#"{"rules": [
        {"id": "r", "effect": "require", "tool": "Read"},
        {"id": "env", "effect": "deny", "when": {"read": [".env"]}}]}"#;
    let mut session = Session::new(policy, |repository| {
        symlink("notes.md", repository.join("link")).unwrap();
        Box::new(move |_| {
            fs::remove_file(repository.join("link")).unwrap();
            symlink(".env", repository.join("link")).unwrap();
        })
    });
    let link = session.repository.join("link");
    let said = session.ask("Read", json!({"file_path": link.to_str().unwrap()}));
    let said = said.unwrap_err();
    assert!(
        said.contains("'env' denies") && said.contains(".env"),
        "{said}"
    );
    assert_eq!(
        session.kinds(),
        [
            "tool_call.require",
            "approval.granted",
            "tool_call.deny",
            "gate.deny"
        ]
    );
}

#[test]
fn whoever_changes_it_each_time_gets_a_deny() {
    let policy = r#"{"rules": [{"id": "r", "effect": "require", "tool": "Read"}]}"#;
    let mut session = Session::new(policy, |repository| {
        symlink("notes.md", repository.join("link")).unwrap();
        Box::new(move |times| {
            fs::remove_file(repository.join("link")).unwrap();
            symlink(format!("new{times}"), repository.join("link")).unwrap();
        })
    });
    let link = session.repository.join("link");
    let said = session.ask("Read", json!({"file_path": link.to_str().unwrap()}));
    assert_eq!(session.questions(), 3);
    let said = said.unwrap_err();
    assert!(said.contains("changed each time"), "{said}");
    assert_eq!(session.kinds().last().unwrap(), "gate.deny");
}

#[test]
fn a_host_is_new_once_credentials_were_read() {
    let policy = r#"{"otherwise": "require", "danger": {"exfiltration": "deny"}, "rules": [
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "some", "effect": "allow", "when": {"host": ["known.example"]}}]}"#;
    let mut session = Session::new(policy, |_| Box::new(|_| {}));
    let fetch = |host: &str| json!({"url": format!("https://{host}/"), "prompt": "x"});
    assert_eq!(session.ask("WebFetch", fetch("one.example")), Ok(()));
    let home = session.repository.with_file_name("home");
    let key = json!({"file_path": home.join(".ssh/id_ed25519").to_str().unwrap()});
    assert_eq!(session.ask("Read", key), Ok(()));
    let said = session.ask("WebFetch", fetch("two.example")).unwrap_err();
    assert!(said.contains("id_ed25519"), "{said}");
    assert_eq!(session.ask("WebFetch", fetch("known.example")), Ok(()));
}

#[test]
fn offered_tools_that_are_denied_as_no_rule_speaks_about_them_are_told_once_with_the_rule_to_write()
{
    let policy = r#"{ "base": "standard", "otherwise": "deny" }"#;
    let mut session = Session::new(policy, |_| Box::new(|_| {}));
    let tools = [
        "Bash",
        "Read",
        "TaskCreate",
        "mcp__fs__x",
        "Config",
        "Brand New",
    ];
    for _ in 0..2 {
        session.governor.witness(&Observation::Started {
            tools: tools.map(str::to_owned).to_vec(),
            directory: None,
        });
    }
    // It is said with the first call.
    let file = session.repository.join("a.rs");
    let read = json!({"file_path": file.to_str().unwrap()});
    assert_eq!(session.ask("Read", read), Ok(()));
    let warnings = session.warnings.lock().unwrap().clone();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("Brand New"), "{warnings:?}");
    for named in ["Bash", "Read", "TaskCreate", "mcp__fs__x"] {
        assert!(!warnings[0].contains(named), "{warnings:?}");
    }
    let rule = warnings[0].split_once("add the rule ").unwrap().1;
    Policy::parse(format!(r#"{{"base": "standard", "rules": [{rule}]}}"#).as_bytes()).unwrap();
    // Where they are asked about, that says it.
    let mut session = Session::standard();
    session.governor.witness(&Observation::Started {
        tools: tools.map(str::to_owned).to_vec(),
        directory: None,
    });
    let file = session.repository.join("a.rs");
    let read = json!({"file_path": file.to_str().unwrap()});
    assert_eq!(session.ask("Read", read), Ok(()));
    assert_eq!(session.warnings.lock().unwrap().len(), 0);
}

#[test]
fn a_command_reads_where_it_runs() {
    let policy = r#"{"rules": [{"id": "c", "effect": "allow", "when": {"command": ["cat *"]}}]}"#;
    let mut session = Session::new(policy, |_| Box::new(|_| {}));
    let repository = session.repository.clone();
    let within = |name: &str| {
        let directory = repository.join(name);
        json!({"command": "cat notes.md", "workdir": directory.to_str().unwrap()})
    };
    for (name, allowed) in [("src", true), ("../home", false), ("..", false)] {
        let said = session.ask("Bash", within(name));
        assert_eq!(said.is_ok(), allowed, "{name}: {said:?}");
    }
}

#[test]
fn a_rule_that_holds_only_by_the_time_of_an_approval_counts() {
    let policy = r#"{"rules": [
        {"id": "ask", "effect": "require", "tool": "Bash"},
        {"id": "main", "effect": "deny", "when": {"command": ["git commit *"], "branch": ["main"]}},
        {"id": "env", "effect": "deny", "when": {"read": ["*.key"]}}]}"#;
    let mut session = Session::new(policy, |repository| {
        let head = repository.join(".git/HEAD");
        fs::create_dir_all(repository.join(".git/objects")).unwrap();
        fs::create_dir_all(repository.join(".git/refs")).unwrap();
        fs::write(&head, "ref: refs/heads/work\n").unwrap();
        Box::new(move |times| match times {
            1 => fs::write(&head, "ref: refs/heads/main\n").unwrap(),
            _ => fs::write(repository.join("src/a.key"), "k").unwrap(),
        })
    });
    for (command, rule) in [("git commit -m x", "'main'"), ("tar c src", "'env'")] {
        let said = session.bash(command).unwrap_err();
        assert!(said.contains(rule), "{command}: {said}");
        assert_eq!(
            session.kinds(),
            [
                "tool_call.require",
                "approval.granted",
                "tool_call.deny",
                "gate.deny"
            ]
        );
    }
}

#[test]
fn a_shell_script_of_the_session_s_that_cannot_be_read_is_asked_about() {
    let mut session = Session::standard();
    let script = session.repository.join("src/x.sh");
    let write = json!({"file_path": script.to_str().unwrap(), "content": "true\n"});
    let long = "#!/bin/sh\n#".to_owned() + &"x".repeat(100_000) + "\ngit push\n";
    for text in [&b"#!/bin/sh\n# \xff\ngit push\n"[..], long.as_bytes()] {
        assert_eq!(session.ask("Write", write.clone()), Ok(()));
        fs::write(&script, text).unwrap();
        for command in [
            "bash src/x.sh",
            ". src/x.sh",
            "cat src/x.sh | sh",
            "./src/x.sh",
        ] {
            let before = session.questions();
            assert_eq!(session.bash(command), Ok(()), "{command}");
            assert_eq!(session.questions(), before + 1, "{command}");
        }
    }
    fs::remove_file(&script).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &script, 0o600.into()).unwrap();
    let before = session.questions();
    assert_eq!(session.bash("bash src/x.sh"), Ok(()));
    assert_eq!(session.questions(), before + 1);
    // A program that is no text is code like any other.
    fs::remove_file(&script).unwrap();
    fs::write(&script, b"\x7fELF\0\xff").unwrap();
    assert_eq!(session.bash("./src/x.sh"), Ok(()));
    assert_eq!(session.questions(), before + 1);
}

#[test]
fn another_name_of_a_denied_file_is_denied_by_a_pattern_and_when_nothing_more_is_looked_at() {
    let policy = r#"{"rules": [
        {"id": "c", "effect": "allow", "when": {"command": ["cat *"]}},
        {"id": "env", "effect": "deny", "when": {"read": [".env"]}}]}"#;
    let mut session = Session::new(policy, |_| Box::new(|_| {}));
    let repository = session.repository.clone();
    fs::hard_link(repository.join(".env"), repository.join("other.txt")).unwrap();
    for command in ["cat other.txt", "cat oth*", "for f in o*; do cat $f; done"] {
        assert!(session.bash(command).is_err(), "{command}");
    }
    // Directories that use up the looks of a call; how many exactly is not to matter.
    let mut lists = String::new();
    for number in 0..5 {
        let files = if number < 4 { 900 } else { 480 };
        fs::create_dir(repository.join(format!("d{number}"))).unwrap();
        for file in 0..files {
            fs::write(repository.join(format!("d{number}/f{file}")), "").unwrap();
        }
        lists += &format!("; cat d{number}/*");
    }
    assert_eq!(session.bash(&format!("cat notes.md{lists}")), Ok(()));
    let said = session.bash(&format!("cat other.txt{lists}"));
    assert!(said.is_err(), "{said:?}");
}

#[test]
fn a_tree_has_what_another_name_in_it_is_a_name_of() {
    let mut session = Session::standard();
    let repository = session.repository.clone();
    let clean = [
        "grep -r A src",
        "tar c src",
        "cat src/*",
        "rg A src",
        "cp -r src /tmp/x",
    ];
    for command in clean {
        assert_eq!(session.bash(command), Ok(()), "{command}");
    }
    let link = repository.join("src/link");
    fs::hard_link(repository.join(".env"), &link).unwrap();
    for command in clean {
        let said = session.bash(command);
        assert!(said.is_err(), "{command}");
    }
    for command in ["ls -l src", "grep -r A src --include='*.rs'", "git status"] {
        assert_eq!(session.bash(command), Ok(()), "{command}");
    }
    // In a repository of more than a thousand files, too.
    for directory in 0..2 {
        let directory = repository.join(format!("d{directory}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..900 {
            fs::write(directory.join(format!("f{file}")), "").unwrap();
        }
    }
    fs::rename(&link, repository.join("d0/link")).unwrap();
    for command in ["cat d0/link", "tar c d0"] {
        assert!(session.bash(command).is_err(), "{command}");
    }
    assert_eq!(session.bash("tar c d1"), Ok(()));
}

#[test]
fn a_file_with_more_names_than_are_looked_for_may_be_any_unless_git_ignores_it() {
    let mut session = Session::standard();
    let repository = session.repository.clone();
    for directory in 0..5 {
        let directory = repository.join(format!("d{directory}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..900 {
            fs::write(directory.join(format!("f{file}")), "").unwrap();
        }
    }
    fs::create_dir(repository.join("node_modules")).unwrap();
    fs::write(repository.join(".gitignore"), "node_modules\n").unwrap();
    for (name, other) in [("node_modules/a.js", "d4/a.js"), ("src/b", "d4/b")] {
        fs::write(repository.join(name), "").unwrap();
        fs::hard_link(repository.join(name), repository.join(other)).unwrap();
    }
    assert_eq!(session.bash("cat node_modules/a.js"), Ok(()));
    assert!(session.bash("cat src/b").is_err());
}

#[test]
fn an_alias_of_git_s_that_cannot_be_read_is_asked_about() {
    let policy = r#"{"rules": [
        {"id": "git", "effect": "allow", "when": {"command": ["git *"]}},
        {"id": "push", "effect": "deny", "when": {"command": ["git push *"]}}]}"#;
    let mut session = Session::new(policy, |_| Box::new(|_| {}));
    let git = session.repository.join(".git");
    fs::create_dir_all(git.join("objects")).unwrap();
    fs::create_dir_all(git.join("refs")).unwrap();
    fs::write(git.join("HEAD"), "ref: refs/heads/work\n").unwrap();
    let alias = "[alias]\n\tp = push\n";
    fs::write(git.join("config"), alias).unwrap();
    assert!(session.bash("git p").is_err());
    fs::write(git.join("config"), alias.to_owned() + &"#".repeat(1 << 20)).unwrap();
    let before = session.questions();
    assert_eq!(session.bash("git p"), Ok(()));
    assert_eq!(session.questions(), before + 1);
    assert_eq!(session.bash("git log"), Ok(()));
    assert_eq!(session.questions(), before + 1);
}
