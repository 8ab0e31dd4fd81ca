//! The thread `paths`, which looks at the file system for calls that are decided: it may list below the repository, the
//! home and the temporary directory, and open scripts and git's configuration; nothing else.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use super::files::{Grounds, Looking, Looks};
use crate::confine::{self, Place, Places, Profile};
use crate::contracts::limits;
use crate::reading;
use crate::reading::disk::{Disk, Git, Inodes, Resolved};

/// A question, with when it is to be answered, and where the answer goes.
struct Ask {
    question: Question,
    deadline: Instant,
    looks: Looks,
    reply: SyncSender<Answer>,
}

enum Question {
    Resolve(String),
    Names(String),
    Below(String, bool),
    Linked(String, bool),
    Inodes(String),
    Script(String),
    Git(String),
    Ignored(String),
}

enum Answer {
    Resolved(Option<Resolved>),
    Names(Option<Vec<String>>),
    Inodes(Option<Inodes>),
    Script(Option<String>),
    Git(Option<Box<Git>>),
    Ignored(Option<bool>),
}

/// A way to the thread. Any number of calls may ask at a time.
#[derive(Debug, Clone)]
pub struct PathsThread(SyncSender<Ask>);

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

impl PathsThread {
    /// Starts the thread. It ends when every way to it is dropped.
    ///
    /// # Errors
    /// When there is no thread, or it cannot be confined.
    pub fn start(grounds: Grounds) -> io::Result<Self> {
        // A question for which there is no room is not answered: the file system hangs.
        let (ask, questions) = sync_channel::<Ask>(limits::CALLS_IN_FLIGHT);
        confine::start(Profile::Paths, places(&grounds), move || {
            // While the session starts, so that its first call does not wait for it.
            reading::warm();
            while let Ok(Ask {
                question,
                deadline,
                looks,
                reply,
            }) = questions.recv()
            {
                let looking = Looking::within(&grounds, deadline, looks);
                // Whoever asked may have gone on.
                let _ = reply.try_send(answer(&looking, question));
            }
        })?;
        Ok(Self(ask))
    }

    /// For one call, with its own budget ([`limits::DISK_LOOKS`], [`limits::DISK_PATIENCE`]).
    #[must_use]
    pub fn looking(&self) -> ThreadLooking {
        // The thread reads it first of all: a slow machine's time for that is no file system's.
        reading::warm();
        ThreadLooking {
            ask: self.0.clone(),
            deadline: Instant::now() + limits::DISK_PATIENCE,
            looks: Looks::of_a_call(),
        }
    }
}

/// What the thread may reach; what is not there is left out.
fn places(grounds: &Grounds) -> Places {
    let mut places = Places::none();
    for (place, path) in [
        (Place::Repository, &grounds.repository),
        (Place::Home, &grounds.home),
        (Place::Temporary, &grounds.temporary),
    ] {
        let outside = grounds.outside(path).filter(|path| path.is_dir());
        if let Some(path) = outside {
            places = places.with(place, path);
        }
    }
    for file in grounds.git_files() {
        places = places.with(Place::GitConfiguration, file);
    }
    places
}

fn answer(looking: &Looking<'_>, question: Question) -> Answer {
    match question {
        Question::Resolve(path) => Answer::Resolved(looking.resolve(&path)),
        Question::Names(directory) => Answer::Names(looking.names(&directory)),
        Question::Below(directory, leave) => Answer::Names(looking.below(&directory, leave)),
        Question::Linked(directory, leave) => Answer::Names(looking.linked(&directory, leave)),
        Question::Inodes(directory) => Answer::Inodes(looking.inodes(&directory)),
        Question::Script(path) => Answer::Script(looking.script(&path)),
        Question::Git(directory) => Answer::Git(looking.git(&directory).map(Box::new)),
        Question::Ignored(path) => Answer::Ignored(looking.ignored(&path)),
    }
}

/// Asks the thread until its budget is spent; from then on nothing is known.
#[derive(Debug)]
pub struct ThreadLooking {
    ask: SyncSender<Ask>,
    deadline: Instant,
    looks: Looks,
}

impl ThreadLooking {
    fn answer(&self, question: Question) -> Option<Answer> {
        let (reply, answer) = sync_channel(1);
        let left = self.deadline.checked_duration_since(Instant::now())?;
        let ask = Ask {
            question,
            deadline: self.deadline,
            looks: self.looks.clone(),
            reply,
        };
        self.ask.try_send(ask).ok()?;
        answer.recv_timeout(left).ok()
    }
}

impl Disk for ThreadLooking {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        match self.answer(Question::Resolve(path.to_owned()))? {
            Answer::Resolved(found) => found,
            _ => None,
        }
    }

    fn names(&self, directory: &str) -> Option<Vec<String>> {
        match self.answer(Question::Names(directory.to_owned()))? {
            Answer::Names(found) => found,
            _ => None,
        }
    }

    fn below(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        match self.answer(Question::Below(directory.to_owned(), leave_out_ignored))? {
            Answer::Names(found) => found,
            _ => None,
        }
    }

    fn linked(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        match self.answer(Question::Linked(directory.to_owned(), leave_out_ignored))? {
            Answer::Names(found) => found,
            _ => None,
        }
    }

    fn inodes(&self, directory: &str) -> Option<Inodes> {
        match self.answer(Question::Inodes(directory.to_owned()))? {
            Answer::Inodes(found) => found,
            _ => None,
        }
    }

    fn script(&self, path: &str) -> Option<String> {
        match self.answer(Question::Script(path.to_owned()))? {
            Answer::Script(found) => found,
            _ => None,
        }
    }

    fn git(&self, directory: &str) -> Option<Git> {
        match self.answer(Question::Git(directory.to_owned()))? {
            Answer::Git(found) => found.map(|git| *git),
            _ => None,
        }
    }

    fn ignored(&self, path: &str) -> Option<bool> {
        match self.answer(Question::Ignored(path.to_owned()))? {
            Answer::Ignored(found) => found,
            _ => None,
        }
    }

    fn spent(&self) -> bool {
        self.looks.spent() || Instant::now() >= self.deadline
    }
}
