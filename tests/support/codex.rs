//! A governed Codex for tests: an operator whose configuration names the model double.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use super::responses::ResponsesDouble;
use super::session::{Start, World, codex};

/// A model of the harness's own catalogue, with all of its tools.
pub(crate) const MODEL: &str = "gpt-6-astra";

/// A world with a policy, and the harness to be governed in it.
pub(crate) struct Governed {
    pub(crate) world: World,
    pub(crate) codex: PathBuf,
}

impl Governed {
    pub(crate) fn by(rules: &[(&str, &str)]) -> Option<Self> {
        codex().map(|codex| Self::of(codex, rules))
    }

    /// That of this program.
    pub(crate) fn of(codex: PathBuf, rules: &[(&str, &str)]) -> Self {
        let world = World::new();
        world.policy(rules);
        Self { world, codex }
    }

    /// The operator's own home of Codex.
    pub(crate) fn operators(&self) -> PathBuf {
        self.world.root().join("home/.codex")
    }

    /// Has the operator's configuration name this model, with `more` behind it.
    pub(crate) fn configure(&self, model: &ResponsesDouble, more: &str) {
        fs::create_dir_all(self.operators()).unwrap();
        fs::write(self.operators().join("config.toml"), config(model, more)).unwrap();
    }

    pub(crate) fn run_against(&self, model: &ResponsesDouble) -> Start {
        self.configure(model, "");
        self.start()
    }

    /// Starts it with the configuration that is there.
    pub(crate) fn start(&self) -> Start {
        self.tasked("go")
    }

    /// The same with a task of the test's.
    pub(crate) fn tasked(&self, task: &str) -> Start {
        self.world
            .agp(&["run", "--intendant", "codex", "--no-probe", "--task", task])
            .arguments(&["--repo", self.world.repo().to_str().unwrap()])
            .env("DOUBLE_KEY", "x")
            .env("AGP_CODEX_BIN", self.codex.to_str().unwrap())
    }
}

/// Asserts that each of these was decided once in mediated mode, and nothing else was so much as
/// tried.
pub(crate) fn mediated_decided(world: &World, ids: &[&str]) {
    let kinds = ["tool_call.allow", "tool_call.deny", "tool_call.require"];
    world.each_decided_by(&kinds, ids);
}

/// The program behind npm's start script.
pub(crate) fn native(codex: &Path) -> PathBuf {
    let script = codex.canonicalize().unwrap();
    let package = script.ancestors().nth(2).unwrap();
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let beside = fs::read_dir(package.parent().unwrap()).unwrap().flatten();
    let programs = beside.map(|entry| entry.path().join("vendor").join(&triple).join("bin/codex"));
    let mut programs = programs.filter(|program| program.is_file());
    programs.next().unwrap_or(script)
}

/// The one rollout below a home of Codex.
pub(crate) fn rollout(home: &Path) -> PathBuf {
    let mut at = home.join("sessions");
    while at.is_dir() {
        at = fs::read_dir(&at).unwrap().next().unwrap().unwrap().path();
    }
    at
}

/// A configuration that names this model, with `more` in it.
pub(crate) fn config(model: &ResponsesDouble, more: &str) -> String {
    format!(
        "model = \"{MODEL}\"\nmodel_provider = \"double\"\n{more}\n\
         [model_providers.double]\nname = \"double\"\nbase_url = \"{}\"\n\
         wire_api = \"responses\"\nenv_key = \"DOUBLE_KEY\"\n",
        model.base_url()
    )
}
