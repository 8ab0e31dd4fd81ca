//! `NotebookEdit`: a cell of a notebook, found in the notebook's JSON.

use serde_json::Value;

use crate::contracts::strict_json;
use crate::contracts::view::{LineKind, ViewBlock};

use super::arguments::Arguments;
use super::before::Before;
use super::changes::{Changes, not_shown};
use super::diff::{diff, whole};
use super::room::note;

/// How a harness names a cell that has no id: by its position.
const BY_POSITION: &str = "cell-";

pub(super) fn blocks(changes: &mut Changes<'_>, args: &mut Arguments<'_>) -> Vec<ViewBlock> {
    let (Some(path), Some(source)) = (args.text("notebook_path"), args.text("new_source")) else {
        return Vec::new();
    };
    let mode = match args.value("edit_mode") {
        None => "replace",
        Some(mode) => mode.as_str().unwrap_or_default(),
    };
    let cell = args.text("cell_id");
    args.shown(&["notebook_path", "new_source"]);
    let before = changes.before(path).cloned();
    let (heading, lines) = match (mode, before) {
        ("insert", _) => ("adds a cell to", changes.room.text(LineKind::Added, source)),
        ("replace" | "delete", Some(Before::Text { text, .. })) => {
            match cell.and_then(|cell| source_of(&text, cell)) {
                Some(old) if mode == "delete" => {
                    let mut lines = whole(LineKind::Removed, &old, changes.room);
                    lines.extend(changes.room.text(LineKind::Text, source));
                    ("deletes a cell of", lines)
                }
                Some(old) => ("changes a cell of", diff(&old, source, changes.room)),
                None => {
                    let mut lines = vec![note(
                        "The notebook as it is has no such cell that agp can read.",
                    )];
                    lines.extend(changes.room.text(LineKind::Added, source));
                    ("changes a cell of", lines)
                }
            }
        }
        (_, before) => {
            let mut lines = vec![not_shown(before.as_ref())];
            lines.extend(changes.room.text(LineKind::Added, source));
            ("changes a cell of", lines)
        }
    };
    vec![changes.block(heading, path, lines)]
}

/// The text of a cell.
fn source_of(notebook: &str, cell: &str) -> Option<String> {
    let notebook = strict_json::from_slice(notebook.as_bytes()).ok()?;
    let cells = notebook.get("cells")?.as_array()?;
    let by_id = || {
        cells
            .iter()
            .find(|one| one.get("id").and_then(Value::as_str) == Some(cell))
    };
    let by_position = || cells.get(cell.strip_prefix(BY_POSITION)?.parse::<usize>().ok()?);
    match by_id().or_else(by_position)?.get("source")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => lines.iter().map(Value::as_str).collect(),
        _ => None,
    }
}
