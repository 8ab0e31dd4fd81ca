//! `permissions` of Claude Code's `settings.json`: `allow`, `ask`, `deny`, each a list of `Tool` or `Tool(specifier)`.

use serde_json::Value;

use super::{ImportError, Imported, of_tool, when};
use crate::contracts::strict_json;

/// Lists of permissions with the effect that each has here. Claude Code evaluates deny, ask, allow: the same order.
const LISTS: [(&str, &str); 3] = [("deny", "deny"), ("ask", "require"), ("allow", "allow")];

/// Tools whose specifier is a path that they read.
const READERS: [&str; 4] = ["Read", "Glob", "Grep", "LS"];
/// Tools whose specifier is a path that they write.
const WRITERS: [&str; 4] = ["Edit", "Write", "MultiEdit", "NotebookEdit"];

pub(super) fn import(text: &str) -> Result<Imported, ImportError> {
    let settings = strict_json::from_slice(text.as_bytes()).map_err(ImportError::Json)?;
    let permissions = settings.get("permissions").and_then(Value::as_object);
    let permissions = permissions.ok_or(ImportError::NoPermissions)?;
    let mut imported = Imported::default();
    for (list, effect) in LISTS {
        match permissions.get(list) {
            None => {}
            Some(Value::Array(entries)) => {
                for entry in entries {
                    match entry.as_str() {
                        Some(entry) => permission(&mut imported, effect, entry),
                        None => imported.left_out(&entry.to_string(), "not a string"),
                    }
                }
            }
            Some(_) => imported.left_out(list, "not a list"),
        }
    }
    let others = permissions
        .iter()
        .filter(|(name, _)| LISTS.iter().all(|(list, _)| list != name));
    for (name, value) in others {
        let why = match name.as_str() {
            "defaultMode" => "agp decides every call; \"otherwise\" is deny or require",
            "additionalDirectories" => "start the session with --allow-read or --allow-write",
            _ => "no counterpart",
        };
        imported.left_out(&format!("{name} {value}"), why);
    }
    Ok(imported)
}

fn permission(imported: &mut Imported, effect: &str, entry: &str) {
    let trimmed = entry.trim();
    let (tool, specifier) = match trimmed.split_once('(') {
        None => (trimmed, None),
        Some((tool, rest)) => match rest.strip_suffix(')') {
            Some(specifier) => (tool.trim_end(), Some(specifier.trim())),
            None => return imported.left_out(entry, "the parenthesis is not closed"),
        },
    };
    let named = !tool.is_empty()
        && tool
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-*".contains(c));
    if !named {
        return imported.left_out(entry, "not a tool's name");
    }
    let Some(specifier) = specifier.filter(|text| !["", "*", ":*"].contains(text)) else {
        // The tools of a server by its name alone.
        let server = tool
            .strip_prefix("mcp__")
            .is_some_and(|rest| !rest.contains("__"));
        let tool = if server {
            format!("{tool}__*")
        } else {
            tool.to_owned()
        };
        return imported.rule(entry, &tool, effect, of_tool(&tool));
    };
    if specifier.chars().any(char::is_control) {
        return imported.left_out(entry, "it has a control character");
    }
    if tool == "Bash" {
        bash(imported, effect, entry, specifier);
    } else if READERS.contains(&tool) {
        path(imported, effect, entry, "read", specifier);
    } else if WRITERS.contains(&tool) {
        path(imported, effect, entry, "write", specifier);
    } else if let ("WebFetch", Some(host)) = (tool, specifier.strip_prefix("domain:")) {
        let host = host.trim().to_ascii_lowercase();
        if host.is_empty()
            || !host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-*".contains(c))
        {
            return imported.left_out(entry, "not a host's name");
        }
        imported.rule(
            entry,
            &format!("host {host}"),
            effect,
            when(None, "host", &[host]),
        );
    } else if let "Agent" | "Task" = tool {
        imported.left_out(entry, "rules do not tell agents apart; name the tool alone");
    } else {
        imported.left_out(
            entry,
            "this tool has no specifier here; use \"args\" in \"when\"",
        );
    }
}

/// `npm run test:*` and `npm run test *` are a prefix, anything else the whole command.
fn bash(imported: &mut Imported, effect: &str, entry: &str, specifier: &str) {
    let pattern = match specifier.strip_suffix(":*") {
        Some(prefix) => format!("{} *", prefix.trim_end()),
        None => specifier.to_owned(),
    };
    let rest = when(None, "command", std::slice::from_ref(&pattern));
    imported.rule(entry, &pattern, effect, rest);
}

/// Claude Code: `//path` is absolute, `~/path` the home's, `/path` the settings file's directory, else the current one.
fn path(imported: &mut Imported, effect: &str, entry: &str, key: &str, specifier: &str) {
    let pattern = if let Some(absolute) = specifier.strip_prefix("//") {
        format!("/{absolute}")
    } else if let Some(below) = specifier
        .strip_prefix("./")
        .or_else(|| specifier.strip_prefix('/'))
    {
        format!("${{repo}}/{below}")
    } else {
        specifier.to_owned()
    };
    let pattern = pattern
        .strip_suffix('/')
        .map_or(pattern.clone(), |directory| format!("{directory}/**"));
    let rest = when(None, key, std::slice::from_ref(&pattern));
    imported.rule(entry, &format!("{key} {pattern}"), effect, rest);
}
