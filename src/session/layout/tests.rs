//! Every combination that can be asked for, against the table of what comes of it.

use super::*;
use crate::egress::Allowlist;
use crate::session::egress::{EgressScope, WayOut};

const TABLE: &str = include_str!("layouts.txt");
const HARNESSES: [(&str, Option<Harness>); 3] = [
    ("scripted", None),
    ("claude-code", Some(Harness::ClaudeCode)),
    ("codex", Some(Harness::Codex)),
];
const MODES: [(&str, Option<Mode>); 3] = [
    ("-", None),
    ("hook", Some(Mode::Hook)),
    ("mediated", Some(Mode::Mediated)),
];
const SANDBOXES: [(&str, Option<Provider>); 4] = [
    ("-", None),
    ("recording", Some(Provider::Recording)),
    ("process", Some(Provider::Process)),
    ("docker", Some(Provider::Docker)),
];
const CONFINES: [(&str, Option<Confine>); 3] = [
    ("-", None),
    ("strict", Some(Confine::Strict)),
    ("best-effort", Some(Confine::BestEffort)),
];

fn every_request() -> impl Iterator<Item = (String, LayoutRequest)> {
    HARNESSES.into_iter().flat_map(|(harness, harness_is)| {
        MODES.into_iter().flat_map(move |(mode, mode_is)| {
            SANDBOXES
                .into_iter()
                .flat_map(move |(sandbox, sandbox_is)| {
                    CONFINES.into_iter().map(move |(confine, confine_is)| {
                        let request = LayoutRequest {
                            harness: harness_is,
                            mode: mode_is,
                            sandbox: sandbox_is,
                            confine: confine_is,
                        };
                        let words = format!("{harness:<12}{mode:<10}{sandbox:<11}{confine:<13}");
                        (words, request)
                    })
                })
        })
    })
}

fn scope(scope: &EgressScope) -> String {
    match scope {
        EgressScope::None => "none".to_owned(),
        EgressScope::Full => "full".to_owned(),
        EgressScope::Listed(list) => {
            let names = list.entries();
            let names = names
                .iter()
                .map(|host| host.split('.').next().unwrap_or_default());
            names.collect::<Vec<_>>().join("+")
        }
    }
}

/// What may be reached, or why that is refused, as the table writes it.
fn egress(layout: Layout, choice: Option<&str>) -> String {
    let named = choice == Some("allowlist");
    let listed = || {
        let hosts: &[&str] = if named { &["own.test"] } else { &[] };
        Ok(Allowlist::parse(hosts.iter().copied()).unwrap())
    };
    let model = |_| Ok(vec!["model.test".to_owned()]);
    match WayOut::of(layout, choice, named, &listed, &model) {
        Ok(way_out) => format!("{}/{}", scope(&way_out.calls), scope(&way_out.harness)),
        Err(failure) => refusal(&failure),
    }
}

/// The name of a refusal by what is said of it.
fn refusal(failure: &Failure) -> String {
    let errors = [
        LayoutError::EgressOfRecording,
        LayoutError::EgressNoneInHookMode,
    ];
    let mut errors = errors.into_iter();
    let error = errors.find(|error| Failure::from(*error).problem == failure.problem);
    error.map_or_else(|| failure.problem.clone(), |error| format!("{error:?}"))
}

#[test]
fn whatever_is_asked_for_is_a_layout_of_the_table_or_its_refusal() {
    let mut table = TABLE.lines().filter(|line| !line.starts_with('#'));
    for (words, request) in every_request() {
        let outcome = match Layout::of(request, || true) {
            Err(error) => format!("{error:?}"),
            Ok(layout) => {
                let choices = [None, Some("none"), Some("full"), Some("allowlist")];
                let reached = choices.map(|choice| egress(layout, choice));
                format!("{layout:?} {}", reached.join(" "))
            }
        };
        assert_eq!(Some(format!("{words}{outcome}").as_str()), table.next());
    }
    assert_eq!(table.next(), None);
}

#[test]
fn a_claude_code_that_runs_a_call_whose_hook_fails_is_mediated_unless_hook_mode_is_asked_for() {
    for (words, request) in every_request() {
        let (blocks, runs) = (Layout::of(request, || true), Layout::of(request, || false));
        let decides = request.harness == Some(Harness::ClaudeCode)
            && request.mode.is_none()
            && matches!(request.sandbox, None | Some(Provider::Process));
        if decides {
            let confine = request.confine.unwrap_or(Confine::Strict);
            assert_eq!(
                runs,
                Ok(Layout::ClaudeMediatedInProcess(confine)),
                "{words}"
            );
        } else {
            assert_eq!(blocks, runs, "{words}");
        }
    }
}
