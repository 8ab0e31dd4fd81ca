//! What Claude Code is told to leave out: whatever it would run by itself, with only another call decided, or
//! none.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::jail::spec::{HARNESS_HOME, HARNESS_LOGIN};

/// Plugins that come with it. They start servers whose tools ask no hook, and read further files.
const PLUGINS: [&str; 14] = [
    "agents-md",
    "diff",
    "easel",
    "hipaa-default",
    "mermaid",
    "mods-guide",
    "plugin-authoring",
    "privacy",
    "promos",
    "responsive-mode",
    "sec-default",
    "telemetry",
    "tips",
    "you-should-know",
];

/// Tools of its own that are not offered in hook mode.
const WITHHELD: [&str; 5] = [
    // Its agents' calls are in no stream, so that nobody could tell whether they were decided.
    "Workflow",
    // It runs git in the repository by itself, and with it what the repository's configuration names.
    "EnterWorktree",
    // They say that a prompt comes later. None does: scheduled tasks are off (`CLAUDE_CODE_DISABLE_CRON`).
    "ScheduleWakeup",
    "CronCreate",
    // In this mode no server is agp's, and the tools of others may ask no hook.
    "mcp__*",
];

/// Settings of both modes.
pub(crate) fn common() -> Map<String, Value> {
    let plugins = PLUGINS.map(|name| (format!("cc-plugin-{name}@builtin"), Value::Bool(false)));
    Map::from_iter([
        // A skill's text can name commands that run when it is read.
        ("disableSkillShellExecution".to_owned(), json!(true)),
        ("disableBundledSkills".to_owned(), json!(true)),
        (
            "enabledPlugins".to_owned(),
            Value::Object(plugins.into_iter().collect()),
        ),
    ])
}

/// What its own tools neither read nor change of the directory that the gate stands in: its login and a key of the
/// Console, and what tells how the gate is spoken to. The hook sees where a path leads, but a link can be exchanged
/// before the tool opens it; Claude Code holds what it opens to these rules, and to where the path led when it
/// looked.
fn kept_apart(gate: &Path) -> impl Iterator<Item = String> {
    let parts = [
        format!("{HARNESS_LOGIN}/**"),
        format!("{HARNESS_HOME}/.claude.json*"),
        format!("{HARNESS_HOME}/backups/**"),
        "settings.json".to_owned(),
        "mcp.json".to_owned(),
    ];
    let gate = gate.display().to_string();
    let rules = parts.map(|part| ["Read", "Edit"].map(|tool| format!("{tool}(/{gate}/{part})")));
    rules.into_iter().flatten()
}

/// Settings of hook mode, with these hooks, where the gate stands in this directory.
pub(crate) fn hooked(hooks: &Value, gate: &Path) -> Value {
    let mut settings = common();
    let withheld = WITHHELD.into_iter().map(str::to_owned);
    let denied: Vec<String> = withheld.chain(kept_apart(gate)).collect();
    settings.insert("permissions".into(), json!({"deny": denied}));
    settings.insert("hooks".into(), hooks.clone());
    Value::Object(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_by_itself_is_left_out_in_both_modes() {
        let hooks = json!({"PreToolUse": []});
        let gate = Path::new("/run/agp");
        for settings in [Value::Object(common()), hooked(&hooks, gate)] {
            assert_eq!(settings["disableSkillShellExecution"], true);
            assert_eq!(settings["disableBundledSkills"], true);
            let plugins = settings["enabledPlugins"].as_object().unwrap();
            assert!(plugins.values().all(|on| *on == false));
            assert!(plugins.contains_key("cc-plugin-plugin-authoring@builtin"));
        }
        let settings = hooked(&hooks, gate);
        assert_eq!(settings["hooks"], hooks);
        let denied = settings["permissions"]["deny"].as_array().unwrap();
        for rule in [
            "Read(//run/agp/harness-login/**)",
            "Edit(//run/agp/harness-home/.claude.json*)",
        ] {
            assert!(denied.contains(&json!(rule)), "{denied:?}");
        }
    }
}
