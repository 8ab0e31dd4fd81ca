//! Who approved what: the requests that are open, those that are over, and how a click is judged.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use serde_json::Value;

use crate::contracts::channel::Unreachable;
use crate::contracts::ids::{MessageId, Sha256};
use crate::contracts::lock::locked;
use crate::contracts::question::Question;

use super::authorization::Authority;
use super::blocks::{self, Outcome};
use super::envelope::Click;
use super::forms;
use super::rejections::{Reason, Rejection};
use super::remembered::Remembered;
use super::request::{Action, Buttons, Ended, NewRequest, Open};
use super::web_api::Posted;

/// A request that is over. Its message is kept until the journal has its end.
struct Closed {
    message_id: MessageId,
    args_sha256: Sha256,
    how: Reason,
    posted: Option<Posted>,
    body: Option<Value>,
    brief: String,
    /// How it ended, if the journal had it before Slack had named the message.
    outcome: Option<Outcome>,
}

/// What is to be done about a click.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Rejected(Rejection),
    /// Show this modal.
    Details {
        view: Value,
    },
    /// Show this form.
    Form {
        view: Value,
    },
    /// One of several approvals; the message is to say so.
    Progress {
        outcome: Outcome,
        posted: Posted,
        blocks: Value,
        brief: String,
    },
    /// The request is decided. These clicks waited, and come too late.
    Decided {
        early: Vec<Click>,
    },
    /// Wait for the buttons, or for the modal.
    Parked,
}

/// An edit of a message that is over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edit {
    pub(super) posted: Posted,
    pub(super) body: Option<Value>,
    /// What it was about.
    pub(super) brief: String,
    pub(super) outcome: Outcome,
}

/// What a click is judged by. All of it is behind one lock: a request that closes is in `open` or in
/// `closed` and never in neither, and nothing opens once no answer can come.
#[derive(Default)]
struct Table {
    open: HashMap<String, Open>,
    closed: Remembered<Closed>,
    /// Deliveries that were seen.
    envelopes: Remembered<()>,
    down: Option<Ended>,
}

impl Table {
    fn close(&mut self, nonce: &str, how: Reason) -> Option<Open> {
        let open = self.open.remove(nonce)?;
        let closed = Closed {
            message_id: open.request.question.asking().call.id.clone(),
            args_sha256: open.request.question.asking().args_sha256,
            how,
            posted: open.posted.clone(),
            body: Some(open.request.body.clone()),
            brief: open.request.text.brief.clone(),
            outcome: None,
        };
        self.closed.insert(nonce.to_owned(), closed);
        Some(open)
    }

    fn is_replay(&mut self, envelope: &str) -> bool {
        let seen = self.envelopes.get(envelope).is_some();
        if !seen {
            self.envelopes.insert(envelope.to_owned(), ());
        }
        seen
    }
}

/// Early clicks kept for one request: a person makes one or two.
const EARLY: usize = 8;

/// The open requests of a session.
pub(super) struct Approvals {
    authority: Authority,
    table: Mutex<Table>,
}

impl Approvals {
    pub(super) fn new(authority: Authority) -> Self {
        Self {
            authority,
            table: Mutex::default(),
        }
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        locked(&self.table)
    }

    /// Takes up a request, unless no answer could come.
    ///
    /// # Errors
    /// [`Unreachable`] when none can.
    pub(super) fn open(&self, request: NewRequest) -> Result<(), Unreachable> {
        let mut table = self.table();
        if let Some(why) = &table.down {
            return Err(Unreachable(why.to_string()));
        }
        let nonce = request.nonce.clone();
        let open = Open {
            request,
            posted: None,
            buttons: Buttons::None,
            drawn: Value::Null,
            votes: Vec::new(),
            looked: BTreeSet::new(),
            opening: Vec::new(),
            early: Vec::new(),
        };
        table.open.insert(nonce, open);
        Ok(())
    }

    /// Its message stands in Slack, without buttons. Where the request is over by now, gives the edit that
    /// says so.
    pub(super) fn posted(&self, nonce: &str, posted: Posted) -> Result<(), Option<Box<Edit>>> {
        let mut table = self.table();
        if let Some(open) = table.open.get_mut(nonce) {
            open.posted = Some(posted);
            return Ok(());
        }
        let Some(closed) = table.closed.get_mut(nonce) else {
            return Err(None);
        };
        closed.posted = Some(posted.clone());
        Err(closed.outcome.take().map(|outcome| {
            Box::new(Edit {
                posted,
                body: closed.body.take(),
                brief: closed.brief.clone(),
                outcome,
            })
        }))
    }

    /// Its message is about to get its buttons: gives its text, and the blocks that have them, with the time there is to
    /// answer, unless the request is over. From here on a click may come.
    pub(super) fn arming(&self, nonce: &str) -> Option<(String, Value)> {
        let mut table = self.table();
        let open = table.open.get_mut(nonce)?;
        open.buttons = Buttons::Coming;
        let question = &open.request.question;
        // Its time begins once the buttons are there, unless somebody sees it elsewhere.
        let left = question.left().min(question.asking().deadline);
        let until = SystemTime::now() + left;
        open.drawn = blocks::with_deadline(&open.request.blocks, until);
        Some((open.request.text.until(until), open.drawn.clone()))
    }

    /// Its message has its buttons: from here on a person could see it, and can answer. Gives the clicks that came
    /// before this was known.
    pub(super) fn armed(&self, nonce: &str) -> Vec<Click> {
        let mut table = self.table();
        let Some(open) = table.open.get_mut(nonce) else {
            return Vec::new();
        };
        open.buttons = Buttons::There;
        open.request.question.seen();
        std::mem::take(&mut open.early)
    }

    /// Slack shows this person the whole of it, or does not. Gives this person's clicks that waited for
    /// that.
    pub(super) fn looked(&self, nonce: &str, user: &str, shown: bool) -> Vec<Click> {
        let mut table = self.table();
        let Some(open) = table.open.get_mut(nonce) else {
            return Vec::new();
        };
        if let Some(at) = open.opening.iter().position(|other| other == user) {
            open.opening.swap_remove(at);
        }
        if shown {
            open.looked.insert(user.to_owned());
        }
        open.early
            .extract_if(.., |click| click.user == user)
            .collect()
    }

    /// It could not be posted, or got no buttons. Gives the clicks that waited for them.
    pub(super) fn failed(&self, nonce: &str, why: String) -> Vec<Click> {
        let Some(open) = self.table().close(nonce, Reason::Expired) else {
            return Vec::new();
        };
        open.request.question.gives_up(&Unreachable(why));
        open.early
    }

    /// Whether it is one of this session's, as far back as is remembered.
    pub(super) fn knows(&self, nonce: &str) -> bool {
        let table = self.table();
        table.open.contains_key(nonce) || table.closed.get(nonce).is_some()
    }

    /// Whether it is still open.
    pub(super) fn is_open(&self, nonce: &str) -> bool {
        self.table().open.contains_key(nonce)
    }

    /// Whether a message still belongs to an open request.
    pub(super) fn has_buttons(&self, posted: &Posted) -> bool {
        let table = self.table();
        table
            .open
            .values()
            .any(|open| open.posted.as_ref() == Some(posted))
    }

    /// A question is over, unless it was decided here.
    pub(super) fn expire(&self, question: &Question) -> Option<Open> {
        let mut table = self.table();
        let same = |open: &Open| std::ptr::eq(Arc::as_ptr(&open.request.question), question);
        let open = table.open.iter().find(|(_, open)| same(open));
        let nonce = open.map(|(nonce, _)| nonce.clone())?;
        table.close(&nonce, Reason::Expired)
    }

    /// No answer can come any more, to any request. Gives the clicks that waited.
    pub(super) fn hang_up(&self, why: &Ended) -> Vec<Click> {
        let mut early = Vec::new();
        let mut table = self.table();
        table.down.get_or_insert_with(|| why.clone());
        let all: Vec<String> = table.open.keys().cloned().collect();
        for nonce in all {
            if let Some(open) = table.close(&nonce, Reason::SessionOver) {
                open.request
                    .question
                    .gives_up(&Unreachable(why.to_string()));
                early.extend(open.early);
            }
        }
        early
    }

    /// The journal has how a call's request ended: the edit that says it, once the message's name
    /// is known.
    pub(super) fn settled(&self, message_id: &str, outcome: Outcome) -> Option<Edit> {
        let mut table = self.table();
        let closed = table.closed.values_mut();
        let closed = closed
            .filter(|closed| closed.body.is_some())
            .find(|closed| closed.message_id.as_str() == message_id)?;
        match &closed.posted {
            None => {
                closed.outcome = Some(outcome);
                None
            }
            Some(posted) => Some(Edit {
                posted: posted.clone(),
                body: closed.body.take(),
                brief: closed.brief.clone(),
                outcome,
            }),
        }
    }

    /// Messages that still have buttons though nobody waits for them.
    pub(super) fn left_over(&self) -> Vec<Edit> {
        let mut table = self.table();
        let closed = table.closed.values_mut();
        let left = closed.filter_map(|closed| {
            Some(Edit {
                posted: closed.posted.clone()?,
                body: Some(closed.body.take()?),
                brief: closed.brief.clone(),
                outcome: Outcome::new("Expired: the session ended"),
            })
        });
        left.collect()
    }

    /// Judges a click.
    pub(super) fn click(&self, click: &Click) -> Effect {
        let mut table = self.table();
        let replay = table.is_replay(&click.envelope);
        let judged = if replay {
            Err(Reason::Replayed)
        } else {
            self.judge(&mut table, click)
        };
        judged.unwrap_or_else(|reason| Effect::Rejected(rejection(&table, click, reason)))
    }

    /// Judges a click that had to wait; its envelope is known.
    pub(super) fn late(&self, click: &Click) -> Effect {
        let mut table = self.table();
        let judged = self.judge(&mut table, click);
        judged.unwrap_or_else(|reason| Effect::Rejected(rejection(&table, click, reason)))
    }

    fn judge(&self, table: &mut Table, click: &Click) -> Result<Effect, Reason> {
        let nonce = click.value.as_str();
        let open = table.open.get(nonce);
        let listed = open.is_some_and(|open| open.lists(&click.user));
        let admitted = self.authority.admit(click, listed)?;
        let Some(open) = table.open.get_mut(nonce) else {
            return Err(table
                .closed
                .get(nonce)
                .map_or(Reason::UnknownNonce, |closed| closed.how));
        };
        let action = Action::ALL
            .into_iter()
            .find(|action| action.id() == click.action);
        let action = action.ok_or(Reason::UnknownAction)?;
        match open.buttons {
            Buttons::There => {}
            Buttons::Coming if open.early.len() < EARLY => {
                open.early.push(click.clone());
                return Ok(Effect::Parked);
            }
            Buttons::Coming | Buttons::None => return Err(Reason::NotArmed),
        }
        let vote = match open.check(&admitted, action) {
            // The modal stands on the phone before Slack says so.
            Err(Reason::NotSeen) if open.is_opening(&click.user) && open.early.len() < EARLY => {
                open.early.push(click.clone());
                return Ok(Effect::Parked);
            }
            checked => checked?,
        };
        let Some(vote) = vote else {
            if action == Action::DenyWithReason {
                let view = forms::deny(&open.request.block, nonce);
                return Ok(Effect::Form { view });
            }
            let view = open.request.modal.clone().ok_or(Reason::TooLong)?;
            open.opening.push(click.user.clone());
            return Ok(Effect::Details { view });
        };
        let denied = !vote.allows();
        if denied {
            // One refusal is enough, whoever approved before.
            open.votes.clear();
        }
        let person = vote.person().to_owned();
        open.votes.push(vote);
        if let Some(missing) = open.missing().filter(|_| !denied) {
            return Ok(Effect::Progress {
                outcome: Outcome::new(format!("*{missing}*; the last")).by(&person),
                posted: open.posted.clone().ok_or(Reason::OtherMessage)?,
                blocks: open.drawn.clone(),
                brief: open.request.text.brief.clone(),
            });
        }
        let mut early = Vec::new();
        if let Some(open) = table.close(nonce, Reason::Decided) {
            early = open.early;
            let answer = Ended::Voted(open.votes).into_answer();
            open.request.question.settle(answer);
        }
        Ok(Effect::Decided { early })
    }
}

fn rejection(table: &Table, click: &Click, reason: Reason) -> Rejection {
    let open = table.open.get(&click.value);
    let about = open
        .map(|open| open.request.question.asking())
        .map(|asking| (asking.call.id.clone(), asking.args_sha256))
        .or_else(|| {
            let closed = table.closed.get(&click.value)?;
            Some((closed.message_id.clone(), closed.args_sha256))
        });
    let (message_id, args_sha256) = about.unzip();
    let short_id = |id: &str| {
        let fits = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        if fits {
            id.to_owned()
        } else {
            "[malformed]".to_owned()
        }
    };
    Rejection {
        reason,
        message_id,
        args_sha256,
        user: short_id(&click.user),
        team: short_id(&click.team),
        channel: short_id(&click.channel),
        message: short_id(&click.message),
    }
}
