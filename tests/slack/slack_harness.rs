//! The real harnesses wait, each in its mode, while a person clicks in Slack. Over real TLS, with an authority of
//! the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{codex, governed, model, responses, session, slack, slack_world};

use std::fs;
use std::path::Path;

use model::ModelDouble;
use responses::ResponsesDouble;
use serde_json::{Value, json};
use session::{Start, World, claude};
use slack::SlackDouble;
use slack_world::{ALICE, BOB, Governed, allow, deny};

/// The yes to the first call and the no to the second, and what must have come of them.
fn decided_in_slack(governed: &Governed, start: Start) {
    let (world, double) = (&governed.world, &governed.double);
    let live = start.start();
    let yes = allow(double, 0, ALICE);
    assert_eq!(world.get("made"), None, "it waits");
    double.click(&yes);
    let no = deny(double, 1, BOB);
    assert!(world.get("made").is_some());
    double.click(&no);
    live.finish().succeeded();
    assert_eq!(world.get("not-made"), None);
    let said = |kind: &str, id: &str, who: &str| {
        let event = world.event(kind);
        assert_eq!(event["payload"]["messageId"], id);
        assert_eq!(event["on_behalf_of"], who);
        assert_eq!(event["approval_binding_type"], "slack-nonce");
    };
    said("approval.granted", "call-yes", "alice (slack U0ALICE)");
    said("approval.denied", "call-no", "bob (slack U0BOB)");
    let started = world.event("session.started");
    assert_eq!(started["payload"]["channel"], "slack");
    let closed = double.closed_card(0).text();
    assert!(closed.contains("by alice (slack U0ALICE)"), "{closed}");
    world.verifies();
}

fn kinds(world: &World) -> [Vec<String>; 2] {
    ["call-yes", "call-no"].map(|id| world.kinds_of(id))
}

const HOOK: [&[&str]; 2] = [
    &[
        "tool_call.require",
        "approval.granted",
        "gate.allow",
        "tool_call.result",
    ],
    &["tool_call.require", "approval.denied", "gate.deny"],
];
const MEDIATED: [&[&str]; 2] = [
    &[
        "tool_call.require",
        "approval.granted",
        "tool_call.executed",
    ],
    &["tool_call.require", "approval.denied"],
];

fn with_claude(governed: &Governed, claude: &Path, model: &ModelDouble, mode: &str) -> Start {
    governed
        .agp(&[
            "run",
            "--intendant",
            "claude-code",
            "--mode",
            mode,
            "--no-probe",
        ])
        .arguments(&[
            "--task",
            "go",
            "--repo",
            governed.world.repo().to_str().unwrap(),
        ])
        .env("ANTHROPIC_BASE_URL", &model.base_url())
        .env("ANTHROPIC_API_KEY", "x")
        .env("AGP_CLAUDE_BIN", claude.to_str().unwrap())
}

#[test]
fn claude_code_waits_in_its_hook_over_real_tls() {
    let Some(claude) = claude() else {
        return;
    };
    let (double, root) = SlackDouble::start_tls();
    let governed = Governed::by(double, &[("require", "Bash")]);
    let file = governed.world.root().join("root.pem");
    fs::write(&file, root).unwrap();
    let model = governed::turns(vec![
        vec![governed::bash("call-yes", "touch made")],
        vec![governed::bash("call-no", "touch not-made")],
    ]);
    let start = with_claude(&governed, &claude, &model, "hook");
    decided_in_slack(
        &governed,
        start.env("SSL_CERT_FILE", file.to_str().unwrap()),
    );
    assert_eq!(kinds(&governed.world), HOOK);
    let refused = model.result_of("call-no").unwrap();
    assert!(
        refused.is_error && refused.text.contains(BOB),
        "{}",
        refused.text
    );
}

#[test]
fn claude_code_waits_for_agps_own_tool() {
    let Some(claude) = claude() else {
        return;
    };
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let model = governed::turns(vec![
        vec![governed::mediated::bash("call-yes", "touch made")],
        vec![governed::mediated::bash("call-no", "touch not-made")],
    ]);
    decided_in_slack(
        &governed,
        with_claude(&governed, &claude, &model, "mediated"),
    );
    assert_eq!(kinds(&governed.world), MEDIATED);
    let refused = model.result_of("call-no").unwrap();
    assert!(
        refused.is_error && refused.text.contains(BOB),
        "{}",
        refused.text
    );
}

fn with_codex(governed: &Governed, codex: &Path, model: &ResponsesDouble) -> Start {
    let operators = governed.world.root().join("home/.codex");
    fs::create_dir_all(&operators).unwrap();
    fs::write(operators.join("config.toml"), codex::config(model, "")).unwrap();
    governed
        .agp(&["run", "--intendant", "codex", "--no-probe", "--task", "go"])
        .arguments(&["--repo", governed.world.repo().to_str().unwrap()])
        .env("DOUBLE_KEY", "x")
        .env("AGP_CODEX_BIN", codex.to_str().unwrap())
}

#[test]
fn codex_waits_for_agps_own_tool() {
    let Some(codex) = session::codex() else {
        return;
    };
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let bash = |id: &str, command: &str| {
        responses::Call::mediated(id, "Bash", &json!({ "command": command }))
    };
    let model = ResponsesDouble::start(vec![
        vec![bash("call-yes", "touch made")],
        vec![bash("call-no", "touch not-made")],
    ]);
    decided_in_slack(&governed, with_codex(&governed, &codex, &model));
    assert_eq!(kinds(&governed.world), MEDIATED);
    assert!(model.result_of("call-no").unwrap().contains(BOB));
}

/// Values that only a look at the whole journal could find.
#[test]
fn no_token_reaches_the_harness_or_the_journal() {
    let Some(claude) = claude() else {
        return;
    };
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let model = governed::turns(vec![vec![governed::bash(
        "call-yes",
        "env | sort > environment",
    )]]);
    let start = with_claude(&governed, &claude, &model, "hook");
    let live = start.start();
    governed.double.click(&allow(&governed.double, 0, ALICE));
    let ran = live.finish().succeeded();
    let environment = governed.world.get("environment").unwrap();
    assert!(environment.contains("PATH="));
    let journal: Vec<Value> = governed.world.journal();
    let journal = json!(journal).to_string();
    for token in [slack::BOT_TOKEN, slack::APP_TOKEN] {
        for text in [&environment, &journal, &ran.out, &ran.err] {
            assert!(!text.contains(token));
        }
    }
    assert!(!environment.contains("AGP_SLACK"));
}
