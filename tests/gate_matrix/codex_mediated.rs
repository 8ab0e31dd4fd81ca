//! Codex in mediated mode.

use serde_json::json;

use super::column::{CALLS, Column, Spoiled, raw};
use super::mediated::{Mediated, does_not_run};
use super::on_codex::Agps;

play!(Agps:
    governor {
        a_gateway_whose_socket_is_deleted_mid_session,
        a_governor_that_is_suspended_while_a_call_asks,
        a_governor_that_is_killed_while_a_call_asks,
    }
    mediated {
        a_bridge_that_is_deleted_mid_session,
        a_bridge_that_is_replaced_mid_session,
        a_server_that_is_suspended_mid_session,
        a_server_that_answers_without_asking,
        a_server_that_answers_without_asking_and_calls_it_failed,
        a_server_that_answers_without_asking_and_covers_it_up,
        a_server_that_asks_and_waits_for_no_answer,
        a_second_server_beside_agps,
        a_governor_that_is_killed_while_a_command_runs,
        a_call_waits_for_the_operators_yes_and_a_no_denies,
        an_id_decides_only_once,
        a_call_of_nearly_a_frame_is_decided_whole,
        a_call_beyond_a_frame_does_not_run,
        an_argument_given_twice_is_decided_as_it_runs,
        links_lead_nowhere,
        what_a_call_leaves_running_ends_at_its_deadline,
    }
    on_codex {
        a_repository_with_a_codex_config,
        a_repository_with_hooks_that_rewrite_the_arguments,
        a_repository_that_the_user_trusts,
        a_repository_that_asks_for_it_in_words,
        a_repository_whose_git_configuration_names_programs,
        a_user_whose_own_configuration_does_all_of_it,
        a_configuration_that_is_edited_mid_session,
        a_rollout_that_is_cut_mid_session,
    }
);

#[test]
fn a_server_that_is_killed_mid_session() {
    let Some(spoiled) = Spoiled::<Agps>::start() else {
        return;
    };
    spoiled.server().kill("-KILL");
    let played = spoiled.go_and_nothing_runs();
    // The harness answers the call that was under way itself: an answer that is not agp's.
    played.ran.complained(&["came back before it was decided"]);
    let mut first = played.column.world().kinds_of(CALLS[0]);
    first.sort();
    let kinds = ["gate.bypassed", "tool_call.allow", "tool_call.executed"];
    assert_eq!(first, kinds, "what it came to is on record");
}

#[test]
fn an_id_that_is_no_id_is_refused() {
    let Some(column) = Agps::by(&[("allow", "*")]) else {
        return;
    };
    does_not_run(&column, Agps::bash("an id", "touch made"), "made");
}

#[test]
fn what_the_harness_itself_refuses_is_no_bypass() {
    let Some(column) = Agps::by(&[("allow", "*")]) else {
        return;
    };
    let surrogate = raw(r#"{"command":"touch made; echo \ud800"}"#);
    let model = Agps::model(vec![
        vec![Agps::call("call_surrogate", "Bash", &surrogate)],
        vec![Agps::call("call_broken", "Bash", &raw("{no json"))],
        vec![Agps::call("call_unknown", "Nonsense", &json!({}))],
        vec![Agps::bash("call_next", "touch next")],
    ]);
    column.run(&model).run().succeeded();
    assert_eq!(column.world().get("made"), None);
    assert!(column.world().get("next").is_some());
    column.each_decided(&["call_next"]);
}
