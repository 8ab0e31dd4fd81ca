//! Mediated mode on the real Codex: agp's tools are the only ones, and run in the process sandbox.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]
#![allow(
    dead_code,
    reason = "the support modules serve other tests too, with more than these use"
)]

#[path = "support/codex.rs"]
mod codex;
#[path = "support/responses.rs"]
mod responses;
#[path = "support/session.rs"]
mod session;

use codex::Governed;
use responses::{Call, ResponsesDouble};
use serde_json::json;
use session::Start;

/// Codex in its default mode.
fn run(governed: &Governed, model: &ResponsesDouble) -> Start {
    governed.configure(model, "");
    governed.default_mode()
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
    let ended = world.event("session.ended");
    assert_eq!(
        (&ended["payload"]["seen"], &ended["payload"]["decided"]),
        (&json!(6), &json!(6))
    );
    assert_eq!(model.violations(), Vec::<String>::new());
    world.verifies();
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
    let harmless = [
        "list_mcp_resources",
        "list_mcp_resource_templates",
        "read_mcp_resource",
        "request_user_input",
    ];
    for tool in model.tools() {
        assert!(
            tool.starts_with("mcp__agp") || harmless.contains(&tool.as_str()),
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
    probed.succeeded().complained(&["the gate was tried first"]);
    assert!(governed.world.get("ran").is_some());
}
