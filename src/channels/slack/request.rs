//! One request: what a click on it is held against. A [`Vote`] is made by [`Open::check`] and nowhere
//! else, and an answer is made of votes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::channels::escape;
use crate::contracts::approver::{Approver, ApproverList};
use crate::contracts::channel::{Answer, Scope};
use crate::contracts::event::ApprovalBinding;
use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::question::Question;

use super::authorization::Admitted;
use super::card::{Offers, Text};
use super::envelope::Click;
use super::mrkdwn_escape::inline;
use super::rejections::Reason;
use super::web_api::Posted;

/// What a button means, or a form that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    /// And what was asked about exactly, for the session.
    AllowForSession,
    /// And the pattern around it, for the session.
    AllowPattern,
    Deny,
    /// Opens the form for a reason.
    DenyWithReason,
    Details,
    /// Sends that form: no button does.
    SendReason,
}

impl Action {
    pub(super) const ALL: [Self; 7] = [
        Self::Allow,
        Self::AllowForSession,
        Self::AllowPattern,
        Self::Deny,
        Self::DenyWithReason,
        Self::Details,
        Self::SendReason,
    ];

    /// Its id in a message or a form.
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowForSession => "allow-session",
            Self::AllowPattern => "allow-pattern",
            Self::Deny => "deny",
            Self::DenyWithReason => "deny-with-reason",
            Self::SendReason => "send-reason",
            Self::Details => "details",
        }
    }
}

/// One approver's word on one request. Only a check makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vote {
    user: String,
    /// Who that is, as it is shown everywhere.
    person: String,
    allow: bool,
    /// How far a yes reaches.
    scope: Scope,
    /// Why not.
    reason: Option<String>,
}

impl Vote {
    /// Who gave it, as it is shown everywhere.
    pub(super) fn person(&self) -> &str {
        &self.person
    }

    /// Whose it is.
    pub(super) fn approver(&self) -> Approver {
        Approver::Slack(self.user.clone())
    }

    pub(super) fn allows(&self) -> bool {
        self.allow
    }

    /// Whether it allows the same call again, too.
    pub(super) fn is_for_session(&self) -> bool {
        self.scope != Scope::Once
    }
}

/// Exactly what was asked about, and the pattern around it.
const EXACT: Scope = Scope::Session {
    pattern: false,
    minutes: None,
};
const PATTERN: Scope = Scope::Session {
    pattern: true,
    minutes: None,
};

/// How a request came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// By these votes: as many as are required, or one that denies.
    Voted(Vec<Vote>),
    /// It was not posted, or no answer can come any more.
    Unreachable(String),
    /// The session ended first.
    SessionOver,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voted(_) => "it was answered",
            Self::Unreachable(why) => why,
            Self::SessionOver => "the session ended before an answer",
        })
    }
}

impl Ended {
    /// The answer, and who gave it.
    pub(super) fn into_answer(self) -> Answer {
        let votes = match self {
            Self::Unreachable(why) => return Answer::Unreachable(why),
            Self::SessionOver => {
                return Answer::SessionOver("the session ended before an answer".into());
            }
            Self::Voted(votes) if votes.is_empty() => {
                return Answer::Unreachable("nobody answered".into());
            }
            Self::Voted(votes) => votes,
        };
        let binding = ApprovalBinding::SlackNonce;
        if let Some(denied) = votes.iter().find(|vote| !vote.allow) {
            return Answer::Denied {
                by: denied.person.clone(),
                binding,
                reason: denied.reason.clone(),
            };
        }
        let by: Vec<&str> = votes.iter().map(Vote::person).collect();
        let by = by.join(", ");
        // As far as all of them meant it.
        let scope = match votes.iter().all(Vote::is_for_session) {
            true => Scope::Session {
                pattern: votes.iter().all(|vote| vote.scope == PATTERN),
                minutes: None,
            },
            false => Scope::Once,
        };
        Answer::Granted { by, binding, scope }
    }
}

/// What a request is to begin with.
pub(super) struct NewRequest {
    /// Random, and in this request's message alone.
    pub(super) nonce: String,
    /// The block that has the buttons.
    pub(super) block: String,
    /// Where the answer goes.
    pub(super) question: Arc<Question>,
    /// The whole of the call; `None` where Slack would not show it: nobody can allow it here.
    pub(super) modal: Option<Value>,
    /// The message with its buttons, and without the time there is to answer.
    pub(super) blocks: Value,
    /// The message without them.
    pub(super) body: Value,
    /// What it is in the text outside of blocks.
    pub(super) text: Text,
    /// Whether the message shows a part only.
    pub(super) partial: bool,
    /// Which grants for the session it has buttons for.
    pub(super) offers: Offers,
    /// How many different people must approve.
    pub(super) required: usize,
}

/// Whether a request's message has its buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buttons {
    /// No. What is clicked is forged.
    None,
    /// Slack is being asked for them, and shows them before agp hears of it.
    Coming,
    /// Yes.
    There,
}

/// A request that waits for its answer.
pub(super) struct Open {
    pub(super) request: NewRequest,
    pub(super) posted: Option<Posted>,
    pub(super) buttons: Buttons,
    /// The message as it was given its buttons.
    pub(super) drawn: Value,
    pub(super) votes: Vec<Vote>,
    /// Whom Slack has shown the details.
    pub(super) looked: BTreeSet<String>,
    /// Who asked for the details, once for each modal that Slack has not answered for.
    pub(super) opening: Vec<String>,
    /// Clicks that came before Slack had said what they hang on: whether the buttons are there, or whether
    /// the details were shown.
    pub(super) early: Vec<Click>,
}

impl Open {
    /// Whether Slack may be showing this person the details right now.
    pub(super) fn is_opening(&self, user: &str) -> bool {
        self.opening.iter().any(|other| other == user)
    }

    /// The one place where a click becomes a vote.
    pub(super) fn check(
        &self,
        admitted: &Admitted<'_>,
        action: Action,
    ) -> Result<Option<Vote>, Reason> {
        let click = admitted.click();
        let posted = self.posted.as_ref().ok_or(Reason::OtherMessage)?;
        match click.form {
            // A form stands in no channel: it names its card by block and nonce.
            Some(_) if action != Action::SendReason => return Err(Reason::UnknownAction),
            Some(_) => {}
            None if action == Action::SendReason => return Err(Reason::UnknownAction),
            None if click.channel != posted.channel => return Err(Reason::OtherChannel),
            None if click.message != posted.ts => return Err(Reason::OtherMessage),
            None => {}
        }
        if click.block != self.request.block {
            return Err(Reason::OtherBlock);
        }
        if self.request.question.left().is_zero() {
            return Err(Reason::Expired);
        }
        let vote = |allow, scope| {
            Ok(Some(Vote {
                user: click.user.clone(),
                person: person(&click.name, &click.user),
                allow,
                scope,
                reason: click.form.as_deref().and_then(reason),
            }))
        };
        let voted = self.votes.iter().any(|vote| vote.user == click.user);
        let seen = !self.request.partial || self.looked.contains(&click.user);
        let Offers { exact, pattern } = self.request.offers;
        let scope = match action {
            Action::DenyWithReason => return Ok(None),
            Action::Deny | Action::SendReason => return vote(false, Scope::Once),
            Action::Details | Action::Allow => Scope::Once,
            Action::AllowForSession if exact => EXACT,
            Action::AllowPattern if pattern => PATTERN,
            Action::AllowForSession | Action::AllowPattern => return Err(Reason::UnknownAction),
        };
        if self.request.modal.is_none() {
            return Err(Reason::TooLong);
        }
        match action {
            Action::Details => Ok(None),
            _ if voted => Err(Reason::Voted),
            _ if !seen => Err(Reason::NotSeen),
            _ => vote(true, scope),
        }
    }

    /// Whether a rule's list has this person.
    pub(super) fn lists(&self, user: &str) -> bool {
        let person = Approver::Slack(user.to_owned());
        let mut lists = self.request.question.asking().approvers.iter();
        lists.any(|list| list.has(&person))
    }

    /// What is still missing, in words: people, or somebody whom a rule lists. `None`: nothing is.
    pub(super) fn missing(&self) -> Option<String> {
        let (have, need) = (self.votes.len(), self.request.required);
        if have < need {
            return Some(format!("{have} of {}", count(need, "approval")));
        }
        let lists = &self.request.question.asking().approvers;
        let covered = |list: &&ApproverList| {
            let mut voters = self.votes.iter().map(Vote::approver);
            voters.any(|person| list.has(&person))
        };
        let open = lists.iter().find(|list| !covered(list))?;
        let names = inline(&open.names.join(", "), limits::PERSON_NAME_CHARS);
        Some(format!(
            "{}; {names} must approve, too",
            count(have, "approval")
        ))
    }
}

/// A person as the journal, the terminal and Slack name one: `alice (slack U0ALICE)`. Of the name, which is foreign, only
/// letters, digits and what else Slack's own names have are kept, so that it can say nothing but a name.
pub(super) fn person(name: &str, user: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = name
        .chars()
        .take(limits::PERSON_NAME_CHARS)
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    match plain.is_empty() {
        true => format!("slack {user}"),
        false => format!("{plain} (slack {user})"),
    }
}

/// Why somebody denies, on one line; `None` where nothing was written.
fn reason(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = escape::line_max(&words.join(" "), limits::DENY_REASON_CHARS);
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_nothing_but_a_name() {
        let long = "x".repeat(limits::PERSON_NAME_CHARS + 1);
        for (name, shown) in [
            ("alice", "alice (slack U1)"),
            ("ünal.o-k_1", "ünal.o-k_1 (slack U1)"),
            ("", "slack U1"),
            ("eve (slack U2), bob", "eve__slack_U2___bob (slack U1)"),
            ("<!here>\u{202e}`*", "__here____ (slack U1)"),
            (&long, &format!("{} (slack U1)", &long[1..])),
        ] {
            assert_eq!(person(name, "U1"), shown, "{name}");
        }
    }

    #[test]
    fn a_reason_is_one_line_of_what_was_written() {
        assert_eq!(reason(" \n\t "), None);
        assert_eq!(
            reason("not on\n Fridays\u{202e}").as_deref(),
            Some("not on Fridays\\u{202e}")
        );
        let long = reason(&"x y ".repeat(1000)).unwrap();
        assert_eq!(long.chars().count(), limits::DENY_REASON_CHARS);
    }
}
