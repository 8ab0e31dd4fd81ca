//! A governed Claude Code for tests: the words its calls are written in, how it is started, and
//! what its journal must say of them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::model::{Call, ModelDouble, Turn};
use super::session::{Start, World, copy_program, put_program};

/// A call under an id of the test's choice.
pub(crate) fn call(id: &str, name: &str, input: Value) -> Call {
    Call {
        id: Some(id.to_owned()),
        ..Call::new(name, input)
    }
}

pub(crate) fn bash(id: &str, command: &str) -> Call {
    call(id, "Bash", json!({"command": command}))
}

/// Writes a file of the repository.
pub(crate) fn write(world: &World, id: &str, name: &str, content: &str) -> Call {
    let input = json!({"file_path": world.path(name), "content": content});
    call(id, "Write", input)
}

/// A model that makes these calls, those of one turn at once.
pub(crate) fn turns(calls: Vec<Vec<Call>>) -> ModelDouble {
    ModelDouble::start(calls.into_iter().map(Turn::Calls).collect())
}

/// A session in the harness's default mode.
pub(crate) fn run(world: &World, claude: &Path, model: &ModelDouble) -> Start {
    tasked(world, claude, model, "go")
}

/// The same with a task of the test's.
pub(crate) fn tasked(world: &World, claude: &Path, model: &ModelDouble, task: &str) -> Start {
    world
        .agp(&["run", "--intendant", "claude-code", "--no-probe"])
        .arguments(&["--task", task])
        // A test can name another with `--repo`, which is stronger.
        .env("AGP_REPO", world.repo().to_str().unwrap())
        .env("ANTHROPIC_BASE_URL", &model.base_url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("AGP_CLAUDE_BIN", claude.to_str().unwrap())
}

/// A harness whose settings are changed so on the way to it, by Python: the real one and what changes them, in
/// a package of their own.
pub(crate) fn with_settings(world: &World, claude: &Path, change: &str) -> PathBuf {
    let package = world.root().join("node_modules/claude");
    std::fs::create_dir_all(&package).unwrap();
    let (wrapper, real) = (package.join("claude"), package.join("real"));
    let claude = claude.canonicalize().unwrap();
    if std::fs::hard_link(&claude, &real).is_err() {
        copy_program(&claude, &real);
    }
    let script = format!(
        "#!/usr/bin/python3\n\
         import json, os, sys\n\
         real = os.path.dirname(os.path.abspath(__file__)) + '/real'\n\
         if sys.argv[1] == '--settings':\n\
         \x20   settings = json.load(open(sys.argv[2]))\n\
         \x20   {change}\n\
         \x20   sys.argv[2] = os.environ['TMPDIR'] + '/settings.json'\n\
         \x20   json.dump(settings, open(sys.argv[2], 'w'))\n\
         os.execv(real, [real] + sys.argv[1:])\n",
    );
    put_program(&wrapper, script);
    wrapper
}

/// A session of a harness whose hook is a copy of agp's that lies where it may be written to; and that copy,
/// which a test may spoil. agp's own stays what it is inside.
pub(crate) fn spoilable(
    world: &World,
    claude: &Path,
    model: &ModelDouble,
    bridge: &Path,
) -> (Start, PathBuf) {
    let hooks = world.root().join("hooks");
    std::fs::create_dir(&hooks).unwrap();
    let hook = hooks.join("agp-bridge");
    copy_program(bridge, &hook);
    let change = format!(
        "for event in settings['hooks'].values(): event[0]['hooks'][0]['command'] = {hook:?}"
    );
    let wrapper = with_settings(world, claude, &change);
    let start = run(world, &wrapper, model).arguments(&["--allow-write", hooks.to_str().unwrap()]);
    (start, hook)
}

/// The same in mediated mode: the calls are of agp's tools.
pub(crate) mod mediated {
    use super::{Call, ModelDouble, Path, Start, Value, World};

    pub(crate) fn call(id: &str, tool: &str, input: Value) -> Call {
        super::call(id, &format!("mcp__agp__{tool}"), input)
    }

    pub(crate) fn bash(id: &str, command: &str) -> Call {
        agps(super::bash(id, command))
    }

    pub(crate) fn write(world: &World, id: &str, name: &str, content: &str) -> Call {
        agps(super::write(world, id, name, content))
    }

    fn agps(call: Call) -> Call {
        let name = format!("mcp__agp__{}", call.name);
        Call { name, ..call }
    }

    pub(crate) fn run(world: &World, claude: &Path, model: &ModelDouble) -> Start {
        super::run(world, claude, model).arguments(&["--mode", "mediated"])
    }
}
