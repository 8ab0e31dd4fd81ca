//! The layers of a session's policy: the machine's, the operator's own, the repository's. Each is read once, at the start.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::home::Home;
use super::policy_file::{self, MANAGED, NAME, REPOSITORY};
use crate::contracts::approver::Groups;
use crate::contracts::ids::Sha256;
use crate::contracts::verdict::Decision;
use crate::contracts::{bounded_file, limits};
use crate::journal::redact::Screen;
use crate::policy::{LayerError, Owner, Policy, PolicyError};
use crate::report::failure::{Failure, complain};

/// What stands for a digest where a repository had no policy.
const NONE: &str = "none";

/// A session's policy.
pub(crate) struct Layers {
    pub(crate) policy: Policy,
    /// Where the operator's own comes from: a file, or the name of one that ships.
    source: String,
    /// Of the repository's policy when a session last began there; `None` where none is remembered.
    before: Option<String>,
}

impl Layers {
    /// The operator's policy `own`, which was read from `shown`, with those over and beside it.
    ///
    /// # Errors
    /// [`Failure`] when one cannot be read, is no policy, or is not whose it should be.
    pub(crate) fn over(
        own: &[u8],
        shown: &Path,
        home: &Home,
        repository: &Path,
    ) -> Result<Self, Failure> {
        let managed = managed(Path::new(MANAGED))?;
        let in_repository = policy_file::of_repository(repository, Some(home));
        let theirs = match &in_repository {
            Some(path) => of_repository(path)?,
            None => None,
        };
        let policy = Policy::layered(managed.as_deref(), own, theirs.as_deref());
        let policy = policy.map_err(|(owner, error)| {
            let (file, mend) = match owner {
                Owner::Managed => (Path::new(MANAGED), "ask whoever administers this machine"),
                Owner::Main => (shown, "fix the file, then run `agp policy check`"),
                Owner::Repository => (
                    in_repository.as_deref().unwrap_or(repository),
                    "fix the file, or remove it",
                ),
            };
            Failure::refused(format!("{}: {error}", file.display()), mend)
        })?;
        let before = fs::read_to_string(home.repository_record(repository)).ok();
        Ok(Self {
            policy,
            source: shown.display().to_string(),
            before: before.map(|before| before.trim_end().to_owned()),
        })
    }

    /// Whether `config.json` has every group that a rule names.
    ///
    /// # Errors
    /// [`Failure`] that names one that it lacks.
    pub(crate) fn know(&self, groups: &Groups) -> Result<(), Failure> {
        let unknown = |(_, group): &(&str, &str)| !groups.0.contains_key(*group);
        match self.policy.groups().find(unknown) {
            None => Ok(()),
            Some((rule, group)) => Err(Failure::refused(
                format!("rule '{rule}' lets @{group} approve, and config.json has no such group"),
                format!("add \"groups\": {{ \"{group}\": [\"U0ALICE\", \"user:alice\"] }} to it"),
            )),
        }
    }

    fn now(&self) -> String {
        let digest = self.policy.digest_of(Owner::Repository);
        digest.map_or_else(|| NONE.to_owned(), |digest| digest.to_hex())
    }

    /// Says what the operator did not write.
    pub(crate) fn announce(&self) {
        if self.policy.digest_of(Owner::Managed).is_some() {
            complain(format_args!("policy: {MANAGED} holds, too"));
        }
        let now = self.now();
        match &self.before {
            Some(before) if *before != now => complain(format_args!(
                "WARNING: the repository's policy {REPOSITORY}/{NAME} changed since the last session: \
                    sha256 {before}, now {now}"
            )),
            _ if now != NONE => complain(format_args!(
                "policy: the repository's {REPOSITORY}/{NAME} holds, too"
            )),
            _ => {}
        }
        if self.policy.unread() == Decision::Allow {
            complain(
                "WARNING: \"unread\": \"allow\": parts of a command that agp cannot read run unasked",
            );
        }
    }

    /// What `session.started` says of them: all rules that hold, where they fit and quote no secret.
    pub(crate) fn describe(&self, screen: &Screen, payload: &mut Map<String, Value>) {
        let text = self.policy.text();
        let whole = Map::from_iter([("policy".to_owned(), text)]);
        let short = Value::Object(whole.clone()).to_string().len() <= limits::STARTED_POLICY_BYTES;
        if short && screen.secret_in(&whole).is_none() {
            payload.extend(whole);
        }
        let mut put = |name: &str, value: Value| payload.insert(name.to_owned(), value);
        put("policySource", json!(self.source));
        if let Some(digest) = self.policy.digest_of(Owner::Managed) {
            put("managedPolicySha256", json!(digest.to_hex()));
        }
        if let Some(digest) = self.policy.digest_of(Owner::Repository) {
            put("repositoryPolicySha256", json!(digest.to_hex()));
        }
        if let Some(before) = self.before.as_ref().filter(|before| **before != self.now()) {
            put("repositoryPolicyBefore", json!(before));
        }
        if self.policy.unread() == Decision::Allow {
            put("unreadRuns", json!(true));
        }
    }

    /// Keeps for the next session what the repository's policy was in this one.
    pub(crate) fn keep(&self, home: &Home, repository: &Path) {
        let now = self.now();
        if self.before.as_ref() == Some(&now) || (self.before.is_none() && now == NONE) {
            return;
        }
        let record = home.repository_record(repository);
        let kept = || -> io::Result<()> {
            if let Some(directory) = record.parent() {
                let mut builder = fs::DirBuilder::new();
                builder.recursive(true).mode(0o700).create(directory)?;
            }
            let beside = record.with_extension("new");
            fs::write(&beside, format!("{now}\n"))?;
            fs::rename(beside, &record)
        };
        if let Err(error) = kept() {
            complain(format_args!(
                "WARNING: cannot remember the repository's policy: {}: {error}",
                record.display()
            ));
        }
    }
}

impl Home {
    /// Where the digest of a repository's policy is kept.
    fn repository_record(&self, repository: &Path) -> std::path::PathBuf {
        let name = Sha256::of(repository.as_os_str().as_bytes()).to_hex();
        self.root().join("repositories").join(name)
    }
}

/// The machine's policy, where there is one: it and its directory are root's alone to write.
fn managed(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let name = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Nobody can say that there is none.
        Err(error) => {
            return Err(Failure::refused(
                format!("{name}: {error}"),
                "ls -l /etc/agp",
            ));
        }
        Ok(_) => {}
    }
    for path in [path, path.parent().unwrap_or(path)] {
        let meta = fs::metadata(path).map_err(|error| {
            Failure::refused(format!("{}: {error}", path.display()), "ls -l /etc/agp")
        })?;
        if meta.uid() != 0 || meta.permissions().mode() & 0o022 != 0 {
            let name = path.display();
            return Err(Failure::refused(
                format!("others than root can write {name}"),
                format!("chown root {name}; chmod go-w {name}"),
            ));
        }
    }
    bounded_file::read(path, limits::POLICY_BYTES)
        .map(Some)
        .map_err(|error| Failure::refused(format!("{name}: {error}"), "ls -l /etc/agp"))
}

/// The repository's policy, where it has one. What is no regular file is refused: it may lead anywhere.
fn of_repository(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let wrong = |problem: &dyn std::fmt::Display| {
        let problem = format!("{}: {problem}", path.display());
        Failure::refused(problem, "fix the file, or remove it")
    };
    match fs::symlink_metadata(path) {
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(wrong(&error)),
        Ok(meta) if !meta.is_file() => {
            return Err(wrong(&PolicyError::Layer(LayerError::NotAFile)));
        }
        Ok(_) => {}
    }
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW)
        .bits()
        .cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let read = file.and_then(|file| bounded_file::read_from(file, limits::POLICY_BYTES));
    read.map(Some).map_err(|error| wrong(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Laid(std::path::PathBuf);

    impl Laid {
        fn out(name: &str) -> Self {
            let root =
                std::env::temp_dir().join(format!("agp-layers-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            for name in ["home", "repo/.agp"] {
                fs::create_dir_all(root.join(name)).unwrap();
            }
            Self(root)
        }

        fn layers(&self) -> Result<Layers, Failure> {
            let text = br#"{"rules":[{"id":"a","effect":"allow","tool":"Read"}]}"#;
            let home = Home::at(self.0.join("home"));
            Layers::over(text, Path::new("policy.json"), &home, &self.0.join("repo"))
        }

        fn policy(&self, text: &str) {
            fs::write(self.0.join("repo/.agp/policy.json"), text).unwrap();
        }

        fn payload(&self) -> Map<String, Value> {
            let mut payload = Map::new();
            let screen = Screen::new(&[]);
            self.layers().unwrap().describe(&screen, &mut payload);
            payload
        }

        fn keep(&self) {
            let home = Home::at(self.0.join("home"));
            self.layers().unwrap().keep(&home, &self.0.join("repo"));
        }
    }

    impl Drop for Laid {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_repository_s_policy_tightens_and_its_change_is_on_record() {
        let laid = Laid::out("repository");
        let nothing = laid.payload();
        assert_eq!(nothing["policy"]["policy"]["policy"]["rules"][0]["id"], "a");
        assert!(!nothing.contains_key("repositoryPolicySha256"));
        laid.policy(r#"{"rules":[{"id":"d","effect":"deny","tool":"Write"}]}"#);
        let first = laid.payload();
        assert_eq!(
            first["policy"]["repository"]["policy"]["rules"][0]["id"],
            "d"
        );
        assert!(!first.contains_key("repositoryPolicyBefore"));
        let digest = first["repositoryPolicySha256"].clone();
        laid.keep();
        assert!(!laid.payload().contains_key("repositoryPolicyBefore"));
        laid.policy(r#"{"rules":[]}"#);
        assert_eq!(laid.payload()["repositoryPolicyBefore"], digest);
        laid.keep();
        fs::remove_file(laid.0.join("repo/.agp/policy.json")).unwrap();
        let gone = laid.payload();
        assert!(gone["repositoryPolicyBefore"].is_string());
        assert!(!gone.contains_key("repositoryPolicySha256"));
        laid.keep();
        laid.policy(r#"{"rules":[]}"#);
        assert_eq!(laid.payload()["repositoryPolicyBefore"], NONE);
    }

    #[test]
    fn a_repository_s_policy_that_loosens_or_leads_elsewhere_is_refused() {
        let laid = Laid::out("loosens");
        laid.policy(r#"{"rules":[{"id":"x","effect":"allow","tool":"Write"}]}"#);
        let refused = laid.layers().err().unwrap();
        assert!(
            refused.problem.contains("can only deny and require"),
            "{refused:?}"
        );
        fs::remove_file(laid.0.join("repo/.agp/policy.json")).unwrap();
        symlink("/dev/zero", laid.0.join("repo/.agp/policy.json")).unwrap();
        let refused = laid.layers().err().unwrap();
        assert!(refused.problem.contains("regular file"), "{refused:?}");
    }

    #[test]
    fn the_machine_s_policy_is_root_s_alone() {
        let laid = Laid::out("managed");
        let path = laid.0.join("policy.json");
        assert!(managed(&path).unwrap().is_none());
        fs::write(&path, r#"{"rules":[]}"#).unwrap();
        let root = rustix::process::geteuid().is_root();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!(managed(&path).is_ok(), root);
        mode(0o664);
        assert!(managed(&path).is_err());
        mode(0o644);
        fs::set_permissions(&laid.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(managed(&path).is_err());
    }

    #[test]
    fn a_policy_that_quotes_a_secret_is_recorded_by_its_digest_alone() {
        let laid = Laid::out("quotes");
        let secret = crate::contracts::secret::Secret::new("X", "a-long-secret-value");
        laid.policy(r#"{"rules":[{"id":"d","effect":"deny","tool":"a-long-secret-value"}]}"#);
        let mut payload = Map::new();
        laid.layers()
            .unwrap()
            .describe(&Screen::new(&[secret]), &mut payload);
        assert!(!payload.contains_key("policy"));
        assert!(payload.contains_key("repositoryPolicySha256"));
    }
}
