//! The files that a header names, in a private directory that is removed with them. It stands for a repository, a home
//! and `/tmp`; it lies outside of `/tmp`, so that none is within another.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::lines::{Entry, Git, GitSaid, Made};
use crate::contracts::limits;
use crate::disk::{Grounds, Looking};
use crate::reading::disk::{self, Disk, Resolved};
use crate::reading::paths::within;
use crate::reading::surroundings::Surroundings;

/// Where the directories are made.
const PARENT: &str = "/var/tmp";
/// The session's temporary directory, as calls name it.
const TEMPORARY: &str = "/tmp";

/// A place for the files of one header.
#[derive(Debug)]
pub(super) struct Ground {
    root: PathBuf,
    grounds: Grounds,
}

/// PATH of a case: that of a plain machine.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

impl Ground {
    /// An empty repository, an empty home.
    pub(super) fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("agp-policy-test-{}-{count}", std::process::id());
        let root = Path::new(PARENT).canonicalize()?.join(name);
        let mut directories = DirBuilder::new();
        directories.mode(0o700);
        // One that is there is somebody else's.
        directories.create(&root)?;
        let ground = Self {
            grounds: Grounds {
                repository: root.join("work/repo"),
                home: root.join("home"),
                temporary: root.join("tmp"),
                ..Grounds::default()
            },
            root,
        };
        directories.recursive(true);
        for directory in [
            &ground.grounds.repository,
            &ground.grounds.home,
            &ground.grounds.temporary,
        ] {
            directories.create(directory)?;
        }
        Ok(ground)
    }

    /// A text with `{{repo}}` and `{{home}}` filled in.
    pub(super) fn fill(&self, text: &str) -> String {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        text.replace("{{repo}}", &path(&self.grounds.repository))
            .replace("{{home}}", &path(&self.grounds.home))
    }

    pub(super) fn surroundings(&self) -> Surroundings {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        Surroundings {
            directory: path(&self.grounds.repository),
            repository: path(&self.grounds.repository),
            home: path(&self.grounds.home),
            temporary: TEMPORARY.to_owned(),
            agp: vec![
                path(&self.grounds.home.join(".agp")),
                path(&self.grounds.repository.join(".agp")),
                "/etc/agp".to_owned(),
            ],
            path: PATH.map(|path| (path.to_owned(), false)).to_vec(),
            ..Surroundings::default()
        }
    }

    pub(super) fn disk(&self) -> GroundDisk<'_> {
        GroundDisk {
            looking: Looking::until(&self.grounds, Instant::now() + limits::CASE_PATIENCE),
            temporary: self.grounds.temporary.to_string_lossy().into_owned(),
        }
    }

    /// Makes files; links last, since they name others.
    pub(super) fn make(&self, files: &BTreeMap<String, Entry>) -> io::Result<()> {
        let is_link = |entry: &Entry| matches!(entry, Entry::Made(made) if made.hardlink.is_some());
        for links in [false, true] {
            for (path, entry) in files.iter().filter(|(_, entry)| is_link(entry) == links) {
                let named =
                    |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
                self.put(path, entry).map_err(named)?;
            }
        }
        Ok(())
    }

    /// Where a path of a header lies: never outside of the ground.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let filled = PathBuf::from(self.fill(path));
        let place = match filled.strip_prefix(TEMPORARY) {
            Ok(rest) => self.grounds.temporary.join(rest),
            Err(_) => self.grounds.repository.join(&filled),
        };
        let plain = !place.components().any(|part| part == Component::ParentDir);
        match plain && place.starts_with(&self.root) {
            true => Ok(place),
            false => Err(io::Error::other(
                "write it relative to the repository, or begin it with {{home}}/ or /tmp/",
            )),
        }
    }

    fn put(&self, path: &str, entry: &Entry) -> io::Result<()> {
        let place = self.at(path)?;
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
            // Through a link that the header made it could lie anywhere.
            if !parent.canonicalize()?.starts_with(&self.root) {
                return Err(io::Error::other("a link leads out of the files"));
            }
        }
        if place.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            fs::remove_file(&place)?;
        }
        match entry {
            Entry::Text(text) => fs::write(&place, self.fill(text)),
            Entry::Made(Made {
                link: Some(target), ..
            }) => symlink(self.fill(target), &place),
            Entry::Made(Made {
                hardlink: Some(other),
                ..
            }) => fs::hard_link(self.at(other)?, &place),
            Entry::Made(Made {
                directory: Some(true),
                ..
            }) => fs::create_dir_all(&place),
            Entry::Made(Made {
                text: Some(text),
                mode,
                ..
            }) => {
                fs::write(&place, self.fill(text))?;
                let Some(mode) = mode else { return Ok(()) };
                let bits = u32::from_str_radix(mode, 8).map_err(io::Error::other)?;
                fs::set_permissions(&place, Permissions::from_mode(bits & 0o777))
            }
            Entry::Made(_) => Err(io::Error::other(
                "write a text, or {\"link\"|\"hardlink\"|\"text\"|\"directory\": ...}",
            )),
        }
    }

    /// Makes the repository one of git's, as far as its configuration goes.
    pub(super) fn git(&self, git: &Git) -> io::Result<()> {
        let said = match git {
            Git::Plain(false) => return Ok(()),
            Git::Plain(true) => GitSaid::default(),
            Git::Said(said) => said.clone(),
        };
        let origin = || {
            let url = "https://github.com/example/project.git".to_owned();
            BTreeMap::from([("origin".to_owned(), url)])
        };
        let branch = said.branch.unwrap_or_else(|| "main".to_owned());
        let remotes = said.remotes.unwrap_or_else(origin);
        let mut config = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n".to_owned();
        for (name, url) in &remotes {
            let fetch = format!("+refs/heads/*:refs/remotes/{name}/*");
            config.push_str(&format!(
                "[remote \"{name}\"]\n\turl = {}\n\tfetch = {fetch}\n",
                self.fill(url)
            ));
        }
        if remotes.contains_key("origin") {
            config.push_str(&format!(
                "[branch \"{branch}\"]\n\tremote = origin\n\tmerge = refs/heads/{branch}\n"
            ));
        }
        for entry in &said.config {
            let (key, value) = entry
                .split_once('=')
                .ok_or_else(|| io::Error::other("config: write key=value"))?;
            let (section, name) = key
                .rsplit_once('.')
                .ok_or_else(|| io::Error::other("config: write section.name=value"))?;
            let section = match section.split_once('.') {
                Some((section, sub)) => format!("{section} \"{sub}\""),
                None => section.to_owned(),
            };
            let value = self.fill(value).replace('\\', "\\\\").replace('"', "\\\"");
            config.push_str(&format!("[{section}]\n\t{name} = \"{value}\"\n"));
        }
        let directory = self.grounds.repository.join(".git");
        for name in ["objects", "refs/heads", "hooks", "info"] {
            fs::create_dir_all(directory.join(name))?;
        }
        fs::write(
            directory.join("HEAD"),
            format!("ref: refs/heads/{branch}\n"),
        )?;
        fs::write(directory.join("config"), config)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // What stays is below /var/tmp, and nobody's.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The ground as calls see it: its temporary directory is `/tmp`.
pub(super) struct GroundDisk<'a> {
    looking: Looking<'a>,
    temporary: String,
}

impl GroundDisk<'_> {
    fn place(&self, path: &str) -> String {
        match within(path, TEMPORARY) {
            true => format!(
                "{}{}",
                self.temporary,
                path.get(TEMPORARY.len()..).unwrap_or_default()
            ),
            false => path.to_owned(),
        }
    }
}

impl Disk for GroundDisk<'_> {
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let mut resolved = self.looking.resolve(&self.place(path))?;
        if within(&resolved.real, &self.temporary) {
            let rest = resolved.real.get(self.temporary.len()..)?;
            resolved.real = format!("{TEMPORARY}{rest}");
        }
        Some(resolved)
    }
    fn names(&self, directory: &str) -> Option<Vec<String>> {
        self.looking.names(&self.place(directory))
    }
    fn below(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        self.looking
            .below(&self.place(directory), leave_out_ignored)
    }
    fn linked(&self, directory: &str, leave_out_ignored: bool) -> Option<Vec<String>> {
        self.looking
            .linked(&self.place(directory), leave_out_ignored)
    }
    fn inodes(&self, directory: &str) -> Option<disk::Inodes> {
        self.looking.inodes(&self.place(directory))
    }
    fn script(&self, path: &str) -> Option<String> {
        self.looking.script(&self.place(path))
    }
    fn git(&self, directory: &str) -> Option<disk::Git> {
        self.looking.git(&self.place(directory))
    }
    fn ignored(&self, path: &str) -> Option<bool> {
        self.looking.ignored(&self.place(path))
    }
    fn spent(&self) -> bool {
        self.looking.spent()
    }
}
