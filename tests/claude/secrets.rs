//! Secrets by name, in real sessions: given to the commands that may use them, and to be seen
//! nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, session};
use agp::contracts::ids::Sha256;
use agp::reading::atoms::{Atom, AtomKind};
use agp::reading::disk::NoDisk;
use agp::reading::surroundings::Surroundings;
use agp::reading::tools::{self, Declared};

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use session::{Start, World};

/// Whatever is in it, a shell must take it for one word.
const HOSTILE: &str = "va'l\"ue $(touch pwned) `touch pwned` ; * \\ $HOME";

/// A world whose policy has these rules.
fn world(rules: &Value) -> World {
    let world = World::new();
    let policy = json!({"rules": rules});
    fs::write(world.agp_home().join("policy.json"), policy.to_string()).unwrap();
    world
}

fn bash_rule(secrets: &[&str]) -> Value {
    json!([{"id": "bash", "effect": "allow", "tool": "*", "secrets": secrets}])
}

fn scripted(world: &World, calls: &[Value]) -> Start {
    let lines: Vec<String> = calls.iter().map(Value::to_string).collect();
    let script = world.root().join("script");
    fs::write(&script, lines.join("\n")).unwrap();
    world.agp(&[
        "run",
        "--sandbox",
        "process",
        "--script",
        script.to_str().unwrap(),
    ])
}

fn bash(command: &str) -> Value {
    json!({"tool": "Bash", "args": {"command": command}})
}

fn keep(directory: &Path, name: &str, value: &str) {
    fs::create_dir_all(directory).unwrap();
    let path = directory.join(name);
    fs::write(&path, value).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn executed(world: &World) -> Vec<Value> {
    let events = world.events("tool_call.executed").into_iter();
    events.map(|event| event["payload"].clone()).collect()
}

#[test]
fn a_command_gets_the_secrets_it_names_from_wherever_they_are_and_no_others() {
    let world = world(&bash_rule(&["*"]));
    keep(
        &world.agp_home().join("secrets"),
        "FROM_FILE",
        "the value in a file\n",
    );
    let credentials = world.root().join("credentials");
    keep(&credentials, "FROM_SYSTEMD", "the value of a credential");
    keep(&credentials, "not-a-name", "x");
    // What stands in two places is the variable's.
    keep(&credentials, "FROM_VARIABLE", "another value than that");
    let command = "printf '%s\\n' {{secret:FROM_VARIABLE}} secret:FROM_FILE \"{{secret:FROM_SYSTEMD}}\" \
                   > got; env | grep -o '^AGP_[A-Z_]*' | sort > names";
    scripted(
        &world,
        &[bash(command), bash("env | grep -c AGP_ > none; true")],
    )
    .env("AGP_SECRET_FROM_VARIABLE", "the value of a variable")
    .env("AGP_SECRET_UNUSED", "the value of another")
    .env("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())
    .run()
    .succeeded();
    assert_eq!(
        world.get("got").unwrap(),
        "the value of a variable\nthe value in a file\nthe value of a credential\n"
    );
    assert_eq!(
        world.get("names").unwrap(),
        "AGP_SECRET_FROM_FILE\nAGP_SECRET_FROM_SYSTEMD\nAGP_SECRET_FROM_VARIABLE\n"
    );
    assert_eq!(world.get("none").unwrap(), "0\n");
    let used: Vec<Value> = executed(&world)
        .iter()
        .map(|event| event["secretsUsed"].clone())
        .collect();
    assert_eq!(
        used,
        [
            json!(["FROM_FILE", "FROM_SYSTEMD", "FROM_VARIABLE"]),
            json!([])
        ]
    );
    let started = &world.event("session.started")["payload"];
    assert_eq!(
        started["secrets"].as_array().unwrap().len(),
        4,
        "{}",
        started["secrets"]
    );
    world.verifies();
}

#[test]
fn whatever_is_in_a_secret_the_shell_takes_it_for_one_word() {
    let world = world(&bash_rule(&["HOSTILE"]));
    let commands = [
        "printf '%s\\n' {{secret:HOSTILE}} >> got",
        "printf '%s\\n' \"{{secret:HOSTILE}}\" >> got",
        "printf '%s\\n' '{{secret:HOSTILE}}' >> got",
        "printf '%s\\n' $'{{secret:HOSTILE}}' >> got",
        "printf '%s\\n' \"$(printf '%s' {{secret:HOSTILE}})\" >> got",
        "x={{secret:HOSTILE}}; printf '%s\\n' \"$x\" >> got",
        "(printf '%s\\n' secret:HOSTILE) >> got",
        "cat >> got <<<{{secret:HOSTILE}}",
        "# {{secret:HOSTILE}}\ncat >> got <<EOF\n$AGP_SECRET_HOSTILE\nEOF\n",
        "# it's {{secret:HOSTILE}}\nsh -c 'printf \"%s\\n\" \"$AGP_SECRET_HOSTILE\"' >> got",
    ];
    let calls: Vec<Value> = commands.iter().map(|command| bash(command)).collect();
    scripted(&world, &calls)
        .env("AGP_SECRET_HOSTILE", HOSTILE)
        .run()
        .succeeded();
    let got = world.get("got").unwrap();
    let expected = format!("{HOSTILE}\n").repeat(commands.len());
    assert_eq!(got, expected);
    assert_eq!(world.get("pwned"), None);
    assert!(executed(&world).iter().all(|event| event["exitCode"] == 0));
}

#[test]
fn a_value_is_in_no_output_no_event_and_no_answer() {
    let world = world(&bash_rule(&["TOKEN"]));
    let value = "t0ken%with+all of it, and long enough for base64 to be broken into several lines";
    let calls = [
        bash("echo {{secret:TOKEN}}; echo \"$AGP_SECRET_TOKEN\" >&2"),
        bash("printf %s {{secret:TOKEN}} | base64"),
        bash("printf a%s {{secret:TOKEN}} | base64 -w0; printf ab%s {{secret:TOKEN}} | base64 -w0"),
        bash("printf %s {{secret:TOKEN}} | od -An -v -tx1 | tr -d ' \\n'"),
        bash(
            "/usr/bin/python3 -c 'import os, urllib.parse as u; print(u.quote(os.environ[\"AGP_SECRET_TOKEN\"], \"\"))' # {{secret:TOKEN}}",
        ),
        // Half of it, a pause, and the rest.
        bash(
            "printf '%.20s' {{secret:TOKEN}}; sleep 0.3; printf '%s\\n' \"${AGP_SECRET_TOKEN#????????????????????}\" # {{secret:TOKEN}}",
        ),
        bash("printf %s {{secret:TOKEN}} > kept"),
        bash("cat kept"),
        json!({"tool": "Read", "args": {"file_path": "kept"}}),
        bash("mkdir -p .git/hooks; : > \".git/hooks/$(printf %s {{secret:TOKEN}})\""),
        bash("exit 7"),
    ];
    let ran = scripted(&world, &calls)
        .env("AGP_SECRET_TOKEN", value)
        .run()
        .succeeded();
    assert_eq!(world.get("kept").as_deref(), Some(value));
    let journal = fs::read_to_string(world.agp_home().join("audit.log")).unwrap();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    for shown in [&ran.out, &ran.err, &journal] {
        for form in [
            "t0ken",
            "several lines",
            "dDBrZW4",
            "QwaDBrZW",
            &hex,
            "%20of%20it",
            "0a2Vu",
        ] {
            assert!(!shown.contains(form), "{form}:\n{shown}");
        }
    }
    assert!(
        ran.out.matches("[redacted:TOKEN]").count() >= 9,
        "{}",
        ran.out
    );
    // The digest is of what was shown: that of the value could be guessed at.
    let first = &executed(&world)[0];
    let shown = "[redacted:TOKEN]\n[redacted:TOKEN]\n";
    assert_eq!(first["outputBytes"], shown.len());
    assert_eq!(first["outputSha256"], Sha256::of(shown.as_bytes()).to_hex());
    world.verifies();
}

#[test]
fn what_is_not_there_or_not_for_that_tool_fails_the_call_and_nothing_runs() {
    let world = world(&bash_rule(&["*"]));
    let path = world.path("written");
    let calls = [
        bash("touch ran1; echo {{secret:UNKNOWN}}"),
        bash("touch ran2; echo secret:UNKNOWN"),
        bash("touch ran3; echo {{secret:lower}}"),
        bash("touch ran4; cat <<EOF\n{{secret:TOKEN}}\nEOF"),
        bash("touch ran5; echo a value of its own"),
        json!({"tool": "Write", "args": {"file_path": path, "content": "{{secret:TOKEN}}"}}),
    ];
    let ran = scripted(&world, &calls)
        .env("AGP_SECRET_TOKEN", "a value of its own")
        .run()
        .succeeded();
    ran.said(&[
        "unknown secret UNKNOWN",
        "unknown secret lower",
        "here-document",
        "not to Write",
        "the call contains the value of secret AGP_SECRET_TOKEN: use the reference {{secret:TOKEN}} instead",
    ]);
    for name in ["ran1", "ran2", "ran3", "ran4", "ran5", "written"] {
        assert_eq!(world.get(name), None, "{name}");
    }
    for event in executed(&world) {
        assert_eq!(event["exitCode"], 127);
        assert_eq!(event["secretsUsed"], json!([]));
    }
}

#[test]
fn a_rule_says_which_secrets_a_tool_may_use() {
    let world = world(&json!([
        {"id": "plain", "effect": "allow", "tool": "Bash"},
        {"id": "deploy", "effect": "allow", "tool": "Bash", "secrets": ["DEPLOY"]},
        {"id": "root", "effect": "require", "tool": "Bash", "secrets": ["ROOT"]},
    ]));
    let calls = [
        bash("touch plain"),
        bash("touch deploy # {{secret:DEPLOY}}"),
        bash("touch other # {{secret:OTHER}}"),
        bash("touch both # {{secret:DEPLOY}} {{secret:OTHER}}"),
        bash("touch root # {{secret:ROOT}}"),
    ];
    let ran = scripted(&world, &calls)
        .env("AGP_SECRET_DEPLOY", "one of the values")
        .env("AGP_SECRET_OTHER", "another of the values")
        .env("AGP_SECRET_ROOT", "the last of the values")
        .run()
        .exited(1);
    ran.said(&[
        "no rule allows tool 'Bash' to use these secrets in this call",
        "no approver available",
    ]);
    for (name, there) in [
        ("plain", true),
        ("deploy", true),
        ("other", false),
        ("both", false),
        ("root", false),
    ] {
        assert_eq!(world.get(name).is_some(), there, "{name}");
    }
    let rules: Vec<Value> = world
        .events("tool_call.allow")
        .iter()
        .map(|event| event["payload"]["ruleId"].clone())
        .collect();
    assert_eq!(rules, ["plain", "deploy"]);
}

#[test]
fn a_rule_says_which_commands_may_use_a_secret() {
    let world = world(&json!([
        {"id": "plain", "effect": "allow", "tool": "Bash"},
        {"id": "deploy", "effect": "allow", "tool": "Bash", "secrets": ["DEPLOY"],
         "when": {"command": ["tee -a got-{{secret:DEPLOY}} *", "touch {{secret:DEPLOY}}"]}},
    ]));
    let value = "one-of-the-values";
    let calls = [
        bash("touch {{secret:DEPLOY}}"),
        bash("touch '{{secret:DEPLOY}}' {{secret:DEPLOY}}"),
        bash("touch {{secret:DEPLOY}}; echo {{secret:DEPLOY}} >stolen1"),
        bash("touch {{secret:DEPLOY}}\necho $AGP_SECRET_DEPLOY >stolen2"),
        bash("touch {{secret:DEPLOY}} >stolen3"),
        bash("# {{secret:DEPLOY}}\ntouch stolen4"),
        bash("tee -a got-{{secret:DEPLOY}} other"),
        bash("tee -a stolen5 {{secret:DEPLOY}}"),
        bash("tee -a got-{{secret:DEPLOY}} stolen6-'secret:DEPLOY'"),
        bash("touch without; echo none >without"),
    ];
    let ran = scripted(&world, &calls)
        .env("AGP_SECRET_DEPLOY", value)
        .run()
        .succeeded();
    ran.said(&["no rule allows tool 'Bash' to use these secrets in this call"]);
    let mut there: Vec<String> = fs::read_dir(world.repo())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    there.sort();
    assert_eq!(there, [&format!("got-{value}"), value, "other", "without"]);
    assert_eq!(world.events("tool_call.deny").len(), 7);
    world.verifies();
}

/// The words of a command that is read as one program and nothing else, by bash or another shell.
fn read_words(command: &str, other_shell: bool) -> Option<Vec<String>> {
    let directory = String::from("/repo");
    let around = Surroundings {
        repository: directory.clone(),
        directory,
        other_shell,
        ..Surroundings::default()
    };
    let args = json!({"command": command});
    let args = args.as_object().unwrap();
    let reading = tools::read("Bash", args, &around, &NoDisk, &Declared::default());
    let code = |atom: &&Atom| !matches!(atom.kind, AtomKind::Code(_));
    let mut atoms = reading.atoms.iter().filter(code);
    match (atoms.next().map(|atom| &atom.kind), atoms.next()) {
        (Some(AtomKind::Program(program)), None) if reading.unread.is_empty() => {
            let words = program.words.iter();
            words.map(|word| word.known().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// Commands of words, quotes and whatever has a meaning to a shell: where one is read as one program of known
/// words, it is that one program with just these words, to every shell that runs commands here.
#[test]
fn what_is_read_as_one_program_is_one_to_the_shell() {
    let world = world(&json!([]));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap() % below
    };
    let parts = [
        "a", "b", "-c", "d=e", " ", " ", " ", "\t", "'", "'", "\"", "\"", ";", "|", "&", "$", "$a",
        "(", ")", "`", "\\", "<", ">", "{", "}", ",", "#", "~", "=", "\n", "!", "*", "?", "[", "]",
        "%", "@", "^", "\u{e4}",
    ];
    let shells: Vec<(&str, bool)> = [("/bin/bash", false), ("/bin/dash", true)]
        .into_iter()
        .filter(|(shell, _)| Path::new(shell).exists())
        .collect();
    let out = world.root().join("words");
    let mut taken = 0;
    for _ in 0..40_000 {
        let length = 1 + next(9);
        let tail: String = (0..length).map(|_| parts[next(parts.len())]).collect();
        let command = format!("probe {tail}");
        let (shell, other) = shells[next(shells.len())];
        let Some(read) = read_words(&command, other) else {
            continue;
        };
        taken += 1;
        if taken > 1500 {
            break;
        }
        // Its words are in a file: what it says can go into a pipe.
        fs::write(&out, "").unwrap();
        let script = format!("probe() {{ printf '%s\\0' probe \"$@\" END >\"$OUT\"; }}\n{command}");
        let output = Command::new(shell)
            .args(["-c", &script])
            .env("OUT", &out)
            .current_dir(world.repo())
            .output()
            .unwrap();
        let said = fs::read_to_string(&out).unwrap();
        let words: Vec<&str> = said.split('\0').collect();
        let [words @ .., "END", ""] = words.as_slice() else {
            panic!("{shell} {command:?}: {said:?}");
        };
        // A shell says of another program that it is not there, and of an unfinished document that it ends.
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !stderr.contains("not found"),
            "{shell} {command:?}: {stderr}"
        );
        assert!(!words.contains(&"END"), "{shell} {command:?}: {said:?}");
        assert_eq!(words, read, "{shell} {command:?}");
    }
    assert!(taken > 1000, "{taken}");
    let left = fs::read_dir(world.repo()).unwrap().count();
    assert_eq!(left, 0, "something was written");
}

#[test]
fn a_secret_that_others_can_read_or_that_hides_in_no_output_refuses_the_start() {
    let world = world(&bash_rule(&["*"]));
    let secrets = world.agp_home().join("secrets");
    keep(&secrets, "OPEN", "a value for everybody");
    fs::set_permissions(secrets.join("OPEN"), fs::Permissions::from_mode(0o644)).unwrap();
    scripted(&world, &[bash("touch ran")])
        .run()
        .exited(1)
        .complained(&["OPEN", "other users can read it", "chmod 600"]);
    fs::remove_file(secrets.join("OPEN")).unwrap();
    let ran = scripted(&world, &[bash("touch ran")])
        .env("AGP_SECRET_PIN", "1234")
        .run()
        .exited(1);
    ran.complained(&["AGP_SECRET_PIN is shorter than 8 bytes"]);
    assert_eq!(world.get("ran"), None);
}

#[test]
fn the_agent_behind_a_real_harness_has_names_alone() {
    let Some(claude) = session::claude() else {
        return;
    };
    let world = world(&json!([
        {"id": "all", "effect": "allow", "tool": "*"},
        {"id": "token", "effect": "allow", "tool": "Bash", "secrets": ["TOKEN"]},
    ]));
    let value = "the-value-that-no-model-sees";
    let model = governed::turns(vec![
        vec![governed::mediated::bash(
            "t1",
            "echo {{secret:TOKEN}} | tee got; printf %s secret:TOKEN | base64",
        )],
        vec![governed::mediated::bash("t2", "cat got; env")],
    ]);
    governed::mediated::run(&world, &claude, &model)
        .env("AGP_SECRET_TOKEN", value)
        .run()
        .succeeded();
    assert_eq!(world.get("got").unwrap(), format!("{value}\n"));
    let told = model.result_of("t1").unwrap().text + &model.result_of("t2").unwrap().text;
    assert_eq!(told.matches("[redacted:TOKEN]").count(), 3, "{told}");
    for form in [value, "AGP_SECRET", "dGhlLXZhbHVl"] {
        assert!(!model.was_told(form), "{form}");
    }
    world.verifies();
}
