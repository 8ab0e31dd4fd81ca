//! `agp policy schema`: what editors check a policy or a configuration by while it is written.

use argh::FromArgs;

use crate::report::failure::{Failure, Outcome, try_say};

/// Print the JSON Schema of policy.json, or of config.json.
#[derive(FromArgs)]
#[argh(subcommand, name = "schema")]
pub(super) struct Schema {
    /// policy (the default) or config
    #[argh(positional)]
    of: Option<String>,
}

const POLICY: &str = include_str!("policy.schema.json");
const CONFIG: &str = include_str!("config.schema.json");

pub(super) fn schema(command: &Schema) -> Outcome {
    let text = match command.of.as_deref() {
        None | Some("policy") => POLICY,
        Some("config") => CONFIG,
        Some(other) => {
            return Err(Failure::usage(
                format!("no schema of {other:?}"),
                "agp policy schema policy|config",
            ));
        }
    };
    try_say(text.trim_end());
    Ok(0)
}
