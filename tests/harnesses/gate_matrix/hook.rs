//! Cases of hook mode: what happens to the hook's program in the middle of a session.

use std::fs;

use super::column::{Column, Spoiled, is_journaled_in_part, sizes};
use super::governor::asked;
use super::session::{Process, all_gone, below};

/// A column whose harness runs its own tools and asks before each.
pub(crate) trait Hooked: Column {
    /// What a script does to stand still.
    const HANG: &'static str;
}

pub(crate) fn a_hook_that_is_deleted_mid_session<C: Hooked>() {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    fs::remove_file(&spoiled.hook).unwrap();
    spoiled.go_and_all_is_blocked();
}

/// Puts this script in the hook's place, which blocks whatever comes.
fn blocks<C: Hooked>(script: &str) {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    spoiled.replace(script);
    spoiled.go_and_all_is_blocked();
}

pub(crate) fn a_hook_that_fails_mid_session<C: Hooked>() {
    blocks::<C>("exit 1");
}

pub(crate) fn a_hook_that_denies_without_a_reason<C: Hooked>() {
    blocks::<C>("exit 2");
}

pub(crate) fn a_hook_that_is_killed_mid_session<C: Hooked>() {
    blocks::<C>("kill -SEGV $$");
}

/// Slow: the call waits for the harness's own hook timeout, or for the guard around the hook.
pub(crate) fn a_hook_that_hangs_mid_session<C: Hooked>() {
    let Some(spoiled) = Spoiled::<C>::start() else {
        return;
    };
    // The result of the first call is not reported by it: only the question hangs, once.
    let hung = spoiled.world().path("hung");
    spoiled.replace(&format!(
        "case \"$*\" in *'--event pre'*) ;; *) exit 0;; esac\n\
         [ -e {hung} ] && exit 1\ntouch {hung}; {}",
        C::HANG
    ));
    let played = spoiled.go_and_all_is_blocked();
    assert!(played.column.world().get("hung").is_some());
}

/// Slow, as [`a_hook_that_hangs_mid_session`].
pub(crate) fn a_hook_that_is_suspended_while_it_asks<C: Hooked>() {
    let Some((column, model, live)) = asked::<C>(&["--approval-timeout", "3"]) else {
        return;
    };
    let world = column.world();
    let asks = |process: &Process| {
        let arguments = process.arguments();
        arguments.get(1).is_some_and(|word| word == "bridge")
    };
    let hook = below(world.lease().pid).into_iter().find(asks).unwrap();
    hook.kill("-STOP");
    live.finish().succeeded();
    all_gone([&hook]);
    assert_eq!(world.get("asked"), None);
    assert!(C::was_refused(&model, "call_w"));
    column.each_decided(&["call_w"]);
}

pub(crate) fn a_call_of_nearly_a_frame_is_decided_whole_and_one_beyond_it_is_denied<C: Hooked>() {
    let Some(column) = C::by(&[("allow", C::WRITE)]) else {
        return;
    };
    let [escaped, fits, beyond] = sizes();
    let world = column.world();
    let model = C::model(vec![
        vec![column.write("call_escaped", "escaped", &escaped)],
        vec![column.write("call_fits", "fits", &fits)],
        vec![column.write("call_beyond", "beyond", &beyond)],
        vec![column.write("call_next", "next", "on it goes\n")],
    ]);
    column.run(&model).run().succeeded();
    assert!(world.get("escaped").is_some_and(|text| text == escaped));
    assert!(world.get("fits").is_some_and(|text| text == fits));
    assert_eq!(world.get("beyond"), None);
    assert_eq!(world.get("next").as_deref(), Some("on it goes\n"));
    assert!(C::was_refused(&model, "call_beyond"));
    let told = C::told(&model, "call_beyond");
    assert!(told.contains("larger than 4 MiB"), "{told}");
    assert_eq!(
        world.kinds_of("call_beyond"),
        ["tool_call.deny", "gate.deny"]
    );
    let allowed = ["tool_call.allow", "gate.allow", "tool_call.result"];
    assert_eq!(world.kinds_of("call_fits"), allowed);
    assert_eq!(world.kinds_of("call_escaped"), allowed);
    assert_eq!(world.census(), [4, 4, 0]);
    is_journaled_in_part(world);
}
