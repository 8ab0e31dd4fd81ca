//! What is tried from inside comes to nothing.

use std::net::TcpListener;

use super::*;

/// The attempts, of which one is at a server of this host's; it stays as long as the second part is kept.
fn attempts(daemon: &Dockerd) -> (Vec<String>, TcpListener) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let gateway = daemon.gateway();
    let server = listener.try_clone().unwrap();
    thread::spawn(move || server.incoming().for_each(drop));
    let commands = ATTEMPTS
        .iter()
        .map(|(_, command, _)| command.replace("GATEWAY", &gateway).replace("PORT", &port));
    (commands.collect(), listener)
}

#[test]
fn attempts_from_inside_come_to_nothing() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    world.put("write-agp.sh", "echo x >/run/agp/x");
    let (commands, _listener) = attempts(daemon);
    let calls: Vec<Value> = commands.iter().map(|command| bash(command)).collect();
    session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    let executed = executed(&world);
    assert_eq!(executed.len(), ATTEMPTS.len());
    for ((what, command, _), ran) in ATTEMPTS.iter().zip(&executed) {
        // 127: the program is not there, and nothing was tried.
        let failed = ran["exitCode"].as_i64();
        let failed = failed.is_some_and(|code| ![0, 127].contains(&code));
        assert!(failed, "{what} ({command}): {ran:#}");
    }
    assert!(!world.root().join("x").exists());
    world.verifies();
}

/// What comes to nothing in agp's container does not in one that holds nothing back.
#[test]
fn attempts_succeed_where_nothing_holds_them() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let (commands, _listener) = attempts(daemon);
    for ((what, _, seen), command) in ATTEMPTS.iter().zip(&commands) {
        if *seen == Other {
            continue;
        }
        let gaining = command.contains("gaining");
        let mut words = vec!["run", "--rm", "--security-opt", "seccomp=unconfined"];
        for right in ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"] {
            words.extend(["--cap-add", right]);
        }
        words.extend(["--user", if gaining { "65534" } else { "0" }]);
        words.extend(["--workdir", "/repo", BUSYBOX, "/bin/sh", "-c"]);
        // One below the first process, as a call is.
        let within = format!("/bin/sh -c '{command}'; exit $?");
        words.push(&within);
        let output = daemon.client(&words);
        assert!(output.status.success(), "{what} ({command}): {output:?}");
    }
}

#[test]
fn what_has_been_a_way_out_does_not_exist_in_a_container_either() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    if !cfg!(target_arch = "x86_64") || !Path::new("/usr/bin/perl").exists() {
        return session::skip("perl on x86-64", "apt-get install perl");
    }
    let world = world();
    let mut script = String::new();
    for (name, number, arguments) in CALLS {
        script.push_str(&format!(
            "$! = 0; $r = syscall({number}, {arguments}); print \"{name} \", $! + 0, \"\\n\";\n"
        ));
    }
    world.put("calls.pl", &script);
    session(
        daemon,
        &world,
        BUSYBOX,
        &[bash("/usr/bin/perl calls.pl >told")],
    )
    .arguments(&["--allow-read", "/usr"])
    .run()
    .succeeded();
    let told = world.get("told").unwrap();
    for (name, _, _) in CALLS {
        assert!(told.contains(&format!("{name} 38\n")), "{name}:\n{told}");
    }
}

#[test]
fn nothing_outlives_its_call() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let left =
        "(setsid sh -c 'while true; do echo x >>alive; sleep 0.05; done' >/dev/null 2>&1 &) ; ";
    let calls = [
        bash(&format!("{left} sleep 0.2; echo done")),
        bash("rm -f alive; sleep 0.5; test ! -e alive"),
        // Its deadline is inside: whatever becomes of agp's own clock, it ends.
        json!({"tool": "Bash", "args": {"command": format!("{left} sleep 100"), "timeout": 400}}),
        bash("rm -f alive; sleep 0.5; test ! -e alive"),
        // Without its keeper it ends as well, and the session goes on.
        bash(&format!(
            "{left} kill -9 $(cut -d' ' -f4 /proc/$$/stat); sleep 100"
        )),
        bash("rm -f alive; sleep 0.5; test ! -e alive"),
        bash("kill -9 -1; sleep 100"),
        bash("kill -9 1; kill 1; echo still here"),
    ];
    session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    let executed = executed(&world);
    let code = |at: usize| executed[at]["exitCode"].clone();
    for at in [0, 1, 3, 5, 7] {
        assert_eq!(code(at), 0, "{at}: {:#}", executed[at]);
    }
    assert!(
        executed[2]["notes"]
            .to_string()
            .contains("killed at its deadline"),
        "{}",
        executed[2]
    );
    assert_eq!(executed[4]["signal"], 9);
    world.verifies();
}

#[test]
fn bombs_end_at_their_bounds_and_the_session_goes_on() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let config = r#"{"sandbox":{"memory":134217728,"pids":64,"cpus":1}}"#;
    fs::write(world.agp_home().join("config.json"), config).unwrap();
    let timed =
        |command: &str| json!({"tool": "Bash", "args": {"command": command, "timeout": 3000}});
    let calls = [
        timed("b() { b | b & }; b; sleep 10"),
        timed("tail /dev/zero"),
        timed(
            "dd if=/dev/zero of=/tmp/full bs=1M count=4000; code=$?; rm -f /tmp/full; exit $code",
        ),
        timed(
            "dd if=/dev/zero of=/dev/shm/full bs=1M count=4000; code=$?; rm -f /dev/shm/full; exit $code",
        ),
        bash("echo fine"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    assert!(ran.out.contains("| fine"), "{}", ran.out);
    let attested = world.event("sandbox.attested")["payload"].clone();
    assert_eq!(attested["limits"]["memory"], 134_217_728);
    assert_eq!(attested["limits"]["pids"], 64);
    let executed = executed(&world);
    // Not one of them has all that it wants.
    for ran in &executed[..4] {
        assert_ne!(ran["exitCode"], 0, "{ran:#}");
    }
    assert_eq!(executed[4]["exitCode"], 0);
    gone(daemon, &world);
}

#[test]
fn a_call_that_fills_the_disk_is_ended_while_there_is_room() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let disk = world.repo();
    let mount = |arguments: &[&str]| {
        let status = Command::new(arguments[0])
            .args(&arguments[1..])
            .arg(&disk)
            .status();
        assert!(status.unwrap().success());
    };
    mount(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=64m,mode=0777",
        "agp-test",
    ]);
    let calls = [
        bash("dd if=/dev/zero of=full bs=64k; dd if=/dev/zero of=full2 bs=64k; sleep 5"),
        bash("rm -f full full2; echo fine"),
    ];
    let ran = session(daemon, &world, BUSYBOX, &calls).run();
    mount(&["umount", "-l"]);
    let ran = ran.succeeded();
    assert!(ran.out.contains("| fine"), "{}", ran.out);
    let notes = executed(&world)[0]["notes"].to_string();
    assert!(notes.contains("filled the disk"), "{notes}");
}

/// A mount is the same file system: what the host listens at there would answer.
#[test]
fn a_socket_in_the_repository_is_not_reached() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    fs::create_dir(world.repo().join("run")).unwrap();
    let socket = world.repo().join("run/daemon.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o777)).unwrap();
    let calls = [
        bash("test -S run/daemon.sock"),
        bash("test -c run/daemon.sock"),
    ];
    session(daemon, &world, BUSYBOX, &calls).run().succeeded();
    drop(listener);
    let executed = executed(&world);
    assert_eq!(executed[1]["exitCode"], 0);
    assert_ne!(executed[0]["exitCode"], 0);
    let attested = world.event("sandbox.attested")["payload"].clone();
    let mounts = attested["mounts"].to_string();
    assert!(mounts.contains("/repo/run/daemon.sock"), "{mounts}");
    // One of agp's own lay there, was tried from inside, and is gone.
    let left = fs::read_dir(world.repo()).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".agp-"));
    assert_eq!(left.count(), 0);
}
