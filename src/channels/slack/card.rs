//! A request as people see it in Slack: the card, with what runs first and largest, the notification's text, and the
//! modal that has all of it. Block Kit's limits hold by how these are drawn.
//!
//! What the agent, the repository or the task's author wrote stands in code fences behind bars. Labels in a fence are
//! agp's own, and no foreign text can write one.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::contracts::channel::GrantOffer;
use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::question::Asking;
use crate::contracts::view::{CallView, Lead};
use crate::view::drawn;

use super::blocks::{About, context, deadline, fence, plain_text};
use super::mrkdwn_escape::{Line, cut, fences, inline, plain};
use super::request::Action;

/// Characters of a header, which takes 150: what runs begins within the first rows of a phone.
const HEADER_CHARS: usize = 80;
/// Characters of a button's text.
const BUTTON_CHARS: usize = 75;
/// Characters of one foreign value on a card, beside what runs.
const VALUE_CHARS: usize = 240;
/// Atoms, and paths that lead elsewhere, on a card.
const LISTED: usize = 6;
/// Characters of what runs in a notification: a phone shows two or three lines.
const NOTICE_CHARS: usize = 80;
/// Characters of a name or a path in a notification.
const NOTICE_NAME_CHARS: usize = 40;
/// The heading of a block that is a command.
const RUNS: &str = "runs";
/// The heading of a block that is any other argument.
const ARGUMENT: &str = "argument";
/// What stands where the buttons are going to be.
const PREPARING: &str = "Preparing the buttons… If none appear, nothing can be approved here.";

/// A request, drawn.
pub(super) struct Card {
    /// With buttons, as the last block, and without the time there is to answer: see [`super::blocks::with_deadline`].
    pub(super) blocks: Value,
    /// The same before it has them: whoever clicks on it decides nothing, and the nonce is not in it.
    pub(super) inert: Value,
    /// What stays once it is decided.
    pub(super) body: Value,
    /// The whole call, as a modal. `None` where Slack would not show it: nobody can allow it there.
    pub(super) modal: Option<Value>,
    /// Whether `blocks` shows a part of it only.
    pub(super) partial: bool,
    /// What its buttons can offer for the session.
    pub(super) offers: Offers,
    /// For the notification, and for whoever has the screen read out.
    pub(super) text: Text,
}

/// What a request is in the text outside of blocks: all that is live in it is agp's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// Who wants what: `alice@host wants: git push origin main`.
    pub(super) brief: String,
    /// In which directory; may be empty.
    place: String,
    /// Whom it rings for, and how many are needed; may be empty.
    whom: String,
}

impl Text {
    /// The whole of it, with the time until which it can be answered.
    pub(super) fn until(&self, until: SystemTime) -> String {
        let Self { brief, place, whom } = self;
        let deadline = deadline(until);
        let text = format!("{brief}.{place} {deadline} {whom}");
        text.trim_end().to_owned()
    }
}

/// Which grants for the session a card has buttons for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) exact: bool,
    pub(super) pattern: bool,
}

/// What a card is drawn from.
pub(super) struct Drawing<'a> {
    pub(super) asking: &'a Asking,
    /// The call's view, redacted.
    pub(super) view: &'a CallView,
    /// Whether something was taken out of it.
    pub(super) redacted: bool,
    pub(super) about: &'a About,
    /// How many different people must approve.
    pub(super) required: usize,
    /// Whom it rings for: Slack's markup, agp's own.
    pub(super) mentions: &'a str,
}

impl Drawing<'_> {
    /// Draws the request.
    pub(super) fn card(&self, nonce: &str, block: &str) -> Card {
        let what = what(self.view);
        let few = fences(&what, limits::SLACK_CARD_CHARS, 1);
        let (why, cut_short) = self.why(LISTED);
        let whys = fences(&why, limits::SLACK_FENCE_CHARS, 1);
        let modal = self.modal(&what);
        let partial = few.len() > 1 || cut_short || whys.len() > 1;
        let (offer, offers) = match &modal {
            Some(_) => offered(self.asking.offer.as_ref()),
            None => (None, Offers::default()),
        };

        let mut body: Vec<Value> = few.first().into_iter().map(|text| fence(text)).collect();
        if self.redacted {
            body.push(context(
                "Tokens are redacted here and in *Details*: [redacted:…]. The command itself \
                    receives the real value.",
            ));
        }
        if modal.is_none() {
            body.push(json!({"type": "section", "text": plain_text(&self.too_long())}));
        } else if partial {
            body.push(context("Truncated. Open *Details* before you can approve."));
        }
        body.extend(whys.first().map(|text| fence(text)));

        let header = plain(
            &format!("Approval needed: {}", self.view.tool),
            HEADER_CHARS,
        );
        let mut blocks = vec![json!({"type": "header", "text": plain_text(&header)})];
        blocks.extend(body.iter().cloned());
        blocks.extend(offer);
        let whom = self.whom();
        if !whom.is_empty() {
            blocks.push(context(&whom));
        }
        let mut inert = blocks.clone();
        inert.push(context(PREPARING));
        let buttons = self.buttons(nonce, modal.is_some(), offers);
        blocks.push(json!({"type": "actions", "block_id": block, "elements": buttons}));
        let repository = &self.view.origin.repository;
        let place = match repository.as_str() {
            "" => String::new(),
            path => format!(" In {}.", inline(path, NOTICE_NAME_CHARS)),
        };
        let brief = self.brief();
        Card {
            blocks: Value::Array(blocks),
            inert: Value::Array(inert),
            body: Value::Array(body),
            modal,
            partial,
            offers,
            text: Text { brief, place, whom },
        }
    }

    /// Why it is asked, who asks and where; with so many of what there may be many of. Second, whether anything of the
    /// call was left out.
    fn why(&self, most: usize) -> (Vec<Line>, bool) {
        let (view, origin) = (self.view, &self.view.origin);
        let mut part = Part {
            lines: vec![Line::label("why")],
            value: if most == usize::MAX {
                most
            } else {
                VALUE_CHARS
            },
            most,
            cut: false,
        };
        match &view.rule {
            Some(rule) => part.put(&format!("rule {rule}: {}", view.reason)),
            None => part.put(&view.reason),
        }
        part.list(view.atoms.iter().cloned());
        let lists = &self.asking.approvers;
        if !lists.is_empty() {
            part.lines.push(Line::label(match lists.len() {
                1 => "somebody of these must approve",
                _ => "somebody of each must approve",
            }));
            part.list(lists.iter().map(|list| list.names.join(", ")));
        }
        if let Some(directory) = &view.directory {
            part.lines.push(Line::label("in the directory"));
            part.put(directory);
        }
        if !view.leads.is_empty() {
            part.lines.push(Line::label("leads elsewhere"));
            part.list(view.leads.iter().map(lead));
        }
        let of_call = part.cut;
        if let Some(words) = &view.description {
            part.lines.push(Line::label("the agent's own words"));
            part.put(words);
        }
        if let Some(task) = &origin.task {
            part.lines.push(Line::label("task"));
            part.put(task);
        }
        part.lines.push(Line::label("where"));
        part.put(&format!("{} on {}", origin.repository, origin.host));
        part.put(&format!("started by {}, {}", origin.user, origin.harness));
        let About {
            sandbox, egress, ..
        } = self.about;
        part.put(&format!("sandbox, egress: {sandbox}, {egress}"));
        (part.lines, of_call)
    }

    /// All of it. `None` where Slack would not take it: an approver could not see it.
    fn modal(&self, what: &[Line]) -> Option<Value> {
        // What is drawn of a text is no shorter: nothing is drawn in vain.
        if what.iter().map(Line::bytes).sum::<usize>() > limits::SLACK_MODAL_BYTES {
            return None;
        }
        let (why, _) = self.why(usize::MAX);
        let mut ids = Vec::new();
        let session = ("session".to_owned(), self.view.origin.session.clone());
        for (name, value) in self.view.details.iter().chain([&session]) {
            ids.push(Line::label(name));
            ids.push(Line::foreign(value));
        }
        let most = limits::SLACK_MODAL_FENCES;
        let mut blocks = vec![context(
            "All of the call, escaped: \\u{…} stands for a character that cannot be shown. Tokens \
                are redacted.",
        )];
        for lines in [what, &why, &ids] {
            let part = fences(lines, limits::SLACK_FENCE_CHARS, most);
            blocks.extend(part.iter().map(|text| fence(text)));
        }
        if blocks.len() > most + 1 {
            return None;
        }
        let modal = json!({
            "type": "modal", "title": plain_text("The whole call"), "close": plain_text("Close"),
            "blocks": blocks,
        });
        (modal.to_string().len() <= limits::SLACK_MODAL_BYTES).then_some(modal)
    }

    fn too_long(&self) -> String {
        format!(
            "Too long to show in full in Slack, so nobody can approve it here. Approve it at a \
                terminal: agp attend {}. Deny works here.",
            cut(&self.view.origin.session, NOTICE_NAME_CHARS)
        )
    }

    /// Whom it rings for, and how many are needed where that is more than one.
    fn whom(&self) -> String {
        let mut parts = Vec::new();
        if self.required > 1 {
            parts.push(format!("{} different people must approve.", self.required));
        }
        if !self.mentions.is_empty() {
            parts.push(self.mentions.to_owned());
        }
        parts.join(" ")
    }

    /// Who wants what, in a line.
    fn brief(&self) -> String {
        let origin = &self.view.origin;
        let who = match (origin.user.as_str(), origin.host.as_str()) {
            ("", _) | (_, "") => "agp".to_owned(),
            (user, host) => format!(
                "{}@{}",
                inline(user, NOTICE_NAME_CHARS),
                inline(host, NOTICE_NAME_CHARS)
            ),
        };
        format!("{who} wants: {}", first_words(self.view))
    }

    fn buttons(&self, nonce: &str, whole: bool, offers: Offers) -> Vec<Value> {
        let button = |action: Action, text: &str, style: Option<&str>| {
            let mut button = json!({
                "type": "button", "action_id": action.id(), "value": nonce,
                "text": plain_text(&cut(text, BUTTON_CHARS)),
            });
            if let (Some(style), Some(button)) = (style, button.as_object_mut()) {
                button.insert("style".into(), json!(style));
            }
            button
        };
        let mut buttons = Vec::new();
        if whole {
            buttons.push(button(Action::Allow, "Allow", Some("primary")));
        }
        buttons.push(button(Action::Deny, "Deny", Some("danger")));
        buttons.push(button(Action::DenyWithReason, "Deny with a reason", None));
        if whole {
            buttons.push(button(Action::Details, "Details", None));
        }
        let offer = self.asking.offer.as_ref();
        if let Some(offer) = offer.filter(|_| offers.exact) {
            let text = format!("Allow for the session: {}", offer.exact);
            buttons.push(button(Action::AllowForSession, &text, None));
        }
        if let Some(pattern) = offer.and_then(|offer| offer.pattern.as_ref())
            && offers.pattern
        {
            let text = format!("Allow the pattern: {pattern}");
            buttons.push(button(Action::AllowPattern, &text, None));
        }
        buttons
    }
}

/// Lines of a part of a card, each within its bounds.
struct Part {
    lines: Vec<Line>,
    value: usize,
    most: usize,
    cut: bool,
}

impl Part {
    fn put(&mut self, text: &str) {
        let mut left = self.value;
        for line in text.split('\n') {
            let (line, whole) = Line::within(line, left);
            left = left.saturating_sub(line.chars().max(1));
            self.lines.push(line);
            if !whole || left == 0 {
                self.cut = true;
                return;
            }
        }
    }

    fn list(&mut self, all: impl ExactSizeIterator<Item = String>) {
        let more = all.len().saturating_sub(self.most);
        for text in all.take(self.most) {
            self.put(&text);
        }
        if more > 0 {
            self.cut = true;
            self.lines
                .push(Line::note(&format!("{more} more in Details")));
        }
    }
}

/// What a call does. A command stands alone; what else there is has a label.
fn what(view: &CallView) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, block) in view.blocks.iter().enumerate() {
        match &block.subject {
            None if at == 0 && block.heading == RUNS => {}
            None => lines.push(Line::label(&block.heading)),
            Some(subject) => lines.push(Line::label(&format!("{} {subject}", block.heading))),
        }
        lines.extend(drawn(block).into_iter().map(Line::from));
    }
    if lines.is_empty() {
        lines.push(Line::note("no arguments"));
    }
    lines
}

fn lead(lead: &Lead) -> String {
    let Lead {
        path,
        real,
        other_names,
    } = lead;
    let mut text = path.clone();
    if real != path {
        text.push_str(&format!(" → {real}"));
    }
    if *other_names {
        text.push_str(" (this file has other names, too)");
    }
    text
}

/// The first words of what a call does, for a notification.
fn first_words(view: &CallView) -> String {
    let first = view.blocks.first();
    let Some(block) = first.filter(|block| block.heading == RUNS && block.subject.is_none()) else {
        let about = first.and_then(|block| block.subject.as_deref());
        let mut text = format!("{} {}", view.tool, about.unwrap_or_default());
        // Of a file its path says enough; of an argument its value says more than its name.
        let value = first.filter(|block| block.heading == ARGUMENT);
        if let Some(line) = value.and_then(|block| block.lines.first()) {
            text.push_str(&format!(": {}", line.text));
        }
        return inline(text.trim_end(), NOTICE_CHARS);
    };
    let mut lines = block.lines.iter().map(|line| line.text.as_str());
    let line = lines.find(|line| !line.trim().is_empty());
    let words = inline(line.unwrap_or_default(), NOTICE_CHARS);
    match lines.count() {
        0 => words,
        more => format!("{words} (and {})", count(more, "more line")),
    }
}

/// The exact words of what can be allowed for the session. What does not fit is not offered.
fn offered(offer: Option<&GrantOffer>) -> (Option<Value>, Offers) {
    let none = (None, Offers::default());
    let Some(GrantOffer { exact, pattern }) = offer else {
        return none;
    };
    let mut lines = vec![Line::label("Allow for the session covers")];
    lines.extend(exact.split('\n').map(Line::foreign));
    if let Some(pattern) = pattern {
        lines.push(Line::label("Allow the pattern covers, for the session"));
        lines.extend(pattern.split('\n').map(Line::foreign));
    }
    match fences(&lines, limits::SLACK_FENCE_CHARS, 1).as_slice() {
        [text] => {
            let offers = Offers {
                exact: true,
                pattern: pattern.is_some(),
            };
            (Some(fence(text)), offers)
        }
        _ => none,
    }
}

#[cfg(test)]
mod tests {
    use crate::channels::slack::fuzz;

    #[test]
    fn the_longest_escapes_stay_within_slacks_limits() {
        for part in ["╭", "`", "&", "\u{e000}", "\u{1f600}", "\n"] {
            fuzz::text(part.repeat(5000).as_bytes());
        }
    }
}
