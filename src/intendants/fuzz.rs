//! What must hold of what a harness prints, writes down and is configured with.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use std::path::Path;

use serde_json::Value;
use toml::Table;

use crate::contracts::intendant::Observation;
use crate::contracts::{limits, strict_json};

use super::claude_code::stream_json;
use super::codex::config_toml::{self, CARRIED, CARRIED_OF_A_PROVIDER, Config, PROVIDERS, Server};
use super::codex::exec_json;
use super::codex::rollout::Rollout;
use super::json_lines::{Bounds, JsonLine, marker};
use super::{probe_model_server, scripted};

/// No result hides: every one that a line holds is told of, and a line that cannot be read is told
/// to be one.
pub(crate) fn claude_stream(data: &[u8]) {
    let line: Vec<u8> = data.iter().copied().filter(|byte| *byte != b'\n').collect();
    let seen = stream_json::observations(&line);
    let Ok(value) = serde_json::from_slice::<Value>(&line) else {
        // Half a surrogate pair is mended, what is nested too deep left out, and both read; all else
        // cannot be.
        let unreadable = matches!(seen[..], [Observation::Unreadable(_)]);
        let mended = String::from_utf8_lossy(&line).contains("\\u");
        let pruned = strict_json::pruned(&line, limits::JSON_DEPTH) != line;
        assert!(unreadable || mended || pruned);
        return;
    };
    let results = |value: &Value| {
        let parts = value.pointer("/message/content").and_then(Value::as_array);
        let kind = |part: &&Value| part.get("type").is_some_and(|kind| kind == "tool_result");
        parts.into_iter().flatten().filter(kind).count()
    };
    let returned = seen
        .iter()
        .filter(|seen| matches!(seen, Observation::Returned { .. }));
    let user = value.get("type").is_some_and(|kind| kind == "user");
    assert_eq!(returned.count(), if user { results(&value) } else { 0 });
}

/// Bounds that small inputs reach.
const SHORT: Bounds = Bounds {
    read: 1 << 20,
    kept: 1 << 20,
    string: 12,
    beginning: 5,
};

/// A line is cut alike wherever its blocks end, into what can be read as the same but for the ends of its
/// long strings.
pub(crate) fn stream_line(data: &[u8]) {
    let shortened = |block: usize| {
        let mut line = JsonLine::new(SHORT);
        data.chunks(block).for_each(|part| line.push(part));
        line.whole().expect("it is short").to_vec()
    };
    let cut = shortened(data.len().max(1));
    for block in [1, 2, 3, 7] {
        assert_eq!(shortened(block), cut);
    }
    let Ok(whole) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let cut = serde_json::from_slice(&cut).expect("what can be read still can");
    assert!(is_cut(&whole, &cut), "{whole} became {cut}");
}

/// Whether the second value is the first with some of its long strings cut.
fn is_cut(whole: &Value, cut: &Value) -> bool {
    match (whole, cut) {
        (Value::String(whole), Value::String(cut)) => {
            let begins = |at: &usize| {
                let beginning = whole.get(..*at);
                beginning.is_some_and(|beginning| cut.starts_with(beginning))
            };
            let marked = (0..=SHORT.beginning).filter(begins).any(|at| {
                let behind = &cut[at..];
                let missing = behind.split(' ').nth(3).and_then(|word| word.parse().ok());
                missing.is_some_and(|missing| behind == marker(missing))
            });
            // A character is written in six bytes at most, and a pair in twelve.
            let long = whole.len() * 6 > SHORT.string;
            whole == cut || long && marked
        }
        (Value::Array(whole), Value::Array(cut)) => {
            whole.len() == cut.len() && whole.iter().zip(cut).all(|(whole, cut)| is_cut(whole, cut))
        }
        // A name is a string as well, and two that were cut can be the same.
        (Value::Object(whole), Value::Object(_)) if whole.keys().any(|name| name.len() > 2) => true,
        (Value::Object(whole), Value::Object(cut)) => {
            whole.len() == cut.len()
                && whole
                    .iter()
                    .all(|(name, whole)| cut.get(name).is_some_and(|cut| is_cut(whole, cut)))
        }
        _ => whole == cut,
    }
}

/// A line is shown as it came, and told of once.
pub(crate) fn codex_stream(data: &[u8]) {
    let seen = exec_json::observations(Some(data));
    assert!((1..=2).contains(&seen.len()));
    let raw = String::from_utf8_lossy(data).into_owned();
    assert_eq!(seen.first(), Some(&Observation::Raw(raw)));
    let of_call = |seen: &Observation| {
        matches!(
            seen,
            Observation::Attempted { .. } | Observation::Returned { .. }
        )
    };
    assert!(
        !seen.iter().any(of_call),
        "the rollout tells of calls, this does not"
    );
}

/// Nothing of a rollout goes by unseen: a line that cannot be read is told, a call's item that was
/// announced by nobody is a call that ran.
pub(crate) fn codex_rollout(data: &[u8]) {
    let mut rollout = Rollout::default();
    let mut attempted = std::collections::HashSet::new();
    for line in data.split(|byte| *byte == b'\n') {
        let seen = rollout.line(Some(line));
        for seen in &seen {
            if let Observation::Attempted { id, .. } = seen {
                attempted.insert(id.clone());
            }
        }
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            assert!(matches!(seen[..], [Observation::Unreadable(_)]));
            continue;
        };
        let is = |pointer: &str, text: &str| value.pointer(pointer).is_some_and(|v| v == text);
        let id = value.pointer("/payload/item/id").and_then(Value::as_str);
        if let Some(id) = id
            && is("/type", "event_msg")
            && is("/payload/type", "item_completed")
            && is("/payload/item/type", "CommandExecution")
            && !is("/payload/item/status", "declined")
        {
            assert!(attempted.contains(id), "{id} ran, and nobody was told");
        }
    }
}

/// Of an operator's configuration nothing is carried that is not on the list, and agp's own stands
/// above it.
pub(crate) fn codex_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(whole) = toml::from_str::<Table>(&text) else {
        return;
    };
    let carried = config_toml::pick(whole).table;
    for (name, value) in &carried {
        let providers = value.as_table().filter(|_| name == PROVIDERS);
        assert!(
            providers.is_some() || CARRIED.contains(&name.as_str()),
            "{name}"
        );
        for provider in providers.into_iter().flat_map(Table::values) {
            let mut names = provider.as_table().into_iter().flat_map(Table::keys);
            assert!(names.all(|name| CARRIED_OF_A_PROVIDER.contains(&name.as_str())));
        }
    }
    let config = Config {
        repository: Path::new("/repo"),
        catalogue: None,
        server: Server {
            program: "/agp-bridge".into(),
            arguments: Vec::new(),
            seconds: 9,
        },
    };
    let Ok(text) = config.text(carried) else {
        return;
    };
    let written: Table = toml::from_str(&text).expect("what is written can be read");
    let at = |names: &[&str]| {
        let mut value = written.get(*names.first()?)?;
        for name in names.iter().skip(1) {
            value = value.get(*name)?;
        }
        Some(value.clone())
    };
    assert_eq!(at(&["features", "shell_tool"]), Some(false.into()));
    assert_eq!(at(&["approval_policy"]), Some("never".into()));
    assert_eq!(
        at(&["projects", "/repo", "trust_level"]),
        Some("untrusted".into())
    );
    let servers = at(&["mcp_servers"]).and_then(|servers| servers.as_table().map(Table::len));
    assert_eq!(servers, Some(1));
    assert!(at(&["hooks"]).is_none() && at(&["notify"]).is_none());
}

/// A request is no longer than its bound.
pub(crate) fn probe_request(data: &[u8]) {
    if let Ok((path, body)) = probe_model_server::read_request(data) {
        assert!(path.len() + body.len() <= data.len());
        assert!((path.len() + body.len()) as u64 <= limits::PROBE_REQUEST_BYTES);
    }
}

/// A script is read whole or not at all.
pub(crate) fn script_file(data: &[u8]) {
    let Ok(calls) = scripted::parse(data) else {
        return;
    };
    let lines = data.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    assert_eq!(calls.len(), lines.count());
    let written = calls
        .iter()
        .map(|call| serde_json::json!({"tool": call.tool, "args": call.args}).to_string() + "\n");
    let again = scripted::parse(written.collect::<String>().as_bytes());
    assert_eq!(again.expect("what is written is a script"), calls);
}
