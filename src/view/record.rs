//! A view as it is on record: one form, its length and its digest.

use crate::contracts::ids::Sha256;
use crate::contracts::view::CallView;

impl CallView {
    /// Its canonical JSON (RFC 8785): what the digest is of.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // Texts and small numbers alone: writing it cannot fail.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    /// Digest of [`Self::canonical`].
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        Sha256::of(&self.canonical())
    }

    /// Bytes of [`Self::canonical`]: at least as many as all that it shows.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.canonical().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::view::{LineKind, ViewBlock, ViewLine};
    use crate::journal::canonical;

    #[test]
    fn the_digest_is_of_the_canonical_form_and_of_all_that_is_shown() {
        let view = CallView {
            tool: "Bash".into(),
            blocks: vec![ViewBlock {
                heading: "runs".into(),
                subject: None,
                lines: vec![ViewLine {
                    kind: LineKind::Command,
                    number: Some(7),
                    text: "a\u{202e}\u{10000}\"".into(),
                }],
            }],
            details: vec![("call".into(), "m1".into())],
            ..CallView::default()
        };
        let value = serde_json::to_value(&view).unwrap();
        assert_eq!(view.canonical(), canonical(&value));
        assert_eq!(view.bytes(), view.canonical().len());
        assert_eq!(serde_json::from_value::<CallView>(value).unwrap(), view);
        let mut other = view.clone();
        other.atoms.push("writes x".into());
        assert_ne!(other.sha256(), view.sha256());
    }
}
