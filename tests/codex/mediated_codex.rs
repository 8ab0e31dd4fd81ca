//! Mediated mode on the real Codex: agp's tools are the only ones, and run in the process sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, responses, session};

use agp::intendants::codex::HARMLESS;
use codex::{Governed, mediated_decided};
use responses::{Call, ResponsesDouble};
use serde_json::json;
use session::{Start, python, wait_for};

/// Codex in its default mode.
fn run(governed: &Governed, model: &ResponsesDouble) -> Start {
    governed.configure(model, "");
    governed.start()
}

#[test]
fn it_is_the_default_and_every_tool_works() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    let path = world.path("d/new.txt");
    let model = ResponsesDouble::start(vec![
        vec![Call::mediated(
            "c1",
            "Write",
            &json!({"file_path": path, "content": "one\ntwo\n"}),
        )],
        vec![Call::mediated(
            "c2",
            "Edit",
            &json!({"file_path": path, "old_string": "two", "new_string": "zwei"}),
        )],
        vec![Call::mediated("c3", "Read", &json!({"file_path": path}))],
        vec![Call::mediated(
            "c4",
            "Bash",
            &json!({"command": "cat d/new.txt; exit 3"}),
        )],
        vec![
            Call::mediated("c5", "Glob", &json!({"pattern": "**/*.txt"})),
            Call::mediated("c6", "Grep", &json!({"pattern": "zwei"})),
        ],
    ]);
    let ran = run(&governed, &model).run().succeeded();
    ran.complained(&["mode: mediated"]);
    assert_eq!(world.get("d/new.txt").unwrap(), "one\nzwei\n");
    let told = |id: &str| model.result_of(id).unwrap();
    assert!(
        told("c3").contains("2\\tzwei") || told("c3").contains("2\tzwei"),
        "{}",
        told("c3")
    );
    assert!(told("c4").contains("Exit code 3"), "{}", told("c4"));
    assert!(told("c5").contains(&path), "{}", told("c5"));
    assert!(told("c6").contains("Found 1 file"), "{}", told("c6"));
    for id in ["c1", "c2", "c3", "c4", "c5", "c6"] {
        assert_eq!(
            world.kinds_of(id),
            ["tool_call.allow", "tool_call.executed"],
            "{id}"
        );
    }
    let ids = ["c1", "c2", "c3", "c4", "c5", "c6"];
    mediated_decided(world, &ids);
    assert_eq!(model.violations(), Vec::<String>::new());
    // What Codex's own record says that its model was offered.
    let ended = world.event("session.ended");
    let offered = ended["payload"]["offered"].as_array().unwrap();
    let agps = |tool: &&serde_json::Value| tool.as_str().unwrap().starts_with("mcp__agp__");
    assert_eq!(offered.iter().filter(agps).count(), 7, "{offered:?}");
    assert_eq!(offered.len(), 7 + HARMLESS.len(), "{offered:?}");
}

/// The text of a server's tool, without what Codex puts before it.
fn text(model: &ResponsesDouble, id: &str) -> String {
    let parts: serde_json::Value = serde_json::from_str(&model.result_of(id).unwrap()).unwrap();
    parts[1]["text"].as_str().unwrap().to_owned()
}

#[test]
fn every_tools_errors_are_told_and_journaled() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    world.put("a.txt", "one\none\n");
    let path = world.path("a.txt");
    let edit =
        |old: &str, new: &str| json!({"file_path": path, "old_string": old, "new_string": new});
    let calls = [
        (
            "c1",
            "Bash",
            json!({"command": "echo out; echo err >&2; exit 3"}),
        ),
        ("c2", "Bash", json!({"command": "sleep 30", "timeout": 300})),
        (
            "c3",
            "Bash",
            json!({"command": "true", "run_in_background": true}),
        ),
        ("c4", "Bash", json!({"command": "kill -SEGV $$"})),
        ("c5", "Read", json!({"file_path": world.path("none")})),
        (
            "c6",
            "Write",
            json!({"file_path": "/etc/agp-planted", "content": "x"}),
        ),
        ("c7", "Read", json!({"file_path": path})),
        ("c8", "Edit", edit("absent", "x")),
        ("c9", "Edit", edit("one", "two")),
        (
            "c10",
            "MultiEdit",
            json!({"file_path": path, "edits": [{"old_string": "x", "new_string": "y"}]}),
        ),
        (
            "c11",
            "Glob",
            json!({"pattern": "*", "path": world.path("none")}),
        ),
        ("c12", "Grep", json!({"pattern": "("})),
        ("c13", "Read", json!({"path": path})),
        ("c14", "Bash", json!({})),
    ];
    let turns = calls
        .iter()
        .map(|(id, tool, arguments)| vec![Call::mediated(id, tool, arguments)]);
    let model = ResponsesDouble::start(turns.collect());
    run(&governed, &model).run().succeeded();
    for (id, wanted) in [
        ("c1", "Exit code 3\nout\nerr"),
        ("c2", "killed at its deadline"),
        ("c3", "run_in_background is not supported here"),
        ("c4", "Ended by signal 11"),
        ("c5", "File does not exist."),
        ("c6", "/etc/agp-planted"),
        ("c8", "String to replace not found in file."),
        ("c9", "Found 2 matches of the string to replace"),
        ("c10", "String to replace not found in file."),
        ("c11", "Directory does not exist"),
        ("c12", "Invalid regular expression"),
        ("c13", "InputValidationError"),
        ("c14", "Bash needs a command"),
    ] {
        let said = text(&model, id);
        assert!(said.contains(wanted), "{id}: {said}");
        let executed = world.events("tool_call.executed");
        let of_id = executed
            .iter()
            .find(|event| event["payload"]["messageId"] == id);
        assert_ne!(of_id.unwrap()["payload"]["exitCode"], 0, "{id}");
    }
    assert!(!std::path::Path::new("/etc/agp-planted").exists());
    assert_eq!(world.get("a.txt").unwrap(), "one\none\n");
    mediated_decided(world, &calls.each_ref().map(|(id, _, _)| *id));
}

#[test]
fn large_binary_and_unicode_outputs_are_told_within_bounds() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    let long: String = (0..50_000).map(|number| format!("{number} é\n")).collect();
    world.put("long", &long);
    std::fs::write(world.repo().join("bin"), [0_u8, 255, 1, 2]).unwrap();
    let strange = "日本語 𝒳 e\u{301} \u{2028} \u{1f469}\u{200d}\u{1f680} \"\\";
    let path = world.path("größe 日本.txt");
    let bash = |id: &str, command: &str| Call::mediated(id, "Bash", &json!({"command": command}));
    let file = |path: &str| json!({"file_path": path});
    let model = ResponsesDouble::start(vec![
        vec![
            bash("c1", "seq 1 2000000"),
            bash("c2", "head -c 3000000 /dev/zero"),
            Call::mediated("c3", "Read", &file(&world.path("long"))),
            Call::mediated("c4", "Read", &file(&world.path("bin"))),
            bash("c5", "printf '\\377\\376'"),
        ],
        vec![Call::mediated(
            "c6",
            "Write",
            &json!({"file_path": path, "content": strange}),
        )],
        vec![Call::mediated("c7", "Read", &file(&path))],
        vec![bash("c8", &format!("cat '{path}'"))],
    ]);
    run(&governed, &model).run().succeeded();
    let shell = text(&model, "c1");
    assert!(shell.contains("more bytes not shown"), "{}", shell.len());
    assert!(text(&model, "c2").len() < 200_000);
    assert!(text(&model, "c3").contains("go on with offset 2001"));
    assert!(text(&model, "c4").contains("cannot read binary files"));
    assert_eq!(text(&model, "c5"), "\u{fffd}\u{fffd}");
    assert_eq!(world.get("größe 日本.txt").as_deref(), Some(strange));
    assert_eq!(text(&model, "c7"), format!("1\t{strange}"));
    assert_eq!(text(&model, "c8"), strange);
    let executed = world.events("tool_call.executed");
    let first = executed
        .iter()
        .find(|event| event["payload"]["messageId"] == "c1");
    assert_eq!(first.unwrap()["payload"]["outputBytes"], 14_888_896);
    mediated_decided(world, &["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]);
}

#[test]
fn eight_calls_that_read_are_asked_about_at_once() {
    let Some(governed) = Governed::by(&[("require", "Read")]) else {
        return;
    };
    let Some(python) = python() else { return };
    let world = &governed.world;
    world.put("a.txt", "text");
    let ids: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    let asked = json!({"file_path": world.path("a.txt")});
    let read = |id: &String| Call::mediated(id, "Read", &asked);
    let model = ResponsesDouble::start(vec![ids.iter().map(read).collect()]);
    let mut live = run(&governed, &model).start_at_terminal(&python);
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
        let of_id = |event: &serde_json::Value| event["payload"]["messageId"] == id.as_str();
        assert_eq!(
            text(&model, id) == "1\ttext",
            granted.iter().any(of_id),
            "{id}"
        );
    }
    mediated_decided(world, &ids.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn eight_calls_at_once_each_get_their_own_verdict() {
    let Some(governed) = Governed::by(&[("allow", "Bash"), ("deny", "Write")]) else {
        return;
    };
    let world = &governed.world;
    let ids: Vec<String> = (0..8).map(|number| format!("c{number}")).collect();
    let calls = ids.iter().enumerate().map(|(number, id)| {
        if number % 2 == 0 {
            let command = format!("echo {number} > ran-{number}; cat ran-{number}");
            Call::mediated(id, "Bash", &json!({"command": command}))
        } else {
            let path = world.path(&format!("ran-{number}"));
            Call::mediated(id, "Write", &json!({"file_path": path, "content": "x"}))
        }
    });
    let model = ResponsesDouble::start(vec![calls.collect()]);
    run(&governed, &model).run().succeeded();
    for (number, id) in ids.iter().enumerate() {
        let (said, there) = (text(&model, id), world.get(&format!("ran-{number}")));
        if number % 2 == 0 {
            assert_eq!(
                (said, there),
                (number.to_string(), Some(format!("{number}\n")))
            );
        } else {
            assert!(
                said.starts_with("Denied by agp: ") && there.is_none(),
                "{said}"
            );
        }
    }
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    mediated_decided(world, &ids);
}

#[test]
fn no_tool_of_its_own_is_offered_or_taken() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let world = &governed.world;
    let model = ResponsesDouble::start(vec![vec![
        Call::shell("c1", "touch ran"),
        Call::patch("c2", "*** Add File: patched\n+x"),
        Call::function("c3", "write_stdin", json!({"session_id": 1, "chars": "x"})),
        Call::function("c4", "shell", json!({"command": ["touch", "ran"]})),
        Call::function("c5", "local_shell", json!({"command": ["touch", "ran"]})),
    ]]);
    run(&governed, &model).run().succeeded();
    for tool in model.tools() {
        assert!(
            tool.starts_with("mcp__agp") || HARMLESS.contains(&tool.as_str()),
            "{tool}"
        );
    }
    assert_eq!((world.get("ran"), world.get("patched")), (None, None));
    let ended = world.event("session.ended");
    assert_eq!(
        (&ended["payload"]["seen"], &ended["payload"]["decided"]),
        (&json!(0), &json!(0))
    );
    world.verifies();
}

#[test]
fn a_denied_call_leaves_no_trace_and_the_model_learns_why() {
    let Some(governed) = Governed::by(&[("deny", "Bash"), ("allow", "Read")]) else {
        return;
    };
    let world = &governed.world;
    let model = ResponsesDouble::start(vec![vec![Call::mediated(
        "c1",
        "Bash",
        &json!({"command": "touch ran"}),
    )]]);
    run(&governed, &model).run().succeeded();
    assert_eq!(world.get("ran"), None);
    let told = model.result_of("c1").unwrap();
    assert!(told.contains("Denied by agp: Bash is deny here"), "{told}");
    assert_eq!(world.kinds_of("c1"), ["tool_call.deny"]);
    world.verifies();
}

#[test]
fn the_probe_tries_mediated_mode() {
    let Some(governed) = Governed::by(&[("allow", "*")]) else {
        return;
    };
    let model = ResponsesDouble::start(vec![vec![Call::mediated(
        "c1",
        "Bash",
        &json!({"command": "touch ran"}),
    )]]);
    governed.configure(&model, "");
    let task = ["run", "--intendant", "codex", "--task", "go"];
    let probed = governed
        .world
        .agp(&task)
        .env("DOUBLE_KEY", "x")
        .env("AGP_CODEX_BIN", governed.codex.to_str().unwrap())
        .run();
    probed.succeeded().complained(&["Gate self-test passed"]);
    assert!(governed.world.get("ran").is_some());
}
