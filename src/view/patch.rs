//! `apply_patch`: a patch is a diff already; its lines get their numbers from the file as it is.

use crate::contracts::limits;
use crate::contracts::view::{LineKind, ViewBlock, ViewLine};
use crate::reading::tools::patch::{self, Header, Part};

use super::before::Before;
use super::changes::{Changes, not_shown};
use super::diff::{split, whole};
use super::room::{Room, note, of};

/// Bytes that are compared in about the time of a step.
const BYTES_A_STEP: usize = 32;

/// What each file's part of a patch does; none where it is no patch, or of more than [`limits::PATCH_FILES`].
pub(super) fn blocks(changes: &mut Changes<'_>, text: &str) -> Vec<ViewBlock> {
    let Some((before, mut parts)) = patch::parts(text) else {
        return Vec::new();
    };
    if parts.len() > limits::PATCH_FILES {
        return Vec::new();
    }
    // What is done to a file that moves stands below where it moves to.
    for at in (1..parts.len()).rev() {
        if let Some([above, moved]) = parts.get_mut(at - 1..=at)
            && moved.header == Header::Move
        {
            above.lines.append(&mut moved.lines);
        }
    }
    let mut blocks = Vec::new();
    if before.iter().any(|line| !line.trim().is_empty()) {
        blocks.push(ViewBlock {
            heading: "argument".to_owned(),
            subject: Some("patch".to_owned()),
            lines: changes.room.text(LineKind::Text, &before.join("\n")),
        });
    }
    for part in parts {
        blocks.push(block(changes, &part));
    }
    blocks
}

fn block(changes: &mut Changes<'_>, part: &Part<'_>) -> ViewBlock {
    let before = changes.before(part.path).cloned();
    let (heading, lines) = match part.header {
        Header::Add => {
            let added: Option<Vec<&str>> = part
                .lines
                .iter()
                .map(|line| line.strip_prefix('+'))
                .collect();
            match added {
                Some(lines) => {
                    let ended = |line: &&str| format!("{line}\n");
                    let content: String = lines.iter().map(ended).collect();
                    return changes.writes(part.path, &content);
                }
                None => ("creates", raw(&part.lines, changes.room)),
            }
        }
        Header::Delete => {
            let mut lines = match &before {
                Some(Before::Text { text, .. }) => whole(LineKind::Removed, text, changes.room),
                Some(Before::Nothing) => vec![note("There is no such file: the patch fails.")],
                other => vec![not_shown(other.as_ref())],
            };
            lines.extend(raw(&part.lines, changes.room));
            ("deletes", lines)
        }
        Header::Move => (
            "moves it to",
            match &before {
                Some(Before::Text { .. }) => vec![note("A file is there already: it is replaced.")],
                Some(Before::Hidden { .. }) => vec![not_shown(before.as_ref())],
                Some(Before::Nothing) | None => Vec::new(),
            },
        ),
        Header::Update => match &before {
            Some(Before::Text { text, .. }) => {
                ("changes", numbered(&part.lines, text, changes.room))
            }
            Some(Before::Nothing) => {
                let mut lines = vec![note("There is no such file: the patch fails.")];
                lines.extend(raw(&part.lines, changes.room));
                ("changes", lines)
            }
            other => {
                let mut lines = vec![not_shown(other.as_ref())];
                lines.extend(raw(&part.lines, changes.room));
                ("changes", lines)
            }
        },
    };
    changes.block(heading, part.path, lines)
}

/// Kind and text of a patch's line. An empty one is an empty line of the file.
fn taken(line: &str) -> (LineKind, &str) {
    let kinds = [
        ('+', LineKind::Added),
        ('-', LineKind::Removed),
        (' ', LineKind::Context),
    ];
    let kind = kinds
        .into_iter()
        .find_map(|(sign, kind)| Some((kind, line.strip_prefix(sign)?)));
    match kind {
        None if line.is_empty() => (LineKind::Context, ""),
        None => (LineKind::Text, line),
        Some(kind) => kind,
    }
}

fn raw(lines: &[&str], room: &mut Room) -> Vec<ViewLine> {
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !room.take() {
            let rest = lines.get(at..).unwrap_or_default();
            all.extend(room.text(LineKind::Text, &rest.join("\n")));
            break;
        }
        let (kind, text) = taken(line);
        all.push(of(kind, None, text));
    }
    all
}

/// The lines with their numbers: each group of changes is looked for behind the one before, as the tool does.
fn numbered(lines: &[&str], text: &str, room: &mut Room) -> Vec<ViewLine> {
    let file: Vec<&str> = split(text)
        .into_iter()
        .map(|line| line.trim_end_matches(['\n', '\r']))
        .collect();
    let mut steps = limits::PATCH_STEPS;
    let mut all = Vec::new();
    // Where the next group is looked for, and how many lines the new text has more by then.
    let (mut from, mut more) = (0, 0_isize);
    for group in lines.chunk_by(|_, next| !next.starts_with('@')) {
        let mut group_lines = raw(group, room);
        let old = group.iter().map(|line| taken(line));
        let old: Vec<&str> = old
            .filter(|(kind, _)| matches!(kind, LineKind::Context | LineKind::Removed))
            .map(|(_, text)| text.trim_end_matches('\r'))
            .collect();
        let anchor = group
            .first()
            .and_then(|line| line.strip_prefix("@@ "))
            .and_then(|anchor| find(&file, &[anchor.trim_end_matches('\r')], from, &mut steps));
        // The tool looks for what ends a file there alone.
        let start = match group.iter().any(|line| line.trim() == patch::END_OF_FILE) {
            true => file.len().saturating_sub(old.len()),
            false => anchor.map_or(from, |at| at + 1),
        };
        let place = match old.is_empty() {
            true => None,
            false => find(&file, &old, start, &mut steps),
        };
        if let Some(place) = place {
            let mut before = place;
            for line in &mut group_lines {
                match line.kind {
                    LineKind::Context => before += 1,
                    LineKind::Removed => {
                        before += 1;
                        more -= 1;
                    }
                    LineKind::Added => more += 1,
                    _ => continue,
                }
                let at = match line.kind {
                    LineKind::Added => before.saturating_add_signed(more),
                    _ => before,
                };
                line.number = Some(at as u64);
            }
            from = before;
        } else if !old.is_empty() {
            all.push(note(
                "The next lines do not stand like this in the file as it is.",
            ));
        }
        all.append(&mut group_lines);
    }
    all
}

/// Where these lines stand in a file, from a line on. `None` where they do not, or looking takes too long.
fn find(file: &[&str], lines: &[&str], from: usize, steps: &mut usize) -> Option<usize> {
    for (at, window) in file.get(from..)?.windows(lines.len()).enumerate() {
        let mut same = true;
        for (a, b) in window.iter().zip(lines) {
            // Of different lengths they are told apart at once.
            let cost = match a.len() == b.len() {
                true => 1 + a.len() / BYTES_A_STEP,
                false => 1,
            };
            *steps = steps.checked_sub(cost)?;
            same = a == b;
            if !same {
                break;
            }
        }
        if same {
            return Some(from + at);
        }
    }
    None
}
