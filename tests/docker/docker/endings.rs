//! Containers, daemons and governors that end in the middle.

use super::*;

/// A session whose call runs until the container is gone.
fn under_way(daemon: &Dockerd, world: &World) -> session::Live {
    let calls = [
        bash("echo begun >begun; sleep 100"),
        bash("touch on-the-host"),
    ];
    let live = session(daemon, world, BUSYBOX, &calls).start();
    wait_for("the call", || world.get("begun"));
    live
}

fn broken(world: &World, ran: Ran) {
    let session = world.event("session.started")["payload"]["sessionId"].clone();
    let mend = format!("agp log --session {}", session.as_str().unwrap());
    ran.exited(3).complained(&["the sandbox", &mend]);
    assert!(world.get("on-the-host").is_none(), "a call ran on the host");
    let ended = world.event("session.ended");
    assert_eq!(ended["payload"]["end"], "broken");
    world.verifies();
}

#[test]
fn a_container_that_vanishes_ends_the_session() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let live = under_way(daemon, &world);
    let session = world.lease().session;
    let [container] = &daemon.containers(&session)[..] else {
        panic!("no container");
    };
    daemon.ask(&["rm", "--force", container]);
    broken(&world, live.finish());
}

/// What another session that lives has is no leftover.
#[test]
fn a_session_that_begins_leaves_the_container_of_another_alone() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let calls = [
        bash("echo begun >begun; while [ ! -e end ]; do sleep 0.1; done"),
        bash("echo still here"),
    ];
    let first = session(daemon, &world, BUSYBOX, &calls).start();
    wait_for("the call", || world.get("begun"));
    session(daemon, &world, BUSYBOX, &[bash("touch end")])
        .run()
        .succeeded();
    first.finish().succeeded().said(&["| still here"]);
    assert!(world.events("session.reaped").is_empty());
    world.verifies();
}

#[test]
fn a_daemon_that_ends_in_the_middle_ends_the_session() {
    if !dockerd::possible() {
        return;
    }
    for signal in ["-TERM", "-KILL"] {
        let daemon = Dockerd::start(if signal == "-KILL" { "killed" } else { "ended" });
        let world = world();
        let live = under_way(&daemon, &world);
        session::Process::of(daemon.pid()).unwrap().kill(signal);
        broken(&world, live.finish());
    }
}

/// The end of a session does not wait for the daemon without a word, nor for ever.
#[test]
fn a_daemon_that_stands_still_at_the_end_is_told_of_and_not_waited_for() {
    if !dockerd::possible() {
        return;
    }
    let daemon = Dockerd::start("still");
    let process = session::Process::of(daemon.pid()).unwrap();
    let world = world();
    let calls = [bash(
        "echo begun >begun; while [ ! -e end ]; do sleep 0.1; done",
    )];
    let mut waits = Vec::new();
    for goes_on in [true, false] {
        let live = session(&daemon, &world, BUSYBOX, &calls).start();
        wait_for("the call", || world.get("begun"));
        waits.push(world.lease().session);
        process.kill("-STOP");
        session::Process::of(live.pid()).unwrap().kill("-TERM");
        wait_for("a word", || {
            let waits = "waiting for Docker to remove the container";
            live.seen().contains(waits).then_some(())
        });
        if goes_on {
            process.kill("-CONT");
        }
        let ran = live.finish();
        let told = ran.err.contains("WARNING: Docker does not answer");
        assert_eq!(told, !goes_on, "{}", ran.err);
        process.kill("-CONT");
        fs::remove_file(world.repo().join("begun")).unwrap();
    }
    assert_eq!(daemon.containers(&waits[0]).len(), 0);
    // The next one finds what is left.
    session(&daemon, &world, BUSYBOX, &[bash("true")])
        .run()
        .succeeded();
    assert_eq!(daemon.containers(&waits[1]).len(), 0);
    world.verifies();
}

#[test]
fn without_a_daemon_nothing_runs() {
    let world = world_without_docker();
    let script = world.root().join("script");
    fs::write(&script, bash("touch on-the-host").to_string()).unwrap();
    world
        .agp(&["run", "--sandbox", "docker", "--image", BUSYBOX])
        .arguments(&["--script", script.to_str().unwrap()])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .run()
        .exited(1)
        .complained(&[
            "the daemon at /nonexistent/docker.sock is not reachable",
            "systemctl start docker",
        ]);
    assert!(world.get("on-the-host").is_none());
    world.event("session.refused");
    // Asked for by name it is missing, whether the configuration needs it or not.
    world
        .agp(&["doctor", "--check", "docker"])
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .run()
        .exited(1)
        .said(&["FAILED", "systemctl start docker"]);
}

fn world_without_docker() -> World {
    let world = World::new();
    world.policy(&[("allow", "*")]);
    world
}

#[test]
fn a_container_ends_with_its_agp_and_the_next_start_reaps_what_is_left() {
    let Some(daemon) = dockerd::shared() else {
        return;
    };
    let world = world();
    let live = under_way(daemon, &world);
    let lease = world.lease();
    session::Process::of(lease.pid).unwrap().kill("-KILL");
    let begun = Instant::now();
    daemon.without(&lease.session);
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(live);

    // One that did not end by itself: its agp is gone, its label is there.
    let home = format!("agp.home={}", world.agp_home().display());
    let other = "agp.session=s-000000000000";
    let command = [
        "run", "--detach", "--label", &home, "--label", other, BUSYBOX, "sleep", "1000",
    ];
    let left = daemon.ask(&command);
    // Another home's is not this one's to reap.
    let foreign = daemon.ask(&[
        "run",
        "--detach",
        "--label",
        "agp.home=/other",
        BUSYBOX,
        "sleep",
        "1000",
    ]);
    let doctor = || {
        world
            .agp(&["doctor", "--check", "docker"])
            .env("DOCKER_HOST", &daemon.host())
    };
    doctor()
        .run()
        .exited(1)
        .said(&["leftover containers of s-000000000000"]);
    session(daemon, &world, BUSYBOX, &[bash("true")])
        .run()
        .succeeded();
    let reaped = world.events("session.reaped");
    let of = |session: &str| {
        reaped
            .iter()
            .find(|event| event["payload"]["sessionId"] == session)
            .unwrap()
    };
    assert_eq!(of("s-000000000000")["payload"]["container"], left);
    of(&lease.session);
    assert!(!daemon.client(&["inspect", &left]).status.success());
    daemon.ask(&["rm", "--force", &foreign]);
    let whole = [
        "Docker/",
        "API 1.",
        "no image configured",
        "no leftover containers",
    ];
    doctor().run().succeeded().said(&whole);
    let of = |image: &str| doctor().env("AGP_SANDBOX_IMAGE", image).run();
    of(BUSYBOX)
        .succeeded()
        .said(&["image agp-busybox:1, sha256:"]);
    of("agp-other:1").exited(1).said(&["no local image"]);
    of("agp-busybox:latest")
        .exited(1)
        .said(&["the tag latest may move", "NAME:VERSION"]);
    world.verifies();
}
