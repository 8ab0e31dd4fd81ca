//! What an agent can change, and so where no program may come from: neither a harness nor, by `PATH`, what
//! runs beside it.

use std::collections::VecDeque;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::process::geteuid;

use super::follow_error::{FollowError, FollowFault};

/// Links on the way to one file: as many as Linux follows.
const LINKS: usize = 40;
/// Anybody may write.
const OTHERS_WRITE: u32 = 0o002;
/// Only who owns an entry may remove or rename it.
const STICKY: u32 = 0o1000;
/// Directories that a sandbox has for itself, in whose place a command finds what earlier ones left there.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Places that an agent can change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changeable {
    /// On this host.
    shared: Vec<PathBuf>,
    /// Only in its own sandbox, where something else stands in their place.
    private: Vec<PathBuf>,
    /// What of those the sandbox has from this host all the same, to be read.
    kept: Vec<PathBuf>,
}

impl Changeable {
    /// Those that are shared with the agent, each by its name and by where that leads.
    #[must_use]
    pub fn shared<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        Self {
            shared: both(paths),
            ..Self::default()
        }
    }

    /// The same for what runs in a sandbox, which has a home and temporary directories of its own; `read` is
    /// there as it is here.
    #[must_use]
    pub fn in_sandbox<'a>(self, read: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let home = env::var_os("HOME").map(PathBuf::from);
        let home = home.filter(|home| home.is_absolute() && home.parent().is_some());
        let private: Vec<PathBuf> = PRIVATE.iter().map(PathBuf::from).chain(home).collect();
        Self {
            private: both(&private),
            kept: both(read),
            ..self
        }
    }

    /// What a sandbox has from this host to be read, as it was named and where that leads.
    #[must_use]
    pub fn kept(&self) -> &[PathBuf] {
        &self.kept
    }

    /// The file or directory that a path leads to. Every directory on the way counts, every link and its
    /// target, because whoever can change one of them says what stands at the end. It is for this host: what a
    /// sandbox has for itself does not count.
    ///
    /// # Errors
    /// Which of them can be changed, or cannot be followed.
    pub fn follow(&self, path: &Path) -> Result<PathBuf, FollowError> {
        let outside = Self::shared(&self.shared);
        outside
            .walk(path)
            .and_then(|(end, there)| match there {
                true => Ok(end),
                false => Err(FollowFault::NotThere),
            })
            .map_err(|fault| FollowError {
                path: path.to_owned(),
                fault,
            })
    }

    /// A `PATH` without the entries in which an agent can put a program: those that are relative, as the
    /// empty one is, and those that it can change.
    #[must_use]
    pub fn search_path(&self, path: &OsStr) -> OsString {
        let entries = env::split_paths(path);
        let out_of_reach = |entry: &PathBuf| {
            let end = self.walk(entry);
            entry.is_absolute() && end.is_ok_and(|(end, _)| !self.is_private(&end))
        };
        let sound = entries.filter(out_of_reach);
        // What was split holds no colon.
        env::join_paths(sound).unwrap_or_default()
    }

    /// Where a path leads, and whether something is there. Where nothing is, nobody else can put it.
    fn walk(&self, path: &Path) -> Result<(PathBuf, bool), FollowFault> {
        let mut at = PathBuf::from("/");
        let mut rest: VecDeque<PathBuf> = parts(path).collect();
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == Path::new("/") {
                at = part;
                continue;
            }
            if part == Path::new("..") {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            if let Some(place) = self.holding(&next) {
                return Err(FollowFault::OfTheAgent(place.clone()));
            }
            let meta = match fs::symlink_metadata(&next) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok((rest.iter().fold(next, |at, part| at.join(part)), false));
                }
                Err(error) => return Err(FollowFault::Io { path: next, error }),
            };
            open_to_all(&at, &next, &meta)?;
            if !meta.is_symlink() {
                at = next;
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(FollowFault::TooManyLinks);
            }
            let target = match fs::read_link(&next) {
                Ok(target) => target,
                Err(error) => return Err(FollowFault::Io { path: next, error }),
            };
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(part);
            }
        }
        Ok((at, true))
    }

    /// The place that holds a path and can be changed, if one does.
    fn holding(&self, path: &Path) -> Option<&PathBuf> {
        // What is kept is reached through a private directory.
        let leads_to_kept = self.kept.iter().any(|kept| kept.starts_with(path));
        let private = self
            .private
            .iter()
            .filter(|_| self.is_private(path) && !leads_to_kept);
        let mut all = self.shared.iter().chain(private);
        all.find(|place| path.starts_with(place))
    }

    /// Whether a sandbox has something of its own at a path.
    fn is_private(&self, path: &Path) -> bool {
        let within = |place: &PathBuf| path.starts_with(place);
        self.private.iter().any(within) && !self.kept.iter().any(within)
    }
}

/// Paths as they are named, and as they are.
fn both<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(
            path.canonicalize()
                .ok()
                .filter(|true_path| true_path != path),
        );
        all.push(path.clone());
    }
    all
}

fn parts(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    path.components().filter_map(|part| match part {
        Component::CurDir | Component::Prefix(_) => None,
        part => Some(PathBuf::from(part.as_os_str())),
    })
}

/// Whether anybody at all may change what stands in `directory` at `entry`.
fn open_to_all(directory: &Path, entry: &Path, meta: &fs::Metadata) -> Result<(), FollowFault> {
    let anybody = |path: &Path| Err(FollowFault::OfAnybody(path.to_owned()));
    if !meta.is_symlink() && !meta.is_dir() && meta.mode() & OTHERS_WRITE != 0 {
        return anybody(entry);
    }
    let above = directory.metadata();
    let above = above.map_err(|error| FollowFault::Io {
        path: directory.to_owned(),
        error,
    })?;
    if above.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    let trusted = [0, geteuid().as_raw()].contains(&meta.uid());
    match above.mode() & STICKY != 0 && trusted {
        true => Ok(()),
        false => anybody(directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let root = env::temp_dir().join(format!("agp-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("repo/bin")).unwrap();
            fs::create_dir_all(root.join("own")).unwrap();
            let root = root.canonicalize().unwrap();
            fs::write(root.join("own/claude"), "").unwrap();
            fs::write(root.join("repo/bin/claude"), "").unwrap();
            Self(root)
        }

        fn changeable(&self) -> Changeable {
            Changeable::shared(&[self.0.join("repo")])
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_an_agent_cannot_reach_is_taken_whatever_the_links_to_it() {
        let scratch = Scratch::new("changeable-taken");
        let root = &scratch.0;
        symlink("own", root.join("link")).unwrap();
        symlink(root.join("link/claude"), root.join("claude")).unwrap();
        let followed = scratch.changeable().follow(&root.join("claude"));
        assert_eq!(followed.unwrap(), root.join("own/claude"));
    }

    #[test]
    fn a_way_that_leads_through_what_can_be_changed_is_refused_wherever_it_ends() {
        let scratch = Scratch::new("changeable-refused");
        let (root, changeable) = (&scratch.0, scratch.changeable());
        symlink("../own", root.join("repo/out")).unwrap();
        symlink("repo/out", root.join("way")).unwrap();
        symlink("repo/bin/claude", root.join("claude")).unwrap();
        symlink(root.join("repo"), root.join("elsewhere")).unwrap();
        for way in [
            "repo/bin/claude",
            "repo/bin/../../own/claude",
            "own/../repo/bin/claude",
            "claude",
            "repo/out/claude",
            "way/claude",
            "elsewhere/bin/claude",
        ] {
            let refused = changeable.follow(&root.join(way)).unwrap_err();
            let fault = &refused.fault;
            assert!(matches!(fault, FollowFault::OfTheAgent(_)), "{refused}");
        }
    }

    #[test]
    fn what_anybody_can_change_is_refused_and_a_sticky_directory_is_not_that() {
        let scratch = Scratch::new("changeable-open");
        let (root, none) = (&scratch.0, Changeable::default());
        let set = |path: &str, mode| {
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
            none.follow(&root.join("own/claude"))
        };
        assert!(set("own", 0o777).is_err());
        assert!(set("own", 0o1777).is_ok());
        assert!(set("own", 0o755).is_ok());
        assert!(set("own/claude", 0o777).is_err());
    }

    #[test]
    fn a_search_path_keeps_what_is_absolute_and_out_of_reach() {
        let scratch = Scratch::new("changeable-path");
        let root = scratch.0.display();
        let path = format!(
            ":./node_modules/.bin:bin:{root}/repo/bin:{root}/repo/later:{root}/own:/usr/bin:"
        );
        let kept = scratch.changeable().search_path(OsStr::new(&path));
        assert_eq!(kept, OsString::from(format!("{root}/own:/usr/bin")));
    }

    #[test]
    fn a_sandboxs_own_home_and_temporary_directories_are_not_searched_but_for_what_is_read_there() {
        let read = [PathBuf::from("/tmp/tools")];
        let inside = Changeable::default().in_sandbox(&read);
        let home = env::var("HOME").unwrap();
        let path = format!("/tmp/bin:/tmp/tools/bin:/tmp/tools:/tmp:{home}/bin:/usr/bin");
        assert_eq!(
            inside.search_path(OsStr::new(&path)),
            OsString::from("/tmp/tools/bin:/tmp/tools:/usr/bin")
        );
    }
}
