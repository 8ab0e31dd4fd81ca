//! A governor that is killed while it posts: wherever that was, its card can do nothing after the next start, and of
//! many starts at once one sees to each thing that was left.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{session, slack, slack_world};

use std::fs;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use session::{Live, Process, all_gone};
use slack::{CHANNEL, Moment, SlackDouble};
use slack_world::{ALICE, Governed, allow};

/// How long a session may take to come to its end.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a card says whose session is over.
const OVER: &str = "Expired: the session ended";

/// Where in a post a session is killed.
#[derive(Debug, Clone, Copy)]
enum Step {
    Post(Moment),
    /// As soon as the outbox has the card.
    Kept,
    Buttons(Moment),
    /// This many milliseconds after Slack has answered the post.
    After(u64),
}

const STEPS: [Step; 10] = [
    Step::Post(Moment::Asked),
    Step::Post(Moment::Doing),
    Step::Post(Moment::Done),
    Step::Post(Moment::Answered),
    Step::Kept,
    Step::Buttons(Moment::Asked),
    Step::Buttons(Moment::Doing),
    Step::Buttons(Moment::Done),
    Step::Buttons(Moment::Answered),
    Step::After(0),
];
const ROUNDS: usize = 10;

fn governed() -> Governed {
    let governed = Governed::by(
        SlackDouble::start(),
        &[("require", "Bash"), ("allow", "Read")],
    );
    governed.double.allow_bursts();
    governed
}

/// A session that plays these calls, from a script of its own.
fn play(governed: &Governed, name: &str, tool: &str, args: &Value) -> Live {
    let script = format!("{name}.jsonl");
    let call = json!({"tool": tool, "args": args});
    governed.world.put(&script, &call.to_string());
    let run = ["run", "--script", &script, "--sandbox", "recording"];
    governed.agp(&run).start()
}

/// A session that asks, and is killed there.
fn killed(governed: &Governed, name: &str, step: Step) {
    let command = format!("echo {name}");
    let live = play(governed, name, "Bash", &json!({"command": command}));
    let process = Process::of(live.pid()).unwrap();
    let (killed, was_killed) = channel();
    let kill = move || {
        process.kill("-9");
        all_gone([&process]);
        killed.send(()).unwrap();
    };
    let double = &governed.double;
    let (post, update) = ("chat.postMessage", "chat.update");
    match step {
        Step::Post(moment) => double.at(post, &[&command, "Preparing"], moment, kill),
        Step::Buttons(moment) => {
            double.at(update, &[&command, "\"type\":\"actions\""], moment, kill);
        }
        Step::After(pause) => double.at(
            post,
            &[&command, "Preparing"],
            Moment::Answered,
            move || {
                thread::sleep(Duration::from_millis(pause));
                kill();
            },
        ),
        Step::Kept => {
            let is_it = |message: &slack::Posted| message.text().contains(&command);
            let ts = double.wait("the card", |double| {
                double.messages().into_iter().find(is_it)
            });
            let outbox = governed.world.agp_home().join("outbox.json");
            double.wait("its entry", |_| {
                let text = fs::read_to_string(&outbox).unwrap_or_default();
                text.contains(&ts.ts).then_some(())
            });
            kill();
        }
    }
    was_killed
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| panic!("{step:?}: {}", live.seen()));
}

/// As many starts at the same time, each to its end.
fn starts(governed: &Governed, name: &str, count: usize) {
    let all: Vec<Live> = (0..count)
        .map(|number| {
            let name = format!("{name}-{number}");
            play(governed, &name, "Read", &json!({"file_path": "a"}))
        })
        .collect();
    for live in all {
        live.finish().succeeded().said(&["1 allowed, 0 denied"]);
    }
}

fn outbox(governed: &Governed) -> String {
    fs::read_to_string(governed.world.agp_home().join("outbox.json")).unwrap_or_default()
}

/// As many sessions at once, each killed at its step, and none before all of them have a card to post: a start
/// sees to what was left before it.
fn killed_together(governed: &Governed, round: &str, steps: &[Step]) {
    let all = Arc::new(Barrier::new(steps.len()));
    thread::scope(|scope| {
        for (at, step) in steps.iter().enumerate() {
            let name = format!("{round}-{at}");
            let (command, all) = (format!("echo {name}"), Arc::clone(&all));
            let hold = move || {
                all.wait();
            };
            governed.double.at(
                "chat.postMessage",
                &[&command, "Preparing"],
                Moment::Coming,
                hold,
            );
            scope.spawn(move || killed(governed, &name, *step));
        }
    });
}

#[test]
fn a_hundred_kills_within_a_post_leave_no_buttons_after_the_next_start() {
    let governed = governed();
    let (mut kills, mut armed) = (0, 0);
    for round in 0..ROUNDS {
        let pause = u64::try_from(round).unwrap() * 3;
        for (half, steps) in STEPS.chunks(5).enumerate() {
            let steps: Vec<Step> = steps
                .iter()
                .map(|step| match step {
                    Step::After(_) => Step::After(pause),
                    step => *step,
                })
                .collect();
            let name = format!("kill-{round}-{half}");
            killed_together(&governed, &name, &steps);
            kills += steps.len();
            armed += governed.double.armed().len();
            // Once one alone, and once three that start together.
            starts(&governed, &format!("next-{name}"), 1 + half * 2);
            let left = governed.double.armed();
            assert!(left.is_empty(), "{name}: {left:#?}");
            assert_eq!(outbox(&governed), "{\"entries\":[]}", "{name}");
        }
    }
    assert_eq!(kills, 100);
    // Three of the ten steps leave buttons for certain.
    assert!(armed >= 3 * ROUNDS, "{armed}");
    // The double has noted any that was armed twice; each was closed once.
    for card in governed.double.cards() {
        assert_eq!(card.said(OVER), 1, "{card:#?}");
    }
    governed.world.verifies();
}

#[test]
fn of_three_starts_at_once_one_sees_to_each_thing_that_was_left() {
    let governed = governed();
    killed_together(&governed, "left", &[Step::Buttons(Moment::Done); 3]);
    assert_eq!(governed.double.armed().len(), 3);
    // What they had to say besides, and what an earlier version wrote.
    let file = governed.world.agp_home().join("outbox.json");
    let mut outbox: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let entries = outbox["entries"].as_array_mut().unwrap();
    for number in 0..6 {
        entries.push(json!({
            "id": format!("id-{number}"), "session": format!("s-dead-{}", number / 2),
            "channel": CHANNEL, "ts": null, "thread": null, "text": format!("word-{number}."),
        }));
    }
    fs::write(&file, outbox.to_string()).unwrap();
    starts(&governed, "next", 3);
    let messages = governed.double.messages();
    for card in governed.double.cards() {
        assert!(!card.is_armed());
        assert_eq!(card.said(OVER), 1);
    }
    let said_at = |number: usize| {
        let part = format!("word-{number}.");
        let all: Vec<_> = messages
            .iter()
            .filter(|message| message.said(&part) > 0)
            .collect();
        assert_eq!(all.len(), 1, "{part}");
        all[0].at
    };
    // Those of one session in their order.
    for first in [0, 2, 4] {
        assert!(said_at(first) < said_at(first + 1));
    }
    assert_eq!(self::outbox(&governed), "{\"entries\":[]}");
}

#[test]
fn a_claim_of_a_start_that_was_killed_is_the_next_ones() {
    let governed = governed();
    killed(&governed, "first", Step::Buttons(Moment::Done));
    assert_eq!(governed.double.armed().len(), 1);
    // The next start claims the card, and is killed before it has said so to Slack.
    let (killed_too, was_killed) = channel();
    let live = play(
        &governed,
        "second",
        "Bash",
        &json!({"command": "echo second"}),
    );
    let process = Process::of(live.pid()).unwrap();
    governed
        .double
        .at("chat.update", &[OVER], Moment::Asked, move || {
            process.kill("-9");
            all_gone([&process]);
            killed_too.send(()).unwrap();
        });
    was_killed.recv_timeout(PATIENCE).unwrap();
    drop(live);
    assert!(outbox(&governed).contains("claimedBy"));
    starts(&governed, "third", 1);
    assert!(governed.double.armed().is_empty());
    assert_eq!(outbox(&governed), "{\"entries\":[]}");
    // What is asked after all this is answered as ever.
    let live = play(&governed, "last", "Bash", &json!({"command": "echo last"}));
    let at = governed.double.wait("the last card", |double| {
        let all = double.cards();
        all.iter()
            .position(|card| card.text().contains("echo last"))
    });
    governed.double.click(&allow(&governed.double, at, ALICE));
    live.finish().succeeded().said(&["1 allowed, 0 denied"]);
}

#[test]
fn last_words_are_a_sessions_own_as_long_as_it_says_them() {
    let governed = governed();
    let (came, has_come) = channel();
    let (go, wait) = channel::<()>();
    let hold = move || {
        came.send(()).unwrap();
        let _ = wait.recv_timeout(PATIENCE);
    };
    let end = "The session has ended.";
    governed
        .double
        .at("chat.postMessage", &[end], Moment::Coming, hold);
    let first = play(&governed, "first", "Read", &json!({"file_path": "a"}));
    has_come.recv_timeout(PATIENCE).unwrap();
    // Its end is on record, and Slack has not taken its last message yet.
    assert_eq!(governed.world.events("session.ended").len(), 1);
    starts(&governed, "second", 1);
    let messages = governed.double.messages();
    assert!(
        messages
            .iter()
            .all(|message| message.said("delayed message") == 0)
    );
    go.send(()).unwrap();
    first.finish().succeeded();
    let messages = governed.double.messages();
    let ends = messages.iter().filter(|message| message.said(end) > 0);
    assert_eq!(ends.count(), 2);
    assert_eq!(outbox(&governed), "{\"entries\":[]}");
}
