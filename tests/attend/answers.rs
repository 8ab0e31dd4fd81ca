//! What a session takes for an answer, by clients that say what they like.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::thread;

use serde_json::{Value, json};

use crate::support::attendee::{Attendee, answer, asks, socket, sockets, waiting};
use crate::support::session::{Process, World, all_gone, python, wait_for};

/// Calls that were allowed and denied.
fn counted(world: &World) -> [u64; 2] {
    let ended = &world.event("session.ended")["payload"];
    ["allowed", "denied"].map(|name| ended[name].as_u64().unwrap())
}

/// The codes of what was rejected.
fn rejected(world: &World) -> Vec<String> {
    let events = world.events("approval.rejected");
    let reasons = events
        .iter()
        .map(|event| event["payload"]["reason"].as_str());
    reasons.map(|reason| reason.unwrap().to_owned()).collect()
}

fn once() -> Value {
    json!({"approve": "once"})
}

fn deny(reason: Option<&str>) -> Value {
    json!({"deny": {"reason": reason}})
}

#[test]
fn a_session_without_a_terminal_waits_and_is_answered_from_elsewhere() {
    let world = World::new();
    let mut live = waiting(&world, &["make one", "make two"]);
    live.see("waiting for an answer: agp attend s-");
    let socket = socket(&world);
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    let directory = fs::metadata(socket.parent().unwrap()).unwrap();
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);

    let mut attendee = Attendee::connect(&socket);
    attendee.say(&json!({"type": "attach", "protocol": 1, "answers": true}));
    let hello = attendee.next();
    let origin = &hello["origin"];
    assert_eq!(origin["repository"], world.repo().to_str().unwrap());
    assert_eq!(origin["harness"], "script");
    let first = attendee.see("question");
    assert_eq!(first["question"]["number"], 1);
    assert_eq!(first["elsewhere"], json!([]));
    assert!(first["secondsLeft"].as_u64().unwrap() > 0);
    let text = first["question"]["view"]["blocks"][0]["lines"][0]["text"].as_str();
    assert_eq!(text, Some("make one"));
    attendee.answer(&first, &once());
    let settled = attendee.see("settled");
    assert_eq!(settled["number"], 1);
    assert!(
        settled["words"]
            .as_str()
            .unwrap()
            .starts_with("approved by ")
    );
    // Whoever attends is shown what the terminal shows.
    let line = attendee.see("line");
    assert!(
        line["text"]
            .as_str()
            .unwrap()
            .starts_with("approved Bash make one")
    );
    let second = attendee.see("question");
    attendee.answer(&second, &deny(Some("not today")));
    let rest = attendee.rest();
    assert_eq!(rest.last().unwrap()["type"], "ended", "{rest:?}");

    let ran = live.finish().succeeded();
    // Nobody has to be told who attends already.
    assert_eq!(
        ran.err.matches("waiting for an answer: agp attend").count(),
        1,
        "{}",
        ran.err
    );
    let granted = world.event("approval.granted");
    let payload = &granted["payload"];
    assert_eq!(payload["channel"], "attend");
    assert_eq!(granted["approval_binding_type"], "attend");
    let own = std::process::id();
    assert_eq!(payload["peer"]["pid"], own);
    assert_eq!(payload["peer"]["uid"], rustix::process::geteuid().as_raw());
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let start: u64 = fields.split(' ').nth(19).unwrap().parse().unwrap();
    assert_eq!(payload["peer"]["startTicks"], start);
    assert_eq!(payload["decidedBy"], granted["on_behalf_of"]);
    let denied = world.event("approval.denied");
    assert_eq!(denied["payload"]["reason"], "not today");
    assert_eq!(denied["payload"]["peer"]["pid"], own);
    assert_eq!(counted(&world), [1, 1]);
    let started = world.event("session.started");
    assert_eq!(started["payload"]["attend"], "waits");
    world.verifies();
    assert_eq!(sockets(&world).len(), 0);
}

#[test]
fn time_runs_from_when_whoever_attends_says_that_a_question_was_seen() {
    let world = World::new();
    let mut live = waiting(&world, &["make one"]);
    live.see("waiting for an answer: agp attend s-");
    let mut first = Attendee::attend(&world);
    let question = first.see("question");
    let once_seen = question["secondsOnceSeen"].as_u64().unwrap();
    // It was sent, and nobody says that it stands on a screen.
    let mut second = Attendee::attend(&world);
    let sent = second.see("question");
    assert!(sent["secondsLeft"].as_u64().unwrap() > once_seen);
    first.say(&json!({"type": "seen", "number": 1}));
    first.say(&json!({"type": "grants"}));
    let _ = first.see("grants");
    let mut third = Attendee::attend(&world);
    let question = third.see("question");
    assert!(question["secondsLeft"].as_u64().unwrap() <= once_seen);
    // What was never sent here was not seen here.
    second.say(&json!({"type": "seen", "number": 2}));
    assert_eq!(second.see("rejected")["number"], Value::Null);
    let _ = second.rest();
    assert_eq!(rejected(&world), ["malformed"]);
    // When the last one leaves, the operator is told again.
    drop(first);
    drop(third);
    live.see_times("waiting for an answer: agp attend s-", 2);
    let mut last = Attendee::attend(&world);
    let question = last.see("question");
    last.answer(&question, &once());
    let rest = last.rest();
    // That is no news to who attends.
    assert!(
        rest.iter()
            .all(|message| !message.to_string().contains("waiting for"))
    );
    live.finish().succeeded();
}

#[test]
fn without_being_told_to_wait_it_denies_at_once_unless_somebody_attends() {
    let world = World::new();
    let ran = asks(&world, &["make one"], &[]).run();
    assert!(!ran.err.contains("waiting for"), "{}", ran.err);
    let denied = world.event("approval.denied");
    let reason = denied["payload"]["reason"].as_str().unwrap();
    assert!(reason.contains("--attend"), "{reason}");

    // By the configuration it waits.
    fs::write(
        world.agp_home().join("config.json"),
        r#"{"approval":{"attend":true}}"#,
    )
    .unwrap();
    let mut live = asks(&world, &["make one"], &[]).start();
    live.see("waiting for an answer: agp attend");
    let mut attendee = Attendee::attend(&world);
    let question = attendee.see("question");
    attendee.answer(&question, &once());
    live.finish().succeeded();
    fs::remove_file(world.agp_home().join("config.json")).unwrap();

    // Nobody has said that it waits, but somebody is there when the question comes.
    world.policy(&[("allow", "Bash"), ("require", "Write")]);
    let until = "until test -e go; do sleep 0.05; done";
    let write = json!({"tool": "Write", "args": {"file_path": world.path("new"), "content": "x"}});
    let bash = json!({"tool": "Bash", "args": {"command": until}});
    world.put("calls.jsonl", &format!("{bash}\n{write}\n"));
    let live = world
        .agp(&["run", "--script", "calls.jsonl", "--sandbox", "process"])
        .start();
    let mut attendee = Attendee::attend(&world);
    world.put("go", "");
    let question = attendee.see("question");
    attendee.answer(&question, &once());
    live.finish().succeeded();
    assert_eq!(world.get("new").as_deref(), Some("x"));
}

#[test]
fn only_an_answer_to_what_was_sent_counts_and_all_else_is_on_record() {
    let world = World::new();
    let live = waiting(&world, &["make one", "make two"]);
    let mut attendee = Attendee::attend(&world);
    let question = attendee.see("question");
    let good = answer(&question, &once());
    let with = |name: &str, value: Value| {
        let mut forged = good.clone();
        forged[name] = value;
        forged
    };
    let zeros = json!("0".repeat(64));
    for (forged, words) in [
        (with("nonce", json!("0".repeat(32))), "does not belong"),
        (with("viewSha256", zeros), "something else"),
        (with("number", json!(2)), "no such question"),
        (
            with(
                "verdict",
                json!({"approve": {"session": {"pattern": false, "minutes": null}}}),
            ),
            "offers no yes",
        ),
        (with("verdict", deny(Some(&"x".repeat(1025)))), "too long"),
    ] {
        attendee.say(&forged);
        let rejected = attendee.see("rejected");
        assert!(
            rejected["words"].as_str().unwrap().contains(words),
            "{rejected}"
        );
    }
    attendee.say(&good);
    let _ = attendee.see("settled");
    // The same once more: that question is over.
    attendee.say(&good);
    let _ = attendee.see("rejected");
    let second = attendee.see("question");
    // The nonce of another question, and a view of another.
    let mut crossed = answer(&question, &once());
    crossed["number"] = second["question"]["number"].clone();
    attendee.say(&crossed);
    let _ = attendee.see("rejected");
    // Too many of them: nobody is listened to for long who guesses.
    attendee.say(&with("number", json!(9)));
    let rest = attendee.rest();
    assert_eq!(rest.last().unwrap()["type"], "rejected", "{rest:?}");
    let mut other = Attendee::attend(&world);
    let again = other.see("question");
    other.answer(&again, &deny(None));
    live.finish().succeeded();
    assert_eq!(
        rejected(&world),
        [
            "wrong-nonce",
            "other-view",
            "unknown-question",
            "not-offered",
            "long-reason",
            "unknown-question",
            "wrong-nonce",
            "unknown-question",
        ]
    );
    let events = world.events("approval.rejected");
    assert_eq!(events[0]["payload"]["channel"], "attend");
    assert_eq!(events[0]["payload"]["number"], 1);
    assert_eq!(events[0]["payload"]["peer"]["pid"], std::process::id());
    assert_eq!(events[0]["on_behalf_of"], Value::Null);
    assert_eq!(counted(&world), [1, 1]);
    world.verifies();
}

#[test]
fn another_sessions_answer_is_none_here() {
    let [here, there] = [World::new(), World::new()];
    let sessions = [&here, &there].map(|world| waiting(world, &["make one"]));
    let mut attendees = [&here, &there].map(Attendee::attend);
    let questions = attendees
        .each_mut()
        .map(|attendee| attendee.see("question"));
    let [ours, theirs] = &mut attendees;
    ours.answer(&questions[1], &once());
    let _ = ours.see("rejected");
    ours.answer(&questions[0], &deny(None));
    theirs.answer(&questions[1], &once());
    for session in sessions {
        session.finish().succeeded();
    }
    assert_eq!(rejected(&here), ["wrong-nonce"]);
    assert_eq!([counted(&here), counted(&there)], [[0, 1], [1, 0]]);
}

#[test]
fn of_two_who_answer_at_once_one_counts_and_the_other_is_told() {
    for _ in 0..3 {
        let world = World::new();
        let live = waiting(&world, &["make one"]);
        let mut attendees = [(); 4].map(|()| Attendee::attend(&world));
        let questions = attendees
            .each_mut()
            .map(|attendee| attendee.see("question"));
        let gate = std::sync::Barrier::new(4);
        let verdicts = [once(), deny(None), once(), deny(None)];
        thread::scope(|scope| {
            for ((attendee, question), verdict) in
                attendees.iter_mut().zip(&questions).zip(&verdicts)
            {
                let gate = &gate;
                scope.spawn(move || {
                    gate.wait();
                    attendee.answer(question, verdict);
                });
            }
        });
        let words = attendees.each_mut().map(|attendee| {
            let all = attendee.rest();
            let settled: Vec<&Value> = all.iter().filter(|one| one["type"] == "settled").collect();
            assert_eq!(settled.len(), 1, "{all:?}");
            let rejected = all.iter().filter(|one| one["type"] == "rejected").count();
            (settled[0]["words"].clone(), rejected)
        });
        live.finish().succeeded();
        assert!(words.iter().all(|(one, _)| *one == words[0].0), "{words:?}");
        assert_eq!(words.iter().map(|(_, rejected)| rejected).sum::<usize>(), 3);
        let granted = world.events("approval.granted").len();
        assert_eq!(granted + world.events("approval.denied").len(), 1);
        assert_eq!(world.events("tool_call.executed").len(), granted);
        assert_eq!(rejected(&world).len(), 3);
    }
}

#[test]
fn whoever_only_watches_answers_nothing_and_keeps_no_question_waiting() {
    let world = World::new();
    let live = waiting(&world, &["make one"]);
    let socket = socket(&world);
    let mut watcher = Attendee::connect(&socket);
    watcher.say(&json!({"type": "attach", "protocol": 1, "answers": false}));
    let question = watcher.see("question");
    assert_eq!(question["nonce"], Value::Null);
    let mut attendee = Attendee::attend_at(&socket);
    let put = attendee.see("question");
    watcher.answer(&put, &once());
    assert!(
        watcher.see("rejected")["words"]
            .as_str()
            .unwrap()
            .contains("only watches")
    );
    attendee.answer(&put, &deny(None));
    assert_eq!(watcher.see("settled")["number"], 1);
    live.finish().succeeded();
    assert_eq!(rejected(&world), ["read-only"]);
    assert_eq!(counted(&world), [0, 1]);
}

#[test]
fn what_is_no_message_ends_the_connection() {
    let world = World::new();
    let live = waiting(&world, &["make one"]);
    let socket = socket(&world);
    let attach = br#"{"type":"attach","protocol":1,"answers":true}"#;
    let twice = [&attach[..], b"\n", attach, b"\n"].concat();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\n",
        br#"{"type":"answer","number":1}"#,
        &twice,
        b"{\"type\":\"attach\",\"protocol\":1,\"answers\":true,\"x\":1}\n",
        &vec![b'x'; 20 << 10],
        &[&vec![b'['; 300][..], b"\n"].concat(),
    ] {
        let mut attendee = Attendee::connect(&socket);
        attendee.raw(bytes);
        if !bytes.contains(&b'\n') && bytes.len() < 1000 {
            attendee.raw(b"\n");
        }
        let rest = attendee.rest();
        assert_eq!(rest.last().unwrap()["type"], "rejected", "{rest:?}");
    }
    // Another version of the protocol is told so.
    let mut attendee = Attendee::connect(&socket);
    attendee.say(&json!({"type": "attach", "protocol": 2, "answers": true}));
    let rest = attendee.rest();
    assert!(
        rest.last().unwrap()["words"]
            .as_str()
            .unwrap()
            .contains("version"),
        "{rest:?}"
    );
    let mut attendee = Attendee::attend(&world);
    let question = attendee.see("question");
    attendee.answer(&question, &once());
    live.finish().succeeded();
    let reasons = rejected(&world);
    assert_eq!(reasons.len(), 7);
    assert!(
        reasons.iter().all(|reason| reason == "malformed"),
        "{reasons:?}"
    );
}

#[test]
fn nobody_waits_for_one_who_does_not_read_or_talks_without_end() {
    let world = World::new();
    let much = "x".repeat(600 << 10);
    let commands: Vec<String> = (0..12).map(|n| format!("make {n} {much}")).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let live = waiting(&world, &commands);
    // Never reads: what is sent to it stays behind.
    let deaf = Attendee::attend(&world);
    let mut attendee = Attendee::attend(&world);
    // Talks without end, and is cut off.
    let mut endless = Attendee::attend(&world);
    let talks = thread::spawn(move || {
        let guess = answer(
            &json!({"question": {"number": 9, "view": {}}, "nonce": "0"}),
            &once(),
        );
        while endless.say_if_heard(&guess) {}
    });
    talks.join().unwrap();
    for _ in &commands {
        let question = attendee.see("question");
        attendee.answer(&question, &once());
    }
    live.finish().succeeded();
    drop(deaf);
    assert_eq!(counted(&world), [12, 0]);
    assert_eq!(rejected(&world), ["unknown-question"; 8]);
}

#[test]
fn eight_may_attend_and_one_more_is_told() {
    let world = World::new();
    let live = waiting(&world, &["make one"]);
    let socket = socket(&world);
    let mut attendees: Vec<Attendee> = (0..8).map(|_| Attendee::attend_at(&socket)).collect();
    let mut late = Attendee::connect(&socket);
    let ended = late.next();
    assert!(
        ended["words"].as_str().unwrap().contains("8 terminals"),
        "{ended}"
    );
    assert_eq!(late.next_or_end(), None);
    drop(attendees.pop());
    let mut attendee = wait_for("a place", || {
        let mut attendee = Attendee::connect(&socket);
        attendee.say(&json!({"type": "attach", "protocol": 1, "answers": true}));
        (attendee.next_or_end()?["type"] == "hello").then_some(attendee)
    });
    let question = attendee.see("question");
    attendee.answer(&question, &once());
    live.finish().succeeded();
}

#[test]
fn a_killed_session_leaves_no_socket_behind_the_next_start() {
    let world = World::new();
    let live = waiting(&world, &["make one"]);
    let mut attendee = Attendee::attend(&world);
    let _ = attendee.see("question");
    let governor = Process::of(world.lease().pid).unwrap();
    governor.kill("-KILL");
    all_gone([&governor]);
    assert_eq!(attendee.next_or_end(), None);
    assert_eq!(sockets(&world).len(), 1);
    drop(live);
    asks(&world, &[], &[]).run().succeeded();
    assert_eq!(sockets(&world).len(), 0);
    assert_eq!(world.events("session.reaped").len(), 1);
}

#[test]
fn a_home_with_a_long_path_is_attended_too() {
    let world = World::new();
    let long = world.root().join("a".repeat(100)).join("b".repeat(100));
    fs::create_dir_all(long.parent().unwrap()).unwrap();
    fs::rename(world.agp_home(), &long).unwrap();
    std::os::unix::fs::symlink(&long, world.agp_home()).unwrap();
    let live = asks(&world, &["make one"], &["--attend"])
        .env("AGP_HOME", long.to_str().unwrap())
        .start();
    let socket = wait_for("a socket", || sockets(&world).pop());
    let socket = long.join("sessions").join(socket.file_name().unwrap());
    let mut attendee = Attendee::attend_at(&socket);
    let question = attendee.see("question");
    attendee.answer(&question, &once());
    live.finish().succeeded();
    assert_eq!(sockets(&world).len(), 0);
}

#[test]
fn nothing_is_attended_where_everything_is_approved() {
    let world = World::new();
    asks(&world, &["make one"], &["--attend"])
        .env("AGP_AUTO_APPROVE", "1")
        .run()
        .succeeded();
    let started = world.event("session.started");
    assert_eq!(started["payload"].get("attend"), None);
    let threads = &started["payload"]["confinement"]["threads"];
    assert_eq!(threads.get("attend"), None);
}

#[test]
fn a_terminal_and_one_who_attends_answer_the_same_question() {
    let Some(python) = python() else { return };
    for at_the_terminal in [true, false] {
        let world = World::new();
        let mut live = asks(&world, &["make one"], &[]).start_at_terminal(&python);
        live.see("Allow this call once?");
        let mut attendee = Attendee::attend(&world);
        let question = attendee.see("question");
        assert_eq!(question["elsewhere"], json!(["its own terminal"]));
        if at_the_terminal {
            live.type_in("y\n");
            let settled = attendee.see("settled");
            assert!(
                settled["words"]
                    .as_str()
                    .unwrap()
                    .starts_with("approved by ")
            );
        } else {
            attendee.answer(&question, &once());
        }
        live.finish().succeeded();
        let granted = world.event("approval.granted");
        let channel = if at_the_terminal { "console" } else { "attend" };
        assert_eq!(granted["payload"]["channel"], channel);
        assert_eq!(counted(&world), [1, 0]);
    }
}
