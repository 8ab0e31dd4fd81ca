//! What Claude Code is told to leave out: whatever it would run by itself, with only another call decided, or
//! none.

use serde_json::{Map, Value, json};

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

/// Settings of hook mode, with these hooks.
pub(crate) fn hooked(hooks: &Value) -> Value {
    let mut settings = common();
    settings.insert("permissions".into(), json!({"deny": WITHHELD}));
    settings.insert("hooks".into(), hooks.clone());
    Value::Object(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_by_itself_is_left_out_in_both_modes() {
        let hooks = json!({"PreToolUse": []});
        for settings in [Value::Object(common()), hooked(&hooks)] {
            assert_eq!(settings["disableSkillShellExecution"], true);
            assert_eq!(settings["disableBundledSkills"], true);
            let plugins = settings["enabledPlugins"].as_object().unwrap();
            assert!(plugins.values().all(|on| *on == false));
            assert!(plugins.contains_key("cc-plugin-plugin-authoring@builtin"));
        }
        assert_eq!(hooked(&hooks)["hooks"], hooks);
    }
}
