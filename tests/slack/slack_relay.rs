//! Many sessions on one app: Slack hands each click to any one connection, and each session decides its own all the
//! same. A click that nobody took is not acknowledged: whoever clicked sees that it failed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{asking, session, slack, slack_world};

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use agp::channels::slack::Reason;
use agp::contracts::channel::Answer;
use asking::{ALICE, Asking, LONG, Name, STRANGER, allow, given, granted_by, person};
use serde_json::{Value, json};
use session::{Live, Start};
use slack::{APP, CHANNEL, Click, Fault, SlackDouble, TEAM};
use slack_world::Governed;

/// A home in which sessions run, each with a journal of its own.
struct Home {
    name: &'static str,
    sessions: PathBuf,
}

impl Home {
    fn new(name: &'static str) -> Self {
        let sessions = asking::directory();
        Self { name, sessions }
    }

    fn session(&self, double: &SlackDouble, session: &str) -> Asking {
        let name = Name {
            home: self.name,
            session,
            sessions: self.sessions.clone(),
        };
        let directory = asking::directory();
        asking::started_as(name, &directory, given(double, &[ALICE], 1)).unwrap()
    }

    fn socket(&self, session: &str) -> PathBuf {
        self.sessions.join(format!("{session}.clicks"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.sessions);
    }
}

fn double() -> SlackDouble {
    let double = SlackDouble::start();
    double.allow_bursts();
    double
}

fn warned(asking: &Asking, what: &str) {
    session::wait_for(what, || asking.warned(what).then_some(()));
}

/// A click of Alice's on a card's button that names this session.
fn on_card_of(name: &str) -> Click {
    let button = slack::Button {
        ts: "1700000000.999999".into(),
        block: name.into(),
        action: "allow".into(),
        value: "0123".into(),
    };
    Click::of(&button, ALICE)
}

/// So many sessions of one home play this.
fn at_once(governed: &Governed, commands: &[&str], count: usize) -> Vec<Live> {
    // The script is written before any of them reads it.
    let starts = (0..count).map(|_| governed.play(commands, &[]));
    let starts: Vec<_> = starts.collect();
    starts.into_iter().map(Start::start).collect()
}

#[test]
fn twelve_of_twelve_are_decided_in_three_sessions_at_once() {
    let governed = Governed::by(double(), &[("require", "Bash")]);
    let double = &governed.double;
    let commands = ["echo 1", "echo 2", "echo 3", "echo 4"];
    let sessions = at_once(&governed, &commands, 3);
    for at in 0..12 {
        double.insist(&allow(double, at, ALICE));
    }
    for session in sessions {
        session.finish().succeeded().said(&["4 allowed, 0 denied"]);
    }
    let granted = governed.world.events("approval.granted");
    assert_eq!(granted.len(), 12);
    assert!(governed.world.events("approval.rejected").is_empty());
    // One at a time, and one more while the next one takes over.
    assert!(double.most_sockets() <= 2, "{}", double.most_sockets());
    governed.world.verifies();
    let left = fs::read_dir(governed.world.agp_home().join("sessions")).unwrap();
    let left = left.flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left
        .filter(|name| !name.to_string_lossy().ends_with(".lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_next_session_takes_over_when_the_one_that_has_the_connection_is_killed() {
    let governed = Governed::by(double(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    let holder = governed.play(&["echo no"], &[]).start();
    double.card(0);
    let killed = session::Process::of(world.lease().pid).unwrap();
    let commands = ["echo 1", "echo 2", "echo 3"];
    let others = at_once(&governed, &commands, 2);
    // One is decided, one is in flight, and all later ones come by the new connection.
    double.card(2);
    double.acked(&double.deal(&allow(double, 1, ALICE)));
    let in_flight = double.deal(&allow(double, 2, ALICE));
    killed.kill("-9");
    drop(holder);
    double.wait("another connection", |double| {
        (double.sockets() == 2 && double.open_sockets() == 1).then_some(())
    });
    if !double.is_acked(&in_flight) {
        double.fails(&in_flight);
        // Whoever clicked sees that, and clicks again.
        double.insist(&allow(double, 2, ALICE));
    }
    for at in 3..7 {
        double.insist(&allow(double, at, ALICE));
    }
    for session in others {
        session.finish().succeeded().said(&["3 allowed, 0 denied"]);
    }
    assert_eq!(world.events("approval.granted").len(), 6);
    assert!(double.most_sockets() <= 2);
}

#[test]
fn nine_sessions_have_one_connection_and_two_during_a_refresh() {
    let (double, home) = (double(), Home::new("home"));
    let mut sessions: Vec<Asking> = (0..9)
        .map(|at| home.session(&double, &format!("s-{at}")))
        .collect();
    assert_eq!((double.sockets(), double.most_sockets()), (1, 1));
    assert_eq!(double.calls("apps.connections.open"), 1);
    double.disconnect(0, "refresh_requested");
    double.wait("the new connection", |double| {
        (double.sockets() == 2 && double.open_sockets() == 1).then_some(())
    });
    // The one that had it ends, and another one goes on.
    drop(sessions.remove(0));
    double.wait("the next session's", |double| {
        (double.sockets() == 3 && double.open_sockets() == 1).then_some(())
    });
    let asked = sessions[7].request("m1", "ls", LONG);
    double.deal(&allow(&double, 0, ALICE));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    assert!(double.most_sockets() <= 2, "{}", double.most_sockets());
    let others = sessions.iter().any(|one| one.warned("other connection"));
    assert!(!others);
}

#[test]
fn a_click_of_another_home_fails_and_that_home_is_told() {
    let double = double();
    let (here, there) = (Home::new("here"), Home::new("there"));
    let ours = here.session(&double, "s-1");
    let theirs = there.session(&double, "s-2");
    warned(&theirs, "1 other connection to this app");
    let asked = ours.request("m1", "ls", LONG);
    let click = allow(&double, 0, ALICE);
    let lost = double.click_on(1, &click);
    double.fails(&lost);
    warned(
        &theirs,
        "got a click for session s-1 of another home or machine",
    );
    warned(&theirs, "Use one app per machine");
    // It can still be decided, where it is heard.
    assert!(double.card(0).button("allow").is_some());
    double.click_on(0, &click);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    theirs.rejected(&[]);
}

#[test]
fn a_click_that_is_nobodys_is_acknowledged_and_on_record() {
    let (double, home) = (double(), Home::new("home"));
    let holder = home.session(&double, "s-1");
    let gone = double.click(&on_card_of("agp.home.s-gone.0123"));
    double.acked(&gone);
    holder.rejected(&[Reason::UnknownNonce]);
    // One that was killed leaves its socket behind.
    drop(UnixListener::bind(home.socket("s-killed")).unwrap());
    let killed = double.click(&on_card_of("agp.home.s-killed.0123"));
    double.acked(&killed);
    holder.rejected(&[Reason::UnknownNonce, Reason::UnknownNonce]);
}

#[test]
fn a_session_that_hangs_keeps_no_other_click_waiting() {
    let (double, home) = (double(), Home::new("home"));
    let holder = home.session(&double, "s-1");
    let other = home.session(&double, "s-2");
    let _hangs = UnixListener::bind(home.socket("s-hangs")).unwrap();
    let asked = other.request("m1", "ls", LONG);
    let click = allow(&double, 0, ALICE);
    let name = on_card_of("agp.home.s-hangs.0123");
    let failed: Vec<String> = (0..40).map(|_| double.click(&name)).collect();
    // The double minds what is acknowledged after 3 s.
    double.acked(&double.click(&click));
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
    for id in &failed {
        double.fails(id);
    }
    warned(&holder, "session s-hangs did not take a click");
    holder.rejected(&[]);
}

#[test]
fn a_form_goes_to_its_session() {
    let (double, home) = (double(), Home::new("home"));
    let holder = home.session(&double, "s-1");
    let other = home.session(&double, "s-2");
    let asked = other.request("m1", "ls", LONG);
    let button = double.card(0).button("deny-with-reason").unwrap();
    double.click(&Click::of(&button, ALICE));
    let form = double.wait("the form", |double| double.views().pop());
    double.acked(&double.click(&Click::sent(&form, STRANGER, "I was not asked")));
    other.rejected(&[Reason::Stranger]);
    double.acked(&double.click(&Click::sent(&form, ALICE, "not on Fridays")));
    let Answer::Denied { by, reason, .. } = asked.join().unwrap() else {
        panic!("it was not denied");
    };
    assert_eq!(
        (by, reason.as_deref()),
        (person(ALICE), Some("not on Fridays"))
    );
    holder.rejected(&[]);
}

/// Writes this to a session's socket; gives what it says.
fn said_to(home: &Home, session: &str, text: &str) -> String {
    let mut stream = UnixStream::connect(home.socket(session)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // A line that is too long is not read to its end.
    let _ = stream.write_all(text.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_forged_line_decides_nothing() {
    let (double, home) = (double(), Home::new("home"));
    let holder = home.session(&double, "s-1");
    let asked = holder.request("m1", "ls", LONG);
    let good = allow(&double, 0, ALICE);
    let button = double.card(0).button("allow").unwrap();
    let line = |session: &str, user: &str, value: &str| {
        json!({"session": session, "click": {
            "envelope": format!("forged-{user}-{value}"), "app": APP, "user": user, "name": "",
            "team": TEAM, "isBot": false, "channel": CHANNEL, "message": button.ts, "author": "",
            "block": button.block, "action": "allow", "value": value, "trigger": "t", "form": null,
        }})
    };
    let whole = |line: &Value| format!("{line}\n");
    for text in [
        "\n".to_owned(),
        "{}\n".to_owned(),
        whole(&line("s-2", ALICE, &button.value)),
        format!("{}\n{}\n", line("s-1", ALICE, "0"), line("s-1", ALICE, "1")),
        "x".repeat(1 << 20),
        // Without an end, until the session has no more patience.
        line("s-1", ALICE, &button.value).to_string(),
    ] {
        assert_eq!(said_to(&home, "s-1", &text), "", "{text:.100}");
    }
    for (user, value) in [(STRANGER, button.value.as_str()), (ALICE, "0123")] {
        let answer = said_to(&home, "s-1", &whole(&line("s-1", user, value)));
        assert_eq!(answer, "{\"taken\":true}\n");
    }
    holder.rejected(&[Reason::Stranger, Reason::UnknownNonce]);
    double.click(&good);
    assert_eq!(asked.join().unwrap(), granted_by(ALICE));
}

#[test]
fn where_slack_is_gone_every_session_of_the_home_finds_out() {
    let (double, home) = (double(), Home::new("home"));
    let holder = home.session(&double, "s-1");
    let other = home.session(&double, "s-2");
    let asked = other.request("m1", "ls", LONG);
    double.card(0);
    double.fault_always("apps.connections.open", Some(Fault::Code("invalid_auth")));
    double.disconnect(0, "link_disabled");
    assert!(matches!(asked.join().unwrap(), Answer::Unreachable(_)));
    assert!(holder.warned("Socket Mode is disabled") && other.warned("invalid_auth"));
}
