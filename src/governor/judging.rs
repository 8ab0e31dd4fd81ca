//! What the rules say of a call: it is read into what it would do, and judged by what the session did before.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::governed_session::{Governor, Notice};
use crate::contracts::call::{Actor, ToolCall, WORKDIR};
use crate::contracts::channel::ApprovalTerms;
use crate::contracts::ids::{MessageId, Sha256};
use crate::contracts::lock::locked;
use crate::contracts::secret;
use crate::contracts::verdict::{Decision, Verdict};
use crate::policy::{Conditions, Question, Ruling};
use crate::reading::atoms::{Atom, AtomKind, Reading};
use crate::reading::disk::{Disk, NoDisk};
use crate::reading::surroundings::Surroundings;
use crate::reading::{known_tools, tools};
use crate::view::before::{ChangedFile, NoPreview, Preview};

/// What that a call would do is said of a change; a person reads no more.
const CHANGES_SHOWN: usize = 3;

/// Characters of a path in that: any usual one whole.
const PATH_CHARS: usize = 200;

/// How the calls of a session are read.
pub struct ReadingTerms {
    /// Where they are made, as their tools see it.
    pub around: Surroundings,
    /// A look at the file system for one call, within a budget of its own.
    pub disk: Box<dyn Fn() -> Box<dyn Disk> + Send + Sync>,
    /// Reads a file that a person is shown as it is.
    pub preview: Box<dyn Preview>,
    /// Commands run in a sandbox, and egress is not `full`.
    pub confined: bool,
    /// The day, `2026-12-31`; `None` where nobody looks.
    pub today: fn() -> Option<String>,
}

impl ReadingTerms {
    /// Of a machine that nobody looks at.
    #[must_use]
    pub fn blind() -> Self {
        Self {
            around: Surroundings::default(),
            disk: Box::new(|| Box::new(NoDisk)),
            preview: Box::new(NoPreview),
            confined: false,
            today: || None,
        }
    }
}

/// A call that was judged.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Its reason as the rules gave it.
    why: String,
    /// What an approval needs.
    pub(super) terms: ApprovalTerms,
    /// Who may approve, by each rule that says so.
    pub(super) approvers: Vec<Vec<String>>,
    /// What a person is asked. Nothing where the rules ask nothing.
    pub(super) questions: Vec<Question>,
    /// What it would do. `None` where no rule was asked.
    pub(super) reading: Option<Reading>,
    /// The files that it changes, as they are; where a person is asked.
    pub(super) files: Vec<ChangedFile>,
}

impl Judged {
    /// Refused before any rule.
    pub(super) fn refused(verdict: Verdict) -> Self {
        Self {
            why: verdict.reason.clone(),
            verdict,
            terms: ApprovalTerms::default(),
            approvers: Vec::new(),
            questions: Vec::new(),
            reading: None,
            files: Vec::new(),
        }
    }

    /// Whether it is denied, or asked about for another reason, where the other is not.
    fn is_stricter_than(&self, other: &Self) -> bool {
        match self.verdict.decision {
            Decision::Allow => false,
            Decision::Deny => true,
            Decision::Require => {
                self.why != other.why
                    || self.terms != other.terms
                    || self.approvers != other.approvers
            }
        }
    }

    /// Digest of what the call would do.
    pub(super) fn reading_sha256(&self) -> Sha256 {
        match &self.reading {
            Some(reading) => Sha256::of(format!("{reading:?}").as_bytes()),
            None => Sha256::of(b""),
        }
    }
}

impl Governor {
    /// What the rules say. A call that agp runs can ask for secrets; to a harness's own their names
    /// are words. What is allowed is remembered.
    pub(super) fn judge(&self, call: &ToolCall, runs_here: bool) -> Judged {
        self.say_unnamed();
        let judged = self.judged(call, runs_here, true);
        match judged.verdict.decision {
            Decision::Require => self.with_files(judged, call),
            Decision::Allow | Decision::Deny => judged,
        }
    }

    /// The same, with the files that a person is shown as they are.
    fn with_files(&self, mut judged: Judged, call: &ToolCall) -> Judged {
        let reading = judged.reading.as_ref();
        judged.files = reading.map_or_else(Vec::new, |reading| self.changed_files(call, reading));
        judged
    }

    /// Says once which of the tools that the harness offers are denied because no rule speaks about them, and what to
    /// write. With the first call, and not where the harness is watched: that waits for nothing.
    fn say_unnamed(&self) {
        let Some(offered) = self.offered.get() else {
            return;
        };
        if self.unnamed_said.set(()).is_err() {
            return;
        }
        let unnamed = self.unnamed(offered);
        if !unnamed.is_empty() {
            let rule = json!({"id": "other-tools", "effect": "require", "tool": unnamed});
            let text = format!(
                "no rule speaks about {}: their calls are denied. To be asked instead, add the rule {rule}",
                unnamed.join(", ")
            );
            self.notice(&Notice::Warning(&text));
        }
    }

    fn judged(&self, call: &ToolCall, runs_here: bool, remembers: bool) -> Judged {
        // No rule can mean this: whoever reads the key can write another journal.
        if self.names_own_files(call) {
            return Judged::refused(Verdict::refused(
                "the agent may not use agp's own files, or a path that agp cannot resolve",
            ));
        }
        let secrets = runs_here.then(|| secret::asked_by(&call.tool, &call.args));
        let secrets = secrets.unwrap_or_default();
        let (reading, ruling) = self.conditions(call, &secrets, |reading, at| {
            let mut memory = locked(&self.memory);
            let ruling = self.terms.policy.judge(
                reading,
                &Conditions {
                    memory: Some(&memory),
                    ..*at
                },
            );
            // Calls beside this one are judged by it, too.
            if remembers && ruling.verdict.decision == Decision::Allow {
                memory.record(reading);
            }
            ruling
        });
        let Ruling {
            verdict,
            terms,
            approvers,
            questions,
            ..
        } = ruling;
        Judged {
            why: verdict.reason.clone(),
            files: Vec::new(),
            verdict,
            terms,
            approvers,
            questions,
            reading: Some(reading),
        }
    }

    /// Of these tools those that no rule speaks about, whatever their arguments, and that are denied for it.
    fn unnamed(&self, offered: &[String]) -> Vec<String> {
        let speaks = |tool: &String| {
            let Ok(id) = MessageId::new("offered") else {
                return true;
            };
            let call = ToolCall {
                id,
                session: self.session_id().clone(),
                tool: known_tools::plain(tool).to_owned(),
                // Whichever of them it has: it then does something.
                args: ["command", "file_path", "notebook_path", "path", "url"]
                    .map(|name| (name.to_owned(), Value::from("x")))
                    .into_iter()
                    .collect(),
                actor: Actor::ClaudeProcess,
            };
            let (reading, ruling) = self.conditions(&call, &BTreeSet::new(), |reading, at| {
                self.terms.policy.judge(reading, at)
            });
            // Of the others each call is known by what it does.
            let known = |atom: &Atom| atom.kind != AtomKind::Use;
            ruling.verdict.rule_id.is_some()
                || ruling.verdict.decision != Decision::Deny
                || !reading.unread.is_empty()
                || reading.atoms.iter().any(known)
        };
        offered
            .iter()
            .filter(|tool| !speaks(tool))
            .cloned()
            .collect()
    }

    /// Remembers a call that a person let through.
    pub(super) fn remember(&self, judged: &Judged) {
        if let Some(reading) = &judged.reading {
            locked(&self.memory).record(reading);
        }
    }

    /// Whether a call that was allowed in this session names this host, in lower case.
    #[must_use]
    pub fn reached(&self, host: &str) -> bool {
        locked(&self.memory).names(host)
    }

    /// Judges a call that a person approved once more, where it would do something else by now: a link, a script or a
    /// remote is another; or where the rules say something stricter of the same: a branch, a file in a tree or what
    /// the session did since is another; or where a file that it changes is. The reason says what.
    pub(super) fn changed(
        &self,
        approved: &Judged,
        call: &ToolCall,
        runs_here: bool,
    ) -> Option<Judged> {
        let mut anew = self.with_files(self.judged(call, runs_here, false), call);
        let same = anew.reading == approved.reading;
        let file = changed_file(&approved.files, &anew.files);
        if same && !anew.is_stricter_than(approved) && file.is_none() {
            return None;
        }
        let words = |judged: &Judged| self.words(judged, call);
        let (before, after) = (words(approved), words(&anew));
        let mut new = after.difference(&before).take(CHANGES_SHOWN).peekable();
        let what = match new.peek() {
            Some(_) => new.cloned().collect::<Vec<_>>().join(", "),
            None if same => "what the rules say of it".to_owned(),
            None => "a file that decides what it does".to_owned(),
        };
        let verdict = &mut anew.verdict;
        verdict.reason = match file {
            Some(file) if same => {
                let path = self.short(file);
                format!(
                    "the file changed since it was asked: {path}. {}",
                    verdict.reason
                )
            }
            _ => format!("changed since it was approved: {what}. {}", verdict.reason),
        };
        if verdict.decision == Decision::Allow {
            // A person was asked about something else.
            verdict.decision = Decision::Require;
        }
        Some(anew)
    }

    /// A path in a reason: from the repository's root where it lies below it.
    fn short(&self, path: &str) -> String {
        let below = path.strip_prefix(&self.terms.reading.around.repository);
        let below = below.and_then(|rest| rest.strip_prefix('/'));
        let path = below.unwrap_or(path);
        match path.char_indices().nth(PATH_CHARS) {
            Some((end, _)) => format!("{}…", path.get(..end).unwrap_or_default()),
            None => path.to_owned(),
        }
    }

    /// What a call would do, in words.
    fn words(&self, judged: &Judged, call: &ToolCall) -> BTreeSet<String> {
        let none = BTreeSet::new();
        let Some(reading) = &judged.reading else {
            return none;
        };
        let (_, atoms) = self.conditions(call, &none, |_, at| {
            self.terms.policy.explain(reading, at).atoms
        });
        atoms.into_iter().map(|atom| atom.text).collect()
    }

    /// Reads a call, and gives its reading with what `judge` makes of it.
    pub(super) fn conditions<T>(
        &self,
        call: &ToolCall,
        secrets: &BTreeSet<String>,
        judge: impl FnOnce(&Reading, &Conditions<'_>) -> T,
    ) -> (Reading, T) {
        let terms = &self.terms.reading;
        let policy = &self.terms.policy;
        let mut around = terms.around.clone();
        {
            let memory = locked(&self.memory);
            around.written.clone_from(memory.written());
            around.fetched = memory.fetched();
        }
        let disk = (terms.disk)();
        let reading = tools::read(
            &call.tool,
            &call.args,
            &around,
            disk.as_ref(),
            &policy.declared(),
        );
        let there = call.args.get(WORKDIR).and_then(Value::as_str);
        let directory = there.unwrap_or(&around.directory);
        let git = policy
            .asks_for_branches()
            .then(|| disk.git(directory))
            .flatten();
        let today = (terms.today)();
        let at = Conditions {
            tool: &call.tool,
            args: &call.args,
            actor: call.actor,
            around: &around,
            directory: Some(directory).filter(|directory| directory.starts_with('/')),
            branch: git.as_ref().and_then(|git| git.branch.as_deref()),
            confined: terms.confined,
            today: today.as_deref(),
            secrets,
            memory: None,
            disk: disk.as_ref(),
        };
        let judged = judge(&reading, &at);
        (reading, judged)
    }
}

/// The first file that is another by now.
fn changed_file<'a>(before: &'a [ChangedFile], after: &[ChangedFile]) -> Option<&'a str> {
    let mut files = before.iter().enumerate();
    let (_, file) =
        files.find(|(at, file)| !after.get(*at).is_some_and(|now| file.is_still(now)))?;
    Some(&file.path)
}
