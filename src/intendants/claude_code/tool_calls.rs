//! A call as Claude Code shows it and as it asks about it: what is the same, although it looks otherwise.
//! Measured for every tool that could be called on 2.1.330 and 2.1.332.

use serde_json::{Map, Value};

use super::OWN_TOOLS;

/// Names of one tool: shown so, and asked about so.
const ALIASES: [(&str, &str); 1] = [("Task", "Agent")];
/// Arguments whose path is made absolute, without white space around it, before the harness asks.
const PATHS: [&str; 2] = ["file_path", "notebook_path"];
/// The tools that drop an argument which they do not have, instead of refusing the call; and those that they have.
const DROPPING: [(&str, &[&str]); 6] = [
    (
        "Agent",
        &[
            "description",
            "effort",
            "isolation",
            "model",
            "prompt",
            "run_in_background",
            "subagent_type",
        ],
    ),
    ("Monitor", &["command", "description", "timeout_ms", "ws"]),
    (
        "SendMessage",
        &["message", "notify_when_idle", "summary", "to"],
    ),
    ("Skill", &["args", "skill"]),
    (
        "TaskCreate",
        &["activeForm", "description", "metadata", "subject"],
    ),
    ("ToolSearch", &["max_results", "query"]),
];
/// Arguments that a tool drops when they are empty.
const DROPPED_EMPTY: [(&str, &str); 1] = [("Read", "pages")];

/// A tool's name as the call that asks has it: agp's own without their server's.
pub(crate) fn name(tool: &str) -> &str {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == tool);
    let bare = tool.strip_prefix(OWN_TOOLS).unwrap_or(tool);
    alias.map_or(bare, |(_, asked)| asked)
}

/// Reads a call's arguments as the harness does before it asks. A relative path stays one: from which
/// directory it is read is not shown.
pub(crate) fn as_asked(tool: &str, input: &mut Map<String, Value>, home: Option<&str>) {
    for name in PATHS {
        let Some(Value::String(path)) = input.get_mut(name) else {
            continue;
        };
        let bare = path.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        *path = match (bare.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => bare.to_owned(),
        };
    }
    if let Some((_, known)) = DROPPING.iter().find(|(dropping, _)| *dropping == tool) {
        input.retain(|name, _| known.contains(&name.as_str()));
    }
    for (_, name) in DROPPED_EMPTY
        .iter()
        .filter(|(dropping, _)| *dropping == tool)
    {
        if input.get(*name).is_some_and(|value| value == "") {
            input.remove(*name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(tool: &str, input: &Value) -> Value {
        let mut input = input.as_object().unwrap().clone();
        as_asked(tool, &mut input, Some("/home/x"));
        json!(input)
    }

    #[test]
    fn a_path_is_read_as_the_harness_reads_it() {
        let path = |path: &str| read("Read", &json!({"file_path": path}))["file_path"].clone();
        assert_eq!(path(" ~/a\u{feff}\n"), "/home/x/a");
        assert_eq!(path("~a"), "~a");
        assert_eq!(path("a/~/b"), "a/~/b");
    }

    #[test]
    fn what_a_tool_drops_is_dropped_and_nothing_else() {
        let input = json!({"command": "x", "persistent": true});
        assert_eq!(read("Monitor", &input), json!({"command": "x"}));
        assert_eq!(read("Bash", &input), input);
        let pages = |pages: &str| json!({"file_path": "/a", "pages": pages});
        assert_eq!(read("Read", &pages("")), json!({"file_path": "/a"}));
        assert_eq!(read("Read", &pages("1")), pages("1"));
    }

    #[test]
    fn a_tool_has_the_name_that_asks() {
        assert_eq!(
            [name("Task"), name("mcp__agp__Read"), name("Bash")],
            ["Agent", "Read", "Bash"]
        );
    }
}
