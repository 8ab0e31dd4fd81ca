//! What a session has for those who attend: what it showed, what is open, and what happened since they were last told.
//! Pure: the channel puts it up, the thread takes it down and sends it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::channels::escape;
use crate::channels::screen::{Said, ScreenQuestion, told};
use crate::contracts::channel::{Answer, Scope};
use crate::contracts::limits;
use crate::contracts::plural::count;
use crate::contracts::question::Question;

use super::protocol::{GivenAnswer, PutQuestion, SessionMessage, written};
use super::rejections::Reason;

/// A question that those who attend may answer.
#[derive(Debug)]
pub(super) struct OpenQuestion {
    pub(super) question: Arc<Question>,
    nonce: String,
    /// Where else it is asked.
    elsewhere: Arc<[String]>,
}

impl OpenQuestion {
    /// As it is sent: with its nonce to those who may answer.
    pub(super) fn message(&self, answers: bool) -> Vec<u8> {
        let asking = self.question.asking();
        written(&SessionMessage::Question(Box::new(PutQuestion {
            question: ScreenQuestion {
                number: asking.number,
                view: asking.view.clone(),
                offer: asking.offer.clone(),
            },
            nonce: answers.then(|| self.nonce.clone()),
            seconds_left: self.question.left().as_secs(),
            seconds_once_seen: asking.deadline.as_secs(),
            elsewhere: self.elsewhere.to_vec(),
        })))
    }
}

/// Something that those who attend are sent.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// The same for all.
    Message(Arc<[u8]>),
    /// A question that came.
    Question(Arc<OpenQuestion>),
}

/// What is up for those who attend.
#[derive(Debug, Default)]
pub(super) struct Board {
    history: VecDeque<Arc<[u8]>>,
    open: BTreeMap<u64, Arc<OpenQuestion>>,
    news: Vec<News>,
    /// Lines among the news, and those for which there was no room.
    lines: usize,
    left_out: usize,
    /// Those who attend and may answer.
    pub(super) attended: usize,
}

impl Board {
    /// A line that the session showed.
    pub(super) fn line(&mut self, text: &str) {
        let end = text.floor_char_boundary(limits::ATTEND_LINE_BYTES);
        let text = text.get(..end).unwrap_or(text).to_owned();
        let line: Arc<[u8]> = written(&SessionMessage::Line { text }).into();
        if self.history.len() == limits::ATTEND_HISTORY_LINES {
            self.history.pop_front();
        }
        self.history.push_back(Arc::clone(&line));
        if self.lines < limits::ATTEND_NEWS {
            self.lines += 1;
            self.news.push(News::Message(line));
        } else {
            self.left_out += 1;
        }
    }

    /// A question that somebody is to answer, under a nonce that nobody can guess.
    pub(super) fn question(
        &mut self,
        question: Arc<Question>,
        nonce: String,
        elsewhere: Arc<[String]>,
    ) {
        let number = question.asking().number;
        let open = Arc::new(OpenQuestion {
            question,
            nonce,
            elsewhere,
        });
        self.open.insert(number, Arc::clone(&open));
        self.news.push(News::Question(open));
    }

    /// A question is over; one that is not open here was answered before it was put.
    pub(super) fn settled(&mut self, number: u64, answer: &Answer) {
        if self.open.remove(&number).is_some() {
            let words = told(answer);
            let settled = written(&SessionMessage::Settled { number, words });
            self.news.push(News::Message(settled.into()));
        }
    }

    /// The session is over.
    pub(super) fn ended(&mut self, words: &str) {
        let words = escape::line(words);
        let ended = written(&SessionMessage::Ended { words });
        self.news.push(News::Message(ended.into()));
    }

    /// What happened since the last time.
    pub(super) fn news(&mut self) -> Vec<News> {
        self.lines = 0;
        let mut news = std::mem::take(&mut self.news);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            let text = format!("({} not shown; see the journal)", count(left_out, "line"));
            let line = written(&SessionMessage::Line { text });
            news.push(News::Message(line.into()));
        }
        news
    }

    /// All that is up, for one who comes when all news were taken.
    pub(super) fn whole(&self) -> Vec<News> {
        let lines = self.history.iter().cloned().map(News::Message);
        lines
            .chain(self.open.values().cloned().map(News::Question))
            .collect()
    }

    /// What an answer is about.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn judged(
        &self,
        answer: &GivenAnswer,
        answers: bool,
    ) -> Result<Arc<OpenQuestion>, Reason> {
        if !answers {
            return Err(Reason::ReadOnly);
        }
        let open = self.about(answer.number).ok_or(Reason::UnknownQuestion)?;
        if open.nonce != answer.nonce {
            return Err(Reason::WrongNonce);
        }
        let asking = open.question.asking();
        if asking.view.sha256() != answer.view_sha256 {
            return Err(Reason::OtherView);
        }
        match &answer.verdict {
            Said::Approve(Scope::Session { pattern, minutes }) => {
                let offer = asking.offer.as_ref();
                let offered = offer.is_some_and(|offer| !pattern || offer.pattern.is_some());
                let fits = |minutes| (1..=limits::GRANT_MINUTES).contains(&minutes);
                if !offered || minutes.is_some_and(|minutes| !fits(minutes)) {
                    return Err(Reason::NotOffered);
                }
            }
            Said::Deny {
                reason: Some(reason),
            } if reason.len() > limits::REASON_BYTES => return Err(Reason::LongReason),
            Said::Approve(Scope::Once) | Said::Deny { .. } => {}
        }
        Ok(Arc::clone(open))
    }

    /// The one that has waited longest.
    pub(super) fn first(&self) -> Option<Arc<Question>> {
        let open = self.open.values().next()?;
        Some(Arc::clone(&open.question))
    }

    /// The open question of this number.
    pub(super) fn about(&self, number: u64) -> Option<&Arc<OpenQuestion>> {
        self.open.get(&number)
    }
}
