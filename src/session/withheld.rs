//! What of a repository the sandbox withholds by the session's policy: files that exist when the session starts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::context::SessionContext;
use super::policy_file::REPOSITORY;
use crate::contracts::limits;
use crate::jail::spec::Withheld;
use crate::policy::Policy;
use crate::reading::surroundings::Surroundings;

/// Directories that are not looked into: git's own, and packages, of which there may be any number.
const SKIPPED: [&str; 2] = [".git", "node_modules"];

/// The files and directories that mounts withhold in a sandbox for `repository`: those that a deny hides, the
/// literal paths that one keeps from being changed, and `kept`, which no call may change. At most [`limits::WITHHELD_PATHS`], those nearest to the root.
pub(crate) fn withheld(policy: &Policy, repository: &Path, kept: &[PathBuf]) -> Vec<Withheld> {
    let mut withheld = BTreeMap::new();
    let Some(root) = repository.to_str() else {
        return Vec::new();
    };
    let around = Surroundings {
        directory: root.to_owned(),
        repository: root.to_owned(),
        ..Surroundings::default()
    };
    let mut put = |path: &Path, hidden: bool| {
        // Where a link leads: the link itself hides nothing.
        let Ok(path) = path.canonicalize() else {
            return;
        };
        let Ok(meta) = path.symlink_metadata() else {
            return;
        };
        let whole = path == Path::new("/") || path == repository;
        if !whole && (meta.is_file() || meta.is_dir()) {
            let (inode, depth) = (meta.ino(), path.components().count());
            let key = (depth, path.clone());
            let known: Option<&Withheld> = withheld.get(&key);
            let hidden = hidden || known.is_some_and(|known| known.hidden);
            withheld.insert(
                key,
                Withheld {
                    path,
                    inode,
                    hidden,
                },
            );
        }
    };
    for path in kept {
        put(path, false);
    }
    for literal in policy.withheld(&around) {
        put(Path::new(&literal.path), literal.hidden);
    }
    let looks = policy.withholds();
    for path in looks
        .then(|| hidden_below(policy, repository, &around))
        .into_iter()
        .flatten()
    {
        put(&path, true);
    }
    let withheld: Vec<Withheld> = withheld.into_values().collect();
    // Below a hidden directory nothing is left to hide.
    let below = |one: &Withheld| {
        let mut others = withheld.iter().filter(|other| other.hidden);
        others.any(|other| one.path != other.path && one.path.starts_with(&other.path))
    };
    let outermost = withheld.iter().filter(|one| !below(one)).cloned();
    outermost.take(limits::WITHHELD_PATHS).collect()
}

impl SessionContext<'_> {
    /// Policies that the next session reads, and no call of this one may change.
    pub(crate) fn kept_policies(&self) -> Vec<PathBuf> {
        let repository = self.options.repository.join(REPOSITORY);
        let named = self.options.policy.file().map(Path::to_owned);
        [repository].into_iter().chain(named).collect()
    }
}

/// The files that a deny of reads matches, and the directories that it matches whole.
fn hidden_below(policy: &Policy, repository: &Path, around: &Surroundings) -> Vec<PathBuf> {
    let mut hidden = Vec::new();
    let mut names = 0;
    let mut directories = vec![repository.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            names += 1;
            if names > limits::WITHHELD_NAMES {
                return hidden;
            }
            let path = entry.path();
            let (Some(text), Ok(kind)) = (path.to_str(), entry.file_type()) else {
                continue;
            };
            let hides = |whole| !policy.hidden_at(text, whole, around).is_empty();
            let skipped = || SKIPPED.iter().any(|name| entry.file_name() == *name);
            match kind.is_dir() {
                true if hides(true) => hidden.push(path),
                true if skipped() => {}
                true => directories.push(path),
                false if hides(false) => hidden.push(path),
                false => {}
            }
        }
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(policy: &str, files: &[&str]) -> Vec<(String, bool)> {
        let name = format!("agp-withheld-{}-{}", std::process::id(), files.len());
        let root = std::env::temp_dir().canonicalize().unwrap().join(name);
        let _ = fs::remove_dir_all(&root);
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("sub/.env", root.join("link")).unwrap();
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let withheld = withheld(&policy, &root, &[]);
        fs::remove_dir_all(&root).unwrap();
        let within = |one: Withheld| {
            let path = one.path.strip_prefix(&root).unwrap().display().to_string();
            (path, one.hidden)
        };
        withheld.into_iter().map(within).collect()
    }

    #[test]
    fn what_standing_denies_name_is_withheld_where_it_exists() {
        let policy = r#"{"rules":[
            {"id":"env","effect":"deny","when":{"read":[".env",".env.*","!.env.example"]}},
            {"id":"keys","effect":"deny","when":{"read":["keys/**"]}},
            {"id":"ci","effect":"deny","when":{"write":[".github/**","none/**"]}},
            {"id":"src","effect":"deny","when":{"write":["${repo}/**","!src/**"]}},
            {"id":"most","effect":"deny","when":{"read":["!src/**"]}},
            {"id":"sometimes","effect":"deny","when":{"read":["src/**"],"branch":["main"]}},
            {"id":"asked","effect":"require","when":{"read":["src/**"]}}]}"#;
        let files = [
            ".env",
            ".env.example",
            ".github/workflows/ci.yml",
            "keys/a/b.pem",
            "node_modules/x/.env",
            "src/main.rs",
            "sub/.env",
            "sub/.env.local",
        ];
        let expected = [
            (".env", true),
            (".github", false),
            ("keys", true),
            ("sub/.env", true),
            ("sub/.env.local", true),
        ];
        let expected = expected.map(|(path, hidden)| (path.to_owned(), hidden));
        assert_eq!(paths(policy, &files), expected);
    }

    #[test]
    fn a_policy_without_denies_of_paths_withholds_nothing() {
        let policy = r#"{"rules":[{"id":"a","effect":"deny","tool":"Write"},
            {"id":"b","effect":"allow","when":{"read":["${repo}/**"]}}]}"#;
        assert_eq!(paths(policy, &[".env", "sub/.env"]), []);
    }
}
