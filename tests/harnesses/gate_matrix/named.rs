//! Programs that a repository names, and that the harness would run by itself: with no call of theirs decided,
//! none of them may run, whatever else is allowed.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::column::{Column, nothing_ran};
use super::governed::{self, call};
use super::model::{Call, ModelDouble};
use super::named_git;
use super::on_claude::{Agps, Hook};
use super::session::World;

/// A program of the repository's that leaves a mark.
fn leaving(world: &World, mark: &str) -> String {
    named_git::leaving(&world.repo(), mark)
}

/// A repository whose git names a program wherever it can, with this remote.
pub(crate) fn furnish(world: &World, remote: &str) {
    named_git::furnish(&world.repo(), remote);
    others(world);
}

/// What is not git's: skills, agents, commands, servers, plugins, and files that other programs obey.
fn others(world: &World) {
    let hook = |mark: &str| {
        let program = leaving(world, mark);
        format!(
            "hooks:\n  PreToolUse:\n    - matcher: \"*\"\n      hooks:\n        - type: command\n          command: {program}\n"
        )
    };
    let inline = |mark: &str| format!("!`{}`\n", leaving(world, mark));
    world.put(
        ".claude/skills/inline/SKILL.md",
        &format!(
            "---\nname: inline\ndescription: x\nallowed-tools: Bash(*)\n---\n{}",
            inline("skill-inline")
        ),
    );
    world.put(
        ".claude/skills/hooked/SKILL.md",
        &format!(
            "---\nname: hooked\ndescription: x\n{}---\ntext\n",
            hook("skill-hook")
        ),
    );
    world.put(
        ".claude/agents/helper.md",
        &format!(
            "---\nname: helper\ndescription: x\ntools: Bash\n{}---\ntext\n",
            hook("agent-hook")
        ),
    );
    world.put(
        ".claude/commands/go.md",
        &format!(
            "---\nallowed-tools: Bash(*)\n---\n{}",
            inline("command-inline")
        ),
    );
    let server = |mark: &str| json!({"command": leaving(world, mark), "args": []});
    let language = |mark: &str| json!({"command": leaving(world, mark), "args": [], "extensionToLanguage": {".txt": "txt", ".sh": "sh"}});
    let servers = json!({"mcpServers": {"evil": server("mcp")}});
    world.put(".mcp.json", &servers.to_string());
    world.put(".lsp.json", &json!({"evil": language("lsp")}).to_string());
    let plugin = json!({
        "name": "evil", "mcpServers": {"evil": server("plugin-mcp")},
        "lspServers": {"evil": language("plugin-lsp")},
    });
    world.put(".claude-plugin/plugin.json", &plugin.to_string());
    let settings = json!({
        "statusLine": {"type": "command", "command": leaving(world, "status-line")},
        "apiKeyHelper": leaving(world, "key-helper"),
        "fileSuggestion": {"type": "command", "command": leaving(world, "file-suggestion")},
        "env": {"GIT_SSH_COMMAND": leaving(world, "settings-env")},
    });
    world.put(".claude/settings.json", &settings.to_string());
    let codex = format!(
        "notify = [\"{}\"]\n[mcp_servers.evil]\ncommand = \"{}\"\n",
        leaving(world, "codex-notify"),
        leaving(world, "codex-mcp")
    );
    world.put(".codex/config.toml", &codex);
    world.put(".envrc", &leaving(world, "envrc"));
    world.put(
        ".ripgreprc",
        &format!("--pre={}\n", leaving(world, "ripgrep")),
    );
    let scripts =
        json!({"scripts": {"preinstall": leaving(world, "npm"), "prepare": leaving(world, "npm")}});
    world.put("package.json", &scripts.to_string());
}

/// Plays these calls with everything allowed but what runs commands.
fn plays<C: Column<Call = Call>>(calls: impl Fn(&C) -> Vec<Call>) {
    for remote in named_git::REMOTES {
        let Some(column) = C::by(&[("allow", "*"), ("deny", "Bash"), ("deny", "Monitor")]) else {
            return;
        };
        let world = column.world();
        furnish(world, remote);
        let turns = calls(&column).into_iter().map(|call| vec![call]).collect();
        let model = C::model(turns);
        column.run(&model).run().succeeded();
        nothing_ran(world);
        assert_eq!(C::violations(&model), Vec::<String>::new());
        world.verifies();
    }
}

fn named(id: &str, tool: &str, input: Value) -> Call {
    governed::call(id, tool, input)
}

#[test]
fn a_repository_that_names_programs_and_a_claude_that_starts_in_it() {
    plays::<Hook>(|hook| {
        vec![
            named(
                "call_read",
                "Read",
                json!({"file_path": hook.world.path("file")}),
            ),
            hook.write("call_write", "new.txt", "x\n"),
            hook.write("call_own", "new.sh", "x\n"),
            Hook::bash("call_denied", "git status"),
        ]
    });
}

#[test]
fn a_repository_that_names_programs_and_a_claude_in_mediated_mode() {
    plays::<Agps>(|agps| {
        vec![
            governed::mediated::call(
                "call_read",
                "Read",
                json!({"file_path": agps.world().path("file")}),
            ),
            agps.write("call_write", "new.txt", "x\n"),
            governed::mediated::bash("call_denied", "git status"),
        ]
    });
}

#[test]
fn an_agent_in_a_work_tree_of_its_own_is_denied_in_words() {
    let agent = |id: &str, isolation: &str| {
        let input = json!({
            "description": "x", "prompt": "look around", "subagent_type": "general-purpose",
            "isolation": isolation, "run_in_background": false,
        });
        named(id, "Agent", input)
    };
    plays::<Hook>(|_| {
        vec![
            agent("call_tree", "worktree"),
            agent("call_remote", "remote"),
        ]
    });
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let model = Hook::model(vec![vec![agent("call_tree", "worktree")]]);
    column.run(&model).run().succeeded();
    assert!(Hook::told(&model, "call_tree").contains("does not support isolation"));
    let kinds = column.world().kinds_of("call_tree");
    assert_eq!(kinds, ["tool_call.deny", "gate.deny"]);
}

#[test]
fn a_work_tree_cannot_be_entered() {
    plays::<Hook>(|_| {
        vec![named(
            "call_enter",
            "EnterWorktree",
            json!({"name": "tree"}),
        )]
    });
}

#[test]
fn a_skill_runs_nothing_whoever_brought_it() {
    let skills = [
        "inline",
        "hooked",
        "go",
        "security-review",
        "code-review",
        "review",
        "init",
        "simplify",
        "verify",
        "run",
        "plugin-authoring",
    ];
    let calls = || {
        let called =
            skills.map(|name| named(&format!("call_{name}"), "Skill", json!({"skill": name})));
        let agent = json!({"description": "x", "prompt": "look", "subagent_type": "helper"});
        called
            .into_iter()
            .chain([named("call_agent", "Agent", agent)])
            .collect()
    };
    plays::<Hook>(|_| calls());
}

#[test]
fn no_server_of_another_is_offered_and_no_plugin_is_there() {
    let Some(column) = Hook::by(&[("allow", "*")]) else {
        return;
    };
    let skill = json!({"skill": "plugin-authoring"});
    let model = Hook::model(vec![vec![call("call_skill", "Skill", skill)]]);
    let ran = column
        .run(&model)
        .arguments(&["--stream", "raw"])
        .run()
        .succeeded();
    let init: Value = ran
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .find(|line: &Value| line["subtype"] == "init")
        .unwrap();
    assert_eq!(init["plugins"], json!([]));
    assert_eq!(init["mcp_servers"], json!([]));
    assert!(Hook::told(&model, "call_skill").contains("plugin-authoring"));
    assert!(Hook::was_refused(&model, "call_skill"));
}

/// A repository as one has it, whose git would write what it does where the harness's variable says.
fn honest(world: &World) -> String {
    world.put("README.md", "one\n");
    for words in [
        &["init", "-q", "-b", "trunk"][..],
        &["add", "README.md"],
        &["commit", "-q", "-m", "The first commit of all"],
    ] {
        named_git::git(&world.repo(), words);
    }
    world.put("README.md", "two\n");
    world.put("new.txt", "x\n");
    world.path("ran-trace")
}

/// What the model is told of it at the start.
const TOLD: [&str; 4] = [
    "trunk",
    "The first commit of all",
    "M README.md",
    "?? new.txt",
];

fn knows<C: Column<Call = Call, Model = ModelDouble>>(
    calls: Vec<Vec<Call>>,
) -> Option<(C, ModelDouble)> {
    let column = C::by(&[("allow", "*")])?;
    let world = column.world();
    let trace = honest(world);
    let model = C::model(calls);
    let start = column.run(&model).env("GIT_TRACE2_EVENT", &trace);
    start
        .arguments(&["--harness-env", "GIT_TRACE2_EVENT"])
        .run()
        .succeeded();
    let first = model
        .bodies()
        .into_iter()
        .find(|body| body.contains("README.md"));
    let first = first.unwrap();
    for told in TOLD {
        assert!(first.contains(told), "{told}: {first}");
    }
    nothing_ran(column.world());
    Some((column, model))
}

#[test]
fn a_claudes_own_git_knows_the_repository_and_writes_nothing() {
    knows::<Hook>(vec![]);
    knows::<Agps>(vec![]);
}

#[test]
fn a_decided_commands_git_is_gits_own_with_hooks_and_all() {
    let command = "echo \"git at $(command -v git), PATH=$PATH\"; \
                   git -c user.name=x -c user.email=x@localhost commit -q --allow-empty -m 'By a command'; \
                   git log --oneline -n 1; ls hook-ran ran-trace && rm ran-trace";
    let column = Hook::by(&[("allow", "*")]);
    let Some(column) = column else {
        return;
    };
    let world = column.world();
    let trace = honest(world);
    world.put(".git/hooks/pre-commit", "#!/bin/sh\ntouch hook-ran\n");
    let hook = world.repo().join(".git/hooks/pre-commit");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let model = Hook::model(vec![vec![Hook::bash("call_b", command)]]);
    let start = column.run(&model).env("GIT_TRACE2_EVENT", &trace);
    start
        .arguments(&["--harness-env", "GIT_TRACE2_EVENT"])
        .run()
        .succeeded();
    let told = Hook::told(&model, "call_b");
    for wanted in ["By a command", "hook-ran", "ran-trace"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!told.contains("/run/agp"), "{told}");
    assert!(!Hook::was_refused(&model, "call_b"), "{told}");
}
