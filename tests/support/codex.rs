//! A governed Codex for tests: an operator whose configuration names the model double.
#![allow(
    dead_code,
    clippy::unwrap_used,
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
        let codex = codex()?;
        let world = World::new();
        world.policy(rules);
        Some(Self { world, codex })
    }

    /// The operator's own home of Codex.
    pub(crate) fn operators(&self) -> PathBuf {
        self.world.root().join("home/.codex")
    }

    /// Has the operator's configuration name this model, with `more` behind it.
    pub(crate) fn configure(&self, model: &ResponsesDouble, more: &str) {
        let text = format!(
            "model = \"{MODEL}\"\nmodel_provider = \"double\"\n{more}\n\
             [model_providers.double]\nname = \"double\"\nbase_url = \"{}\"\n\
             wire_api = \"responses\"\nenv_key = \"DOUBLE_KEY\"\n",
            model.base_url()
        );
        fs::create_dir_all(self.operators()).unwrap();
        fs::write(self.operators().join("config.toml"), text).unwrap();
    }

    pub(crate) fn run_against(&self, model: &ResponsesDouble) -> Start {
        self.configure(model, "");
        self.start()
    }

    /// The same in the mode that is the default.
    pub(crate) fn default_mode(&self) -> Start {
        self.world
            .agp(&["run", "--intendant", "codex", "--no-probe", "--task", "go"])
            .arguments(&["--repo", self.world.repo().to_str().unwrap()])
            .env("DOUBLE_KEY", "x")
            .env("AGP_CODEX_BIN", self.codex.to_str().unwrap())
    }

    /// Starts it with the configuration that is there.
    pub(crate) fn start(&self) -> Start {
        start(&self.world, &self.codex)
    }
}

fn start(world: &World, codex: &Path) -> Start {
    world
        .agp(&[
            "run",
            "--intendant",
            "codex",
            "--mode",
            "hook",
            "--no-probe",
            "--task",
            "go",
        ])
        .arguments(&["--repo", world.repo().to_str().unwrap()])
        .env("DOUBLE_KEY", "x")
        .env("AGP_CODEX_BIN", codex.to_str().unwrap())
}
