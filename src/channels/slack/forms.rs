//! The form in which somebody writes why a call is denied, and how it names the card that it is of.

use serde_json::{Value, json};

use crate::contracts::limits;

use super::blocks::plain_text;
use super::request::Action;

/// The only field of the form: block and element.
const FIELD: &str = "reason";
/// Where what was written stands in a `view_submission`.
pub(super) const REASON_AT: &str = "/view/state/values/reason/reason/value";

/// What a form's `private_metadata` says of its card: the block with the buttons, which names the session, and the nonce.
fn metadata(block: &str, nonce: &str) -> String {
    format!("{block}/{nonce}")
}

/// The block and the nonce of the card that a form was opened from.
pub(super) fn card_of(metadata: &str) -> Option<(&str, &str)> {
    let card = metadata.rsplit_once('/')?;
    (!card.0.is_empty() && !card.1.is_empty()).then_some(card)
}

/// The form, for the card with this block and this nonce.
pub(super) fn deny(block: &str, nonce: &str) -> Value {
    json!({
        "type": "modal", "callback_id": Action::SendReason.id(),
        "private_metadata": metadata(block, nonce),
        "title": plain_text("Deny with a reason"),
        "submit": plain_text("Deny"),
        "close": plain_text("Cancel"),
        "blocks": [{
            "type": "input", "block_id": FIELD, "label": plain_text("Why not?"),
            "hint": plain_text("The agent reads this, and so does the journal."),
            "element": {
                "type": "plain_text_input", "action_id": FIELD, "multiline": true,
                "max_length": limits::DENY_REASON_CHARS,
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_names_its_card_and_has_its_text_where_it_is_looked_for() {
        let form = deny("agp.h.s-1.ff", "n1");
        let card = form["private_metadata"].as_str().unwrap();
        assert_eq!(card_of(card), Some(("agp.h.s-1.ff", "n1")));
        let field = &form["blocks"][0];
        let (block, element) = (&field["block_id"], &field["element"]["action_id"]);
        let at = format!(
            "/view/state/values/{}/{}/value",
            block.as_str().unwrap(),
            element.as_str().unwrap()
        );
        assert_eq!(at, REASON_AT);
    }
}
