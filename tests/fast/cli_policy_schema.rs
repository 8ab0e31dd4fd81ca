//! The JSON Schemas that `agp policy schema` prints are what the loaders take.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use session::World;

/// Whether a value is as a schema says, as far as the shipped schemas say anything: every keyword that stands in one
/// is known here.
fn valid(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{why}: {value} against {schema}"));
    let size = |name: &str| schema.get(name).and_then(Value::as_u64);
    let length = match value {
        Value::String(text) => Some(text.len() as u64),
        _ => None,
    };
    for (keyword, term) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let place = term.as_str().unwrap().strip_prefix('#').unwrap();
                valid(root, root.pointer(place).unwrap(), value)?;
            }
            "anyOf" => {
                let fits = |one: &Value| valid(root, one, value).is_ok();
                if !term.as_array().unwrap().iter().any(fits) {
                    return wrong("anyOf");
                }
            }
            "enum" if !term.as_array().unwrap().contains(value) => return wrong("enum"),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    other => panic!("{other}"),
                };
                let names = term
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![term.clone()]);
                if !names.iter().any(is) {
                    return wrong("type");
                }
            }
            "minLength" if length < size("minLength") => return wrong("minLength"),
            "maxLength" if length > size("maxLength") => return wrong("maxLength"),
            "minimum" if value.as_u64() < size("minimum") => return wrong("minimum"),
            "maximum" if value.as_u64() > size("maximum") => return wrong("maximum"),
            "required"
            | "dependentRequired"
            | "minProperties"
            | "additionalProperties"
            | "properties" => {}
            "enum" | "minLength" | "maxLength" | "minimum" | "maximum" => {}
            "items" | "minItems" | "maxItems" | "pattern" | "propertyNames" | "maxProperties" => {}
            other => panic!("unknown keyword {other}"),
        }
    }
    if let (Some(items), Some(schema_of_items)) = (value.as_array(), schema.get("items")) {
        let count = items.len() as u64;
        if Some(count) < size("minItems") || size("maxItems").is_some_and(|most| count > most) {
            return wrong("items");
        }
        for item in items {
            valid(root, schema_of_items, item)?;
        }
    }
    if let Some(map) = value.as_object() {
        let named = schema.get("required").and_then(Value::as_array);
        if let Some(name) = named.and_then(|names| {
            names
                .iter()
                .find(|name| !map.contains_key(name.as_str().unwrap()))
        }) {
            return wrong(&format!("without {name}"));
        }
        let dependent = schema.get("dependentRequired").and_then(Value::as_object);
        for (name, needs) in dependent.into_iter().flatten() {
            let lacks = needs
                .as_array()
                .unwrap()
                .iter()
                .any(|need| !map.contains_key(need.as_str().unwrap()));
            if map.contains_key(name) && lacks {
                return wrong("dependentRequired");
            }
        }
        if size("minProperties").is_some_and(|least| (map.len() as u64) < least) {
            return wrong("minProperties");
        }
        for (name, value) in map {
            let known = schema.get("properties").and_then(|all| all.get(name));
            match (known, schema.get("additionalProperties")) {
                (Some(of), _) => valid(root, of, value)?,
                (None, Some(Value::Bool(false))) => return wrong(&format!("unknown {name}")),
                (None, Some(of @ Value::Object(_))) => valid(root, of, value)?,
                (None, _) => {}
            }
        }
    }
    Ok(())
}

fn names(schema: &Value, place: &str) -> Vec<String> {
    let all = schema.pointer(place).unwrap().as_object().unwrap();
    all.keys().cloned().collect()
}

#[test]
fn the_schemas_are_what_the_loaders_take() {
    let world = World::empty();
    world.agp(&["init"]).run().succeeded();
    let schema = |of: &str| -> Value {
        let run = world.agp(&["policy", "schema", of]).run().succeeded();
        serde_json::from_str(&run.out).unwrap()
    };
    world.agp(&["policy", "schema", "journal"]).run().exited(2);
    let policy = schema("policy");
    for name in ["standard", "strict", "watch"] {
        let path = format!("src/policy/shipped/{name}.json");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        valid(&policy, &policy, &text).unwrap();
    }
    let takes = |text: &Value| {
        world.put("p.json", &text.to_string());
        let run = world.agp(&["policy", "check", "p.json", "--json"]).run();
        let found: Value = serde_json::from_str(&run.out).unwrap();
        match found["ok"].as_bool().unwrap() {
            true => Ok(()),
            false => Err(found["findings"][0]["message"].as_str().unwrap().to_owned()),
        }
    };
    let when = json!({
        "command": ["a *"], "read": ["a"], "write": ["a"], "path": ["a"], "host": ["a.example"],
        "code": ["repo", "!inline"], "args": {"/a": ["x", 1, true]}, "directory": ["a"], "branch": ["a"], "confined": true,
    });
    let require = json!({
        "id": "r", "effect": "require", "tool": ["Bash", "!Read"], "actor": "claude_process", "tier": "t", "priority": -1,
        "reason": "r", "instead": "i", "note": "n", "approvalsRequired": 2, "sessionGrant": true, "approvers": ["@leads"],
        "secrets": ["A_B"], "when": when,
    });
    let allow = json!({"id": "a", "effect": "allow", "tool": "Read", "until": "2999-12-31", "danger": ["delete"]});
    let dangers: serde_json::Map<String, Value> = names(&policy, "/properties/danger/properties")
        .into_iter()
        .map(|name| (name, json!("deny")))
        .collect();
    let whole = json!({
        "$schema": "x", "base": "standard", "drop": ["look"], "otherwise": "deny", "unread": "deny", "danger": dangers,
        "tools": {"mcp__a__b": {"read": "/a", "write": ["/b"], "host": "/c", "command": "/d"}},
        "rules": [require, allow],
    });
    valid(&policy, &policy, &whole).unwrap();
    takes(&whole).unwrap();
    // Each field of the schema stands in that example, so the loader takes each.
    let mut used: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
    used.sort();
    let mut said = names(&policy, "/properties");
    said.sort();
    assert_eq!(used, said);
    for (place, examples) in [
        (
            "/$defs/rule/properties",
            [&whole["rules"][0], &whole["rules"][1]],
        ),
        (
            "/$defs/when/properties",
            [&whole["rules"][0]["when"], &Value::Null],
        ),
    ] {
        for name in names(&policy, place) {
            assert!(
                examples.iter().any(|example| example.get(&name).is_some()),
                "{name}"
            );
        }
    }
    // And the loader takes none that the schema does not have: it names all that it takes.
    for (text, place) in [
        (json!({"zzz": 1}), "/properties"),
        (json!({"rules": [{"zzz": 1}]}), "/$defs/rule/properties"),
        (
            json!({"rules": [{"id": "a", "effect": "deny", "when": {"zzz": 1}}]}),
            "/$defs/when/properties",
        ),
    ] {
        assert!(valid(&policy, &policy, &text).is_err());
        let message = takes(&text).unwrap_err();
        let fields = message.split("expected one of").nth(1).unwrap();
        let mut taken: Vec<String> = fields
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        taken.sort();
        let mut said = names(&policy, place);
        said.sort();
        assert_eq!(taken, said, "{message}");
    }
    let config = schema("config");
    let set = json!({
        "$schema": "x", "slack": {"channel": "C1", "approvers": ["U1"], "approvalsRequired": 1, "mention": "none"},
        "sandbox": {"provider": "process", "image": "x", "egress": "none", "allowlist": ["a.example"], "memory": 1, "cpus": 0.5, "pids": 10},
        "intendant": "scripted", "channel": "console", "identity": {"mode": "off"}, "approval": {"timeoutSeconds": 60, "queueSeconds": 5, "attend": true, "bell": false},
    });
    valid(&config, &config, &set).unwrap();
    let load = |text: &Value| {
        fs::write(world.agp_home().join("config.json"), text.to_string()).unwrap();
        world.agp(&["doctor", "--check", "sandbox"]).run().out
    };
    assert!(!load(&set).contains("config.json"));
    let mut places = vec![("zzz".to_owned(), "/properties".to_owned())];
    for part in ["slack", "sandbox", "identity", "approval"] {
        places.push((part.to_owned(), format!("/properties/{part}/properties")));
    }
    for (part, place) in places {
        let text = match part.as_str() {
            "zzz" => json!({"zzz": 1}),
            part => json!({part: {"zzz": 1}}),
        };
        let message = load(&text);
        let all: Vec<&str> = message
            .split("expected")
            .nth(1)
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        let mut taken: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let known = names(&config, &place);
        taken.retain(|name| name != "agp init --force" && !name.starts_with("agp "));
        taken.sort();
        let mut said = known;
        said.sort();
        assert_eq!(taken, said, "{message}");
    }
}
