//! `docs/policy.md` is what the code does: its fields, its dangers, its examples.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use agp::contracts::verdict::Decision;
use agp::policy::{CATEGORIES, Policy, SET_NAMES, shipped};
use serde_json::{Value, json};
use session::World;

fn page() -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The first cells of the table whose head begins like this.
fn rows(text: &str, head: &str) -> BTreeSet<String> {
    let (_, table) = text.split_once(head).unwrap_or_else(|| panic!("{head}"));
    let lines = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cell = |line: &str| line.split('`').nth(1).unwrap().to_owned();
    lines.map(cell).collect()
}

#[test]
fn every_field_has_a_row_and_every_row_is_a_field() {
    let world = World::empty();
    let schema = world.agp(&["policy", "schema"]).run().succeeded().out;
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let (_, text) = page();
    for (head, place) in [
        ("| field of the policy |", "/properties"),
        ("| field of a rule |", "/$defs/rule/properties"),
        ("| field of `when` |", "/$defs/when/properties"),
    ] {
        let fields = schema.pointer(place).unwrap().as_object().unwrap();
        let fields: BTreeSet<String> = fields.keys().cloned().collect();
        assert_eq!(rows(&text, head), fields, "{head}");
    }
    for set in SET_NAMES {
        assert!(text.contains(&format!("`{set}`")), "{set}");
    }
}

/// What a shipped policy says of a category.
fn setting(policy: &Policy, category: agp::reading::atoms::Category) -> &'static str {
    match policy.danger(category) {
        Some(Decision::Deny) => "deny",
        Some(_) => "ask",
        None => "off",
    }
}

/// To write it anew: `AGP_WRITE_DOCS=1 cargo test --test fast the_table_of_dangers`.
#[test]
fn the_table_of_dangers_is_that_of_the_code() {
    const END: &str = "<!-- end -->";
    let (path, text) = page();
    let begin = text
        .lines()
        .find(|line| line.starts_with("<!-- dangers:"))
        .unwrap();
    let (before, rest) = text.split_once(&format!("{begin}\n")).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    let names = ["standard", "strict", "watch"];
    let policies = names.map(|name| Policy::parse(shipped(name).unwrap().as_bytes()).unwrap());
    let mut table = format!(
        "| category | what it is | {} |\n| --- | --- | --- | --- | --- |\n",
        names.join(" | ")
    );
    for (name, category, what) in CATEGORIES {
        let settings = policies.each_ref().map(|policy| setting(policy, category));
        table += &format!("| `{name}` | {what} | {} |\n", settings.join(" | "));
    }
    if std::env::var_os("AGP_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{begin}\n{table}{END}{after}")).unwrap();
        return;
    }
    assert!(
        documented == table,
        "docs/policy.md is not what the code says:\n{table}"
    );
}

/// The page's one policy, and each of its wishes.
fn examples(text: &str) -> (Value, Vec<(String, Value)>) {
    let (_, example) = text.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (_, table) = text.split_once("| wish | rule |").unwrap();
    let lines = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let wish = |line: &str| {
        let (name, rule) = line.trim_matches('|').split_once('|').unwrap();
        let rule = rule.trim().trim_matches('`');
        (name.trim().to_owned(), serde_json::from_str(rule).unwrap())
    };
    (
        serde_json::from_str(example).unwrap(),
        lines.map(wish).collect(),
    )
}

/// Every wish of the page, over `standard`, with calls that it lets through and calls that it catches.
#[test]
fn the_page_s_examples_load_and_decide_as_it_says() {
    let (_, text) = page();
    let (example, wishes) = examples(&text);
    let world = World::empty();
    let asked = |policy: &Value, call: &Value| {
        world.put("p.json", &policy.to_string());
        let tool = call["tool"].as_str().unwrap_or("Bash").to_owned();
        let args = call["args"].to_string();
        let words = [
            "policy",
            "explain",
            "--policy",
            "p.json",
            "--no-disk",
            "--json",
        ];
        let more = ["--tool", &tool, "--args", &args];
        let out = world.agp(&words).arguments(&more).run().succeeded().out;
        let explained: Value = serde_json::from_str(&out).unwrap();
        explained["decision"].as_str().unwrap().to_owned()
    };
    let bash = |command: &str| json!({"args": {"command": command}});
    let write = |path: &str| json!({"tool": "Write", "args": {"file_path": world.path(path), "content": ""}});
    let read = |path: &str| json!({"tool": "Read", "args": {"file_path": world.path(path)}});
    let delete = json!({"tool": "mcp__tracker__delete_issue", "args": {}});
    let other = json!({"tool": "mcp__tracker__read_issue", "args": {}});
    let cases = [
        (
            bash("cargo test --lib"),
            "allow",
            bash("cargo test > /etc/x"),
            "require",
        ),
        (
            bash("npm run build"),
            "allow",
            bash("npm run build; git push"),
            "require",
        ),
        (
            bash("git status -sb"),
            "allow",
            bash("git -c core.fsmonitor=./x status"),
            "require",
        ),
        (write("src/a.rs"), "allow", write("README.md"), "deny"),
        (write("src/a.rs"), "allow", write(".github/ci.yml"), "deny"),
        (read(".env.example"), "allow", bash("cat ./.env"), "deny"),
        (
            bash("git commit -m x"),
            "allow",
            bash("git -C . push"),
            "require",
        ),
        (
            bash("cargo fetch"),
            "allow",
            bash("curl https://x.test"),
            "deny",
        ),
        (other, "require", delete, "deny"),
    ];
    assert_eq!(wishes.len(), cases.len());
    for ((wish, rule), (passes, as_allowed, caught, as_caught)) in wishes.iter().zip(&cases) {
        let mut rule = rule.clone();
        rule["id"] = json!("wish");
        let policy = json!({"base": "standard", "rules": [rule]});
        assert_eq!(asked(&policy, passes), *as_allowed, "{wish}: {passes}");
        assert_eq!(asked(&policy, caught), *as_caught, "{wish}: {caught}");
        // Alone, an allow lets its call pass, and a deny gives its reason.
        let alone = json!({"rules": [rule]});
        match rule["effect"].as_str().unwrap() {
            "allow" => assert_eq!(asked(&alone, passes), "allow", "{wish} alone"),
            _ => assert_ne!(asked(&alone, caught), "allow", "{wish} alone"),
        }
    }
    for (call, decision) in [
        (bash("cargo test && git status"), "allow"),
        (write("tests/a.rs"), "allow"),
        (write("docs/a.md"), "deny"),
        (read(".env"), "deny"),
        (bash("/usr/bin/git push"), "require"),
        (bash("curl https://docs.rs/x"), "allow"),
        (
            json!({"tool": "mcp__tracker__delete_issue", "args": {}}),
            "deny",
        ),
    ] {
        assert_eq!(asked(&example, &call), decision, "{call}");
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, shown) = readme.split_once("```json\n").unwrap();
    for policy in [
        example.to_string().as_str(),
        shown.split("```").next().unwrap(),
    ] {
        world.put("p.json", policy);
        world.agp(&["policy", "check", "p.json"]).run().succeeded();
    }
}
