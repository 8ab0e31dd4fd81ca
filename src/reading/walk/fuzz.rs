//! What must hold of the reading of a command, whatever its text is.
#![allow(
    clippy::panic,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use super::command;
use crate::contracts::limits;
use crate::reading::atoms::{AtomKind, Reading};
use crate::reading::disk::NoDisk;
use crate::reading::surroundings::Surroundings;
use crate::shell;

/// A reading has an atom, no more than are read, and no reference to one that is not there; what is put behind a
/// complete command takes nothing of it away.
pub(crate) fn walk(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let at = Surroundings {
        directory: "/r".to_owned(),
        repository: "/r".to_owned(),
        home: "/home/me".to_owned(),
        temporary: "/tmp/s".to_owned(),
        ..Surroundings::default()
    };
    let reading = command(&text, &at, &NoDisk);
    bounded(&reading, &text);
    // A comment, a here-document or a backslash at the end would take in what is put behind it.
    let whole = !text.contains(['#', '\\']) && !text.contains("<<");
    if !whole || shell::parse(&text).is_err() || !reading.unread.is_empty() {
        return;
    }
    for behind in ["; true", "&& x"] {
        let longer = format!("{text} {behind}");
        if shell::parse(&longer).is_err() {
            continue;
        }
        let more = command(&longer, &at, &NoDisk);
        bounded(&more, &longer);
        for atom in &reading.atoms {
            let kept = more.atoms.iter().any(|other| other.kind == atom.kind);
            assert!(
                kept || atom.kind == AtomKind::Use || !more.unread.is_empty(),
                "{longer:?} loses {atom:?}"
            );
        }
    }
}

fn bounded(reading: &Reading, text: &str) {
    assert!(!reading.atoms.is_empty(), "{text:?}");
    assert!(reading.atoms.len() <= limits::CALL_ATOMS, "{text:?}");
    assert!(reading.unread.len() <= limits::UNREAD_SENTENCES, "{text:?}");
    for atom in &reading.atoms {
        let program = atom.program.is_none_or(|at| {
            let program = reading.atoms.get(at).map(|atom| &atom.kind);
            matches!(program, Some(AtomKind::Program(_)))
        });
        assert!(program, "{text:?}: {atom:?}");
        if let AtomKind::Program(program) = &atom.kind {
            assert_eq!(program.words.len(), program.roles.len(), "{text:?}");
        }
    }
}
