//! Who cannot reach a session's socket: whatever runs in a sandbox, and whatever a session started.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use std::process::Command;

use serde_json::{Value, json};

use crate::support::attendee::{Attendee, asks, socket, waiting};
use crate::support::session::{World, copy_program, put_program, python};

/// Tries to connect to a socket, also from its directory, and says how that went.
const TRY: &str = r#"
import os, socket, sys
path = sys.argv[1]
def tried(path):
    try:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        one.connect(path)
        return "reached"
    except OSError as error:
        return error.strerror
said = [tried(path)]
try:
    os.chdir(os.path.dirname(path))
    said.append(tried(os.path.basename(path)))
except OSError as error:
    said.append(error.strerror)
print("; ".join(said))
"#;

/// Every attempt came to an error of the kernel's.
fn is_refused(said: &str) {
    assert!(!said.is_empty());
    for attempt in said.trim_end().split(['\n', ';']) {
        let attempt = attempt.trim();
        let errors = [
            "No such file or directory",
            "Permission denied",
            "Operation not permitted",
        ];
        assert!(errors.contains(&attempt), "{said}");
    }
}

#[test]
fn in_the_process_sandbox_no_socket_is_reached_whoevers_it_is() {
    let Some(python) = python() else { return };
    let world = World::new();
    let waits = waiting(&world, &["make one"]);
    let mut attendee = Attendee::attend(&world);
    let question = attendee.see("question");
    let others = socket(&world);
    // From outside it is there.
    let outside = Command::new(&python)
        .args(["-c", TRY])
        .arg(&others)
        .output();
    let outside = String::from_utf8(outside.unwrap().stdout).unwrap();
    assert_eq!(outside, "reached; reached\n");

    world.policy(&[("allow", "Bash")]);
    world.put("try.py", TRY);
    let call = |command: String| json!({"tool": "Bash", "args": {"command": command}});
    let python = python.display();
    let sessions = world.agp_home().join("sessions");
    let lines = [
        call(format!("{python} try.py {} > others", others.display())),
        call(format!(
            "for one in {0}/*.attend {0}/s-0.attend; do {python} try.py $one; done > own",
            sessions.display()
        )),
    ];
    world.put(
        "tries.jsonl",
        &lines.map(|line| format!("{line}\n")).concat(),
    );
    let ran = world
        .agp(&["run", "--script", "tries.jsonl", "--sandbox", "process"])
        .run()
        .succeeded();
    for name in ["others", "own"] {
        let said = world
            .get(name)
            .unwrap_or_else(|| panic!("{}{}", ran.out, ran.err));
        assert!(
            !said.is_empty() && !said.contains("reached"),
            "{name}: {said}"
        );
    }
    // And its self-test has tried the same.
    let attested = world.event("sandbox.attested");
    assert_eq!(attested["payload"]["reached"], json!([]));
    attendee.answer(&question, &json!({"deny": {"reason": null}}));
    waits.finish().succeeded();
}

#[test]
fn a_harness_in_hook_mode_does_not_reach_it_either() {
    let Some(python) = python() else { return };
    let world = World::new();
    world.policy(&[("require", "Bash")]);
    world.put("try.py", TRY);
    let sessions = world.agp_home().join("sessions");
    let script = format!(
        "[ \"$1\" = --version ] && exec echo 2.1.330\n\
        touch started\n\
        while [ ! -e go ]; do sleep 0.05; done\n\
        {} try.py \"$(cat go)\" > said 2>&1\n\
        ls {} > listed 2>&1\n",
        python.display(),
        sessions.display(),
    );
    let live = world.stand_in(&script).start();
    crate::support::session::wait_for("the harness", || world.get("started"));
    world.put("to", socket(&world).to_str().unwrap());
    std::fs::rename(world.path("to"), world.path("go")).unwrap();
    let ran = live.finish();
    let said = world
        .get("said")
        .unwrap_or_else(|| panic!("{}{}", ran.out, ran.err));
    is_refused(&said);
    let listed = world.get("listed").unwrap();
    assert!(!listed.contains(".attend"), "{listed}");
}

#[test]
fn whatever_a_session_started_may_not_attend_wherever_it_runs() {
    let Some(python) = python() else { return };
    let world = World::new();
    let live = waiting(&world, &["make one"]);
    let mut attendee = Attendee::attend(&world);
    let question = attendee.see("question");
    // By its name what started it is a session's, and what it says is right otherwise.
    let bridge = world.root().join("agp-bridge");
    copy_program("/bin/sh", &bridge);
    let says = r#"
import socket, sys
one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
one.connect(sys.argv[1])
one.sendall(b'{"type":"attach","protocol":1,"answers":true}\n')
while True:
    got = one.recv(65536)
    if not got:
        break
    sys.stdout.write(got.decode())
"#;
    put_program(world.root().join("says.py"), says);
    let command = format!(
        "{} {} {}; true",
        python.display(),
        world.root().join("says.py").display(),
        socket(&world).display()
    );
    let output = Command::new(&bridge)
        .args(["-c", &command])
        .output()
        .unwrap();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["type"], "rejected", "{output:?}");
    attendee.answer(&question, &json!({"deny": {"reason": null}}));
    live.finish().succeeded();
    let rejected = world.event("approval.rejected");
    assert_eq!(rejected["payload"]["reason"], "own-process");
    assert!(rejected["payload"]["peer"]["pid"].as_u64().unwrap() > 0);
}

#[test]
fn a_repository_around_agps_home_is_refused_as_ever() {
    let world = World::new();
    let ran = asks(&world, &["make one"], &["--attend", "--sandbox", "process"])
        .arguments(&["--repo", world.root().to_str().unwrap()])
        .run();
    assert_eq!(ran.code(), 1, "{}", ran.err);
    assert!(
        ran.err.contains(world.agp_home().to_str().unwrap()),
        "{}",
        ran.err
    );
    assert_eq!(world.events("session.started").len(), 0);
}

#[test]
fn doctor_tries_it() {
    let world = World::new();
    let doctor = || world.agp(&["doctor", "--check", "attend"]).run();
    doctor()
        .succeeded()
        .said(&["attend", "ok", "no sandbox reaches "]);
    let sessions = world.agp_home().join("sessions");
    // Nothing stays behind.
    assert_eq!(std::fs::read_dir(&sessions).unwrap().count(), 0);
    let open = Command::new("chmod").arg("755").arg(&sessions).status();
    assert!(open.unwrap().success());
    doctor()
        .exited(1)
        .said(&["FAILED", "other users can enter", "chmod 700"]);
}

#[test]
fn a_connection_ends_with_the_process_that_made_it() {
    let Some(python) = python() else { return };
    let world = World::new();
    let live = waiting(&world, &["make one"]);
    let mut attendee = Attendee::attend(&world);
    let question = attendee.see("question");
    // Its child holds the connection on, and would answer.
    let hands_on = r#"
import os, socket, sys
one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
one.connect(sys.argv[1])
one.sendall(b'{"type":"attach","protocol":1,"answers":true}\n')
one.recv(1)
if os.fork():
    os._exit(0)
rest = 0
while True:
    got = one.recv(65536)
    if not got:
        break
    rest += len(got)
print("closed")
"#;
    let output = Command::new(&python)
        .args(["-c", hands_on])
        .arg(socket(&world))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "closed\n",
        "{output:?}"
    );
    attendee.answer(&question, &json!({"deny": {"reason": null}}));
    live.finish().succeeded();
}
