//! Runs a file of cases, and says which fail.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ground::Ground;
use super::lines::{Answer, Case, Egress, Header, Line, NotCases};
use crate::cli::policy::asking::{Asking, Call, Session};
use crate::contracts::call::Actor;
use crate::contracts::secret::SHELL;
use crate::contracts::verdict::Decision;
use crate::contracts::{bounded_file, limits};
use crate::policy::{Explanation, Policy, category_name, shipped};
use crate::reading::atoms::Reading;

/// What became of a file's cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many there are.
    pub cases: usize,
    /// Those that fail.
    pub failing: Vec<Failing>,
}

/// A case that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failing {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The command, or the tool with its arguments.
    pub call: String,
    /// What was expected and is not so, one sentence each.
    pub expected: Vec<String>,
    /// The verdict.
    pub got: String,
    /// The verdict's reason.
    pub reason: String,
    /// Why the case expects what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.file, self.line, self.call)?;
        for expected in &self.expected {
            writeln!(f, "  expected {expected}")?;
        }
        write!(f, "  got {}: {}", self.got, self.reason)?;
        match &self.why {
            Some(why) => write!(f, "\n  the case says: {why}"),
            None => Ok(()),
        }
    }
}

/// Runs the cases of a file.
///
/// # Errors
/// What makes it no file of cases, with the line.
pub fn run(path: &Path) -> Result<Report, NotCases> {
    let named =
        |problem: &dyn fmt::Display| NotCases::of(format_args!("{}: {problem}", path.display()));
    let bytes = bounded_file::read(path, limits::CASES_BYTES).map_err(|error| named(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| named(&error))?;
    let mut report = Report::default();
    let at = |number: usize, problem: &dyn fmt::Display| {
        NotCases::of(format_args!("{}:{}: {problem}", path.display(), number + 1))
    };
    let mut header: Option<(usize, Header)> = None;
    let mut cases = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match Line::parse(line).map_err(|problem| at(number, &problem))? {
            Line::Header(next) => {
                if let Some((number, header)) = header.replace((number, next)) {
                    section(
                        path,
                        number,
                        &header,
                        &std::mem::take(&mut cases),
                        &mut report,
                    )
                    .map_err(|problem| at(number, &problem))?;
                }
            }
            Line::Case(_) if header.is_none() => {
                return Err(at(number, &"a file begins with a line that names a policy"));
            }
            Line::Case(case) => cases.push((number, case)),
        }
    }
    match header {
        Some((number, header)) => section(path, number, &header, &cases, &mut report)
            .map_err(|problem| at(number, &problem))?,
        None => return Err(named(&"it has no cases")),
    }
    Ok(report)
}

/// The cases below one header.
fn section(
    path: &Path,
    number: usize,
    header: &Header,
    cases: &[(usize, Case)],
    report: &mut Report,
) -> Result<(), NotCases> {
    let policy = policy(path, &header.policy)?;
    let ground = Ground::new().map_err(|error| NotCases::of(format_args!("/var/tmp: {error}")))?;
    ground.make(&header.files).map_err(NotCases::of)?;
    if let Some(git) = &header.git {
        ground.git(git).map_err(NotCases::of)?;
    }
    let confined = header.confined && header.egress != Egress::Full;
    let mut section = Section {
        asking: Asking::new(&policy, ground.surroundings(), confined),
        ground: &ground,
        sessions: HashMap::new(),
    };
    let mut questions = Vec::new();
    for (line, case) in cases {
        report.cases += 1;
        let (failing, decision) = section.case(case).map_err(|problem| {
            NotCases::of(format_args!("the case in line {}: {problem}", line + 1))
        })?;
        if decision == Decision::Require && case.expect.all().contains(&Decision::Allow) {
            questions.push(line + 1);
        }
        report.failing.extend(failing.map(|failing| Failing {
            file: path.display().to_string(),
            line: line + 1,
            ..failing
        }));
    }
    if let Some(most) = header.asked_at_most.filter(|most| questions.len() > *most) {
        report.failing.push(Failing {
            file: path.display().to_string(),
            line: number + 1,
            call: "all cases that may be allowed".to_owned(),
            expected: vec![format!("at most {most} of them asked")],
            got: format!("{} asked", questions.len()),
            reason: format!("lines {questions:?}"),
            why: None,
        });
    }
    Ok(())
}

/// The policy that a header names: one that ships, one in the header, or a file beside.
fn policy(path: &Path, named: &Value) -> Result<Policy, NotCases> {
    let loaded = match named {
        Value::String(name) => match shipped(name) {
            Some(text) => Policy::parse(text.as_bytes()),
            None => Policy::load(&path.with_file_name(name)),
        },
        inline => Policy::parse(inline.to_string().as_bytes()),
    };
    loaded.map_err(|error| NotCases::of(format_args!("policy: {error}")))
}

struct Section<'a> {
    asking: Asking<'a>,
    ground: &'a Ground,
    sessions: HashMap<String, Session>,
}

impl Section<'_> {
    /// Runs one; gives what fails about it, and the decision.
    fn case(&mut self, case: &Case) -> Result<(Option<Failing>, Decision), NotCases> {
        let (tool, args) = match &case.command {
            Some(command) => (
                SHELL.0.to_owned(),
                Map::from_iter([(SHELL.1.to_owned(), json!(self.ground.fill(command)))]),
            ),
            None => {
                let args = case.args.clone().unwrap_or_default();
                let filled = self.filled(Value::Object(args));
                let args = filled.as_object().cloned().unwrap_or_default();
                (case.tool.clone().unwrap_or_default(), args)
            }
        };
        let directory = case.directory.as_deref().map(|text| {
            let repository = &self.asking.around().repository;
            crate::reading::paths::join(repository, &self.ground.fill(text))
        });
        let call = Call {
            tool: &tool,
            args: &args,
            directory: directory.as_deref(),
            actor: case.actor.unwrap_or(Actor::ClaudeProcess),
        };
        let mut alone = self.asking.begin();
        let session = match &case.session {
            None => &mut alone,
            Some(name) => {
                let session = self.sessions.entry(name.clone());
                session.or_insert_with(|| self.asking.begin())
            }
        };
        let (reading, explanation) = self.asking.explain(call, session, &self.ground.disk());
        let verdict = &explanation.ruling.verdict;
        let runs = match verdict.decision {
            Decision::Allow => true,
            Decision::Require => case.answered == Some(Answer::Allow),
            Decision::Deny => false,
        };
        if runs {
            session.record(&reading);
            let left = self.ground.make(&case.leaves);
            left.map_err(NotCases::of)?;
        }
        let expected = unmet(case, &reading, &explanation);
        let call = match &case.command {
            Some(command) => command.clone(),
            None => format!(
                "{tool} {}",
                Value::Object(case.args.clone().unwrap_or_default())
            ),
        };
        let failing = (!expected.is_empty()).then(|| Failing {
            file: String::new(),
            line: 0,
            call,
            expected,
            got: verdict.decision.as_str().to_owned(),
            reason: verdict.reason.clone(),
            why: case.why.clone(),
        });
        Ok((failing, verdict.decision))
    }

    /// Every string with its places filled in. What nests deep was refused by the JSON reader.
    fn filled(&self, value: Value) -> Value {
        let text = value.to_string();
        // Both places are plain in JSON.
        serde_json::from_str(&self.ground.fill(&text)).unwrap_or(value)
    }
}

/// What a case expects that is not so.
fn unmet(case: &Case, reading: &Reading, explanation: &Explanation) -> Vec<String> {
    let mut unmet = Vec::new();
    let verdict = &explanation.ruling.verdict;
    let names = |decisions: &[Decision]| {
        let names: Vec<&str> = decisions.iter().map(|decision| decision.as_str()).collect();
        names.join(" or ")
    };
    if !case.expect.all().contains(&verdict.decision) {
        unmet.push(names(case.expect.all()));
    }
    if let Some(rule) = &case.rule {
        let outcomes = explanation.atoms.iter().flat_map(|atom| &atom.rules);
        let mut speaking = outcomes.filter(|own| own.matches && own.effect == verdict.decision);
        if !speaking.any(|own| own.id == *rule) {
            unmet.push(format!("rule {rule} among those that decide"));
        }
    }
    let atoms = explanation.atoms.iter();
    let dangers: Vec<&str> = atoms
        .flat_map(|atom| &atom.dangers)
        .map(|(category, _, _)| category_name(*category))
        .collect();
    for danger in case.danger.iter().flat_map(|danger| danger.all()) {
        if !dangers.contains(&danger.as_str()) {
            unmet.push(format!("danger {danger} (it reads {dangers:?})"));
        }
    }
    if let Some(unread) = case
        .unread
        .filter(|unread| *unread == reading.unread.is_empty())
    {
        unmet.push(match unread {
            true => "an unread part".to_owned(),
            false => format!("no unread part: {}", reading.unread.join("; ")),
        });
    }
    unmet
}
