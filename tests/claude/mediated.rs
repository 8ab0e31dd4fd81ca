//! Mediated mode on the real Claude Code: agp's tools are the only ones, and run in the process
//! sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, model, session};

use std::fs;
use std::path::Path;

use governed::mediated::{bash, call, run};
use governed::turns;
use model::{Call, ModelDouble};
use serde_json::{Value, json};
use session::{World, all_gone, below, claude, wait_for};

/// What the model was told of a call.
fn told(model: &ModelDouble, id: &str) -> (bool, String) {
    let result = model.result_of(id).unwrap();
    (result.is_error, result.text)
}

#[test]
fn every_tool_works_and_answers_as_the_harness_s_own() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let path = world.path("d/new.txt");
    let edit = json!({"file_path": path, "old_string": "two", "new_string": "zwei"});
    let many = json!({"file_path": path, "edits": [
        {"old_string": "one", "new_string": "eins"}, {"old_string": "eins", "new_string": "uno"},
    ]});
    let model = turns(vec![
        vec![call(
            "t1",
            "Write",
            json!({"file_path": path, "content": "one\ntwo\né\n"}),
        )],
        vec![call("t2", "Edit", edit)],
        vec![call("t3", "MultiEdit", many)],
        vec![call("t4", "Read", json!({"file_path": path}))],
        vec![call("t5", "Glob", json!({"pattern": "**/*.txt"}))],
        vec![call(
            "t6",
            "Grep",
            json!({"pattern": "zwei", "output_mode": "content"}),
        )],
        vec![bash("t7", "cat d/new.txt; echo err >&2; pwd")],
        vec![bash("t8", "exit 3")],
        vec![bash("t9", "true")],
        vec![call(
            "t10",
            "Bash",
            json!({"command": "sleep 30", "timeout": 300}),
        )],
        vec![call(
            "t11",
            "Bash",
            json!({"command": "true", "run_in_background": true}),
        )],
        vec![call(
            "t12",
            "Read",
            json!({"file_path": world.path("none")}),
        )],
        vec![call(
            "t13",
            "Edit",
            json!({"file_path": path, "old_string": "absent", "new_string": "x"}),
        )],
        vec![call(
            "t14",
            "Bash",
            json!({"command": "touch elsewhere", "workdir": "/tmp"}),
        )],
    ]);
    run(&world, &claude, &model).run().succeeded();
    let ok = |id: &str| {
        let (failed, text) = told(&model, id);
        assert!(!failed, "{id}: {text}");
        text
    };
    let failed = |id: &str| {
        let (failed, text) = told(&model, id);
        assert!(failed, "{id}: {text}");
        text
    };
    assert!(ok("t1").starts_with("File created successfully at: "));
    assert!(ok("t2").contains("has been updated successfully"));
    assert!(ok("t3").starts_with(&format!("Applied 2 edits to {path}")));
    assert_eq!(ok("t4"), "1\tuno\n2\tzwei\n3\té\n4\t");
    assert_eq!(ok("t5"), path);
    assert_eq!(ok("t6"), format!("{path}:2:zwei"));
    let shell = ok("t7");
    assert!(shell.starts_with("uno\nzwei\né\n"), "{shell}");
    assert!(
        shell.contains("err") && shell.contains(world.repo().to_str().unwrap()),
        "{shell}"
    );
    assert_eq!(failed("t8"), "Exit code 3");
    assert_eq!(ok("t9"), "(Bash completed with no output)");
    assert!(failed("t14").contains("unknown field `workdir`"));
    assert_eq!(world.get("elsewhere"), None);
    assert!(failed("t10").contains("killed at its deadline"));
    assert!(failed("t11").contains("run_in_background is not supported here"));
    assert!(failed("t12").starts_with("File does not exist."));
    assert!(failed("t13").starts_with("String to replace not found"));
    assert_eq!(world.get("d/new.txt").unwrap(), "uno\nzwei\né\n");

    let started = world.event("session.started");
    assert_eq!(started["payload"]["intendant"]["mode"], "mediated");
    assert_eq!(started["payload"]["sandbox"]["kind"], "process");
    world.event("sandbox.attested");
    assert_eq!(
        world.kinds_of("t7"),
        ["tool_call.allow", "tool_call.executed"]
    );
    let ended = world.event("session.ended");
    assert_eq!(
        (&ended["payload"]["seen"], &ended["payload"]["decided"]),
        (&json!(14), &json!(14))
    );
    world.verifies();
}

/// The same calls, of the harness's own tools and of agp's, under either mode: what fails with one fails with
/// the other, what stands in a file is shown alike, and the files are the same afterwards.
#[test]
fn the_tools_do_what_the_harness_s_own_do() {
    let Some(claude) = claude() else { return };
    let answers = |mode: &str| {
        let world = World::new();
        world.policy(&[("allow", "*")]);
        for (name, text) in [
            ("a", "one\ntwo\ntwo\n"),
            ("crlf", "a\r\nb\r\n"),
            ("empty", ""),
            ("unread", "x\n"),
            ("d/file", ""),
        ] {
            world.put(name, text);
        }
        let file = |name: &str, more: Value| {
            let mut input = json!({"file_path": world.path(name)});
            let fields = input.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            input
        };
        let read = |name: &str, more: Value| ("Read", file(name, more));
        let write = |name: &str, content: &str| ("Write", file(name, json!({"content": content})));
        let edit = |name: &str, old: &str, new: &str, all: bool| {
            let more = json!({"old_string": old, "new_string": new, "replace_all": all});
            ("Edit", file(name, more))
        };
        let bash = |command: &str| ("Bash", json!({"command": command, "description": "x"}));
        let nothing = || json!({});
        let calls = [
            edit("unread", "x", "y", false),
            write("unread", "z\n"),
            write("new", "n\n"),
            edit("new", "n", "m", false),
            read("a", nothing()),
            edit("a", "two", "2", false),
            edit("a", "two", "2", true),
            edit("a", "absent", "x", false),
            edit("a", "one", "one", false),
            edit("a", "", "x", false),
            read("a", nothing()),
            // The harness's own looks at times first.
            bash("sleep 1.1; echo more >> a"),
            write("a", "mine\n"),
            edit("a", "one", "1", false),
            read("a", json!({"offset": 2, "limit": 2})),
            write("a", "mine\n"),
            read("crlf", nothing()),
            edit("crlf", "a\nb", "A\nB", false),
            bash("od -An -c crlf"),
            read("none", nothing()),
            edit("none", "a", "b", false),
            edit("made", "", "made\n", false),
            read("made", json!({"offset": 50})),
            read("empty", nothing()),
            read("d", nothing()),
            write("d", "x"),
            bash("echo out; echo err >&2"),
            bash("echo out; exit 3"),
            bash("true"),
        ];
        let ids = (0..calls.len()).map(|number| format!("toolu_{number}"));
        let ids: Vec<String> = ids.collect();
        let turn = |(id, (tool, input)): (&String, &(&str, Value))| {
            let name = match mode {
                "mediated" => format!("mcp__agp__{tool}"),
                _ => (*tool).to_owned(),
            };
            vec![governed::call(id, &name, input.clone())]
        };
        let model = turns(ids.iter().zip(&calls).map(turn).collect());
        let start = governed::run(&world, &claude, &model).arguments(&["--mode", mode]);
        start.run().succeeded();
        let answer = |(id, (tool, input)): (&String, &(&str, Value))| {
            let (failed, text) = told(&model, id);
            let repo = world.repo();
            let plain = |text: &str| text.replace(repo.to_str().unwrap(), "REPO");
            // The harness marks its own refusals so.
            let text = text.replace("<tool_use_error>", "");
            let text = plain(&text.replace("</tool_use_error>", ""));
            let shown = match *tool {
                "Read" if !failed && text.contains('\t') => text,
                "Bash" => text,
                _ => String::new(),
            };
            (plain(&format!("{tool} {input}")), failed, shown)
        };
        let answers: Vec<_> = ids.iter().zip(&calls).map(answer).collect();
        let names = [
            "a", "crlf", "empty", "unread", "new", "made", "none", "d/file",
        ];
        (answers, names.map(|name| (name, world.get(name))))
    };
    let (ours, theirs) = (answers("mediated"), answers("hook"));
    assert_eq!(ours.1, theirs.1);
    for (ours, theirs) in ours.0.into_iter().zip(theirs.0) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn rules_mean_the_same_as_in_hook_mode_and_a_denied_call_leaves_no_trace() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("deny", "Bash"), ("allow", "Read")]);
    world.put("a.txt", "text\n");
    let write = json!({"file_path": world.path("w"), "content": "x"});
    let model = turns(vec![
        vec![bash("t1", "touch ran"), call("t2", "Write", write)],
        vec![call(
            "t3",
            "Read",
            json!({"file_path": world.path("a.txt")}),
        )],
    ]);
    run(&world, &claude, &model).run().succeeded();
    assert_eq!(
        told(&model, "t1"),
        (true, "Denied by agp: Bash is deny here".into())
    );
    assert!(
        told(&model, "t2").1.starts_with("Denied by agp: "),
        "no rule is a deny"
    );
    assert_eq!(told(&model, "t3"), (false, "1\ttext\n2\t".into()));
    assert_eq!((world.get("ran"), world.get("w")), (None, None));
    assert_eq!(world.kinds_of("t1"), ["tool_call.deny"]);
    world.verifies();
}

#[test]
fn the_standard_policy_reads_what_a_call_would_do() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    let standard = agp::policy::shipped("standard").unwrap();
    std::fs::write(world.agp_home().join("policy.json"), standard).unwrap();
    world.put(".env", "TOKEN=never-told\n");
    world.put("src/check.sh", "echo first\n");
    std::os::unix::fs::symlink(".env", world.path("plain.txt")).unwrap();
    let file = |name: &str| json!({"file_path": world.path(name)});
    let edit = json!({"file_path": world.path("src/check.sh"), "content": "echo second\n"});
    let model = turns(vec![
        vec![
            call("t1", "Read", file(".env")),
            call("t2", "Read", file("plain.txt")),
        ],
        vec![
            bash("t3", "cat .env"),
            bash("t4", "cd src && cat ../plain.txt"),
        ],
        vec![
            bash("t5", "grep -r TOKEN ."),
            bash("t6", "cat < src/../.env"),
        ],
        // What one call has left in the sandbox's own /tmp is there for the next.
        vec![bash(
            "t7",
            "mkdir -p /tmp/d && ln -s $PWD /tmp/d/link; ls /tmp/d",
        )],
        vec![bash("t8", "cat /tmp/d/link/.env")],
        vec![call("t9", "Write", edit)],
        vec![bash("t10", "bash src/check.sh 2>&1 | tail -40")],
        vec![bash("t11", "git push"), bash("t12", "env git push")],
    ]);
    // The two pushes are the only questions, and nobody can be asked.
    run(&world, &claude, &model).run().exited(1);
    for id in ["t1", "t2", "t3", "t4", "t5", "t6", "t8"] {
        let (wrong, text) = told(&model, id);
        assert!(wrong && text.starts_with("Denied by agp: "), "{id}: {text}");
        assert!(
            text.contains("(rule 'env')") || text.contains("'env'"),
            "{id}: {text}"
        );
    }
    assert_eq!(told(&model, "t10").1.trim_end(), "second");
    for id in ["t9", "t10"] {
        assert_eq!(
            world.kinds_of(id),
            ["tool_call.allow", "tool_call.executed"],
            "{id}"
        );
    }
    for id in ["t11", "t12"] {
        assert_eq!(world.kinds_of(id)[0], "tool_call.require", "{id}");
    }
    assert!(!world.journal_text().contains("never-told"));
    world.verifies();
}

#[test]
fn large_and_binary_outputs_are_told_within_bounds() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let long: String = (0..50_000).map(|number| format!("{number} é\n")).collect();
    world.put("long", &long);
    fs::write(world.repo().join("bin"), [0_u8, 255, 1, 2]).unwrap();
    let model = turns(vec![vec![
        bash("t1", "seq 1 2000000"),
        bash("t2", "head -c 3000000 /dev/zero"),
        call("t3", "Read", json!({"file_path": world.path("long")})),
        call("t4", "Read", json!({"file_path": world.path("bin")})),
        call(
            "t5",
            "Grep",
            json!({"pattern": "é", "output_mode": "content", "head_limit": 0}),
        ),
        bash("t6", "printf '\\377\\376'"),
    ]]);
    run(&world, &claude, &model).run().succeeded();
    let (failed, text) = told(&model, "t1");
    assert!(
        !failed && text.len() < 31_000 && text.contains("more bytes not shown"),
        "{}",
        text.len()
    );
    assert!(told(&model, "t2").1.len() < 200_000);
    assert!(told(&model, "t3").1.contains("go on with offset 2001"));
    assert!(told(&model, "t4").1.contains("cannot read binary files"));
    let found = told(&model, "t5").1;
    assert!(
        found.contains("[Showing results with pagination"),
        "{}",
        &found[..300]
    );
    assert_eq!(told(&model, "t6"), (false, "\u{fffd}\u{fffd}".into()));
    // The journal has the whole output's length and digest.
    let executed: Vec<Value> = world
        .journal()
        .into_iter()
        .filter(|event| event["kind"] == "tool_call.executed")
        .collect();
    let of = |id: &str| {
        executed
            .iter()
            .find(|event| event["payload"]["messageId"] == id)
            .unwrap()
    };
    assert_eq!(of("t1")["payload"]["outputBytes"], 14_888_896);
    world.verifies();
}

#[test]
fn a_model_that_asks_for_the_harness_s_own_tools_gets_none() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let own = |id: &str, tool: &str, input: Value| Call {
        id: Some(id.to_owned()),
        ..Call::new(tool, input)
    };
    let model = turns(vec![vec![
        own("t1", "Bash", json!({"command": "touch ran"})),
        own(
            "t2",
            "Write",
            json!({"file_path": world.path("w"), "content": "x"}),
        ),
        own(
            "t3",
            "Agent",
            json!({"description": "x", "prompt": "x", "subagent_type": "general-purpose"}),
        ),
        own("t4", "mcp__agp__Nonsense", json!({})),
    ]]);
    run(&world, &claude, &model).run().succeeded();
    for id in ["t1", "t2", "t3", "t4"] {
        let (failed, text) = told(&model, id);
        assert!(
            failed && text.contains("No such tool available"),
            "{id}: {text}"
        );
    }
    assert_eq!((world.get("ran"), world.get("w")), (None, None));
    let ended = world.event("session.ended");
    assert_eq!(
        (&ended["payload"]["seen"], &ended["payload"]["decided"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn what_is_agps_and_the_operators_is_out_of_reach() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let home = world.root().join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/id"), "private").unwrap();
    let key = world.agp_home().join("signing/journal-ed25519.key");
    std::os::unix::fs::symlink(&key, world.repo().join("link")).unwrap();
    let model = turns(vec![vec![
        bash("t1", &format!("cat {}", key.display())),
        bash(
            "t2",
            &format!("cat {}/.ssh/id; ls {}", home.display(), home.display()),
        ),
        bash("t3", "cat link"),
        call("t4", "Read", json!({"file_path": home.join(".ssh/id")})),
        call(
            "t5",
            "Grep",
            json!({"pattern": ".", "path": "/", "output_mode": "content"}),
        ),
        bash(
            "t6",
            "echo x > /etc/planted; kill -9 1 $(cut -d' ' -f4 /proc/$$/stat); (exec 3<>/dev/tcp/127.0.0.1/22) 2>&1; true",
        ),
    ]]);
    run(&world, &claude, &model).run().succeeded();
    let secret = fs::read_to_string(&key).unwrap();
    let inner = secret.lines().nth(1).unwrap().to_owned();
    for id in ["t1", "t2", "t3", "t4", "t5", "t6"] {
        let (_, text) = told(&model, id);
        assert!(
            !text.contains(&inner) && !text.contains("private\n") && text != "private",
            "{id}: {text}"
        );
    }
    for id in ["t1", "t2", "t3", "t4"] {
        assert!(told(&model, id).0, "{id}: {}", told(&model, id).1);
    }
    assert!(!Path::new("/etc/planted").exists());
    world.verifies();
}

#[test]
fn eight_calls_that_read_are_asked_about_at_once() {
    let (Some(claude), Some(python)) = (claude(), session::python()) else {
        return;
    };
    let world = World::new();
    world.policy(&[("require", "Read")]);
    world.put("a.txt", "text\n");
    let ids: Vec<String> = (0..8).map(|number| format!("t{number}")).collect();
    let read = |id: &String| call(id, "Read", json!({"file_path": world.path("a.txt")}));
    let model = turns(vec![ids.iter().map(read).collect()]);
    let mut live = run(&world, &claude, &model).start_at_terminal(&python);
    wait_for("eight questions", || {
        (world.events("tool_call.require").len() == 8).then_some(())
    });
    for asked in 1..=8 {
        // In the order in which they came: not always that of their numbers.
        live.see_times("Approval needed - question ", asked);
        live.type_in(if asked % 2 == 0 { "n\n" } else { "y\n" });
        wait_for("its answer", || {
            let answers = ["approval.granted", "approval.denied"];
            let answers = answers.map(|kind| world.events(kind).len());
            (answers.iter().sum::<usize>() == asked).then_some(())
        });
    }
    live.finish().succeeded();
    let granted = world.events("approval.granted");
    assert_eq!(granted.len(), 4);
    for id in &ids {
        let granted = granted
            .iter()
            .any(|event| event["payload"]["messageId"] == id.as_str());
        let (failed, text) = told(&model, id);
        assert_eq!(failed, !granted, "{id}: {text}");
        assert_eq!(text == "1\ttext\n2\t", granted, "{id}: {text}");
    }
    world.verifies();
}

#[test]
fn eight_calls_at_once_each_get_their_own_verdict() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "Bash"), ("deny", "Write")]);
    let calls = (0..8).map(|number| {
        let id = format!("t{number}");
        if number % 2 == 0 {
            bash(
                &id,
                &format!("echo {number} > ran-{number}; cat ran-{number}"),
            )
        } else {
            let path = world.path(&format!("ran-{number}"));
            call(&id, "Write", json!({"file_path": path, "content": "x"}))
        }
    });
    let model = turns(vec![calls.collect()]);
    run(&world, &claude, &model).run().succeeded();
    for number in 0..8 {
        let (failed, text) = told(&model, &format!("t{number}"));
        let there = world.get(&format!("ran-{number}"));
        if number % 2 == 0 {
            assert_eq!(
                (failed, text, there),
                (false, number.to_string(), Some(format!("{number}\n")))
            );
        } else {
            assert!(failed && there.is_none(), "{text}");
        }
    }
    world.verifies();
}

#[test]
fn what_runs_is_shown_while_it_runs_line_by_line_and_what_it_came_to() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let parts = "echo begun; printf 'a '; touch a; \
                 for i in $(seq 400); do [ -e go ] && break; sleep 0.05; done; echo b; exit 3";
    let hook = "mkdir -p .git/hooks; echo evil > .git/hooks/pre-commit";
    let model = turns(vec![vec![bash("t1", parts)], vec![bash("t2", hook)]]);
    let mut live = run(&world, &claude, &model).start();
    live.see("| begun\n");
    wait_for("the other half", || world.get("a"));
    assert!(!live.seen().contains("| a"), "half a line is none");
    world.put("go", "");
    let ran = live.finish().succeeded();
    let ran = ran.said(&["| a b\n", "exit code 3", "changed files that run outside"]);
    assert!(ran.out.contains(".git/hooks/pre-commit"), "{}", ran.out);
    world.verifies();
}

#[test]
fn the_raw_stream_is_the_harnesss_own_and_nothing_else() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let model = turns(vec![vec![bash("t1", "echo printed; exit 3")]]);
    let start = run(&world, &claude, &model).arguments(&["--stream", "raw"]);
    let ran = start.run().succeeded();
    for line in ran.out.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    ran.complained(&["allow Bash", "| printed", "exit code 3"]);
}

/// A session whose first call waits for the file `go`, and the calls behind it.
fn waiting(behind: Vec<Call>) -> (ModelDouble, Vec<Vec<Call>>) {
    let wait = "touch first; for i in $(seq 400); do [ -e go ] && break; sleep 0.05; done";
    let calls = vec![vec![bash("first", wait)], behind];
    (turns(calls.clone()), calls)
}

#[test]
fn a_deleted_socket_takes_nothing_from_a_confined_harness_and_opens_nothing() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let (model, _) = waiting(vec![bash("second", "touch second")]);
    let live = run(&world, &claude, &model).start();
    wait_for("the first call", || world.get("first"));
    fs::remove_file(world.lease().directory.join("gate.sock")).unwrap();
    world.put("go", "");
    live.finish().succeeded();
    // The harness has the socket itself, not its name: the call was decided, and agp ran it.
    let kinds = world.kinds_of("second");
    assert!(
        kinds.contains(&"tool_call.executed".to_owned()),
        "{kinds:?}"
    );
    assert!(world.get("second").is_some());
    world.verifies();
}

/// The gateway's socket as a process's arguments name it.
fn socket_of(pid: i32) -> Option<String> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
    let at = words.iter().position(|word| *word == b"--socket")?;
    Some(String::from_utf8(words.get(at + 1)?.to_vec()).unwrap())
}

#[test]
fn without_its_server_nothing_runs() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let (model, _) = waiting(vec![bash("second", "touch second")]);
    let live = run(&world, &claude, &model).start();
    wait_for("the first call", || world.get("first"));
    let server = wait_for("the server", || {
        below(live.pid())
            .into_iter()
            .find(|process| socket_of(process.pid).is_some())
    });
    let server = rustix::process::Pid::from_raw(server.pid).unwrap();
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    world.put("go", "");
    let all = below(live.pid());
    live.finish();
    all_gone(&all);
    // The harness may start the server anew, and then the call is decided as any other.
    let decided = world.kinds_of("second");
    if world.get("second").is_some() {
        assert_eq!(decided, ["tool_call.allow", "tool_call.executed"]);
    } else {
        assert!(!decided.contains(&"tool_call.executed".to_owned()));
    }
    world.verifies();
}

#[test]
fn the_probe_tries_the_mode_that_is_asked_for() {
    let Some(claude) = claude() else { return };
    let world = World::new();
    world.policy(&[("allow", "*")]);
    let model = turns(vec![vec![bash("t1", "touch ran")]]);
    let task = ["run", "--intendant", "claude-code", "--mode", "mediated"];
    world
        .agp(&task)
        .arguments(&["--task", "go"])
        .env("ANTHROPIC_BASE_URL", &model.base_url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("AGP_CLAUDE_BIN", claude.to_str().unwrap())
        .run()
        .succeeded()
        .complained(&["Gate self-test passed", "mode: mediated"]);
    assert!(world.get("ran").is_some());
    assert_eq!(world.event("session.started")["payload"]["probed"], true);
    world.verifies();
}
