//! The tools that agp offers in mediated mode: names and arguments as models know them.

use serde_json::{Value, json};

/// Names of the tools offered.
pub(crate) const NAMES: [&str; 7] = ["Bash", "Read", "Write", "Edit", "MultiEdit", "Glob", "Grep"];

/// Whether a tool is one of agp's.
#[must_use]
pub(crate) fn is_offered(tool: &str) -> bool {
    NAMES.contains(&tool)
}

/// The tools as `tools/list` shows them, in the order of [`NAMES`].
#[must_use]
pub(crate) fn tools() -> Vec<Value> {
    vec![
        tool(
            "Bash",
            "Runs a shell command in the session's sandbox, from the repository's root, and gives \
             what it printed. Each command has a shell of its own: a cd or a variable does not last. \
             Prefer Read, Edit, Write, Glob and Grep where they do.",
            &["command"],
            &json!({
                "command": text("The command"),
                "timeout": number("Milliseconds after which it is ended (default 120000, at most 600000)"),
                "description": text("What it does, in a few words"),
                "run_in_background": {"type": "boolean", "description": "Not possible here: every command is waited for"},
            }),
        ),
        tool(
            "Read",
            "Shows a text file's lines, numbered as by cat -n; 2000 from its beginning unless told otherwise.",
            &["file_path"],
            &json!({
                "file_path": text("Absolute path of the file"),
                "offset": number("Line to begin at"),
                "limit": number("How many lines"),
            }),
        ),
        tool(
            "Write",
            "Writes a file, in place of what is there. To change a part of one, use Edit.",
            &["file_path", "content"],
            &json!({
                "file_path": text("Absolute path of the file"),
                "content": text("Its whole content"),
            }),
        ),
        tool(
            "Edit",
            "Replaces a string in a file. It must stand there exactly, and once unless replace_all is set; \
             the line numbers of Read do not belong to it.",
            &["file_path", "old_string", "new_string"],
            &edit(json!({"file_path": text("Absolute path of the file")})),
        ),
        tool(
            "MultiEdit",
            "Replaces several strings in a file, one after the other: all of them or none.",
            &["file_path", "edits"],
            &json!({
                "file_path": text("Absolute path of the file"),
                "edits": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": edit(json!({})),
                        "required": ["old_string", "new_string"],
                        "additionalProperties": false,
                    },
                },
            }),
        ),
        tool(
            "Glob",
            "Finds files by a pattern of their path such as **/*.rs, the last changed first. \
             What .gitignore names is left out.",
            &["pattern"],
            &json!({
                "pattern": text("The pattern"),
                "path": text("Directory to search, the repository by default"),
            }),
        ),
        tool(
            "Grep",
            "Searches files for a regular expression (Rust's syntax). What .gitignore names is left out.",
            &["pattern"],
            &json!({
                "pattern": text("The regular expression"),
                "path": text("File or directory to search, the repository by default"),
                "glob": text("Only files that match, such as *.ts"),
                "type": text("Only files of this type, such as rust or py"),
                "output_mode": {
                    "type": "string",
                    "enum": ["content", "files_with_matches", "count"],
                    "description": "Lines, names of files (default), or counts",
                },
                "-A": number("Lines after each match, with content"),
                "-B": number("Lines before each match, with content"),
                "-C": number("Lines around each match, with content"),
                "-n": {"type": "boolean", "description": "Line numbers, with content (default true)"},
                "-i": {"type": "boolean", "description": "Upper and lower case are alike"},
                "multiline": {"type": "boolean", "description": "A dot matches line ends, too"},
                "head_limit": number("Lines or files shown (default 250, 0 for all)"),
                "offset": number("Lines or files left out before those"),
            }),
        ),
    ]
}

/// Tools that change nothing: harnesses make calls of such at once, as of their own.
const READING: [&str; 3] = ["Read", "Glob", "Grep"];

fn tool(name: &str, description: &str, required: &[&str], properties: &Value) -> Value {
    json!({
        "name": name,
        "description": description,
        "annotations": {"readOnlyHint": READING.contains(&name)},
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        },
    })
}

fn edit(mut properties: Value) -> Value {
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("old_string".into(), text("The text to replace"));
        properties.insert("new_string".into(), text("What stands there then"));
        properties.insert(
            "replace_all".into(),
            json!({"type": "boolean", "description": "Everywhere, not only once (default false)"}),
        );
    }
    properties
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn number(description: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": description})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_what_is_offered() {
        let listed = tools();
        let names: Vec<&str> = listed
            .iter()
            .filter_map(|tool| tool["name"].as_str())
            .collect();
        assert_eq!(names, NAMES);
    }
}
