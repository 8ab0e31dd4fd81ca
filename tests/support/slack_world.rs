//! A world whose approvals are asked in Slack, and the people who click there.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support: each test crate uses a part of it, and whatever fails here fails the test"
)]

use serde_json::json;

use super::session::{Start, World};
use super::slack::{APP_TOKEN, BOT_TOKEN, Button, CHANNEL, Click, SlackDouble};

pub(crate) const ALICE: &str = "U0ALICE";
pub(crate) const BOB: &str = "U0BOB";
pub(crate) const STRANGER: &str = "U0STRANGER";

pub(crate) fn button(double: &SlackDouble, at: usize, action: &str) -> Button {
    double.card(at).button(action).unwrap()
}

pub(crate) fn allow(double: &SlackDouble, at: usize, user: &str) -> Click {
    Click::of(&button(double, at, "allow"), user)
}

pub(crate) fn deny(double: &SlackDouble, at: usize, user: &str) -> Click {
    Click::of(&button(double, at, "deny"), user)
}

/// A world whose approvals are asked in Slack.
pub(crate) struct Governed {
    pub(crate) world: World,
    pub(crate) double: SlackDouble,
}

impl Governed {
    pub(crate) fn by(double: SlackDouble, rules: &[(&str, &str)]) -> Self {
        let world = World::new();
        world.policy(rules);
        let config = json!({"slack": {"channel": CHANNEL, "approvers": [ALICE, BOB]}});
        std::fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
        Self { world, double }
    }

    pub(crate) fn agp(&self, arguments: &[&str]) -> Start {
        let agp = self.world.agp(arguments);
        agp.env("AGP_CHANNEL", "slack")
            .env("AGP_SLACK_API_URL", &self.double.url())
            .env("AGP_SLACK_BOT_TOKEN", BOT_TOKEN)
            .env("AGP_SLACK_APP_TOKEN", APP_TOKEN)
    }

    pub(crate) fn play(&self, commands: &[&str], arguments: &[&str]) -> Start {
        let line =
            |command: &&str| json!({"tool": "Bash", "args": {"command": command}}).to_string();
        let script: Vec<String> = commands.iter().map(line).collect();
        self.world.put("calls.jsonl", &script.join("\n"));
        let run = ["run", "--script", "calls.jsonl", "--sandbox", "recording"];
        self.agp(&run).arguments(arguments)
    }
}
