//! What Slack's threads share: the way to say something, and what a click comes to.

use crate::contracts::plural::count;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::contracts::limits;

use super::approvals::{Approvals, Effect};
use super::block_name::BlockName;
use super::blocks;
use super::config;
use super::envelope::Click;
use super::post_queue::{Job, Modal, Post};
use super::rejections::{Reason, Rejection};
use super::websocket::OpenSocket;

/// What to do where clicks are lost to others.
pub(super) const ONE_APP: &str = "Use one app per machine (docs/slack-setup.md)";

/// Who judges a click.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// This session: the click is its own, or names no other.
    This,
    /// The session that it names.
    Session(&'a str),
}

/// Why nobody took a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Its session does not answer.
    Hung,
    /// It is not of this home.
    Elsewhere,
}

/// What the threads share.
pub(super) struct Hub {
    /// The session that this process has.
    pub(super) session: String,
    pub(super) post: Post,
    pub(super) warn: Box<dyn Fn(&str) + Send + Sync>,
    pub(super) rejected: Box<dyn Fn(&Rejection) + Send + Sync>,
    pub(super) rejections: AtomicU32,
    pub(super) malformed: AtomicU64,
    pub(super) not_taken: AtomicU64,
    pub(super) stopping: AtomicBool,
}

impl Hub {
    pub(super) fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn malformed(&self) {
        if self.malformed.fetch_add(1, Ordering::Relaxed) == 0 {
            self.warn("slack: received an invalid frame; further ones are only counted");
        }
    }

    /// What was only counted is said at the end.
    pub(super) fn account(&self) {
        let malformed = self.malformed.load(Ordering::Relaxed);
        if malformed > 1 {
            self.warn(&format!(
                "slack: received {} in total",
                count(malformed, "invalid frame")
            ));
        }
        let not_taken = self.not_taken.load(Ordering::Relaxed);
        if not_taken > 1 {
            self.warn(&format!(
                "slack: {} not taken in total",
                count(not_taken, "click")
            ));
        }
        let rejections = self.rejections.load(Ordering::Relaxed);
        if rejections > limits::SLACK_REJECTIONS {
            self.warn(&format!(
                "slack: {} rejected; the journal has {}",
                count(rejections, "click"),
                limits::SLACK_REJECTIONS
            ));
        }
    }

    pub(super) fn lost(&self, why: &str) {
        self.warn(&format!("slack: lost the connection ({why}); reconnecting"));
    }

    /// Where a click is to be judged.
    pub(super) fn owner<'a>(&self, click: &'a Click) -> Owner<'a> {
        match BlockName::parse(&click.block) {
            Some(name) if name.session != self.session => Owner::Session(name.session),
            _ => Owner::This,
        }
    }

    /// A click was left unacknowledged: whoever clicked sees that it failed.
    pub(super) fn not_taken(&self, click: &Click, why: NotTaken) {
        // Anybody in the channel can click without end.
        if self.not_taken.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let session = BlockName::parse(&click.block).map_or("?", |name| name.session);
        self.warn(&match why {
            NotTaken::Hung => format!(
                "slack: session {session} did not take a click within {} s: the person must click \
                    again. Is it stopped? Further ones are only counted",
                limits::RELAY_PATIENCE.as_secs()
            ),
            NotTaken::Elsewhere => format!(
                "slack: got a click for session {session} of another home or machine: it fails, \
                    and some of this home's fail there. {ONE_APP}. Further ones are only counted"
            ),
        });
    }

    /// Another connection takes a share of the clicks, and nobody can say which.
    pub(super) fn count_connections(&self, link: &OpenSocket, ours: usize) {
        let others = link
            .connections
            .saturating_sub(u64::try_from(ours).unwrap_or(u64::MAX));
        if others > 0 {
            self.warn(&format!(
                "slack: {} to this app, of another home or machine: SOME CLICKS GO THERE, and \
                    fail. {ONE_APP}. A crashed one disappears within minutes",
                count(others, "other connection")
            ));
        }
    }

    /// Does what a click comes to.
    pub(super) fn act(&self, approvals: &Approvals, click: &Click, effect: &Effect) {
        match effect {
            Effect::Parked => {}
            Effect::Decided { early } => self.judge_late(approvals, early),
            Effect::Form { view } => drop(self.open(click, view, Modal::Form)),
            Effect::Details { view } => {
                if !self.open(click, view, Modal::Details) {
                    let early = approvals.looked(&click.value, &click.user, false);
                    self.judge_late(approvals, &early);
                }
            }
            Effect::Progress {
                outcome,
                posted,
                blocks,
                brief,
            } => {
                self.post.send(Job::Update {
                    posted: posted.clone(),
                    text: outcome.text(brief),
                    blocks: blocks::with_outcome(Some(blocks.clone()), outcome),
                    last: false,
                });
            }
            Effect::Rejected(rejection) => {
                // Nothing can come of its buttons any more.
                if rejection.reason != Reason::Replayed
                    && !approvals.knows(&click.value)
                    && let Some(card) = approvals.authority().own_card(click)
                {
                    self.post.send(Job::Disarm(card));
                }
                self.reject(rejection);
            }
        }
    }

    /// Opens a modal in answer to a click. False when there is no room for it.
    fn open(&self, click: &Click, view: &Value, modal: Modal) -> bool {
        self.post.send(Job::Modal {
            modal,
            nonce: click.value.clone(),
            user: click.user.clone(),
            trigger: click.trigger.clone(),
            view: view.clone(),
            since: Instant::now(),
        })
    }

    /// Judges clicks that had to wait.
    pub(super) fn judge_late(&self, approvals: &Approvals, early: &[Click]) {
        for click in early {
            self.act(approvals, click, &approvals.late(click));
        }
    }

    pub(super) fn reject(&self, rejection: &Rejection) {
        /// The last one on the record, which says so.
        const LAST: u32 = limits::SLACK_REJECTIONS - 1;
        match self.rejections.fetch_add(1, Ordering::Relaxed) {
            0..LAST => (self.rejected)(rejection),
            LAST => {
                self.warn("slack: too many rejected clicks; further ones are only counted");
                (self.rejected)(&Rejection {
                    reason: Reason::TooMany,
                    ..rejection.clone()
                });
                return;
            }
            _ => return,
        }
        // The same click once more is Slack's doing, not the person's.
        if rejection.reason != Reason::Replayed && config::is_user(&rejection.user) {
            self.post.send(Job::Ephemeral {
                user: rejection.user.clone(),
                text: format!(
                    "agp: your click had no effect: {}.",
                    rejection.reason.told()
                ),
            });
        }
    }
}
