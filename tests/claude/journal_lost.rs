//! A session whose journal can no longer be written, because its disk is full: nothing runs that is not on
//! record, and the session ends with exit code 3.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::{governed, session};

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use governed::{bash, mediated, turns};
use session::{Start, World, below, claude, wait_for};

const AGP: &str = env!("CARGO_BIN_EXE_agp");
/// Calls behind the first: far more than the last page of a file has room for.
const CALLS: usize = 20;
/// What the first call does: it says that it runs, and waits until the disk is full.
const WAIT: &str = "touch first; for i in $(seq 400); do [ -e go ] && break; sleep 0.05; done";

/// A disk for `AGP_HOME`, in a mount namespace of the session's own, and what stood on it afterwards.
const ON_A_DISK: &str = r#"
    mount -t tmpfs -o size=$DISK,mode=700 agp "$AGP_HOME" && cp -a "$AGP_HOME.first/." "$AGP_HOME" || exit 99
    "$0" "$@"; code=$?
    "$0" run >"$AGP_HOME.again" 2>&1; echo "exit $?" >>"$AGP_HOME.again"
    rm -f "$AGP_HOME/filler"; cp -a "$AGP_HOME/." "$AGP_HOME.last" || exit 99
    exit $code"#;

fn can_mount() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "mount", "-t", "tmpfs", "agp", "/tmp"]);
    let can = unshare.output().is_ok_and(|ran| ran.status.success());
    if !can {
        session::skip("no disk can be mounted here", "run the tests as root");
    }
    can
}

/// A world whose `AGP_HOME` is to be a disk of its own.
struct Small(World);

impl Small {
    fn new() -> Self {
        let world = World::new();
        world.policy(&[("allow", "*")]);
        let home = world.agp_home();
        fs::rename(&home, home.with_extension("first")).unwrap();
        fs::create_dir(&home).unwrap();
        fs::create_dir(home.with_extension("last")).unwrap();
        Self(world)
    }

    /// Plays a session up to its first call, fills the disk (of this many MiB), and sees how it ends.
    fn fills(&self, start: Start, mebibytes: usize) {
        let world = &self.0;
        let wrapper = world.root().join("on-a-disk");
        let script =
            format!("#!/bin/sh\nexec unshare --mount /bin/sh -c '{ON_A_DISK}' '{AGP}' \"$@\"\n");
        session::put_program(&wrapper, script);
        let start = start
            .program(&wrapper)
            .env("DISK", &format!("{mebibytes}m"));
        let live = start.start();
        wait_for("the first call", || world.get("first"));
        let agp = below(live.pid()).into_iter().find(|process| {
            let words = process.arguments();
            words.first().map(String::as_str) == Some(AGP)
                && words.get(1).is_some_and(|w| w == "run")
        });
        let inside = PathBuf::from(format!("/proc/{}/root", agp.unwrap().pid));
        let disk = inside.join(world.agp_home().strip_prefix("/").unwrap());
        let mut filler = File::create(disk.join("filler")).unwrap();
        for block in [1 << 20, 4096, 1] {
            while filler.write_all(&vec![0; block]).is_ok() {}
        }
        world.put("go", "");
        live.finish().exited(3).complained(&[
            "cannot write the journal",
            "No space left on device",
            "fix the disk",
        ]);
        // The next start finds the disk as full, and says that, not that somebody changed the journal.
        let again = fs::read_to_string(world.root().join("agp.again")).unwrap();
        for part in ["No space left on device", "free space", "exit 1"] {
            assert!(again.contains(part), "{part}: {again}");
        }
        assert!(!again.contains("auditor"), "{again}");
        // The disk with room on it again.
        let home = world.agp_home();
        fs::remove_dir(&home).unwrap();
        fs::rename(home.with_extension("last"), &home).unwrap();
    }

    /// What ran, and what is on record as allowed, once the journal was opened again.
    fn ran_and_allowed(&self, kind: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let world = &self.0;
        // A crash or a full disk leaves what the next start mends: nothing else is wrong with it.
        world
            .agp(&["doctor", "--check", "journal"])
            .run()
            .succeeded();
        world.verifies();
        let ids = (1..=CALLS).map(|number| format!("call-{}", number + 1));
        let ran = ids.filter(|id| world.get(id).is_some()).collect();
        let allowed = world.events(kind).into_iter();
        let allowed =
            allowed.map(|event| event["payload"]["messageId"].as_str().unwrap().to_owned());
        (ran, allowed.filter(|id| id != "call-1").collect())
    }

    /// Nothing ran that is not on record, and before the calls were through nothing ran any more.
    fn agrees(&self, kind: &str) {
        let (ran, allowed) = self.ran_and_allowed(kind);
        assert!(ran.is_subset(&allowed), "{ran:?} of {allowed:?}");
        // The one whose decision did not get through may be on the disk, but was not acted on.
        assert!(allowed.len() <= ran.len() + 1, "{ran:?} of {allowed:?}");
        assert!(allowed.len() < CALLS, "the disk was not full: {allowed:?}");
        // The next session is as any other.
        self.0.agp(&["run"]).run().succeeded();
        self.0.verifies();
    }
}

/// Each call leaves a file of its name.
fn touching(number: usize) -> (String, String) {
    let id = format!("call-{}", number + 1);
    (id.clone(), format!("touch {id}"))
}

#[test]
fn a_script_on_a_full_disk_runs_nothing_that_is_not_on_record() {
    if !can_mount() {
        return;
    }
    // With room for a write-ahead log, and without.
    for mebibytes in [24, 4] {
        let small = Small::new();
        let line =
            |command: &str| serde_json::json!({"tool": "Bash", "args": {"command": command}});
        let mut script = format!("{}\n", line(WAIT));
        for number in 1..=CALLS {
            script += &format!("{}\n", line(&touching(number).1));
        }
        small.0.put("calls.jsonl", &script);
        let run = ["run", "--script", "calls.jsonl", "--sandbox", "process"];
        small.fills(small.0.agp(&run), mebibytes);
        small.agrees("tool_call.allow");
    }
}

#[test]
fn claude_code_on_a_full_disk_runs_nothing_that_is_not_on_record() {
    let Some(claude) = claude() else { return };
    if !can_mount() {
        return;
    }
    for mode in ["hook", "mediated"] {
        let small = Small::new();
        let call = |id: &str, command: &str| match mode {
            "hook" => bash(id, command),
            _ => mediated::bash(id, command),
        };
        let mut calls = vec![vec![call("call-1", WAIT)]];
        calls.extend(
            (1..=CALLS)
                .map(touching)
                .map(|(id, command)| vec![call(&id, &command)]),
        );
        let model = turns(calls);
        let start = governed::run(&small.0, &claude, &model).arguments(&["--mode", mode]);
        small.fills(start, 24);
        let kind = if mode == "hook" {
            "gate.allow"
        } else {
            "tool_call.allow"
        };
        small.agrees(kind);
    }
}
