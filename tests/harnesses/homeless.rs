//! Sessions whose operator has no home, or one that cannot be: as in a container, or in a service. They go on as
//! others do, and leave nothing where no home is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, governed, responses, session};

use std::fs;

use codex::Governed;
use governed::{bash, turns};
use responses::{Call, ResponsesDouble};
use serde_json::json;
use session::{Start, World, claude};

/// What `HOME` can be that is none.
const HOMES: [Option<&str>; 4] = [None, Some("/"), Some("relative"), Some("/nonexistent/home")];

fn with(start: Start, home: Option<&str>) -> Start {
    match home {
        None => start.without("HOME"),
        Some(home) => start.env("HOME", home),
    }
}

/// Asserts that the one call ran, and that the repository has nothing but what it wrote.
fn went_well(world: &World, home: Option<&str>) {
    assert_eq!(world.get("ran").as_deref(), Some("ran\n"), "{home:?}");
    let names = fs::read_dir(world.repo()).unwrap().flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["ran"], "{home:?}");
    assert_eq!(world.event("session.ended")["payload"]["end"], "done");
    assert_eq!(world.census(), [1, 1, 0]);
}

#[test]
fn claude_code_needs_no_home() {
    for home in HOMES {
        for mode in ["hook", "mediated"] {
            let Some(claude) = claude() else { return };
            let world = World::new();
            world.policy(&[("allow", "Bash")]);
            let call = match mode {
                "hook" => bash("call_1", "echo ran > ran"),
                _ => governed::mediated::bash("call_1", "echo ran > ran"),
            };
            let model = turns(vec![vec![call]]);
            let run = governed::run(&world, &claude, &model);
            with(run.arguments(&["--mode", mode]), home)
                .run()
                .succeeded();
            went_well(&world, home);
        }
    }
}

#[test]
fn codex_needs_no_home_where_its_own_is_named() {
    for home in HOMES {
        let Some(governed) = Governed::by(&[("allow", "Bash")]) else {
            return;
        };
        let arguments = json!({"command": "echo ran > ran"});
        let call = Call::mediated("call_1", "Bash", &arguments);
        let model = ResponsesDouble::start(vec![vec![call]]);
        governed.configure(&model, "");
        let run = governed.start();
        let run = run.env("CODEX_HOME", governed.operators().to_str().unwrap());
        with(run, home).run().succeeded();
        went_well(&governed.world, home);
    }
}
