//! Whether an argument of a call leads into agp's own home, or to what agp has put beside the harness inside, read as
//! whoever takes it for a path might.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::confine::spec::RUN;

use super::asked::Asked;
use super::home::Home;
use super::lease::HARNESS_HOME;

/// Bytes of a path at most (`PATH_MAX`).
const PATH_BYTES: usize = 4096;
/// Links on the way of one path (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// What Claude Code writes down of its sessions, in its own configuration: long outputs stand there, too.
const WRITTEN_DOWN: &str = "projects";
/// Where links stand that mean another thing to each process.
const PROC: &str = "/proc";

/// Whether a text, taken for a path from the repository, leads into agp's home, by links too.
pub(super) fn own_file(home: &Home, asked: &Asked) -> Box<dyn Fn(&str) -> bool + Send + Sync> {
    let own = home.root().canonicalize();
    let own = own.unwrap_or_else(|_| home.root().to_owned());
    let repository = asked.repository.clone();
    let leads = move |text: &str| {
        let path = match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(user)) => Path::new(&user).join(rest),
            _ => repository.join(text),
        };
        // Some tools take `..` for the name before it, others follow what stands there.
        [plain(&path), path].iter().any(|path| {
            // The kernel takes none that is longer; what is taken by its names can come to be shorter.
            path.as_os_str().len() <= PATH_BYTES && leads_into(path, &own)
        })
    };
    // Harnesses take white space around a path away, a byte-order mark too.
    let is_space = |c: char| c.is_whitespace() || c == '\u{feff}';
    Box::new(move |text| {
        let bare = text.trim_matches(is_space);
        leads(bare) || (bare.len() < text.len() && leads(text))
    })
}

/// Whether what stands at a path, or of what is not there yet the nearest directory above that is, lies in
/// this directory; or nobody here can tell, because the harness may get further than agp, or elsewhere.
fn leads_into(path: &Path, directory: &Path) -> bool {
    leads_by(path, directory, |path| std::fs::read_link(path))
}

/// The same for whoever sees links so.
fn leads_by(
    path: &Path,
    directory: &Path,
    read_link: impl Fn(&Path) -> io::Result<PathBuf>,
) -> bool {
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    let mut names = Vec::new();
    push(&mut names, path);
    while let Some(name) = names.pop() {
        match step(&mut at, &name, &read_link) {
            Step::Taken => {}
            Step::Link(target) => {
                links += 1;
                // Of a process, whichever it is; `/proc/self` is not yet.
                if at.starts_with(PROC) && at != Path::new(PROC) {
                    return true;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push(&mut names, &target);
            }
            Step::Hidden => return true,
            Step::Nothing => {
                // Inside something may be there all the same: what agp has put there for the harness.
                let rest = names
                    .iter()
                    .rev()
                    .fold(at.join(&name), |way, name| way.join(name));
                return at.starts_with(directory) || keeps_apart(&plain(&rest));
            }
        }
        if links > LINKS {
            break;
        }
    }
    at.starts_with(directory) || keeps_apart(&at)
}

/// Whether a path inside is one of those that agp has put there for the gate and the harness's own use. What the
/// harness writes down of a session there it has its model read.
fn keeps_apart(path: &Path) -> bool {
    let run = Path::new(RUN);
    path.starts_with(run) && !path.starts_with(run.join(HARNESS_HOME).join(WRITTEN_DOWN))
}

enum Step {
    Taken,
    /// It is a link to this.
    Link(PathBuf),
    /// Nothing is there, or can be.
    Nothing,
    /// Something may be there that agp is not shown.
    Hidden,
}

/// Takes the next name of a path.
fn step(at: &mut PathBuf, name: &OsStr, read_link: impl Fn(&Path) -> io::Result<PathBuf>) -> Step {
    if name == ".." {
        at.pop();
        return Step::Taken;
    }
    let next = at.join(name);
    match read_link(&next) {
        Ok(target) => Step::Link(target),
        // It is there, and no link.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            *at = next;
            Step::Taken
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Step::Hidden,
        Err(_) => Step::Nothing,
    }
}

/// Puts a path's names where they are taken from, the first one last.
fn push(names: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().rev();
    names.extend(parts.filter_map(|part| match part {
        Component::ParentDir => Some("..".into()),
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    }));
}

/// A path without `.` and `..`, by its names alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_followed_as_the_kernel_does_and_no_further_than_agp_sees() {
        let root = std::env::temp_dir().join(format!("agp-own-file-{}", std::process::id()));
        let (own, repository) = (root.join("own"), root.join("repo/deep"));
        fs::create_dir_all(own.join("signing")).unwrap();
        fs::create_dir_all(&repository).unwrap();
        let root = root.canonicalize().unwrap();
        let own = root.join("own");
        let link =
            |target: &Path, name: &str| symlink(target, root.join("repo").join(name)).unwrap();
        link(&own, "there");
        link(Path::new("../own/signing"), "beside");
        link(Path::new("there"), "again");
        link(Path::new("round"), "round");
        link(Path::new("/proc/self/cwd"), "cwd");
        link(Path::new("/proc/self/status"), "status");
        for (path, leads) in [
            ("own", true),
            ("own/not/yet", true),
            ("own/..", false),
            ("repo/../own", true),
            ("repo/there/x", true),
            ("repo/there/..", false),
            ("repo/beside", true),
            ("repo/beside/..", true),
            ("repo/beside/../..", false),
            ("repo/again/signing/../x", true),
            ("repo/deep/../../own", true),
            ("repo/none/../../own", false),
            ("repo/round/x", false),
            ("repo/cwd", true),
            ("repo/status", false),
            ("repo/deep", false),
            ("ownx", false),
        ] {
            assert_eq!(leads_into(&root.join(path), &own), leads, "{path}");
        }
        for path in ["/proc/self/root", "/proc/thread-self/cwd/x", "/dev/fd/0"] {
            assert!(leads_into(Path::new(path), &own), "{path}");
        }
        for path in [
            "/proc/self/maps",
            "/proc/meminfo",
            "/dev/null",
            "/",
            "/a\0b",
            "/nowhere/x",
        ] {
            assert!(!leads_into(Path::new(path), &own), "{path}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_agp_has_put_inside_is_kept_apart_whether_it_is_here_or_not() {
        let root = std::env::temp_dir().join(format!("agp-kept-apart-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let root = root.canonicalize().unwrap();
        let link = |target: &str, name: &str| symlink(target, root.join(name)).unwrap();
        link("/run/agp/harness-login/.credentials.json", "login");
        link("/run/agp/harness-home", "own");
        let leads = |path: &str| leads_into(&root.join(path), &root.join("home"));
        for path in [
            "login",
            "own/remote-settings.json",
            "own/projects/../settings.json",
            "/run/agp/settings.json",
            "/run/agp",
            "/run/../run/agp/harness-home/x",
        ] {
            assert!(leads(path), "{path}");
        }
        for path in ["own/projects/p/s/tool-results/x.txt", "/run/agpx", "/run/x"] {
            assert!(!leads(path), "{path}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_agp_is_not_shown_may_lead_anywhere() {
        let shown = |path: &Path| match path.to_str() {
            Some("/closed/x") => Err(io::ErrorKind::PermissionDenied.into()),
            Some("/gone") => Err(io::ErrorKind::NotFound.into()),
            _ => Err(rustix::io::Errno::INVAL.into()),
        };
        let leads = |path: &str| leads_by(Path::new(path), Path::new("/own"), shown);
        assert!(leads("/own/x") && leads("/closed/x"));
        assert!(!leads("/closed") && !leads("/gone/x") && !leads("/there"));
    }
}
