//! What git would find: its directory, its configuration, and what it ignores; without running it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files::{Looking, text};
use super::git_config::{self, Entry};
use crate::contracts::limits;
use crate::reading::disk::{Disk, Git};
use crate::reading::paths;
use crate::tools::ignore::Ignored;

/// Files of configuration that include each other, at most; git itself stops at ten within each other.
const FILES: usize = 32;
/// The machine's configuration.
const SYSTEM: &str = "/etc/gitconfig";

/// A repository's directories.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Directories {
    /// What belongs to the work tree: `HEAD`.
    own: PathBuf,
    /// What all work trees share: the configuration, hooks.
    common: PathBuf,
    /// Where the work tree begins; of a bare repository, the repository.
    top: PathBuf,
}

/// What git's configuration says in a directory that is real; no repository has none. `None` where it cannot be read.
pub(super) fn of(looking: &Looking<'_>, directory: &Path, home: &Path) -> Option<Git> {
    let mut git = Git::default();
    let mut all = Vec::new();
    let user = [home.join(".config/git/config"), home.join(".gitconfig")];
    for file in [PathBuf::from(SYSTEM)].iter().chain(&user) {
        // What the user's own names is the user's.
        all.extend(read(looking, file, home)?);
    }
    let Some(directories) = found(looking, directory)? else {
        told(&mut git, &all);
        return Some(git);
    };
    let mut local = read(looking, &directories.common.join("config"), home)?;
    local.extend(read(
        looking,
        &directories.own.join("config.worktree"),
        home,
    )?);
    for entry in &local {
        if git_config::names_program(entry) {
            git.programs.push(named(entry));
        }
    }
    all.extend(local);
    told(&mut git, &all);
    let head = looking.text(&directories.own.join("HEAD"), limits::GIT_FILE_BYTES);
    let head = head.and_then(|head| String::from_utf8(head).ok());
    let branch = head
        .as_deref()
        .and_then(|head| head.trim_end().strip_prefix("ref: refs/heads/"));
    git.branch = branch.map(str::to_owned);
    git.upstream = upstream(&git, &all);
    git.diversions = diversions(&all);
    // Which of several counts is not worked out: all do.
    let set = all
        .iter()
        .filter(|entry| entry.section == "core" && entry.key == "hookspath");
    let mut hooks: Vec<PathBuf> = set
        .filter_map(|entry| {
            Some(
                directories
                    .top
                    .join(expanded(entry.value.as_deref()?, home)),
            )
        })
        .collect();
    if hooks.is_empty() {
        hooks.push(directories.common.join("hooks"));
    }
    git.hooks = hooks
        .iter()
        .flat_map(|directory| hooks_in(looking, directory))
        .collect();
    Some(git)
}

/// Fills in remotes and aliases.
fn told(git: &mut Git, all: &[Entry]) {
    let value = |entry: &Entry| entry.value.clone().unwrap_or_default();
    for entry in all {
        match (entry.section.as_str(), entry.key.as_str()) {
            ("alias", "command") if !entry.subsection.is_empty() => {
                git.aliases.push((entry.subsection.clone(), value(entry)));
            }
            ("alias", name) if entry.subsection.is_empty() => {
                git.aliases.push((name.to_owned(), value(entry)));
            }
            ("remote", "url") => {
                let url = value(entry);
                let pushes = all.iter().any(|other| {
                    other.section == "remote"
                        && other.subsection == entry.subsection
                        && other.key == "pushurl"
                });
                let fetched = instead(all, "insteadof", &url).unwrap_or_else(|| url.clone());
                let pushed = instead(all, "pushinsteadof", &url).filter(|_| !pushes);
                git.remotes.push((entry.subsection.clone(), fetched));
                git.remotes
                    .extend(pushed.map(|url| (entry.subsection.clone(), url)));
            }
            ("remote", "pushurl") => {
                let url = value(entry);
                let url = instead(all, "insteadof", &url).unwrap_or(url);
                git.remotes.push((entry.subsection.clone(), url));
            }
            _ => {}
        }
    }
}

/// A URL as the longest prefix that stands for another makes it.
fn instead(all: &[Entry], key: &str, url: &str) -> Option<String> {
    let fitting = all.iter().filter_map(|entry| {
        let prefix = entry.value.as_deref().unwrap_or("");
        let is = entry.section == "url" && entry.key == key;
        let rest = url
            .strip_prefix(prefix)
            .filter(|_| is && !prefix.is_empty())?;
        Some((prefix.len(), &entry.subsection, rest))
    });
    let (_, base, rest) = fitting.max_by_key(|(length, _, _)| *length)?;
    Some(format!("{base}{rest}"))
}

/// The remote that a push of the branch reaches.
fn upstream(git: &Git, all: &[Entry]) -> Option<String> {
    let of_branch = |key: &str| {
        let branch = git.branch.as_deref()?;
        let mut entries = all.iter().rev();
        let entry = entries.find(|entry| {
            entry.section == "branch" && entry.subsection == branch && entry.key == key
        })?;
        entry.value.clone()
    };
    let remote = of_branch("pushremote")
        .or_else(|| last(all, "remote", "pushdefault").map(str::to_owned))
        .or_else(|| of_branch("remote"));
    remote.or_else(|| {
        let mut names: Vec<&String> = git.remotes.iter().map(|(name, _)| name).collect();
        names.dedup();
        match names.as_slice() {
            [only] => Some((*only).clone()),
            names => names
                .iter()
                .find(|name| **name == "origin")
                .map(|name| (*name).clone()),
        }
    })
}

/// Entries by which a push sends other branches than its words say, or to others. By `push.default=upstream` git maps
/// a branch that is named to the one that it follows, too.
fn diversions(all: &[Entry]) -> Vec<String> {
    let default = |entry: &Entry, values: &[&str]| {
        let is = entry.section == "push" && entry.key == "default";
        let value = entry.value.as_deref().unwrap_or_default();
        is && values.iter().any(|one| value.eq_ignore_ascii_case(one))
    };
    let by_upstream = all
        .iter()
        .any(|entry| default(entry, &["upstream", "tracking"]));
    let diverts = |entry: &&Entry| {
        let off = |others: &[&str]| {
            let value = entry.value.as_deref().map(str::to_ascii_lowercase);
            value.is_some_and(|value| {
                let off = ["", "false", "no", "off", "0"].contains(&value.as_str());
                off || others.contains(&value.as_str())
            })
        };
        match (entry.section.as_str(), entry.key.as_str()) {
            ("remote", "push") => true,
            ("remote", "mirror") => !off(&[]),
            ("push", "default") => default(entry, &["upstream", "tracking", "matching"]),
            ("push", "recursesubmodules") => !off(&["check"]),
            ("branch", "merge") => by_upstream,
            _ => false,
        }
    };
    let value = |entry: &Entry| entry.value.clone().unwrap_or_default();
    let entries = all.iter().filter(diverts);
    entries
        .map(|entry| format!("{}={}", named(entry), value(entry)))
        .collect()
}

/// The last value of a key without a subsection.
fn last<'a>(all: &'a [Entry], section: &str, key: &str) -> Option<&'a str> {
    let mut entries = all.iter().rev();
    let entry = entries.find(|entry| {
        entry.section == section && entry.subsection.is_empty() && entry.key == key
    })?;
    entry.value.as_deref()
}

fn named(entry: &Entry) -> String {
    match entry.subsection.as_str() {
        "" => format!("{}.{}", entry.section, entry.key),
        subsection => format!("{}.{subsection}.{}", entry.section, entry.key),
    }
}

/// The entries of a file and of those that it includes, whatever the conditions say. No file has none; `None` where one
/// that is there cannot be read.
fn read(looking: &Looking<'_>, file: &Path, home: &Path) -> Option<Vec<Entry>> {
    let mut rest = vec![file.to_owned()];
    let mut all = Vec::new();
    let mut files = 0;
    while let Some(file) = rest.pop() {
        let (real, meta) = looking.end(&file)?;
        if meta.is_none() {
            continue;
        }
        files += 1;
        if files > FILES {
            return None;
        }
        let text = looking.text(&real, limits::GIT_FILE_BYTES)?;
        let entries = git_config::entries(&String::from_utf8_lossy(&text))?;
        let included = entries.iter().filter(|entry| {
            ["include", "includeif"].contains(&entry.section.as_str()) && entry.key == "path"
        });
        let above = real.parent().unwrap_or(Path::new("/"));
        rest.extend(included.filter_map(|entry| {
            let path = entry.value.as_deref()?;
            Some(above.join(expanded(path, home)))
        }));
        all.extend(entries);
    }
    Some(all)
}

/// A path of the configuration, with `~/` for the home.
fn expanded(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => PathBuf::from(path),
    }
}

/// The repository of a directory: `.git` in it or above, or a bare repository itself. `Some(None)` where there is none.
fn found(looking: &Looking<'_>, directory: &Path) -> Option<Option<Directories>> {
    for top in directory.ancestors() {
        let (git, meta) = looking.end(&top.join(".git"))?;
        if let Some(meta) = meta {
            let itself = match meta.is_dir() {
                true => git,
                false => {
                    let text = looking.text(&git, limits::GIT_FILE_BYTES)?;
                    let text = String::from_utf8(text).ok()?;
                    let path = text
                        .trim_end_matches(['\n', '\r'])
                        .strip_prefix("gitdir: ")?;
                    looking.end(&top.join(path))?.0
                }
            };
            return directories(looking, itself, top).map(Some);
        }
        let is = |name: &str| {
            looking
                .end(&top.join(name))
                .is_some_and(|(_, meta)| meta.is_some())
        };
        if is("HEAD") && is("objects") && is("refs") {
            return directories(looking, top.to_owned(), top).map(Some);
        }
    }
    Some(None)
}

fn directories(looking: &Looking<'_>, itself: PathBuf, top: &Path) -> Option<Directories> {
    let (shared, meta) = looking.end(&itself.join("commondir"))?;
    let common = match meta {
        None => itself.clone(),
        Some(_) => {
            let text = String::from_utf8(looking.text(&shared, limits::GIT_FILE_BYTES)?).ok()?;
            looking.end(&itself.join(text.trim_end()))?.0
        }
    };
    Some(Directories {
        own: itself,
        common,
        top: top.to_owned(),
    })
}

/// Names of the hooks in a directory that git would run.
fn hooks_in(looking: &Looking<'_>, directory: &Path) -> Vec<String> {
    let Some(directory) = text(directory) else {
        return vec!["*".to_owned()];
    };
    // A directory whose names are not known may hold any.
    let Some(names) = looking.names(&directory) else {
        return vec!["*".to_owned()];
    };
    let runs = |name: &String| {
        let path = paths::join(&directory, name);
        let meta = looking.end(Path::new(&path)).and_then(|(_, meta)| meta);
        !name.ends_with(".sample")
            && meta.is_some_and(|meta| meta.permissions().mode() & 0o111 != 0)
    };
    names.into_iter().filter(runs).collect()
}

/// Files of configuration that are outside of a repository; a worktree's directories stand with them.
pub(super) fn files_outside(grounds: &super::Grounds) -> Vec<PathBuf> {
    let (repository, home) = (&grounds.repository, &grounds.home);
    let looking = Looking::until(grounds, std::time::Instant::now() + limits::DISK_PATIENCE);
    let mut files = vec![
        PathBuf::from(SYSTEM),
        home.join(".config/git"),
        home.join(".gitconfig"),
    ];
    if let Some(Some(directories)) = found(&looking, repository) {
        for name in ["HEAD", "commondir", "config.worktree"] {
            files.push(directories.own.join(name));
        }
        for name in ["config", "hooks", "info"] {
            files.push(directories.common.join(name));
        }
    }
    files.retain(|file| !file.starts_with(repository));
    let mut real: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| grounds.outside(file)?.canonicalize().ok())
        .collect();
    real.dedup();
    real
}

/// These rules, and those of a directory.
pub(super) fn ignored_in(looking: &Looking<'_>, rules: &Ignored, directory: &Path) -> Ignored {
    let text = looking.text(&directory.join(".gitignore"), limits::GIT_FILE_BYTES);
    match text {
        Some(text) => rules.and(directory, &text),
        None => rules.clone(),
    }
}

/// The rules that hold in a directory from those above it, and from the repository's own list.
pub(super) fn ignored_above(looking: &Looking<'_>, directory: &Path) -> Ignored {
    let Some(Some(directories)) = found(looking, directory) else {
        return Ignored::default();
    };
    let exclude = directories.common.join("info/exclude");
    let mut rules = Ignored::default();
    if let Some(text) = looking.text(&exclude, limits::GIT_FILE_BYTES) {
        rules = rules.and(&directories.top, &text);
    }
    let mut above: Vec<&Path> = directory.ancestors().skip(1).collect();
    above.retain(|path| path.starts_with(&directories.top));
    for path in above.iter().rev() {
        rules = ignored_in(looking, &rules, path);
    }
    rules
}

/// Whether git ignores a real path: it, or a directory that it lies in.
pub(super) fn ignores(looking: &Looking<'_>, path: &Path, is_directory: bool) -> Option<bool> {
    let directory = path.parent()?;
    let directories = match found(looking, directory)? {
        Some(directories) => directories,
        None => return Some(false),
    };
    let below = path.strip_prefix(&directories.top).ok()?;
    let mut rules = ignored_above(looking, &directories.top);
    let mut at = directories.top.clone();
    let mut names = below.iter().peekable();
    while let Some(name) = names.next() {
        if name == ".git" {
            return Some(false);
        }
        rules = ignored_in(looking, &rules, &at);
        at = at.join(name);
        if rules.covers(&at, is_directory || names.peek().is_some()) {
            return Some(true);
        }
    }
    Some(false)
}
