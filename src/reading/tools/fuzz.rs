//! What must hold of what a model asks of a tool.
#![allow(
    clippy::panic,
    reason = "a property that does not hold panics, for the fuzzer to see"
)]

use super::patch;

/// A patch: the files that its headers name are there, in their order, and a patch that is cut short is none.
pub(crate) fn apply_patch(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(changes) = patch::changes(&text) else {
        return;
    };
    assert!(!changes.is_empty());
    let mut rest = text.as_ref();
    for change in &changes {
        assert!(!change.path.is_empty() && !change.path.contains(['\n', '\0']));
        let at = rest.find(&change.path);
        let Some((_, behind)) = at.and_then(|at| rest.split_at_checked(at + change.path.len()))
        else {
            panic!("{} is not where the patch names it", change.path);
        };
        rest = behind;
    }
    let certain = text.lines().filter(|line| {
        let headers = [
            "*** Add File: ",
            "*** Update File: ",
            "*** Delete File: ",
            "*** Move to: ",
        ];
        headers.iter().any(|header| line.starts_with(header))
    });
    assert!(certain.count() <= changes.len());
    if let Some(end) = text.rfind("*** End Patch") {
        assert_eq!(patch::changes(text.get(..end).unwrap_or("")), None);
    }
}
