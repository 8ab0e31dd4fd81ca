//! `agp policy check`: what is wrong with a policy, and what is odd about it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use argh::FromArgs;
use serde_json::{Value, json};

use super::places::{Place, places};
use super::warnings::{Finding, warnings};
use super::{sarif, which};
use crate::channels::escape;
use crate::contracts::fold::Next;
use crate::contracts::plural::count;
use crate::policy::{LayerError, Policy, PolicyError, shipped};
use crate::report::failure::{Failure, Outcome, exit, say, say_folded, try_say};
use crate::session::home::Home;
use crate::session::policy_file::is_of_repository;

/// Check a policy; exit 1 if it does not load. Warnings are no errors.
#[derive(FromArgs)]
#[argh(subcommand, name = "check")]
pub(super) struct Check {
    /// the policy: a file, standard, strict or watch (default: policy.json in AGP_HOME)
    #[argh(positional)]
    file: Option<PathBuf>,
    /// print the findings as JSON
    #[argh(switch)]
    json: bool,
    /// print the findings as SARIF 2.1.0
    #[argh(switch)]
    sarif: bool,
}

pub(super) fn check(command: &Check) -> Outcome {
    if command.json && command.sarif {
        return Err(Failure::usage(
            "--json and --sarif are two forms",
            "use one of them",
        ));
    }
    let path = match &command.file {
        Some(path) => path.clone(),
        None => Home::find()?.policy(),
    };
    let bytes = match path.to_str().and_then(shipped) {
        Some(text) => text.into(),
        None => which::read(&path)?,
    };
    let of_repository = is_of_repository(&path, Home::find().ok().as_ref());
    let (rules, findings) = findings(&bytes, of_repository);
    let errors = findings.iter().filter(|finding| finding.error).count();
    if command.sarif {
        try_say(sarif::log(&path, &findings));
    } else if command.json {
        try_say(as_json(&path, rules, &findings));
    } else {
        print(&path, rules, &findings);
    }
    Ok(match errors {
        0 => 0,
        _ => exit::REFUSED,
    })
}

/// How many rules a policy has, its base's too, and what is found about it.
fn findings(bytes: &[u8], of_repository: bool) -> (usize, Vec<Finding>) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = match of_repository {
        false => Policy::parse(bytes),
        // As a layer it may hold less.
        true => Policy::layered(None, br#"{"rules":[]}"#, Some(bytes))
            .map_err(|(_, error)| error)
            .and_then(|_| Policy::parse(bytes)),
    };
    match parsed {
        Ok(policy) => {
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            (policy.len(), warnings(&policy, &document, &places(&text)))
        }
        Err(error) => (0, vec![fault(&text, &error)]),
    }
}

/// Why a policy does not load, with where.
fn fault(text: &str, error: &PolicyError) -> Finding {
    let (place, message) = match error {
        PolicyError::Text {
            line,
            column,
            problem,
        } => (Some((*line, *column)), problem.clone()),
        PolicyError::Layer(error) => (place_of(text, error), error.to_string()),
        other => (None, other.to_string()),
    };
    Finding {
        error: true,
        kind: "error",
        place,
        rule: None,
        message,
    }
}

/// Where what does not fit stands: an id of `drop`, a rule by its id, or `base` itself.
fn place_of(text: &str, error: &LayerError) -> Option<Place> {
    let document: Value = serde_json::from_str(text).ok()?;
    let places: HashMap<String, Place> = places(text);
    let item = |list: &str, is: &dyn Fn(&Value) -> bool| {
        let at = document.get(list)?.as_array()?.iter().position(is)?;
        places.get(&format!("/{list}/{at}")).copied()
    };
    match error {
        LayerError::UnknownDrop { rule, .. } => item("drop", &|id| id == rule),
        LayerError::Taken { rule, .. } | LayerError::Loosens(rule) => {
            item("rules", &|own| own.get("id").is_some_and(|id| id == rule))
        }
        LayerError::UnknownBase(_) | LayerError::Over(..) => places.get("/base").copied(),
        LayerError::MoreThanRules | LayerError::NotAFile => None,
    }
}

fn as_json(path: &Path, rules: usize, findings: &[Finding]) -> Value {
    let list = findings.iter().map(|finding| {
        json!({
            "level": level(finding),
            "kind": finding.kind,
            "line": finding.place.map(|place| place.0),
            "column": finding.place.map(|place| place.1),
            "rule": finding.rule,
            "message": finding.message,
        })
    });
    let list: Vec<Value> = list.collect();
    let ok = findings.iter().all(|finding| !finding.error);
    json!({"ok": ok, "file": path.display().to_string(), "rules": rules, "findings": list})
}

fn level(finding: &Finding) -> &'static str {
    match finding.error {
        true => "error",
        false => "warning",
    }
}

fn print(path: &Path, rules: usize, findings: &[Finding]) {
    for finding in findings {
        let place = finding
            .place
            .map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let rule = finding
            .rule
            .as_ref()
            .map_or_else(String::new, |rule| format!("rule {rule}: "));
        let kind = match finding.error {
            true => String::new(),
            false => format!(" [{}]", finding.kind),
        };
        let line = format!(
            "{}{place}: {}: {rule}{}{kind}",
            path.display(),
            level(finding),
            finding.message,
        );
        say_folded(&escape::line(&line), Next::FOREIGN);
    }
    let errors = findings.iter().filter(|finding| finding.error).count();
    match errors {
        0 => say(format_args!(
            "{}, no errors, {}",
            count(rules, "rule"),
            count(findings.len(), "warning")
        )),
        _ => say(count(errors, "error")),
    }
}

/// What `agp doctor` says of the home's policy.
pub(in crate::cli) fn summary(home: &Home) -> String {
    let warned = which::read(&home.policy()).map_or(0, |bytes| findings(&bytes, false).1.len());
    format!(
        "`agp policy check` finds no errors, {}",
        count(warned, "warning")
    )
}
