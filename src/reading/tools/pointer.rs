//! JSON pointers into a call's arguments, in which `*` stands for any member.

use serde_json::{Map, Value};

/// Values that a pointer may lead to; beyond, it leads to no more.
const VALUES: usize = 1000;

/// All values that a pointer such as `/edits/*/path` leads to, in their order; none where there are none. A text
/// that begins without `/` is the name of an argument.
#[must_use]
pub fn values<'a>(args: &'a Map<String, Value>, pointer: &str) -> Vec<&'a Value> {
    let names: Vec<String> = match pointer.strip_prefix('/') {
        Some(rest) => rest.split('/').map(unescaped).collect(),
        None => vec![pointer.to_owned()],
    };
    let Some((first, rest)) = names.split_first() else {
        return Vec::new();
    };
    let mut matched: Vec<&Value> = match first.as_str() {
        "*" => args.values().take(VALUES).collect(),
        name => args.get(name).into_iter().collect(),
    };
    for name in rest {
        let inner = matched.into_iter().flat_map(|value| members(value, name));
        matched = inner.take(VALUES).collect();
    }
    matched
}

fn members<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match (value, name) {
        (Value::Object(map), "*") => map.values().collect(),
        (Value::Array(items), "*") => items.iter().collect(),
        (Value::Object(map), name) => map.get(name).into_iter().collect(),
        (Value::Array(items), name) => {
            let at = name.parse().ok();
            at.and_then(|at: usize| items.get(at)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_leads_to_every_value_it_names() {
        let args = json!({"path": "a", "x/y": 1, "edits": [{"path": "b"}, {"path": "c"}, {"no": 1}], "o": {"p": {"q": 2}}});
        let args = args.as_object().unwrap();
        for (pointer, expected) in [
            ("/path", json!(["a"])),
            ("path", json!(["a"])),
            ("/x~1y", json!([1])),
            ("/edits/*/path", json!(["b", "c"])),
            ("/edits/1/path", json!(["c"])),
            ("/o/p/q", json!([2])),
            ("/o/*/q", json!([2])),
            ("/none", json!([])),
            ("/path/x", json!([])),
            ("/edits/9", json!([])),
        ] {
            assert_eq!(json!(values(args, pointer)), expected, "{pointer}");
        }
    }
}
