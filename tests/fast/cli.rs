//! The command line as somebody meets it for the first time: what works, and what is said when
//! it does not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use session::{World, below, mode, python, wait_for};

#[test]
fn quickstart_takes_an_empty_home_to_a_proven_journal() {
    let world = World::empty();
    let ran = world.agp(&["quickstart"]).run().succeeded();
    ran.said(&[
        "created signing key ",
        "allow Read README.md (read)",
        "deny  Write notes.md (write): no approver available: quickstart asks for no approval",
        "deny  WebFetch https://example.com/ (web)",
        "in the process sandbox",
        "      | 1 README.md",
        "      exit code 1\n",
        "5 calls: 3 allowed, 2 denied",
        "Policy allowed the last command, but the sandbox hides the key.",
        "OK: 12 events",
        "next: agp run --intendant claude-code",
    ])
    .complained(&["session s-"]);
    world.verifies();
    // Nothing is left where it was called.
    assert_eq!(fs::read_dir(world.repo()).unwrap().count(), 0);
    let home = world.agp_home();
    for (name, bits) in [
        ("", 0o700),
        ("signing", 0o700),
        ("sessions", 0o700),
        ("signing/journal-ed25519.key", 0o600),
        ("audit.log", 0o600),
        ("policy.json", 0o600),
    ] {
        assert_eq!(mode(&home.join(name)), bits, "{name}");
    }
    // And again, also once the key was rotated.
    world.agp(&["quickstart"]).run().succeeded();
    world.agp(&["keygen", "--force"]).run().succeeded();
    let again = world.agp(&["quickstart"]).run().succeeded();
    again.said(&["OK: 37 events", " then "]);
}

#[test]
fn init_writes_what_loads_and_replaces_it_only_when_told() {
    let world = World::empty();
    let first = world.agp(&["init"]).run().succeeded();
    first.said(&["policy.json (standard: ", "config.json", "next: agp keygen"]);
    // Once more is no fault: nothing would change.
    world.agp(&["init"]).run().succeeded();
    let policy = world.agp_home().join("policy.json");
    let config = world.agp_home().join("config.json");
    fs::write(&policy, "{\"rules\":[]}").unwrap();
    fs::write(&config, "{}").unwrap();
    let again = world.agp(&["init"]).run().exited(1);
    again.complained(&["policy.json already exists", "--force", ".bak-TIME"]);
    assert_eq!(fs::read_to_string(&policy).unwrap(), "{\"rules\":[]}");
    for name in ["strict", "watch", "standard"] {
        let init = world.agp(&["init", "--force", "--policy", name]).run();
        init.succeeded().said(&[name, "kept ", "policy.json.bak-"]);
        let doctor = world.agp(&["doctor", "--check", "policy"]).run();
        doctor.succeeded().said(&["policy       ok"]);
        // Who names a policy keeps the configuration.
        assert_eq!(fs::read_to_string(&config).unwrap(), "{}");
    }
    let kept = |name: &str| {
        let entries = fs::read_dir(world.agp_home()).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut kept: Vec<String> = names
            .filter(|n| n.starts_with(&format!("{name}.bak-")))
            .collect();
        kept.sort();
        kept
    };
    assert_eq!(
        (kept("policy.json").len(), kept("config.json").len()),
        (3, 0)
    );
    let first = world.agp_home().join(&kept("policy.json")[0]);
    assert_eq!(fs::read_to_string(&first).unwrap(), "{\"rules\":[]}");
    assert_eq!(mode(&first), 0o600);
    world.agp(&["init", "--force"]).run().succeeded();
    assert_eq!(
        (kept("policy.json").len(), kept("config.json").len()),
        (3, 1)
    );
    let unknown = world.agp(&["init", "--force", "--policy", "lax"]).run();
    unknown.exited(2).complained(&[
        "\"lax\"",
        "use --policy with one of standard, strict, watch",
    ]);
}

#[test]
fn keygen_keeps_a_key_and_rotates_it_only_when_told() {
    let world = World::new();
    let signing = world.agp_home().join("signing");
    let private = signing.join("journal-ed25519.key");
    let public = signing.join("journal-ed25519.pub");
    assert_eq!(mode(&private), 0o600);
    let first_private = fs::read(&private).unwrap();
    let first_public = fs::read(&public).unwrap();
    let again = world.agp(&["keygen"]).run().exited(1);
    again.complained(&["already exists", "agp keygen --force"]);
    assert_eq!(fs::read(&private).unwrap(), first_private);

    world.agp(&["run"]).run().succeeded();
    world.agp(&["keygen", "--force"]).run().succeeded();
    world.agp(&["keygen", "--force"]).run().succeeded();
    world.agp(&["run"]).run().succeeded();
    assert_ne!(fs::read(&private).unwrap(), first_private);
    assert_eq!(mode(&private), 0o600);
    assert_eq!(world.events("key.rotated").len(), 2);
    // No private key but the present one is left anywhere.
    let kept = fs::read_dir(&signing).unwrap().count();
    assert_eq!(kept, 3, "key, public key, directory of retired public keys");
    assert_eq!(fs::read_dir(signing.join("retired")).unwrap().count(), 2);

    // An auditor who was given the first public key proves all of it; so does the operator.
    let first = world.root().join("first.pub");
    fs::write(&first, first_public).unwrap();
    world.verifies_with(&first);
    let verify = world.agp(&["verify"]).run().succeeded();
    verify.said(&["OK: ", " then "]);
    // The last key did not sign the first event.
    let log = world.agp_home().join("audit.log");
    let wrong = [
        "verify",
        log.to_str().unwrap(),
        "--key",
        public.to_str().unwrap(),
    ];
    world.agp(&wrong).run().exited(1).said(&["FAIL: "]);
}

#[test]
fn doctor_says_what_is_missing_and_what_mends_it() {
    let world = World::empty();
    let bare = world.agp(&["doctor"]).run().exited(1);
    let bare = bare.said(&["signing      MISSING", "help: run `agp keygen`"]);
    let bare = bare.said(&["policy       MISSING", "help: run `agp init`"]);
    // That there is no home yet says nothing of the sandbox.
    assert!(!bare.out.contains("inconclusive"), "{}", bare.out);
    let json = world.agp(&["doctor", "--json"]).run().exited(1);
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["checks"][0]["check"], "signing");
    assert_eq!(report["checks"][0]["status"], "missing");
    assert_eq!(report["checks"][0]["mend"], "run `agp keygen`");

    world.agp(&["init"]).run().succeeded();
    world.agp(&["keygen"]).run().succeeded();
    world.agp(&["doctor"]).run().succeeded();
    let json = world.agp(&["doctor", "--json"]).run().succeeded();
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["ok"], true);
    let checks: Vec<_> = report["checks"].as_array().unwrap().iter().collect();
    let names: Vec<_> = checks.iter().map(|check| &check["check"]).collect();
    for name in ["signing", "policy", "journal", "harness", "sandbox"] {
        assert!(names.contains(&&Value::from(name)), "{name}");
        let one = world.agp(&["doctor", "--check", name]).run().succeeded();
        let findings = one.out.lines().filter(|line| !line.starts_with(' '));
        assert_eq!(findings.count(), 1, "{}", one.out);
    }
    let none = world.agp(&["doctor", "--check", "weather"]).run();
    none.exited(2)
        .complained(&["unknown check", "use --check with one of signing, policy,"]);

    // A harness that is asked for must be there.
    let asked = world.agp(&["doctor", "--check", "harness"]);
    let asked = asked
        .env("AGP_INTENDANT", "claude-code")
        .env("AGP_CLAUDE_BIN", "/nonexistent/claude");
    asked.run().exited(1).said(&["FAILED", "AGP_CLAUDE_BIN"]);

    // A key that others can read is no key.
    let key = world.agp_home().join("signing/journal-ed25519.key");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    let open = world.agp(&["doctor", "--check", "signing"]).run().exited(1);
    open.said(&["other users can read", "chmod 600"]);
    let run = world.agp(&["run"]).run().exited(1);
    run.complained(&["other users can read", "help: chmod 600"]);
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();

    // A journal that was cut behind its head is no journal.
    world.agp(&["run"]).run().succeeded();
    let log = world.agp_home().join("audit.log");
    let text = fs::read_to_string(&log).unwrap();
    let (cut, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&log, format!("{cut}\n")).unwrap();
    let damaged = world.agp(&["doctor", "--check", "journal"]).run().exited(1);
    damaged.said(&["FAILED", "help: run `agp verify`"]);
    world
        .agp(&["run"])
        .run()
        .exited(1)
        .complained(&["agp verify"]);
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("{cut}\n"));
}

#[test]
fn a_script_is_played_under_the_policy() {
    let world = World::new();
    world.policy(&[("allow", "mcp__*"), ("deny", "Bash")]);
    world.put(
        "calls.jsonl",
        "{\"tool\":\"mcp__files__list\",\"args\":{\"path\":\".\"}}\n\
         \n\
         {\"tool\":\"Bash\",\"args\":{\"command\":\"touch x\"}}\n\
         {\"tool\":\"Unheard\",\"args\":{}}\n",
    );
    let run = ["run", "--script", "calls.jsonl", "--sandbox", "recording"];
    let ran = world.agp(&run).run().succeeded();
    ran.said(&[
        "allow mcp__files__list . (allow-mcp__*)",
        "deny  Bash touch x (deny-Bash): Bash is deny here",
        "deny  Unheard (no rule)",
        "3 calls: 1 allowed, 2 denied",
    ]);
    let executed = world.event("tool_call.executed");
    assert_eq!(executed["payload"]["sandbox"], "recording");
    assert_eq!(executed["payload"]["exitCode"], 0);
    assert_eq!(world.kinds_of("call-2"), ["tool_call.deny"]);
    assert_eq!(world.get("x"), None);
    world.verifies();
}

#[test]
fn a_script_asks_at_the_terminal() {
    let Some(python) = python() else { return };
    let world = World::new();
    world.policy(&[("require", "*")]);
    let call = "{\"tool\":\"Bash\",\"args\":{\"command\":\"make it so\"}}\n";
    world.put("calls.jsonl", &call.repeat(3));
    let run = world.agp(&["run", "--script", "calls.jsonl"]);
    let mut live = run.start_at_terminal(&python);
    live.see("Allow this call once?");
    live.see("| make it so");
    live.type_in("y\n");
    live.see_times("Allow this call once?", 2);
    live.type_in("no\n");
    live.see_times("Allow this call once?", 3);
    // The operator is asked, and ends the session instead.
    live.type_in("\u{3}");
    let ran = live.finish().exited(130);
    let waited =
        "stopped by signal 2 (Ctrl-C); interrupted: Bash make it so (waited for an answer)";
    let text = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(waited), "{text}");
    let journal = world.events("approval.granted");
    let by = journal[0]["payload"]["decidedBy"].as_str().unwrap();
    assert!(by.contains(" at /dev/pts/"), "{by}");
    assert!(
        text.contains(&format!("approved Bash make it so (by {by})")),
        "{text}"
    );
    let whole = [
        "tool_call.require",
        "approval.granted",
        "tool_call.executed",
    ];
    assert_eq!(world.kinds_of("call-1"), whole);
    for id in ["call-2", "call-3"] {
        assert_eq!(world.kinds_of(id), ["tool_call.require", "approval.denied"]);
    }
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "stopped by signal 2");
    world.verifies();
}

#[test]
fn a_bad_script_is_refused_with_its_line_and_nothing_is_journaled() {
    let world = World::new();
    let good = "{\"tool\":\"Read\",\"args\":{}}\n";
    for (bad, line) in [
        ("{\"tool\":\"Read\"}\n", "line 2"),
        ("\n{\"tool\":\"Read\",\"args\":{},\"id\":1}\n", "line 3"),
        (
            "{\"tool\":\"Read\",\"tool\":\"Bash\",\"args\":{}}",
            "line 2",
        ),
        ("not json", "line 2"),
    ] {
        world.put("bad.jsonl", &format!("{good}{bad}"));
        let ran = world.agp(&["run", "--script", "bad.jsonl"]).run().exited(2);
        ran.complained(&["bad.jsonl", line, "write one call per line: {\"tool\""]);
    }
    let missing = world.agp(&["run", "--script", "none.jsonl"]).run();
    missing.exited(2).complained(&["none.jsonl"]);
    assert_eq!(world.journal().len(), 0);
}

#[test]
fn what_is_not_there_is_refused_and_never_replaced_by_something_weaker() {
    let world = World::new();
    for (arguments, code) in [
        (&["run", "--sandbox", "docker"][..], 2),
        (&["run", "--channel", "slack"], 1),
        (&["run", "--sandbox", "chroot"], 2),
        (&["run", "--channel", "pigeon"], 2),
        (&["run", "--intendant", "parrot"], 2),
        (&["run", "--stream", "wet"], 2),
        (&["run", "--approval-timeout", "0"], 2),
        (&["run", "--approval-timeout", "86401"], 2),
        (&["run", "--approval-timeout", "soon"], 2),
        (&["run", "--repo", "/nonexistent"], 2),
        (&["run", "--intendant", "claude-code"], 2),
        (&["run", "--harness-arg", "--model=x"], 2),
    ] {
        let ran = world.agp(arguments).run().exited(code);
        assert!(ran.err.contains("help: "), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
    }
    let config = world.agp_home().join("config.json");
    for (mode, code) in [("strict", 1), ("loose", 2)] {
        let text = json!({"identity": {"mode": mode}}).to_string();
        fs::write(&config, text).unwrap();
        let ran = world.agp(&["run"]).run().exited(code);
        ran.complained(&["identity", "help: "]);
    }
    fs::write(&config, r#"{"identity":{"mode":"off"}}"#).unwrap();
    assert_eq!(world.journal().len(), 0);
    world.agp(&["run"]).run().succeeded();
}

#[test]
fn flag_beats_environment_beats_file() {
    let world = World::new();
    let config = world.agp_home().join("config.json");
    fs::write(&config, "{\"intendant\":\"parrot\"}").unwrap();
    let file = world.agp(&["run"]).run().exited(2);
    file.complained(&["parrot"]);
    let environment = world.agp(&["run"]).env("AGP_INTENDANT", "owl").run();
    environment.exited(2).complained(&["owl"]);
    let flag = world
        .agp(&["run", "--intendant", "scripted"])
        .env("AGP_INTENDANT", "owl");
    flag.run().succeeded();
    // Set to nothing is not set.
    fs::write(&config, "{}").unwrap();
    world
        .agp(&["run"])
        .env("AGP_INTENDANT", "")
        .run()
        .succeeded();
}

#[test]
fn verify_tells_intact_from_damaged_from_unchecked() {
    let world = World::new();
    let nothing = world.agp(&["verify"]).run().exited(2);
    nothing.complained(&["audit.log"]);
    world.agp(&["run"]).run().succeeded();
    world
        .agp(&["verify"])
        .run()
        .succeeded()
        .said(&["OK: 12 events"]);
    let json = world.agp(&["verify", "--json"]).run().succeeded();
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&report["intact"], &report["events"]),
        (&true.into(), &12.into())
    );

    let log = world.agp_home().join("audit.log");
    let text = fs::read_to_string(&log).unwrap();
    // Of a call: the policy in the first line names tools, too.
    let (first, calls) = text.split_once('\n').unwrap();
    let calls = calls.replacen("\"tool\":\"Grep\"", "\"tool\":\"Bash\"", 1);
    fs::write(&log, format!("{first}\n{calls}")).unwrap();
    let damaged = world.agp(&["verify"]).run().exited(1);
    damaged.said(&["FAIL: ", "line 4 seq 4"]);
    let json = world.agp(&["verify", "--json"]).run().exited(1);
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["intact"], false);
    assert_eq!(report["problems"][0]["line"], 4);

    let none = world.agp(&["verify", "/nonexistent/log"]).run().exited(2);
    none.complained(&["/nonexistent/log"]);
    let key = ["verify", "--key", "/nonexistent/key.pub"];
    world
        .agp(&key)
        .run()
        .exited(2)
        .complained(&["/nonexistent/key.pub"]);
}

#[test]
fn sessions_and_log_show_what_happened() {
    let world = World::new();
    let none = world.agp(&["sessions"]).run().succeeded();
    none.said(&["no sessions yet; run `agp quickstart`"]);
    let none = world.agp(&["log"]).run().exited(2);
    none.complained(&["agp quickstart"]);
    world.agp(&["run"]).run().succeeded();
    world.agp(&["run"]).run().succeeded();

    let listed = world.agp(&["sessions"]).run().succeeded();
    assert_eq!(listed.out.lines().count(), 2);
    listed.said(&["scripted", "3 allowed, 2 denied, done"]);
    let json = world.agp(&["sessions", "--json"]).run().succeeded();
    let sessions: Vec<Value> = json
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let second = sessions[1]["sessionId"].as_str().unwrap();
    assert_eq!(sessions[1]["denied"], 2);
    assert_eq!(sessions[1]["end"], "done");

    let lines = |arguments: &[&str]| {
        let ran = world.agp(arguments).run().succeeded();
        ran.out.lines().count()
    };
    assert_eq!(lines(&["log"]), 24);
    assert_eq!(lines(&["log", "--session", second]), 12);
    assert_eq!(lines(&["log", "--kind", "tool_call.require"]), 4);
    assert_eq!(lines(&["log", "--kind", "tool_call"]), 16);
    world.agp(&["log", "--kind", "tool"]).run().exited(2);
    let of_both = ["log", "--session", second, "--kind", "session"];
    assert_eq!(lines(&of_both), 2);
    // The journal's own lines, as they are.
    let json = world.agp(&["log", "--json"]).run().succeeded();
    assert_eq!(json.out, world.journal_text());
}

#[test]
fn log_follows_what_comes() {
    let world = World::new();
    world.agp(&["run"]).run().succeeded();
    let follow = ["log", "--follow", "--kind", "session.ended"];
    let mut live = world.agp(&follow).start();
    live.see_times("session.ended", 1);
    world.agp(&["run"]).run().succeeded();
    live.see_times("session.ended", 2);
}

#[test]
fn usage_errors_say_how_to_get_help() {
    let world = World::empty();
    for (arguments, help) in [
        (&[][..], "`agp quickstart`"),
        (&["governe"], "`agp --help`"),
        (&["run", "--bogus"], "`agp run --help`"),
        (&["verify", "--key"], "`agp verify --help`"),
    ] {
        let ran = world.agp(arguments).run().exited(2);
        ran.complained(&["agp: ", help]);
    }
    world.agp(&["run", "a", "b"]).run().exited(2);
    for arguments in [&["--help"][..], &["help"], &["run", "--help"]] {
        let ran = world.agp(arguments).run().succeeded();
        ran.said(&["Usage: agp"]);
    }
    let version = format!("agp {}", env!("CARGO_PKG_VERSION"));
    for arguments in [["--version"], ["version"], ["-V"]] {
        let ran = world.agp(&arguments).run().succeeded();
        ran.said(&[&version]);
    }
    assert!(!world.agp_home().exists());
}

#[test]
fn without_a_home_the_message_names_the_step_that_mends_it() {
    let world = World::empty();
    let homeless = |command| world.agp(&[command]).without("AGP_HOME").without("HOME");
    for command in [
        "init", "keygen", "run", "doctor", "log", "sessions", "verify",
    ] {
        let ran = homeless(command).run().exited(2);
        ran.complained(&["neither AGP_HOME nor HOME is set", "export AGP_HOME="]);
    }
    // A home that is not there yet.
    world
        .agp(&["run"])
        .run()
        .exited(1)
        .complained(&["agp init"]);
    world.agp(&["init"]).run().succeeded();
    world
        .agp(&["run"])
        .run()
        .exited(1)
        .complained(&["agp keygen"]);
    world
        .agp(&["verify"])
        .run()
        .exited(2)
        .complained(&["journal-ed25519.pub"]);
    // Without AGP_HOME it is the one in HOME.
    world.agp(&["init"]).without("AGP_HOME").run().succeeded();
    assert!(world.root().join("home/.agp/policy.json").exists());
}

#[test]
fn a_file_that_cannot_be_understood_is_named_with_line_and_column() {
    let world = World::new();
    let policy = world.agp_home().join("policy.json");
    for (text, place) in [
        ("{\n  \"rules\": [,]\n}", "line 2 column 13"),
        ("{\n\"rules\": [],\n\"rulez\": []}", "line 3 column "),
        ("{\"rules\":[],\n\"rules\":[]}", "line 2 column "),
        (
            "{\"rules\":[{\"id\":\"a\",\"effect\":\"permit\",\"tool\":\"*\"}]}",
            "line 1 column ",
        ),
    ] {
        fs::write(&policy, text).unwrap();
        let ran = world.agp(&["run"]).run().exited(1);
        ran.complained(&["policy.json", place, "help: "]);
        let doctor = world.agp(&["doctor", "--check", "policy"]).run();
        doctor.exited(1).said(&[place]);
    }
    world.policy(&[("allow", "*")]);
    let config = world.agp_home().join("config.json");
    for (text, place) in [
        ("{\n  \"aproval\": {}\n}", "line 2 column "),
        ("{\"approval\":{\"timeout\":1}}", "unknown field `timeout`"),
        ("{\"channel\":\"console\",\"channel\":\"slack\"}", "channel"),
        ("{} x", "line 1 column 4"),
    ] {
        fs::write(&config, text).unwrap();
        let ran = world.agp(&["run"]).run().exited(1);
        ran.complained(&["config.json", place, "help: "]);
    }
    assert_eq!(world.journal().len(), 0);
}

#[test]
fn sessions_at_the_same_time_share_the_journal() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let script = "{\"tool\":\"Read\",\"args\":{\"file_path\":\"a\"}}\n".repeat(100);
    world.put("calls.jsonl", &script);
    let run = ["run", "--script", "calls.jsonl"];
    let live: Vec<_> = (0..4).map(|_| world.agp(&run).start()).collect();
    for live in live {
        live.finish().succeeded().said(&["100 calls: 100 allowed"]);
    }
    world.verifies();
    let journal = world.journal();
    assert_eq!(journal.len(), 4 * (2 + 2 * 100));
    assert_eq!(world.events("session.reaped").len(), 0);
    let of: Vec<_> = journal
        .iter()
        .map(|event| &event["payload"]["sessionId"])
        .collect();
    let changes = of.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes > 3, "they ran one after the other: {changes}");
    let ended = world.agp(&["sessions"]).run().succeeded();
    assert_eq!(ended.out.matches("100 allowed, 0 denied, done").count(), 4);
}

#[test]
fn starts_at_the_same_time_reap_each_dead_session_once() {
    const DEAD: usize = 50;
    let world = World::new();
    let leases = world.agp_home().join("sessions");
    for number in 0..DEAD {
        let session = format!("s-dead-{number}");
        let directory = world.root().join(format!("agp-{session}"));
        let terms = json!({"sessionId": session, "pid": 1, "directory": directory});
        let lease = leases.join(format!("{session}.lease"));
        fs::write(lease, terms.to_string()).unwrap();
    }
    let live: Vec<_> = (0..6).map(|_| world.agp(&["run"]).start()).collect();
    for live in live {
        live.finish().succeeded();
    }
    let reaped = world.events("session.reaped");
    assert_eq!(reaped.len(), DEAD);
    let which: BTreeSet<_> = reaped
        .iter()
        .map(|event| event["payload"]["sessionId"].as_str().unwrap())
        .collect();
    assert_eq!(which.len(), DEAD);
    assert_eq!(fs::read_dir(leases).unwrap().count(), 0);
    world.verifies();
}

#[test]
fn a_reader_who_leaves_is_no_failure() {
    let world = World::new();
    world.agp(&["run"]).run().succeeded();
    let agp = env!("CARGO_BIN_EXE_agp");
    let status = std::process::Command::new("sh")
        .args(["-c", "\"$0\" log | head -n 1 >/dev/null", agp])
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("AGP_HOME", world.agp_home())
        .output()
        .unwrap();
    assert!(status.stderr.is_empty(), "{status:?}");
    wait_for("the journal", || {
        (world.journal().len() == 12).then_some(())
    });
}

#[test]
fn a_rotation_under_way_is_waited_for_and_not_settled_from_beside() {
    let world = World::new();
    world.agp(&["run"]).run().succeeded();
    let signing = world.agp_home().join("signing");
    let next = signing.join("journal-ed25519.key.next");
    // As another agp keygen --force leaves it until the journal has named the next key.
    let rotating = fs::File::open(&signing).unwrap();
    rotating.lock().unwrap();
    fs::copy(signing.join("journal-ed25519.key"), &next).unwrap();
    let beside: Vec<_> = [&["run"][..], &["doctor"], &["keygen", "--force"]]
        .iter()
        .map(|command| world.agp(command).start())
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(next.exists(), "somebody took the next key away");
    assert_eq!(world.events("key.rotated").len(), 0);
    drop(rotating);
    for live in beside {
        let _ = live.finish();
    }
    assert!(!next.exists());
}

#[test]
fn a_harness_that_calls_no_hooks_is_ended_before_it_acts() {
    let world = World::new();
    // Silent, as a harness is whose hooks the machine's own settings switch off.
    let script = "\
        [ \"$1\" = --version ] && exec echo 2.1.330\n\
        echo '{\"type\":\"system\",\"subtype\":\"init\",\"tools\":[]}'\n\
        sleep 3; echo ran > ran\n";
    world
        .stand_in(script)
        .run()
        .exited(3)
        .complained(&["does not run its hooks", "unknown cause"]);
    assert_eq!(world.get("ran"), None);
    assert_eq!(world.event("session.ended")["payload"]["end"], "broken");
    world.verifies();
}

#[test]
fn the_mode_is_one_that_holds_with_this_version_and_is_said_with_its_reason() {
    let world = World::new();
    for (version, mode, why) in [
        (
            "2.1.295",
            "hook",
            "Claude Code blocks a call when its hook fails",
        ),
        (
            "2.1.294",
            "mediated",
            "this Claude Code runs a call when its hook fails",
        ),
        (
            "2.1.197",
            "mediated",
            "this Claude Code runs a call when its hook fails",
        ),
    ] {
        // It ends without a word, which is no session: the mode was said before.
        let ran = world.stand_in(&format!("[ \"$1\" = --version ] && exec echo {version}\n"));
        ran.run().complained(&[&format!("mode: {mode} ({why}): ")]);
        let started = world.events("session.started").pop().unwrap();
        assert_eq!(started["payload"]["intendant"]["mode"], mode, "{version}");
    }
    world.verifies();
}

#[test]
fn a_harness_that_does_not_say_its_version_is_not_waited_for() {
    let world = World::new();
    for (script, why) in [
        ("exec tail -f /dev/null", "does not answer"),
        ("exec yes", "signal 13 ended it"),
        ("echo 2.1.330; exit 1", "it exited with 1"),
    ] {
        let ran = world.stand_in(script).run().exited(1);
        ran.complained(&[why, "--version"]);
    }
    assert_eq!(world.events("session.refused").len(), 3);
}

/// What opening a socket by its name gives.
const ENXIO: i32 = 6;

#[test]
fn a_harness_that_has_ended_is_over_though_something_holds_its_output() {
    let world = World::new();
    let script = "\
        [ \"$1\" = --version ] && exec echo 2.1.330\n\
        sleep 1000 &\n\
        touch started\n\
        while [ ! -e go ]; do sleep 0.05; done\n";
    let live = world.stand_in(script).start();
    wait_for("the harness", || world.get("started"));
    let governor = world.lease().pid;
    let holder = wait_for("what holds the output", || {
        let mut all = below(governor).into_iter();
        all.find(|process| process.arguments() == ["sleep", "1000"])
    });
    let output = format!("/proc/{}/fd/1", holder.pid);
    let opened = fs::OpenOptions::new().write(true).open(output);
    let refused = opened.unwrap_err().raw_os_error();
    assert_eq!(refused, Some(ENXIO), "nobody opens it anew");
    world.put("go", "");
    live.finish().succeeded();
    assert_eq!(world.event("session.ended")["payload"]["end"], "done");
}

#[test]
fn a_session_whose_own_words_quote_a_secret_is_refused_and_the_journal_does_not_quote_it() {
    let world = World::new();
    let secret = "correct-horse-battery-staple";
    let quoting = format!("say {secret}");
    for words in [
        ["--task", quoting.as_str()].as_slice(),
        &[
            "--task",
            "go",
            "--harness-arg=--system-prompt",
            "--harness-arg",
            &quoting,
        ],
    ] {
        let ran = world
            .agp(&["run", "--intendant", "claude-code", "--no-probe"])
            .arguments(words)
            .env("AGP_SECRET_X", secret)
            .run()
            .exited(1);
        assert!(!ran.err.contains(secret), "{}", ran.err);
        ran.complained(&[
            "contains the value of secret AGP_SECRET_X",
            "remove the secret",
        ]);
    }
    assert_eq!(world.events("session.refused").len(), 2);
    assert!(!world.journal_text().contains(secret));
    world.verifies();
}

#[test]
fn agps_own_files_are_not_the_agents_whatever_the_policy_says() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let key = world.agp_home().join("signing/journal-ed25519.key");
    std::os::unix::fs::symlink(world.agp_home(), world.repo().join("innocent")).unwrap();
    std::os::unix::fs::symlink("/proc/self/cwd/../agp", world.repo().join("somewhere")).unwrap();
    let paths = [
        key.to_str().unwrap(),
        "../agp/policy.json",
        "innocent/audit.log",
        "innocent/not/there/yet",
        "../home/../agp",
        "nowhere/../../agp/policy.json",
        // What a harness makes the same path of: it trims, and takes `..` for the name before it.
        &format!(" \t{}\n", key.display()),
        &format!("\u{feff}{}", key.display()),
        &format!("{}/no\nsuch/../../policy.json", world.agp_home().display()),
        &format!("{}{}", "x/../".repeat(2000), "../agp/policy.json"),
        // What means something else to the harness than to agp, or to nobody but the harness anything.
        &format!("/proc/{}/root{}", std::process::id(), key.display()),
        "/proc/self/cwd/../agp/policy.json",
        "somewhere/policy.json",
    ];
    let call = |path: &str| serde_json::json!({"tool": "Read", "args": {"file_path": path}});
    let mut script: Vec<String> = paths.iter().map(|path| call(path).to_string()).collect();
    script.push(call("notes.txt").to_string());
    script.push(call("/proc/self/status").to_string());
    // Wherever in the arguments it stands.
    let nested = serde_json::json!({"edits": [{"at": {"file": key.to_str().unwrap()}}]});
    script.push(serde_json::json!({"tool": "Read", "args": nested}).to_string());
    // Long texts are no paths, and take no time.
    let text = "a/b\n".repeat(200_000);
    script.push(serde_json::json!({"tool": "Write", "args": {"content": text}}).to_string());
    world.put("script", &script.join("\n"));
    let run = ["run", "--script", "script"];
    let ran = world.agp(&run).run().succeeded();
    ran.said(&["agp's own files", "17 calls: 3 allowed, 14 denied"]);
    world.verifies();
}

#[test]
fn rules_that_others_could_write_are_no_rules() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let policy = world.agp_home().join("policy.json");
    for (path, mode) in [(policy.clone(), 0o666), (world.agp_home(), 0o777)] {
        let before = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let ran = world.agp(&["run"]).run().exited(1);
        ran.complained(&["other users can write", "chmod go-w"]);
        world.agp(&["doctor", "--check", "policy"]).run().exited(1);
        std::fs::set_permissions(&path, before).unwrap();
    }
    world.agp(&["run"]).run().succeeded();
}
