//! What a hook's input says of a call beside its arguments: where it runs, and which agent makes it. What
//! the decision depends on becomes an argument of the question, under a name of agp's own.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::contracts::bounded_file;
use crate::contracts::call::{ADDED, WITHIN_AGENT, WORKDIR};
use crate::contracts::limits;

use super::hook_error::InputError;

/// The tool that starts an agent.
const AGENT_TOOL: &str = "Agent";
/// The type of the agents that a workflow starts.
const WORKFLOW_AGENT: &str = "workflow-subagent";
/// The deepest agents whose calls the harness's stream shows.
const DEPTH_SHOWN: u64 = 1;
/// Arguments that the harness has made absolute before it asks: where such a call runs changes nothing.
const ABSOLUTE: [&str; 2] = ["file_path", "notebook_path"];

/// Adds to a question's arguments what `fields` says of the call. `usual` is where the session's commands
/// run, as the kernel names it; without it no directory is named.
pub(crate) fn add(
    args: &mut Map<String, Value>,
    fields: &Map<String, Value>,
    tool: &str,
    usual: Option<&Path>,
) -> Result<(), InputError> {
    if let Some(reserved) = ADDED.iter().find(|name| args.contains_key(**name)) {
        return Err(InputError::Reserved(reserved));
    }
    if let Some(agent) = within_agent(fields, tool) {
        args.insert(WITHIN_AGENT.into(), agent.into());
    }
    let Some(usual) = usual.filter(|_| !names_place(args)) else {
        return Ok(());
    };
    let directory = text(fields, "cwd").ok_or(InputError::NoDirectory)?;
    if Path::new(directory) != usual {
        args.insert(WORKDIR.into(), directory.into());
    }
    Ok(())
}

fn names_place(args: &Map<String, Value>) -> bool {
    ABSOLUTE
        .iter()
        .any(|name| text(args, name).is_some_and(|path| path.starts_with('/')))
}

/// The agent that makes the call, where its calls, or those of an agent that it starts, are in no stream.
fn within_agent<'a>(fields: &'a Map<String, Value>, tool: &str) -> Option<&'a str> {
    let agent = text(fields, "agent_id")?;
    let unseen = tool == AGENT_TOOL
        || text(fields, "agent_type") == Some(WORKFLOW_AGENT)
        || depth(fields, agent).is_some_and(|depth| depth > DEPTH_SHOWN);
    unseen.then_some(agent)
}

/// How many agents are above this one and itself, as the harness notes it beside the agent's transcript.
fn depth(fields: &Map<String, Value>, agent: &str) -> Option<u64> {
    let transcript = Path::new(text(fields, "transcript_path")?).with_extension("");
    let named = format!("agent-{agent}.meta.json");
    // An id with a slash in it leads nowhere.
    let path: PathBuf = transcript.join("subagents").join(&named);
    let path = (path.file_name()?.to_str()? == named).then_some(path)?;
    let meta = bounded_file::read(&path, limits::AGENT_META_BYTES).ok()?;
    let meta: Value = serde_json::from_slice(&meta).ok()?;
    meta.get("spawnDepth")?.as_u64()
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn added(tool: &str, args: Value, fields: Value) -> Result<Map<String, Value>, InputError> {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        let mut args = map(args);
        let usual = Some(Path::new("/repo"));
        add(&mut args, &map(fields), tool, usual).map(|()| args)
    }

    #[test]
    fn where_a_call_runs_is_an_argument_unless_it_is_the_usual_place() {
        let command = || json!({"command": "sh build.sh"});
        for (tool, args) in [
            ("Bash", command()),
            ("Monitor", command()),
            ("Glob", json!({"pattern": "*"})),
        ] {
            let here = added(tool, args.clone(), json!({"cwd": "/repo"})).unwrap();
            assert_eq!(json!(here), args);
            let there = added(tool, args, json!({"cwd": "/repo/vendor"})).unwrap();
            assert_eq!(there[WORKDIR], "/repo/vendor");
        }
        let read = json!({"file_path": "/repo/a"});
        let there = added("Read", read.clone(), json!({"cwd": "/repo/vendor"})).unwrap();
        assert_eq!(json!(there), read, "its path says where");
        let relative = json!({"file_path": "a"});
        let there = added("Read", relative, json!({"cwd": "/repo/vendor"})).unwrap();
        assert_eq!(there[WORKDIR], "/repo/vendor");
        for own in ["workdir", "withinAgent", "leadsTo"] {
            let args = json!({own: "/repo"});
            assert!(added("Bash", args, json!({"cwd": "/repo"})).is_err());
        }
        assert!(added("Bash", command(), json!({})).is_err());
    }

    #[test]
    fn an_agent_within_an_agent_is_named() {
        let directory = std::env::temp_dir().join(format!("agp-beside-{}", std::process::id()));
        let agents = directory.join("s/subagents");
        std::fs::create_dir_all(&agents).unwrap();
        for (agent, depth) in [("one", 1), ("two", 2)] {
            let meta = json!({"spawnDepth": depth}).to_string();
            std::fs::write(agents.join(format!("agent-{agent}.meta.json")), meta).unwrap();
        }
        let transcript = directory.join("s.jsonl");
        let named = |tool: &str, agent: Value, kind: &str| {
            let fields = json!({
                "cwd": "/repo", "agent_id": agent, "agent_type": kind, "transcript_path": transcript,
            });
            added(tool, json!({}), fields)
                .unwrap()
                .get(WITHIN_AGENT)
                .cloned()
        };
        assert_eq!(named("Agent", json!("one"), "x"), Some(json!("one")));
        assert_eq!(named("Agent", Value::Null, "x"), None);
        assert_eq!(named("Bash", json!("one"), "x"), None);
        assert_eq!(named("Bash", json!("two"), "x"), Some(json!("two")));
        assert_eq!(named("Bash", json!("../subagents/two"), "x"), None);
        assert_eq!(named("Bash", json!("unknown"), "x"), None);
        let workflow = named("Bash", json!("one"), WORKFLOW_AGENT);
        assert_eq!(workflow, Some(json!("one")));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
