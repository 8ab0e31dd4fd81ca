//! The operator's secrets: read once, handed to the commands that were allowed to use them, as
//! variables of their sandbox, and taken out of whatever comes back. The agent, its harness and the
//! journal have their names alone. `docs/secrets.md` says what that keeps and what not.

mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod references;
mod scrubber;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::contracts::call::ToolCall;
use crate::contracts::limits;
use crate::contracts::secret::{self, SHELL, Secret};

pub(super) use error::NAME_CHARS;
pub use error::{SecretError, SecretFault, SecretMisuse};
pub use references::{referring, variable};
pub use scrubber::{Needles, Scrubber};

/// What the variables of agp's own environment that hold secrets begin with.
const VARIABLE: &str = "AGP_SECRET_";

/// The secrets of a session.
#[derive(Clone, Default)]
pub struct Secrets {
    all: Arc<Vec<Secret>>,
    needles: Arc<Needles>,
}

/// What a call's secrets come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The command, with references in the places of its placeholders.
    pub command: Option<String>,
    /// Names of the secrets, sorted.
    pub names: Vec<String>,
}

impl Secrets {
    /// These, and no others. One that stands there twice is the first.
    #[must_use]
    pub fn of(mut all: Vec<Secret>) -> Self {
        let mut seen = std::collections::HashSet::new();
        all.retain(|secret| seen.insert(secret.name().to_owned()));
        Self {
            needles: Arc::new(Needles::of(&all)),
            all: Arc::new(all),
        }
    }

    /// All that agp was given: variables `AGP_SECRET_NAME`, then the files of `directory`, then the
    /// credentials that systemd hands over.
    ///
    /// # Errors
    /// Which one cannot be used, and why. One that others can read, or that is too short to be found
    /// in an output, is not used.
    pub fn load(directory: &Path) -> Result<Self, SecretError> {
        let mut all = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().and_then(|name| name.strip_prefix(VARIABLE)) else {
                continue;
            };
            let label = format!("{VARIABLE}{name}");
            let value = value.into_string();
            let value = value.map_err(|_| SecretFault::NotUnicode);
            let secret = value.and_then(|value| checked(name, value));
            all.push(secret.map_err(|fault| fault.of(&label))?);
        }
        all.extend(files_of(directory, true)?);
        if let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            // Its files have names of the unit's choosing: those that can be a secret's are.
            all.extend(files_of(Path::new(&credentials), false)?);
        }
        Ok(Self::of(all))
    }

    /// Every secret.
    #[must_use]
    pub fn all(&self) -> &[Secret] {
        &self.all
    }

    /// The names of all.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.all.iter().map(Secret::name).collect()
    }

    /// Takes the values out of one stream of output.
    #[must_use]
    pub fn scrubber(&self) -> Scrubber {
        Scrubber::new(Arc::clone(&self.needles))
    }

    /// A text without the values.
    #[must_use]
    pub fn scrubbed(&self, text: &str) -> String {
        let mut scrubber = self.scrubber();
        let mut out = scrubber.push(text.as_bytes());
        out.extend(scrubber.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What a call asks for, resolved. To be asked of a call that was allowed, when it is run.
    ///
    /// # Errors
    /// Why the call cannot have what it asks for: it then does not run.
    pub fn used_by(&self, call: &ToolCall) -> Result<Used, SecretMisuse> {
        let names: Vec<String> = secret::asked_by(&call.tool, &call.args)
            .into_iter()
            .collect();
        if names.is_empty() {
            return Ok(Used::default());
        }
        if call.tool != SHELL.0 {
            return Err(SecretMisuse::Tool(call.tool.clone()));
        }
        if let Some(unknown) = names.iter().find(|name| self.find(name).is_none()) {
            return Err(SecretMisuse::Unknown(unknown.clone()));
        }
        let command = call.args.get(SHELL.1).and_then(serde_json::Value::as_str);
        let command = command.ok_or(SecretMisuse::NoCommand)?;
        Ok(Used {
            command: Some(referring(command)?),
            names,
        })
    }

    /// The variables that hold these secrets.
    pub fn variables<'a>(
        &'a self,
        names: &'a [String],
    ) -> impl Iterator<Item = (String, &'a str)> + 'a {
        let held = names.iter().filter_map(|name| self.find(name));
        held.map(|secret| (variable(secret.name()), secret.value()))
    }

    fn find(&self, name: &str) -> Option<&Secret> {
        self.all.iter().find(|secret| secret.name() == name)
    }
}

fn checked(name: &str, value: String) -> Result<Secret, SecretFault> {
    if !secret::is_name(name) {
        return Err(SecretFault::Name);
    }
    if value.contains('\0') {
        return Err(SecretFault::ZeroByte);
    }
    if value.trim().len() < limits::SECRET_BYTES_MIN {
        return Err(SecretFault::TooShort);
    }
    Ok(Secret::new(name, value))
}

/// The secrets that lie in a directory as files; `all` says that every file there is one.
fn files_of(directory: &Path, all: bool) -> Result<Vec<Secret>, SecretError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SecretFault::Io(error).of(directory.display())),
    };
    let mut secrets = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !all && !secret::is_name(&name) {
            continue;
        }
        if secrets.len() >= limits::SECRETS {
            return Err(SecretFault::TooMany.of(directory.display()));
        }
        // For a unit's own user systemd adds a right by name, whose mask shows as the group's.
        let others = if all { 0o077 } else { 0o037 };
        let secret = read(&path, others).and_then(|value| checked(&name, value));
        secrets.push(secret.map_err(|fault| fault.of(path.display()))?);
    }
    secrets.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(secrets)
}

/// What a file holds, but for a newline at its end. It must be this user's alone: none of the bits
/// `others` may be set.
fn read(path: &Path, others: u32) -> Result<String, SecretFault> {
    use io::Read;
    let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(no_link)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(SecretFault::NotAFile);
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & others != 0 {
        return Err(SecretFault::OthersCanRead(mode));
    }
    let uid = rustix::process::geteuid().as_raw();
    if meta.uid() != uid && meta.uid() != 0 {
        return Err(SecretFault::OtherOwner);
    }
    let mut value = String::new();
    let bound = limits::SECRET_BYTES_MAX;
    file.take(bound + 1).read_to_string(&mut value)?;
    if value.len() as u64 > bound {
        return Err(SecretFault::TooLong);
    }
    let end = value.strip_suffix('\n').map_or(value.len(), str::len);
    value.truncate(end);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(tool: &str, args: &serde_json::Value) -> ToolCall {
        use crate::contracts::call::Actor;
        use crate::contracts::ids::{MessageId, SessionId};
        ToolCall {
            id: MessageId::new("m-1").unwrap(),
            session: SessionId::new("s-1").unwrap(),
            tool: tool.to_owned(),
            args: args.as_object().unwrap().clone(),
            actor: Actor::ClaudeProcess,
        }
    }

    #[test]
    fn a_call_gets_what_it_names_and_nothing_that_is_not_there() {
        let secrets = Secrets::of(vec![
            Secret::new("A", "value of a"),
            Secret::new("B", "value of b"),
        ]);
        let bash = |command: &str| secrets.used_by(&call("Bash", &json!({"command": command})));
        let used = bash("echo {{secret:A}}").unwrap();
        assert_eq!(used.names, ["A"]);
        assert_eq!(used.command.as_deref(), Some("echo \"${AGP_SECRET_A}\""));
        let given: Vec<_> = secrets.variables(&used.names).collect();
        assert_eq!(given, [("AGP_SECRET_A".to_owned(), "value of a")]);
        assert_eq!(bash("echo none"), Ok(Used::default()));
        assert!(
            bash("echo secret:C")
                .unwrap_err()
                .to_string()
                .contains("secret C")
        );
        assert!(
            bash("echo {{secret:a}}")
                .unwrap_err()
                .to_string()
                .contains("secret a")
        );
        let write = call("Write", &json!({"content": "{{secret:A}}"}));
        assert!(
            secrets
                .used_by(&write)
                .unwrap_err()
                .to_string()
                .contains("not to Write")
        );
    }

    #[test]
    fn a_file_is_its_owners_alone_and_holds_enough() {
        let directory = std::env::temp_dir().join(format!("agp-secrets-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let put = |name: &str, text: &[u8], mode: u32| {
            let path = directory.join(name);
            let _ = fs::remove_file(&path);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("TOKEN", b"a value with a newline\n", 0o600);
        let secrets = files_of(&directory, true).unwrap();
        assert_eq!(
            (secrets[0].name(), secrets[0].value()),
            ("TOKEN", "a value with a newline")
        );
        for (name, text, mode, said) in [
            (
                "TOKEN",
                &b"a long value"[..],
                0o640,
                "other users can read it",
            ),
            ("TOKEN", b"short", 0o600, "shorter than 8"),
            ("TOKEN", b"a\0zero byte", 0o600, "zero byte"),
            ("TOKEN", b"not \xff UTF-8", 0o600, "UTF-8"),
            ("token", b"a long value", 0o600, "capitals"),
        ] {
            put(name, text, mode);
            let why = files_of(&directory, true).unwrap_err().to_string();
            assert!(why.contains(said), "{why}");
            fs::remove_file(directory.join(name)).unwrap();
        }
        // As systemd leaves a credential, by its way on newer kernels.
        put("TOKEN", b"a credential", 0o440);
        assert!(files_of(&directory, true).is_err());
        assert_eq!(files_of(&directory, false).unwrap()[0].name(), "TOKEN");
        put("TOKEN", b"a credential", 0o444);
        assert!(files_of(&directory, false).is_err());
        fs::remove_file(directory.join("TOKEN")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.join("LINK")).unwrap();
        assert!(files_of(&directory, true).is_err());
        put("other-name", b"a long value", 0o600);
        fs::remove_file(directory.join("LINK")).unwrap();
        assert!(files_of(&directory, false).unwrap().is_empty());
        assert!(files_of(&directory.join("none"), true).unwrap().is_empty());
        fs::remove_dir_all(&directory).unwrap();
    }
}
