//! `agp policy check`: what is wrong with a policy, and what is odd about it.

use std::path::{Path, PathBuf};

use argh::FromArgs;
use serde_json::{Value, json};

use super::faults::faults;
use super::places::places;
use super::warnings::{Finding, warnings};
use super::{sarif, which};
use crate::channels::escape;
use crate::contracts::approver::Groups;
use crate::contracts::fold::Next;
use crate::contracts::plural::count;
use crate::policy::{Policy, shipped};
use crate::report::failure::{Failure, Outcome, exit, say, say_folded, try_say};
use crate::session::config::Config;
use crate::session::home::Home;
use crate::session::policy_file::{is_of_repository, of_repository};

/// Check a policy; exit 1 if it does not load. Warnings are no errors.
#[derive(FromArgs)]
#[argh(subcommand, name = "check")]
pub(super) struct Check {
    /// the policy: a file, standard, strict or watch (default: policy.json in AGP_HOME,
    /// and .agp/policy.json of the repository)
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
    let home = Home::find().ok();
    let mut files = Vec::new();
    match &command.file {
        Some(path) => files.push(Checked::read(path, home.as_ref())?),
        None => {
            files.push(Checked::read(&Home::find()?.policy(), home.as_ref())?);
            if let Some(path) = of_this_repository(home.as_ref()) {
                files.push(Checked::read(&path, home.as_ref())?);
            }
        }
    }
    if command.sarif {
        let findings = files
            .iter()
            .map(|file| (file.path.as_path(), file.findings.as_slice()));
        try_say(sarif::log(findings));
    } else if command.json {
        // A line a file.
        for file in &files {
            try_say(file.as_json());
        }
    } else {
        files.iter().for_each(Checked::print);
    }
    let all = files.iter().flat_map(|file| &file.findings);
    Ok(match all.filter(|finding| finding.error).count() {
        0 => 0,
        _ => exit::REFUSED,
    })
}

/// The policy of the repository around the working directory, where it has one.
fn of_this_repository(home: Option<&Home>) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    for directory in here.ancestors() {
        let path = of_repository(directory, home).filter(|path| is_of_repository(path, home));
        if let Some(path) = path.filter(|path| path.symlink_metadata().is_ok()) {
            return Some(path);
        }
        if directory.join(".git").exists() {
            return None;
        }
    }
    None
}

/// A policy, and what is found about it.
struct Checked {
    path: PathBuf,
    rules: usize,
    findings: Vec<Finding>,
}

impl Checked {
    fn read(path: &Path, home: Option<&Home>) -> Result<Self, Failure> {
        let bytes = match path.to_str().and_then(shipped) {
            Some(text) => text.into(),
            None => which::read(path)?,
        };
        let groups = home.and_then(groups);
        let (rules, findings) = findings(&bytes, is_of_repository(path, home), groups.as_ref());
        Ok(Self {
            path: path.to_owned(),
            rules,
            findings,
        })
    }

    fn as_json(&self) -> Value {
        let list = self.findings.iter().map(|finding| {
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
        let ok = self.findings.iter().all(|finding| !finding.error);
        json!({"ok": ok, "file": self.path.display().to_string(), "rules": self.rules, "findings": list})
    }

    fn print(&self) {
        let path = self.path.display();
        for finding in &self.findings {
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
                "{path}{place}: {}: {rule}{}{kind}",
                level(finding),
                finding.message,
            );
            // A backslash of a pattern is one, as in the file.
            let line = escape::line(&line).replace("\\\\", "\\");
            say_folded(&line, Next::FOREIGN);
        }
        let errors = self.findings.iter().filter(|finding| finding.error).count();
        match errors {
            0 => say(format_args!(
                "{path}: {}, no errors, {}",
                count(self.rules, "rule"),
                count(self.findings.len(), "warning")
            )),
            _ => say(format_args!("{path}: {}", count(errors, "error"))),
        }
    }
}

/// How many rules a policy has, its base's too, and what is found about it.
/// With the groups of `config.json`, where that can be read.
fn findings(bytes: &[u8], of_repository: bool, groups: Option<&Groups>) -> (usize, Vec<Finding>) {
    let text = String::from_utf8_lossy(bytes);
    let load = |bytes: &[u8]| match of_repository {
        false => Policy::parse(bytes),
        // As a layer it may hold less.
        true => Policy::layered(None, br#"{"rules":[]}"#, Some(bytes))
            .map_err(|(_, error)| error)
            .and_then(|_| Policy::parse(bytes)),
    };
    match load(bytes) {
        Ok(policy) => {
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            (
                policy.len(),
                warnings(&policy, &document, &places(&text), groups),
            )
        }
        Err(_) => (0, faults(&text, load)),
    }
}

/// The groups of a home's `config.json`; `None` where it is not in order, which `agp doctor` says.
fn groups(home: &Home) -> Option<Groups> {
    Config::load(home).ok()?.groups().ok()
}

fn level(finding: &Finding) -> &'static str {
    match finding.error {
        true => "error",
        false => "warning",
    }
}

/// What `agp doctor` says of the home's policy.
pub(in crate::cli) fn summary(home: &Home) -> String {
    let warned = which::read(&home.policy()).map_or(0, |bytes| {
        findings(&bytes, false, groups(home).as_ref()).1.len()
    });
    format!(
        "`agp policy check` finds no errors, {}",
        count(warned, "warning")
    )
}
