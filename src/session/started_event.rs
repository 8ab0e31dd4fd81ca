//! The `session.started` event: under what a session is governed.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::contracts::ids::SessionId;
use crate::contracts::intendant::HarnessIdentity;
use crate::intendants::environment;
use crate::policy::Policy;

use super::kinds::{Harness, Mode};
use super::layout::Layout;
use super::options::SessionOptions;
use super::slack;

/// The payload of `session.started`, to which the confinement of agp's own threads is added.
pub(crate) fn payload(
    session: &SessionId,
    options: &SessionOptions,
    policy: &Policy,
    identity: &HarnessIdentity,
    particulars: Map<String, Value>,
    mut sandbox: Value,
    harness: Value,
) -> Map<String, Value> {
    match options.layout {
        Layout::ScriptRecorded
        | Layout::ScriptInProcess
        | Layout::ScriptInDocker
        | Layout::ClaudeHookInContainer => {}
        Layout::ClaudeHookOnHost(_) => sandbox = harness,
        Layout::ClaudeMediatedInProcess(_)
        | Layout::ClaudeMediatedInDocker(_)
        | Layout::CodexInProcess(_)
        | Layout::CodexInDocker(_)
        | Layout::CodexInOwnContainer => {
            if let Some(sandbox) = sandbox.as_object_mut() {
                sandbox.insert("harness".into(), harness);
            }
        }
    }
    let mut payload = Map::new();
    let mut put = |name: &str, value: Value| {
        payload.insert(name.to_owned(), value);
    };
    put("sessionId", json!(session.as_str()));
    put("agpVersion", json!(env!("CARGO_PKG_VERSION")));
    put("policySha256", json!(policy.digest().to_hex()));
    put("policyRules", json!(policy.len()));
    put(
        "harness",
        json!({
            "name": identity.name,
            "version": identity.version,
            "binarySha256": identity.binary_sha256,
        }),
    );
    put("intendant", Value::Object(particulars));
    put(
        "witness",
        json!(match (options.layout.harness(), options.witness) {
            // agp runs a script's calls itself.
            (None, _) => "agp",
            (Some(Harness::ClaudeCode), true) => "stream",
            (Some(Harness::Codex), true) => "rollout",
            (Some(Harness::ClaudeCode | Harness::Codex), false) => "none",
        }),
    );
    // Whose word the result of a call is.
    let results = match options.layout.mode() {
        Some(Mode::Hook) => "harness",
        None | Some(Mode::Mediated) => "agp",
    };
    put("results", json!(results));
    put("probed", json!(options.probe));
    let named = named_variables(options);
    if !named.is_empty() {
        put("harnessEnvironment", json!(named));
    }
    if !options.harness_args.is_empty() {
        put("harnessArguments", json!(options.harness_args));
    }
    put("sandbox", sandbox);
    options.way_out.describe(options.layout, &mut put);
    let channel = options.slack.as_ref().map_or("console", |_| "slack");
    put("channel", json!(channel));
    if !options.auto_approve {
        put(
            "attend",
            json!(if options.attend { "waits" } else { "open" }),
        );
    }
    if let Some(settings) = &options.slack {
        put("approvers", json!(settings.approvers));
        put("approvalsRequired", json!(settings.required));
        for (name, value) in slack::described(settings) {
            put(name, value);
        }
    }
    put("autoApprove", json!(options.auto_approve));
    put(
        "approvalSeconds",
        json!(options.approval_deadline.as_secs()),
    );
    put("repository", json!(shown(&options.repository)));
    put("task", json!(options.task));
    if options.task_command {
        put("taskCommand", json!(true));
    }
    payload
}

/// The variables that the harness has because they were named. Their names: a value may be a secret.
fn named_variables(options: &SessionOptions) -> Vec<&str> {
    let passed = environment::environment(&options.harness_env, &options.changeable());
    let named = options.harness_env.iter().map(String::as_str);
    named
        .filter(|name| passed.iter().any(|(passed, _)| passed == name))
        .collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
