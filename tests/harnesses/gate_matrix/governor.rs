//! Cases of every column: what happens to the governor and its gateway, and what a call may look like.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::column::{Column, QUESTION, Spoiled};
use super::session::{Live, Process, all_gone, below, python, wait_for};

pub(crate) fn a_gateway_whose_socket_is_deleted_mid_session<C: Column>() {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    fs::remove_file(spoiled.world().lease().directory.join("gate.sock")).unwrap();
    // It has the socket itself, not its name: it asks, and is answered.
    spoiled.go_and_all_is_decided();
}

/// A write that is asked about at a terminal, up to the question.
pub(crate) fn asked<C: Column>(more: &[&str]) -> Option<(C, C::Model, Live)> {
    let column = C::by(&[("require", C::WRITE)])?;
    let python = python()?;
    // A question does not wait to be shown: a hook's patience is then its deadline and 30 s.
    let config = json!({"approval": {"queueSeconds": 0}});
    fs::write(
        column.world().agp_home().join("config.json"),
        config.to_string(),
    )
    .unwrap();
    let model = C::model(vec![vec![column.write("call_w", "asked", "yes\n")]]);
    let start = column.run(&model).arguments(more);
    let mut live = start.start_at_terminal(&python);
    live.see(QUESTION);
    Some((column, model, live))
}

pub(crate) fn a_governor_that_is_suspended_while_a_call_asks<C: Column>() {
    let Some((column, _model, mut live)) = asked::<C>(&[]) else {
        return;
    };
    let world = column.world();
    let agp = Process::of(world.lease().pid).unwrap();
    agp.kill("-STOP");
    wait_for("each of its threads to stand still", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", agp.pid)).ok()?;
        let stopped = |task: PathBuf| {
            let stat = fs::read_to_string(task.join("stat")).ok()?;
            stat.rsplit_once(") ")?.1.starts_with('T').then_some(())
        };
        tasks.flatten().try_for_each(|task| stopped(task.path()))
    });
    live.type_in("y\n");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(world.get("asked"), None, "nobody has decided it");
    assert_eq!(world.kinds_of("call_w"), ["tool_call.require"]);
    agp.kill("-CONT");
    live.finish().succeeded();
    assert_eq!(world.get("asked").as_deref(), Some("yes\n"));
    column.each_decided(&["call_w"]);
}

pub(crate) fn a_governor_that_is_killed_while_a_call_asks<C: Column>() {
    let Some((column, _model, live)) = asked::<C>(&[]) else {
        return;
    };
    let world = column.world();
    let lease = world.lease();
    let agp = Process::of(lease.pid).unwrap();
    let all = below(agp.pid);
    assert!(all.len() >= 3, "leash, harness, and what asks: {all:?}");
    agp.kill("-KILL");
    live.finish().exited(128 + 9);
    all_gone(&all);
    assert_eq!(world.get("asked"), None);
    assert_eq!(world.kinds_of("call_w"), ["tool_call.require"]);
    world.verifies();
    // The next start reaps it, its private directory included.
    world.agp(&["run"]).run().succeeded();
    assert!(!lease.directory.exists());
    world.verifies();
}
