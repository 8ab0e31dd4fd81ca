//! What must hold of the settings, arguments and tools of Claude Code: no harness is started.

use super::*;

#[test]
fn only_harmless_arguments_are_passed() {
    let check = |words: &[&str]| {
        check_arguments(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert!(check(&["--model", "x", "--max-turns=3", "--no-session-persistence"]).is_ok());
    for refused in [
        &["--dangerously-skip-permissions"][..],
        &["--settings", "x"],
        &["--setting-sources=user"],
        &["--permission-mode", "bypassPermissions"],
        &["--model"],
        &["--model", "--bare"],
        &["--no-session-persistence=x"],
        &["a prompt of its own"],
        &["-p"],
    ] {
        assert!(check(refused).is_err(), "{refused:?}");
    }
}

#[test]
fn a_task_begins_with_no_command_unless_it_is_one() {
    for task in ["/heapdump", "!ls", "text"] {
        assert_eq!(prompt(task, false), format!("\n{task}"));
        assert_eq!(prompt(task, true), task);
    }
}

#[test]
fn a_task_can_be_no_option() {
    let all = arguments(
        Some(Path::new("/s")),
        None,
        &[],
        "--dangerously-skip-permissions",
    );
    assert_eq!(all[all.len() - 2], "--");
}

#[test]
fn it_reads_no_settings_and_takes_up_no_servers_but_agps() {
    let said = |servers: Option<&Path>| {
        let all = arguments(Some(Path::new("/s")), servers, &[], "task");
        let all = all.iter().map(|word| word.to_string_lossy());
        all.map(|word| format!("{word}|")).collect::<String>()
    };
    for servers in [None, Some(Path::new("/m"))] {
        let said = said(servers);
        for wanted in [
            "--settings|/s|",
            "--setting-sources||",
            "--strict-mcp-config|",
            "--permission-mode|default|",
        ] {
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
    }
    assert!(said(Some(Path::new("/m"))).contains("--tools||--mcp-config|/m|"));
}

#[test]
fn a_hook_that_fails_blocks_whatever_the_tool() {
    let session = SessionId::new("s1").unwrap();
    let asking = Asking {
        socket: Path::new("/run/gate.sock"),
        session: &session,
        answer_key: "k",
        outside: true,
        within: Duration::from_secs(60),
    };
    let settings = settings_of(Path::new("/b"), &asking, Path::new("/r"));
    for event in [
        "PreToolUse",
        "PostToolUse",
        "PostToolUseFailure",
        "SessionStart",
    ] {
        let hook = settings.pointer(&format!("/hooks/{event}/0")).unwrap();
        assert_eq!(hook["matcher"], "*");
        let run = &hook["hooks"][0];
        assert_eq!(
            (&run["type"], &run["onFailure"]),
            (&json!("command"), &json!("block"))
        );
        assert!(
            run["timeout"].as_u64() > Some(60),
            "it outlives the question"
        );
    }
    assert_eq!(
        settings.pointer("/permissions/deny/0"),
        Some(&json!("Workflow"))
    );
}

#[test]
fn in_mediated_mode_it_offers_agps_tools_and_no_others() {
    let offered = |tools: &[&str]| {
        let tools: Vec<String> = tools.iter().map(|tool| (*tool).to_owned()).collect();
        unmediated(&tools)
    };
    assert_eq!(offered(&["mcp__agp__Bash", "mcp__agp__Read"]), None);
    for tools in [
        &[][..],
        &["Bash"],
        &["mcp__agp__Bash", "Bash"],
        &["mcp__other__Bash"],
    ] {
        assert!(offered(tools).is_some(), "{tools:?}");
    }
}
