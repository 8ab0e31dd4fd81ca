//! `outbox.json`: what must still be said in Slack after a crash. Messages that have buttons, so
//! that they can be marked as over, and messages on their way.
//!
//! One file for all sessions of a home, replaced whole under a lock beside it. Only a thread of its
//! own touches it while a session runs: the one that posts asks that thread, and has the network; no
//! decision waits for either.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use serde::{Deserialize, Serialize};

use crate::confine::{self, Place, Places, Profile};
use crate::contracts::{bounded_file, limits, strict_json};

/// One thing to be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OutboxEntry {
    /// Its own, for good.
    pub id: String,
    /// Whose it is.
    pub session: String,
    /// Where.
    pub channel: String,
    /// The message that still has buttons; without it the text is a message to be posted.
    pub ts: Option<String>,
    /// The thread it belongs to.
    pub thread: Option<String>,
    /// What is to be posted; agp's own words, and foreign ones made harmless.
    pub text: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Contents {
    entries: Vec<OutboxEntry>,
}

/// The file.
pub struct Outbox {
    path: PathBuf,
}

impl Outbox {
    /// At this place; it need not be there yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Keeps an entry, durable when this returns.
    ///
    /// # Errors
    /// When the file cannot be read or replaced, or is full.
    pub fn put(&self, entry: OutboxEntry) -> io::Result<()> {
        self.change(|entries| {
            if entries.len() >= limits::OUTBOX_ENTRIES {
                return Err(io::Error::other("the outbox is full"));
            }
            entries.push(entry);
            Ok(())
        })
    }

    /// Forgets an entry.
    ///
    /// # Errors
    /// When the file cannot be read or replaced.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        self.change(|entries| {
            entries.retain(|entry| entry.id != id);
            Ok(())
        })
    }

    /// What sessions left behind that are not live any more. It stays there until it is removed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn left_behind(&self, is_live: &dyn Fn(&str) -> bool) -> io::Result<Vec<OutboxEntry>> {
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        entries.retain(|entry| !is_live(&entry.session));
        Ok(entries)
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Vec<OutboxEntry>) -> io::Result<()>,
    ) -> io::Result<()> {
        let _lock = self.lock()?;
        let mut entries = self.read()?;
        change(&mut entries)?;
        let text = written(entries)?;
        let unnamed = self.path.with_extension("json.new");
        let mut file = private().truncate(true).open(&unnamed)?;
        file.write_all(&text)?;
        file.sync_data()?;
        std::fs::rename(&unnamed, &self.path)?;
        self.path
            .parent()
            .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    fn read(&self) -> io::Result<Vec<OutboxEntry>> {
        match bounded_file::read(&self.path, limits::OUTBOX_BYTES) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> io::Result<File> {
        let path = self.path.with_extension("json.lock");
        let file = private().open(&path)?;
        file.lock()?;
        Ok(file)
    }
}

/// The entries that a file's text holds.
pub(super) fn read(text: &[u8]) -> io::Result<Vec<OutboxEntry>> {
    strict_json::parse::<Contents>(text)
        .map(|contents| contents.entries)
        .map_err(io::Error::other)
}

/// The text that holds these entries.
pub(super) fn written(entries: Vec<OutboxEntry>) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(&Contents { entries })?;
    // What is longer could not be read again.
    if text.len() as u64 > limits::OUTBOX_BYTES {
        return Err(io::Error::other("the outbox is full"));
    }
    Ok(text)
}

/// What the outbox's thread is asked to do, and where its answer goes.
enum Errand {
    Put(OutboxEntry, SyncSender<io::Result<()>>),
    Remove(String, SyncSender<io::Result<()>>),
}

/// A way to the thread `slack-outbox`, which ends with it.
pub(super) struct Keeper(SyncSender<Errand>);

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(outbox: Outbox) -> io::Result<Self> {
        // One asks, and waits for the answer.
        let (errands, waiting) = sync_channel(0);
        let directory = outbox.path.parent().unwrap_or(Path::new("."));
        let places = Places::none().with(Place::Outbox, directory);
        confine::start(Profile::SlackOutbox, places, move || {
            while let Ok(errand) = waiting.recv() {
                // Whoever asked may be gone.
                let _ = match errand {
                    Errand::Put(entry, reply) => reply.send(outbox.put(entry)),
                    Errand::Remove(id, reply) => reply.send(outbox.remove(&id)),
                };
            }
        })?;
        Ok(Self(errands))
    }

    /// As [`Outbox::put`].
    pub(super) fn put(&self, entry: OutboxEntry) -> io::Result<()> {
        self.ask(|reply| Errand::Put(entry, reply))
    }

    /// As [`Outbox::remove`].
    pub(super) fn remove(&self, id: &str) -> io::Result<()> {
        self.ask(|reply| Errand::Remove(id.to_owned(), reply))
    }

    fn ask(&self, errand: impl FnOnce(SyncSender<io::Result<()>>) -> Errand) -> io::Result<()> {
        let gone = || io::Error::other("the outbox thread is gone");
        let (reply, answer) = sync_channel(1);
        self.0.send(errand(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_never_grows_past_what_is_read_again() {
        let directory = std::env::temp_dir().join(format!("agp-outbox-f-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let outbox = Outbox::at(directory.join("outbox.json"));
        let entry = |id: String, bytes: usize| OutboxEntry {
            id,
            session: "s-1".into(),
            channel: "C1".into(),
            ts: None,
            thread: None,
            text: Some("x".repeat(bytes)),
        };
        let large = usize::try_from(limits::OUTBOX_BYTES).unwrap() / 3;
        outbox.put(entry("a".into(), large)).unwrap();
        outbox.put(entry("b".into(), large)).unwrap();
        assert!(outbox.put(entry("c".into(), large)).is_err());
        // What was there before is there still, and there is room for what fits.
        outbox.put(entry("d".into(), 10)).unwrap();
        let kept = outbox.left_behind(&|_| false).unwrap();
        let ids: Vec<&str> = kept.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "d"]);
        outbox.remove("a").unwrap();
        outbox.put(entry("c".into(), large)).unwrap();

        let many = (0..limits::OUTBOX_ENTRIES).map(|number| entry(number.to_string(), 1));
        let text = written(many.collect()).unwrap();
        std::fs::write(directory.join("outbox.json"), text).unwrap();
        assert!(outbox.put(entry("one more".into(), 1)).is_err());
        // One that is too long as it stands, by whoever's hand, is read by nobody.
        let blanks = " ".repeat(usize::try_from(limits::OUTBOX_BYTES).unwrap());
        let long = format!(r#"{{"entries":[]}}{blanks}"#);
        std::fs::write(directory.join("outbox.json"), long).unwrap();
        assert!(outbox.left_behind(&|_| false).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_put_stays_until_it_is_removed_and_live_sessions_keep_theirs() {
        let directory = std::env::temp_dir().join(format!("agp-outbox-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let outbox = Outbox::at(directory.join("outbox.json"));
        let entry = |id: &str, session: &str| OutboxEntry {
            id: id.into(),
            session: session.into(),
            channel: "C1".into(),
            ts: Some("1.2".into()),
            thread: None,
            text: None,
        };
        outbox.put(entry("a", "s-1")).unwrap();
        outbox.put(entry("b", "s-2")).unwrap();
        let again = Outbox::at(directory.join("outbox.json"));
        assert_eq!(
            again.left_behind(&|session| session == "s-2").unwrap(),
            [entry("a", "s-1")]
        );
        again.remove("a").unwrap();
        assert_eq!(again.left_behind(&|_| false).unwrap(), [entry("b", "s-2")]);
        std::fs::write(directory.join("outbox.json"), "{").unwrap();
        assert!(again.put(entry("c", "s")).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
