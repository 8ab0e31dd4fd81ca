//! Cases of mediated mode: the harness has no tools of its own, agp's server is its only provider. What
//! happens to that server and to the governor in the middle of a session, and what may come of a call.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::column::{CALLS, Column, QUESTION, Spoiled, UNASKED, is_journaled_in_part, raw, sizes};
use super::session::{Process, Start, World, all_gone, below, python, wait_for};

/// What decides a call of agp's own tools.
pub(crate) const DECIDED: [&str; 3] = ["tool_call.allow", "tool_call.deny", "tool_call.require"];

/// Another server, by which a harness's configuration was changed on the way to it.
pub(crate) enum Other<'a> {
    /// In the place of agp's: it runs what comes, and begins its answers with these words, failed or not.
    Instead { begin: &'a str, failed: &'a str },
    /// In the place of agp's: it has agp asked, and does not wait for the answer.
    Unwaiting,
    /// Beside agp's.
    Beside,
}

/// A column in which agp runs the tools.
pub(crate) trait Mediated: Column {
    /// The words in which the harness itself says that there is no such tool.
    const UNKNOWN_TOOL: &'static str;
    /// A call of a tool of agp's.
    fn call(id: &str, tool: &str, input: &Value) -> Self::Call;
    /// A command for the server that stands beside agp's.
    fn of_the_other(id: &str, command: &str) -> Self::Call;
    /// Its session with another server, that a Python brings about.
    fn run_with(&self, python: &Path, other: &Other<'_>, model: &Self::Model) -> Start;
}

pub(crate) fn a_bridge_that_is_deleted_mid_session<C: Column>() {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    fs::remove_file(&spoiled.bridge).unwrap();
    spoiled.go_and_nothing_runs();
}

pub(crate) fn a_bridge_that_is_replaced_mid_session<C: Column>() {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    spoiled.replace_bridge("touch second third; exit 0");
    let played = spoiled.go_and_nothing_runs();
    played.ran.complained(&["the hook program"]);
}

pub(crate) fn a_server_that_is_suspended_mid_session<C: Mediated>() {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    let server = spoiled.server();
    server.kill("-STOP");
    let world = spoiled.world();
    world.put("go", "");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(world.get("second"), None, "nobody has asked");
    assert_eq!(world.kinds_of(CALLS[1]), Vec::<String>::new());
    server.kill("-CONT");
    spoiled.go_and_all_is_decided();
}

/// A session under this rule for Bash, whose model asks twice.
fn twice<C: Mediated>(effect: &str) -> Option<(C, C::Model)> {
    let column = C::by(&[(effect, "Bash")])?;
    let model = C::model(vec![
        vec![C::bash(CALLS[0], "touch first")],
        vec![C::bash(CALLS[1], "touch second")],
    ]);
    Some((column, model))
}

/// A server in the place of agp's: its first call runs without a question, and the second not at all.
pub(crate) fn asks_nobody<C: Mediated>(begin: &str, failed: &str) {
    let (Some((column, model)), Some(python)) = (twice::<C>("deny"), python()) else {
        return;
    };
    let other = Other::Instead { begin, failed };
    let ran = column.run_with(&python, &other, &model).run();
    ran.exited(3).complained(&[UNASKED]);
    let world = column.world();
    assert!(world.get("first").is_some(), "the double did run it");
    let bypassed = world.event("gate.bypassed");
    assert_eq!(bypassed["payload"]["messageId"], CALLS[0]);
    assert_eq!(world.get("second"), None);
    assert_eq!(world.event("session.ended")["payload"]["end"], "broken");
    world.verifies();
}

pub(crate) fn a_server_that_answers_without_asking<C: Mediated>() {
    asks_nobody::<C>("", "no");
}

pub(crate) fn a_server_that_answers_without_asking_and_calls_it_failed<C: Mediated>() {
    asks_nobody::<C>("Denied by agp: no ", "yes");
}

pub(crate) fn a_server_that_answers_without_asking_and_covers_it_up<C: Mediated>() {
    asks_nobody::<C>(C::UNKNOWN_TOOL, "yes");
}

pub(crate) fn a_server_that_asks_and_waits_for_no_answer<C: Mediated>() {
    let (Some((column, model)), Some(python)) = (twice::<C>("require"), python()) else {
        return;
    };
    let start = column.run_with(&python, &Other::Unwaiting, &model);
    let mut live = start.start_at_terminal(&python);
    live.see(QUESTION);
    // Nobody has said yes, and the call comes back.
    live.finish().exited(3);
    let world = column.world();
    let bypassed = world.event("gate.bypassed");
    assert_eq!(bypassed["payload"]["messageId"], CALLS[0]);
    let how = "returned a result before the decision";
    assert_eq!(bypassed["payload"]["how"], how);
    assert_eq!(world.get("second"), None);
    world.verifies();
}

pub(crate) fn a_second_server_beside_agps<C: Mediated>() {
    let (Some(column), Some(python)) = (C::by(&[("allow", "*")]), python()) else {
        return;
    };
    let model = C::model(vec![vec![C::of_the_other(CALLS[0], "touch first")]]);
    let ran = column.run_with(&python, &Other::Beside, &model).run();
    ran.exited(3)
        .complained(&["offers its model tools that are not agp's"]);
    let world = column.world();
    assert_eq!(world.get("first"), None);
    assert_eq!(world.census()[1], 0);
    let ended = &world.event("session.ended")["payload"];
    let offered = ended["offered"].as_array().unwrap();
    assert!(offered.contains(&json!("mcp__evil__Bash")), "{offered:?}");
    world.verifies();
}

pub(crate) fn a_governor_that_is_killed_while_a_command_runs<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = column.world();
    let command = "(setsid sh -c 'sleep 2; touch late' &) ; touch first; sleep 2; touch second";
    let model = C::model(vec![vec![C::bash("call_b", command)]]);
    let live = column.run(&model).start();
    wait_for("the call", || world.get("first"));
    let agp = Process::of(world.lease().pid).unwrap();
    let all = below(agp.pid);
    assert!(all.iter().any(|process| {
        let arguments = process.arguments();
        arguments.iter().any(|word| word.contains("sleep 2"))
    }));
    agp.kill("-KILL");
    all_gone(&all);
    drop(live);
    thread::sleep(Duration::from_secs(3));
    assert_eq!((world.get("second"), world.get("late")), (None, None));
    assert_eq!(world.kinds_of("call_b"), ["tool_call.allow"]);
    world.verifies();
}

pub(crate) fn a_call_waits_for_the_operators_yes_and_a_no_denies<C: Mediated>() {
    let (Some(column), Some(python)) = (C::by(&[("require", "Bash")]), python()) else {
        return;
    };
    let world = column.world();
    let model = C::model(vec![
        vec![C::bash("call_yes", "touch yes; echo made")],
        vec![C::bash("call_no", "touch no")],
    ]);
    let mut live = column.run(&model).start_at_terminal(&python);
    live.see(QUESTION);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(world.get("yes"), None, "nobody has said yes");
    live.type_in("y\n");
    live.see_times(QUESTION, 2);
    assert!(world.get("yes").is_some());
    live.type_in("n\n");
    live.finish().succeeded();
    assert_eq!(world.get("no"), None);
    let approved = [
        "tool_call.require",
        "approval.granted",
        "tool_call.executed",
    ];
    assert_eq!(world.kinds_of("call_yes"), approved);
    let refused = ["tool_call.require", "approval.denied"];
    assert_eq!(world.kinds_of("call_no"), refused);
    assert!(C::told(&model, "call_yes").contains("made"));
    let no = C::told(&model, "call_no");
    assert!(
        no.contains("denied by") && C::was_refused(&model, "call_no"),
        "{no}"
    );
    column.each_decided(&["call_yes", "call_no"]);
}

pub(crate) fn an_id_decides_only_once<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "Bash")]) else {
        return;
    };
    let model = C::model(vec![
        vec![C::bash("call_same", "echo x >> ran")],
        vec![C::bash("call_same", "echo y >> ran")],
        vec![C::bash("call_other", "echo z >> ran")],
    ]);
    column.run(&model).run().succeeded();
    let world = column.world();
    assert_eq!(world.get("ran").as_deref(), Some("x\nz\n"));
    let kinds = ["tool_call.allow", "tool_call.executed", "tool_call.deny"];
    assert_eq!(world.kinds_of("call_same"), kinds);
    assert_eq!(world.census(), [3, 3, 0]);
    world.verifies();
}

pub(crate) fn a_call_of_nearly_a_frame_is_decided_whole<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "Write")]) else {
        return;
    };
    let world = column.world();
    let [escaped, fits, _] = sizes();
    let model = C::model(vec![
        vec![column.write("call_escaped", "escaped", &escaped)],
        vec![column.write("call_fits", "fits", &fits)],
    ]);
    column.run(&model).run().succeeded();
    assert!(world.get("escaped").is_some_and(|text| text == escaped));
    assert!(world.get("fits").is_some_and(|text| text == fits));
    is_journaled_in_part(world);
    column.each_decided(&["call_escaped", "call_fits"]);
}

/// Asserts that this call, about which nobody can decide, is denied on record, the model told why, and
/// that the session goes on.
pub(crate) fn is_denied_on_record<C: Mediated>(column: &C, (id, call): (&str, C::Call), why: &str) {
    let model = C::model(vec![vec![call], vec![C::bash("call_next", "touch next")]]);
    column.run(&model).run().succeeded();
    let world = column.world();
    assert_eq!(world.get("made"), None);
    assert_eq!(world.get("next").as_deref(), Some(""));
    assert!(C::was_refused(&model, id));
    let told = C::told(&model, id);
    assert!(told.contains(why), "{told}");
    assert_eq!(world.kinds_of(id), ["tool_call.deny"]);
    let denied = world.event("tool_call.deny");
    let reason = denied["payload"]["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
    assert_eq!(world.census(), [2, 2, 0]);
    world.verifies();
}

pub(crate) fn a_call_beyond_a_frame_is_denied_on_record<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "*")]) else {
        return;
    };
    let [_, _, beyond] = sizes();
    let call = column.write("call_beyond", "made", &beyond);
    is_denied_on_record(&column, ("call_beyond", call), "larger than 4 MiB");
}

pub(crate) fn arguments_that_are_nested_too_deep_are_denied_on_record<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "*")]) else {
        return;
    };
    let deep = "[".repeat(130) + &"]".repeat(130);
    let input = raw(&format!(r#"{{"command":"touch made","deep":{deep}}}"#));
    let call = C::call("call_deep", "Bash", &input);
    is_denied_on_record(&column, ("call_deep", call), "deeper than 64 levels");
}

pub(crate) fn an_id_is_any_text<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "*")]) else {
        return;
    };
    let ids = ["call_1|fc_2/x@y", "../an id \u{e9}"];
    let calls = ids.map(|id| vec![C::bash(id, "echo ran >> made")]);
    let model = C::model(calls.into());
    column.run(&model).run().succeeded();
    assert_eq!(column.world().get("made").as_deref(), Some("ran\nran\n"));
    column.each_decided(&ids);
}

pub(crate) fn an_argument_given_twice_is_decided_as_it_runs<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "Bash")]) else {
        return;
    };
    let twice = raw(r#"{"command":"touch one","command":"touch two"}"#);
    let model = C::model(vec![vec![C::call("call_x", "Bash", &twice)]]);
    column.run(&model).run().succeeded();
    ran_as_decided(column.world(), "tool_call.allow");
    column.each_decided(&["call_x"]);
}

/// Asserts that of `touch one` and `touch two` the one ran that this event decided.
pub(crate) fn ran_as_decided(world: &World, kind: &str) {
    let decided = world.event(kind);
    let command = decided["payload"]["args"]["command"].as_str().unwrap();
    for name in ["one", "two"] {
        let ran = command == format!("touch {name}");
        assert_eq!(world.get(name).is_some(), ran, "{name}");
    }
}

pub(crate) fn links_lead_nowhere<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "*")]) else {
        return;
    };
    let world = column.world();
    let home = world.agp_home();
    symlink(&home, world.repo().join("planted-before")).unwrap();
    let key = home.join("signing/journal-ed25519.key");
    let secret = fs::read_to_string(&key).unwrap();
    let secret = secret.lines().nth(1).unwrap().to_owned();
    let policy = fs::read_to_string(home.join("policy.json")).unwrap();
    let plant = format!(
        "ln -s {home} agp-home; ln -s {key} key; ln -s /etc etc; ln -s {home}/policy.json policy",
        home = home.display(),
        key = key.display()
    );
    let read = |id: &str, name: &str| C::call(id, "Read", &json!({"file_path": world.path(name)}));
    let write = |id: &str, name: &str| column.write(id, name, "planted\n");
    let grep = json!({
        "pattern": ".", "path": world.path("planted-before"), "output_mode": "content",
    });
    let calls = vec![
        read("call_1", "key"),
        read("call_2", "planted-before/signing/journal-ed25519.key"),
        write("call_3", "policy"),
        write("call_4", "agp-home/planted"),
        write("call_5", "etc/agp-planted"),
        C::bash("call_6", "cat key agp-home/policy.json; echo x > policy"),
        C::bash(
            "call_7",
            "echo x > etc/agp-planted; echo x > agp-home/planted",
        ),
        C::call("call_8", "Grep", &grep),
        C::call("call_9", "Glob", &json!({"pattern": "**/*.key"})),
    ];
    let count = calls.len();
    let model = C::model(vec![vec![C::bash("call_plant", &plant)], calls]);
    column.run(&model).run().succeeded();
    for number in 1..=count {
        let text = C::told(&model, &format!("call_{number}"));
        for own in [secret.as_str(), "\"rules\"", "BEGIN"] {
            assert!(!text.contains(own), "{number}: {text}");
        }
    }
    let found = C::told(&model, "call_9");
    assert!(!found.contains("ed25519.key"), "{found}");
    assert_eq!(
        fs::read_to_string(home.join("policy.json")).unwrap(),
        policy
    );
    assert!(!Path::new("/etc/agp-planted").exists());
    assert!(!home.join("planted").exists());
    let all = count as u64 + 1;
    assert_eq!(world.census(), [all, all, 0]);
    world.verifies();
}

pub(crate) fn what_a_call_leaves_running_ends_at_its_deadline<C: Mediated>() {
    let Some(column) = C::by(&[("allow", "Bash")]) else {
        return;
    };
    let world = column.world();
    let command = "setsid sh -c '(sleep 3; touch late) & touch forked' & sleep 30; touch after";
    let slow = json!({"command": command, "timeout": 1000});
    let model = C::model(vec![
        vec![C::call("call_slow", "Bash", &slow)],
        vec![C::bash("call_wait", "sleep 4; ls")],
    ]);
    column.run(&model).run().succeeded();
    let told = C::told(&model, "call_slow");
    assert!(told.contains("killed at its deadline"), "{told}");
    assert!(world.get("forked").is_some());
    assert_eq!((world.get("late"), world.get("after")), (None, None));
    column.each_decided(&["call_slow", "call_wait"]);
}
