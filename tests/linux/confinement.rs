//! agp's own threads, confined: in a running session, by `agp doctor`, on a kernel that cannot, and in
//! the documentation. Every single rule: `tests/confinement_rules.rs`; threads taken over:
//! `tests/taken_over.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a JSON value indexed by a name it lacks is null; whatever fails here fails the test"
)]

use crate::support::session;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use agp::confine::Profile;
use agp::confine::profile::ProfileSpec;
use serde_json::{Value, json};
use session::{Start, World, skip, wait_for};

const NOBODY: &str = "65534";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn world() -> World {
    let world = World::new();
    world.policy(&[("allow", "Bash")]);
    world
}

fn play(world: &World, command: &str, sandbox: &str) -> Start {
    let line = json!({"tool": "Bash", "args": {"command": command}}).to_string();
    world.put("calls.jsonl", &line);
    world.agp(&["run", "--script", "calls.jsonl", "--sandbox", sandbox])
}

/// The threads of a process by name, with what the kernel says of each.
fn threads(pid: i32) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let fields: BTreeMap<String, String> = fields
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        found.insert(fields["Name"].clone(), fields);
    }
    found
}

#[test]
fn every_thread_of_a_session_is_under_a_filter_and_the_journal_says_which() {
    let world = world();
    let live = play(&world, "sleep 3", "process").start();
    let pid = live.pid();
    let expected = [
        "journal",
        "journal-sign",
        "signals",
        "harness",
        "look",
        "paths",
        "preview",
        "attend",
        "spawn",
    ];
    let all = wait_for("its threads", || {
        let all = threads(pid);
        // Its main thread is the last to be confined.
        let main = all
            .get("agp")
            .is_some_and(|thread| thread["Seccomp"] == "2");
        (main && expected.iter().all(|name| all.contains_key(*name))).then_some(all)
    });
    for (name, thread) in &all {
        assert_eq!(thread["Seccomp"], "2", "{name}");
        assert_eq!(thread["NoNewPrivs"], "1", "{name}");
    }
    let names: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = expected.into_iter().chain(["agp"]).collect();
    assert_eq!(names, known, "a thread that is in no table");
    // It leaves nothing of itself.
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    live.finish().succeeded();

    let started = world.event("session.started");
    let confinement = &started["payload"]["confinement"];
    assert_eq!(confinement["mode"], "strict");
    assert_eq!(confinement["lacks"], json!([]));
    let told = confinement["threads"].as_object().unwrap();
    let told: BTreeSet<&str> = told.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = expected.into_iter().chain(["main", "prepare"]).collect();
    assert_eq!(told, known);
    let journal = &confinement["threads"]["journal"];
    assert_eq!(journal["seccomp"], "kills");
    assert_eq!(journal["sockets"], "none");
    assert_eq!(journal["exec"], false);
    assert!(journal["landlock"].as_u64().unwrap() >= 4);
    assert_eq!(confinement["threads"]["spawn"]["exec"], true);
    world.verifies();
}

/// What cannot be looked into is root's in `/proc`, whoever runs it; of root's own nothing is seen there.
#[test]
fn an_ordinary_users_agp_is_not_looked_into_by_the_users_other_processes() {
    if !is_root() {
        return session::say_skipped("this is shown of another user's process", "run as root");
    }
    let world = world();
    let copy = copy(&world);
    session::copy_program(
        env!("CARGO_BIN_EXE_agp-bridge"),
        copy.with_file_name("agp-bridge"),
    );
    let line = json!({"tool": "Bash", "args": {"command": "sleep 3"}}).to_string();
    world.put("calls.jsonl", &line);
    let owned = Command::new("chown")
        .args(["-R", NOBODY])
        .arg(world.root())
        .status();
    assert!(owned.unwrap().success());
    let copy = copy.to_str().unwrap();
    let words = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", copy];
    let script = ["run", "--script", "calls.jsonl", "--sandbox", "process"];
    let start = world.agp(&[]).program(Path::new("setpriv"));
    let live = start.arguments(&words).arguments(&script).start();
    let pid = live.pid();
    let owner = |name: &str| {
        let found = fs::metadata(format!("/proc/{pid}/{name}"));
        found.map(|found| std::os::unix::fs::MetadataExt::uid(&found))
    };
    wait_for("its threads", || {
        let all = threads(pid);
        let main = all.get("agp-copy")?;
        (main["Seccomp"] == "2" && all.contains_key("journal")).then_some(())
    });
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{NOBODY}\t")), "{status}");
    for name in ["mem", "environ", "fd", "maps"] {
        assert_eq!(owner(name).unwrap(), 0, "{name}");
    }
    live.finish().succeeded();
}

/// A copy of agp that nobody may run.
fn copy(world: &World) -> PathBuf {
    fs::set_permissions(world.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = world.root().join("agp-copy");
    session::copy_program(env!("CARGO_BIN_EXE_agp"), &copy);
    copy
}

#[test]
fn doctor_tries_every_profile_and_says_what_it_may() {
    let world = world();
    let ran = world
        .agp(&["doctor", "--check", "confinement"])
        .run()
        .succeeded();
    for profile in Profile::ALL {
        assert!(ran.out.contains(profile.terms().thread), "{}", ran.out);
    }
    assert!(
        ran.out.contains("operations tried as expected"),
        "{}",
        ran.out
    );
    let ran = world
        .agp(&["doctor", "--check", "confinement", "--json"])
        .run()
        .succeeded();
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        told["checks"][0]["more"].as_array().unwrap().len(),
        Profile::ALL.len()
    );
}

#[test]
fn the_same_holds_for_an_ordinary_user() {
    if !is_root() {
        return session::say_skipped("these tests run as an ordinary user already", "run as root");
    }
    let world = world();
    let copy = copy(&world);
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .arg(copy)
        .args(["doctor", "--check", "confinement"])
        .env("AGP_HOME", "/nonexistent/agp")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("operations tried as expected"), "{said}");
}

/// agp on a kernel without Landlock, as far as it can tell.
fn without_landlock(world: &World) -> Option<PathBuf> {
    let traced = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        skip("strace cannot trace here", "apt-get install strace");
        return None;
    }
    let program = world.root().join("agp-without-landlock");
    let text = format!(
        "#!/bin/sh\nexec strace -f -qq -o /dev/null -e trace=landlock_create_ruleset \
         -e inject=landlock_create_ruleset:error=ENOSYS {} \"$@\"\n",
        env!("CARGO_BIN_EXE_agp")
    );
    session::put_program(&program, text);
    Some(program)
}

#[test]
fn a_kernel_that_cannot_is_refused_unless_told_otherwise_loudly_and_on_record() {
    let world = world();
    let Some(program) = without_landlock(&world) else {
        return;
    };
    let run = || play(&world, "true", "recording").program(&program);
    run().run().exited(1).complained(&[
        "cannot confine agp's threads: this kernel lacks Landlock",
        "--confine best-effort",
    ]);
    let refused = world.event("session.refused");
    let reason = refused["payload"]["reason"].as_str().unwrap();
    assert!(reason.contains("Landlock"), "{reason}");
    assert_eq!(world.events("session.started").len(), 0);

    let ran = run().arguments(&["--confine", "best-effort"]).run();
    ran.succeeded()
        .complained(&["WARNING: cannot confine agp's threads"]);
    let started = world.event("session.started");
    let confinement = &started["payload"]["confinement"];
    assert_eq!(confinement["mode"], "best-effort");
    assert_eq!(confinement["lacks"], json!(["Landlock"]));
    let journal = &confinement["threads"]["journal"];
    assert_eq!(
        (&journal["landlock"], &journal["seccomp"]),
        (&json!(0), &json!("kills"))
    );

    let doctor = world.agp(&["doctor", "--check", "confinement"]);
    doctor
        .program(&program)
        .run()
        .exited(1)
        .said(&["FAILED", "lacks Landlock"]);
    world.verifies();
}

/// A table with a row for each set of threads: what its calls are for, and which they are.
fn by_threads<'a>(what: &str, calls: impl Iterator<Item = (String, &'a str, &'a str)>) -> String {
    let mut rows: BTreeMap<String, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for (threads, why, call) in calls {
        let row = rows.entry(threads).or_default();
        row.entry(why).or_default().push(call);
    }
    let mut text = format!("\n| threads | {what} |\n| --- | --- |\n");
    for (threads, reasons) in rows {
        let reasons: Vec<String> = reasons
            .into_iter()
            .map(|(why, calls)| format!("{} ({why})", calls.join(", ")))
            .collect();
        let _ = writeln!(text, "| {threads} | {} |", reasons.join("; "));
    }
    text
}

/// The tables of docs/confinement.md, as the code has them.
fn tables() -> String {
    let mut text = String::from(
        "| thread | does | started by | files | sockets | exec |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let all: Vec<ProfileSpec> = Profile::ALL.map(Profile::terms).into();
    for terms in &all {
        let starter = terms
            .within
            .map_or("main", |starter| starter.terms().thread);
        let files: Vec<String> = terms
            .files
            .iter()
            .map(|ground| format!("{} ({:?}): {}", ground.may, ground.place, ground.why))
            .collect();
        let files = match (terms.all_files, files.is_empty()) {
            (true, _) if terms.thread == "spawn" => {
                "all: Landlock would keep what it starts from making mounts".to_owned()
            }
            (true, _) => "all: it opens what the others are left with".to_owned(),
            (false, true) => "none".to_owned(),
            (false, false) => files.join("; "),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {starter} | {files} | {} | {} |",
            terms.thread,
            terms.does,
            terms.sockets(),
            if terms.execs() { "yes" } else { "no" }
        );
    }
    let mut callers: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for terms in all.iter().filter(|terms| !terms.others) {
        for rule in terms.rules() {
            callers
                .entry((rule.why, rule.name()))
                .or_default()
                .push(terms.thread);
        }
    }
    let killing = all.iter().filter(|terms| !terms.others).count();
    let calls = callers.into_iter().map(|((why, call), threads)| {
        let threads = if threads.len() == killing {
            "all but prepare and spawn".to_owned()
        } else {
            threads.join(", ")
        };
        (threads, why, call)
    });
    text.push_str(&by_threads("may make", calls));
    let prepare = Profile::Prepare.terms();
    let refused = prepare.rules().map(|rule| {
        let others = match Profile::Spawn.terms().may(rule.call) {
            true => "prepare",
            false => "prepare, spawn, and all that they start",
        };
        (others.to_owned(), rule.why, rule.name())
    });
    text.push_str(&by_threads("are refused", refused));
    text
}

/// To write them anew: `AGP_WRITE_DOCS=1 cargo test --test linux the_documented`.
#[test]
fn the_documented_tables_are_those_of_the_code() {
    const BEGIN: &str = "<!-- tables -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/confinement.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, documented) = text.split_once(BEGIN).unwrap();
    if cfg!(not(target_arch = "x86_64")) {
        // The older names of calls are not there.
        return;
    }
    if std::env::var_os("AGP_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}", tables())).unwrap();
        return;
    }
    assert!(
        documented == tables(),
        "docs/confinement.md is not what the code says"
    );
}
