//! The console channel: the operator approves at the terminal that `agp run` was started from. One thread has the
//! terminal's questions; call workers hand it theirs.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::confine::{self, Places, Profile};
use crate::contracts::approver::Approver;
use crate::contracts::channel::{Answer, Channel, Scope, Unreachable};
use crate::contracts::event::ApprovalBinding;
use crate::contracts::lock::locked;
use crate::contracts::plural::count;
use crate::contracts::question::{Asking, Question};

use super::escape;
use super::screen::{Look, Reaction, Said, Screen, ScreenQuestion, Settled, told};
use super::terminal::{Keyboard, Terminal, Typed};

/// The terminal's size and the time that is left are looked at this often while a question waits.
const LOOK: Duration = Duration::from_millis(250);

/// Why nobody can be asked there any more.
const CLOSED: &str = "the terminal was closed";

/// Asks at a terminal.
pub struct Console {
    terminal: Arc<Terminal>,
    /// The account that answers there.
    account: Approver,
    inbox: Arc<Inbox>,
}

/// What the console's thread is told.
struct Inbox {
    state: Mutex<Messages>,
    /// Holds a byte where there is something new.
    wake: PipeWriter,
}

#[derive(Default)]
struct Messages {
    new: Vec<Message>,
    /// Why nothing more is taken, if that is so.
    closed: Option<&'static str>,
}

enum Message {
    Show(Arc<Question>),
    /// A question's number, and its answer in words.
    Over(u64, String),
    HangUp,
}

impl Inbox {
    /// Hands something over, unless nobody takes it any more.
    fn put(&self, message: Message) -> Result<(), Unreachable> {
        let mut state = locked(&self.state);
        if let Some(why) = state.closed {
            return Err(Unreachable(why.to_owned()));
        }
        if state.new.is_empty() {
            // One byte at a time: it has room.
            let mut wake = &self.wake;
            wake.write_all(&[0])
                .map_err(|error| Unreachable(error.to_string()))?;
        }
        state.new.push(message);
        Ok(())
    }

    fn close(&self, why: &'static str) -> Vec<Message> {
        let mut state = locked(&self.state);
        state.closed.get_or_insert(why);
        std::mem::take(&mut state.new)
    }
}

impl Console {
    /// Takes up a terminal's questions on a thread of its own, where there is a terminal. `operator` is who answers
    /// there, for the journal and for people; `account` for rules that name who may approve; `bell` whether a question
    /// rings.
    ///
    /// # Errors
    /// When there is no thread, or it cannot be confined.
    pub fn start(
        terminal: Arc<Terminal>,
        operator: String,
        account: Approver,
        bell: bool,
    ) -> io::Result<Self> {
        let (woken, wake) = io::pipe()?;
        let inbox = Arc::new(Inbox {
            state: Mutex::default(),
            wake,
        });
        if terminal.unattended_because().is_none() {
            let mut desk = Desk {
                screen: Screen::new(look(&terminal, bell)),
                terminal: Arc::clone(&terminal),
                operator,
                bell,
                inbox: Arc::clone(&inbox),
                woken,
                keyboard: Keyboard::default(),
                open: BTreeMap::new(),
            };
            confine::start(Profile::Console, Places::none(), move || desk.run())?;
        }
        Ok(Self {
            terminal,
            account,
            inbox,
        })
    }
}

fn look(terminal: &Terminal, bell: bool) -> Look {
    Look {
        bell,
        ..terminal.look()
    }
}

impl Channel for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn hang_up(&self) {
        // What was held back is shown before anything else is said; the thread ends when it hears of it.
        self.terminal.hang_up();
        let _ = self.inbox.put(Message::HangUp);
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        if let Some(why) = self.terminal.unattended_because() {
            return Err(Unreachable(why.into()));
        }
        let person = std::slice::from_ref(&self.account);
        if let Some(why) = too_few(question.asking(), person) {
            return Err(Unreachable(why));
        }
        self.inbox.put(Message::Show(Arc::clone(question)))
    }

    fn over(&self, question: &Question, answer: &Answer) {
        let number = question.asking().number;
        // Nobody looks any more: nothing is to be taken away.
        let _ = self.inbox.put(Message::Over(number, told(answer)));
    }
}

/// What the console's thread works with.
struct Desk {
    terminal: Arc<Terminal>,
    operator: String,
    bell: bool,
    inbox: Arc<Inbox>,
    woken: PipeReader,
    screen: Screen,
    keyboard: Keyboard,
    /// By their numbers, those on the screen.
    open: BTreeMap<u64, Arc<Question>>,
}

impl Desk {
    fn run(&mut self) {
        loop {
            let new = std::mem::take(&mut locked(&self.inbox.state).new);
            for message in new {
                match message {
                    Message::Show(question) => self.show(question),
                    Message::Over(number, words) => self.over(number, &Settled::Elsewhere(words)),
                    Message::HangUp => {
                        self.inbox.close("the session is over");
                        return;
                    }
                }
            }
            if self.screen.is_empty() {
                self.terminal.resume();
                // Nothing is read while nobody is asked.
                if !matches!(self.woken.read(&mut [0; 1]), Ok(1..)) {
                    return self.close();
                }
                continue;
            }
            match self.terminal.wait(&self.woken, LOOK) {
                Ok((typed, woken)) => {
                    if woken && !matches!(self.woken.read(&mut [0; 1]), Ok(1..)) {
                        return self.close();
                    }
                    self.look_up();
                    // Whoever was taken off meanwhile is not answered: that is told first.
                    if typed && !woken && !self.read() {
                        return self.close();
                    }
                }
                // It would be so each time until the deadline.
                Err(_) => return self.close(),
            }
        }
    }

    fn show(&mut self, question: Arc<Question>) {
        let asking = question.asking();
        let drawn = ScreenQuestion {
            number: asking.number,
            view: asking.view.clone(),
            offer: asking.offer.clone(),
        };
        let left = question.left();
        if left.is_zero() {
            // Settled already.
            return;
        }
        // Its time is counted from when it is seen, which is now.
        let left = left.min(asking.deadline);
        self.open.insert(drawn.number, question);
        let reaction = self.screen.add(drawn, left);
        self.follow(reaction);
    }

    fn over(&mut self, number: u64, how: &Settled) {
        if self.open.remove(&number).is_some() {
            let reaction = self.screen.settled(number, how);
            self.follow(reaction);
        }
    }

    /// The time passes, and the terminal may have another size.
    fn look_up(&mut self) {
        let reaction = self.screen.resized(look(&self.terminal, self.bell));
        self.follow(reaction);
        let lefts: Vec<(u64, Duration)> = self
            .open
            .iter()
            .map(|(number, question)| {
                let left = question.left().min(question.asking().deadline);
                (*number, left)
            })
            .collect();
        for (number, left) in lefts {
            // Whoever settled it is about to say so.
            if !left.is_zero() {
                let reaction = self.screen.left(number, left);
                self.follow(reaction);
            }
        }
    }

    /// Takes what was typed. False when the terminal is gone.
    fn read(&mut self) -> bool {
        match self.terminal.typed(&mut self.keyboard) {
            Typed::Line(line) => {
                // One that is longer than any answer is none.
                let reaction = self.screen.typed(line.as_deref().unwrap_or_default());
                self.follow(reaction);
                true
            }
            Typed::Begun => true,
            Typed::Closed => false,
        }
    }

    /// Does what comes of something.
    fn follow(&mut self, reaction: Reaction) {
        if reaction.flush {
            self.terminal.forget_typed(&mut self.keyboard);
        }
        if !reaction.text.is_empty() {
            self.terminal.put_question(&reaction.text);
        }
        for number in reaction.seen {
            if let Some(question) = self.open.get(&number) {
                question.seen();
            }
        }
        let Some((number, said)) = reaction.answer else {
            return;
        };
        let Some(question) = self.open.get(&number).cloned() else {
            return;
        };
        let settled = question.settle(self.answer(said));
        let how = match question.answer() {
            Some(answer) if !settled => Settled::Elsewhere(told(&answer)),
            _ => Settled::Here,
        };
        self.over(number, &how);
    }

    fn answer(&self, said: Said) -> Answer {
        let (by, binding) = (self.operator.clone(), ApprovalBinding::Console);
        match said {
            Said::Approve(scope) => Answer::Granted { by, binding, scope },
            Said::Deny { reason } => Answer::Denied {
                by,
                binding,
                reason,
            },
        }
    }

    /// The terminal is gone: nobody can be asked there any more.
    fn close(&mut self) {
        let why = Unreachable(CLOSED.to_owned());
        for message in self.inbox.close(CLOSED) {
            if let Message::Show(question) = message {
                question.gives_up(&why);
            }
        }
        for question in std::mem::take(&mut self.open).values() {
            question.gives_up(&why);
        }
        self.terminal.resume();
    }
}

/// One person sits at a terminal, or nobody.
pub(super) fn too_few(request: &Asking, people: &[Approver]) -> Option<String> {
    if let Some(why) = request.not_for(people) {
        return Some(why);
    }
    let people = request.terms.required.filter(|people| *people > 1)?;
    Some(format!(
        "the rule needs {}, but a terminal has one: use --channel slack",
        count(people, "approver")
    ))
}

/// Approves everything, for unattended local trials (`AGP_AUTO_APPROVE=1`). Loud, and the journal
/// says who approved: nobody.
pub struct AutoApprove {
    terminal: Arc<Terminal>,
}

impl AutoApprove {
    /// Shows each approval it gives.
    #[must_use]
    pub fn new(terminal: Arc<Terminal>) -> Self {
        Self { terminal }
    }
}

impl Channel for AutoApprove {
    fn name(&self) -> &'static str {
        "console"
    }

    fn hang_up(&self) {}

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        let request = question.asking();
        if let Some(why) = too_few(request, &[]) {
            return Err(Unreachable(why));
        }
        self.terminal.tell(&format!(
            "WARNING: AGP_AUTO_APPROVE=1: approved {} ({}) automatically",
            escape::line_max(&request.call.tool, 100),
            escape::line(request.verdict.rule_id.as_deref().unwrap_or("no rule")),
        ));
        question.seen();
        question.settle(Answer::Granted {
            by: "AGP_AUTO_APPROVE".into(),
            binding: ApprovalBinding::Console,
            scope: Scope::Once,
        });
        Ok(())
    }

    fn over(&self, _: &Question, _: &Answer) {}
}

#[cfg(test)]
mod tests;
