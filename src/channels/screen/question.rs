//! One question as a terminal shows it: what the call does first and largest, then why, then who and where.

use std::time::Duration;

use crate::contracts::plural::count;
use crate::contracts::view::{CallView, LineKind, Origin};
use crate::view::drawn;

use super::row::{
    LABEL, Row, Style, barred, in_charset, labelled, labelled_short, shown, width, words,
};
use super::{Look, ScreenQuestion};

/// Rows of a terminal below which a question is drawn as for this many: less would show nothing of a call.
const ROWS_MIN: usize = 18;
/// Rows of a call that are shown at least, however much else there is to say.
const CALL_ROWS_MIN: usize = 4;
/// Rows that each of the other parts has at first.
const PART_ROWS: usize = 2;
/// Characters of a tool's name that stands in a line of agp's own: of letters and digits alone.
const PLAIN_NAME: usize = 40;
/// Characters of a repository's name, and of a session's id, that tell one session from another in a list.
const REPOSITORY_NAME: usize = 20;
const SESSION_ID: usize = 8;

/// Where a question stands among those that wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// From 1.
    pub(super) position: usize,
    /// How many wait.
    pub(super) waiting: usize,
}

/// The rows of a question without its prompt, and how many rows of the call it does not show.
pub(super) fn rows(
    look: Look,
    question: &ScreenQuestion,
    left: Duration,
    place: Place,
    whole: bool,
) -> (Vec<Row>, usize) {
    let view = &question.view;
    let header = header(look, question.number, left, place);
    let call = call(look, view);
    let parts = about_the_call(look, view);
    let mut rest = context(look, view, whole);
    if whole {
        rest.extend(details(look, view));
    }
    // A prompt may take this many, and one row stays free.
    let prompt = prompt_rows(look) + 1;
    // One more for how many are not listed.
    let others = (place.waiting - 1).min(OTHERS_MIN + 1);
    let fixed = header.len() + rest.len() + prompt + others;
    let screen = look.rows.max(ROWS_MIN).saturating_sub(fixed);
    let least: usize = parts.iter().map(|part| part.len().min(PART_ROWS)).sum();
    // What the call leaves free is for the parts that need more.
    let mut spare = screen.saturating_sub(call.len() + least);
    let (mut hidden, mut about) = (0, Vec::new());
    for part in parts {
        let more = part.len().saturating_sub(PART_ROWS).min(spare);
        spare -= more;
        let most = if whole { usize::MAX } else { PART_ROWS + more };
        hidden += fitted(look, part, most, &mut about);
    }
    let room = screen.saturating_sub(about.len()).max(CALL_ROWS_MIN);
    about.extend(rest);
    let mut rows = header.clone();
    hidden += ends(look, call, if whole { usize::MAX } else { room }, &mut rows);
    rows.extend(about);
    // What scrolls away is named again above the prompt.
    if whole && rows.len() + prompt > look.rows {
        rows.extend(header);
        rows.push(short(look, "", view, false));
    }
    (rows, hidden)
}

/// Rows about other questions that are shown in any case.
pub(super) const OTHERS_MIN: usize = 3;

fn header(look: Look, number: u64, left: Duration, place: Place) -> Vec<Row> {
    let dot = look.dot();
    let mut text = format!("Approval needed {dot} question {number}");
    if place.waiting > 1 {
        text.push_str(&format!(
            " {dot} {} of {} waiting",
            place.position, place.waiting
        ));
    }
    text.push_str(&format!(" {dot} {} left, no answer means Deny", time(left)));
    words(look, &text, Style::Yellow)
}

/// Minutes and seconds.
pub(super) fn time(left: Duration) -> String {
    let seconds = left.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// What the call does.
fn call(look: Look, view: &CallView) -> Vec<Row> {
    let mut rows = Vec::new();
    let plain = is_plain(&view.tool);
    if !plain {
        rows.extend(labelled(look, "tool", &shown(look, &view.tool)));
    }
    let mut tool = if plain { view.tool.as_str() } else { "" };
    if view.blocks.is_empty() {
        let text = format!("{tool} has no arguments");
        rows.extend(words(look, text.trim_start(), Style::Plain));
    }
    for block in &view.blocks {
        let heading = in_charset(look, block.heading.clone());
        match &block.subject {
            Some(subject) => {
                if !tool.is_empty() {
                    rows.extend(words(look, tool, Style::Plain));
                }
                let mut label = heading.as_str();
                if width(label) > LABEL {
                    rows.extend(words(look, label, Style::Plain));
                    label = "";
                }
                rows.extend(labelled(look, label, &shown(look, subject)));
            }
            None => {
                let text = format!("{tool} {heading}");
                rows.extend(words(look, text.trim_start(), Style::Plain));
            }
        }
        tool = "";
        for line in drawn(block) {
            let text = in_charset(look, line.text);
            match line.kind {
                LineKind::Note => rows.extend(note(look, &format!("({text})"))),
                LineKind::Command => rows.extend(barred(look, "", &line.mark, &text, Style::Bold)),
                LineKind::Text | LineKind::Context | LineKind::Added | LineKind::Removed => {
                    rows.extend(barred(look, "", &line.mark, &text, Style::Plain));
                }
            }
        }
    }
    rows
}

/// agp's own words within a call, set off from where its own lines begin.
fn note(look: Look, text: &str) -> Vec<Row> {
    let look = Look {
        columns: look.columns.saturating_sub(2),
        ..look
    };
    let rows = words(look, text, Style::Plain).into_iter();
    rows.map(|row| Row {
        text: format!("  {}", row.text),
        ..row
    })
    .collect()
}

fn is_plain(name: &str) -> bool {
    (1..=PLAIN_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What else a person decides by, a part each.
fn about_the_call(look: Look, view: &CallView) -> Vec<Vec<Row>> {
    let row = |label: &str, text: &str| labelled(look, label, &shown(look, text));
    let mut parts = Vec::new();
    if let Some(directory) = &view.directory {
        parts.push(row("in", directory));
    }
    let leads = view.leads.iter().flat_map(|lead| {
        let mut rows = row("path", &lead.path);
        if lead.real != lead.path {
            rows.extend(row("leads to", &lead.real));
        }
        if lead.other_names {
            rows.extend(note(
                look,
                "(its file has other names, and changes under them, too)",
            ));
        }
        rows
    });
    parts.push(leads.collect());
    if let Some(description) = &view.description {
        let lines = description.split('\n').enumerate();
        let lines =
            lines.flat_map(|(number, line)| row(if number == 0 { "agent says" } else { "" }, line));
        parts.push(lines.collect());
    }
    let atoms = view.atoms.iter().enumerate();
    let atoms =
        atoms.flat_map(|(number, atom)| row(if number == 0 { "because it" } else { "" }, atom));
    parts.push(atoms.collect());
    parts.push(row("reason", &view.reason));
    if let Some(rule) = &view.rule {
        parts.push(row("rule", rule));
    }
    parts
}

/// Who asks, and where: a row each, for it is the same at each question.
fn context(look: Look, view: &CallView, whole: bool) -> Vec<Row> {
    let origin = &view.origin;
    let who = format!(
        "{} at {}, {}, {}",
        origin.user, origin.host, origin.harness, origin.session
    );
    let task = origin.task.as_ref().map(|task| ("task", task.as_str()));
    let texts = task.into_iter().chain([
        ("repository", origin.repository.as_str()),
        ("session", &who),
    ]);
    let rows = texts.flat_map(|(label, text)| {
        let text = shown(look, text);
        match whole {
            true => labelled(look, label, &text),
            false if look.is_wide() => {
                vec![labelled_short(look, &format!("{label:<LABEL$} "), &text).0]
            }
            false => vec![labelled_short(look, "", &text).0],
        }
    });
    rows.collect()
}

/// Ids and digests.
fn details(look: Look, view: &CallView) -> Vec<Row> {
    let rows = view.details.iter().flat_map(|(name, value)| {
        let (name, value) = (shown(look, name), shown(look, value));
        labelled(look, "", &format!("{name} {value}"))
    });
    rows.collect()
}

/// Adds at most so many rows of a part, and says how many it leaves out.
fn fitted(look: Look, part: Vec<Row>, most: usize, rows: &mut Vec<Row>) -> usize {
    if part.len() <= most {
        rows.extend(part);
        return 0;
    }
    let kept = most.saturating_sub(1);
    let hidden = part.len() - kept;
    rows.extend(part.into_iter().take(kept));
    rows.push(left_out(look, hidden));
    hidden
}

/// The same of the call itself: its begin and its end.
fn ends(look: Look, call: Vec<Row>, most: usize, rows: &mut Vec<Row>) -> usize {
    if call.len() <= most {
        rows.extend(call);
        return 0;
    }
    let kept = most.saturating_sub(1);
    let last = kept / 3;
    let first = kept - last;
    let hidden = call.len() - kept;
    let mut call = call.into_iter();
    rows.extend(call.by_ref().take(first));
    rows.push(left_out(look, hidden));
    rows.extend(call.skip(hidden));
    hidden
}

fn left_out(look: Look, hidden: usize) -> Row {
    Row {
        text: format!("  ({}{} hidden)", look.cut(), count(hidden, "line")),
        style: Style::Yellow,
    }
}

/// A question in one row of a list. `before` names it; `shared`: others are of other sessions.
pub(super) fn short(look: Look, before: &str, view: &CallView, shared: bool) -> Row {
    let block = view.blocks.first();
    let subject = block.and_then(|block| block.subject.as_deref());
    let first = block.and_then(|block| block.lines.iter().find(|line| line.kind != LineKind::Note));
    let what = subject.or(first.map(|line| line.text.as_str()));
    let more = view.line_count() > 1 || view.blocks.len() > 1;
    let mut text = match shared {
        true => format!("{}: {}", whose(&view.origin), view.tool),
        false => view.tool.clone(),
    };
    if let Some(what) = what {
        text.push(' ');
        text.push_str(what);
    }
    if more {
        text.push(' ');
        text.push_str(look.cut());
    }
    labelled_short(look, before, &shown(look, &text)).0
}

/// The repository's last name and the begin of the session's id.
fn whose(origin: &Origin) -> String {
    let first = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let path = origin.repository.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    let (name, session) = (
        first(name, REPOSITORY_NAME),
        first(&origin.session, SESSION_ID),
    );
    format!("{name} {session}")
}

/// Rows that a prompt takes at most.
pub(super) fn prompt_rows(look: Look) -> usize {
    const LONGEST: usize =
        "Allow this call once? [y]es, [s]ession, [n]o, [d]etails, [l]ist: ".len();
    LONGEST.div_ceil(look.columns) + usize::from(LONGEST > look.columns)
}

/// The same with its number and the time that is left.
pub(super) fn listed(look: Look, question: &ScreenQuestion, left: Duration, shared: bool) -> Row {
    let mut name = format!("{:<4}", question.number);
    if look.is_wide() {
        name.push_str(&format!("{:>6} ", time(left)));
    }
    short(look, &name, &question.view, shared)
}
