//! What an organisation set for Claude Code on this machine, as far as it can switch agp's hooks off: looked at, so
//! that a message can name what was seen.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::contracts::{bounded_file, limits};

/// Where Claude Code has it: above all other settings, agp's too.
pub(crate) const DIRECTORY: &str = "/etc/claude-code";
/// Each of these keeps hooks of `--settings` from being called.
const SWITCHES: [&str; 2] = ["disableAllHooks", "allowManagedHooksOnly"];

/// What is there that would keep Claude Code from calling its hooks, in words; and if nothing, that.
pub(crate) fn seen(directory: &Path) -> String {
    let mut files = vec![directory.join("managed-settings.json")];
    let beside = fs::read_dir(directory.join("managed-settings.d"));
    let mut beside: Vec<PathBuf> = beside
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    beside.sort();
    files.extend(beside);
    files.retain(|file| file.exists());
    for file in &files {
        let path = file.display();
        match bounded_file::read(file, limits::SMALL_FILE_BYTES) {
            Err(error) => {
                return format!("cannot read {path}, which may disable hooks: {error}");
            }
            Ok(text) => {
                let settings: Value = serde_json::from_slice(&text).unwrap_or_default();
                let set = SWITCHES
                    .iter()
                    .find(|name| settings.get(**name) == Some(&Value::Bool(true)));
                if let Some(name) = set {
                    return format!("{path} sets {name}");
                }
            }
        }
    }
    match files.first() {
        Some(_) => format!(
            "unknown cause: {} does not disable them",
            directory.display()
        ),
        None => format!("unknown cause: {} has no settings", directory.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_there_is_named() {
        let root = std::env::temp_dir().join(format!("agp-managed-{}", std::process::id()));
        fs::create_dir_all(root.join("managed-settings.d")).unwrap();
        assert!(seen(&root).ends_with("has no settings"));
        let main = root.join("managed-settings.json");
        fs::write(&main, r#"{"disableAllHooks": false, "model": "x"}"#).unwrap();
        assert!(seen(&root).ends_with("does not disable them"));
        let beside = root.join("managed-settings.d/10-x.json");
        fs::write(&beside, r#"{"allowManagedHooksOnly": true}"#).unwrap();
        let expected = format!("{} sets allowManagedHooksOnly", beside.display());
        assert_eq!(seen(&root), expected);
        fs::write(&main, r#"{"disableAllHooks": true}"#).unwrap();
        assert_eq!(
            seen(&root),
            format!("{} sets disableAllHooks", main.display())
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
