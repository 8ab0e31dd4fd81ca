//! What agp's Codex intendant relies on, measured on the real binary without agp: each test is a
//! reason for one of its settings, and fails when a version no longer behaves like that.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{responses, session};

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use responses::{Call, ResponsesDouble};
use session::{World, codex};

/// Codex alone.
struct Bare {
    world: World,
    codex: PathBuf,
}

impl Bare {
    fn new() -> Option<Self> {
        Some(Self {
            codex: codex()?,
            world: World::new(),
        })
    }

    /// Runs it with `tables` in its configuration.
    fn run(&self, model: &ResponsesDouble, tables: &str) {
        let home = self.world.root().join("codex-home");
        fs::create_dir(&home).unwrap();
        let text = format!(
            "model = \"gpt-6-astra\"\nmodel_provider = \"double\"\n\
             [model_providers.double]\nname = \"double\"\nbase_url = \"{}\"\n\
             wire_api = \"responses\"\nenv_key = \"DOUBLE_KEY\"\n{tables}\n",
            model.base_url(),
        );
        fs::write(home.join("config.toml"), text).unwrap();
        let status = Command::new(&self.codex)
            .args(["exec", "--json", "--skip-git-repo-check", "-s"])
            .args(["workspace-write", "--", "go"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.world.root().join("home"))
            .env("CODEX_HOME", home)
            .env("DOUBLE_KEY", "x")
            .current_dir(self.world.repo())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    fn has(&self, name: &str) -> bool {
        self.world.get(name).is_some()
    }

    fn trust(&self, level: &str) -> String {
        let repo = self.world.repo().display().to_string();
        format!("[projects.\"{repo}\"]\ntrust_level = \"{level}\"")
    }
}

#[test]
fn a_trusted_repository_starts_servers_and_another_does_not() {
    for (level, heeded) in [("trusted", true), ("untrusted", false)] {
        let Some(bare) = Bare::new() else { return };
        let server = bare.world.path("server");
        let theirs = format!(
            "[mcp_servers.evil]\ncommand = \"/bin/sh\"\n\
             args = [\"-c\", \"touch {server}; exec cat\"]\n"
        );
        bare.world.put(".codex/config.toml", &theirs);
        let model = ResponsesDouble::start(vec![vec![Call::shell("call_b", "touch ran")]]);
        bare.run(&model, &bare.trust(level));
        assert!(bare.has("ran"), "{level}");
        assert_eq!(bare.has("server"), heeded, "{level}");
    }
}

#[test]
fn a_script_of_calls_runs_commands_that_its_own_call_does_not_name() {
    let Some(bare) = Bare::new() else { return };
    let script = "await tools.exec_command({cmd: 'touch nested'});";
    let model = ResponsesDouble::start(vec![vec![Call::custom("call_x", "exec", script)]]);
    bare.run(&model, "");
    assert!(bare.has("nested"));
}
