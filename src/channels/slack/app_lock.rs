//! Which session of a home holds the connection to Slack. Slack hands each click to any one connection of the
//! app, and an app has ten at most: so one session dials, and the others stand by.
//!
//! The lock is a file beside the leases, named by the app-level token: whoever has it locked dials. It goes with
//! its process. The file says which app the token is of, once a connection has proved it: whoever starts to stand
//! by needs none.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::contracts::ids::Sha256;
use crate::contracts::{limits, strict_json};

use super::config::Settings;
use super::envelope::is_short;

/// How often a start looks whether the session that dials has proved the app.
const LOOK: Duration = Duration::from_millis(50);
/// Characters of the digest in the file's name.
const DIGEST_CHARS: usize = 16;

/// What a connection has proved of the app-level token, which is of one app for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proved {
    /// The app.
    pub(super) app: String,
    /// The port that its socket was found on.
    pub(super) port: Option<u16>,
}

/// What a start comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This session dials.
    Holds,
    /// Another one has the connection.
    StandsBy(Proved),
    /// Another one has the lock, and has proved nothing yet.
    Unproved,
}

/// The file. Dropping it releases the lock.
pub(super) struct AppLock(File);

impl AppLock {
    /// Opens it in the directory of the home's leases.
    ///
    /// # Errors
    /// What the file system gives.
    pub(super) fn open(directory: &Path, settings: &Settings) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let [_, (_, token)] = settings.secrets();
        let whose = Sha256::of(format!("{}\n{token}", settings.api()).as_bytes()).to_hex();
        let digest = whose.get(..DIGEST_CHARS).unwrap_or_default();
        let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(no_follow)
            .open(directory.join(format!("slack-{digest}.lock")))?;
        Ok(Self(file))
    }

    /// Takes the lock where nobody has it.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(super) fn try_hold(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, or waits a little until the one who has it has proved the app.
    ///
    /// # Errors
    /// What the kernel gives.
    pub(super) fn stand(&mut self) -> io::Result<Standing> {
        // One call of the Web API and the opening of one socket, and once more.
        let until = Instant::now() + limits::SLACK_PATIENCE * 4;
        loop {
            if self.try_hold()? {
                return Ok(Standing::Holds);
            }
            if let Some(proved) = self.proved() {
                return Ok(Standing::StandsBy(proved));
            }
            if Instant::now() >= until {
                return Ok(Standing::Unproved);
            }
            thread::sleep(LOOK);
        }
    }

    /// What was proved, if anything was.
    pub(super) fn proved(&mut self) -> Option<Proved> {
        let mut text = Vec::new();
        self.0.rewind().ok()?;
        let bounded = (&self.0).take(limits::SMALL_FILE_BYTES);
        { bounded }.read_to_end(&mut text).ok()?;
        let proved: Proved = strict_json::parse(&text).ok()?;
        is_short(&proved.app).then_some(proved)
    }

    /// Says what a connection has proved. Whoever reads half of it waits for the rest.
    ///
    /// # Errors
    /// What the file system gives.
    pub(super) fn prove(&mut self, proved: &Proved) -> io::Result<()> {
        if self.proved().as_ref() == Some(proved) {
            return Ok(());
        }
        let text = serde_json::to_vec(proved)?;
        self.0.set_len(0)?;
        self.0.rewind()?;
        self.0.write_all(&text)
    }

    /// Lets another session have it.
    pub(super) fn release(&self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::slack::UncheckedConfig;

    fn settings(token: &str) -> Settings {
        Settings::checked(UncheckedConfig {
            bot_token: Some("xoxb-1".into()),
            app_token: Some(token.into()),
            channel: Some("C1".into()),
            approvers: vec!["U1".into()],
            required: None,
            api: None,
            mention: None,
        })
        .unwrap()
    }

    #[test]
    fn one_holds_the_others_stand_by_and_the_next_takes_over() {
        let directory = std::env::temp_dir().join(format!("agp-app-lock-{}", std::process::id()));
        let open = |token: &str| AppLock::open(&directory, &settings(token)).unwrap();
        let mut first = open("xapp-1");
        assert_eq!(first.stand().unwrap(), Standing::Holds);
        let proved = Proved {
            app: "A1".into(),
            port: Some(443),
        };
        // What was there before is replaced whole.
        for app in ["A012345678901234567890", "A1"] {
            let app = app.to_owned();
            first.prove(&Proved { app, ..proved }).unwrap();
        }
        let mut second = open("xapp-1");
        assert_eq!(second.stand().unwrap(), Standing::StandsBy(proved.clone()));
        assert!(!second.try_hold().unwrap());
        // Another token is another connection.
        assert_eq!(open("xapp-2").stand().unwrap(), Standing::Holds);
        first.release();
        assert!(second.try_hold().unwrap());
        drop(second);
        assert_eq!(open("xapp-1").stand().unwrap(), Standing::Holds);
        assert_eq!(first.proved(), Some(proved));
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_half_written_proves_nothing() {
        let directory = std::env::temp_dir().join(format!("agp-app-half-{}", std::process::id()));
        let mut lock = AppLock::open(&directory, &settings("xapp-1")).unwrap();
        let path = std::fs::read_dir(&directory)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        for text in [
            "",
            "{",
            r#"{"app":"A1"#,
            r#"{"app":"","port":1}"#,
            r#"{"app":"A\n","port":null}"#,
            r#"{"app":"A1","port":1,"more":1}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(lock.proved(), None, "{text}");
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
