//! Tables of calls and their atoms.

use serde_json::json;

use super::*;
use crate::reading::atoms::{Category, CodeClass, PathText, Place};
use crate::reading::disk::NoDisk;

fn at() -> Surroundings {
    Surroundings {
        directory: "/repo/sub".into(),
        repository: "/repo".into(),
        home: "/home/u".into(),
        temporary: "/tmp".into(),
        agp: vec!["/home/u/.agp".into()],
        ..Surroundings::default()
    }
}

fn reading(tool: &str, args: &Value) -> Reading {
    call(
        tool,
        args.as_object().unwrap(),
        &at(),
        &NoDisk,
        &Declared::new(),
    )
}

fn text(place: &Place) -> String {
    let mut text = match &place.path {
        PathText::Known(path) => path.clone(),
        PathText::Below(path) => format!("below {path}"),
        PathText::Glob(directory, pattern) => format!("glob {directory} {pattern}"),
        PathText::Anywhere => "anywhere".into(),
    };
    for (is, mark) in [
        (place.tree, " tree"),
        (place.leaves_out_ignored, " unignored"),
        (place.removes, " removes"),
    ] {
        if is {
            text.push_str(mark);
        }
    }
    if let Some(only) = &place.only {
        text = format!("{text} only {only}");
    }
    text
}

fn lines(atoms: &[Atom]) -> Vec<String> {
    let line = |atom: &Atom| match &atom.kind {
        AtomKind::Read(place) => format!("read {}", text(place)),
        AtomKind::Write(place) => format!("write {}", text(place)),
        AtomKind::Host(host) => format!("host {}", host.name.as_deref().unwrap_or("?")),
        AtomKind::Code(code) => format!("code {:?}", code.class),
        AtomKind::Use => "use".into(),
        AtomKind::Program(_) => "program".into(),
    };
    atoms.iter().map(line).collect()
}

#[test]
fn every_tool_of_both_harnesses_has_its_atoms() {
    for (tool, args, expected) in [
        ("Read", json!({"file_path": "/a/b"}), &["read /a/b"][..]),
        ("Read", json!({"file_path": "x"}), &["read /repo/sub/x"]),
        (
            "Read",
            json!({"file_path": "x", "workdir": "/w"}),
            &["read /w/x"],
        ),
        (
            "Read",
            json!({"file_path": "x", "workdir": 1}),
            &["read anywhere"],
        ),
        ("mcp__agp__Read", json!({"file_path": "/a"}), &["read /a"]),
        (
            "Read",
            json!({"file_path": " /a "}),
            &["read /a", "read /repo/sub/ /a "],
        ),
        (
            "Read",
            json!({"file_path": "~/.ssh/id"}),
            &["read /repo/sub/~/.ssh/id", "read /home/u/.ssh/id"],
        ),
        ("Read", json!({"file_path": "/l/../a"}), &["read /l/../a"]),
        ("Read", json!({"file_path": "a\u{0}b"}), &["read anywhere"]),
        ("Read", json!({"file_path": 7}), &["read anywhere"]),
        ("Read", json!({}), &["use"]),
        ("view_image", json!({"path": "/a.png"}), &["read /a.png"]),
        (
            "Write",
            json!({"file_path": "/a", "content": "/b"}),
            &["write /a"],
        ),
        (
            "Edit",
            json!({"file_path": "/a", "old_string": "x", "new_string": "y"}),
            &["write /a"],
        ),
        (
            "MultiEdit",
            json!({"file_path": "/a", "edits": []}),
            &["write /a"],
        ),
        (
            "NotebookEdit",
            json!({"notebook_path": "/a.ipynb", "new_source": "x"}),
            &["write /a.ipynb"],
        ),
        ("Glob", json!({"pattern": "**/*.rs"}), &["read /repo/sub"]),
        (
            "Glob",
            json!({"pattern": "../up/*.rs"}),
            &["read /repo/sub/../up/"],
        ),
        ("Glob", json!({"pattern": "/etc/*"}), &["read /etc/"]),
        ("Glob", json!({"pattern": "*/../../x"}), &["read anywhere"]),
        ("Glob", json!({"pattern": "{a,..}/x"}), &["read anywhere"]),
        (
            "Glob",
            json!({"pattern": "*", "path": "src"}),
            &["read /repo/sub/src"],
        ),
        (
            "Grep",
            json!({"pattern": "x"}),
            &["read /repo/sub tree unignored"],
        ),
        (
            "Grep",
            json!({"pattern": "x", "path": "/a"}),
            &["read /a tree unignored"],
        ),
        (
            "Grep",
            json!({"pattern": "x", "glob": "*.rs"}),
            &["read /repo/sub tree only *.rs"],
        ),
        (
            "Grep",
            json!({"pattern": "x", "glob": "!*.rs"}),
            &["read /repo/sub tree unignored"],
        ),
        ("LS", json!({"path": "/a"}), &["read /a"]),
        (
            "WebFetch",
            json!({"url": "https://a.b/c", "prompt": "x"}),
            &["host a.b"],
        ),
        ("WebFetch", json!({"url": 3}), &["host ?"]),
        ("WebSearch", json!({"query": "x"}), &["host ?"]),
        (
            "Monitor",
            json!({"ws": {"url": "wss://a.b"}}),
            &["host a.b"],
        ),
        ("TodoWrite", json!({"todos": []}), &["use"]),
        ("Agent", json!({"prompt": "cat /etc/shadow"}), &["use"]),
        (
            "Agent",
            json!({"prompt": "x", "isolation": "worktree"}),
            &["code Repo", "write /repo/.git/worktrees tree"],
        ),
        (
            "Agent",
            json!({"prompt": "x", "isolation": "remote"}),
            &["host ?"],
        ),
        (
            "ExitWorktree",
            json!({"action": "remove", "discard_changes": true}),
            &[
                "code Repo",
                "write /repo/.git/worktrees tree",
                "write anywhere",
            ],
        ),
        (
            "CronCreate",
            json!({"cron": "* * * * *", "prompt": "x"}),
            &["use"],
        ),
        (
            "CronCreate",
            json!({"durable": true}),
            &["write /repo/.claude/scheduled_tasks.json"],
        ),
        ("Workflow", json!({"script": "x"}), &["code Inline"]),
        ("mcp__db__drop", json!({"table": "x"}), &["use"]),
        ("Deploy", json!({}), &["use"]),
    ] {
        let reading = reading(tool, &args);
        assert_eq!(lines(&reading.atoms), expected, "{tool} {args}");
        assert_eq!(reading.unread, Vec::<String>::new(), "{tool} {args}");
    }
}

#[test]
fn a_patch_is_all_of_its_files() {
    let patch = "*** Begin Patch\n*** Update File: a.rs\n*** Move to: ../b.rs\n@@\n-x\n+y\n*** Delete File: c\n*** End Patch";
    for args in [
        json!({"command": patch}),
        json!({"input": patch}),
        json!({"command": ["apply_patch", patch]}),
    ] {
        let reading = reading("apply_patch", &args);
        let expected = [
            "write /repo/sub/a.rs removes",
            "write /repo/sub/../b.rs",
            "write /repo/sub/c removes",
        ];
        assert_eq!(lines(&reading.atoms), expected, "{args}");
        assert!(reading.unread.is_empty());
    }
    for args in [
        json!({"command": "x"}),
        json!({}),
        json!({"command": 1}),
        json!({"command": ["apply_patch"]}),
    ] {
        let reading = reading("apply_patch", &args);
        assert_eq!(reading.unread.len(), 1, "{args}");
        assert_eq!(lines(&reading.atoms), ["use"]);
    }
}

#[test]
fn what_runs_commands_without_one_that_can_be_read_is_unread() {
    for (tool, args) in [
        ("Bash", json!({})),
        ("Bash", json!({"command": 1})),
        ("Bash", json!({"command": ["ls", 1]})),
        ("Bash", json!({"command": "ls", "cmd": "rm x"})),
        ("Bash", json!({"command": "ls", "workdir": 1})),
        ("Monitor", json!({"timeout_ms": 1})),
        ("PowerShell", json!({"command": "ls"})),
        ("write_stdin", json!({"session_id": 1, "chars": "rm x\n"})),
    ] {
        assert!(!reading(tool, &args).unread.is_empty(), "{tool} {args}");
    }
}

#[test]
fn an_unknown_tool_s_strings_are_what_they_could_mean() {
    let mentioned = |args: Value| {
        let reading = reading("mcp__x__y", &args);
        assert_eq!(lines(&reading.atoms), ["use"], "{args}");
        lines(&reading.mentioned)
    };
    for (args, expected) in [
        (
            json!({"path": ".env"}),
            &["read /repo/sub/.env", "write /repo/sub/.env"][..],
        ),
        (json!({"a": [{"b": "/x"}]}), &["read /x", "write /x"]),
        (json!({"url": "https://a.b/c"}), &["host a.b"]),
        (json!({"url": " https://a.b/c\n"}), &["host a.b"]),
        (
            json!({"url": "file:///etc/passwd"}),
            &["host ?", "read /etc/passwd", "write /etc/passwd"],
        ),
        (
            json!({"host": "a.b:80"}),
            &[
                "read /repo/sub/a.b:80",
                "write /repo/sub/a.b:80",
                "host a.b",
            ],
        ),
        (json!({"text": "one\ntwo"}), &[]),
        (json!({"n": 7, "b": true, "x": null, "e": ""}), &[]),
    ] {
        assert_eq!(mentioned(args.clone()), expected, "{args}");
    }
    // Text in any depth, and more of it than is read.
    let deep = json!({"a": {"b": {"c": ["/x"]}}});
    assert_eq!(mentioned(deep), ["read /x", "write /x"]);
    let many: Vec<String> = (0..1000).map(|n| format!("/x/{n}")).collect();
    assert!(!reading("mcp__x__y", &json!({"a": many})).unread.is_empty());
}

#[test]
fn a_declared_tool_has_the_atoms_that_are_declared() {
    let declaration = DeclaredTool {
        write: vec!["/path".into(), "/more/*/to".into()],
        read: vec!["/from".into()],
        host: vec!["/url".into()],
        command: Vec::new(),
    };
    let declared = Declared::from([("mcp__fs__write".to_owned(), declaration)]);
    let args = json!({"path": "a", "more": [{"to": "/b"}, {"to": 1}], "url": "https://a.b"});
    let args = args.as_object().unwrap();
    let reading = call("mcp__fs__write", args, &at(), &NoDisk, &declared);
    let expected = [
        // An argument that is not there may be any path.
        "read anywhere tree",
        "write /repo/sub/a tree",
        "write /b tree",
        "write anywhere tree",
        "host a.b",
    ];
    assert_eq!(lines(&reading.atoms), expected);
    assert!(lines(&reading.mentioned).contains(&"read /b".to_owned()));
}

#[test]
fn a_whole_reading_says_where_paths_lead_and_what_is_dangerous() {
    let read = |tool: &str, args: Value| {
        read(
            tool,
            args.as_object().unwrap(),
            &at(),
            &NoDisk,
            &Declared::new(),
        )
    };
    let result = read(
        "Write",
        json!({"file_path": "/repo/x/../.git/hooks/pre-commit", "content": ""}),
    );
    let atom = &result.atoms[0];
    assert_eq!(atom.dangers[0].category, Category::Persistence);
    let AtomKind::Write(place) = &atom.kind else {
        panic!("{atom:?}")
    };
    assert_eq!(place.real.as_deref(), Some("/repo/.git/hooks/pre-commit"));
    let result = read("WebFetch", json!({"url": "http://2852039166/latest"}));
    assert_eq!(result.atoms[0].dangers[0].category, Category::Credentials);
    let result = read("mcp__fs__read", json!({"path": "~/.ssh/id_rsa"}));
    let dangers: Vec<Category> = result
        .mentioned
        .iter()
        .flat_map(|atom| &atom.dangers)
        .map(|danger| danger.category)
        .collect();
    assert!(dangers.contains(&Category::Credentials), "{dangers:?}");
    // Also where it leads is not known.
    let result = read("Read", json!({"file_path": "/proc/1/root/etc/shadow"}));
    assert_eq!(result.atoms[0].dangers[0].category, Category::Container);
    let class = |reading: &Reading| match &reading.atoms[0].kind {
        AtomKind::Code(code) => Some(code.class),
        _ => None,
    };
    assert_eq!(
        class(&read("Workflow", json!({"script": "x"}))),
        Some(CodeClass::Inline)
    );
}

#[test]
fn a_command_is_read_from_the_directory_of_its_call() {
    for (tool, args, expected) in [
        ("Bash", json!({"command": "cat x"}), "read /repo/sub/x"),
        (
            "Bash",
            json!({"command": "cat x", "workdir": "/w"}),
            "read /w/x",
        ),
        (
            "mcp__agp__Bash",
            json!({"command": "cat x"}),
            "read /repo/sub/x",
        ),
        (
            "Monitor",
            json!({"command": "cat x", "timeout_ms": 1}),
            "read /repo/sub/x",
        ),
        (
            "shell",
            json!({"command": ["cat", "a b"]}),
            "read /repo/sub/a b",
        ),
        (
            "shell",
            json!({"command": ["bash", "-lc", "cat x"]}),
            "read /repo/sub/x",
        ),
        ("exec_command", json!({"cmd": "cat x"}), "read /repo/sub/x"),
    ] {
        let reading = reading(tool, &args);
        let result = lines(&reading.atoms);
        assert!(
            result.contains(&expected.to_owned()),
            "{args} {result:?} {:?}",
            reading.unread
        );
        assert_eq!(reading.unread, Vec::<String>::new());
    }
    // An unknown tool's command is what it could mean.
    for args in [
        json!({"command": "cat x; rm y"}),
        json!({"command": ["cat", "x"]}),
    ] {
        let reading = reading("mcp__x__run", &args);
        let result = lines(&reading.mentioned);
        assert!(
            result.contains(&"program".to_owned())
                && result.contains(&"read /repo/sub/x".to_owned()),
            "{result:?}"
        );
        for atom in &reading.mentioned {
            let program = atom.program.map(|at| &reading.mentioned[at].kind);
            assert!(matches!(program, None | Some(AtomKind::Program(_))));
        }
    }
    let declaration = DeclaredTool {
        command: vec!["/do".into()],
        ..DeclaredTool::default()
    };
    let declared = Declared::from([("mcp__x__run".to_owned(), declaration)]);
    let run = |args: Value| {
        call(
            "mcp__x__run",
            args.as_object().unwrap(),
            &at(),
            &NoDisk,
            &declared,
        )
    };
    assert!(lines(&run(json!({"do": "cat x"})).atoms).contains(&"read /repo/sub/x".to_owned()));
    assert!(!run(json!({})).unread.is_empty());
}
