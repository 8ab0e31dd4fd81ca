//! The process sandbox as a session has it: attested before it is used, one confinement to a call, by the
//! program that it was prepared with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use crate::support::{namespaces, session};

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use agp::confine::Spawner;
use agp::contracts::ids::Sha256;
use agp::jail::spec::Namespaces;
use agp::jail::status::Told;
use agp::sandbox::network::Network;
use agp::sandbox::process::{Process, ProcessConfig};
use agp::sandbox::secrets::Secrets;
use namespaces::{is_root, permitted};
use serde_json::json;
use session::World;

fn setup(world: &World, namespaces: Option<Namespaces>) -> ProcessConfig {
    let directory = world.root().join("session");
    fs::create_dir_all(&directory).unwrap();
    fs::create_dir_all(world.agp_home()).unwrap();
    ProcessConfig {
        withholding: Arc::new(Vec::new),
        bridge: PathBuf::from(env!("CARGO_BIN_EXE_agp-bridge")),
        repository: world.repo(),
        spawner: Spawner::start().unwrap(),
        directory,
        protected: vec![world.agp_home()],
        sockets: Vec::new(),
        network: Network::Off,
        secrets: Secrets::default(),
        read: Vec::new(),
        write: Vec::new(),
        // Each test's own: they run at once.
        token: world
            .root()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned(),
        namespaces,
        output: Arc::new(|_| {}),
        stopped: Arc::new(|| false),
    }
}

/// The confinements that this kernel permits.
fn had() -> Vec<Namespaces> {
    let mut all = vec![Namespaces::User, Namespaces::Off];
    if is_root() {
        all.push(Namespaces::Direct);
    }
    all.retain(|one| permitted(*one));
    all
}

#[test]
fn every_confinement_is_attested_from_inside() {
    for namespaces in had() {
        let world = World::empty();
        let process = Process::prepare(setup(&world, Some(namespaces)))
            .unwrap_or_else(|error| panic!("{namespaces:?}: {}", error.0));
        let attested = process.attestation();
        assert_eq!(attested["vmGrade"], false);
        assert_eq!(attested["reached"].as_array().unwrap().len(), 0);
        assert!(attested["tried"]["tcp"].as_u64().unwrap() >= 1);
        assert_eq!(attested["status"]["NoNewPrivs"], "1");
        let words = ["/bin/sh", "-c", "env"].map(OsString::from);
        let ran = process.run(&words, &[], Duration::from_secs(5)).unwrap();
        let environment = String::from_utf8(ran.output).unwrap();
        assert!(!environment.contains("CARGO"), "{environment}");
    }
}

/// Confinements of the next calls, below this test.
fn standing() -> BTreeSet<session::Process> {
    let own = i32::try_from(std::process::id()).unwrap();
    let keeps = |process: &session::Process| {
        let arguments = process.arguments();
        arguments.get(1).is_some_and(|word| word == "confine")
    };
    session::below(own).into_iter().filter(keeps).collect()
}

#[test]
fn a_call_in_a_confinement_that_stood_before_sees_what_is_there_now() {
    let world = World::new();
    let named = world.root().join("named");
    fs::write(&named, "before").unwrap();
    for (read, stands) in [(Vec::new(), true), (vec![named.clone()], false)] {
        let already = standing();
        let process = Process::prepare(ProcessConfig {
            read,
            ..setup(&world, None)
        });
        let process = process.unwrap();
        process.stand_by();
        let mine =
            || -> Vec<session::Process> { standing().difference(&already).cloned().collect() };
        // Other tests have theirs.
        let of_repo = |process: &session::Process| {
            process
                .arguments()
                .iter()
                .any(|word| word.contains(world.repo().to_str().unwrap()))
        };
        let own = || mine().into_iter().find(of_repo);
        if stands {
            session::wait_for("the next call's", own);
        }
        world.put("made", "since");
        let replaced = world.root().join("replaced");
        fs::write(&replaced, "since").unwrap();
        fs::rename(&replaced, &named).unwrap();
        let run = |script: &str| {
            let words = ["/bin/sh", "-c", script].map(OsString::from);
            let ran = process
                .run(&words, b"read", Duration::from_secs(20))
                .unwrap();
            (ran.ended, String::from_utf8(ran.output).unwrap())
        };
        let cat = if stands {
            "cat made -"
        } else {
            "cat made -; cat ../named"
        };
        let wanted = if stands {
            "sinceread"
        } else {
            "sincereadsince"
        };
        assert_eq!(run(cat), (Told::Exited(0), wanted.to_owned()));
        // One that has failed meanwhile is made anew.
        if stands {
            let next = session::wait_for("the next call's", own);
            next.kill("-KILL");
            session::all_gone([&next]);
        }
        assert_eq!(run(cat), (Told::Exited(0), wanted.to_owned()));
        let last = stands.then(|| session::wait_for("the next call's", own));
        assert_eq!(own().is_some(), stands);
        drop(process);
        session::all_gone(&last);
    }
}

#[test]
fn where_user_namespaces_are_switched_off_doctor_says_so() {
    if !permitted(Namespaces::User) {
        return;
    }
    let world = World::new();
    let doctor = format!("{} doctor --check sandbox", env!("CARGO_BIN_EXE_agp"));
    let off = format!("echo 0 > /proc/sys/user/max_user_namespaces; {doctor}");
    for (map, script, had) in [
        ("--map-root-user", off.as_str(), "namespaces direct, "),
        ("--map-user=65534", doctor.as_str(), "namespaces off, "),
    ] {
        let output = Command::new("unshare")
            .args(["--user", map, "/bin/sh", "-c", script])
            .env("AGP_HOME", world.agp_home())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("isolation verified") && said.contains(had),
            "{map}: {output:?}"
        );
        assert!(
            said.contains("namespaces user not available: "),
            "{map}: {said}"
        );
    }
}

#[test]
fn what_would_open_agps_own_home_is_refused() {
    let world = World::empty();
    let home = world.agp_home();
    for path in [
        home.clone(),
        home.parent().unwrap().to_owned(),
        PathBuf::from("/"),
    ] {
        let given = ProcessConfig {
            read: vec![path.clone()],
            ..setup(&world, None)
        };
        assert!(Process::prepare(given).is_err(), "{}", path.display());
        let given = ProcessConfig {
            repository: path.clone(),
            ..setup(&world, None)
        };
        assert!(Process::prepare(given).is_err(), "{}", path.display());
    }
}

/// A directory named inside of another that may be changed: a call trades it for a link to agp's own
/// home, and the next call must not have that in its place.
#[test]
fn a_named_directory_is_not_traded_for_a_link_between_two_calls() {
    for namespaces in [Namespaces::Off, Namespaces::User, Namespaces::Direct] {
        if !permitted(namespaces) || namespaces == Namespaces::Direct && !is_root() {
            continue;
        }
        let world = World::new();
        let named = world.root().join("named");
        let inner = named.join("deep/inner");
        let repository = named.join("deep/repo");
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir_all(&repository).unwrap();
        let process = Process::prepare(ProcessConfig {
            repository: repository.clone(),
            write: vec![named.clone(), inner.clone()],
            read: vec![inner.clone()],
            ..setup(&world, Some(namespaces))
        })
        .unwrap();
        let run = |script: &str| {
            let words = ["/bin/sh", "-c", script].map(OsString::from);
            let ran = process.run(&words, &[], Duration::from_secs(20));
            ran.map(|ran| String::from_utf8(ran.output).unwrap())
        };
        let (at, home) = (named.display(), world.agp_home());
        let reach = |name: &str| {
            let script = format!(
                "cd {at}/deep/{name} && {{ cat policy.json signing/*; echo planted > planted; }} 2>&1"
            );
            // Without its working directory nothing runs at all.
            let told = run(&script).unwrap_or_default();
            let leaked = told.contains("rules") || told.contains("KEY");
            assert!(!leaked, "{namespaces:?} {name}: {told}");
            assert!(!home.join("planted").exists(), "{namespaces:?} {name}");
        };
        let trade = |name: &str, keep: &str| {
            let script = format!(
                "cd {at}; mv deep gone-{name}; mkdir deep; ln -s {} deep/{name}; {keep} ls -l deep",
                home.display()
            );
            let traded = run(&script).unwrap();
            assert!(
                traded.contains(&format!("{name} -> ")),
                "{namespaces:?}: {traded}"
            );
        };
        trade("inner", "mkdir deep/repo;");
        reach("inner");
        trade("repo", "");
        reach("repo");
    }
}

#[test]
fn a_probe_that_proves_nothing_refuses_the_start() {
    let world = World::empty();
    let program = |name: &str, script: String| {
        let path = world.root().join(name);
        session::put_program(&path, format!("#!/bin/sh\n{script}\n"));
        path
    };
    let real = env!("CARGO_BIN_EXE_agp-bridge");
    let nothing = serde_json::to_string(&agp::jail::isolation_probe::Sighting::default()).unwrap();
    // One that says it reaches nothing, wherever it stands.
    let blind = format!("[ $1 = isolation ] && echo '{nothing}' && exit; exec {real} \"$@\"");
    // One that says it confines, and does not.
    let idle = format!(
        "[ $1 = isolation ] && exec {real} \"$@\"
         printf '{{\"confined\":{{\"landlock\":7}}}}\\n{{\"exited\":0}}\\n' >&2
         exec perl -MJSON::PP -e 'my $job = decode_json(scalar <STDIN>); exec(\"{real}\", \"isolation\", $job->{{command}}[2])'"
    );
    for (name, script, why) in [
        ("blind", blind, "inconclusive"),
        ("idle", idle, "sandbox self-test failed: it could reach"),
    ] {
        let given = ProcessConfig {
            bridge: program(name, script),
            ..setup(&world, None)
        };
        let Err(error) = Process::prepare(given) else {
            panic!("{name} was believed");
        };
        assert!(error.0.contains(why), "{name}: {}", error.0);
    }
}

#[test]
fn a_session_in_the_sandbox_tells_what_ran_and_what_was_planted() {
    let world = World::new();
    world.policy(&[("allow", "Bash"), ("allow", "Read")]);
    fs::create_dir_all(world.repo().join(".git/hooks")).unwrap();
    let calls = [
        "echo out; echo more >&2; exit 3",
        "echo evil > .git/hooks/pre-commit",
        "head -c 3000000 /dev/zero | tr '\\\\0' x",
        "sleep 60",
    ];
    let mut script: String = calls
        .iter()
        .map(|call| {
            format!("{{\"tool\":\"Bash\",\"args\":{{\"command\":\"{call}\",\"timeout\":900}}}}\n")
        })
        .collect();
    script.push_str("{\"tool\":\"Read\",\"args\":{\"file_path\":\".git/hooks/pre-commit\"}}\n");
    script.push_str("{\"tool\":\"Bash\",\"args\":{\"command\":\"kill -SEGV $$\"}}\n");
    world.put("calls.jsonl", &script);
    let ran = world
        .agp(&["run", "--script", "calls.jsonl", "--sandbox", "process"])
        .run()
        .succeeded();
    ran.said(&[
        "      | out",
        "      | more",
        "      exit code 3",
        ".git/hooks/pre-commit",
        "killed at its deadline",
        "ended by signal 11",
    ]);
    let executed = world.events("tool_call.executed");
    let told: Vec<&serde_json::Value> = executed.iter().map(|event| &event["payload"]).collect();
    assert_eq!(told[0]["sandbox"], "process");
    assert_eq!(told[0]["exitCode"], 3);
    assert_eq!(told[0]["outputBytes"], 9);
    let digest = |output: &[u8]| json!(Sha256::of(output).to_hex());
    assert_eq!(told[0]["outputSha256"], digest(b"out\nmore\n"));
    assert!(
        told[1]["notes"][0]
            .as_str()
            .unwrap()
            .contains(".git/hooks/pre-commit")
    );
    // Of all of it, also of what is not kept.
    assert_eq!(told[2]["outputBytes"], 3_000_000);
    assert_eq!(told[2]["outputSha256"], digest(&[b'x'; 3_000_000]));
    assert_eq!(told[3]["notes"][0], "killed at its deadline");
    assert_eq!(told[4]["exitCode"], 0);
    assert_eq!(
        (&told[5]["signal"], &told[5]["exitCode"]),
        (&json!(11), &json!(null))
    );
    let kinds: Vec<String> = world
        .journal()
        .iter()
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect();
    let place = |kind: &str| kinds.iter().position(|found| found == kind).unwrap();
    assert!(place("sandbox.attested") < place("tool_call.allow"));
    assert_eq!(
        world.event("session.started")["payload"]["sandbox"]["kind"],
        "process"
    );
    world.verifies();
}

/// What stands at the path of agp's own program is not run once a session has it: the confinement of the
/// next call is made before the gate looks at the file again.
#[test]
fn a_bridge_that_is_replaced_confines_nothing() {
    for namespaces in had() {
        let world = World::new();
        let bridge = world.root().join("agp-bridge");
        session::copy_program(env!("CARGO_BIN_EXE_agp-bridge"), &bridge);
        let process = Process::prepare(ProcessConfig {
            bridge: bridge.clone(),
            ..setup(&world, Some(namespaces))
        })
        .unwrap();
        let other = world.root().join("other");
        let mark = world.root().join("mark");
        session::put_program(&other, format!("#!/bin/sh\ntouch {}\n", mark.display()));
        let runs = || {
            let words = ["/bin/sh", "-c", "echo confined"].map(OsString::from);
            let ran = process.run(&words, &[], Duration::from_secs(20));
            ran.map(|ran| String::from_utf8(ran.output).unwrap())
        };
        // The second is confined by what was asked for after the first.
        let replaced = || fs::rename(&other, &bridge).unwrap();
        let deleted = || fs::remove_file(&bridge).unwrap();
        let changes: [&dyn Fn(); 3] = [&|| {}, &replaced, &deleted];
        for change in changes {
            change();
            for _ in 0..2 {
                // Or nothing runs: inside, agp's program is bound by its path.
                if let Ok(output) = runs() {
                    assert_eq!(output, "confined\n", "{namespaces:?}");
                }
                assert!(!mark.exists(), "{namespaces:?}");
            }
        }
    }
}

/// Nor is what was written into its file. A call cannot write there, wherever the file is: it is run by
/// what keeps that call. Between two calls nobody need be running it.
#[test]
fn a_bridge_that_is_written_into_confines_nothing() {
    for namespaces in had() {
        let world = World::new();
        let bridge = world.repo().join("agp-bridge");
        session::copy_program(env!("CARGO_BIN_EXE_agp-bridge"), &bridge);
        let named = world.root().join("named");
        fs::write(&named, "").unwrap();
        let process = Process::prepare(ProcessConfig {
            bridge: bridge.clone(),
            // With a file that is named, no confinement stands between two calls.
            read: vec![named],
            ..setup(&world, Some(namespaces))
        })
        .unwrap();
        let run = |script: &str| {
            let words = ["/bin/sh", "-c", script].map(OsString::from);
            let ran = process.run(&words, &[], Duration::from_secs(20))?;
            Ok::<_, agp::contracts::sandbox::SandboxError>(String::from_utf8(ran.output).unwrap())
        };
        let whole = fs::read(&bridge).unwrap();
        let told = run("(echo other >>agp-bridge); (: >agp-bridge); echo confined").unwrap();
        assert!(told.ends_with("confined\n"), "{namespaces:?}: {told}");
        assert!(
            fs::read(&bridge).unwrap() == whole,
            "{namespaces:?}: {told}"
        );
        // What says no word of what it is asked to confine: it would be found out, but it would have run.
        let other = fs::read("/bin/true").unwrap();
        session::wait_for("the end of the call", || fs::write(&bridge, &other).ok());
        let why = run("echo confined").unwrap_err().0;
        assert!(
            why.contains("agp's own program changed"),
            "{namespaces:?}: {why}"
        );
    }
}
