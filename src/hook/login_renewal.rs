//! Carries Claude Code's login into a session, and sees to it that it is renewed: a process of its own beside
//! agp, which itself reads no login.
//!
//! What a session gets is the access token alone, in a directory that it cannot change. It cannot renew
//! that, so no renewal has to come back. Where the login nears its end, Claude Code's own program
//! renews it where the operator has it, under its own locks (`claude auth status`): for all sessions, and
//! for whatever else of the operator's uses it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::setsid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::contracts::{bounded_file, limits, strict_json};
use crate::jail::login_landlock::{self, LoginAccess};

/// What is carried, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RenewalConfig {
    /// Where the operator has the login.
    pub store: PathBuf,
    /// Claude Code's own file of state there, which may hold a key instead.
    pub state: PathBuf,
    /// Where the session sees it: a directory of the session's own.
    pub shown: PathBuf,
    /// The session's own configuration directory.
    pub configuration: PathBuf,
    /// A directory for the renewal's own configuration.
    pub scratch: PathBuf,
    /// Claude Code.
    pub program: PathBuf,
    /// What of this machine it needs besides: its package, certificates.
    pub read: Vec<PathBuf>,
}

/// The file of a login, in its directory.
pub const FILE: &str = ".credentials.json";
/// What is said once the login is where the session sees it.
pub const READY: &[u8] = b"ready\n";
/// The variable that moves Claude Code's configuration.
pub const CONFIGURATION: &str = "CLAUDE_CONFIG_DIR";
/// The variable that moves its login, and the locks of that, alone.
pub const STORE: &str = "CLAUDE_SECURESTORAGE_CONFIG_DIR";

/// Carries the login until standard input ends; gives the exit code.
#[must_use]
pub fn run(order: &str) -> u8 {
    let done = strict_json::parse::<RenewalConfig>(order.as_bytes())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
        .and_then(carry);
    match done {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "agp: cannot renew the login: {error}");
            1
        }
    }
}

fn carry(order: RenewalConfig) -> io::Result<()> {
    // A Ctrl-C is agp's: a renewal that is cut off half-way would lose the login.
    let _ = setsid();
    restrict(&order)?;
    let mut carrier = Carrier::new(order);
    carrier.look()?;
    carrier.renew_if_due(now());
    carrier.await_renewal()?;
    carrier.carry_key()?;
    let mut out = io::stdout();
    out.write_all(READY).and_then(|()| out.flush())?;
    let stdin = io::stdin();
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: limits::LOGIN_LOOK.subsec_nanos().into(),
    };
    loop {
        let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut polled, Some(&tick)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // agp writes nothing: it is gone, or done.
            Ok(_) => break,
            Err(error) => return Err(error.into()),
        }
        carrier.tick()?;
    }
    // The session's directory may be gone: only that it is not cut off matters.
    let _ = carrier.await_renewal();
    Ok(())
}

/// Keeps to what a renewal needs: nothing of agp's, and of the operator's only the login.
fn restrict(order: &RenewalConfig) -> io::Result<()> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let store = real(&order.store);
    let mut read = order.read.clone();
    // It may be a link to where the operator keeps it.
    read.extend([real(&store.join(FILE)), real(&order.state)]);
    login_landlock::restrict(&LoginAccess {
        read,
        locks: store.parent().unwrap_or(&store).to_owned(),
        change: vec![
            store,
            order.shown.clone(),
            order.configuration.clone(),
            order.scratch.clone(),
        ],
    })
}

/// Which file, and which state of it.
type Stamp = (u64, u64, u64, i64, i64);

struct Carrier {
    order: RenewalConfig,
    stamp: Option<Stamp>,
    /// When the login ends, where it can be renewed.
    ends: Option<u64>,
    carried: bool,
    renewing: Option<Child>,
    tried: Option<Instant>,
}

impl Carrier {
    fn new(order: RenewalConfig) -> Self {
        Self {
            order,
            stamp: None,
            ends: None,
            carried: false,
            renewing: None,
            tried: None,
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        if let Some(child) = &mut self.renewing
            && child.try_wait()?.is_some()
        {
            self.renewing = None;
        }
        self.look()?;
        self.renew_if_due(now());
        Ok(())
    }

    /// Takes up what stands in the operator's file, where that has changed.
    fn look(&mut self) -> io::Result<()> {
        let path = self.order.store.join(FILE);
        let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
        let stamp = meta.map(|meta| {
            let size = meta.size();
            (
                meta.dev(),
                meta.ino(),
                size,
                meta.mtime(),
                meta.mtime_nsec(),
            )
        });
        if stamp == self.stamp {
            return Ok(());
        }
        self.stamp = stamp;
        let text = bounded_file::read(&path, limits::LOGIN_BYTES).unwrap_or_default();
        // One that is half written is looked at again; one that is gone leaves the session what it has.
        let Some(login) = Login::read(&text) else {
            return Ok(());
        };
        self.ends = login.renewable.then_some(login.ends);
        replace(&self.order.shown, &login.shown)?;
        self.carried = true;
        Ok(())
    }

    fn renew_if_due(&mut self, now: u64) {
        let again = |tried: Instant| tried.elapsed() >= limits::LOGIN_AGAIN;
        let waits = self.renewing.is_some() || !self.tried.is_none_or(again);
        if waits || !is_due(self.ends, now) {
            return;
        }
        self.tried = Some(Instant::now());
        self.renewing = self.renewal().spawn().ok();
    }

    /// Claude Code, which renews its login before it says whose it is.
    fn renewal(&self) -> Command {
        let scratch = &self.order.scratch;
        let mut command = Command::new(&self.order.program);
        command
            .args(["auth", "status"])
            .current_dir(scratch)
            .env(CONFIGURATION, scratch)
            .env(STORE, &self.order.store)
            .env("TMPDIR", scratch)
            .env("CLAUDE_CODE_TMPDIR", scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Waits for a renewal that is under way, and takes up what came of it.
    fn await_renewal(&mut self) -> io::Result<()> {
        let until = Instant::now() + limits::LOGIN_PATIENCE;
        while let Some(child) = &mut self.renewing {
            if child.try_wait()?.is_some() {
                self.renewing = None;
            } else if Instant::now() >= until {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.look()
    }

    /// A key in the place of a login: what `claude auth login --console` leaves. It is not renewed.
    fn carry_key(&self) -> io::Result<()> {
        if self.carried {
            return Ok(());
        }
        let read = bounded_file::read(&self.order.state, limits::LOGIN_STATE_BYTES);
        let Some(key) = read.ok().and_then(|text| key_in(&text)) else {
            return Ok(());
        };
        let text = json!({"primaryApiKey": key}).to_string();
        put(&self.order.configuration.join(".claude.json"), &text)
    }
}

/// Whether a login that ends then is to be renewed now; both in milliseconds of the clock.
fn is_due(ends: Option<u64>, now: u64) -> bool {
    let left = u64::try_from(limits::LOGIN_LEFT.as_millis()).unwrap_or(u64::MAX);
    ends.is_some_and(|ends| ends < now.saturating_add(left))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// A login, as far as a session is to have it.
#[derive(Debug, PartialEq, Eq)]
struct Login {
    shown: String,
    ends: u64,
    renewable: bool,
}

impl Login {
    /// What a session is to have of a login's file: who pays, until when, and nothing that renews it. None of
    /// what is no login.
    fn read(text: &[u8]) -> Option<Self> {
        let all: Map<String, Value> = strict_json::parse(text).ok()?;
        let login = all.get("claudeAiOauth")?.as_object()?;
        let filled = |name: &str| {
            let text = login.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let token = filled("accessToken")?;
        let ends = login.get("expiresAt").and_then(Value::as_u64);
        let scopes = login.get("scopes").and_then(Value::as_array);
        let words = |scopes: &&Vec<Value>| scopes.iter().all(Value::is_string);
        let without_refresh = json!({"claudeAiOauth": {
            "accessToken": token,
            "expiresAt": ends,
            "scopes": scopes.filter(words)?,
            "subscriptionType": filled("subscriptionType"),
            "rateLimitTier": filled("rateLimitTier"),
        }});
        Some(Self {
            shown: without_refresh.to_string(),
            ends: ends.unwrap_or(u64::MAX),
            renewable: filled("refreshToken").is_some(),
        })
    }
}

fn key_in(state: &[u8]) -> Option<String> {
    let all: Map<String, Value> = strict_json::parse(state).ok()?;
    let key = all.get("primaryApiKey").and_then(Value::as_str);
    key.filter(|key| !key.is_empty()).map(str::to_owned)
}

/// Puts the login where the session sees it, whole at every moment.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.join("new");
    let _ = fs::remove_file(&new);
    put(&new, text)?;
    fs::rename(new, path.join(FILE))
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(login: &Value) -> Vec<u8> {
        json!({"claudeAiOauth": login, "mcpOAuth": {"x": {"accessToken": "theirs"}}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_session_gets_the_access_token_and_nothing_that_renews_it() {
        let login = json!({
            "accessToken": "a", "refreshToken": "r", "expiresAt": 5, "scopes": ["s"],
            "subscriptionType": "max", "unheardOf": "secret",
        });
        let read = Login::read(&file(&login)).unwrap();
        assert_eq!((read.ends, read.renewable), (5, true));
        let login: Value = serde_json::from_str(&read.shown).unwrap();
        let expected = json!({"claudeAiOauth": {
            "accessToken": "a", "expiresAt": 5, "scopes": ["s"],
            "subscriptionType": "max", "rateLimitTier": null,
        }});
        assert_eq!(login, expected);
    }

    #[test]
    fn what_is_no_login_is_not_carried() {
        for text in [
            &b""[..],
            b"{",
            b"{}",
            b"[]",
            b"{\"claudeAiOauth\": null}",
            b"{\"claudeAiOauth\": {}, \"claudeAiOauth\": {\"accessToken\": \"a\", \"scopes\": []}}",
        ] {
            assert_eq!(Login::read(text), None);
        }
        for login in [
            json!({"accessToken": "", "scopes": []}),
            json!({"accessToken": 1, "scopes": []}),
            json!({"accessToken": "a", "scopes": [1]}),
            json!({"accessToken": "a"}),
        ] {
            assert_eq!(Login::read(&file(&login)), None, "{login}");
        }
    }

    #[test]
    fn a_login_is_renewed_when_claude_code_would_and_only_one_that_can_be() {
        let left = u64::try_from(limits::LOGIN_LEFT.as_millis()).unwrap();
        assert!(is_due(Some(1000 + left - 1), 1000));
        assert!(!is_due(Some(1000 + left), 1000));
        assert!(!is_due(None, 1000));
        let only = json!({"accessToken": "a", "expiresAt": 1, "scopes": []});
        assert!(!Login::read(&file(&only)).unwrap().renewable);
    }

    #[test]
    fn a_key_of_the_console_is_found_and_nothing_else_of_the_state() {
        let state = json!({"primaryApiKey": "k", "mcpServers": {"x": {}}}).to_string();
        assert_eq!(key_in(state.as_bytes()), Some("k".into()));
        assert_eq!(key_in(b"{\"primaryApiKey\": \"\"}"), None);
        assert_eq!(key_in(b"{}"), None);
    }
}
