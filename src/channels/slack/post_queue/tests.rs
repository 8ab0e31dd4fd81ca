//! What goes first, what waits for what, and what is left out.

use std::time::Duration;

use super::*;
use crate::channels::slack::blocks::Outcome;

fn card(nonce: &str) -> Job {
    Job::Card {
        nonce: nonce.into(),
        text: String::new(),
        blocks: Value::Null,
        until: Instant::now(),
    }
}

fn modal(nonce: &str) -> Job {
    Job::Modal {
        modal: Modal::Details,
        nonce: nonce.into(),
        user: String::new(),
        trigger: String::new(),
        view: Value::Null,
        since: Instant::now(),
    }
}

fn ephemeral(text: &str) -> Job {
    Job::Ephemeral {
        user: String::new(),
        text: text.into(),
    }
}

fn name(waiting: &Waiting) -> String {
    match &waiting.job {
        Job::Card { nonce, .. } | Job::Modal { nonce, .. } => nonce.clone(),
        Job::Ephemeral { text, .. } => text.clone(),
        _ => String::new(),
    }
}

#[test]
fn the_most_urgent_goes_first_and_what_is_as_urgent_in_order() {
    let mut state = QueueState::default();
    for job in [
        ephemeral("e1"),
        card("c1"),
        ephemeral("e2"),
        card("c2"),
        modal("m1"),
    ] {
        state.add(job);
    }
    assert_eq!(name(&state.next().unwrap()), "m1");
    let tried = state.next().unwrap();
    assert_eq!(name(&tried), "c1");
    state.add(card("c3"));
    state.again(tried);
    let order: Vec<String> = std::iter::from_fn(|| state.next())
        .map(|waiting| name(&waiting))
        .collect();
    assert_eq!(order, ["c1", "c2", "c3", "e1", "e2"]);
    assert!(state.is_empty());
}

#[test]
fn what_must_wait_for_its_method_keeps_nothing_else_waiting() {
    let mut state = QueueState::default();
    let later = Instant::now() + Duration::from_secs(3600);
    state.not_before.insert(POST, later);
    let opening = Job::Opening {
        text: String::new(),
        blocks: Value::Null,
    };
    for job in [opening, card("c1"), modal("m1"), ephemeral("e1")] {
        state.add(job);
    }
    // As urgent as the opening, behind it, and of another method.
    assert_eq!(name(&state.next().unwrap()), "m1");
    assert_eq!(name(&state.next().unwrap()), "e1");
    assert!(state.next().is_none());
    assert_eq!(state.wake(), Some(later));
    assert_eq!(state.waiting(), 2);
}

#[test]
fn only_what_can_be_left_out_fills_the_queue() {
    let mut state = QueueState::default();
    for at in 0..limits::SLACK_JOBS {
        assert!(!state.is_full(), "{at}");
        state.add(card("c"));
        state.add(ephemeral("e"));
    }
    assert!(state.is_full());
    while let Some(Job::Card { .. }) = state.next().map(|waiting| waiting.job) {}
    assert!(!state.is_full());
}

fn say(what: &'static str, floods: bool) -> Job {
    Job::Say {
        id: what.into(),
        notice: Notice::new(what, floods, &[]),
    }
}

fn last_edit(ts: &str) -> Job {
    Job::last(Edit {
        posted: Posted {
            channel: "C1".into(),
            ts: ts.into(),
        },
        body: None,
        brief: String::new(),
        outcome: Outcome::new("over"),
    })
}

fn lane_name(waiting: &Waiting) -> String {
    match &waiting.job {
        Job::Update { posted, .. } => posted.ts.clone(),
        Job::Say { id, .. } => id.clone(),
        Job::LeftBehind(entry) => entry.id.clone(),
        _ => name(waiting),
    }
}

#[test]
fn what_became_of_the_calls_keeps_its_order_and_cards_overtake_it() {
    let mut state = QueueState::default();
    for job in [
        last_edit("denied"),
        say("a call was denied", true),
        say("ended", false),
        card("c1"),
    ] {
        state.add(job);
    }
    let later = Instant::now() + Duration::from_secs(3600);
    // No edit may be made now: what comes behind it waits with it.
    state.not_before.insert(UPDATE, later);
    assert_eq!(lane_name(&state.next().unwrap()), "c1");
    assert!(state.next().is_none());
    assert_eq!(state.wake(), Some(later));
    state.not_before.clear();
    let edit = state.next().unwrap();
    assert_eq!(lane_name(&edit), "denied");
    // It has to be tried again, and no message goes before it.
    state.again(edit);
    state.not_before.insert(UPDATE, later);
    assert!(state.next().is_none());
    state.not_before.clear();
    let order: Vec<String> = std::iter::from_fn(|| state.next())
        .map(|waiting| lane_name(&waiting))
        .collect();
    assert_eq!(order, ["denied", "a call was denied", "ended"]);
}

#[test]
fn what_was_left_behind_keeps_its_order_and_delays_nothing_else() {
    let left = |id: &str, ts: Option<&str>| {
        Job::LeftBehind(OutboxEntry {
            id: id.into(),
            session: "s-1".into(),
            channel: "C1".into(),
            ts: ts.map(str::to_owned),
            thread: None,
            text: None,
            claimed_by: None,
        })
    };
    let mut state = QueueState::default();
    for job in [
        left("card", Some("1.1")),
        left("ended", None),
        say("denied", true),
    ] {
        state.add(job);
    }
    let later = Instant::now() + Duration::from_secs(3600);
    state.not_before.insert(UPDATE, later);
    assert_eq!(lane_name(&state.next().unwrap()), "denied");
    assert!(state.next().is_none());
    state.not_before.clear();
    assert_eq!(lane_name(&state.next().unwrap()), "card");
    assert_eq!(lane_name(&state.next().unwrap()), "ended");
}

#[test]
fn what_waits_last_says_the_like_too_unless_it_was_tried() {
    let denial = || Notice::new("a call was denied", true, &[("Tool", "Bash")]);
    let mut state = QueueState::default();
    assert!(state.merge(denial()).is_err());
    state.add(say("a call was denied", true));
    let (id, kept) = state.merge(denial()).unwrap();
    assert_eq!(id, "a call was denied");
    assert!(kept.unwrap().contains("Tool: Bash"));
    let tried = Waiting {
        tries: 1,
        ..state.next().unwrap()
    };
    state.again(tried);
    assert!(state.merge(denial()).is_err());
    // Something else came in between: order is kept.
    state.add(say("a call was denied", true));
    state.add(last_edit("1.1"));
    assert!(state.merge(denial()).is_err());
}

#[test]
fn nothing_waits_for_what_comes_too_late() {
    let mut state = QueueState::default();
    state.add(say("ended", false));
    let soon = Instant::now() + Duration::from_secs(60);
    state.not_before.insert(POST, soon + Duration::from_secs(1));
    assert!(!state.is_too_late());
    state.add(Job::Stop(soon));
    assert!(state.is_too_late());
    state.not_before.insert(POST, soon - Duration::from_secs(1));
    assert!(!state.is_too_late());
}
