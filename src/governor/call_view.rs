//! What people are shown of a call: the files that it changes as they are, the view, and what of it is on record.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::governed_session::Governor;
use super::judging::Judged;
use crate::contracts::call::ToolCall;
use crate::contracts::ids::Sha256;
use crate::contracts::limits;
use crate::contracts::verdict::Decision;
use crate::contracts::view::CallView;
use crate::journal::canonical;
use crate::reading::atoms::Reading;
use crate::view::before::{Before, ChangedFile};
use crate::view::{self, ViewRequest, places};

/// Where a view stands in an event.
const VIEW: &str = "view";

/// A view, and what of it is on record with the answer.
pub(super) struct AskedView {
    pub(super) view: CallView,
    pub(super) record: ViewRecord,
}

/// What is on record of a view.
pub(super) struct ViewRecord {
    /// Digest of the view as it was shown.
    pub(super) sha256: Sha256,
    /// All of it, where it is at most [`limits::VIEW_JOURNALED_BYTES`] and quotes no secret.
    pub(super) view: Value,
}

impl Governor {
    /// The files that a call changes, as they are.
    pub(super) fn changed_files(&self, call: &ToolCall, reading: &Reading) -> Vec<ChangedFile> {
        let targets = places::targets(call, reading, &self.terms.reading.around);
        let files = targets.into_iter().map(|target| ChangedFile {
            before: match &target.real {
                None => Before::hidden("agp cannot tell where its path leads"),
                Some(real) => self.before(call, real),
            },
            path: target.path,
        });
        files.collect()
    }

    /// A file as it is, unless it is kept from the agent.
    fn before(&self, call: &ToolCall, real: &str) -> Before {
        if (self.terms.own_file)(real) {
            return Before::hidden("it is agp's own");
        }
        let read = ToolCall {
            tool: "Read".to_owned(),
            args: Map::from_iter([("file_path".to_owned(), json!(real))]),
            ..call.clone()
        };
        let (reading, ruling) = self.conditions(&read, &BTreeSet::new(), |reading, at| {
            self.terms.policy.judge(reading, at)
        });
        // Where no rule speaks about it, or one asks about every read, nothing keeps it from whoever is asked.
        let denies = ruling.verdict.decision == Decision::Deny && ruling.verdict.rule_id.is_some();
        let dangerous = reading.atoms.iter().any(|atom| !atom.dangers.is_empty());
        if denies || dangerous {
            return Before::hidden("the policy keeps it from being read");
        }
        self.terms.reading.preview.before(real)
    }

    /// What people are shown. What would show a secret that neither the call nor the file holds alone is shown without
    /// the file.
    pub(super) fn view(&self, call: &ToolCall, judged: &Judged, args_sha256: Sha256) -> AskedView {
        let mut atoms: Vec<String> = Vec::new();
        for atom in judged
            .questions
            .iter()
            .filter_map(|question| question.atom.clone())
        {
            if !atoms.contains(&atom) {
                atoms.push(atom);
            }
        }
        let of = |files: &[ChangedFile]| {
            view::of(&ViewRequest {
                call,
                verdict: &judged.verdict,
                atoms: &atoms,
                reading: judged.reading.as_ref(),
                around: &self.terms.reading.around,
                files,
                origin: &self.terms.origin,
                args_sha256,
                reading_sha256: judged.reading_sha256(),
            })
        };
        let mut view = of(&judged.files);
        let mut payload = payload_of(&view);
        if self.quotes_secret(&payload) {
            let why = "with the change it would contain the value of a secret";
            let files = judged.files.iter().map(|file| ChangedFile {
                path: file.path.clone(),
                before: Before::hidden(why),
            });
            view = of(&files.collect::<Vec<_>>());
            payload = payload_of(&view);
        }
        let quotes = self.quotes_secret(&payload);
        let whole = payload.remove(VIEW).unwrap_or_default();
        let canonical = canonical(&whole);
        let record = ViewRecord {
            sha256: Sha256::of(&canonical),
            view: match canonical.len() <= limits::VIEW_JOURNALED_BYTES && !quotes {
                true => whole,
                false => Value::Null,
            },
        };
        AskedView { view, record }
    }

    fn quotes_secret(&self, payload: &Map<String, Value>) -> bool {
        self.terms.screen.secret_in(payload).is_some()
    }
}

fn payload_of(view: &CallView) -> Map<String, Value> {
    Map::from_iter([(VIEW.to_owned(), json!(view))])
}

/// What an event says of files: their digests, or why their text is not shown.
pub(super) fn preview(files: &[ChangedFile]) -> Value {
    let files = files.iter().map(|file| {
        let (sha256, why) = match &file.before {
            Before::Text { sha256, .. } => (Some(sha256.to_hex()), None),
            Before::Nothing => (None, Some("there is no such file")),
            Before::Hidden { why, .. } => (None, Some(why.as_str())),
        };
        json!({"path": file.path, "sha256": sha256, "why": why})
    });
    files.collect()
}
