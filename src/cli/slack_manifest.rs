//! `agp slack manifest`: what Slack's page "Create an app from a manifest" takes.

use argh::FromArgs;

use crate::report::failure::{Outcome, try_say};

/// What Slack's page "Create an app from a manifest" takes.
const MANIFEST: &str = include_str!("slack_manifest.json");

/// Set up approvals in Slack.
#[derive(FromArgs)]
#[argh(subcommand, name = "slack")]
pub(super) struct Slack {
    #[argh(subcommand)]
    what: What,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum What {
    Manifest(Manifest),
}

/// Print the app manifest to paste into Slack.
#[derive(FromArgs)]
#[argh(subcommand, name = "manifest")]
struct Manifest {}

pub(super) fn slack(command: &Slack) -> Outcome {
    match command.what {
        What::Manifest(_) => {
            try_say(MANIFEST.trim_end());
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_manifest_asks_for_what_the_check_looks_for() {
        let manifest: Value = serde_json::from_str(MANIFEST).unwrap();
        let scopes = &manifest["oauth_config"]["scopes"]["bot"];
        for scope in ["chat:write", "channels:read", "groups:read", "users:read"] {
            assert!(
                scopes.as_array().unwrap().contains(&json!(scope)),
                "{scope}"
            );
        }
        assert_eq!(manifest["settings"]["socket_mode_enabled"], true);
        assert_eq!(manifest["settings"]["interactivity"]["is_enabled"], true);
    }
}
