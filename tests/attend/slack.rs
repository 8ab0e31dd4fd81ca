//! `agp attend` beside Slack: both are asked, the first answer counts, the other is told.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "whatever fails here fails the test"
)]

use serde_json::{Value, json};

use crate::support::attendee::Attendee;
use crate::support::slack::{CHANNEL, SlackDouble};
use crate::support::slack_world::{ALICE, BOB, Governed, allow};

#[test]
fn an_answer_at_a_terminal_is_told_in_slack_and_the_other_way_round() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    let mut live = governed
        .play(&["make one", "make two"], &["--attend"])
        .start();
    live.see("waiting for an answer: agp attend s-");
    live.see(", or Slack (no answer within ");
    let mut attendee = Attendee::attend(world);
    let first = attendee.see("question");
    assert_eq!(first["elsewhere"], json!(["Slack"]));
    // Its card stands by now.
    let _ = double.card(0);
    attendee.answer(&first, &json!({"approve": "once"}));
    let settled = attendee.see("settled");
    assert_eq!(settled["number"], 1);
    let second = attendee.see("question");
    double.click(&allow(double, 1, ALICE));
    let settled = attendee.see("settled");
    assert_eq!(settled["number"], second["question"]["number"]);
    assert_eq!(settled["words"], "approved by alice (slack U0ALICE)");
    live.finish().succeeded();
    let by = |at: usize| world.events("approval.granted")[at]["payload"]["decidedBy"].clone();
    let here = by(0).as_str().unwrap().to_owned();
    assert!(here.ends_with("without a terminal"), "{here}");
    assert_eq!(by(1), "alice (slack U0ALICE)");
    assert!(double.closed_card(0).text().contains(&here));
    world.verifies();
}

#[test]
fn where_the_configuration_asks_for_two_people_one_at_a_terminal_is_not_asked() {
    let governed = Governed::by(SlackDouble::start(), &[("require", "Bash")]);
    let (world, double) = (&governed.world, &governed.double);
    let slack = json!({"channel": CHANNEL, "approvers": [ALICE, BOB], "approvalsRequired": 2});
    let config = json!({"slack": slack, "approval": {"attend": true}});
    std::fs::write(world.agp_home().join("config.json"), config.to_string()).unwrap();
    let live = governed.play(&["make one"], &[]).start();
    let mut attendee = Attendee::attend(world);
    double.click(&allow(double, 0, ALICE));
    double.click(&allow(double, 0, BOB));
    live.finish().succeeded();
    let rest = attendee.rest();
    let kinds: Vec<&Value> = rest.iter().map(|message| &message["type"]).collect();
    assert!(!kinds.iter().any(|kind| *kind == "question"), "{kinds:?}");
    assert_eq!(
        world.event("approval.granted")["payload"]["channel"],
        "slack"
    );
}
