//! The thread `preview`, which reads a file of the repository for whoever is asked about a call that changes it. It
//! may do nothing else.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use serde_json::{Map, Value};

use crate::confine::{self, Place, Places, Profile};
use crate::contracts::ids::Sha256;
use crate::contracts::{bounded_file, limits};
use crate::journal::redact::{Screen, redact_tokens};
use crate::view::before::{Before, Preview};

/// A file that somebody waits for, and where it goes.
struct Ask {
    /// From the repository's root.
    path: String,
    deadline: Instant,
    reply: SyncSender<Before>,
}

/// A way to the thread, which ends when it is dropped. Any number of calls may ask at a time.
pub(crate) struct PreviewThread {
    ask: SyncSender<Ask>,
    /// The repository as the session's tools see it.
    repository: String,
}

impl PreviewThread {
    /// Starts the thread for the repository at `root`, which the session's tools see as `repository`.
    ///
    /// # Errors
    /// When the repository cannot be opened, there is no thread, or it cannot be confined.
    pub(crate) fn start(root: &Path, repository: String, screen: Arc<Screen>) -> io::Result<Self> {
        let directory = open_root(root)?;
        let (ask, asked_for) = sync_channel::<Ask>(limits::CALLS_IN_FLIGHT);
        let places = Places::none().with(Place::Repository, root);
        confine::start(Profile::Preview, places, move || {
            while let Ok(Ask {
                path,
                deadline,
                reply,
            }) = asked_for.recv()
            {
                // Nobody waits any more for one that waited behind a file system that hung.
                if Instant::now() < deadline {
                    let _ = reply.try_send(read(&directory, &path, &screen));
                }
            }
        })?;
        Ok(Self { ask, repository })
    }
}

impl Preview for PreviewThread {
    fn before(&self, path: &str) -> Before {
        let below = path.strip_prefix(&self.repository);
        let Some(below) = below.and_then(|path| path.strip_prefix('/')) else {
            return Before::hidden("it is outside the repository");
        };
        let (reply, answer) = sync_channel(1);
        let ask = Ask {
            path: below.to_owned(),
            deadline: Instant::now() + limits::PREVIEW_PATIENCE,
            reply,
        };
        let sent = self.ask.try_send(ask).is_ok();
        let answer = sent.then(|| answer.recv_timeout(limits::PREVIEW_PATIENCE));
        match answer {
            Some(Ok(before)) => before,
            _ => Before::hidden("it could not be read in time"),
        }
    }
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}

/// Reads a file below a directory: a regular one, with no link on the way, and without ever waiting for another end.
fn read(directory: &OwnedFd, path: &str, screen: &Screen) -> Before {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = match openat2(directory, path, flags, Mode::empty(), beneath) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Before::Nothing,
        Err(error) => {
            return Before::hidden(match error {
                Errno::LOOP => "a link is on the way to it",
                Errno::XDEV => "it is outside the repository",
                Errno::ACCESS | Errno::PERM => "agp may not read it",
                Errno::NXIO | Errno::NODEV => NO_FILE,
                _ => "it cannot be opened",
            });
        }
    };
    match read_text(file) {
        Ok(bytes) => screened(bytes, screen),
        Err(why) => Before::hidden(why),
    }
}

const NO_FILE: &str = "it is not a regular file";

/// The bytes of a file, or why it has none to show.
fn read_text(file: File) -> Result<Vec<u8>, &'static str> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata().map_err(|_| "it cannot be read")?;
    if !about.is_file() {
        return Err(NO_FILE);
    }
    // Another name of it may be one that is kept from the agent.
    if about.nlink() > 1 {
        return Err("it has other names (hard links)");
    }
    bounded_file::read_from(file, limits::PREVIEW_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => "it is longer than 1 MiB",
        _ => "it cannot be read",
    })
}

/// A text, unless something stands in it that is not for the record.
fn screened(bytes: Vec<u8>, screen: &Screen) -> Before {
    let sha256 = Sha256::of(&bytes);
    let hidden = |why: &str| Before::Hidden {
        why: why.to_owned(),
        sha256: Some(sha256),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return hidden("it is not UTF-8 text");
    };
    let mut payload = Map::from_iter([("text".to_owned(), Value::from(text))]);
    if let Some(secret) = screen.secret_in(&payload) {
        return hidden(&format!("it contains the value of secret {secret}"));
    }
    let before = payload.clone();
    redact_tokens(&mut payload);
    if payload != before {
        return hidden("it contains what looks like a token");
    }
    match payload.remove("text") {
        Some(Value::String(text)) => Before::Text { text, sha256 },
        _ => hidden("it cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::contracts::secret::Secret;

    struct Repository(PathBuf);

    impl Repository {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("agp-preview-{}-{number}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir_all(directory.join("repo/src")).unwrap();
            Self(directory.join("repo"))
        }

        fn put(&self, path: &str, content: impl AsRef<[u8]>) {
            fs::write(self.0.join(path), content).unwrap();
        }

        fn read(&self, path: &str) -> Before {
            let secret = Secret::new("AGP_SECRET_KEY", "p4ssw0rd-of-16ch");
            let screen = Screen::new(&[secret]);
            read(&open_root(&self.0).unwrap(), path, &screen)
        }

        fn why(&self, path: &str) -> String {
            match self.read(path) {
                Before::Hidden { why, .. } => why,
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    impl Drop for Repository {
        fn drop(&mut self) {
            fs::remove_dir_all(self.0.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_text_below_the_repository_is_read_whole() {
        let repo = Repository::new();
        let most = vec![b'a'; usize::try_from(limits::PREVIEW_BYTES).unwrap()];
        for (path, content) in [
            ("src/a", &b"a\r\n\0\x1b[2Jb"[..]),
            ("empty", b""),
            ("most", &most),
        ] {
            repo.put(path, content);
            let expected = Before::Text {
                text: String::from_utf8(content.to_vec()).unwrap(),
                sha256: Sha256::of(content),
            };
            assert!(repo.read(path) == expected, "{path}");
        }
        assert_eq!(repo.read("none"), Before::Nothing);
        assert_eq!(repo.read("none/none"), Before::Nothing);
    }

    #[test]
    fn nothing_else_is_read_and_nothing_is_waited_for() {
        let repo = Repository::new();
        repo.put("src/a", "a");
        repo.put("../outside", "secret");
        repo.put(
            "most",
            vec![b'a'; 1 + usize::try_from(limits::PREVIEW_BYTES).unwrap()],
        );
        repo.put("latin", b"\xe9");
        let large = File::create(repo.0.join("large")).unwrap();
        large.set_len(2 << 30).unwrap();
        let at = |path: &str| repo.0.join(path);
        symlink("src/a", at("link")).unwrap();
        symlink("src", at("directory")).unwrap();
        symlink("/etc/hostname", at("away")).unwrap();
        fs::hard_link(at("../outside"), at("other")).unwrap();
        let made = Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (path, why) in [
            ("link", "a link is on the way to it"),
            ("directory/a", "a link is on the way to it"),
            ("away", "a link is on the way to it"),
            ("../outside", "it is outside the repository"),
            ("src/../../outside", "it is outside the repository"),
            ("/etc/hostname", "it is outside the repository"),
            ("other", "it has other names (hard links)"),
            ("fifo", NO_FILE),
            ("socket", NO_FILE),
            ("src", NO_FILE),
            ("src/a/b", "it cannot be opened"),
            ("most", "it is longer than 1 MiB"),
            ("large", "it is longer than 1 MiB"),
            ("latin", "it is not UTF-8 text"),
            ("a\0b", "it cannot be opened"),
        ] {
            assert_eq!(repo.why(path), why, "{path:?}");
        }
    }

    #[test]
    fn what_is_not_for_the_record_is_not_shown() {
        let repo = Repository::new();
        repo.put("key", "x = p4ssw0rd-of-16ch\n");
        repo.put("token", "ghp_0123456789abcdefghijABCDEFGHIJ012345\n");
        let known = "it contains the value of secret AGP_SECRET_KEY";
        assert_eq!(repo.why("key"), known);
        assert_eq!(repo.why("token"), "it contains what looks like a token");
        // Whether it changes is seen all the same.
        assert!(repo.read("key").sha256().is_some());
    }

    #[test]
    fn a_link_that_comes_and_goes_never_leads_out() {
        use std::sync::atomic::AtomicBool;
        let repo = Repository::new();
        repo.put("../outside", "secret");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = fs::remove_file(repo.0.join("a"));
                    repo.put("a", "mine");
                    let _ = fs::remove_file(repo.0.join("a"));
                    let _ = symlink("../outside", repo.0.join("a"));
                }
            });
            let mut linked = 0;
            for _ in 0..2000 {
                match repo.read("a") {
                    Before::Text { text, .. } => assert!(text == "mine" || text.is_empty()),
                    Before::Hidden { .. } => linked += 1,
                    Before::Nothing => {}
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(linked > 0);
        });
    }
}
